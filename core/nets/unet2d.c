#include "core/nets/unet2d.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SKIP_ATTENTION_GROUPS = 32, IMAGE_CHANNELS = 3, MAX_RESNETS = RMP_LAYERS_MAX_BLOCKS + 1 };

static const double half_root = 0.70710678118654752440;
static const rmp_fir skip_fir = {4, {1, 3, 3, 1}};

static const rmp_res_names res_names = {"norm1", "conv1", "time_emb_proj", "norm2", "conv2", "conv_shortcut", false};

/* One entry of down_blocks or up_blocks, or the middle. */
typedef struct block {
    rmp_unet2d_block kind;
    int resnets, attentions;
    rmp_res *res;       /* (resnets) */
    rmp_attend *attend; /* (attentions) */
    bool resamples;
    rmp_res resampler;   /* Skip blocks: resnet_down, resnet_up */
    rmp_layer resample;  /* others: the convolution */
    rmp_layer skip_conv; /* Skip blocks: from and to the image */
    rmp_norm skip_norm;  /* Skip blocks on the way up */
} block;

typedef struct unet2d {
    rmp_net base;
    rmp_unet2d_config config;
    rmp_layers layers;
    const rmp_tensor *frequencies; /* fourier */
    rmp_layer conv_in, time_first, time_second, conv_out;
    rmp_norm norm_out;
    block down[RMP_UNET2D_MAX_LEVELS], up[RMP_UNET2D_MAX_LEVELS], middle;
} unet2d;

void rmp_unet2d_defaults(rmp_unet2d_config *config)
{
    *config = (rmp_unet2d_config){.in_channels = 3,
                                  .out_channels = 3,
                                  .layers_per_block = 2,
                                  .flip_sin_to_cos = true,
                                  .mid_block_scale_factor = 1,
                                  .norm_eps = 1e-5,
                                  .downsample_padding = 1,
                                  .attention_head_dim = 8,
                                  .norm_num_groups = 32,
                                  .add_attention = true};
}

static rmp_status check_size(const char *name, int64_t value, int64_t least, int64_t most)
{
    RMP_CHECK(value >= least && value <= most, RMP_ERR_CONFIG, "unet2d: %s %lld, %lld to %lld are possible", name,
              (long long)value, (long long)least, (long long)most);
    return RMP_OK;
}

static rmp_status check_config(const rmp_unet2d_config *c)
{
    bool skip_down = false, skip_up = false;
    RMP_TRY(check_size("block_out_channels: number of levels", c->levels, 1, RMP_UNET2D_MAX_LEVELS));
    RMP_TRY(check_size("sample_size", c->sample_size, 1, INT32_MAX));
    RMP_TRY(check_size("in_channels", c->in_channels, 1, RMP_LAYERS_MAX_CHANNELS));
    RMP_TRY(check_size("out_channels", c->out_channels, 1, RMP_LAYERS_MAX_CHANNELS));
    RMP_TRY(check_size("layers_per_block", c->layers_per_block, 1, RMP_LAYERS_MAX_BLOCKS));
    RMP_TRY(check_size("downsample_padding", c->downsample_padding, 0, 1));
    RMP_TRY(check_size("attention_head_dim", c->attention_head_dim, 0, RMP_LAYERS_MAX_CHANNELS));
    RMP_TRY(check_size("norm_num_groups", c->norm_num_groups, 0, RMP_LAYERS_MAX_CHANNELS));
    RMP_TRY(check_size("attn_norm_num_groups", c->attn_norm_num_groups, 0, RMP_LAYERS_MAX_CHANNELS));
    RMP_TRY(check_size("time_embedding_dim", c->time_embedding_dim, 0, RMP_LAYERS_MAX_CHANNELS));
    for (int i = 0; i < c->levels; i++) {
        RMP_TRY(check_size("block_out_channels", c->block_out_channels[i], 4, RMP_LAYERS_MAX_CHANNELS));
        skip_down = skip_down || c->down[i].skip;
        skip_up = skip_up || c->up[i].skip;
        RMP_CHECK(c->norm_num_groups > 0 || (c->down[i].skip && c->up[i].skip), RMP_ERR_CONFIG,
                  "unet2d: norm_num_groups is needed by blocks that are no Skip blocks");
    }
    RMP_CHECK(!(skip_down || skip_up) || (c->in_channels == IMAGE_CHANNELS && c->out_channels == IMAGE_CHANNELS),
              RMP_ERR_CONFIG, "unet2d: Skip blocks need in_channels and out_channels 3");
    RMP_CHECK(c->norm_eps > 0.0 && c->mid_block_scale_factor > 0.0, RMP_ERR_CONFIG,
              "unet2d: norm_eps and mid_block_scale_factor must be positive");
    const double half = (double)(c->block_out_channels[0] / 2);
    RMP_CHECK(c->fourier || (c->freq_shift >= 0.0 && c->freq_shift < half), RMP_ERR_CONFIG,
              "unet2d: freq_shift %g, 0 to less than %g are possible", c->freq_shift, half);
    return RMP_OK;
}

