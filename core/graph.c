#include "core/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Nodes are allocated one by one: what rmp_graph_node returns stays where it is while the graph grows. */
struct rmp_graph {
    rmp_node **nodes;
    int32_t count, capacity;
    rmp_value *inputs;
    int input_count;
    rmp_value result;
};

enum { MAX_COUNT_LOG2 = 48 }; /* of the numbers in one value: far above any memory, far below overflow */

static const char *const op_names[RMP_OP_COUNT] = {
    [RMP_OP_INPUT] = "input",
    [RMP_OP_CONV2D] = "conv2d",
    [RMP_OP_GROUP_NORM] = "group_norm",
    [RMP_OP_SILU] = "silu",
    [RMP_OP_ADD] = "add",
    [RMP_OP_AFFINE] = "affine",
    [RMP_OP_CHANNEL_BIAS] = "channel_bias",
    [RMP_OP_CONCAT] = "concat",
    [RMP_OP_AVG_POOL] = "avg_pool",
    [RMP_OP_UPSAMPLE] = "upsample",
    [RMP_OP_RESAMPLE] = "resample",
    [RMP_OP_ATTENTION] = "attention",
    [RMP_OP_LINEAR] = "linear",
    [RMP_OP_MULTIPLY] = "multiply",
    [RMP_OP_CLIP] = "clip",
    [RMP_OP_LEAKY_RELU] = "leaky_relu",
    [RMP_OP_TANH] = "tanh",
    [RMP_OP_PIXEL_SHUFFLE] = "pixel_shuffle",
    [RMP_OP_MAX_POOL] = "max_pool",
    [RMP_OP_UNIT_CHANNELS] = "unit_channels",
    [RMP_OP_SQUARE] = "square",
    [RMP_OP_POWER] = "power",
    [RMP_OP_FFT_MAGNITUDE] = "fft_magnitude",
};

const char *rmp_op_name(rmp_op op) { return (unsigned)op < RMP_OP_COUNT ? op_names[op] : "unknown"; }

rmp_status rmp_graph_create(rmp_graph **out)
{
    *out = calloc(1, sizeof **out);
    RMP_CHECK(*out, RMP_ERR_MEMORY, "out of memory for a graph");
    (*out)->result = RMP_NONE;
    return RMP_OK;
}

static void destroy_node(rmp_node *node)
{
    if (node->op == RMP_OP_RESAMPLE) {
        rmp_taps *h = (rmp_taps *)node->as.resample.h, *w = (rmp_taps *)node->as.resample.w;
        rmp_taps_destroy(&h);
        rmp_taps_destroy(&w);
    }
    free((rmp_value *)node->operand);
    free(node);
}

void rmp_graph_destroy(rmp_graph **graph)
{
    if (!graph || !*graph) return;
    for (int32_t i = 0; i < (*graph)->count; i++)
        destroy_node((*graph)->nodes[i]);
    free((*graph)->nodes);
    free((*graph)->inputs);
    free(*graph);
    *graph = NULL;
}

static bool shape_valid(rmp_shape s)
{
    const int64_t most = (int64_t)1 << MAX_COUNT_LOG2;
    return s.h >= 1 && s.w >= 1 && s.c >= 1 && s.h <= most && s.w <= most / s.h && s.c <= most / (s.h * s.w);
}

static bool same_shape(rmp_shape a, rmp_shape b) { return a.h == b.h && a.w == b.w && a.c == b.c; }

#define SHAPE_FORMAT   "(%lld, %lld, %lld)"
#define SHAPE_ARGS(s)  (long long)(s).h, (long long)(s).w, (long long)(s).c
#define SHAPE_OF(g, v) ((g)->nodes[v]->shape)
#define GRAD_OF(g, v)  ((g)->nodes[v]->differentiable)

