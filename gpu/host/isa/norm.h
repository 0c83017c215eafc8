/* Normalisation passes of one instruction set (gpu/host/kernels.h). Only for gpu/host/isa/kernels.c. */
#pragma once

#include "gpu/host/isa/vector.h"

/* Loops over channels outside and pixels of a row inside would stride; a row of pixels and vectors of channels inside
 * does not. Sums of a row are kept in the caller's piece buffer. */
/* Rows of a piece's sums: origin, sum, second sum, pixels. */
static inline void put_sums(float *to, int64_t total, vf origin, vf first, vf second, int64_t pixels, int64_t n)
{
    store_n(to, origin, n);
    store_n(to + total, first, n);
    store_n(to + 2 * total, second, n);
    store_n(to + 3 * total, splat((float)pixels), n);
}

static void norm_sums(const rmp_norm_pass *pass, int64_t image, int64_t first, int64_t last, float *sums)
{
    int64_t total = pass->x.channels, base = 0;
    memset(sums, 0, (size_t)(RMP_SUM_ROWS * total) * sizeof *sums);
    if (first >= last) return;
    for (int p = 0; p < pass->x.count; p++) {
        int64_t c = pass->x.part[p].c;
        const float *x = pass->x.part[p].data + (image * pass->h + first) * pass->w * c;
        int64_t pixels = (last - first) * pass->w;
        for (int64_t k = 0; k < c; k += W) {
            int64_t n = min64(W, c - k);
            vf origin = load_n(x + k, n), s = {0}, q = {0};
            for (int64_t i = 0; i < pixels; i++) {
                vf v = load_n(x + i * c + k, n) - origin;
                s += v;
                q += v * v;
            }
            put_sums(sums + base + k, total, origin, s, q, pixels, n);
        }
        base += c;
    }
}

/* bf16: round to nearest even; NaN stays NaN. */
static inline uint16_t bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if ((u & 0x7fffffffU) > 0x7f800000U) return (uint16_t)((u >> 16) | 0x40U);
    return (uint16_t)((u + 0x7fffU + ((u >> 16) & 1U)) >> 16);
}

static void to_bf16(int64_t n, const float *x, uint16_t *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = bf16(x[i]);
}

static inline vf activate(const rmp_norm_pass *pass, int64_t coefficient, const float *x, int64_t n)
{
    vf z = load_n(pass->a + coefficient, n) * load_n(x, n) + load_n(pass->b + coefficient, n);
    return pass->silu ? silu(z) : z;
}

static inline void put(const rmp_norm_pass *pass, int64_t at, vf v, int64_t n)
{
    if (pass->out) store_n(pass->out + at, v, n);
    if (pass->out_bf16) {
        float t[W];
        store(t, v);
        for (int64_t i = 0; i < n; i++)
            pass->out_bf16[at + i] = bf16(t[i]);
    }
}

/* Rows [first, last) of x (of the result for DOWN2). */
static void norm_apply(const rmp_norm_pass *pass, int64_t image, int64_t first, int64_t last)
{
    int64_t total = pass->x.channels, base = 0;
    bool up = pass->resize == RMP_RESIZE_UP2, down = pass->resize == RMP_RESIZE_DOWN2;
    int64_t w = down ? pass->w / 2 : pass->w, ow = up ? 2 * pass->w : w,
            oh = up ? 2 * pass->h : (down ? pass->h / 2 : pass->h);
    for (int p = 0; p < pass->x.count; p++) {
        int64_t c = pass->x.part[p].c;
        const float *x = pass->x.part[p].data + image * pass->h * pass->w * c;
        for (int64_t y = first; y < last; y++) {
            for (int64_t i = 0; i < w; i++) {
                for (int64_t k = 0; k < c; k += W) {
                    int64_t n = min64(W, c - k), at = image * total + base + k;
                    if (down) {
                        const float *corner = x + (2 * y * pass->w + 2 * i) * c + k;
                        vf v = activate(pass, at, corner, n) + activate(pass, at, corner + c, n) +
                               activate(pass, at, corner + pass->w * c, n) +
                               activate(pass, at, corner + (pass->w + 1) * c, n);
                        put(pass, ((image * oh + y) * ow + i) * total + base + k, v * splat(0.25F), n);
                        continue;
                    }
                    vf v = activate(pass, at, x + (y * pass->w + i) * c + k, n);
                    if (up) {
                        int64_t to = ((image * oh + 2 * y) * ow + 2 * i) * total + base + k;
                        put(pass, to, v, n);
                        put(pass, to + total, v, n);
                        put(pass, to + ow * total, v, n);
                        put(pass, to + (ow + 1) * total, v, n);
                    } else {
                        put(pass, ((image * oh + y) * ow + i) * total + base + k, v, n);
                    }
                }
            }
        }
        base += c;
    }
}

