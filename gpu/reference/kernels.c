#include "gpu/reference/reference.h"

#include <math.h>
#include <string.h>

int64_t ref_scratch_doubles(const rmp_graph *graph, const rmp_node *node)
{
    rmp_shape in = node->operands ? rmp_graph_shape(graph, node->operand[0]) : node->shape, out = node->shape;
    switch (node->op) {
    case RMP_OP_CONV2D:
        return in.c > out.c ? in.c : out.c;
    case RMP_OP_ATTENTION: {
        int64_t length = out.h * out.w, width = out.c / node->as.attention.heads;
        return 2 * length + width + 2 * length * width;
    }
    case RMP_OP_RESAMPLE:
        return rmp_shape_count(in) + out.h * in.w * in.c + rmp_shape_count(out);
    case RMP_OP_LINEAR:
        return rmp_shape_count(in);
    case RMP_OP_FFT_MAGNITUDE:
        return ref_fft_doubles(in, out);
    default:
        return 0;
    }
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

double ref_silu(double x) { return x * sigmoid(x); }

double ref_silu_slope(double x)
{
    double s = sigmoid(x);
    return s * (1 + x * (1 - s));
}

static void concat(const ref_plan *plan, rmp_value v, int64_t image, bool backward)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    int64_t pixels = node->shape.h * node->shape.w, first = 0;
    for (int part = 0; part < node->operands; part++) {
        int64_t channels = rmp_graph_shape(plan->base.graph, node->operand[part]).c;
        const float *x = ref_value(plan, node->operand[part], image);
        float *gx = backward ? ref_grad(plan, node->operand[part], image) : NULL;
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t c = 0; c < channels; c++) {
                int64_t at = p * node->shape.c + first + c;
                if (!backward)
                    ref_value(plan, v, image)[at] = x[p * channels + c];
                else if (gx)
                    gx[p * channels + c] += ref_grad(plan, v, image)[at];
            }
        first += channels;
    }
}

static void linear_forward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    const float *x = ref_value(plan, node->operand[0], image);
    const ref_weights *weights = &plan->weights[v];
    int64_t length = rmp_shape_count(rmp_graph_shape(plan->base.graph, node->operand[0]));
    for (int64_t o = 0; o < node->shape.c; o++) {
        double sum = weights->bias ? weights->bias[o] : 0;
        for (int64_t i = 0; i < length; i++)
            sum += weights->forward[o * length + i] * (double)x[i];
        ref_value(plan, v, image)[o] = (float)sum;
    }
}

static void linear_backward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    const float *g = ref_grad(plan, v, image);
    int64_t length = rmp_shape_count(rmp_graph_shape(plan->base.graph, node->operand[0]));
    double *sum = plan->scratch;
    memset(sum, 0, (size_t)length * sizeof *sum);
    for (int64_t o = 0; o < node->shape.c; o++)
        for (int64_t i = 0; i < length; i++)
            sum[i] += plan->weights[v].forward[o * length + i] * (double)g[o];
    for (int64_t i = 0; i < length; i++)
        ref_grad(plan, node->operand[0], image)[i] += (float)sum[i];
}

/* Operations that treat each number alone. */
static double element_forward(const rmp_node *node, double x, double other)
{
    switch (node->op) {
    case RMP_OP_SILU:
        return ref_silu(x);
    case RMP_OP_ADD:
        return node->as.lin.a * x + node->as.lin.b * other;
    case RMP_OP_AFFINE:
        return node->as.lin.a * x + node->as.lin.b;
    case RMP_OP_CHANNEL_BIAS:
        return x + other;
    case RMP_OP_MULTIPLY:
        return x * other;
    case RMP_OP_LEAKY_RELU:
        return x > 0 ? x : node->as.lin.a * x;
    case RMP_OP_TANH:
        return tanh(x);
    case RMP_OP_SQUARE:
        return x * x;
    case RMP_OP_POWER:
        return x > 0 ? pow(x, node->as.lin.a) : isnan(x) ? x : 0;
    default:                                                                                  /* RMP_OP_CLIP */
        return x < node->as.lin.a ? node->as.lin.a : x > node->as.lin.b ? node->as.lin.b : x; /* NaN stays */
    }
}