static int64_t embedding_size(const rmp_unet2d_config *c)
{
    return c->time_embedding_dim > 0 ? c->time_embedding_dim : 4 * c->block_out_channels[0];
}

static int64_t quarter(int64_t channels) { return channels / 4 < 32 ? channels / 4 : 32; }

/* An attention tensor under its name, or under its name in files from before diffusers 0.17. */
static rmp_status take_linear(unet2d *net, const char *prefix, const char *name, const char *old, int64_t channels,
                              rmp_layer *out)
{
    char full[192];
    snprintf(full, sizeof full, "%s%s.weight", prefix, old);
    const bool is_old = !net->layers.declare && rmp_weights_find(net->layers.weights, full) != NULL;
    return rmp_layers_affine(&net->layers, prefix, is_old ? old : name, 2, (int64_t[]){channels, channels}, out);
}

/* groups 0: without a norm. */
static rmp_status take_attention(unet2d *net, const char *prefix, int64_t channels, int64_t groups, double scale,
                                 rmp_attend *out)
{
    static const char *const names[][2] = {{"to_q", "query"}, {"to_k", "key"}, {"to_v", "value"}};
    const int64_t width = net->config.attention_head_dim > 0 ? net->config.attention_head_dim : channels;
    rmp_layer part[3];
    RMP_CHECK(channels % width == 0, RMP_ERR_CONFIG, "unet2d: attention_head_dim %lld does not divide %lld channels",
              (long long)width, (long long)channels);
    *out = (rmp_attend){.heads = channels / width, .scale = scale};
    if (groups > 0)
        RMP_TRY(
            rmp_layers_norm(&net->layers, prefix, "group_norm", channels, groups, net->config.norm_eps, &out->norm));
    for (int i = 0; i < 3; i++)
        RMP_TRY(take_linear(net, prefix, names[i][0], names[i][1], channels, &part[i]));
    RMP_TRY(rmp_layers_join(&net->layers, 3, part, &out->qkv));
    return take_linear(net, prefix, "to_out.0", "proj_attn", channels, &out->project);
}

static rmp_status allocate(block *b, int resnets, int attentions)
{
    b->resnets = resnets;
    b->attentions = attentions;
    b->res = calloc((size_t)resnets, sizeof *b->res);
    b->attend = calloc((size_t)attentions + 1, sizeof *b->attend);
    RMP_CHECK(b->res && b->attend, RMP_ERR_MEMORY, "out of memory for a block");
    return RMP_OK;
}

static rmp_status take_attentions(unet2d *net, const char *prefix, block *b, int64_t channels, int64_t groups,
                                  double scale)
{
    char name[96];
    for (int i = 0; i < b->attentions; i++) {
        snprintf(name, sizeof name, "%sattentions.%d.", prefix, i);
        RMP_TRY(take_attention(net, name, channels, groups, scale, &b->attend[i]));
    }
    return RMP_OK;
}

static rmp_status take_res(unet2d *net, const char *name, const rmp_res *shape, rmp_res *out)
{
    *out = *shape;
    out->eps = net->config.norm_eps;
    out->film = net->config.scale_shift;
    out->shortcut = out->in != out->out || out->resampling != RMP_SAME_SIZE;
    return rmp_layers_res(&net->layers, name, &res_names, embedding_size(&net->config), out);
}

