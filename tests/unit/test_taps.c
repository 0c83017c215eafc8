/* Sparse maps against dense formulas written down independently. */
#include "core/taps.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Weights are stored as float32: half a unit in the last place of 1. */
static const double rounding = 6e-8;

static void must(rmp_status status) { cr_assert_eq(status, RMP_OK, "%s (%s)", rmp_fail_message(), rmp_fail_place()); }

/* Row-major (out, in); checks the structure on the way. */
static double *dense(const rmp_taps *t)
{
    double *m = calloc((size_t)(t->out * t->in), sizeof *m);
    cr_assert_eq(t->start[0], 0);
    for (int64_t i = 0; i < t->out; i++) {
        cr_assert_leq(t->start[i], t->start[i + 1]);
        for (int64_t e = t->start[i]; e < t->start[i + 1]; e++) {
            cr_assert(t->index[e] >= 0 && t->index[e] < t->in);
            cr_assert(e == t->start[i] || t->index[e - 1] < t->index[e], "row %lld is not sorted", (long long)i);
            m[i * t->in + t->index[e]] = (double)t->weight[e];
        }
    }
    return m;
}

static void expect_dense(const char *what, const rmp_taps *t, const double *want)
{
    double *have = dense(t);
    for (int64_t i = 0; i < t->out * t->in; i++)
        cr_expect_float_eq(have[i], want[i], 2 * rounding, "%s %lld -> %lld: (%lld, %lld) is %.9g, not %.9g", what,
                           (long long)t->in, (long long)t->out, (long long)(i / t->in), (long long)(i % t->in), have[i],
                           want[i]);
    free(have);
}

/* Walks from j into the signal, turning at the edges; `step` says whether the edge itself is repeated. */
static int64_t fold(int64_t j, int64_t n, bool repeat_edge)
{
    while (j < 0 || j >= n) {
        if (n == 1) return 0;
        if (j < 0) j = repeat_edge ? -1 - j : -j;
        if (j >= n) j = repeat_edge ? 2 * n - 1 - j : 2 * n - 2 - j;
    }
    return j;
}

/* Keys' kernel, a = -1/2, from its four polynomial pieces. */
static double keys(double t)
{
    t = fabs(t);
    if (t <= 1) return 1.5 * t * t * t - 2.5 * t * t + 1;
    if (t < 2) return -0.5 * t * t * t + 2.5 * t * t - 4 * t + 2;
    return 0;
}

static double *keys_matrix(int64_t in, int64_t out, double ratio, double stretch)
{
    double *m = calloc((size_t)(in * out), sizeof *m);
    for (int64_t i = 0; i < out; i++) {
        double centre = ((double)i + 0.5) * ratio - 0.5, sum = 0;
        for (int64_t j = -20 * in - 200; j < 21 * in + 200; j++) /* far beyond the support */
            sum += keys(((double)j - centre) / stretch);
        for (int64_t j = -20 * in - 200; j < 21 * in + 200; j++)
            m[i * in + fold(j, in, true)] += keys(((double)j - centre) / stretch) / sum;
    }
    return m;
}

Test(taps, bicubic_down)
{
    const int64_t lengths[] = {1, 2, 3, 8, 13, 64}, factors[] = {1, 2, 3, 4, 8};
    for (int l = 0; l < 6; l++)
        for (int f = 0; f < 5; f++) {
            rmp_taps *t;
            must(rmp_taps_bicubic_down(lengths[l], factors[f], &t));
            cr_expect_eq(t->out, (lengths[l] + factors[f] - 1) / factors[f]);
            double *want = keys_matrix(t->in, t->out, (double)factors[f], (double)factors[f]);
            expect_dense("bicubic_down", t, want);
            free(want);
            rmp_taps_destroy(&t);
        }
}

