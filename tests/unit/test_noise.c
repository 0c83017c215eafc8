/* Noise: Poisson numbers against their law, measurements with noise, variances as likelihoods use them. */
#include "core/noise.h"
#include "core/poisson.h"
#include "tests/unit/fields.h"

enum { DRAWS = 20000 };

static double *draws_of(double mean, uint64_t item)
{
    double *k = malloc(DRAWS * sizeof *k);
    for (int i = 0; i < DRAWS; ++i)
        k[i] = mean;
    rmp_random_poissons((rmp_key){11, item}, 0, RMP_PURPOSE_NOISE, DRAWS, k);
    return k;
}

/* Mean and variance are `mean`. The variance of the first is mean / n, of the second (mean + 2 mean^2) / n; five
 * standard deviations, with a fixed seed. */
Test(noise, poisson_moments)
{
    const double means[] = {0.01, 0.3, 3.0, 9.99, 10.0, 12.5, 60.0, 1000.0, 1e6, 1e9};
    for (size_t m = 0; m < sizeof means / sizeof *means; ++m) {
        const double mean = means[m];
        double *k = draws_of(mean, m), sum = 0, squares = 0;
        for (int i = 0; i < DRAWS; ++i) {
            cr_assert(k[i] >= 0.0 && k[i] == floor(k[i]));
            sum += k[i] - mean;
            squares += (k[i] - mean) * (k[i] - mean);
        }
        cr_expect(lt(dbl, fabs(sum / DRAWS), 5.0 * sqrt(mean / DRAWS)), "mean %g: off by %g", mean, sum / DRAWS);
        cr_expect(lt(dbl, fabs(squares / DRAWS - mean), 5.0 * sqrt((mean + 2.0 * mean * mean) / DRAWS)),
                  "mean %g: variance %g", mean, squares / DRAWS);
        free(k);
    }
}

/* The whole distribution: chi-square over the counts that are expected at least ten times, its own mean and standard
 * deviation known. 10 and 40 are drawn by rejection. */
Test(noise, poisson_distribution)
{
    const double means[] = {0.5, 4.0, 9.5, 10.0, 40.0};
    for (size_t m = 0; m < sizeof means / sizeof *means; ++m) {
        enum { MOST = 100 };
        double *k = draws_of(means[m], 100 + m), seen[MOST + 1] = {0}, chi = 0, rest = 0, rest_seen = 0;
        int degrees = 0;
        for (int i = 0; i < DRAWS; ++i)
            seen[k[i] < MOST ? (int)k[i] : MOST] += 1;
        for (int c = 0; c <= MOST; ++c) {
            const double expected = DRAWS * exp(c * log(means[m]) - means[m] - lgamma(c + 1.0));
            if (expected >= 10.0) {
                chi += (seen[c] - expected) * (seen[c] - expected) / expected;
                degrees++;
            } else {
                rest += expected;
                rest_seen += seen[c];
            }
        }
        chi += (rest_seen - rest) * (rest_seen - rest) / rest;
        cr_expect(lt(dbl, chi, degrees + 4.0 * sqrt(2.0 * degrees)), "mean %g: chi-square %g of %d", means[m], chi,
                  degrees);
        free(k);
    }
}

/* With many counts the law is the normal one: shares within one and two standard deviations. */
Test(noise, poisson_becomes_normal)
{
    const double mean = 1e6;
    double *k = draws_of(mean, 7), one = 0, two = 0;
    for (int i = 0; i < DRAWS; ++i) {
        const double z = fabs(k[i] - mean) / sqrt(mean);
        one += z < 1.0;
        two += z < 2.0;
    }
    cr_expect(lt(dbl, fabs(one / DRAWS - 0.6827), 5.0 * sqrt(0.6827 * 0.3173 / DRAWS)), "%g", one / DRAWS);
    cr_expect(lt(dbl, fabs(two / DRAWS - 0.9545), 5.0 * sqrt(0.9545 * 0.0455 / DRAWS)), "%g", two / DRAWS);
    free(k);
}

Test(noise, poisson_edges)
{
    double k[] = {0.0, -3.0, (double)NAN, 4.0, 50.0, 4.0}, again[] = {50.0, 4.0, 4.0, 4.0, 50.0, 1.0};
    rmp_random_poissons((rmp_key){1, 2}, 0, RMP_PURPOSE_NOISE, 6, k);
    rmp_random_poissons((rmp_key){1, 2}, 0, RMP_PURPOSE_NOISE, 6, again);
    cr_assert(k[0] == 0.0 && k[1] == 0.0 && isnan(k[2]));
    cr_assert(k[3] == again[3] && k[4] == again[4]); /* whatever is beside them */
}