/* The end of a block: a BigGAN block with FIR, or a convolution. */
static rmp_status take_resampler(unet2d *net, const char *prefix, block *b, int64_t channels, bool down)
{
    char name[96];
    if (!b->kind.skip) {
        snprintf(name, sizeof name, "%s%s.0.", prefix, down ? "downsamplers" : "upsamplers");
        return rmp_layers_conv(&net->layers, name, "conv", channels, channels, 3, &b->resample);
    }
    const rmp_res shape = {.in = channels,
                           .out = channels,
                           .groups_in = quarter(channels),
                           .groups_out = quarter(channels),
                           .scale = half_root,
                           .resampling = down ? RMP_HALVE : RMP_DOUBLE,
                           .fir = &skip_fir};
    snprintf(name, sizeof name, "%s%s.", prefix, down ? "resnet_down" : "resnet_up");
    RMP_TRY(take_res(net, name, &shape, &b->resampler));
    if (down) return rmp_layers_conv(&net->layers, prefix, "skip_conv", channels, IMAGE_CHANNELS, 1, &b->skip_conv);
    RMP_TRY(rmp_layers_conv(&net->layers, prefix, "skip_conv", IMAGE_CHANNELS, channels, 3, &b->skip_conv));
    return rmp_layers_norm(&net->layers, prefix, "skip_norm", channels, quarter(channels), net->config.norm_eps,
                           &b->skip_norm);
}

static rmp_status layout_down(unet2d *net, int level)
{
    const rmp_unet2d_config *c = &net->config;
    block *b = &net->down[level];
    char prefix[32], name[96];
    const int64_t groups = c->norm_num_groups, ch = c->block_out_channels[level];
    int64_t in = c->block_out_channels[level > 0 ? level - 1 : 0];
    b->kind = c->down[level];
    const double scale = b->kind.skip ? half_root : 1.0;
    snprintf(prefix, sizeof prefix, "down_blocks.%d.", level);
    RMP_TRY(allocate(b, (int)c->layers_per_block, b->kind.attention ? (int)c->layers_per_block : 0));
    RMP_TRY(take_attentions(net, prefix, b, ch, b->kind.skip ? SKIP_ATTENTION_GROUPS : groups, scale));
    for (int i = 0; i < b->resnets; i++, in = ch) {
        const rmp_res shape = {.in = in,
                               .out = ch,
                               .groups_in = b->kind.skip ? quarter(in) : groups,
                               .groups_out = b->kind.skip ? quarter(ch) : groups,
                               .scale = scale};
        snprintf(name, sizeof name, "%sresnets.%d.", prefix, i);
        RMP_TRY(take_res(net, name, &shape, &b->res[i]));
    }
    b->resamples = level < c->levels - 1;
    return b->resamples ? take_resampler(net, prefix, b, ch, true) : RMP_OK;
}

/* Blocks on the way up are numbered from the lowest level; `level` counts as on the way down. */
static rmp_status layout_up(unet2d *net, int number)
{
    const rmp_unet2d_config *c = &net->config;
    block *b = &net->up[number];
    char prefix[32], name[96];
    const int level = c->levels - 1 - number;
    const int64_t groups = c->norm_num_groups, ch = c->block_out_channels[level];
    const int64_t last_skip = c->block_out_channels[level > 0 ? level - 1 : 0];
    int64_t in = c->block_out_channels[number > 0 ? level + 1 : level];
    b->kind = c->up[number];
    const double scale = b->kind.skip ? half_root : 1.0;
    const int resnets = (int)c->layers_per_block + 1;
    snprintf(prefix, sizeof prefix, "up_blocks.%d.", number);
    RMP_TRY(allocate(b, resnets, !b->kind.attention ? 0 : b->kind.skip ? 1 : resnets));
    RMP_TRY(take_attentions(net, prefix, b, ch, b->kind.skip ? SKIP_ATTENTION_GROUPS : groups, scale));
    for (int i = 0; i < resnets; i++, in = ch) {
        const int64_t skip = i == resnets - 1 ? last_skip : ch;
        /* The original of AttnSkipUpBlock2D divides only the skip's channels by 4. */
        const int64_t odd = in + skip / 4 < 32 ? in + skip / 4 : 32;
        const rmp_res shape = {.in = in + skip,
                               .out = ch,
                               .groups_in = !b->kind.skip       ? groups
                                            : b->kind.attention ? odd
                                                                : quarter(in + skip),
                               .groups_out = b->kind.skip ? quarter(ch) : groups,
                               .scale = scale};
        snprintf(name, sizeof name, "%sresnets.%d.", prefix, i);
        RMP_TRY(take_res(net, name, &shape, &b->res[i]));
    }
    b->resamples = level > 0;
    return b->resamples ? take_resampler(net, prefix, b, ch, false) : RMP_OK;
}

