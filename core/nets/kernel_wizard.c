#include "core/nets/kernel_wizard.h"

#include "core/nets/layers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* LEVELS of the UNet; TRUNK: channels behind the first pixel shuffle, whatever nf is; UP: side of the kernels that
 * double the size. */
enum { LEVELS = 5, TRUNK = 64, UP = 4, LAST = 4 };

static const double feature_slope = 0.1, down_slope = 0.2;
static const char other_half[] = "kernel_extractor.";

typedef struct res {
    rmp_layer first, second;
} res;

/* One UnetSkipConnectionBlock. */
typedef struct level {
    rmp_layer down, up; /* up: turned and with exchanged channels, for a plain convolution */
    int64_t outer, inner;
} level;

struct rmp_kernel_wizard {
    rmp_kernel_wizard_config config;
    rmp_layers layers;
    rmp_layer features[3];
    res front[RMP_KERNEL_WIZARD_MAX_BLOCKS], back[RMP_KERNEL_WIZARD_MAX_BLOCKS];
    level level[LEVELS]; /* from the outermost */
    rmp_layer last[LAST];
    int64_t parameters;
};

void rmp_kernel_wizard_defaults(rmp_kernel_wizard_config *config)
{
    *config = (rmp_kernel_wizard_config){.input_nc = 3, .nf = 64, .front_RBs = 10, .back_RBs = 20, .kernel_dim = 512};
}

bool rmp_kernel_wizard_ignores(const char *name) { return strncmp(name, other_half, sizeof other_half - 1) == 0; }

static rmp_status check_size(const char *name, int64_t value, int64_t least, int64_t most)
{
    RMP_CHECK(value >= least && value <= most, RMP_ERR_CONFIG, "kernel_wizard: %s %lld, %lld to %lld are possible",
              name, (long long)value, (long long)least, (long long)most);
    return RMP_OK;
}

static rmp_status check_config(const rmp_kernel_wizard_config *c)
{
    RMP_TRY(check_size("input_nc", c->input_nc, 1, RMP_LAYERS_MAX_CHANNELS));
    RMP_TRY(check_size("nf", c->nf, 1, RMP_LAYERS_MAX_CHANNELS / 8));
    RMP_TRY(check_size("front_RBs", c->front_RBs, 0, RMP_KERNEL_WIZARD_MAX_BLOCKS));
    RMP_TRY(check_size("back_RBs", c->back_RBs, 0, RMP_KERNEL_WIZARD_MAX_BLOCKS));
    RMP_CHECK(c->kernel_dim == 8 * c->nf, RMP_ERR_CONFIG,
              "kernel_wizard: kernel_dim %lld does not fit the UNet, whose innermost level has 8 nf = %lld channels",
              (long long)c->kernel_dim, (long long)(8 * c->nf));
    return RMP_OK;
}

/* ---- tensors ------------------------------------------------------------------------------------------------------
 */

static rmp_status take_numbered(rmp_kernel_wizard *net, const char *prefix, int64_t number, int64_t out_channels,
                                int64_t in_channels, rmp_layer *out)
{
    char name[24];
    snprintf(name, sizeof name, "%lld", (long long)number);
    return rmp_layers_conv(&net->layers, prefix, name, out_channels, in_channels, 3, out);
}

static rmp_status take_res(rmp_kernel_wizard *net, const char *prefix, int64_t first, int64_t count, res out[])
{
    char full[64];
    for (int64_t i = 0; i < count; i++) {
        snprintf(full, sizeof full, "%s%lld.", prefix, (long long)(first + i));
        RMP_TRY(rmp_layers_conv(&net->layers, full, "conv1", net->config.nf, net->config.nf, 3, &out[i].first));
        RMP_TRY(rmp_layers_conv(&net->layers, full, "conv2", net->config.nf, net->config.nf, 3, &out[i].second));
    }
    return RMP_OK;
}

typedef struct owned {
    rmp_tensor tensor;
    float values[];
} owned;

/* (in, out, 4, 4) of a transposed convolution as (out, in, 4, 4) of the convolution that does the same to an image with
 * zeros between its pixels: channels exchanged, each kernel turned by half a turn. */
