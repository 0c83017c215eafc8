#include "core/nets/adm.h"

#include "core/nets/layers.h"

#include <stdio.h>
#include <stdlib.h>

enum { NORM_GROUPS = 32, MAX_CHANNELS = 1 << 20, MAX_RES_BLOCKS = 64 };

static const double norm_eps = 1e-5;

typedef enum kind { KIND_CONV, KIND_RES, KIND_ATTENTION, KIND_DOWN, KIND_UP } kind;

/* One module of input_blocks, middle_block or output_blocks, in the order of execution. */
typedef struct module {
    kind kind;
    int64_t in, out;          /* channels */
    bool pop;                 /* concatenates the last skip to its input */
    bool push;                /* its result is a skip */
    int resample;             /* KIND_RES: -1 down, +1 up, 0 neither */
    int64_t heads;            /* KIND_ATTENTION */
    int64_t offset;           /* KIND_RES: of its part of the conditioning vector */
    rmp_layer norm_in, conv;  /* in_layers of a block; norm and qkv of attention; the convolution of others */
    rmp_layer norm_out, last; /* out_layers; proj_out */
    rmp_layer skip;           /* 1x1, where the channels differ */
} module;

typedef struct adm {
    rmp_net base;
    rmp_adm_config config;
    rmp_layers layers;
    module *modules;
    int count, capacity;
    rmp_layer time_first, time_second, norm_out, conv_out;
} adm;

typedef struct skip_stack { /* channels of the skips */
    int64_t channels[RMP_ADM_MAX_LEVELS * (MAX_RES_BLOCKS + 1) + 1];
    int count;
} skip_stack;

void rmp_adm_defaults(rmp_adm_config *config)
{
    *config =
        (rmp_adm_config){.conv_resample = true, .num_heads = 1, .num_head_channels = -1, .num_heads_upsample = -1};
}

static rmp_status check_config(const rmp_adm_config *c)
{
    RMP_CHECK(c->levels >= 1 && c->levels <= RMP_ADM_MAX_LEVELS, RMP_ERR_CONFIG,
              "adm: channel_mult has %d entries, 1 to %d are possible", c->levels, RMP_ADM_MAX_LEVELS);
    RMP_CHECK(c->attention_count >= 0 && c->attention_count <= RMP_ADM_MAX_LEVELS, RMP_ERR_CONFIG,
              "adm: attention_resolutions has %d entries, at most %d are possible", c->attention_count,
              RMP_ADM_MAX_LEVELS);
    RMP_CHECK(c->image_size >= 1 && c->image_size <= INT32_MAX, RMP_ERR_CONFIG, "adm: image_size %lld",
              (long long)c->image_size);
    RMP_CHECK(c->in_channels >= 1 && c->in_channels <= MAX_CHANNELS, RMP_ERR_CONFIG, "adm: in_channels %lld",
              (long long)c->in_channels);
    RMP_CHECK(c->out_channels >= 1 && c->out_channels <= MAX_CHANNELS, RMP_ERR_CONFIG, "adm: out_channels %lld",
              (long long)c->out_channels);
    RMP_CHECK(c->model_channels >= 2 && c->model_channels <= MAX_CHANNELS, RMP_ERR_CONFIG, "adm: model_channels %lld",
              (long long)c->model_channels);
    RMP_CHECK(c->num_res_blocks >= 0 && c->num_res_blocks <= MAX_RES_BLOCKS, RMP_ERR_CONFIG, "adm: num_res_blocks %lld",
              (long long)c->num_res_blocks);
    for (int i = 0; i < c->levels; i++) {
        int64_t mult = c->channel_mult[i];
        RMP_CHECK(mult >= 1 && mult <= MAX_CHANNELS / c->model_channels, RMP_ERR_CONFIG,
                  "adm: channel_mult %lld of model_channels %lld", (long long)mult, (long long)c->model_channels);
        RMP_CHECK(mult * c->model_channels % NORM_GROUPS == 0, RMP_ERR_CONFIG,
                  "adm: channel_mult %lld of model_channels %lld is no multiple of the %d groups of its norms",
                  (long long)mult, (long long)c->model_channels, NORM_GROUPS);
    }
    RMP_CHECK(c->num_head_channels == -1 || c->num_head_channels >= 1, RMP_ERR_CONFIG, "adm: num_head_channels %lld",
              (long long)c->num_head_channels);
    RMP_CHECK(c->num_heads >= 1 || (c->num_heads == -1 && c->num_head_channels != -1), RMP_ERR_CONFIG,
              "adm: num_heads %lld without num_head_channels", (long long)c->num_heads);
    RMP_CHECK(c->num_heads_upsample == -1 || c->num_heads_upsample >= 1, RMP_ERR_CONFIG, "adm: num_heads_upsample %lld",
              (long long)c->num_heads_upsample);
    return RMP_OK;
}

