/* Statistics of features and the Frechet distance, against sums and closed forms that share no code with them. */
#include "core/frechet.h"
#include "core/random.h"
#include "gpu/devices.h"
#include "tests/unit/scratch.h"

#include <math.h>

TestSuite(frechet, .timeout = 120);

enum { MAX = 96 }; /* features of a vector in these tests */

static double distance(int64_t d, const double *mean_a, const double *a, const double *mean_b, const double *b)
{
    rmp_device *dev;
    double out = NAN;
    expect_ok(rmp_reference_create(&dev));
    expect_ok(rmp_frechet_distance(dev, d, mean_a, a, mean_b, b, NULL, &out));
    rmp_device_destroy(&dev);
    return out;
}

/* Vector i of a set: correlated features with means that are large against their spread, as those of a network. */
static void draw(uint64_t set, int64_t i, int64_t d, float *out)
{
    rmp_random_normals((rmp_key){set, (uint64_t)i}, 0, 1, d, out);
    for (int64_t j = d - 1; j > 0; j--)
        out[j] = 3 + 0.5f * out[j] + 0.4f * out[j - 1];
}

static rmp_frechet *collect(uint64_t set, int64_t first, int64_t n, int64_t d)
{
    float x[MAX];
    rmp_frechet *s;
    expect_ok(rmp_frechet_create(d, &s));
    for (int64_t i = first; i < first + n; i++) {
        draw(set, i, d, x);
        expect_ok(rmp_frechet_add(s, x));
    }
    return s;
}

/* In two passes: mean, then products of differences. */
static void naive_moments(uint64_t set, int64_t n, int64_t d, double *mean, double *covariance)
{
    float x[MAX];
    memset(mean, 0, (size_t)d * sizeof *mean);
    memset(covariance, 0, (size_t)(d * d) * sizeof *covariance);
    for (int64_t i = 0; i < n; i++) {
        draw(set, i, d, x);
        for (int64_t j = 0; j < d; j++)
            mean[j] += (double)x[j] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        draw(set, i, d, x);
        for (int64_t j = 0; j < d; j++)
            for (int64_t k = 0; k < d; k++)
                covariance[j * d + k] += ((double)x[j] - mean[j]) * ((double)x[k] - mean[k]) / (double)(n - 1);
    }
}

Test(frechet, moments_are_those_of_two_passes)
{
    static double mean[2][MAX], covariance[2][MAX * MAX];
    static const int64_t numbers[] = {2, 31, 32, 33, 100}; /* around whole blocks */
    const int64_t d = 37;
    for (size_t c = 0; c < sizeof numbers / sizeof *numbers; c++) {
        rmp_frechet *s = collect(1, 0, numbers[c], d);
        cr_assert(rmp_frechet_count(s) == numbers[c]);
        expect_ok(rmp_frechet_moments(s, mean[0], covariance[0]));
        naive_moments(1, numbers[c], d, mean[1], covariance[1]);
        for (int64_t i = 0; i < d; i++)
            cr_assert(fabs(mean[0][i] - mean[1][i]) < 1e-13);
        for (int64_t i = 0; i < d * d; i++)
            cr_assert(fabs(covariance[0][i] - covariance[1][i]) < 1e-13, "%g", covariance[0][i] - covariance[1][i]);
        rmp_frechet_destroy(&s);
    }
}

/* Plain sums of squares would be 1e8 here and keep no digit of a variance of 1e-9. */
Test(frechet, means_that_are_large_against_the_spread)
{
    enum { N = 200 };
    float x[2] = {1e4f, 1e4f};
    double mean[2], covariance[4];
    rmp_frechet *s;
    expect_ok(rmp_frechet_create(2, &s));
    const float step = nextafterf(1e4f, 2e4f) - 1e4f; /* 2^-10 */
    for (int i = 0; i < N; i++) {
        x[0] = 1e4f + (float)(i % 2) * step;
        x[1] = 1e4f + (float)(i / 2 % 2) * step;
        expect_ok(rmp_frechet_add(s, x));
    }
    expect_ok(rmp_frechet_moments(s, mean, covariance));
    const double variance = (double)step * (double)step * N / (4 * (N - 1.0));
    cr_assert(fabs(covariance[0] - variance) < 1e-14 * variance && fabs(covariance[3] - variance) < 1e-14 * variance);
    cr_assert(fabs(covariance[1]) < 1e-14 * variance);
    cr_assert(mean[0] == 1e4 + 0.5 * (double)step);
    rmp_frechet_destroy(&s);
}