/* d = g act'(a x + b), g brought back to the size of x; sums of d and d x about an origin of x. */
static void norm_backward1(const rmp_norm_pass *pass, int64_t image, int64_t first, int64_t last, float *sums)
{
    int64_t total = pass->x.channels, base = 0;
    bool up = pass->resize == RMP_RESIZE_UP2, down = pass->resize == RMP_RESIZE_DOWN2;
    int64_t gw = up ? 2 * pass->w : (down ? pass->w / 2 : pass->w),
            gh = up ? 2 * pass->h : (down ? pass->h / 2 : pass->h);
    memset(sums, 0, (size_t)(RMP_SUM_ROWS * total) * sizeof *sums);
    if (first >= last) return;
    for (int p = 0; p < pass->x.count; p++) {
        int64_t c = pass->x.part[p].c;
        const float *x = pass->x.part[p].data + image * pass->h * pass->w * c;
        for (int64_t k = 0; k < c; k += W) {
            int64_t n = min64(W, c - k), at = base + k;
            vf a = load_n(pass->a + image * total + at, n), b = load_n(pass->b + image * total + at, n);
            vf origin = load_n(x + first * pass->w * c + k, n), s = {0}, q = {0};
            for (int64_t y = first; y < last; y++) {
                for (int64_t i = 0; i < pass->w; i++) {
                    vf xv = load_n(x + (y * pass->w + i) * c + k, n), g;
                    if (up) {
                        const float *corner = pass->g + ((image * gh + 2 * y) * gw + 2 * i) * total + at;
                        g = load_n(corner, n) + load_n(corner + total, n) + load_n(corner + gw * total, n) +
                            load_n(corner + (gw + 1) * total, n);
                    } else if (down) {
                        g = splat(0.25F) * load_n(pass->g + ((image * gh + y / 2) * gw + i / 2) * total + at, n);
                    } else {
                        g = load_n(pass->g + ((image * gh + y) * gw + i) * total + at, n);
                    }
                    if (pass->silu) g *= silu_slope(a * xv + b);
                    s += g;
                    q += g * (xv - origin);
                    store_n(pass->d + ((image * pass->h + y) * pass->w + i) * total + at, g, n);
                }
            }
            put_sums(sums + at, total, origin, s, q, (last - first) * pass->w, n);
        }
        base += c;
    }
}

/* dx = p d + q + r x (+ addend). */
static void norm_backward2(const rmp_norm_pass *pass, int64_t image, int64_t first, int64_t last)
{
    int64_t total = pass->x.channels, base = 0;
    for (int p = 0; p < pass->x.count; p++) {
        int64_t c = pass->x.part[p].c;
        int64_t start = (image * pass->h + first) * pass->w, end = (image * pass->h + last) * pass->w;
        for (int64_t pixel = start; pixel < end; pixel++) {
            for (int64_t k = 0; k < c; k += W) {
                int64_t n = min64(W, c - k), at = image * total + base + k;
                vf v = load_n(pass->a + at, n) * load_n(pass->d + pixel * total + base + k, n) +
                       load_n(pass->b + at, n) +
                       load_n(pass->r + at, n) * load_n(pass->x.part[p].data + pixel * c + k, n);
                if (pass->addend[p]) v += load_n(pass->addend[p] + pixel * c + k, n);
                store_n(pass->dx[p] + pixel * c + k, v, n);
            }
        }
        base += c;
    }
}
