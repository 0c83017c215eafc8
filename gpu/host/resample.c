/* Sparse maps of images: one direction of a separable map, and depthwise convolutions whose kernels are mostly zero.
 * Long rows of pixels times channels are added, which compilers vectorise. */
#include "gpu/host/host.h"

#include <string.h>

static void add_row(int64_t n, float a, const float *restrict x, float *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

void rmp_host_taps_h(const rmp_taps *taps, int64_t n, int64_t w, int64_t c, const float *x, float *out)
{
    int64_t row = w * c;
#pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < n * taps->out; task++) {
        int64_t image = task / taps->out, i = task % taps->out;
        float *to = out + task * row;
        memset(to, 0, (size_t)row * sizeof *to);
        for (int64_t e = taps->start[i]; e < taps->start[i + 1]; e++) {
            add_row(row, taps->weight[e], x + (image * taps->in + taps->index[e]) * row, to);
        }
    }
}

void rmp_host_taps_w(const rmp_taps *taps, int64_t n, int64_t h, int64_t c, const float *x, float *out)
{
#pragma omp parallel for schedule(static)
    for (int64_t line = 0; line < n * h; line++) {
        const float *from = x + line * taps->in * c;
        float *to = out + line * taps->out * c;
        for (int64_t i = 0; i < taps->out; i++, to += c) {
            int64_t begin = taps->start[i], end = taps->start[i + 1];
            if (c == 3) { /* the case that matters, kept in registers */
                float s0 = 0, s1 = 0, s2 = 0;
                for (int64_t e = begin; e < end; e++) {
                    const float *p = from + 3 * (int64_t)taps->index[e];
                    s0 += taps->weight[e] * p[0];
                    s1 += taps->weight[e] * p[1];
                    s2 += taps->weight[e] * p[2];
                }
                to[0] = s0, to[1] = s1, to[2] = s2;
                continue;
            }
            memset(to, 0, (size_t)c * sizeof *to);
            for (int64_t e = begin; e < end; e++)
                add_row(c, taps->weight[e], from + taps->index[e] * c, to);
        }
    }
}

/* out[i] += w[.] x[i] over pixels of c channels, w one weight a channel. */
static void add_pixels(int64_t pixels, int64_t c, int64_t x_step, int64_t out_step, const float *w, int64_t w_step,
                       const float *x, float *out)
{
    bool same = true;
    for (int64_t k = 1; k < c; k++)
        same = same && w[k * w_step] == w[0];
    if (same && x_step == c && out_step == c) {
        add_row(pixels * c, w[0], x, out);
        return;
    }
    for (int64_t i = 0; i < pixels; i++) {
        for (int64_t k = 0; k < c; k++)
            out[i * out_step + k] += w[k * w_step] * x[i * x_step + k];
    }
}

static bool all_zero(const float *w, int64_t c, int64_t step)
{
    for (int64_t k = 0; k < c; k++) {
        if (w[k * step] != 0.0F) return false;
    }
    return true;
}

/* Columns [*begin, *end) of the result for which column * stride + shift lies in [0, width). */
static void valid_columns(int64_t out_w, int64_t in_w, int64_t stride, int64_t shift, int64_t *begin, int64_t *end)
{
    *begin = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    *end = in_w - shift <= 0 ? 0 : (in_w - shift + stride - 1) / stride;
    if (*end > out_w) *end = out_w;
}

/* Adds what row `from` gives to row `to` through row ky of the kernel. */
static void depthwise_row(const rmp_depthwise *d, const float *weight, bool transposed, int64_t ky, const float *from,
                          float *to)
{
    int64_t area = d->kh * d->kw;
    for (int64_t kx = 0; kx < d->kw; kx++) {
        const float *w = weight + ky * d->kw + kx;
        if (all_zero(w, d->c, area)) continue;
        int64_t shift = kx - d->pad_left, begin, end;
        valid_columns(d->out.w, d->in.w, d->stride, shift, &begin, &end);
        if (begin >= end) continue;
        int64_t in_at = (begin * d->stride + shift) * d->c, out_at = begin * d->c;
        if (transposed) {
            add_pixels(end - begin, d->c, d->c, d->stride * d->c, w, area, from + out_at, to + in_at);
        } else {
            add_pixels(end - begin, d->c, d->stride * d->c, d->c, w, area, from + in_at, to + out_at);
        }
    }
}

void rmp_host_depthwise(const rmp_depthwise *d, const float *weight, const float *bias, bool transposed, const float *x,
                        float *out)
{
    int64_t to_h = transposed ? d->in.h : d->out.h, to_w = transposed ? d->in.w : d->out.w, row = to_w * d->c;
    int64_t from_h = transposed ? d->out.h : d->in.h, from_row = (transposed ? d->out.w : d->in.w) * d->c;
#pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < d->n * to_h; task++) {
        int64_t image = task / to_h, y = task % to_h;
        float *to = out + task * row;
        for (int64_t i = 0; i < row; i++)
            to[i] = bias && !transposed ? bias[i % d->c] : 0.0F;
        for (int64_t ky = 0; ky < d->kh; ky++) {
            int64_t from;
            if (transposed) { /* the rows of the result whose window holds row y at ky */
                int64_t top = y + d->pad_top - ky;
                if (top < 0 || top % d->stride) continue;
                from = top / d->stride;
            } else {
                from = y * d->stride + ky - d->pad_top;
            }
            if (from < 0 || from >= from_h) continue;
            depthwise_row(d, weight, transposed, ky, x + (image * from_h + from) * from_row, to);
        }
    }
}