static rmp_status add_module(adm *net, const module *m, module **out)
{
    if (net->count == net->capacity) {
        int capacity = net->capacity ? 2 * net->capacity : 64;
        module *modules = realloc(net->modules, (size_t)capacity * sizeof *modules);
        RMP_CHECK(modules, RMP_ERR_MEMORY, "out of memory for a network of %d modules", capacity);
        net->modules = modules;
        net->capacity = capacity;
    }
    net->modules[net->count] = *m;
    *out = &net->modules[net->count++];
    return RMP_OK;
}

static rmp_status add_res(adm *net, const char *prefix, int64_t in, int64_t out_channels, int resample, module **out)
{
    module *m = NULL;
    RMP_TRY(add_module(net, &(module){.kind = KIND_RES, .in = in, .out = out_channels, .resample = resample}, &m));
    int64_t numbers = net->config.use_scale_shift_norm ? 2 * out_channels : out_channels;
    int64_t emb = 4 * net->config.model_channels;
    RMP_TRY(rmp_layers_affine(&net->layers, prefix, "in_layers.0", 1, &in, &m->norm_in));
    RMP_TRY(rmp_layers_conv(&net->layers, prefix, "in_layers.2", out_channels, in, 3, &m->conv));
    RMP_TRY(rmp_layers_embedding(&net->layers, prefix, "emb_layers.1", numbers, emb, &m->offset));
    RMP_TRY(rmp_layers_affine(&net->layers, prefix, "out_layers.0", 1, &out_channels, &m->norm_out));
    RMP_TRY(rmp_layers_conv(&net->layers, prefix, "out_layers.3", out_channels, out_channels, 3, &m->last));
    if (in != out_channels)
        RMP_TRY(rmp_layers_conv(&net->layers, prefix, "skip_connection", out_channels, in, 1, &m->skip));
    *out = m;
    return RMP_OK;
}

static rmp_status add_attention(adm *net, const char *prefix, int64_t channels, int64_t num_heads, module **out)
{
    module *m = NULL;
    int64_t width = net->config.num_head_channels;
    if (width != -1) {
        RMP_CHECK(channels % width == 0, RMP_ERR_CONFIG, "adm: num_head_channels %lld does not divide %lld channels",
                  (long long)width, (long long)channels);
        num_heads = channels / width;
    }
    RMP_CHECK(channels % num_heads == 0, RMP_ERR_CONFIG, "adm: %lld heads do not divide %lld channels",
              (long long)num_heads, (long long)channels);
    RMP_TRY(
        add_module(net, &(module){.kind = KIND_ATTENTION, .in = channels, .out = channels, .heads = num_heads}, &m));
    RMP_TRY(rmp_layers_affine(&net->layers, prefix, "norm", 1, &channels, &m->norm_in));
    RMP_TRY(rmp_layers_affine(&net->layers, prefix, "qkv", 3, (int64_t[]){3 * channels, channels, 1}, &m->conv));
    RMP_TRY(rmp_layers_affine(&net->layers, prefix, "proj_out", 3, (int64_t[]){channels, channels, 1}, &m->last));
    *out = m;
    return RMP_OK;
}

