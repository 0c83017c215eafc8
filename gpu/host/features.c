/* What networks of features for metrics need besides: maximum pooling, channels at unit length. Channels lie side by
 * side, so that the loops over them are the inner ones. */
#include "gpu/host/host.h"

#include <math.h>
#include <string.h>

enum { CHANNELS = 64 }; /* of a pixel at a time */

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* The pixels of a window that there are. */
typedef struct window {
    int64_t top, bottom, left, right;
} window;

static window window_of(const rmp_max_pool *pool, rmp_shape in, int64_t oy, int64_t ox)
{
    const int64_t y = oy * pool->stride - pool->pad, x = ox * pool->stride - pool->pad;
    return (window){max64(y, 0), min64(y + pool->kernel, in.h), max64(x, 0), min64(x + pool->kernel, in.w)};
}

static bool is_larger(float candidate, float best) { return candidate > best || isnan(candidate); }

void rmp_host_max_pool(const rmp_max_pool *pool, int64_t n, rmp_shape in, rmp_shape out, const float *x, float *y)
{
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < n * out.h; row++) {
        const float *image = x + row / out.h * rmp_shape_count(in);
        for (int64_t ox = 0; ox < out.w; ox++) {
            const window w = window_of(pool, in, row % out.h, ox);
            float *to = y + (row * out.w + ox) * out.c;
            memcpy(to, image + (w.top * in.w + w.left) * in.c, (size_t)in.c * sizeof *to);
            for (int64_t iy = w.top; iy < w.bottom; iy++)
                for (int64_t ix = w.left; ix < w.right; ix++) {
                    const float *from = image + (iy * in.w + ix) * in.c;
                    for (int64_t c = 0; c < in.c; c++)
                        to[c] = is_larger(from[c], to[c]) ? from[c] : to[c];
                }
        }
    }
}

/* Adds `count` channels of one window's gradient where the largest numbers are. */
static void spread_window(window w, rmp_shape in, int64_t count, const float *x, const float *g, float *gx)
{
    int64_t best[CHANNELS];
    for (int64_t c = 0; c < count; c++)
        best[c] = (w.top * in.w + w.left) * in.c + c;
    for (int64_t iy = w.top; iy < w.bottom; iy++)
        for (int64_t ix = w.left; ix < w.right; ix++)
            for (int64_t c = 0; c < count; c++) {
                const int64_t here = (iy * in.w + ix) * in.c + c;
                if (is_larger(x[here], x[best[c]])) best[c] = here;
            }
    for (int64_t c = 0; c < count; c++)
        gx[best[c]] += g[c];
}

/* Windows overlap: a thread takes some channels of a whole image. */
void rmp_host_max_pool_backward(const rmp_max_pool *pool, int64_t n, rmp_shape in, rmp_shape out, const float *x,
                                const float *g, float *gx)
{
    const int64_t pieces = (in.c + CHANNELS - 1) / CHANNELS;
    memset(gx, 0, (size_t)(n * rmp_shape_count(in)) * sizeof *gx);
#pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < n * pieces; task++) {
        const int64_t image = task / pieces, first = task % pieces * CHANNELS, count = min64(CHANNELS, in.c - first);
        const int64_t at = image * rmp_shape_count(in) + first;
        for (int64_t oy = 0; oy < out.h; oy++)
            for (int64_t ox = 0; ox < out.w; ox++)
                spread_window(window_of(pool, in, oy, ox), in, count, x + at,
                              g + ((image * out.h + oy) * out.w + ox) * out.c + first, gx + at);
    }
}

static double dot(int64_t n, const float *a, const float *b)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

void rmp_host_unit_channels(int64_t pixels, int64_t c, double eps, const float *x, float *y)
{
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < pixels; p++) {
        const float *from = x + p * c;
        const double length = sqrt(dot(c, from, from)) + eps;
        for (int64_t k = 0; k < c; k++)
            y[p * c + k] = (float)((double)from[k] / length);
    }
}

void rmp_host_unit_channels_backward(int64_t pixels, int64_t c, double eps, const float *x, const float *g, float *gx)
{
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < pixels; p++) {
        const float *from = x + p * c, *gradient = g + p * c;
        const double norm = sqrt(dot(c, from, from)), length = norm + eps;
        const double along = norm > 0 ? dot(c, from, gradient) / (norm * length * length) : 0;
        for (int64_t k = 0; k < c; k++)
            gx[p * c + k] = (float)((double)gradient[k] / length - along * (double)from[k]);
    }
}