static rmp_status check_value(const rmp_graph *g, rmp_op op, rmp_value value)
{
    RMP_CHECK(value >= 0 && value < g->count, RMP_ERR_ARGUMENT,
              "%s: operand %d is not one of the %d values of the graph", rmp_op_name(op), (int)value, (int)g->count);
    return RMP_OK;
}

/* An operand through which no gradient flows: it must not depend on input 0. */
static rmp_status check_constant(const rmp_graph *g, rmp_op op, const char *role, rmp_value value)
{
    RMP_TRY(check_value(g, op, value));
    RMP_CHECK(!GRAD_OF(g, value), RMP_ERR_ARGUMENT, "%s: %s %d depends on input 0", rmp_op_name(op), role, (int)value);
    return RMP_OK;
}

/* Copies the node; on success the graph owns the taps in it. */
static rmp_status append(rmp_graph *g, const rmp_node *node, int operands, const rmp_value operand[], rmp_value *out)
{
    RMP_CHECK(shape_valid(node->shape), RMP_ERR_ARGUMENT, "%s: shape " SHAPE_FORMAT, rmp_op_name(node->op),
              SHAPE_ARGS(node->shape));
    RMP_CHECK(g->count < INT32_MAX / 2, RMP_ERR_ARGUMENT, "%s: the graph is full", rmp_op_name(node->op));
    if (g->count == g->capacity) {
        int32_t capacity = g->capacity ? 2 * g->capacity : 64;
        rmp_node **nodes = realloc(g->nodes, (size_t)capacity * sizeof(rmp_node *));
        RMP_CHECK(nodes, RMP_ERR_MEMORY, "out of memory for a graph of %d operations", (int)capacity);
        g->nodes = nodes;
        g->capacity = capacity;
    }
    rmp_node *copy = malloc(sizeof *copy);
    rmp_value *list = malloc((size_t)(operands ? operands : 1) * sizeof *list);
    if (!copy || !list) {
        free(copy);
        free(list);
        return RMP_FAIL(RMP_ERR_MEMORY, "out of memory for an operation of a graph");
    }
    *copy = *node;
    copy->operands = operands;
    copy->operand = list;
    for (int i = 0; i < operands; i++) {
        list[i] = operand[i];
        copy->differentiable |= GRAD_OF(g, operand[i]);
    }
    g->nodes[g->count] = copy;
    *out = g->count++;
    return RMP_OK;
}

rmp_status rmp_graph_input(rmp_graph *g, rmp_shape shape, rmp_value *out)
{
    rmp_value *inputs = realloc(g->inputs, (size_t)(g->input_count + 1) * sizeof *inputs);
    RMP_CHECK(inputs, RMP_ERR_MEMORY, "out of memory for an input of a graph");
    g->inputs = inputs;
    rmp_node node = {.op = RMP_OP_INPUT, .shape = shape, .differentiable = g->input_count == 0};
    node.as.input = g->input_count;
    RMP_TRY(append(g, &node, 0, NULL, out));
    inputs[g->input_count++] = *out;
    return RMP_OK;
}

/* Shape (c_out, c_in / groups, kh, kw), trailing ones may be missing; kh = kw = 1 then. */
static rmp_status check_kernel(const rmp_conv2d *conv, rmp_shape x, int64_t *kh, int64_t *kw)
{
    char text[128];
    const rmp_tensor *weight = conv->weight;
    RMP_CHECK(weight, RMP_ERR_ARGUMENT, "conv2d: no weight");
    rmp_tensor_shape_text(weight, text, sizeof text);
    RMP_CHECK(weight->rank >= 2 && weight->rank <= 4, RMP_ERR_ARGUMENT, "conv2d: weight %s must have rank 2, 3 or 4",
              text);
    for (int i = 0; i < weight->rank; i++)
        RMP_CHECK(weight->dims[i] >= 1, RMP_ERR_ARGUMENT, "conv2d: weight %s is empty", text);
    RMP_CHECK(weight->rank != 3 || weight->dims[2] == 1, RMP_ERR_ARGUMENT, "conv2d: weight %s of rank 3 is not 1x1",
              text);
    RMP_CHECK(conv->groups >= 1 && x.c % conv->groups == 0 && weight->dims[0] % conv->groups == 0, RMP_ERR_ARGUMENT,
              "conv2d: %lld groups do not divide %lld channels and weight %s", (long long)conv->groups, (long long)x.c,
              text);
    RMP_CHECK(weight->dims[1] == x.c / conv->groups, RMP_ERR_ARGUMENT,
              "conv2d: weight %s on %lld channels in %lld groups", text, (long long)x.c, (long long)conv->groups);
    *kh = weight->rank == 4 ? weight->dims[2] : 1;
    *kw = weight->rank == 4 ? weight->dims[3] : 1;
    return RMP_OK;
}