/* Moments that are asked for in between end a block early; the sums must not notice. */
Test(frechet, blocks_change_no_bit)
{
    static double mean[2][MAX], covariance[2][MAX * MAX], unused[MAX * MAX];
    float x[MAX];
    const int64_t d = 90, n = 75;
    rmp_frechet *whole = collect(2, 0, n, d), *cut;
    expect_ok(rmp_frechet_create(d, &cut));
    for (int64_t i = 0; i < n; i++) {
        draw(2, i, d, x);
        expect_ok(rmp_frechet_add(cut, x));
        if (i >= 1 && i % 7 < 3) expect_ok(rmp_frechet_moments(cut, mean[1], unused));
    }
    expect_ok(rmp_frechet_moments(whole, mean[0], covariance[0]));
    expect_ok(rmp_frechet_moments(cut, mean[1], covariance[1]));
    cr_assert(memcmp(mean[0], mean[1], (size_t)d * sizeof(double)) == 0);
    cr_assert(memcmp(covariance[0], covariance[1], (size_t)(d * d) * sizeof(double)) == 0);
    rmp_frechet_destroy(&whole);
    rmp_frechet_destroy(&cut);
}

Test(frechet, diagonal_covariances)
{
    enum { D = 50 };
    static double a[D * D], b[D * D], mean_a[D], mean_b[D];
    double expected = 0;
    for (int64_t i = 0; i < D; i++) {
        a[i * D + i] = pow(10, -6 + 8.0 * (double)i / D); /* eight orders of magnitude */
        b[i * D + i] = i % 5 == 0 ? 0 : 1 + (double)i;    /* some that do not vary at all */
        mean_a[i] = sin((double)i);
        mean_b[i] = cos((double)i);
        expected += pow(sqrt(a[i * D + i]) - sqrt(b[i * D + i]), 2) + pow(mean_a[i] - mean_b[i], 2);
    }
    /* Single terms reach 100; the smallest singular values keep half of the digits of the largest. */
    cr_assert(fabs(distance(D, mean_a, a, mean_b, b) - expected) < 1e-9 * expected);
    cr_assert(fabs(distance(D, mean_b, b, mean_a, a) - expected) < 1e-9 * expected);
    cr_assert(distance(D, mean_a, a, mean_a, a) < 1e-9);
}

/* (I - 2 v v^T) c (I - 2 v v^T) with |v| = 1. */
static void reflect(int64_t d, const double *v, double *c)
{
    for (int turn = 0; turn < 2; turn++) {
        for (int64_t i = 0; i < d; i++) {
            double along = 0;
            for (int64_t j = 0; j < d; j++)
                along += c[i * d + j] * v[j];
            for (int64_t j = 0; j < d; j++)
                c[i * d + j] -= 2 * along * v[j];
        }
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j < i; j++) {
                const double above = c[j * d + i];
                c[j * d + i] = c[i * d + j];
                c[i * d + j] = above;
            }
    }
}

Test(frechet, turned_covariances_keep_their_distance)
{
    enum { D = 12 };
    double a[D * D] = {0}, b[D * D] = {0}, mean[D] = {0}, v[D], norm = 0, expected = 0;
    for (int64_t i = 0; i < D; i++) {
        a[i * D + i] = 1 + (double)i;
        b[i * D + i] = 1 / (1 + (double)i);
        expected += pow(sqrt(a[i * D + i]) - sqrt(b[i * D + i]), 2);
        v[i] = 1 + (double)(i % 3);
        norm += v[i] * v[i];
    }
    for (int64_t i = 0; i < D; i++)
        v[i] /= sqrt(norm);
    reflect(D, v, a);
    reflect(D, v, b);
    cr_assert(fabs(a[1]) > 0.1, "not diagonal any more");
    cr_assert(fabs(distance(D, mean, a, mean, b) - expected) < 1e-11 * expected);
}