static rmp_status turn(rmp_kernel_wizard *net, const rmp_tensor *stored, const rmp_tensor **out)
{
    const int64_t in = stored->dims[0], outs = stored->dims[1], taps = (int64_t)UP * UP;
    const size_t bytes = stored->data ? (size_t)rmp_tensor_count(stored) * sizeof(float) : 0;
    *out = NULL;
    if (!net->layers.made) RMP_TRY(rmp_weights_create(&net->layers.made));
    owned *made = malloc(sizeof *made + bytes);
    RMP_CHECK(made, RMP_ERR_MEMORY, "out of memory for %zu bytes of weights", bytes);
    const rmp_status status = rmp_weights_adopt(net->layers.made, made, free);
    if (status != RMP_OK) {
        free(made);
        return status;
    }
    made->tensor = (rmp_tensor){.dtype = RMP_F32, .rank = 4, .dims = {outs, in, UP, UP}};
    if (stored->data) made->tensor.data = made->values;
    for (int64_t i = 0; stored->data && i < in; i++)
        for (int64_t o = 0; o < outs; o++) {
            float *to = made->values + (o * in + i) * taps;
            rmp_tensor_read_f32(stored, (i * outs + o) * taps, taps, to);
            for (int64_t k = 0; k < taps / 2; k++) {
                const float kept = to[k];
                to[k] = to[taps - 1 - k];
                to[taps - 1 - k] = kept;
            }
        }
    *out = &made->tensor;
    return RMP_OK;
}

/* A level and what is inside it, in the order of the state dict: down, inner level, up. Only the outermost has a bias,
 * and no activation before its convolution, which numbers it 0. */
static rmp_status take_level(rmp_kernel_wizard *net, int depth, const char *prefix)
{
    char inner_prefix[96];
    level *l = &net->level[depth];
    const rmp_tensor *stored = NULL;
    RMP_TRY(rmp_layers_tensor(&net->layers, prefix, depth == 0 ? "down.0.weight" : "down.1.weight", 4,
                              (int64_t[]){l->inner, l->outer, UP, UP}, &l->down.weight));
    if (depth + 1 < LEVELS) {
        snprintf(inner_prefix, sizeof inner_prefix, "%ssubmodule.", prefix);
        RMP_TRY(take_level(net, depth + 1, inner_prefix));
    }
    /* joined with the code or, further out, with what the level inside was given */
    RMP_TRY(rmp_layers_tensor(&net->layers, prefix, "up.1.weight", 4, (int64_t[]){2 * l->inner, l->outer, UP, UP},
                              &stored));
    if (stored) RMP_TRY(turn(net, stored, &l->up.weight));
    if (depth > 0) return RMP_OK;
    return rmp_layers_tensor(&net->layers, prefix, "up.1.bias", 1, &l->outer, &l->up.bias);
}

static rmp_status layout(rmp_kernel_wizard *net)
{
    static const int64_t widths[LEVELS + 1] = {1, 1, 2, 4, 8, 8}; /* of nf */
    const rmp_kernel_wizard_config *c = &net->config;
    const int64_t nf = c->nf, behind = c->back_RBs;
    for (int i = 0; i < LEVELS; i++)
        net->level[i] = (level){.outer = widths[i] * nf, .inner = widths[i + 1] * nf};
    for (int i = 0; i < 3; i++) /* each followed by its activation */
        RMP_TRY(take_numbered(net, "feature_extractor.", 2 * i, nf, i == 0 ? c->input_nc : nf, &net->features[i]));
    RMP_TRY(take_res(net, "feature_extractor.", 6, c->front_RBs, net->front));
    RMP_TRY(take_level(net, 0, "adapter.model."));
    RMP_TRY(take_res(net, "recon_trunk.", 0, c->back_RBs, net->back));
    RMP_TRY(take_numbered(net, "recon_trunk.", behind, 4 * nf, nf, &net->last[0]));
    RMP_TRY(take_numbered(net, "recon_trunk.", behind + 3, (int64_t)4 * TRUNK, nf, &net->last[1]));
    RMP_TRY(take_numbered(net, "recon_trunk.", behind + 6, TRUNK, TRUNK, &net->last[2]));
    return take_numbered(net, "recon_trunk.", behind + 8, c->input_nc, TRUNK, &net->last[3]);
}

void rmp_kernel_wizard_destroy(rmp_kernel_wizard **net)
{
    if (!net || !*net) return;
    rmp_layers_clear(&(*net)->layers);
    free(*net);
    *net = NULL;
}

