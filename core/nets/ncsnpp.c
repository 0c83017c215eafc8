#include "core/nets/ncsnpp.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double norm_eps = 1e-6, half_root = 0.70710678118654752440;

static const rmp_res_names biggan_names = {"GroupNorm_0", "Conv_0", "Dense_0", "GroupNorm_1",
                                           "Conv_1",      "Conv_2", false};
static const rmp_res_names ddpm_names = {"GroupNorm_0", "Conv_0", "Dense_0", "GroupNorm_1", "Conv_1", "NIN_0", true};

/* An entry of all_modules; its kind follows from its place. */
typedef struct module {
    union {
        rmp_res res;
        rmp_attend attend;
        rmp_norm norm;
        rmp_layer layer; /* weight NULL: resampling without a convolution */
    } as;
} module;

typedef struct ncsnpp {
    rmp_net base;
    rmp_ncsnpp_config config;
    rmp_layers layers;
    const rmp_tensor *frequencies; /* fourier */
    module *modules;
    int count, capacity; /* of modules; those of the time embedding are not among them */
    int first;           /* number of modules[0] in all_modules */
    rmp_layer time_first, time_second;
} ncsnpp;

typedef struct walk { /* of the constructor */
    int64_t channels, pyramid;
    int64_t skips[RMP_NCSNPP_MAX_LEVELS * (RMP_LAYERS_MAX_BLOCKS + 1) + 1];
    int depth;
} walk;

void rmp_ncsnpp_defaults(rmp_ncsnpp_config *config)
{
    *config = (rmp_ncsnpp_config){.num_channels = 3,
                                  .resamp_with_conv = true,
                                  .skip_rescale = true,
                                  .biggan = true,
                                  .fourier = true,
                                  .sigma_min = 0.01,
                                  .sigma_max = 50,
                                  .num_scales = 1000};
}

static rmp_status check_size(const char *name, int64_t value, int64_t most)
{
    RMP_CHECK(value >= 1 && value <= most, RMP_ERR_CONFIG, "ncsnpp: %s %lld, 1 to %lld are possible", name,
              (long long)value, (long long)most);
    return RMP_OK;
}

static rmp_status check_config(const rmp_ncsnpp_config *c)
{
    RMP_TRY(check_size("ch_mult: number of levels", c->levels, RMP_NCSNPP_MAX_LEVELS));
    RMP_TRY(check_size("image_size", c->image_size, INT32_MAX));
    RMP_TRY(check_size("num_channels", c->num_channels, RMP_LAYERS_MAX_CHANNELS));
    RMP_TRY(check_size("nf", c->nf, RMP_LAYERS_MAX_CHANNELS));
    RMP_TRY(check_size("num_res_blocks", c->num_res_blocks, RMP_LAYERS_MAX_BLOCKS));
    RMP_TRY(check_size("num_scales", c->num_scales, INT32_MAX));
    for (int i = 0; i < c->levels; i++)
        RMP_TRY(check_size("ch_mult", c->ch_mult[i], RMP_LAYERS_MAX_CHANNELS / c->nf));
    RMP_CHECK(c->nf >= 4, RMP_ERR_CONFIG, "ncsnpp: nf %lld, at least 4 are needed", (long long)c->nf);
    RMP_CHECK(c->attention_count >= 0 && c->attention_count <= RMP_NCSNPP_MAX_LEVELS, RMP_ERR_CONFIG,
              "ncsnpp: attn_resolutions has %d entries, at most %d are possible", c->attention_count,
              (int)RMP_NCSNPP_MAX_LEVELS);
    RMP_CHECK(c->fir.taps >= 0 && c->fir.taps <= RMP_FIR_MAX_TAPS && c->fir.taps != 1, RMP_ERR_CONFIG,
              "ncsnpp: fir_kernel has %d entries, 2 to %d are possible", c->fir.taps, (int)RMP_FIR_MAX_TAPS);
    RMP_CHECK(c->sigma_min > 0.0 && c->sigma_min < c->sigma_max && isfinite(c->sigma_max), RMP_ERR_CONFIG,
              "ncsnpp: 0 < sigma_min < sigma_max is needed");
    /* Its transposed convolution is given negative strides. */
    const bool upsamples = (!c->biggan && c->resamp_with_conv) || c->output == RMP_PYRAMID_RESIDUAL;
    RMP_CHECK(c->fir.taps == 0 || !upsamples || c->levels == 1, RMP_ERR_CONFIG,
              "ncsnpp: fir with %s: the original cannot run this",
              c->output == RMP_PYRAMID_RESIDUAL ? "progressive residual" : "resblock_type ddpm");
    return RMP_OK;
}