/* The end of a level: a block that resamples, a convolution, or no parameters at all. */
static rmp_status add_resample(adm *net, const char *prefix, int64_t channels, int direction, module **out)
{
    if (net->config.resblock_updown) return add_res(net, prefix, channels, channels, direction, out);
    module *m = NULL;
    RMP_TRY(
        add_module(net, &(module){.kind = direction < 0 ? KIND_DOWN : KIND_UP, .in = channels, .out = channels}, &m));
    if (net->config.conv_resample)
        RMP_TRY(rmp_layers_conv(&net->layers, prefix, direction < 0 ? "op" : "conv", channels, channels, 3, &m->conv));
    *out = m;
    return RMP_OK;
}

static bool attends(const rmp_adm_config *config, int64_t factor)
{
    for (int i = 0; i < config->attention_count; i++)
        if (config->attention_resolutions[i] == factor) return true;
    return false;
}

static void push(skip_stack *skips, module *m)
{
    m->push = true;
    skips->channels[skips->count++] = m->out;
}

static rmp_status layout_down(adm *net, skip_stack *skips, int64_t *channels)
{
    char prefix[64];
    const rmp_adm_config *c = &net->config;
    module *m = NULL;
    int64_t ch = c->channel_mult[0] * c->model_channels;
    RMP_TRY(add_module(net, &(module){.kind = KIND_CONV, .in = c->in_channels, .out = ch}, &m));
    RMP_TRY(rmp_layers_conv(&net->layers, "input_blocks.0.", "0", ch, c->in_channels, 3, &m->conv));
    push(skips, m);
    int block = 1;
    for (int level = 0; level < c->levels; level++) {
        int64_t out_channels = c->channel_mult[level] * c->model_channels;
        for (int64_t i = 0; i < c->num_res_blocks; i++, block++) {
            snprintf(prefix, sizeof prefix, "input_blocks.%d.0.", block);
            RMP_TRY(add_res(net, prefix, ch, out_channels, 0, &m));
            ch = out_channels;
            if (attends(c, (int64_t)1 << level)) {
                snprintf(prefix, sizeof prefix, "input_blocks.%d.1.", block);
                RMP_TRY(add_attention(net, prefix, ch, c->num_heads, &m));
            }
            push(skips, m);
        }
        if (level == c->levels - 1) break;
        snprintf(prefix, sizeof prefix, "input_blocks.%d.0.", block++);
        RMP_TRY(add_resample(net, prefix, ch, -1, &m));
        push(skips, m);
    }
    *channels = ch;
    return RMP_OK;
}

static rmp_status layout_middle(adm *net, int64_t ch)
{
    module *m = NULL;
    RMP_TRY(add_res(net, "middle_block.0.", ch, ch, 0, &m));
    RMP_TRY(add_attention(net, "middle_block.1.", ch, net->config.num_heads, &m));
    return add_res(net, "middle_block.2.", ch, ch, 0, &m);
}

static rmp_status layout_up(adm *net, skip_stack *skips, int64_t ch)
{
    char prefix[64];
    const rmp_adm_config *c = &net->config;
    int64_t num_heads = c->num_heads_upsample == -1 ? c->num_heads : c->num_heads_upsample;
    module *m = NULL;
    int block = 0;
    for (int level = c->levels - 1; level >= 0; level--) {
        int64_t out_channels = c->channel_mult[level] * c->model_channels;
        for (int64_t i = 0; i <= c->num_res_blocks; i++, block++) {
            int part = 0;
            snprintf(prefix, sizeof prefix, "output_blocks.%d.%d.", block, part++);
            RMP_TRY(add_res(net, prefix, ch + skips->channels[--skips->count], out_channels, 0, &m));
            m->pop = true;
            ch = out_channels;
            if (attends(c, (int64_t)1 << level)) {
                snprintf(prefix, sizeof prefix, "output_blocks.%d.%d.", block, part++);
                RMP_TRY(add_attention(net, prefix, ch, num_heads, &m));
            }
            if (level > 0 && i == c->num_res_blocks) {
                snprintf(prefix, sizeof prefix, "output_blocks.%d.%d.", block, part);
                RMP_TRY(add_resample(net, prefix, ch, +1, &m));
            }
        }
    }
    return RMP_OK;
}