/* Their derivative with respect to x. */
static double element_slope(const rmp_node *node, double x, double other)
{
    switch (node->op) {
    case RMP_OP_SILU:
        return ref_silu_slope(x);
    case RMP_OP_ADD:
    case RMP_OP_AFFINE:
        return node->as.lin.a;
    case RMP_OP_CHANNEL_BIAS:
        return 1;
    case RMP_OP_MULTIPLY:
        return other;
    case RMP_OP_LEAKY_RELU:
        return x > 0 ? 1 : node->as.lin.a;
    case RMP_OP_TANH:
        return 1 - tanh(x) * tanh(x);
    case RMP_OP_SQUARE:
        return 2 * x;
    case RMP_OP_POWER:
        return x > 0 ? node->as.lin.a * pow(x, node->as.lin.a - 1) : 0;
    default: /* RMP_OP_CLIP */
        return node->as.lin.a < x && x < node->as.lin.b ? 1 : 0;
    }
}

/* The numbers of x in the order of the result; backward the other way, added. */
static void pixel_shuffle(const ref_plan *plan, rmp_value v, int64_t image, bool backward)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    rmp_shape in = rmp_graph_shape(plan->base.graph, node->operand[0]), out = node->shape;
    int64_t f = node->as.factor;
    const float *x = ref_value(plan, node->operand[0], image), *g = backward ? ref_grad(plan, v, image) : NULL;
    for (int64_t y = 0; y < out.h; y++)
        for (int64_t z = 0; z < out.w; z++)
            for (int64_t k = 0; k < out.c; k++) {
                int64_t from = ((y / f) * in.w + z / f) * in.c + k * f * f + y % f * f + z % f;
                int64_t to = (y * out.w + z) * out.c + k;
                if (backward)
                    ref_grad(plan, node->operand[0], image)[from] += g[to];
                else
                    ref_value(plan, v, image)[to] = x[from];
            }
}

/* Index into the second operand that goes with number i of the first. */
static int64_t other_index(const ref_plan *plan, const rmp_node *node, int64_t i)
{
    if (node->op == RMP_OP_CHANNEL_BIAS) return node->as.bias.offset + i % node->shape.c;
    return rmp_graph_shape(plan->base.graph, node->operand[1]).c == 1 ? i / node->shape.c : i;
}

static void elements(const ref_plan *plan, rmp_value v, int64_t image, bool backward)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    const float *x = ref_value(plan, node->operand[0], image);
    const float *second = node->operands > 1 ? ref_value(plan, node->operand[1], image) : NULL;
    float *gx = backward ? ref_grad(plan, node->operand[0], image) : NULL;
    float *gsecond = backward && node->op == RMP_OP_ADD ? ref_grad(plan, node->operand[1], image) : NULL;
    for (int64_t i = 0; i < rmp_shape_count(node->shape); i++) {
        double other = second ? (double)second[other_index(plan, node, i)] : 0;
        if (!backward) ref_value(plan, v, image)[i] = (float)element_forward(node, (double)x[i], other);
        if (gx) gx[i] += (float)((double)ref_grad(plan, v, image)[i] * element_slope(node, (double)x[i], other));
        if (gsecond) gsecond[i] += (float)(node->as.lin.b * (double)ref_grad(plan, v, image)[i]);
    }
}