static rmp_status layout_middle(unet2d *net)
{
    const rmp_unet2d_config *c = &net->config;
    const int64_t ch = c->block_out_channels[c->levels - 1];
    const int64_t groups = c->norm_num_groups > 0 ? c->norm_num_groups : quarter(ch);
    const int64_t attention_groups = c->attn_norm_num_groups > 0 ? c->attn_norm_num_groups
                                     : c->scale_shift            ? 0
                                                                 : groups;
    const double scale = 1.0 / c->mid_block_scale_factor;
    const rmp_res shape = {.in = ch, .out = ch, .groups_in = groups, .groups_out = groups, .scale = scale};
    block *b = &net->middle;
    RMP_TRY(allocate(b, 2, c->add_attention ? 1 : 0));
    RMP_TRY(take_attentions(net, "mid_block.", b, ch, attention_groups, scale));
    RMP_TRY(take_res(net, "mid_block.resnets.0.", &shape, &b->res[0]));
    return take_res(net, "mid_block.resnets.1.", &shape, &b->res[1]);
}

static rmp_status layout_frequencies(unet2d *net)
{
    const int64_t count = net->config.block_out_channels[0];
    const rmp_tensor *second = NULL;
    rmp_weights *weights = net->layers.weights;
    const bool old = !net->layers.declare && rmp_weights_find(weights, "time_proj.W") != NULL;
    if (!old) return rmp_layers_tensor(&net->layers, "time_proj.", "weight", 1, &count, &net->frequencies);
    const bool both = rmp_weights_find(weights, "time_proj.weight") != NULL;
    RMP_TRY(rmp_layers_tensor(&net->layers, "time_proj.", "W", 1, &count, &net->frequencies));
    if (!both) return RMP_OK;
    return rmp_layers_tensor(&net->layers, "time_proj.", "weight", 1, &count, &second);
}

/* The constructor of the original, in its order. */
static rmp_status layout(unet2d *net)
{
    const rmp_unet2d_config *c = &net->config;
    rmp_layers *layers = &net->layers;
    const int64_t first = c->block_out_channels[0], emb = embedding_size(c);
    RMP_TRY(rmp_layers_conv(layers, "", "conv_in", first, c->in_channels, 3, &net->conv_in));
    if (c->fourier) RMP_TRY(layout_frequencies(net));
    RMP_TRY(rmp_layers_affine(layers, "time_embedding.", "linear_1", 2, (int64_t[]){emb, net->base.features},
                              &net->time_first));
    RMP_TRY(rmp_layers_affine(layers, "time_embedding.", "linear_2", 2, (int64_t[]){emb, emb}, &net->time_second));
    for (int i = 0; i < c->levels; i++)
        RMP_TRY(layout_down(net, i));
    for (int i = 0; i < c->levels; i++)
        RMP_TRY(layout_up(net, i));
    if (!c->no_middle) RMP_TRY(layout_middle(net));
    RMP_TRY(rmp_layers_norm(layers, "", "conv_norm_out", first,
                            c->norm_num_groups > 0 ? c->norm_num_groups : quarter(first), c->norm_eps, &net->norm_out));
    return rmp_layers_conv(layers, "", "conv_out", c->out_channels, first, 3, &net->conv_out);
}

typedef struct pass { /* of building: the forward function of the original */
    const unet2d *net;
    rmp_graph *g;
    rmp_value h, condition, pyramid;
    rmp_value skips[RMP_UNET2D_MAX_LEVELS * (MAX_RESNETS + 1) + 1];
    int depth;
    int64_t out_channels;
} pass;

