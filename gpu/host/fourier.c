/* Magnitudes of Fourier transforms as products of matrices: with the cosines and sines of the rows stacked in R and
 * those of the columns in C and S,
 *
 *     T = R X,  P = T C^T,  Q = T S^T,  Re = P_upper - Q_lower,  Im = P_lower + Q_upper
 *
 * (the conjugate of the transform, which has its magnitude). Any size, zeros of the padding are never touched, and each
 * channel is one thread's work, so that threads change no byte. For images of hundreds of pixels that costs a hundredth
 * of a network's evaluation, which fast transforms would not make less of; FFTW's licence is not this program's. */
#include "gpu/host/host.h"

#include <cblas.h>
#include <math.h>

static void product(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const float *a, const float *b,
                    float beta, float *c)
{
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
                (blasint)m, (blasint)n, (blasint)k, 1.0F, a, (blasint)(transpose_a ? m : k), b,
                (blasint)(transpose_b ? k : n), beta, c, (blasint)n);
}

/* What all channels share, then what each thread has for itself. */
typedef struct layout {
    int64_t rows, columns, circle; /* (2, H, h), (2, W, w), the longer side's (2, length) */
    int64_t picture, t, p, q;      /* (h, w), (2, H, w), (2, H, W) twice */
} layout;

static layout layout_of(rmp_shape in, rmp_shape out)
{
    return (layout){.rows = 2 * out.h * in.h,
                    .columns = 2 * out.w * in.w,
                    .circle = 2 * (out.h > out.w ? out.h : out.w),
                    .picture = in.h * in.w,
                    .t = 2 * out.h * in.w,
                    .p = 2 * out.h * out.w,
                    .q = 2 * out.h * out.w};
}

static int64_t shared(const layout *l) { return l->rows + l->columns + l->circle; }
static int64_t each(const layout *l) { return l->picture + l->t + l->p + l->q; }

int64_t rmp_host_fft_scratch(rmp_shape in, rmp_shape out, int threads)
{
    const layout l = layout_of(in, out);
    return shared(&l) + threads * each(&l);
}

/* table (2, length, positions): cosines, then sines, of 2 pi k n / length over its root; row i is the frequency
 * k = i - floor(length / 2). */
static void fill_table(int64_t length, int64_t positions, float *circle, float *table)
{
    const double turn = 2.0 * acos(-1.0) / (double)length, scale = 1.0 / sqrt((double)length);
    for (int64_t i = 0; i < length; i++) {
        circle[i] = (float)(scale * cos(turn * (double)i));
        circle[length + i] = (float)(scale * sin(turn * (double)i));
    }
    for (int64_t i = 0; i < length; i++) {
        const int64_t step = (i - length / 2 + length) % length;
        for (int64_t n = 0, place = 0; n < positions; n++) {
            table[i * positions + n] = circle[place];
            table[(length + i) * positions + n] = circle[length + place];
            place += step;
            if (place >= length) place -= length;
        }
    }
}

typedef struct work {
    rmp_shape in, out;
    layout l;
    const float *rows, *columns;
    float *picture, *t, *p, *q;
} work;

static work begin(rmp_shape in, rmp_shape out, float *scratch)
{
    work w = {.in = in, .out = out, .l = layout_of(in, out), .rows = scratch};
    float *circle = scratch + w.l.rows + w.l.columns;
    w.columns = scratch + w.l.rows;
    fill_table(out.h, in.h, circle, scratch);
    fill_table(out.w, in.w, circle, scratch + w.l.rows);
    return w;
}

/* The calling thread's part of the scratch. */
static work of_thread(work w, float *scratch)
{
    w.picture = scratch + shared(&w.l) + rmp_host_thread() * each(&w.l);
    w.t = w.picture + w.l.picture;
    w.p = w.t + w.l.t;
    w.q = w.p + w.l.p;
    return w;
}

/* p becomes the real part, then the imaginary one. x: one channel, `in.c` numbers apart. */
static void transform(const work *w, const float *x)
{
    const int64_t h = w->in.h, v = w->in.w, tall = w->out.h, wide = w->out.w, half = tall * wide;
    for (int64_t i = 0; i < h * v; i++)
        w->picture[i] = x[i * w->in.c];
    product(false, false, 2 * tall, v, h, w->rows, w->picture, 0.0F, w->t);
    product(false, true, 2 * tall, wide, v, w->t, w->columns, 0.0F, w->p);
    product(false, true, 2 * tall, wide, v, w->t, w->columns + wide * v, 0.0F, w->q);
    for (int64_t i = 0; i < half; i++) {
        w->p[i] -= w->q[half + i];
        w->p[half + i] += w->q[i];
    }
}

void rmp_host_fft_magnitude(int threads, int64_t n, rmp_shape in, rmp_shape out, const float *x, float *y,
                            float *scratch)
{
    const work all = begin(in, out, scratch);
    const int64_t half = out.h * out.w;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t task = 0; task < n * in.c; task++) {
        const work w = of_thread(all, scratch);
        const int64_t image = task / in.c, c = task % in.c;
        float *to = y + image * rmp_shape_count(out) + c;
        transform(&w, x + image * rmp_shape_count(in) + c);
        for (int64_t i = 0; i < half; i++)
            to[i * out.c] = hypotf(w.p[i], w.p[half + i]);
    }
}

void rmp_host_fft_magnitude_backward(int threads, int64_t n, rmp_shape in, rmp_shape out, const float *x,
                                     const float *g, float *gx, float *scratch)
{
    const work all = begin(in, out, scratch);
    const int64_t half = out.h * out.w, v = in.w;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t task = 0; task < n * in.c; task++) {
        const work w = of_thread(all, scratch);
        const int64_t image = task / in.c, c = task % in.c;
        const float *from = g + image * rmp_shape_count(out) + c;
        float *to = gx + image * rmp_shape_count(in) + c;
        transform(&w, x + image * rmp_shape_count(in) + c);
        for (int64_t i = 0; i < half; i++) {
            const float size = hypotf(w.p[i], w.p[half + i]);
            const float factor = size > 0.0F ? from[i * out.c] / size : 0.0F;
            w.p[i] *= factor;
            w.p[half + i] *= factor;
            w.q[i] = w.p[half + i];
            w.q[half + i] = -w.p[i];
        }
        product(false, false, 2 * out.h, v, out.w, w.p, w.columns, 0.0F, w.t);
        product(false, false, 2 * out.h, v, out.w, w.q, w.columns + out.w * v, 1.0F, w.t);
        product(true, false, in.h, v, 2 * out.h, w.rows, w.t, 0.0F, w.picture);
        for (int64_t i = 0; i < in.h * v; i++)
            to[i * in.c] = w.picture[i];
    }
}