static int64_t groups_of(int64_t channels) { return channels / 4 < 32 ? channels / 4 : 32; }

static bool attends(const rmp_ncsnpp_config *c, int level)
{
    for (int i = 0; i < c->attention_count; i++)
        if (c->attn_resolutions[i] == c->image_size >> level) return true;
    return false;
}

/* *prefix names the new entry of all_modules. */
static rmp_status add_module(ncsnpp *net, char prefix[32], module **out)
{
    if (net->count == net->capacity) {
        const int capacity = net->capacity ? 2 * net->capacity : 64;
        module *modules = realloc(net->modules, (size_t)capacity * sizeof *modules);
        RMP_CHECK(modules, RMP_ERR_MEMORY, "out of memory for a network of %d modules", capacity);
        net->modules = modules;
        net->capacity = capacity;
    }
    snprintf(prefix, 32, "all_modules.%d.", net->first + net->count);
    *out = &net->modules[net->count++];
    **out = (module){.as = {.layer = {NULL, NULL}}};
    return RMP_OK;
}

static rmp_status add_res(ncsnpp *net, walk *w, int64_t out_channels, rmp_resampling resampling)
{
    const rmp_ncsnpp_config *c = &net->config;
    char prefix[32];
    module *m = NULL;
    RMP_TRY(add_module(net, prefix, &m));
    m->as.res = (rmp_res){.in = w->channels,
                          .out = out_channels,
                          .groups_in = groups_of(w->channels),
                          .groups_out = groups_of(out_channels),
                          .eps = norm_eps,
                          .scale = c->skip_rescale ? half_root : 1.0,
                          .resampling = resampling,
                          .fir = &c->fir,
                          .shortcut = w->channels != out_channels || resampling != RMP_SAME_SIZE};
    w->channels = out_channels;
    return rmp_layers_res(&net->layers, prefix, c->biggan ? &biggan_names : &ddpm_names, 4 * c->nf, &m->as.res);
}

static rmp_status add_attention(ncsnpp *net, const walk *w)
{
    static const char *const names[] = {"NIN_0", "NIN_1", "NIN_2"};
    char prefix[32];
    module *m = NULL;
    rmp_layer part[3];
    const int64_t ch = w->channels;
    RMP_TRY(add_module(net, prefix, &m));
    m->as.attend = (rmp_attend){.heads = 1, .scale = net->config.skip_rescale ? half_root : 1.0};
    RMP_TRY(rmp_layers_norm(&net->layers, prefix, "GroupNorm_0", ch, groups_of(ch), norm_eps, &m->as.attend.norm));
    for (int i = 0; i < 3; i++)
        RMP_TRY(rmp_layers_nin(&net->layers, prefix, names[i], ch, ch, &part[i]));
    RMP_TRY(rmp_layers_join(&net->layers, 3, part, &m->as.attend.qkv));
    return rmp_layers_nin(&net->layers, prefix, "NIN_3", ch, ch, &m->as.attend.project);
}

/* prefix + name is "all_modules.N.weight": an entry that is one layer. */
static rmp_status add_conv(ncsnpp *net, const char *name, int64_t out_channels, int64_t in_channels, int64_t size)
{
    char prefix[32];
    module *m = NULL;
    RMP_TRY(add_module(net, prefix, &m));
    if (name) return rmp_layers_conv(&net->layers, prefix, name, out_channels, in_channels, size, &m->as.layer);
    snprintf(prefix, sizeof prefix, "all_modules.%d", net->first + net->count - 1);
    return rmp_layers_conv(&net->layers, "", prefix, out_channels, in_channels, size, &m->as.layer);
}

