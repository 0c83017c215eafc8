/* Constants: tests/fixtures/metrics.py. */
#include "core/metrics.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

enum { MOST = 17 * 14 * 3 };

/* The script's images: multiples of 1 / 128 from a linear congruential generator. */
static void image(int64_t count, uint32_t seed, float *out)
{
    uint64_t s = seed;
    for (int64_t i = 0; i < count; ++i) {
        s = (s * 1103515245u + 12345u) % 2147483648u;
        out[i] = (float)((int64_t)((s >> 16) % 257) - 128) / 128.0f;
    }
}

static void pair(rmp_shape shape, float *a, float *b)
{
    float noise[MOST];
    image(rmp_shape_count(shape), 1, a);
    image(rmp_shape_count(shape), 2, noise);
    for (int64_t i = 0; i < rmp_shape_count(shape); ++i)
        b[i] = 0.75f * a[i] + 0.25f * noise[i];
}

Test(metrics, known_values)
{
    const rmp_shape shape[3] = {{17, 14, 3}, {7, 20, 1}, {6, 4, 1}}; /* the last two are smaller than the window */
    const double psnr[3] = {19.693127844601715, 19.952551271402623, 20.585444533763777};
    const double ssim[3] = {0.9199013194468068, 0.921026337852445, 0.9169890191286065};
    for (int i = 0; i < 3; ++i) {
        float a[MOST], b[MOST];
        pair(shape[i], a, b);
        cr_expect(lt(dbl, fabs(rmp_psnr(a, b, shape[i]) - psnr[i]), 1e-9));
        cr_expect(lt(dbl, fabs(rmp_ssim(a, b, shape[i]) - ssim[i]), 1e-9));
        cr_expect(lt(dbl, fabs(rmp_ssim(b, a, shape[i]) - ssim[i]), 1e-9));
    }
}

Test(metrics, equal_images)
{
    const rmp_shape shape = {17, 14, 3};
    float a[MOST];
    image(MOST, 5, a);
    cr_assert(eq(dbl, rmp_psnr(a, a, shape), INFINITY));
    cr_assert(lt(dbl, fabs(rmp_ssim(a, a, shape) - 1.0), 1e-12));
}

Test(metrics, eight_bits)
{
    const float in[8] = {-1.0f, 1.0f, -7.0f, 3.0f, 0.0f, 0.5f / 127.5f, 100.4f / 127.5f - 1.0f, 100.6f / 127.5f - 1.0f};
    const float level[8] = {0.0f, 255.0f, 0.0f, 255.0f, 128.0f, 128.0f, 100.0f, 101.0f};
    float out[8];
    rmp_round_8bit(in, 8, out);
    for (int i = 0; i < 8; ++i)
        cr_expect(lt(flt, fabsf((out[i] + 1.0f) * 127.5f - level[i]), 1e-4f), "%g", (double)out[i]);
}