static rmp_status check_vector(rmp_op op, const char *role, const rmp_tensor *tensor, int64_t length)
{
    char text[128];
    RMP_CHECK(tensor, RMP_ERR_ARGUMENT, "%s: no %s", rmp_op_name(op), role);
    RMP_CHECK(tensor->rank == 1 && tensor->dims[0] == length, RMP_ERR_ARGUMENT, "%s: %s %s must be (%lld)",
              rmp_op_name(op), role, rmp_tensor_shape_text(tensor, text, sizeof text), (long long)length);
    return RMP_OK;
}

rmp_status rmp_graph_conv2d(rmp_graph *g, rmp_value x, const rmp_conv2d *conv, rmp_value *out)
{
    int64_t kh = 1, kw = 1;
    RMP_TRY(check_value(g, RMP_OP_CONV2D, x));
    rmp_shape in = SHAPE_OF(g, x);
    RMP_TRY(check_kernel(conv, in, &kh, &kw));
    int64_t channels = conv->weight->dims[0];
    if (conv->bias) RMP_TRY(check_vector(RMP_OP_CONV2D, "bias", conv->bias, channels));
    RMP_CHECK(conv->stride >= 1, RMP_ERR_ARGUMENT, "conv2d: stride %lld", (long long)conv->stride);
    const int64_t most = INT32_MAX;
    RMP_CHECK(conv->pad_top >= 0 && conv->pad_left >= 0 && conv->pad_bottom >= 0 && conv->pad_right >= 0 &&
                  conv->pad_top <= most && conv->pad_left <= most && conv->pad_bottom <= most &&
                  conv->pad_right <= most,
              RMP_ERR_ARGUMENT, "conv2d: padding %lld, %lld, %lld, %lld", (long long)conv->pad_top,
              (long long)conv->pad_left, (long long)conv->pad_bottom, (long long)conv->pad_right);
    RMP_CHECK(conv->out_channels >= 0 && conv->out_channels <= channels, RMP_ERR_ARGUMENT,
              "conv2d: %lld output channels of %lld", (long long)conv->out_channels, (long long)channels);
    RMP_CHECK(conv->groups == 1 || conv->out_channels == 0 || conv->out_channels == channels, RMP_ERR_ARGUMENT,
              "conv2d: %lld output channels of %lld in %lld groups", (long long)conv->out_channels, (long long)channels,
              (long long)conv->groups);
    int64_t padded_h = in.h + conv->pad_top + conv->pad_bottom, padded_w = in.w + conv->pad_left + conv->pad_right;
    RMP_CHECK(padded_h >= kh && padded_w >= kw, RMP_ERR_ARGUMENT,
              "conv2d: a %lld x %lld kernel does not fit into %lld x %lld padded pixels", (long long)kh, (long long)kw,
              (long long)padded_h, (long long)padded_w);

    rmp_node node = {.op = RMP_OP_CONV2D};
    node.as.conv = *conv;
    if (node.as.conv.out_channels == 0) node.as.conv.out_channels = channels;
    node.shape =
        (rmp_shape){(padded_h - kh) / conv->stride + 1, (padded_w - kw) / conv->stride + 1, node.as.conv.out_channels};
    return append(g, &node, 1, &x, out);
}