static rmp_status add_norm(ncsnpp *net, int64_t channels)
{
    char prefix[32];
    module *m = NULL;
    RMP_TRY(add_module(net, prefix, &m));
    snprintf(prefix, sizeof prefix, "all_modules.%d", net->first + net->count - 1);
    return rmp_layers_norm(&net->layers, "", prefix, channels, groups_of(channels), norm_eps, &m->as.norm);
}

/* Upsample and Downsample of DDPM blocks and residual pyramids. */
static rmp_status add_resample(ncsnpp *net, bool conv, int64_t out_channels, int64_t in_channels)
{
    char prefix[32];
    module *m = NULL;
    if (!conv) return add_module(net, prefix, &m);
    return add_conv(net, net->config.fir.taps > 0 ? "Conv2d_0" : "Conv_0", out_channels, in_channels, 3);
}

static rmp_status layout_down(ncsnpp *net, walk *w)
{
    const rmp_ncsnpp_config *c = &net->config;
    w->pyramid = c->num_channels;
    RMP_TRY(add_conv(net, NULL, c->nf, c->num_channels, 3));
    w->skips[w->depth++] = w->channels = c->nf;
    for (int level = 0; level < c->levels; level++) {
        for (int64_t i = 0; i < c->num_res_blocks; i++) {
            RMP_TRY(add_res(net, w, c->nf * c->ch_mult[level], RMP_SAME_SIZE));
            if (attends(c, level)) RMP_TRY(add_attention(net, w));
            w->skips[w->depth++] = w->channels;
        }
        if (level == c->levels - 1) break;
        if (c->biggan)
            RMP_TRY(add_res(net, w, w->channels, RMP_HALVE));
        else
            RMP_TRY(add_resample(net, c->resamp_with_conv, w->channels, w->channels));
        if (c->input == RMP_PYRAMID_SKIP) {
            RMP_TRY(add_conv(net, "Conv_0", w->channels, w->pyramid, 1));
        } else if (c->input == RMP_PYRAMID_RESIDUAL) {
            RMP_TRY(add_resample(net, true, w->channels, w->pyramid));
            w->pyramid = w->channels;
        }
        w->skips[w->depth++] = w->channels;
    }
    return RMP_OK;
}

static rmp_status layout_pyramid(ncsnpp *net, walk *w, bool lowest)
{
    const bool skip = net->config.output == RMP_PYRAMID_SKIP;
    if (net->config.output == RMP_PYRAMID_NONE) return RMP_OK;
    if (!skip && !lowest) {
        RMP_TRY(add_resample(net, true, w->channels, w->pyramid));
    } else {
        RMP_TRY(add_norm(net, w->channels));
        RMP_TRY(add_conv(net, NULL, skip ? net->config.num_channels : w->channels, w->channels, 3));
    }
    w->pyramid = w->channels;
    return RMP_OK;
}

static rmp_status layout_up(ncsnpp *net, walk *w)
{
    const rmp_ncsnpp_config *c = &net->config;
    for (int level = c->levels - 1; level >= 0; level--) {
        for (int64_t i = 0; i <= c->num_res_blocks; i++) {
            w->channels += w->skips[--w->depth];
            RMP_TRY(add_res(net, w, c->nf * c->ch_mult[level], RMP_SAME_SIZE));
        }
        if (attends(c, level)) RMP_TRY(add_attention(net, w));
        RMP_TRY(layout_pyramid(net, w, level == c->levels - 1));
        if (level == 0) break;
        if (c->biggan)
            RMP_TRY(add_res(net, w, w->channels, RMP_DOUBLE));
        else
            RMP_TRY(add_resample(net, c->resamp_with_conv, w->channels, w->channels));
    }
    if (c->output == RMP_PYRAMID_SKIP) return RMP_OK;
    RMP_TRY(add_norm(net, w->channels));
    return add_conv(net, NULL, c->num_channels, w->channels, 3);
}