/* Walks the constructor of the original, in its order. */
static rmp_status layout(adm *net, skip_stack *skips)
{
    const rmp_adm_config *c = &net->config;
    int64_t mc = c->model_channels, emb = 4 * mc, first = c->channel_mult[0] * mc, ch;
    RMP_TRY(rmp_layers_affine(&net->layers, "time_embed.", "0", 2, (int64_t[]){emb, mc}, &net->time_first));
    RMP_TRY(rmp_layers_affine(&net->layers, "time_embed.", "2", 2, (int64_t[]){emb, emb}, &net->time_second));
    RMP_TRY(layout_down(net, skips, &ch));
    RMP_TRY(layout_middle(net, ch));
    RMP_TRY(layout_up(net, skips, ch));
    RMP_TRY(rmp_layers_affine(&net->layers, "out.", "0", 1, &first, &net->norm_out));
    return rmp_layers_conv(&net->layers, "out.", "2", c->out_channels, first, 3, &net->conv_out);
}

static rmp_status norm(rmp_graph *g, rmp_value x, const rmp_layer *a, rmp_value film, int64_t offset, bool silu,
                       rmp_value *out)
{
    rmp_group_norm n = {.gamma = a->weight,
                        .beta = a->bias,
                        .groups = NORM_GROUPS,
                        .eps = norm_eps,
                        .film = film,
                        .film_offset = offset,
                        .silu = silu};
    return rmp_graph_group_norm(g, x, &n, out);
}

static rmp_status resample(rmp_graph *g, rmp_value x, int direction, rmp_value *out)
{
    if (direction < 0) return rmp_graph_avg_pool(g, x, 2, out);
    if (direction > 0) return rmp_graph_upsample(g, x, 2, out);
    *out = x;
    return RMP_OK;
}

/* The skip comes before the last convolution, so that a device can add the one to the other as it is made. */
static rmp_status build_res(const adm *net, rmp_graph *g, const module *m, rmp_value x, rmp_value condition,
                            rmp_value *out)
{
    rmp_value h;
    bool film = net->config.use_scale_shift_norm;
    RMP_TRY(norm(g, x, &m->norm_in, RMP_NONE, 0, true, &h));
    RMP_TRY(resample(g, h, m->resample, &h));
    RMP_TRY(resample(g, x, m->resample, &x));
    RMP_TRY(rmp_layer_conv(g, h, &m->conv, 1, 0, &h));
    if (!film) RMP_TRY(rmp_graph_channel_bias(g, h, condition, m->offset, &h));
    RMP_TRY(norm(g, h, &m->norm_out, film ? condition : RMP_NONE, film ? m->offset : 0, true, &h));
    if (m->skip.weight) RMP_TRY(rmp_layer_conv(g, x, &m->skip, 0, 0, &x));
    RMP_TRY(rmp_layer_conv(g, h, &m->last, 1, 0, &h));
    return rmp_graph_add(g, 1, h, 1, x, out);
}

static rmp_status build_attention(const adm *net, rmp_graph *g, const module *m, rmp_value x, rmp_value *out)
{
    rmp_value h;
    rmp_attention_order order = net->config.use_new_attention_order ? RMP_QKV_BLOCKS : RMP_QKV_PER_HEAD;
    RMP_TRY(norm(g, x, &m->norm_in, RMP_NONE, 0, false, &h));
    RMP_TRY(rmp_layer_conv(g, h, &m->conv, 0, 0, &h));
    RMP_TRY(rmp_graph_attention(g, h, m->heads, order, &h));
    RMP_TRY(rmp_layer_conv(g, h, &m->last, 0, 0, &h));
    return rmp_graph_add(g, 1, h, 1, x, out);
}

static rmp_status build_module(const adm *net, rmp_graph *g, const module *m, rmp_value condition, rmp_value *h)
{
    switch (m->kind) {
    case KIND_CONV:
        return rmp_layer_conv(g, *h, &m->conv, 1, 0, h);
    case KIND_RES:
        return build_res(net, g, m, *h, condition, h);
    case KIND_ATTENTION:
        return build_attention(net, g, m, *h, h);
    case KIND_DOWN:
        if (m->conv.weight) return rmp_layer_stride(g, *h, &m->conv, 1, 1, h);
        return rmp_graph_avg_pool(g, *h, 2, h);
    case KIND_UP:
        RMP_TRY(rmp_graph_upsample(g, *h, 2, h));
        return m->conv.weight ? rmp_layer_conv(g, *h, &m->conv, 1, 0, h) : RMP_OK;
    }
    return RMP_FAIL(RMP_ERR_INTERNAL, "adm: module of kind %d", (int)m->kind);
}

