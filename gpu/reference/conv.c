#include "gpu/reference/reference.h"

/* Input coordinate of output pixel o under kernel position k, or -1 outside. */
static int64_t source_of(int64_t o, int64_t k, int64_t stride, int64_t pad, int64_t length)
{
    int64_t i = o * stride + k - pad;
    return i >= 0 && i < length ? i : -1;
}

/* Output coordinate whose kernel position k reads input pixel i, or -1 if there is none. */
static int64_t target_of(int64_t i, int64_t k, int64_t stride, int64_t pad, int64_t length)
{
    int64_t o = i + pad - k;
    return o >= 0 && o % stride == 0 && o / stride < length ? o / stride : -1;
}

static void kernel_size(const rmp_tensor *weight, int64_t *kh, int64_t *kw)
{
    *kh = weight->rank == 4 ? weight->dims[2] : 1;
    *kw = weight->rank == 4 ? weight->dims[3] : 1;
}

/* sum[g, b] += from[g, a] w[g, a, b] for all groups. */
static void accumulate(int64_t groups, int64_t from_count, int64_t to_count, const float *from, const double *w,
                       double *sum)
{
    for (int64_t g = 0; g < groups; g++)
        for (int64_t a = 0; a < from_count; a++) {
            double x = (double)from[g * from_count + a];
            const double *row = w + (g * from_count + a) * to_count;
            for (int64_t b = 0; b < to_count; b++)
                sum[g * to_count + b] += x * row[b];
        }
}

void ref_conv_forward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    const rmp_conv2d *conv = &node->as.conv;
    const ref_weights *weights = &plan->weights[v];
    const float *x = ref_value(plan, node->operand[0], image);
    float *y = ref_value(plan, v, image);
    rmp_shape in = rmp_graph_shape(plan->base.graph, node->operand[0]), out = node->shape;
    int64_t groups = conv->groups, ci = in.c / groups, co = out.c / groups, kh, kw;
    double *sum = plan->scratch;
    kernel_size(conv->weight, &kh, &kw);
    for (int64_t oy = 0; oy < out.h; oy++)
        for (int64_t ox = 0; ox < out.w; ox++) {
            for (int64_t c = 0; c < out.c; c++)
                sum[c] = weights->bias ? weights->bias[c] : 0;
            for (int64_t ky = 0; ky < kh; ky++)
                for (int64_t kx = 0; kx < kw; kx++) {
                    int64_t iy = source_of(oy, ky, conv->stride, conv->pad_top, in.h);
                    int64_t ix = source_of(ox, kx, conv->stride, conv->pad_left, in.w);
                    if (iy < 0 || ix < 0) continue;
                    accumulate(groups, ci, co, x + (iy * in.w + ix) * in.c,
                               weights->forward + (ky * kw + kx) * in.c * co, sum);
                }
            for (int64_t c = 0; c < out.c; c++)
                y[(oy * out.w + ox) * out.c + c] = (float)sum[c];
        }
}

void ref_conv_backward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    const rmp_conv2d *conv = &node->as.conv;
    const float *g = ref_grad(plan, v, image);
    float *gx = ref_grad(plan, node->operand[0], image);
    rmp_shape in = rmp_graph_shape(plan->base.graph, node->operand[0]), out = node->shape;
    int64_t groups = conv->groups, ci = in.c / groups, co = out.c / groups, kh, kw;
    double *sum = plan->scratch;
    kernel_size(conv->weight, &kh, &kw);
    for (int64_t iy = 0; iy < in.h; iy++)
        for (int64_t ix = 0; ix < in.w; ix++) {
            for (int64_t c = 0; c < in.c; c++)
                sum[c] = 0;
            for (int64_t ky = 0; ky < kh; ky++)
                for (int64_t kx = 0; kx < kw; kx++) {
                    int64_t oy = target_of(iy, ky, conv->stride, conv->pad_top, out.h);
                    int64_t ox = target_of(ix, kx, conv->stride, conv->pad_left, out.w);
                    if (oy < 0 || ox < 0) continue;
                    accumulate(groups, co, ci, g + (oy * out.w + ox) * out.c,
                               plan->weights[v].backward + (ky * kw + kx) * out.c * ci, sum);
                }
            for (int64_t c = 0; c < in.c; c++)
                gx[(iy * in.w + ix) * in.c + c] += (float)sum[c];
        }
}
