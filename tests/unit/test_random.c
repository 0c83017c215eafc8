/* Philox against the published known answers; normals against their distribution. Statistical limits are five standard
 * errors: the numbers are fixed, so a test passes always or never. */
#include "core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

enum { N = 1 << 20 };

static const rmp_key KEY = {.seed = 20241005, .item = 7};

static float *draw(rmp_key key, uint32_t step, uint32_t purpose)
{
    float *x = malloc(N * sizeof *x);
    cr_assert(x != NULL);
    rmp_random_normals(key, step, purpose, N, x);
    return x;
}

/* kat_vectors of the Random123 distribution, philox4x32 with 10 rounds. */
Test(random, philox_known_answers)
{
    static const uint32_t counter[3][4] = {{0, 0, 0, 0},
                                           {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                                           {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}};
    static const uint32_t key[3][2] = {{0, 0}, {0xffffffff, 0xffffffff}, {0xa4093822, 0x299f31d0}};
    static const uint32_t answer[3][4] = {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
                                          {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
                                          {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
    for (int i = 0; i < 3; ++i) {
        uint32_t out[4];
        rmp_philox(counter[i], key[i][0], key[i][1], out);
        for (int k = 0; k < 4; ++k)
            cr_assert(eq(u32, out[k], answer[i][k]), "vector %d word %d", i, k);
    }
}

/* Own logarithm, sine and cosine against libm in double: a few units in the last place of a float. */
Test(random, elementary_functions)
{
    double radius_error = 0.0, angle_error = 0.0;
    for (uint32_t i = 0; i < 1u << 20; ++i) {
        const uint32_t bits = i * 2654435761u;
        const double u = fmaf((float)bits, 0x1p-32f, 0x1p-33f), angle = 2.0 * M_PI * bits * 0x1p-32;
        const double radius = sqrt(fmax(-2.0 * log(u), 0.0));
        float c, s;
        rmp_normal_angle(bits, &c, &s);
        radius_error = fmax(radius_error, fabs(rmp_normal_radius(bits) - radius));
        angle_error = fmax(angle_error, fmax(fabs(c - cos(angle)), fabs(s - sin(angle))));
    }
    cr_assert(lt(dbl, radius_error, 5e-7));
    cr_assert(lt(dbl, angle_error, 2e-7));
    cr_assert(lt(dbl, fabs(rmp_normal_radius(0) - sqrt(66.0 * M_LN2)), 1e-6));
    cr_assert(eq(flt, rmp_normal_radius(0xffffffff), 0.0f));
}

Test(random, moments)
{
    float *x = draw(KEY, 3, RMP_PURPOSE_SPREAD);
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, neighbours = 0;
    for (int i = 0; i < N; ++i) {
        const double v = x[i];
        m1 += v;
        m2 += v * v;
        m3 += v * v * v;
        m4 += v * v * v * v;
        neighbours += v * x[(i + 1) % N];
    }
    const double error = 5.0 / sqrt((double)N);
    cr_expect(lt(dbl, fabs(m1 / N), error));
    cr_expect(lt(dbl, fabs(m2 / N - 1.0), error * sqrt(2.0)));
    cr_expect(lt(dbl, fabs(m3 / N), error * sqrt(15.0)));
    cr_expect(lt(dbl, fabs(m4 / N - 3.0), error * sqrt(96.0)));
    cr_expect(lt(dbl, fabs(neighbours / N), error));
    free(x);
}

Test(random, tails)
{
    float *x = draw(KEY, 4, RMP_PURPOSE_SPREAD);
    for (int t = 1; t <= 4; ++t) {
        const double expected = erfc(t / sqrt(2.0)) * N;
        int beyond = 0;
        for (int i = 0; i < N; ++i)
            beyond += fabsf(x[i]) > (float)t;
        cr_expect(lt(dbl, fabs(beyond - expected), 5.0 * sqrt(expected)), "|x| > %d: %d, expected %g", t, beyond,
                  expected);
    }
    free(x);
}

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov-Smirnov: sqrt(N) D exceeds 1.95 with probability 0.001. */
Test(random, kolmogorov_smirnov)
{
    float *x = draw(KEY, 5, RMP_PURPOSE_INIT);
    qsort(x, N, sizeof *x, ascending);
    double distance = 0.0;
    for (int i = 0; i < N; ++i) {
        const double cdf = 0.5 * erfc(-x[i] / sqrt(2.0));
        distance = fmax(distance, fmax(fabs(cdf - (double)i / N), fabs((double)(i + 1) / N - cdf)));
    }
    cr_assert(lt(dbl, distance * sqrt((double)N), 1.95));
    free(x);
}

Test(random, streams_are_uncorrelated)
{
    const rmp_key other_item = {KEY.seed, KEY.item + 1}, other_seed = {KEY.seed + 1, KEY.item};
    float *x = draw(KEY, 0, RMP_PURPOSE_NOISE);
    float *other[4] = {draw(other_item, 0, RMP_PURPOSE_NOISE), draw(other_seed, 0, RMP_PURPOSE_NOISE),
                       draw(KEY, 1, RMP_PURPOSE_NOISE), draw(KEY, 0, RMP_PURPOSE_INIT)};
    for (int k = 0; k < 4; ++k) {
        double sum = 0.0;
        for (int i = 0; i < N; ++i)
            sum += (double)x[i] * other[k][i];
        cr_expect(lt(dbl, fabs(sum / N), 5.0 / sqrt((double)N)), "stream %d", k);
        free(other[k]);
    }
    free(x);
}

/* Whatever the way and the order in which numbers are asked for. */
Test(random, bulk_equals_single)
{
    enum { COUNT = 1500 };
    float bulk[COUNT], part[COUNT];
    rmp_random_normals(KEY, 9, RMP_PURPOSE_NOISE, COUNT, bulk);
    for (int i = COUNT - 1; i >= 0; --i) {
        const float single = rmp_random_normal(KEY, 9, RMP_PURPOSE_NOISE, (uint64_t)i);
        cr_assert(memcmp(&single, &bulk[i], sizeof single) == 0, "number %d", i);
    }
    for (int first = 0; first < 9; ++first) {
        rmp_random_normals_at(KEY, 9, RMP_PURPOSE_NOISE, (uint64_t)first, COUNT - first, part);
        cr_assert(memcmp(part, bulk + first, (size_t)(COUNT - first) * sizeof *part) == 0, "from %d", first);
    }
}

/* Frozen values: the numbers are part of what makes a job repeatable, on every device and compiler. */
Test(random, frozen_bits)
{
    uint32_t hash = 0;
    float *x = draw((rmp_key){1, 2}, 0, 0);
    for (int i = 0; i < N; ++i) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        hash = hash * 31u + bits;
    }
    cr_assert(eq(u32, hash, 0xdb6e49f3u));
    free(x);
}

Test(random, uniform_is_open)
{
    double sum = 0.0;
    for (uint64_t i = 0; i < 10000; ++i) {
        const double u = rmp_random_uniform(KEY, 0, RMP_PURPOSE_MASK, i);
        cr_assert(u > 0.0 && u < 1.0);
        sum += u;
    }
    cr_assert(lt(dbl, fabs(sum / 10000 - 0.5), 5.0 / sqrt(12.0 * 10000)));
}
