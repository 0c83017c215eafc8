#include "gpu/reference/reference.h"

#include <string.h>

void ref_sum_blocks(rmp_shape small, int64_t f, double scale, const float *big, bool add, float *small_out)
{
    for (int64_t y = 0; y < small.h; y++)
        for (int64_t x = 0; x < small.w; x++)
            for (int64_t c = 0; c < small.c; c++) {
                double sum = 0;
                for (int64_t dy = 0; dy < f; dy++)
                    for (int64_t dx = 0; dx < f; dx++)
                        sum += (double)big[((y * f + dy) * small.w * f + x * f + dx) * small.c + c];
                float *to = &small_out[(y * small.w + x) * small.c + c];
                *to = (float)(sum * scale) + (add ? *to : 0);
            }
}

void ref_spread_blocks(rmp_shape small, int64_t f, double scale, const float *from, bool add, float *big_out)
{
    for (int64_t y = 0; y < small.h * f; y++)
        for (int64_t x = 0; x < small.w * f; x++)
            for (int64_t c = 0; c < small.c; c++) {
                float *to = &big_out[(y * small.w * f + x) * small.c + c];
                *to = (float)(scale * (double)from[((y / f) * small.w + x / f) * small.c + c]) + (add ? *to : 0);
            }
}

/* out[o, i] = sum of taps over the middle index, (outer, in, inner) -> (outer, out, inner); NULL copies. */
static void apply_taps(const rmp_taps *taps, int64_t outer, int64_t length, int64_t inner, const double *x, double *y)
{
    if (!taps) {
        memcpy(y, x, (size_t)(outer * length * inner) * sizeof *y);
        return;
    }
    memset(y, 0, (size_t)(outer * taps->out * inner) * sizeof *y);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t row = 0; row < taps->out; row++)
            for (int64_t e = taps->start[row]; e < taps->start[row + 1]; e++)
                for (int64_t i = 0; i < inner; i++)
                    y[(o * taps->out + row) * inner + i] +=
                        (double)taps->weight[e] * x[(o * taps->in + taps->index[e]) * inner + i];
}

/* The transpose of apply_taps. */
static void apply_taps_transposed(const rmp_taps *taps, int64_t outer, int64_t length, int64_t inner, const double *g,
                                  double *gx)
{
    if (!taps) {
        memcpy(gx, g, (size_t)(outer * length * inner) * sizeof *gx);
        return;
    }
    memset(gx, 0, (size_t)(outer * taps->in * inner) * sizeof *gx);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t row = 0; row < taps->out; row++)
            for (int64_t e = taps->start[row]; e < taps->start[row + 1]; e++)
                for (int64_t i = 0; i < inner; i++)
                    gx[(o * taps->in + taps->index[e]) * inner + i] +=
                        (double)taps->weight[e] * g[(o * taps->out + row) * inner + i];
}

void ref_resample_forward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    rmp_shape in = rmp_graph_shape(plan->base.graph, node->operand[0]), out = node->shape;
    const float *x = ref_value(plan, node->operand[0], image);
    double *wide = plan->scratch, *columns = wide + rmp_shape_count(in), *result = columns + out.h * in.w * in.c;
    for (int64_t i = 0; i < rmp_shape_count(in); i++)
        wide[i] = (double)x[i];
    apply_taps(node->as.resample.h, 1, in.h, in.w * in.c, wide, columns);
    apply_taps(node->as.resample.w, out.h, in.w, in.c, columns, result);
    for (int64_t i = 0; i < rmp_shape_count(out); i++)
        ref_value(plan, v, image)[i] = (float)result[i];
}

void ref_resample_backward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    rmp_shape in = rmp_graph_shape(plan->base.graph, node->operand[0]), out = node->shape;
    const float *g = ref_grad(plan, v, image);
    double *result = plan->scratch, *columns = result + rmp_shape_count(in), *wide = columns + out.h * in.w * in.c;
    for (int64_t i = 0; i < rmp_shape_count(out); i++)
        wide[i] = (double)g[i];
    apply_taps_transposed(node->as.resample.w, out.h, in.w, in.c, wide, columns);
    apply_taps_transposed(node->as.resample.h, 1, in.h, in.w * in.c, columns, result);
    for (int64_t i = 0; i < rmp_shape_count(in); i++)
        ref_grad(plan, node->operand[0], image)[i] += (float)result[i];
}
