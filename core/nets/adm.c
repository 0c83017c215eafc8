#include "core/nets/adm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NORM_GROUPS = 32, MAX_CHANNELS = 1 << 20, MAX_RES_BLOCKS = 64 };

static const double norm_eps = 1e-5;

typedef struct affine { /* a convolution, a linear layer or a normalisation */
    const rmp_tensor *weight, *bias;
} affine;

typedef enum kind { KIND_CONV, KIND_RES, KIND_ATTENTION, KIND_DOWN, KIND_UP } kind;

/* One module of input_blocks, middle_block or output_blocks, in the order of execution. */
typedef struct module {
    kind kind;
    int64_t in, out;       /* channels */
    bool pop;              /* concatenates the last skip to its input */
    bool push;             /* its result is a skip */
    int resample;          /* KIND_RES: -1 down, +1 up, 0 neither */
    int64_t heads;         /* KIND_ATTENTION */
    int64_t offset;        /* KIND_RES: of its part of the conditioning vector */
    affine norm_in, conv;  /* in_layers of a block; norm and qkv of attention; the convolution of others */
    affine embed;          /* emb_layers */
    affine norm_out, last; /* out_layers; proj_out */
    affine skip;           /* 1x1, where the channels differ */
} module;

typedef struct adm {
    rmp_net base;
    rmp_adm_config config;
    module *modules;
    int count, capacity;
    affine time_first, time_second, norm_out, conv_out;
} adm;

/* Where the layout gets its tensors: taken from a complete set, or declared in an empty one. */
typedef struct source {
    rmp_weights *weights;
    bool declare;
    int64_t skips[RMP_ADM_MAX_LEVELS * (MAX_RES_BLOCKS + 1) + 1]; /* channels of the skips, a stack */
    int skip_count;
} source;

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

static rmp_status fetch(source *from, const char *prefix, const char *suffix, int rank, const int64_t dims[],
                        const rmp_tensor **out)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s", prefix, suffix);
    *out = NULL;
    if (!from->declare) return rmp_weights_take(from->weights, name, rank, dims, out);
    rmp_tensor tensor = {.dtype = RMP_F32, .rank = rank};
    for (int i = 0; i < rank; i++)
        tensor.dims[i] = dims[i];
    return rmp_weights_add(from->weights, name, &tensor);
}

static rmp_status fetch_affine(source *from, const char *prefix, const char *layer, int rank, const int64_t dims[],
                               affine *out)
{
    char suffix[48];
    snprintf(suffix, sizeof suffix, "%s.weight", layer);
    RMP_TRY(fetch(from, prefix, suffix, rank, dims, &out->weight));
    snprintf(suffix, sizeof suffix, "%s.bias", layer);
    return fetch(from, prefix, suffix, 1, dims, &out->bias);
}

static rmp_status fetch_conv(source *from, const char *prefix, const char *layer, int64_t out_channels,
                             int64_t in_channels, int64_t size, affine *out)
{
    return fetch_affine(from, prefix, layer, 4, (int64_t[]){out_channels, in_channels, size, size}, out);
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

static rmp_status add_res(adm *net, source *from, const char *prefix, int64_t in, int64_t out_channels, int resample,
                          module **out)
{
    module *m = NULL;
    RMP_TRY(add_module(net, &(module){.kind = KIND_RES, .in = in, .out = out_channels, .resample = resample}, &m));
    int64_t numbers = net->config.use_scale_shift_norm ? 2 * out_channels : out_channels;
    int64_t emb = 4 * net->config.model_channels;
    m->offset = net->base.condition;
    net->base.condition += numbers;
    RMP_TRY(fetch_affine(from, prefix, "in_layers.0", 1, &in, &m->norm_in));
    RMP_TRY(fetch_conv(from, prefix, "in_layers.2", out_channels, in, 3, &m->conv));
    RMP_TRY(fetch_affine(from, prefix, "emb_layers.1", 2, (int64_t[]){numbers, emb}, &m->embed));
    RMP_TRY(fetch_affine(from, prefix, "out_layers.0", 1, &out_channels, &m->norm_out));
    RMP_TRY(fetch_conv(from, prefix, "out_layers.3", out_channels, out_channels, 3, &m->last));
    if (in != out_channels) RMP_TRY(fetch_conv(from, prefix, "skip_connection", out_channels, in, 1, &m->skip));
    *out = m;
    return RMP_OK;
}

static rmp_status add_attention(adm *net, source *from, const char *prefix, int64_t channels, int64_t num_heads,
                                module **out)
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
    RMP_TRY(fetch_affine(from, prefix, "norm", 1, &channels, &m->norm_in));
    RMP_TRY(fetch_affine(from, prefix, "qkv", 3, (int64_t[]){3 * channels, channels, 1}, &m->conv));
    RMP_TRY(fetch_affine(from, prefix, "proj_out", 3, (int64_t[]){channels, channels, 1}, &m->last));
    *out = m;
    return RMP_OK;
}