Test(taps, bicubic_up)
{
    const int64_t lengths[][2] = {{1, 1}, {1, 5}, {2, 3}, {3, 12}, {7, 20}};
    for (int l = 0; l < 5; l++) {
        rmp_taps *t;
        must(rmp_taps_bicubic_up(lengths[l][0], lengths[l][1], &t));
        double *want = keys_matrix(t->in, t->out, (double)t->in / (double)t->out, 1);
        expect_dense("bicubic_up", t, want);
        free(want);
        rmp_taps_destroy(&t);
    }
    rmp_taps *t;
    cr_expect_eq(rmp_taps_bicubic_up(4, 3, &t), RMP_ERR_ARGUMENT);
}

/* A factor of 1 copies: the kernel is 1 at 0 and 0 at the other integers. */
Test(taps, bicubic_factor_one_is_the_identity)
{
    rmp_taps *t;
    must(rmp_taps_bicubic_down(5, 1, &t));
    for (int64_t i = 0; i < 5; i++)
        cr_expect(t->start[i + 1] - t->start[i] == 1 && t->index[i] == i && t->weight[i] == 1);
    rmp_taps_destroy(&t);
}

Test(taps, box_down)
{
    rmp_taps *t;
    const double third = 1.0 / 3;
    const double want[3][7] = {{third, third, third}, {0, 0, 0, third, third, third}, {0, 0, 0, 0, 0, 0, 1}};
    must(rmp_taps_box_down(7, 3, &t));
    expect_dense("box_down", t, want[0]);
    rmp_taps_destroy(&t);
    must(rmp_taps_box_down(2, 5, &t));
    cr_expect_eq(t->out, 1);
    expect_dense("box_down", t, (double[]){0.5, 0.5});
    rmp_taps_destroy(&t);
}

Test(taps, gaussian)
{
    const int64_t lengths[] = {1, 2, 3, 9, 40};
    for (int l = 0; l < 5; l++)
        for (int64_t size = 1; size <= 61; size += 20) {
            rmp_taps *t;
            int64_t n = lengths[l], radius = size / 2;
            double *want = calloc((size_t)(n * n), sizeof *want), sum = 0;
            for (int64_t k = -radius; k <= radius; k++)
                sum += exp(-(double)(k * k) / 18);
            for (int64_t i = 0; i < n; i++)
                for (int64_t k = -radius; k <= radius; k++)
                    want[i * n + fold(i + k, n, false)] += exp(-(double)(k * k) / 18) / sum;
            must(rmp_taps_gaussian(n, size, 3, &t));
            expect_dense("gaussian", t, want);
            rmp_taps_destroy(&t);
            free(want);
        }
}

Test(taps, means)
{
    rmp_taps *t;
    const double third = 1.0 / 3;
    must(rmp_taps_mean(4, 3, &t));
    expect_dense("mean", t, (double[]){0.5, 0.5, 0, 0, third, third, third, 0, 0, third, third, third, 0, 0, 0.5, 0.5});
    rmp_taps_destroy(&t);
    must(rmp_taps_mean(2, 9, &t));
    expect_dense("mean", t, (double[]){0.5, 0.5, 0.5, 0.5});
    rmp_taps_destroy(&t);
    must(rmp_taps_mean_all(5, &t));
    cr_expect_eq(t->out, 1);
    expect_dense("mean_all", t, (double[]){0.2, 0.2, 0.2, 0.2, 0.2});
    rmp_taps_destroy(&t);
}

/* Values that torch 2.5's interpolate gives for the rows of an identity. */
Test(taps, linear)
{
    rmp_taps *t;
    must(rmp_taps_linear(4, 4, &t));
    expect_dense("linear", t, (double[]){1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1});
    rmp_taps_destroy(&t);
    must(rmp_taps_linear(2, 5, &t)); /* the edge is clamped, not extrapolated */
    expect_dense("linear", t, (double[]){1, 0, 0.9, 0.1, 0.5, 0.5, 0.1, 0.9, 0, 1});
    rmp_taps_destroy(&t);
    must(rmp_taps_linear(7, 2, &t)); /* no antialiasing: two positions a row */
    expect_dense("linear", t, (double[]){0, 0.75, 0.25, 0, 0, 0, 0, 0, 0, 0, 0, 0.25, 0.75, 0});
    rmp_taps_destroy(&t);
    must(rmp_taps_linear(1, 3, &t));
    expect_dense("linear", t, (double[]){1, 1, 1});
    rmp_taps_destroy(&t);
}