/* The constructor of the original, in its order. */
static rmp_status layout(ncsnpp *net, walk *w)
{
    const rmp_ncsnpp_config *c = &net->config;
    rmp_layers *layers = &net->layers;
    const int64_t emb = 4 * c->nf, features = net->base.features;
    if (c->fourier) RMP_TRY(rmp_layers_tensor(layers, "all_modules.", "0.W", 1, &c->nf, &net->frequencies));
    const char *first = c->fourier ? "1" : "0", *second = c->fourier ? "2" : "1";
    RMP_TRY(rmp_layers_affine(layers, "all_modules.", first, 2, (int64_t[]){emb, features}, &net->time_first));
    RMP_TRY(rmp_layers_affine(layers, "all_modules.", second, 2, (int64_t[]){emb, emb}, &net->time_second));
    net->first = c->fourier ? 3 : 2;
    RMP_TRY(layout_down(net, w));
    RMP_TRY(add_res(net, w, w->channels, RMP_SAME_SIZE));
    RMP_TRY(add_attention(net, w));
    RMP_TRY(add_res(net, w, w->channels, RMP_SAME_SIZE));
    return layout_up(net, w);
}

typedef struct pass { /* of building: the forward function of the original */
    const ncsnpp *net;
    rmp_graph *g;
    rmp_value h, condition, pyramid;
    rmp_value skips[RMP_NCSNPP_MAX_LEVELS * (RMP_LAYERS_MAX_BLOCKS + 1) + 1];
    int depth;
    const module *next;
    int64_t out_channels;
} pass;

static rmp_status run_res(pass *p) { return rmp_layer_res(p->g, p->h, &p->next++->as.res, p->condition, &p->h); }

static rmp_status run_attention(pass *p) { return rmp_layer_attend(p->g, p->h, &p->next++->as.attend, &p->h); }

static rmp_status run_down(pass *p, rmp_value x, rmp_value *out)
{
    const rmp_layer *layer = &p->next++->as.layer;
    const rmp_fir *fir = &p->net->config.fir;
    if (!layer->weight) return rmp_layer_resample(p->g, x, RMP_HALVE, fir, out);
    if (fir->taps == 0) return rmp_layer_stride(p->g, x, layer, 0, 1, out);
    RMP_TRY(rmp_layer_filter(p->g, x, fir, &x));
    return rmp_layer_stride(p->g, x, layer, 0, 0, out);
}

static rmp_status run_up(pass *p, rmp_value x, rmp_value *out)
{
    const rmp_layer *layer = &p->next++->as.layer;
    RMP_TRY(rmp_layer_resample(p->g, x, RMP_DOUBLE, &p->net->config.fir, &x));
    if (layer->weight) return rmp_layer_conv(p->g, x, layer, 1, 0, out);
    *out = x;
    return RMP_OK;
}

static rmp_status run_input_pyramid(pass *p)
{
    const rmp_ncsnpp_config *c = &p->net->config;
    const double scale = c->skip_rescale ? half_root : 1.0;
    rmp_value h;
    if (c->input == RMP_PYRAMID_NONE) return RMP_OK;
    if (c->input == RMP_PYRAMID_SKIP) {
        RMP_TRY(rmp_layer_resample(p->g, p->pyramid, RMP_HALVE, &c->fir, &p->pyramid));
        RMP_TRY(rmp_layer_conv(p->g, p->pyramid, &p->next++->as.layer, 0, 0, &h));
        return rmp_graph_add(p->g, 1, h, 1, p->h, &p->h);
    }
    RMP_TRY(run_down(p, p->pyramid, &p->pyramid));
    RMP_TRY(rmp_graph_add(p->g, scale, p->pyramid, scale, p->h, &p->h));
    p->pyramid = p->h;
    return RMP_OK;
}