/* The end of a level: a block that resamples, a convolution, or no parameters at all. */
static rmp_status add_resample(adm *net, source *from, const char *prefix, int64_t channels, int direction,
                               module **out)
{
    if (net->config.resblock_updown) return add_res(net, from, prefix, channels, channels, direction, out);
    module *m = NULL;
    RMP_TRY(
        add_module(net, &(module){.kind = direction < 0 ? KIND_DOWN : KIND_UP, .in = channels, .out = channels}, &m));
    if (net->config.conv_resample)
        RMP_TRY(fetch_conv(from, prefix, direction < 0 ? "op" : "conv", channels, channels, 3, &m->conv));
    *out = m;
    return RMP_OK;
}

static bool attends(const rmp_adm_config *config, int64_t factor)
{
    for (int i = 0; i < config->attention_count; i++)
        if (config->attention_resolutions[i] == factor) return true;
    return false;
}

static void push(source *from, module *m)
{
    m->push = true;
    from->skips[from->skip_count++] = m->out;
}

static rmp_status layout_down(adm *net, source *from, int64_t *channels)
{
    char prefix[64];
    const rmp_adm_config *c = &net->config;
    module *m = NULL;
    int64_t ch = c->channel_mult[0] * c->model_channels;
    RMP_TRY(add_module(net, &(module){.kind = KIND_CONV, .in = c->in_channels, .out = ch}, &m));
    RMP_TRY(fetch_conv(from, "input_blocks.0.", "0", ch, c->in_channels, 3, &m->conv));
    push(from, m);
    int block = 1;
    for (int level = 0; level < c->levels; level++) {
        int64_t out_channels = c->channel_mult[level] * c->model_channels;
        for (int64_t i = 0; i < c->num_res_blocks; i++, block++) {
            snprintf(prefix, sizeof prefix, "input_blocks.%d.0.", block);
            RMP_TRY(add_res(net, from, prefix, ch, out_channels, 0, &m));
            ch = out_channels;
            if (attends(c, (int64_t)1 << level)) {
                snprintf(prefix, sizeof prefix, "input_blocks.%d.1.", block);
                RMP_TRY(add_attention(net, from, prefix, ch, c->num_heads, &m));
            }
            push(from, m);
        }
        if (level == c->levels - 1) break;
        snprintf(prefix, sizeof prefix, "input_blocks.%d.0.", block++);
        RMP_TRY(add_resample(net, from, prefix, ch, -1, &m));
        push(from, m);
    }
    *channels = ch;
    return RMP_OK;
}

static rmp_status layout_middle(adm *net, source *from, int64_t ch)
{
    module *m = NULL;
    RMP_TRY(add_res(net, from, "middle_block.0.", ch, ch, 0, &m));
    RMP_TRY(add_attention(net, from, "middle_block.1.", ch, net->config.num_heads, &m));
    return add_res(net, from, "middle_block.2.", ch, ch, 0, &m);
}