/* Constants stay constant: the weights of each output sum to one, mirrored edges included. */
Test(taps, rows_are_a_partition_of_one)
{
    for (int64_t n = 1; n <= 12; n++) {
        rmp_taps *t[8];
        must(rmp_taps_bicubic_down(n, 3, &t[0]));
        must(rmp_taps_box_down(n, 4, &t[1]));
        must(rmp_taps_bicubic_up(n, 2 * n + 1, &t[2]));
        must(rmp_taps_gaussian(n, 61, 3, &t[3]));
        must(rmp_taps_reflect_pad(n, 7, 5, &t[4]));
        must(rmp_taps_mean(n, 5, &t[5]));
        must(rmp_taps_mean_all(n, &t[6]));
        must(rmp_taps_linear(n, 7, &t[7]));
        for (int k = 0; k < 8; k++) {
            for (int64_t i = 0; i < t[k]->out; i++) {
                double sum = 0;
                for (int64_t e = t[k]->start[i]; e < t[k]->start[i + 1]; e++)
                    sum += (double)t[k]->weight[e];
                cr_expect_float_eq(sum, 1, 1e-6, "map %d of %lld: row %lld sums to %g", k, (long long)n, (long long)i,
                                   sum);
            }
            rmp_taps_destroy(&t[k]);
        }
    }
}

Test(taps, reflect_pad_and_crop)
{
    for (int64_t n = 1; n <= 3; n++) {
        rmp_taps *t;
        must(rmp_taps_reflect_pad(n, 9, 4, &t));
        cr_expect_eq(t->out, n + 13);
        for (int64_t i = 0; i < t->out; i++) {
            cr_expect_eq(t->start[i + 1] - t->start[i], 1);
            cr_expect_eq(t->index[i], fold(i - 9, n, false));
            cr_expect_eq(t->weight[i], 1);
        }
        rmp_taps_destroy(&t);
    }
    rmp_taps *t;
    must(rmp_taps_reflect_pad(3, 2, 2, &t)); /* numpy: pad([0 1 2], 2, "reflect") = 2 1 0 1 2 1 0 */
    const int32_t numpy[] = {2, 1, 0, 1, 2, 1, 0};
    cr_expect_eq(memcmp(t->index, numpy, sizeof numpy), 0);
    rmp_taps_destroy(&t);
    must(rmp_taps_crop(9, 2, 3, &t));
    cr_expect(t->out == 3 && t->index[0] == 2 && t->index[2] == 4);
    rmp_taps_destroy(&t);
}

/* upfirdn step by step on the unit vectors: insert zeros, pad, convolve, keep every down-th. */
static void check_fir(int64_t n, int taps, const double *kernel, double gain, int up, int down, int before, int after)
{
    rmp_taps *t;
    must(rmp_taps_fir(n, taps, kernel, gain, up, down, before, after, &t));
    int64_t padded = n * up + before + after, out = (padded - taps) / down + 1;
    double sum = 0, *want = calloc((size_t)(out * n), sizeof *want);
    for (int k = 0; k < taps; k++)
        sum += kernel[k];
    cr_assert_eq(t->out, out);
    for (int64_t j = 0; j < n; j++) {
        double *wide = calloc((size_t)padded + 64, sizeof *wide);
        if (j * up + before >= 0) wide[j * up + before] = 1;
        for (int64_t i = 0; i < out; i++)
            for (int k = 0; k < taps; k++)
                want[i * n + j] += wide[i * down + taps - 1 - k] * kernel[k] / sum * gain;
        free(wide);
    }
    expect_dense("fir", t, want);
    free(want);
    rmp_taps_destroy(&t);
}

Test(taps, fir)
{
    const double symmetric[] = {1, 3, 3, 1}, skewed[] = {1, 2, 5};
    for (int64_t n = 1; n <= 9; n += 4) {
        check_fir(n, 4, symmetric, 2, 2, 1, 2, 1);     /* up */
        check_fir(n + 1, 4, symmetric, 1, 1, 2, 1, 1); /* down */
        check_fir(n, 4, symmetric, 1, 1, 1, 2, 2);
        check_fir(n + 3, 3, skewed, 1.5, 3, 2, -1, 4); /* an odd one: a negative pad crops */
    }
}