static rmp_status run_head(pass *p, int64_t out_channels, rmp_value *out)
{
    rmp_value h;
    RMP_TRY(rmp_layer_norm(p->g, p->h, &p->next++->as.norm, true, &h));
    return rmp_layer_conv(p->g, h, &p->next++->as.layer, 1, out_channels, out);
}

static rmp_status run_output_pyramid(pass *p)
{
    const rmp_ncsnpp_config *c = &p->net->config;
    const double scale = c->skip_rescale ? half_root : 1.0;
    const bool lowest = p->pyramid == RMP_NONE;
    rmp_value h;
    if (c->output == RMP_PYRAMID_NONE) return RMP_OK;
    if (lowest) return run_head(p, c->output == RMP_PYRAMID_SKIP ? p->out_channels : 0, &p->pyramid);
    if (c->output == RMP_PYRAMID_SKIP) {
        RMP_TRY(rmp_layer_resample(p->g, p->pyramid, RMP_DOUBLE, &c->fir, &p->pyramid));
        RMP_TRY(run_head(p, p->out_channels, &h));
        return rmp_graph_add(p->g, 1, h, 1, p->pyramid, &p->pyramid);
    }
    RMP_TRY(run_up(p, p->pyramid, &p->pyramid));
    RMP_TRY(rmp_graph_add(p->g, scale, p->pyramid, scale, p->h, &p->h));
    p->pyramid = p->h;
    return RMP_OK;
}

static rmp_status run_levels_down(pass *p)
{
    const rmp_ncsnpp_config *c = &p->net->config;
    RMP_TRY(rmp_layer_conv(p->g, p->h, &p->next++->as.layer, 1, 0, &p->h));
    p->skips[p->depth++] = p->h;
    for (int level = 0; level < c->levels; level++) {
        for (int64_t i = 0; i < c->num_res_blocks; i++) {
            RMP_TRY(run_res(p));
            if (attends(c, level)) RMP_TRY(run_attention(p));
            p->skips[p->depth++] = p->h;
        }
        if (level == c->levels - 1) break;
        if (c->biggan)
            RMP_TRY(run_res(p));
        else
            RMP_TRY(run_down(p, p->h, &p->h));
        RMP_TRY(run_input_pyramid(p));
        p->skips[p->depth++] = p->h;
    }
    return RMP_OK;
}

static rmp_status run_levels_up(pass *p, rmp_value *out)
{
    const rmp_ncsnpp_config *c = &p->net->config;
    p->pyramid = RMP_NONE;
    for (int level = c->levels - 1; level >= 0; level--) {
        for (int64_t i = 0; i <= c->num_res_blocks; i++) {
            RMP_TRY(rmp_graph_concat(p->g, 2, (rmp_value[]){p->h, p->skips[--p->depth]}, &p->h));
            RMP_TRY(run_res(p));
        }
        if (attends(c, level)) RMP_TRY(run_attention(p));
        RMP_TRY(run_output_pyramid(p));
        if (level == 0) break;
        if (c->biggan)
            RMP_TRY(run_res(p));
        else
            RMP_TRY(run_up(p, p->h, &p->h));
    }
    if (c->output != RMP_PYRAMID_SKIP) return run_head(p, p->out_channels, out);
    *out = p->pyramid;
    return RMP_OK;
}

static rmp_status run(pass *p, rmp_value *out)
{
    if (!p->net->config.centered) RMP_TRY(rmp_graph_affine(p->g, 2, p->h, -1, &p->h));
    p->pyramid = p->h;
    RMP_TRY(run_levels_down(p));
    RMP_TRY(run_res(p));
    RMP_TRY(run_attention(p));
    RMP_TRY(run_res(p));
    return run_levels_up(p, out);
}