static rmp_status lay_out(const rmp_kernel_wizard_config *config, rmp_weights *weights, bool declare,
                          rmp_kernel_wizard **out)
{
    *out = NULL;
    RMP_TRY(check_config(config));
    rmp_kernel_wizard *net = calloc(1, sizeof *net);
    RMP_CHECK(net, RMP_ERR_MEMORY, "out of memory for a network");
    net->config = *config;
    net->layers.weights = weights;
    net->layers.declare = declare;
    const rmp_status status = layout(net);
    if (status != RMP_OK) {
        rmp_kernel_wizard_destroy(&net);
        return status;
    }
    *out = net;
    return RMP_OK;
}

/* Marks the other half used, whatever its shapes are, and counts the rest. */
static rmp_status pass_over(rmp_kernel_wizard *net, rmp_weights *weights)
{
    const rmp_tensor *found;
    for (int64_t i = 0; i < rmp_weights_count(weights); i++) {
        const rmp_tensor *t = rmp_weights_tensor(weights, i);
        const char *name = rmp_weights_name(weights, i);
        if (rmp_kernel_wizard_ignores(name))
            RMP_TRY(rmp_weights_take(weights, name, t->rank, t->dims, &found));
        else
            net->parameters += rmp_tensor_count(t);
    }
    return RMP_OK;
}

rmp_status rmp_kernel_wizard_create(const rmp_kernel_wizard_config *config, rmp_weights *weights,
                                    rmp_kernel_wizard **out)
{
    rmp_kernel_wizard *net;
    *out = NULL;
    RMP_TRY(lay_out(config, weights, false, &net));
    rmp_status status = pass_over(net, weights);
    if (status == RMP_OK) status = rmp_weights_verify(weights);
    if (status != RMP_OK) {
        rmp_kernel_wizard_destroy(&net);
        return status;
    }
    *out = net;
    return RMP_OK;
}

rmp_status rmp_kernel_wizard_list(const rmp_kernel_wizard_config *config, rmp_weights *weights)
{
    rmp_kernel_wizard *net;
    RMP_TRY(lay_out(config, weights, true, &net));
    rmp_kernel_wizard_destroy(&net);
    return RMP_OK;
}

const rmp_kernel_wizard_config *rmp_kernel_wizard_arguments(const rmp_kernel_wizard *net) { return &net->config; }

int64_t rmp_kernel_wizard_parameters(const rmp_kernel_wizard *net) { return net->parameters; }

rmp_shape rmp_kernel_wizard_code_shape(const rmp_kernel_wizard *net, rmp_shape image)
{
    return (rmp_shape){image.h / RMP_KERNEL_WIZARD_MULTIPLE, image.w / RMP_KERNEL_WIZARD_MULTIPLE,
                       net->config.kernel_dim};
}

/* ---- the graph ----------------------------------------------------------------------------------------------------
 */

static rmp_status append_res(rmp_graph *g, int64_t count, const res block[], rmp_value *x)
{
    rmp_value h;
    for (int64_t i = 0; i < count; i++) {
        RMP_TRY(rmp_layer_conv(g, *x, &block[i].first, 1, 0, &h));
        RMP_TRY(rmp_graph_leaky_relu(g, h, 0.0, &h));
        RMP_TRY(rmp_layer_conv(g, h, &block[i].second, 1, 0, &h));
        RMP_TRY(rmp_graph_add(g, 1, h, 1, *x, x));
    }
    return RMP_OK;
}

/* A transposed convolution, 4 x 4, stride 2, padding 1: zeros behind each pixel, then a convolution. */
static rmp_status append_up(rmp_graph *g, const rmp_layer *up, rmp_value *x)
{
    const rmp_shape in = rmp_graph_shape(g, *x);
    const rmp_conv2d conv = {.weight = up->weight,
                             .bias = up->bias,
                             .stride = 1,
                             .pad_top = 2,
                             .pad_left = 2,
                             .pad_bottom = 1,
                             .pad_right = 1,
                             .groups = 1};
    const double one = 1.0;
    rmp_taps *rows = NULL, *columns = NULL;
    rmp_status status = RMP_OK;
    RMP_TRY_GOTO(rmp_taps_fir(in.h, 1, &one, 1.0, 2, 1, 0, 0, &rows), done);
    RMP_TRY_GOTO(rmp_taps_fir(in.w, 1, &one, 1.0, 2, 1, 0, 0, &columns), done);
    RMP_TRY_GOTO(rmp_graph_resample(g, *x, rows, columns, x), done);
    status = rmp_graph_conv2d(g, *x, &conv, x);
done:
    rmp_taps_destroy(&rows);
    rmp_taps_destroy(&columns);
    return status;
}

