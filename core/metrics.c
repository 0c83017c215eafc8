#include "core/metrics.h"

#include <math.h>
#include <stdlib.h>

enum { WINDOW = 11 };

static const double WINDOW_SIGMA = 1.5;
static const double C1 = 0.01 * 0.01, C2 = 0.03 * 0.03; /* (K L)^2 with L = 1 */

double rmp_psnr(const float *a, const float *b, rmp_shape shape)
{
    const int64_t count = rmp_shape_count(shape);
    double sum = 0.0;
    for (int64_t i = 0; i < count; ++i) {
        const double d = 0.5 * ((double)a[i] - (double)b[i]);
        sum += d * d;
    }
    return sum > 0.0 ? 10.0 * log10((double)count / sum) : INFINITY;
}

/* The five moments of a window that SSIM is made of. */
typedef struct moments {
    double a, b, aa, bb, ab;
} moments;

static void moments_add(moments *m, double weight, const moments *x)
{
    m->a += weight * x->a;
    m->b += weight * x->b;
    m->aa += weight * x->aa;
    m->bb += weight * x->bb;
    m->ab += weight * x->ab;
}

static int64_t window_for(int64_t length)
{
    if (length >= WINDOW) return WINDOW;
    return length % 2 == 1 ? length : length - 1;
}

static void window_weights(int64_t size, double weight[WINDOW])
{
    double sum = 0.0;
    for (int64_t i = 0; i < size; ++i) {
        const double d = (double)(i - size / 2) / WINDOW_SIGMA;
        weight[i] = exp(-0.5 * d * d);
        sum += weight[i];
    }
    for (int64_t i = 0; i < size; ++i)
        weight[i] /= sum;
}

static double similarity(const moments *m)
{
    const double va = m->aa - m->a * m->a, vb = m->bb - m->b * m->b, cov = m->ab - m->a * m->b;
    return (2.0 * m->a * m->b + C1) * (2.0 * cov + C2) / ((m->a * m->a + m->b * m->b + C1) * (va + vb + C2));
}

double rmp_ssim(const float *a, const float *b, rmp_shape shape)
{
    const int64_t kh = window_for(shape.h), kw = window_for(shape.w);
    const int64_t rows = shape.h - kh + 1, columns = shape.w - kw + 1;
    double wh[WINDOW], ww[WINDOW], sum = 0.0;
    window_weights(kh, wh);
    window_weights(kw, ww);
    moments *line = malloc((size_t)shape.w * sizeof *line); /* one row of windows, summed vertically */
    if (line == NULL) return NAN;
    for (int64_t k = 0; k < shape.c; ++k)
        for (int64_t i = 0; i < rows; ++i) {
            for (int64_t j = 0; j < shape.w; ++j) {
                line[j] = (moments){0};
                for (int64_t r = 0; r < kh; ++r) {
                    const int64_t at = ((i + r) * shape.w + j) * shape.c + k;
                    const double x = 0.5 * ((double)a[at] + 1.0), y = 0.5 * ((double)b[at] + 1.0);
                    moments_add(&line[j], wh[r], &(moments){x, y, x * x, y * y, x * y});
                }
            }
            for (int64_t j = 0; j < columns; ++j) {
                moments m = {0};
                for (int64_t r = 0; r < kw; ++r)
                    moments_add(&m, ww[r], &line[j + r]);
                sum += similarity(&m);
            }
        }
    free(line);
    return sum / (double)(rows * columns * shape.c);
}

void rmp_round_8bit(const float *in, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; ++i) {
        const double level = ((double)in[i] + 1) * 0.5 * 255;
        const double clamped = level > 255 ? 255 : level > 0 ? level : 0;
        out[i] = (float)((2 * floor(clamped + 0.5) - 255) / 255);
    }
}