Test(taps, transpose_and_copy)
{
    for (int64_t n = 1; n <= 11; n += 5) {
        rmp_taps *t, *turned, *again, *copy;
        must(rmp_taps_gaussian(n, 5, 1, &copy));
        rmp_taps_destroy(&copy);
        must(rmp_taps_bicubic_down(n, 3, &t));
        must(rmp_taps_transpose(t, &turned));
        must(rmp_taps_transpose(turned, &again));
        must(rmp_taps_copy(t, &copy));
        cr_expect(turned->in == t->out && turned->out == t->in);
        double *a = dense(t), *b = dense(turned), *c = dense(again), *d = dense(copy);
        for (int64_t i = 0; i < t->out; i++)
            for (int64_t j = 0; j < n; j++)
                cr_expect_eq(a[i * n + j], b[j * t->out + i]);
        cr_expect_eq(memcmp(a, c, (size_t)(t->out * n) * sizeof *a), 0);
        cr_expect_eq(memcmp(a, d, (size_t)(t->out * n) * sizeof *a), 0);
        free(a), free(b), free(c), free(d);
        rmp_taps_destroy(&t);
        rmp_taps_destroy(&turned);
        rmp_taps_destroy(&again);
        rmp_taps_destroy(&copy);
    }
}

Test(taps, from_dense)
{
    const double matrix[] = {0, 2, 0, 0, 0, 0, -1, 0, 0.5, 3, 0, 0};
    rmp_taps *t, *copy;
    must(rmp_taps_from_dense(4, 3, matrix, &t));
    cr_expect_eq(t->start[4], 4, "zeros are left out");
    expect_dense("from_dense", t, matrix);
    rmp_taps_destroy(&t);
    must(rmp_taps_from_dense(2, 1, (double[]){0, 0}, &t)); /* no entry at all */
    must(rmp_taps_copy(t, &copy));
    cr_expect_eq(copy->start[2], 0);
    rmp_taps_destroy(&copy);
    must(rmp_taps_transpose(t, &copy));
    cr_expect_eq(copy->start[1], 0);
    rmp_taps_destroy(&copy);
    rmp_taps_destroy(&t);
}

Test(taps, impossible_arguments)
{
    rmp_taps *t;
    const double kernel[] = {1, -1}, good[] = {1, 1};
    cr_expect_eq(rmp_taps_bicubic_down(0, 2, &t), RMP_ERR_ARGUMENT);
    cr_expect_null(t);
    cr_expect_eq(rmp_taps_bicubic_down(8, 0, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_box_down(8, -1, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_gaussian(8, 4, 1, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_mean(8, 4, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_mean(0, 3, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_mean_all(0, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_linear(0, 3, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_linear(3, 0, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_gaussian(8, 5, 0, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_gaussian(8, 5, (double)NAN, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_gaussian(-1, 5, 1, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_reflect_pad(8, -1, 0, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_crop(8, 6, 3, &t), RMP_ERR_ARGUMENT);
    cr_expect(strstr(rmp_fail_message(), "3 positions from 6 of 8"), "%s", rmp_fail_message());
    cr_expect_eq(rmp_taps_crop(8, -1, 3, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_crop(8, 0, 0, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_fir(8, 2, kernel, 1, 1, 1, 0, 0, &t), RMP_ERR_ARGUMENT, "a kernel that sums to zero");
    cr_expect_eq(rmp_taps_fir(1, 2, good, 1, 1, 1, 0, 0, &t), RMP_ERR_ARGUMENT, "a kernel longer than the signal");
    cr_expect_eq(rmp_taps_fir(8, 0, good, 1, 1, 1, 0, 0, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_fir(8, 2, good, 1, 0, 1, 0, 0, &t), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_taps_from_dense((int64_t)1 << 40, 1, good, &t), RMP_ERR_ARGUMENT);
    t = NULL;
    rmp_taps_destroy(&t);
    rmp_taps_destroy(NULL);
}