rmp_status rmp_graph_group_norm(rmp_graph *g, rmp_value x, const rmp_group_norm *norm, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_GROUP_NORM, x));
    rmp_shape in = SHAPE_OF(g, x);
    RMP_CHECK(norm->groups >= 1 && in.c % norm->groups == 0, RMP_ERR_ARGUMENT,
              "group_norm: %lld groups do not divide %lld channels", (long long)norm->groups, (long long)in.c);
    RMP_CHECK(norm->eps > 0 && isfinite(norm->eps), RMP_ERR_ARGUMENT, "group_norm: eps %g", norm->eps);
    RMP_TRY(check_vector(RMP_OP_GROUP_NORM, "gamma", norm->gamma, in.c));
    RMP_TRY(check_vector(RMP_OP_GROUP_NORM, "beta", norm->beta, in.c));
    rmp_value operand[2] = {x, norm->film};
    if (norm->film != RMP_NONE) {
        RMP_TRY(check_constant(g, RMP_OP_GROUP_NORM, "film", norm->film));
        rmp_shape film = SHAPE_OF(g, norm->film);
        RMP_CHECK(film.h == 1 && film.w == 1 && norm->film_offset >= 0 && 2 * in.c <= film.c &&
                      norm->film_offset <= film.c - 2 * in.c,
                  RMP_ERR_ARGUMENT, "group_norm: film " SHAPE_FORMAT " from %lld for %lld channels", SHAPE_ARGS(film),
                  (long long)norm->film_offset, (long long)in.c);
    }
    rmp_node node = {.op = RMP_OP_GROUP_NORM, .shape = in};
    node.as.norm = *norm;
    return append(g, &node, norm->film == RMP_NONE ? 1 : 2, operand, out);
}

rmp_status rmp_graph_silu(rmp_graph *g, rmp_value x, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_SILU, x));
    return append(g, &(rmp_node){.op = RMP_OP_SILU, .shape = SHAPE_OF(g, x)}, 1, &x, out);
}

rmp_status rmp_graph_add(rmp_graph *g, double a, rmp_value x, double b, rmp_value y, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_ADD, x));
    RMP_TRY(check_value(g, RMP_OP_ADD, y));
    RMP_CHECK(same_shape(SHAPE_OF(g, x), SHAPE_OF(g, y)), RMP_ERR_ARGUMENT,
              "add: shapes " SHAPE_FORMAT " and " SHAPE_FORMAT " differ", SHAPE_ARGS(SHAPE_OF(g, x)),
              SHAPE_ARGS(SHAPE_OF(g, y)));
    RMP_CHECK(isfinite(a) && isfinite(b), RMP_ERR_ARGUMENT, "add: coefficients %g and %g", a, b);
    rmp_node node = {.op = RMP_OP_ADD, .shape = SHAPE_OF(g, x)};
    node.as.lin.a = a;
    node.as.lin.b = b;
    return append(g, &node, 2, (rmp_value[]){x, y}, out);
}

rmp_status rmp_graph_affine(rmp_graph *g, double a, rmp_value x, double b, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_AFFINE, x));
    RMP_CHECK(isfinite(a) && isfinite(b), RMP_ERR_ARGUMENT, "affine: coefficients %g and %g", a, b);
    rmp_node node = {.op = RMP_OP_AFFINE, .shape = SHAPE_OF(g, x)};
    node.as.lin.a = a;
    node.as.lin.b = b;
    return append(g, &node, 1, &x, out);
}