/* Each measurement has the noise of its key; gain counts at white, none at black or below. */
Test(noise, poisson_measurements)
{
    rmp_device *device = reference_device();
    rmp_space space, one;
    rmp_space_local(&space, device, 2, (rmp_shape){50, 40, 1});
    rmp_space_local(&one, device, 1, (rmp_shape){50, 40, 1});
    rmp_field *y = new_field(&space), *alone = new_field(&one);
    const rmp_noise noise = {.kind = RMP_NOISE_POISSON, .gain = 100.0};
    float *image = malloc(2000 * sizeof *image);
    for (int i = 0; i < 2000; ++i)
        image[i] = i < 1000 ? 1.0f : -1.5f;
    OK(rmp_field_put(y, 0, image));
    OK(rmp_field_put(y, 1, image));
    OK(rmp_field_put(alone, 0, image));
    OK(rmp_noise_add(&noise, keys(5, 3), y));
    OK(rmp_noise_add(&noise, keys(5, 4), alone));
    float *values = values_of(y), *single = values_of(alone);
    cr_assert(eq(int, memcmp(values + 2000, single, 2000 * sizeof *single), 0));
    cr_assert(ne(int, memcmp(values, single, 2000 * sizeof *single), 0));
    double sum = 0, squares = 0;
    for (int i = 0; i < 1000; ++i) {
        const double counts = 50.0 * ((double)values[i] + 1.0);
        cr_assert(fabs(counts - round(counts)) < 1e-4);
        sum += counts - 100.0;
        squares += (counts - 100.0) * (counts - 100.0);
    }
    cr_expect(lt(dbl, fabs(sum / 1000), 5.0 * sqrt(100.0 / 1000)), "%g", sum / 1000);
    cr_expect(lt(dbl, fabs(squares / 1000 - 100.0), 5.0 * sqrt(20100.0 / 1000)), "%g", squares / 1000);
    for (int i = 1000; i < 2000; ++i)
        cr_assert(eq(flt, values[i], -1.0f));
    free(image);
    free(values);
    free(single);
    rmp_field_destroy(&y);
    rmp_field_destroy(&alone);
    rmp_device_destroy(&device);
}

/* The gradient of the log-likelihood in u is (y - u) / variance(u), and the variance that is read off a measurement is
 * that at its own value, but for the 3/8 of a count. */
Test(noise, variance)
{
    rmp_device *device = reference_device();
    rmp_space space;
    rmp_space_local(&space, device, 1, (rmp_shape){1, 4, 1});
    rmp_field *y = new_field(&space), *v = new_field(&space);
    const rmp_noise noise = {.kind = RMP_NOISE_POISSON, .gain = 50.0};
    const float image[4] = {-1.0f, -0.5f, 0.0f, 1.0f};
    OK(rmp_field_put(y, 0, image));
    OK(rmp_noise_variance(&noise, y, false, v));
    float *values = values_of(v);
    for (int i = 0; i < 4; ++i) {
        const double count = 25.0 * ((double)image[i] + 1.0), u = (double)image[i], h = 1e-4;
        cr_expect(lt(dbl, fabs((double)values[i] - 4.0 * (count + 0.375) / 2500.0), 1e-7), "%d", i);
        if (count == 0.0) continue;
        /* log p = k log m - m of k = 25 (y + 1) counts at m = 25 (u + 1), differenced at a y beside u */
        const double k = count + 3.0, up = 25.0 * (u + h + 1.0), down = 25.0 * (u - h + 1.0);
        const double slope = (k * log(up) - up - k * log(down) + down) / (2.0 * h);
        const double exact = (k / 25.0 - 1.0 - u) / (4.0 * count / 2500.0);
        cr_expect(lt(dbl, fabs(slope - exact), 1e-5 * fabs(exact)), "%g, %g", slope, exact);
    }
    free(values);
    OK(rmp_noise_variance(&noise, y, true, v));
    values = values_of(v);
    cr_expect(lt(dbl, fabs((double)values[3] * 4.0 * 50.375 / 2500.0 - 1.0), 1e-6));
    free(values);
    cr_expect(lt(dbl, fabs(rmp_noise_sigma(&noise) - 0.2), 1e-12)); /* of mid-gray: 25 counts, 2 sqrt(25) / 50 */
    cr_expect(eq(int, rmp_noise_is_uniform(&noise), false));
    FAILS(rmp_noise_check(&(rmp_noise){.kind = RMP_NOISE_POISSON}), RMP_ERR_CONFIG);
    FAILS(rmp_noise_check(&(rmp_noise){.kind = RMP_NOISE_GAUSSIAN, .sigma = -1.0}), RMP_ERR_CONFIG);
    FAILS(rmp_noise_check(&(rmp_noise){.kind = (rmp_noise_kind)9}), RMP_ERR_CONFIG);
    rmp_field_destroy(&y);
    rmp_field_destroy(&v);
    rmp_device_destroy(&device);
}