static rmp_status run_down(pass *p, const block *b)
{
    const int64_t pad = p->net->config.downsample_padding;
    rmp_value from_image;
    for (int i = 0; i < b->resnets; i++) {
        RMP_TRY(rmp_layer_res(p->g, p->h, &b->res[i], p->condition, &p->h));
        if (b->attentions > 0) RMP_TRY(rmp_layer_attend(p->g, p->h, &b->attend[i], &p->h));
        p->skips[p->depth++] = p->h;
    }
    if (!b->resamples) return RMP_OK;
    if (!b->kind.skip) {
        RMP_TRY(rmp_layer_stride(p->g, p->h, &b->resample, pad, 1, &p->h));
    } else {
        RMP_TRY(rmp_layer_res(p->g, p->h, &b->resampler, p->condition, &p->h));
        RMP_TRY(rmp_layer_resample(p->g, p->pyramid, RMP_HALVE, &skip_fir, &p->pyramid));
        RMP_TRY(rmp_layer_conv(p->g, p->pyramid, &b->skip_conv, 0, 0, &from_image));
        RMP_TRY(rmp_graph_add(p->g, 1, from_image, 1, p->h, &p->h));
    }
    p->skips[p->depth++] = p->h;
    return RMP_OK;
}

static rmp_status run_middle(pass *p, const block *b)
{
    RMP_TRY(rmp_layer_res(p->g, p->h, &b->res[0], p->condition, &p->h));
    if (b->attentions > 0) RMP_TRY(rmp_layer_attend(p->g, p->h, &b->attend[0], &p->h));
    return rmp_layer_res(p->g, p->h, &b->res[1], p->condition, &p->h);
}

/* a + b, where a may be none. */
static rmp_status sum(rmp_graph *g, rmp_value a, rmp_value b, rmp_value *out)
{
    *out = b;
    return a == RMP_NONE ? RMP_OK : rmp_graph_add(g, 1, b, 1, a, out);
}

static rmp_status run_up(pass *p, const block *b)
{
    rmp_value h;
    for (int i = 0; i < b->resnets; i++) {
        RMP_TRY(rmp_graph_concat(p->g, 2, (rmp_value[]){p->h, p->skips[--p->depth]}, &p->h));
        RMP_TRY(rmp_layer_res(p->g, p->h, &b->res[i], p->condition, &p->h));
        if (b->attentions == b->resnets) RMP_TRY(rmp_layer_attend(p->g, p->h, &b->attend[i], &p->h));
    }
    if (b->attentions == 1) RMP_TRY(rmp_layer_attend(p->g, p->h, &b->attend[0], &p->h));
    if (b->kind.skip && p->pyramid != RMP_NONE)
        RMP_TRY(rmp_layer_resample(p->g, p->pyramid, RMP_DOUBLE, &skip_fir, &p->pyramid));
    if (!b->resamples) return RMP_OK;
    if (!b->kind.skip) {
        RMP_TRY(rmp_graph_upsample(p->g, p->h, 2, &p->h));
        return rmp_layer_conv(p->g, p->h, &b->resample, 1, 0, &p->h);
    }
    RMP_TRY(rmp_layer_norm(p->g, p->h, &b->skip_norm, true, &h));
    RMP_TRY(rmp_layer_conv(p->g, h, &b->skip_conv, 1, p->out_channels, &h));
    RMP_TRY(sum(p->g, p->pyramid, h, &p->pyramid));
    return rmp_layer_res(p->g, p->h, &b->resampler, p->condition, &p->h);
}

static rmp_status run(pass *p, rmp_value *out)
{
    const unet2d *net = p->net;
    if (net->config.center_input_sample) RMP_TRY(rmp_graph_affine(p->g, 2, p->h, -1, &p->h));
    p->pyramid = p->h;
    RMP_TRY(rmp_layer_conv(p->g, p->h, &net->conv_in, 1, 0, &p->h));
    p->skips[p->depth++] = p->h;
    for (int i = 0; i < net->config.levels; i++)
        RMP_TRY(run_down(p, &net->down[i]));
    if (!net->config.no_middle) RMP_TRY(run_middle(p, &net->middle));
    p->pyramid = RMP_NONE;
    for (int i = 0; i < net->config.levels; i++)
        RMP_TRY(run_up(p, &net->up[i]));
    RMP_TRY(rmp_layer_norm(p->g, p->h, &net->norm_out, true, &p->h));
    RMP_TRY(rmp_layer_conv(p->g, p->h, &net->conv_out, 1, p->out_channels, &p->h));
    return sum(p->g, p->pyramid, p->h, out);
}