rmp_status rmp_graph_channel_bias(rmp_graph *g, rmp_value x, rmp_value v, int64_t offset, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_CHANNEL_BIAS, x));
    RMP_TRY(check_constant(g, RMP_OP_CHANNEL_BIAS, "vector", v));
    rmp_shape in = SHAPE_OF(g, x), vector = SHAPE_OF(g, v);
    RMP_CHECK(vector.h == 1 && vector.w == 1 && offset >= 0 && in.c <= vector.c && offset <= vector.c - in.c,
              RMP_ERR_ARGUMENT, "channel_bias: vector " SHAPE_FORMAT " from %lld for %lld channels", SHAPE_ARGS(vector),
              (long long)offset, (long long)in.c);
    rmp_node node = {.op = RMP_OP_CHANNEL_BIAS, .shape = in};
    node.as.bias.offset = offset;
    return append(g, &node, 2, (rmp_value[]){x, v}, out);
}

rmp_status rmp_graph_concat(rmp_graph *g, int parts, const rmp_value part[], rmp_value *out)
{
    RMP_CHECK(parts >= 1, RMP_ERR_ARGUMENT, "concat: %d parts", parts);
    for (int i = 0; i < parts; i++)
        RMP_TRY(check_value(g, RMP_OP_CONCAT, part[i]));
    rmp_shape shape = SHAPE_OF(g, part[0]);
    for (int i = 1; i < parts; i++) {
        rmp_shape next = SHAPE_OF(g, part[i]);
        RMP_CHECK(next.h == shape.h && next.w == shape.w, RMP_ERR_ARGUMENT,
                  "concat: part %d is " SHAPE_FORMAT ", part 0 is " SHAPE_FORMAT, i, SHAPE_ARGS(next),
                  SHAPE_ARGS(SHAPE_OF(g, part[0])));
        shape.c += next.c;
    }
    return append(g, &(rmp_node){.op = RMP_OP_CONCAT, .shape = shape}, parts, part, out);
}

static rmp_status check_factor(rmp_op op, int64_t factor)
{
    RMP_CHECK(factor >= 1 && factor <= 1 << 20, RMP_ERR_ARGUMENT, "%s: factor %lld", rmp_op_name(op),
              (long long)factor);
    return RMP_OK;
}

rmp_status rmp_graph_avg_pool(rmp_graph *g, rmp_value x, int64_t factor, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_AVG_POOL, x));
    RMP_TRY(check_factor(RMP_OP_AVG_POOL, factor));
    rmp_shape in = SHAPE_OF(g, x);
    RMP_CHECK(in.h % factor == 0 && in.w % factor == 0, RMP_ERR_ARGUMENT,
              "avg_pool: %lld x %lld pixels are no multiple of %lld", (long long)in.h, (long long)in.w,
              (long long)factor);
    rmp_node node = {.op = RMP_OP_AVG_POOL, .shape = {in.h / factor, in.w / factor, in.c}};
    node.as.factor = factor;
    return append(g, &node, 1, &x, out);
}

rmp_status rmp_graph_upsample(rmp_graph *g, rmp_value x, int64_t factor, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_UPSAMPLE, x));
    RMP_TRY(check_factor(RMP_OP_UPSAMPLE, factor));
    rmp_shape in = SHAPE_OF(g, x);
    const int64_t most = INT64_MAX / factor;
    RMP_CHECK(in.h <= most && in.w <= most, RMP_ERR_ARGUMENT, "upsample: %lld x %lld pixels by %lld", (long long)in.h,
              (long long)in.w, (long long)factor);
    rmp_node node = {.op = RMP_OP_UPSAMPLE, .shape = {in.h * factor, in.w * factor, in.c}};
    node.as.factor = factor;
    return append(g, &node, 1, &x, out);
}