void ref_forward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    switch (node->op) {
    case RMP_OP_INPUT: /* copied before */
    case RMP_OP_COUNT:
        break;
    case RMP_OP_CONV2D:
        ref_conv_forward(plan, v, image);
        break;
    case RMP_OP_GROUP_NORM:
        ref_norm_forward(plan, v, image);
        break;
    case RMP_OP_CONCAT:
        concat(plan, v, image, false);
        break;
    case RMP_OP_AVG_POOL: {
        double scale = 1 / (double)(node->as.factor * node->as.factor);
        ref_sum_blocks(node->shape, node->as.factor, scale, ref_value(plan, node->operand[0], image), false,
                       ref_value(plan, v, image));
        break;
    }
    case RMP_OP_UPSAMPLE:
        ref_spread_blocks(rmp_graph_shape(plan->base.graph, node->operand[0]), node->as.factor, 1,
                          ref_value(plan, node->operand[0], image), false, ref_value(plan, v, image));
        break;
    case RMP_OP_RESAMPLE:
        ref_resample_forward(plan, v, image);
        break;
    case RMP_OP_ATTENTION:
        ref_attention_forward(plan, v, image);
        break;
    case RMP_OP_MAX_POOL:
        ref_max_pool_forward(plan, v, image);
        break;
    case RMP_OP_UNIT_CHANNELS:
        ref_unit_channels_forward(plan, v, image);
        break;
    case RMP_OP_FFT_MAGNITUDE:
        ref_fft_magnitude_forward(plan, v, image);
        break;
    case RMP_OP_LINEAR:
        linear_forward(plan, v, image);
        break;
    case RMP_OP_SILU:
    case RMP_OP_ADD:
    case RMP_OP_AFFINE:
    case RMP_OP_CHANNEL_BIAS:
    case RMP_OP_MULTIPLY:
    case RMP_OP_CLIP:
    case RMP_OP_LEAKY_RELU:
    case RMP_OP_TANH:
    case RMP_OP_SQUARE:
    case RMP_OP_POWER:
        elements(plan, v, image, false);
        break;
    case RMP_OP_PIXEL_SHUFFLE:
        pixel_shuffle(plan, v, image, false);
        break;
    }
}

void ref_backward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    switch (node->op) {
    case RMP_OP_INPUT: /* where gradients end */
    case RMP_OP_COUNT:
        break;
    case RMP_OP_CONV2D:
        ref_conv_backward(plan, v, image);
        break;
    case RMP_OP_GROUP_NORM:
        ref_norm_backward(plan, v, image);
        break;
    case RMP_OP_CONCAT:
        concat(plan, v, image, true);
        break;
    case RMP_OP_AVG_POOL: {
        double scale = 1 / (double)(node->as.factor * node->as.factor);
        ref_spread_blocks(node->shape, node->as.factor, scale, ref_grad(plan, v, image), true,
                          ref_grad(plan, node->operand[0], image));
        break;
    }
    case RMP_OP_UPSAMPLE:
        ref_sum_blocks(rmp_graph_shape(plan->base.graph, node->operand[0]), node->as.factor, 1,
                       ref_grad(plan, v, image), true, ref_grad(plan, node->operand[0], image));
        break;
    case RMP_OP_RESAMPLE:
        ref_resample_backward(plan, v, image);
        break;
    case RMP_OP_ATTENTION:
        ref_attention_backward(plan, v, image);
        break;
    case RMP_OP_MAX_POOL:
        ref_max_pool_backward(plan, v, image);
        break;
    case RMP_OP_UNIT_CHANNELS:
        ref_unit_channels_backward(plan, v, image);
        break;
    case RMP_OP_FFT_MAGNITUDE:
        ref_fft_magnitude_backward(plan, v, image);
        break;
    case RMP_OP_LINEAR:
        linear_backward(plan, v, image);
        break;
    case RMP_OP_SILU:
    case RMP_OP_ADD:
    case RMP_OP_AFFINE:
    case RMP_OP_CHANNEL_BIAS:
    case RMP_OP_MULTIPLY:
    case RMP_OP_CLIP:
    case RMP_OP_LEAKY_RELU:
    case RMP_OP_TANH:
    case RMP_OP_SQUARE:
    case RMP_OP_POWER:
        elements(plan, v, image, true);
        break;
    case RMP_OP_PIXEL_SHUFFLE:
        pixel_shuffle(plan, v, image, true);
        break;
    }
}