static rmp_status layout_up(adm *net, source *from, int64_t ch)
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
            RMP_TRY(add_res(net, from, prefix, ch + from->skips[--from->skip_count], out_channels, 0, &m));
            m->pop = true;
            ch = out_channels;
            if (attends(c, (int64_t)1 << level)) {
                snprintf(prefix, sizeof prefix, "output_blocks.%d.%d.", block, part++);
                RMP_TRY(add_attention(net, from, prefix, ch, num_heads, &m));
            }
            if (level > 0 && i == c->num_res_blocks) {
                snprintf(prefix, sizeof prefix, "output_blocks.%d.%d.", block, part);
                RMP_TRY(add_resample(net, from, prefix, ch, +1, &m));
            }
        }
    }
    return RMP_OK;
}

/* Walks the constructor of the original, in its order. */
static rmp_status layout(adm *net, source *from)
{
    const rmp_adm_config *c = &net->config;
    int64_t mc = c->model_channels, emb = 4 * mc, first = c->channel_mult[0] * mc, ch;
    RMP_TRY(fetch_affine(from, "time_embed.", "0", 2, (int64_t[]){emb, mc}, &net->time_first));
    RMP_TRY(fetch_affine(from, "time_embed.", "2", 2, (int64_t[]){emb, emb}, &net->time_second));
    RMP_TRY(layout_down(net, from, &ch));
    RMP_TRY(layout_middle(net, from, ch));
    RMP_TRY(layout_up(net, from, ch));
    RMP_TRY(fetch_affine(from, "out.", "0", 1, &first, &net->norm_out));
    return fetch_conv(from, "out.", "2", c->out_channels, first, 3, &net->conv_out);
}

static rmp_status conv(rmp_graph *g, rmp_value x, const affine *a, int64_t pad, int64_t stride, int64_t out_channels,
                       rmp_value *out)
{
    rmp_conv2d c = {.weight = a->weight,
                    .bias = a->bias,
                    .stride = stride,
                    .pad_top = pad,
                    .pad_left = pad,
                    .pad_bottom = pad,
                    .pad_right = pad,
                    .groups = 1,
                    .out_channels = out_channels};
    return rmp_graph_conv2d(g, x, &c, out);
}

static rmp_status norm(rmp_graph *g, rmp_value x, const affine *a, rmp_value film, int64_t offset, bool silu,
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
    RMP_TRY(conv(g, h, &m->conv, 1, 1, 0, &h));
    if (!film) RMP_TRY(rmp_graph_channel_bias(g, h, condition, m->offset, &h));
    RMP_TRY(norm(g, h, &m->norm_out, film ? condition : RMP_NONE, film ? m->offset : 0, true, &h));
    if (m->skip.weight) RMP_TRY(conv(g, x, &m->skip, 0, 1, 0, &x));
    RMP_TRY(conv(g, h, &m->last, 1, 1, 0, &h));
    return rmp_graph_add(g, 1, h, 1, x, out);
}

static rmp_status build_attention(const adm *net, rmp_graph *g, const module *m, rmp_value x, rmp_value *out)
{
    rmp_value h;
    rmp_attention_order order = net->config.use_new_attention_order ? RMP_QKV_BLOCKS : RMP_QKV_PER_HEAD;
    RMP_TRY(norm(g, x, &m->norm_in, RMP_NONE, 0, false, &h));
    RMP_TRY(conv(g, h, &m->conv, 0, 1, 0, &h));
    RMP_TRY(rmp_graph_attention(g, h, m->heads, order, &h));
    RMP_TRY(conv(g, h, &m->last, 0, 1, 0, &h));
    return rmp_graph_add(g, 1, h, 1, x, out);
}