/* The original's activations work in place, so that what a level joins to its result is what it was given behind its
 * activation; the ReLU that follows makes both the same. */
static rmp_status append_level(const rmp_kernel_wizard *net, rmp_graph *g, int depth, rmp_value code, rmp_value *x)
{
    const level *l = &net->level[depth];
    const rmp_conv2d down = {.weight = l->down.weight,
                             .stride = 2,
                             .pad_top = 1,
                             .pad_left = 1,
                             .pad_bottom = 1,
                             .pad_right = 1,
                             .groups = 1};
    rmp_value h = *x;
    if (depth > 0) RMP_TRY(rmp_graph_leaky_relu(g, h, down_slope, &h));
    RMP_TRY(rmp_graph_conv2d(g, h, &down, &h));
    if (depth + 1 < LEVELS)
        RMP_TRY(append_level(net, g, depth + 1, code, &h));
    else
        RMP_TRY(rmp_graph_concat(g, 2, (rmp_value[]){h, code}, &h));
    RMP_TRY(rmp_graph_leaky_relu(g, h, 0.0, &h));
    RMP_TRY(append_up(g, &l->up, &h));
    if (depth == 0) return rmp_graph_tanh(g, h, x);
    return rmp_graph_concat(g, 2, (rmp_value[]){h, *x}, x);
}

static rmp_status append_trunk(const rmp_kernel_wizard *net, rmp_graph *g, rmp_value *x)
{
    RMP_TRY(append_res(g, net->config.back_RBs, net->back, x));
    for (int i = 0; i < LAST; i++) {
        RMP_TRY(rmp_layer_conv(g, *x, &net->last[i], 1, 0, x));
        if (i < 2) RMP_TRY(rmp_graph_pixel_shuffle(g, *x, 2, x));
        if (i < LAST - 1) RMP_TRY(rmp_graph_leaky_relu(g, *x, feature_slope, x));
    }
    return RMP_OK;
}

rmp_status rmp_kernel_wizard_append(const rmp_kernel_wizard *net, rmp_graph *graph, rmp_value x, rmp_value code,
                                    rmp_value *out)
{
    const rmp_shape image = rmp_graph_shape(graph, x), have = rmp_graph_shape(graph, code);
    const rmp_shape want = rmp_kernel_wizard_code_shape(net, image);
    RMP_CHECK(image.h >= 1 && image.w >= 1 && image.h % RMP_KERNEL_WIZARD_MULTIPLE == 0 &&
                  image.w % RMP_KERNEL_WIZARD_MULTIPLE == 0,
              RMP_ERR_ARGUMENT, "kernel_wizard: %lld x %lld pixels are no multiple of %d", (long long)image.h,
              (long long)image.w, (int)RMP_KERNEL_WIZARD_MULTIPLE);
    RMP_CHECK(image.c == net->config.input_nc, RMP_ERR_ARGUMENT, "kernel_wizard: %lld input channels, not %lld",
              (long long)net->config.input_nc, (long long)image.c);
    RMP_CHECK(have.h == want.h && have.w == want.w && have.c == want.c, RMP_ERR_ARGUMENT,
              "kernel_wizard: the code is %lldx%lldx%lld, not %lldx%lldx%lld", (long long)have.h, (long long)have.w,
              (long long)have.c, (long long)want.h, (long long)want.w, (long long)want.c);
    rmp_value h = x;
    for (int i = 0; i < 3; i++) {
        if (i == 0)
            RMP_TRY(rmp_layer_conv(graph, h, &net->features[i], 1, 0, &h));
        else
            RMP_TRY(rmp_layer_stride(graph, h, &net->features[i], 1, 1, &h));
        RMP_TRY(rmp_graph_leaky_relu(graph, h, feature_slope, &h));
    }
    RMP_TRY(append_res(graph, net->config.front_RBs, net->front, &h));
    RMP_TRY(append_level(net, graph, 0, code, &h));
    RMP_TRY(append_trunk(net, graph, &h));
    return rmp_graph_add(graph, 1, h, 1, x, out);
}
