/* Magnitudes of Fourier transforms: one dimension after the other, in double. */
#include "gpu/reference/reference.h"

#include <math.h>

typedef struct number {
    double re, im;
} number;

/* Frequencies k of `out` from positions n of `in` (numbers `stride_in` and `stride_out` apart), centred: transform is
 * y[k] = sum_n x[n] exp(-2 pi i k n / out) / sqrt(out), its adjoint the other way with the conjugate. */
static void line(int64_t from, int64_t to, int64_t length, bool adjoint, const number *x, int64_t stride_in, number *y,
                 int64_t stride_out)
{
    const double turn = 2 * acos(-1.0) / (double)length, scale = 1 / sqrt((double)length);
    for (int64_t i = 0; i < to; i++) {
        number sum = {0, 0};
        for (int64_t j = 0; j < from; j++) {
            const int64_t k = (adjoint ? j : i) - length / 2, n = adjoint ? i : j;
            const double angle = turn * (double)(k * n % length);
            const double c = cos(angle), s = adjoint ? sin(angle) : -sin(angle);
            const number v = x[j * stride_in];
            sum.re += v.re * c - v.im * s;
            sum.im += v.im * c + v.re * s;
        }
        y[i * stride_out] = (number){scale * sum.re, scale * sum.im};
    }
}

static number *numbers(const ref_plan *plan, int64_t offset) { return (number *)(void *)plan->scratch + offset; }

/* Scratch: (h, w) of the image, (H, w) between, (H, W) of the transform. */
int64_t ref_fft_doubles(rmp_shape in, rmp_shape out) { return 2 * (in.h * in.w + out.h * in.w + out.h * out.w); }

static number *transform(const ref_plan *plan, rmp_shape in, rmp_shape out, const float *x)
{
    number *image = numbers(plan, 0), *middle = image + in.h * in.w, *spectrum = middle + out.h * in.w;
    for (int64_t i = 0; i < in.h * in.w; i++)
        image[i] = (number){(double)x[i * in.c], 0};
    for (int64_t j = 0; j < in.w; j++)
        line(in.h, out.h, out.h, false, image + j, in.w, middle + j, in.w);
    for (int64_t i = 0; i < out.h; i++)
        line(in.w, out.w, out.w, false, middle + i * in.w, 1, spectrum + i * out.w, 1);
    return spectrum;
}

void ref_fft_magnitude_forward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    const rmp_shape in = rmp_graph_shape(plan->base.graph, node->operand[0]), out = node->shape;
    for (int64_t c = 0; c < in.c; c++) {
        const number *spectrum = transform(plan, in, out, ref_value(plan, node->operand[0], image) + c);
        for (int64_t i = 0; i < out.h * out.w; i++)
            ref_value(plan, v, image)[i * out.c + c] = (float)hypot(spectrum[i].re, spectrum[i].im);
    }
}

void ref_fft_magnitude_backward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    const rmp_shape in = rmp_graph_shape(plan->base.graph, node->operand[0]), out = node->shape;
    for (int64_t c = 0; c < in.c; c++) {
        number *spectrum = transform(plan, in, out, ref_value(plan, node->operand[0], image) + c);
        number *picture = numbers(plan, 0), *middle = picture + in.h * in.w;
        const float *g = ref_grad(plan, v, image) + c;
        for (int64_t i = 0; i < out.h * out.w; i++) {
            const double size = hypot(spectrum[i].re, spectrum[i].im);
            const double factor = size > 0 ? (double)g[i * out.c] / size : 0;
            spectrum[i] = (number){factor * spectrum[i].re, factor * spectrum[i].im};
        }
        for (int64_t i = 0; i < out.h; i++)
            line(out.w, in.w, out.w, true, spectrum + i * out.w, 1, middle + i * in.w, 1);
        for (int64_t j = 0; j < in.w; j++)
            line(out.h, in.h, out.h, true, middle + j, in.w, picture + j, in.w);
        for (int64_t i = 0; i < in.h * in.w; i++)
            ref_grad(plan, node->operand[0], image)[i * in.c + c] += (float)picture[i].re;
    }
}