static rmp_status build(const rmp_net *base, rmp_graph *graph, rmp_value x, rmp_value condition, int64_t out_channels,
                        rmp_value *out)
{
    pass *p = malloc(sizeof *p);
    RMP_CHECK(p, RMP_ERR_MEMORY, "out of memory for a network");
    *p = (pass){.net = (const unet2d *)base, .g = graph, .h = x, .condition = condition, .out_channels = out_channels};
    const rmp_status status = run(p, out);
    free(p);
    return status;
}

static void time_features(const rmp_net *base, double t, float *features)
{
    const unet2d *net = (const unet2d *)base;
    if (net->config.fourier)
        rmp_time_fourier(t, net->frequencies, features);
    else
        rmp_time_positional(t, base->features, net->config.freq_shift, net->config.flip_sin_to_cos, features);
}

static double output_scale(const rmp_net *base, double t)
{
    return ((const unet2d *)base)->config.fourier ? 1.0 / t : 1.0;
}

static void free_block(block *b)
{
    free(b->res);
    free(b->attend);
}

static void destroy(rmp_net *base)
{
    unet2d *net = (unet2d *)base;
    rmp_graph_destroy(&base->embed);
    rmp_layers_clear(&net->layers);
    for (int i = 0; i < RMP_UNET2D_MAX_LEVELS; i++) {
        free_block(&net->down[i]);
        free_block(&net->up[i]);
    }
    free_block(&net->middle);
    free(net);
}

static const rmp_net_ops unet2d_ops = {
    .destroy = destroy, .build = build, .time_features = time_features, .output_scale = output_scale};

static rmp_status lay_out(const rmp_unet2d_config *config, rmp_weights *weights, bool declare, unet2d **out)
{
    *out = NULL;
    RMP_TRY(check_config(config));
    unet2d *net = calloc(1, sizeof *net);
    RMP_CHECK(net, RMP_ERR_MEMORY, "out of memory for a network");
    const int64_t first = config->block_out_channels[0];
    net->base = (rmp_net){.ops = &unet2d_ops,
                          .architecture = "unet2d",
                          .in_channels = config->in_channels,
                          .out_channels = config->out_channels,
                          .multiple = (int64_t)1 << (config->levels - 1),
                          .image_size = config->sample_size,
                          .features = config->fourier ? 2 * first : first,
                          .takes_sigma = config->fourier};
    net->config = *config;
    net->layers.weights = weights;
    net->layers.declare = declare;
    const rmp_status status = layout(net);
    if (status != RMP_OK) {
        destroy(&net->base);
        return status;
    }
    net->base.condition = net->layers.condition;
    *out = net;
    return RMP_OK;
}

rmp_status rmp_unet2d_create(const rmp_unet2d_config *config, rmp_weights *weights, rmp_net **out)
{
    unet2d *net;
    rmp_status status;
    *out = NULL;
    RMP_TRY(lay_out(config, weights, false, &net));
    RMP_TRY_GOTO(rmp_weights_verify(weights), failed);
    const bool twice = rmp_weights_find(weights, "time_proj.W") && rmp_weights_find(weights, "time_proj.weight");
    net->base.parameters = rmp_weights_parameters(weights) - (twice ? config->block_out_channels[0] : 0);
    RMP_TRY_GOTO(rmp_layers_embed(&net->layers, &net->base, &net->time_first, &net->time_second), failed);
    *out = &net->base;
    return RMP_OK;
failed:
    destroy(&net->base);
    return status;
}

rmp_status rmp_unet2d_list(const rmp_unet2d_config *config, rmp_weights *weights)
{
    unet2d *net;
    RMP_TRY(lay_out(config, weights, true, &net));
    destroy(&net->base);
    return RMP_OK;
}