rmp_status rmp_graph_resample(rmp_graph *g, rmp_value x, const rmp_taps *h, const rmp_taps *w, rmp_value *out)
{
    rmp_status status;
    rmp_taps *copy_h = NULL, *copy_w = NULL;
    RMP_TRY(check_value(g, RMP_OP_RESAMPLE, x));
    rmp_shape in = SHAPE_OF(g, x);
    RMP_CHECK(!h || h->in == in.h, RMP_ERR_ARGUMENT, "resample: taps of %lld rows on %lld", (long long)h->in,
              (long long)in.h);
    RMP_CHECK(!w || w->in == in.w, RMP_ERR_ARGUMENT, "resample: taps of %lld columns on %lld", (long long)w->in,
              (long long)in.w);
    if (h) RMP_TRY_GOTO(rmp_taps_copy(h, &copy_h), failed);
    if (w) RMP_TRY_GOTO(rmp_taps_copy(w, &copy_w), failed);
    rmp_node node = {.op = RMP_OP_RESAMPLE, .shape = {h ? h->out : in.h, w ? w->out : in.w, in.c}};
    node.as.resample.h = copy_h;
    node.as.resample.w = copy_w;
    RMP_TRY_GOTO(append(g, &node, 1, &x, out), failed);
    return RMP_OK;
failed:
    rmp_taps_destroy(&copy_h);
    rmp_taps_destroy(&copy_w);
    return status;
}

rmp_status rmp_graph_attention(rmp_graph *g, rmp_value qkv, int64_t heads, rmp_attention_order order, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_ATTENTION, qkv));
    rmp_shape in = SHAPE_OF(g, qkv);
    RMP_CHECK(heads >= 1 && in.c % 3 == 0 && (in.c / 3) % heads == 0, RMP_ERR_ARGUMENT,
              "attention: %lld channels are not 3 times %lld heads", (long long)in.c, (long long)heads);
    RMP_CHECK(order == RMP_QKV_PER_HEAD || order == RMP_QKV_BLOCKS, RMP_ERR_ARGUMENT, "attention: order %d",
              (int)order);
    rmp_node node = {.op = RMP_OP_ATTENTION, .shape = {in.h, in.w, in.c / 3}};
    node.as.attention.heads = heads;
    node.as.attention.order = order;
    return append(g, &node, 1, &qkv, out);
}

rmp_status rmp_graph_linear(rmp_graph *g, rmp_value x, const rmp_tensor *weight, const rmp_tensor *bias, rmp_value *out)
{
    char text[128];
    RMP_TRY(check_value(g, RMP_OP_LINEAR, x));
    RMP_CHECK(weight, RMP_ERR_ARGUMENT, "linear: no weight");
    int64_t length = rmp_shape_count(SHAPE_OF(g, x));
    RMP_CHECK(weight->rank == 2 && weight->dims[0] >= 1 && weight->dims[1] == length, RMP_ERR_ARGUMENT,
              "linear: weight %s on %lld numbers", rmp_tensor_shape_text(weight, text, sizeof text), (long long)length);
    if (bias) RMP_TRY(check_vector(RMP_OP_LINEAR, "bias", bias, weight->dims[0]));
    rmp_node node = {.op = RMP_OP_LINEAR, .shape = {1, 1, weight->dims[0]}};
    node.as.linear.weight = weight;
    node.as.linear.bias = bias;
    return append(g, &node, 1, &x, out);
}

rmp_status rmp_graph_multiply(rmp_graph *g, rmp_value x, rmp_value m, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_MULTIPLY, x));
    RMP_TRY(check_constant(g, RMP_OP_MULTIPLY, "mask", m));
    rmp_shape in = SHAPE_OF(g, x), mask = SHAPE_OF(g, m);
    RMP_CHECK(mask.h == in.h && mask.w == in.w && (mask.c == in.c || mask.c == 1), RMP_ERR_ARGUMENT,
              "multiply: mask " SHAPE_FORMAT " on " SHAPE_FORMAT, SHAPE_ARGS(mask), SHAPE_ARGS(in));
    return append(g, &(rmp_node){.op = RMP_OP_MULTIPLY, .shape = in}, 2, (rmp_value[]){x, m}, out);
}