static rmp_status build(const rmp_net *base, rmp_graph *graph, rmp_value x, rmp_value condition, int64_t out_channels,
                        rmp_value *out)
{
    const ncsnpp *net = (const ncsnpp *)base;
    pass *p = malloc(sizeof *p);
    RMP_CHECK(p, RMP_ERR_MEMORY, "out of memory for a network of %d modules", net->count);
    *p = (pass){
        .net = net, .g = graph, .h = x, .condition = condition, .next = net->modules, .out_channels = out_channels};
    const rmp_status status = run(p, out);
    free(p);
    return status;
}

static void time_features(const rmp_net *base, double t, float *features)
{
    const ncsnpp *net = (const ncsnpp *)base;
    if (net->config.fourier)
        rmp_time_fourier(t, net->frequencies, features);
    else
        rmp_time_positional(t, base->features, 1.0, false, features);
}

static double output_scale(const rmp_net *base, double t)
{
    const rmp_ncsnpp_config *c = &((const ncsnpp *)base)->config;
    if (!c->scale_by_sigma) return 1.0;
    if (c->fourier) return 1.0 / t;
    /* sigmas[(long)t], geometric from sigma_max at 0 to sigma_min */
    const double last = (double)(c->num_scales - 1), label = fmin(fmax(trunc(t), 0.0), last);
    const double along = last > 0.0 ? label / last : 0.0;
    return exp((along - 1.0) * log(c->sigma_max) - along * log(c->sigma_min));
}

static void destroy(rmp_net *base)
{
    ncsnpp *net = (ncsnpp *)base;
    rmp_graph_destroy(&base->embed);
    rmp_layers_clear(&net->layers);
    free(net->modules);
    free(net);
}

static const rmp_net_ops ncsnpp_ops = {
    .destroy = destroy, .build = build, .time_features = time_features, .output_scale = output_scale};

static rmp_status lay_out(const rmp_ncsnpp_config *config, rmp_weights *weights, bool declare, ncsnpp **out)
{
    *out = NULL;
    RMP_TRY(check_config(config));
    ncsnpp *net = calloc(1, sizeof *net);
    walk *w = calloc(1, sizeof *w);
    rmp_status status = RMP_OK;
    RMP_CHECK_GOTO(net && w, RMP_ERR_MEMORY, done, "out of memory for a network");
    net->base = (rmp_net){.ops = &ncsnpp_ops,
                          .architecture = "ncsnpp",
                          .in_channels = config->num_channels,
                          .out_channels = config->num_channels,
                          .multiple = (int64_t)1 << (config->levels - 1),
                          .image_size = config->image_size,
                          .features = config->fourier ? 2 * config->nf : config->nf,
                          .takes_sigma = config->fourier};
    net->config = *config;
    net->layers.weights = weights;
    net->layers.declare = declare;
    RMP_TRY_GOTO(layout(net, w), done);
    net->base.condition = net->layers.condition;
    *out = net;
    net = NULL;
done:
    free(w);
    if (net) destroy(&net->base);
    return status;
}

rmp_status rmp_ncsnpp_create(const rmp_ncsnpp_config *config, rmp_weights *weights, rmp_net **out)
{
    ncsnpp *net;
    rmp_status status;
    const rmp_tensor *sigmas;
    *out = NULL;
    RMP_TRY(lay_out(config, weights, false, &net));
    const bool buffer = rmp_weights_find(weights, "sigmas") != NULL;
    if (buffer) RMP_TRY_GOTO(rmp_weights_take(weights, "sigmas", 1, &config->num_scales, &sigmas), failed);
    RMP_TRY_GOTO(rmp_weights_verify(weights), failed);
    net->base.parameters = rmp_weights_parameters(weights) - (buffer ? config->num_scales : 0);
    RMP_TRY_GOTO(rmp_layers_embed(&net->layers, &net->base, &net->time_first, &net->time_second), failed);
    *out = &net->base;
    return RMP_OK;
failed:
    destroy(&net->base);
    return status;
}

rmp_status rmp_ncsnpp_list(const rmp_ncsnpp_config *config, rmp_weights *weights)
{
    ncsnpp *net;
    RMP_TRY(lay_out(config, weights, true, &net));
    destroy(&net->base);
    return RMP_OK;
}