/* Two numbers and matrices that do not commute: with M = C_a C_b, (tr M^(1/2))^2 = tr M + 2 sqrt(det M). */
Test(frechet, two_features_in_closed_form)
{
    const double a[] = {2, 0.7, 0.7, 1}, b[] = {0.5, -0.3, -0.3, 3}, mean_a[] = {1, 2}, mean_b[] = {0.5, -1};
    const double trace = 2 * 0.5 + 2 * 0.7 * -0.3 + 1 * 3, determinant = (2 - 0.49) * (1.5 - 0.09);
    const double expected = 0.25 + 9 + 3 + 3.5 - 2 * sqrt(trace + 2 * sqrt(determinant));
    cr_assert(fabs(distance(2, mean_a, a, mean_b, b) - expected) < 1e-13);
}

/* C_a = u u^T, C_b = v v^T: the root of u (u.v) v^T has the trace |u.v|. */
Test(frechet, covariances_of_rank_one)
{
    enum { D = 30 };
    static double a[D * D], b[D * D], mean[D];
    double uu = 0, vv = 0, uv = 0, u[D], v[D];
    for (int64_t i = 0; i < D; i++) {
        u[i] = sin(1.0 + (double)i);
        v[i] = cos(3.0 * (double)i) - 0.2;
        uu += u[i] * u[i];
        vv += v[i] * v[i];
        uv += u[i] * v[i];
    }
    for (int64_t i = 0; i < D * D; i++) {
        a[i] = u[i / D] * u[i % D];
        b[i] = v[i / D] * v[i % D];
    }
    cr_assert(fabs(distance(D, mean, a, mean, b) - (uu + vv - 2 * fabs(uv))) < 1e-12);
    memset(b, 0, sizeof b);
    cr_assert(fabs(distance(D, mean, a, mean, b) - uu) < 1e-12);
    cr_assert(distance(D, mean, b, mean, b) == 0);
}

/* The same from the centred vectors themselves, of which there are fewer than features: with X (n, d) / sqrt(n - 1),
 * the singular values of X_a X_b^T. */
static double from_vectors(uint64_t set_a, uint64_t set_b, int64_t n, int64_t d)
{
    static double mean[2][MAX], covariance[MAX * MAX], x[2][16][MAX];
    double product[16 * 16], gram[16 * 16] = {0}, values[16], vectors[16 * 16], sum = 0;
    const uint64_t set[2] = {set_a, set_b};
    float row[MAX];
    for (int s = 0; s < 2; s++) {
        naive_moments(set[s], n, d, mean[s], covariance);
        for (int64_t i = 0; i < n; i++) {
            draw(set[s], i, d, row);
            for (int64_t j = 0; j < d; j++) {
                x[s][i][j] = ((double)row[j] - mean[s][j]) / sqrt((double)n - 1);
                sum += x[s][i][j] * x[s][i][j];
            }
        }
    }
    for (int64_t i = 0; i < n * n; i++) {
        product[i] = 0;
        for (int64_t j = 0; j < d; j++)
            product[i] += x[0][i / n][j] * x[1][i % n][j];
    }
    for (int64_t i = 0; i < n * n; i++)
        for (int64_t k = 0; k < n; k++)
            gram[i] += product[i / n * n + k] * product[i % n * n + k];
    rmp_device *dev;
    expect_ok(rmp_reference_create(&dev));
    expect_ok(rmp_device_symmetric_eigen(dev, n, gram, values, vectors));
    rmp_device_destroy(&dev);
    for (int64_t i = 0; i < n; i++)
        sum -= 2 * sqrt(fmax(values[i], 0));
    for (int64_t j = 0; j < d; j++)
        sum += (mean[0][j] - mean[1][j]) * (mean[0][j] - mean[1][j]);
    return sum;
}

Test(frechet, fewer_vectors_than_features)
{
    static double mean[2][MAX], covariance[2][MAX * MAX];
    const int64_t d = 80, n = 10;
    rmp_frechet *a = collect(4, 0, n, d), *b = collect(5, 0, n, d);
    expect_ok(rmp_frechet_moments(a, mean[0], covariance[0]));
    expect_ok(rmp_frechet_moments(b, mean[1], covariance[1]));
    const double expected = from_vectors(4, 5, n, d);
    cr_assert(expected > 1);
    /* The null singular value of ten centred vectors is some 1e-8 in the reference, 0 here. */
    cr_assert(fabs(distance(d, mean[0], covariance[0], mean[1], covariance[1]) - expected) < 1e-6);
    cr_assert(distance(d, mean[0], covariance[0], mean[0], covariance[0]) < 1e-9);
    rmp_frechet_destroy(&a);
    rmp_frechet_destroy(&b);
}