rmp_status rmp_graph_clip(rmp_graph *g, rmp_value x, double lo, double hi, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_CLIP, x));
    RMP_CHECK(lo < hi, RMP_ERR_ARGUMENT, "clip: empty range [%g, %g]", lo, hi);
    rmp_node node = {.op = RMP_OP_CLIP, .shape = SHAPE_OF(g, x)};
    node.as.lin.a = lo;
    node.as.lin.b = hi;
    return append(g, &node, 1, &x, out);
}

rmp_status rmp_graph_leaky_relu(rmp_graph *g, rmp_value x, double slope, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_LEAKY_RELU, x));
    RMP_CHECK(slope >= 0 && slope < 1, RMP_ERR_ARGUMENT, "leaky_relu: slope %g", slope);
    rmp_node node = {.op = RMP_OP_LEAKY_RELU, .shape = SHAPE_OF(g, x)};
    node.as.lin.a = slope;
    return append(g, &node, 1, &x, out);
}

rmp_status rmp_graph_tanh(rmp_graph *g, rmp_value x, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_TANH, x));
    return append(g, &(rmp_node){.op = RMP_OP_TANH, .shape = SHAPE_OF(g, x)}, 1, &x, out);
}

rmp_status rmp_graph_pixel_shuffle(rmp_graph *g, rmp_value x, int64_t factor, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_PIXEL_SHUFFLE, x));
    RMP_TRY(check_factor(RMP_OP_PIXEL_SHUFFLE, factor));
    rmp_shape in = SHAPE_OF(g, x);
    RMP_CHECK(in.c % (factor * factor) == 0, RMP_ERR_ARGUMENT,
              "pixel_shuffle: %lld channels are no multiple of %lld x %lld", (long long)in.c, (long long)factor,
              (long long)factor);
    rmp_node node = {.op = RMP_OP_PIXEL_SHUFFLE, .shape = {in.h * factor, in.w * factor, in.c / (factor * factor)}};
    node.as.factor = factor;
    return append(g, &node, 1, &x, out);
}

/* Windows along one direction; 0 if none fits. */
static int64_t pool_windows(int64_t length, const rmp_max_pool *pool)
{
    const int64_t room = length + 2 * pool->pad - pool->kernel + (pool->ceil ? pool->stride - 1 : 0);
    if (room < 0) return 0;
    const int64_t windows = room / pool->stride + 1;
    return (windows - 1) * pool->stride < length + pool->pad ? windows : windows - 1;
}

rmp_status rmp_graph_max_pool(rmp_graph *g, rmp_value x, const rmp_max_pool *pool, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_MAX_POOL, x));
    const int64_t most = 1 << 20;
    RMP_CHECK(pool->kernel >= 1 && pool->kernel <= most && pool->stride >= 1 && pool->stride <= most &&
                  pool->pad >= 0 && pool->pad <= pool->kernel / 2,
              RMP_ERR_ARGUMENT, "max_pool: kernel %lld, stride %lld, pad %lld", (long long)pool->kernel,
              (long long)pool->stride, (long long)pool->pad);
    rmp_shape in = SHAPE_OF(g, x);
    rmp_node node = {.op = RMP_OP_MAX_POOL, .shape = {pool_windows(in.h, pool), pool_windows(in.w, pool), in.c}};
    RMP_CHECK(node.shape.h >= 1 && node.shape.w >= 1, RMP_ERR_ARGUMENT,
              "max_pool: a window of %lld does not fit into %lld x %lld pixels", (long long)pool->kernel,
              (long long)in.h, (long long)in.w);
    node.as.pool = *pool;
    return append(g, &node, 1, &x, out);
}

rmp_status rmp_graph_unit_channels(rmp_graph *g, rmp_value x, double eps, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_UNIT_CHANNELS, x));
    RMP_CHECK(eps > 0 && isfinite(eps), RMP_ERR_ARGUMENT, "unit_channels: eps %g", eps);
    rmp_node node = {.op = RMP_OP_UNIT_CHANNELS, .shape = SHAPE_OF(g, x)};
    node.as.eps = eps;
    return append(g, &node, 1, &x, out);
}