static rmp_status build_module(const adm *net, rmp_graph *g, const module *m, rmp_value condition, rmp_value *h)
{
    switch (m->kind) {
    case KIND_CONV:
        return conv(g, *h, &m->conv, 1, 1, 0, h);
    case KIND_RES:
        return build_res(net, g, m, *h, condition, h);
    case KIND_ATTENTION:
        return build_attention(net, g, m, *h, h);
    case KIND_DOWN:
        if (m->conv.weight) return conv(g, *h, &m->conv, 1, 2, 0, h);
        return rmp_graph_avg_pool(g, *h, 2, h);
    case KIND_UP:
        RMP_TRY(rmp_graph_upsample(g, *h, 2, h));
        return m->conv.weight ? conv(g, *h, &m->conv, 1, 1, 0, h) : RMP_OK;
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
    return conv(g, h, &net->conv_out, 1, 1, out_channels, out);
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

/* emb, then the part of each block; the SiLU that every block applies to emb is the same one. */
static rmp_status fill_embed(adm *net)
{
    rmp_graph *g = net->base.embed;
    rmp_value h;
    RMP_TRY(rmp_graph_input(g, (rmp_shape){1, 1, net->base.features}, &h));
    RMP_TRY(rmp_graph_linear(g, h, net->time_first.weight, net->time_first.bias, &h));
    RMP_TRY(rmp_graph_silu(g, h, &h));
    RMP_TRY(rmp_graph_linear(g, h, net->time_second.weight, net->time_second.bias, &net->base.embed_emb));
    RMP_TRY(rmp_graph_silu(g, net->base.embed_emb, &h));
    rmp_value *parts = malloc((size_t)net->count * sizeof *parts);
    RMP_CHECK(parts, RMP_ERR_MEMORY, "out of memory for a network of %d modules", net->count);
    rmp_status status = RMP_OK;
    int count = 0;
    for (int i = 0; i < net->count; i++) {
        const module *m = &net->modules[i];
        if (m->kind != KIND_RES) continue;
        RMP_TRY_GOTO(rmp_graph_linear(g, h, m->embed.weight, m->embed.bias, &parts[count++]), done);
    }
    RMP_TRY_GOTO(rmp_graph_concat(g, count, parts, &h), done);
    status = rmp_graph_output(g, h);
done:
    free(parts);
    return status;
}

/* cos first, then sin; an odd length ends with a zero, as in the original. */
static void time_features(const rmp_net *net, double t, float *features)
{
    int64_t half = net->features / 2;
    for (int64_t i = 0; i < half; i++) {
        double angle = t * exp(-log(10000.0) * (double)i / (double)half);
        features[i] = (float)cos(angle);
        features[half + i] = (float)sin(angle);
    }
    if (net->features % 2) features[net->features - 1] = 0;
}

static void destroy(rmp_net *base)
{
    adm *net = (adm *)base;
    rmp_graph_destroy(&base->embed);
    free(net->modules);
    free(net);
}

static const rmp_net_ops adm_ops = {.destroy = destroy, .build = build, .time_features = time_features};

static rmp_status lay_out(const rmp_adm_config *config, rmp_weights *weights, bool declare, adm **out)
{
    *out = NULL;
    RMP_TRY(check_config(config));
    adm *net = calloc(1, sizeof *net);
    source *from = calloc(1, sizeof *from);
    rmp_status status = RMP_OK;
    RMP_CHECK_GOTO(net && from, RMP_ERR_MEMORY, done, "out of memory for a network");
    net->base = (rmp_net){.ops = &adm_ops,
                          .architecture = "adm",
                          .in_channels = config->in_channels,
                          .out_channels = config->out_channels,
                          .multiple = (int64_t)1 << (config->levels - 1),
                          .image_size = config->image_size,
                          .features = config->model_channels};
    net->config = *config;
    from->weights = weights;
    from->declare = declare;
    RMP_TRY_GOTO(layout(net, from), done);
    *out = net;
    net = NULL;
done:
    free(from);
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
    RMP_TRY_GOTO(rmp_graph_create(&net->base.embed), failed);
    RMP_TRY_GOTO(fill_embed(net), failed);
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
