/* What networks of features for metrics need besides: maximum pooling, channels at unit length. */
#include "gpu/reference/reference.h"

#include <math.h>

/* Index in x of the largest number of the window of result (oy, ox, c). */
static int64_t largest(const rmp_max_pool *pool, rmp_shape in, const float *x, int64_t oy, int64_t ox, int64_t c)
{
    int64_t best = -1;
    for (int64_t ky = 0; ky < pool->kernel; ky++)
        for (int64_t kx = 0; kx < pool->kernel; kx++) {
            int64_t iy = oy * pool->stride + ky - pool->pad, ix = ox * pool->stride + kx - pool->pad;
            if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w) continue;
            int64_t at = (iy * in.w + ix) * in.c + c;
            if (best < 0 || x[at] > x[best] || isnan(x[at])) best = at;
        }
    return best;
}

void ref_max_pool_forward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    rmp_shape in = rmp_graph_shape(plan->base.graph, node->operand[0]), out = node->shape;
    const float *x = ref_value(plan, node->operand[0], image);
    float *y = ref_value(plan, v, image);
    for (int64_t oy = 0; oy < out.h; oy++)
        for (int64_t ox = 0; ox < out.w; ox++)
            for (int64_t c = 0; c < out.c; c++)
                y[(oy * out.w + ox) * out.c + c] = x[largest(&node->as.pool, in, x, oy, ox, c)];
}

void ref_max_pool_backward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    rmp_shape in = rmp_graph_shape(plan->base.graph, node->operand[0]), out = node->shape;
    const float *x = ref_value(plan, node->operand[0], image), *g = ref_grad(plan, v, image);
    float *gx = ref_grad(plan, node->operand[0], image);
    for (int64_t oy = 0; oy < out.h; oy++)
        for (int64_t ox = 0; ox < out.w; ox++)
            for (int64_t c = 0; c < out.c; c++)
                gx[largest(&node->as.pool, in, x, oy, ox, c)] += g[(oy * out.w + ox) * out.c + c];
}

static double dot(int64_t n, const float *a, const float *b)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

void ref_unit_channels_forward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    const int64_t c = node->shape.c, pixels = node->shape.h * node->shape.w;
    for (int64_t p = 0; p < pixels; p++) {
        const float *x = ref_value(plan, node->operand[0], image) + p * c;
        const double length = sqrt(dot(c, x, x)) + node->as.eps;
        for (int64_t k = 0; k < c; k++)
            ref_value(plan, v, image)[p * c + k] = (float)((double)x[k] / length);
    }
}

void ref_unit_channels_backward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    const int64_t c = node->shape.c, pixels = node->shape.h * node->shape.w;
    for (int64_t p = 0; p < pixels; p++) {
        const float *x = ref_value(plan, node->operand[0], image) + p * c, *g = ref_grad(plan, v, image) + p * c;
        const double norm = sqrt(dot(c, x, x)), length = norm + node->as.eps;
        const double along = norm > 0 ? dot(c, x, g) / (norm * length * length) : 0;
        for (int64_t k = 0; k < c; k++)
            ref_grad(plan, node->operand[0], image)[p * c + k] += (float)((double)g[k] / length - along * (double)x[k]);
    }
}