rmp_status rmp_graph_square(rmp_graph *g, rmp_value x, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_SQUARE, x));
    return append(g, &(rmp_node){.op = RMP_OP_SQUARE, .shape = SHAPE_OF(g, x)}, 1, &x, out);
}

rmp_status rmp_graph_power(rmp_graph *g, rmp_value x, double exponent, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_POWER, x));
    RMP_CHECK(exponent > 0 && isfinite(exponent), RMP_ERR_ARGUMENT, "power: exponent %g", exponent);
    rmp_node node = {.op = RMP_OP_POWER, .shape = SHAPE_OF(g, x)};
    node.as.lin.a = exponent;
    return append(g, &node, 1, &x, out);
}

rmp_status rmp_graph_fft_magnitude(rmp_graph *g, rmp_value x, int64_t pad_h, int64_t pad_w, rmp_value *out)
{
    RMP_TRY(check_value(g, RMP_OP_FFT_MAGNITUDE, x));
    const int64_t most = 1 << 20; /* a side's square fits an index, and more is no image */
    const rmp_shape in = SHAPE_OF(g, x);
    RMP_CHECK(pad_h >= 0 && pad_w >= 0 && pad_h <= most && pad_w <= most && in.h <= most && in.w <= most,
              RMP_ERR_ARGUMENT, "fft_magnitude: padding %lld and %lld of %lld x %lld pixels", (long long)pad_h,
              (long long)pad_w, (long long)in.h, (long long)in.w);
    const rmp_node node = {.op = RMP_OP_FFT_MAGNITUDE, .shape = {in.h + 2 * pad_h, in.w + 2 * pad_w, in.c}};
    return append(g, &node, 1, &x, out);
}

rmp_status rmp_graph_output(rmp_graph *g, rmp_value value)
{
    RMP_CHECK(value >= 0 && value < g->count, RMP_ERR_ARGUMENT, "graph: result %d is not one of its %d values",
              (int)value, (int)g->count);
    RMP_CHECK(g->result == RMP_NONE, RMP_ERR_ARGUMENT, "graph: it has a result already");
    g->result = value;
    return RMP_OK;
}

int32_t rmp_graph_size(const rmp_graph *g) { return g->count; }

int rmp_graph_inputs(const rmp_graph *g) { return g->input_count; }

rmp_value rmp_graph_input_value(const rmp_graph *g, int input)
{
    return input >= 0 && input < g->input_count ? g->inputs[input] : RMP_NONE;
}

rmp_value rmp_graph_result(const rmp_graph *g) { return g->result; }

const rmp_node *rmp_graph_node(const rmp_graph *g, rmp_value value)
{
    return value >= 0 && value < g->count ? g->nodes[value] : NULL;
}

rmp_shape rmp_graph_shape(const rmp_graph *g, rmp_value value)
{
    return value >= 0 && value < g->count ? SHAPE_OF(g, value) : (rmp_shape){0, 0, 0};
}

double rmp_graph_flop(const rmp_graph *g)
{
    double total = 0;
    for (int32_t i = 0; i < g->count; i++) {
        const rmp_node *node = g->nodes[i];
        double results = (double)rmp_shape_count(node->shape);
        if (node->op == RMP_OP_CONV2D) {
            const rmp_tensor *weight = node->as.conv.weight;
            const int64_t reads = rmp_tensor_count(weight) / weight->dims[0]; /* for each result */
            total += 2 * results * (double)reads;
        } else if (node->op == RMP_OP_LINEAR) {
            total += 2 * results * (double)node->as.linear.weight->dims[1];
        } else if (node->op == RMP_OP_ATTENTION) {
            total += 4 * results * (double)(node->shape.h * node->shape.w); /* q k^T and P v */
        }
    }
    return total;
}