typedef struct polls {
    int count, fail_at; /* the call that fails; 0: none */
} polls;

static rmp_status count_poll(void *context)
{
    polls *p = context;
    RMP_CHECK(++p->count != p->fail_at, RMP_ERR_COMM, "poll %d", p->count);
    return RMP_OK;
}

/* Polls change no bit; the first failure ends the work, wherever it comes. */
Test(frechet, polls)
{
    static double mean[2][MAX], covariance[2][MAX * MAX];
    const int64_t d = MAX, n = MAX + 8;
    rmp_frechet *a = collect(6, 0, n, d), *b = collect(7, 0, n, d);
    rmp_device *dev;
    double silent, polled, unused = 0;
    polls p = {0, 0};
    const rmp_poll poll = {count_poll, &p};
    expect_ok(rmp_frechet_moments(a, mean[0], covariance[0]));
    expect_ok(rmp_frechet_moments(b, mean[1], covariance[1]));
    expect_ok(rmp_reference_create(&dev));
    expect_ok(rmp_frechet_distance(dev, d, mean[0], covariance[0], mean[1], covariance[1], NULL, &silent));
    expect_ok(rmp_frechet_distance(dev, d, mean[0], covariance[0], mean[1], covariance[1], &poll, &polled));
    cr_assert(memcmp(&silent, &polled, sizeof silent) == 0);
    /* Once a row of both factors, every 16 rows of both products, before and after the eigen-decomposition. */
    const int expected = 2 * MAX + 2 * (MAX / 16) + 2;
    cr_assert_eq(p.count, expected, "%d polls", p.count);
    const int where[] = {1, MAX + 1, 2 * MAX + 1, 2 * MAX + MAX / 16 + 1, expected - 1, expected};
    for (size_t i = 0; i < sizeof where / sizeof where[0]; i++) {
        char named[16];
        snprintf(named, sizeof named, "poll %d", where[i]);
        p = (polls){0, where[i]};
        expect_failure(rmp_frechet_distance(dev, d, mean[0], covariance[0], mean[1], covariance[1], &poll, &unused),
                       RMP_ERR_COMM, named, "");
        cr_assert_eq(p.count, where[i]);
    }
    rmp_device_destroy(&dev);
    rmp_frechet_destroy(&a);
    rmp_frechet_destroy(&b);
}

Test(frechet, what_is_refused)
{
    double mean[4], covariance[16];
    float bad[4] = {1, 2, INFINITY, 4};
    rmp_frechet *s = NULL;
    rmp_device *dev;
    expect_failure(rmp_frechet_create(0, &s), RMP_ERR_ARGUMENT, "0 features", "");
    cr_assert(s == NULL);
    expect_ok(rmp_frechet_create(4, &s));
    expect_failure(rmp_frechet_moments(s, mean, covariance), RMP_ERR_ARGUMENT, "at least 2", "there are 0");
    expect_failure(rmp_frechet_add(s, bad), RMP_ERR_ARGUMENT, "feature 2 of vector 0", "not finite");
    cr_assert(rmp_frechet_count(s) == 0);
    bad[2] = 3;
    expect_ok(rmp_frechet_add(s, bad));
    expect_failure(rmp_frechet_moments(s, mean, covariance), RMP_ERR_ARGUMENT, "at least 2", "there are 1");
    expect_ok(rmp_frechet_add(s, bad));
    expect_ok(rmp_frechet_moments(s, mean, covariance));
    cr_assert(mean[3] == 4 && covariance[5] == 0);
    covariance[7] = NAN;
    expect_ok(rmp_reference_create(&dev));
    expect_failure(rmp_frechet_distance(dev, 4, mean, covariance, mean, covariance, NULL, &mean[0]), RMP_ERR_ARGUMENT,
                   "not finite", "");
    rmp_device_destroy(&dev);
    rmp_frechet_destroy(&s);
    rmp_frechet_destroy(&s);
}