static rmp_status fill_main(const adm *net, rmp_graph *g, rmp_value h, rmp_value condition, int64_t out_channels,
                            rmp_value skips[], rmp_value *out)
{
    int depth = 0;
    for (int i = 0; i < net->count; i++) {
        const module *m = &net->modules[i];
        if (m->pop) RMP_TRY(rmp_graph_concat(g, 2, (rmp_value[]){h, skips[--depth]}, &h));
        RMP_TRY(build_module(net, g, m, condition, &h));
        if (m->push) skips[depth++] = h;
    }
    RMP_TRY(norm(g, h, &net->norm_out, RMP_NONE, 0, true, &h));
    return rmp_layer_conv(g, h, &net->conv_out, 1, out_channels, out);
}

static rmp_status build(const rmp_net *base, rmp_graph *graph, rmp_value x, rmp_value condition, int64_t out_channels,
                        rmp_value *out)
{
    const adm *net = (const adm *)base;
    rmp_value *skips = malloc((size_t)net->count * sizeof *skips);
    RMP_CHECK(skips, RMP_ERR_MEMORY, "out of memory for a network of %d modules", net->count);
    const rmp_status status = fill_main(net, graph, x, condition, out_channels, skips, out);
    free(skips);
    return status;
}

static void time_features(const rmp_net *net, double t, float *features)
{
    rmp_time_positional(t, net->features, 0.0, true, features);
}

static void destroy(rmp_net *base)
{
    adm *net = (adm *)base;
    rmp_graph_destroy(&base->embed);
    rmp_layers_clear(&net->layers);
    free(net->modules);
    free(net);
}

static const rmp_net_ops adm_ops = {.destroy = destroy, .build = build, .time_features = time_features};

static rmp_status lay_out(const rmp_adm_config *config, rmp_weights *weights, bool declare, adm **out)
{
    *out = NULL;
    RMP_TRY(check_config(config));
    adm *net = calloc(1, sizeof *net);
    skip_stack *skips = calloc(1, sizeof *skips);
    rmp_status status = RMP_OK;
    RMP_CHECK_GOTO(net && skips, RMP_ERR_MEMORY, done, "out of memory for a network");
    net->base = (rmp_net){.ops = &adm_ops,
                          .architecture = "adm",
                          .in_channels = config->in_channels,
                          .out_channels = config->out_channels,
                          .multiple = (int64_t)1 << (config->levels - 1),
                          .image_size = config->image_size,
                          .features = config->model_channels};
    net->config = *config;
    net->layers.weights = weights;
    net->layers.declare = declare;
    RMP_TRY_GOTO(layout(net, skips), done);
    net->base.condition = net->layers.condition;
    *out = net;
    net = NULL;
done:
    free(skips);
    if (net) destroy(&net->base);
    return status;
}

rmp_status rmp_adm_create(const rmp_adm_config *config, rmp_weights *weights, rmp_net **out)
{
    adm *net;
    rmp_status status;
    *out = NULL;
    RMP_TRY(lay_out(config, weights, false, &net));
    RMP_TRY_GOTO(rmp_weights_verify(weights), failed);
    net->base.parameters = rmp_weights_parameters(weights);
    RMP_TRY_GOTO(rmp_layers_embed(&net->layers, &net->base, &net->time_first, &net->time_second), failed);
    *out = &net->base;
    return RMP_OK;
failed:
    destroy(&net->base);
    return status;
}

rmp_status rmp_adm_list(const rmp_adm_config *config, rmp_weights *weights)
{
    adm *net;
    RMP_TRY(lay_out(config, weights, true, &net));
    destroy(&net->base);
    return RMP_OK;
}
