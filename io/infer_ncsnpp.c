#include "io/infer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every published network has attention where the image is 16 x 16: that tells the size it was trained for.
 *
 * Walks all_modules in the order in which the constructor of score_sde's NCSNpp appends them. Networks of BigGAN blocks
 * only: those are all that were published with weights. */
enum { MAX_LEVELS = 16, ATTENTION_SIZE = 16 };

static const char LIST[] = "all_modules.";

typedef struct shape {
    const rmp_weights *weights;
    int64_t at; /* of the walk */
    bool fourier;
    int64_t nf, channels, res_blocks, levels;
    int64_t mult[MAX_LEVELS];
    bool attention[MAX_LEVELS];
    const char *input, *output; /* progressive_input, progressive */
} shape;

static const rmp_tensor *part(const shape *s, const char *suffix)
{
    return rmp_infer_find(s->weights, LIST, s->at, suffix);
}

static bool is_attention(const shape *s) { return part(s, ".NIN_3.W") != NULL; }

static bool is_res(const shape *s) { return part(s, ".GroupNorm_0.weight") && part(s, ".Conv_1.weight"); }

/* A residual block that resamples has a shortcut convolution although its channels stay. */
static bool is_resampling(const shape *s)
{
    return is_res(s) && part(s, ".Conv_2.weight") &&
           rmp_infer_dim(part(s, ".GroupNorm_0.weight"), 0) == rmp_infer_dim(part(s, ".Conv_0.weight"), 0);
}

static rmp_status lost(const shape *s)
{
    return RMP_FAIL(RMP_ERR_FORMAT,
                    "looks like an NCSN++ network, but all_modules.%" PRId64 " is not what follows there in one of "
                    "BigGAN blocks; others need a description in NAME.json",
                    s->at);
}

static rmp_status walk_embedding(shape *s)
{
    s->fourier = rmp_infer_dim(part(s, ".W"), 0) > 0;
    s->nf = s->fourier ? rmp_infer_dim(part(s, ".W"), 0) : rmp_infer_dim(part(s, ".weight"), 1);
    s->at += s->fourier ? 3 : 2;
    const rmp_tensor *conv = part(s, ".weight");
    s->channels = rmp_infer_dim(conv, 1);
    if (s->nf == 0 || !conv || conv->rank != 4 || conv->dims[0] != s->nf) return lost(s);
    s->at++;
    return RMP_OK;
}

/* The residual blocks of a level; how many there are is counted on the first one. */
static rmp_status walk_level(shape *s)
{
    const int64_t level = s->levels;
    int64_t blocks = 0;
    if (level == MAX_LEVELS) return lost(s);
    while (is_res(s) && !is_resampling(s) && (level == 0 || blocks < s->res_blocks)) {
        const int64_t channels = rmp_infer_dim(part(s, ".Conv_0.weight"), 0);
        if (channels % s->nf != 0 || channels == 0) return lost(s);
        s->mult[level] = channels / s->nf;
        s->at++;
        blocks++;
        if (!is_attention(s)) continue;
        s->attention[level] = true;
        s->at++;
    }
    if (level == 0) s->res_blocks = blocks;
    if (blocks == 0 || blocks != s->res_blocks) return lost(s);
    s->levels++;
    return RMP_OK;
}

/* What the image that goes along is added by. */
static void walk_input(shape *s)
{
    const rmp_tensor *conv = part(s, ".Conv_0.weight");
    s->input = "none";
    if (part(s, ".Conv2d_0.weight") || (!is_res(s) && rmp_infer_dim(conv, 3) == 3))
        s->input = "residual";
    else if (!is_res(s) && rmp_infer_dim(conv, 3) == 1)
        s->input = "input_skip";
    if (strcmp(s->input, "none") != 0) s->at++;
}

static rmp_status walk_up(shape *s)
{
    for (int i = 0; i < 3; i++, s->at++)
        if (i == 1 ? !is_attention(s) : !is_res(s)) return lost(s);
    for (int64_t i = 0; i <= s->res_blocks; i++, s->at++)
        if (!is_res(s) || is_resampling(s)) return lost(s);
    if (is_attention(s)) s->at++;
    const rmp_tensor *norm = part(s, ".weight");
    s->output = "none";
    if (!norm || norm->rank != 1) return RMP_OK;
    s->at++;
    s->output = rmp_infer_dim(part(s, ".weight"), 0) == s->channels ? "output_skip" : "residual";
    return RMP_OK;
}

static rmp_status walk(shape *s)
{
    RMP_TRY(walk_embedding(s));
    RMP_TRY(walk_level(s));
    while (is_resampling(s)) {
        s->at++;
        walk_input(s);
        RMP_TRY(walk_level(s));
    }
    if (s->levels < 2) return lost(s);
    return walk_up(s);
}

typedef struct noise {
    double sigma_min, sigma_max;
    int64_t scales;
    bool by_sigma, fir, labels;
    int64_t image_size;
} noise;

/* As people wrote it: the file has exp(log(348)). */
static double rounded(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", value);
    return strtod(text, NULL);
}

static void read_levels(const rmp_weights *weights, noise *n)
{
    const rmp_tensor *sigmas = rmp_weights_find(weights, "sigmas");
    if (!sigmas || sigmas->rank != 1 || sigmas->dims[0] < 2 || !sigmas->data) return;
    const double first = rmp_tensor_at(sigmas, 0), last = rmp_tensor_at(sigmas, sigmas->dims[0] - 1);
    if (!isfinite(first) || !isfinite(last) || fmin(first, last) <= 0) return; /* must be given then */
    n->scales = sigmas->dims[0];
    n->sigma_max = rounded(fmax(first, last));
    n->sigma_min = rounded(fmin(first, last));
}

static rmp_status decide(const shape *s, const json_t *given, noise *n)
{
    const json_t *model = json_object_get(given, "model"), *data = json_object_get(given, "data");
    const json_t *by_sigma = json_object_get(model, "scale_by_sigma"), *fir = json_object_get(model, "fir");
    const json_t *min = json_object_get(model, "sigma_min"), *max = json_object_get(model, "sigma_max");
    const json_t *scales = json_object_get(model, "num_scales"), *size = json_object_get(data, "image_size");
    RMP_CHECK(s->fourier || (by_sigma && fir), RMP_ERR_FORMAT,
              "its tensors do not determine whether its noise preserves variance (VP) or explodes (VE): give "
              "model.scale_by_sigma (VP false, VE true) and model.fir (NCSN++ true, DDPM++ false), for instance --set "
              "model.scale_by_sigma=false --set model.fir=true");
    *n = (noise){.sigma_min = 0.01, .by_sigma = true, .fir = true};
    read_levels(s->weights, n);
    if (by_sigma) n->by_sigma = json_is_true(by_sigma);
    if (fir) n->fir = json_is_true(fir);
    n->labels = !s->fourier && n->by_sigma;
    if (json_is_number(min)) n->sigma_min = json_number_value(min);
    if (json_is_number(max)) n->sigma_max = json_number_value(max);
    if (json_is_integer(scales)) n->scales = json_integer_value(scales);
    if (!s->fourier && !n->by_sigma && n->scales == 0) n->scales = 1000;
    RMP_CHECK(n->scales > 0 && (n->sigma_max > 0 || (!s->fourier && !n->by_sigma)), RMP_ERR_FORMAT,
              "has no buffer 'sigmas': give model.sigma_max and model.num_scales (--set model.sigma_max=348 --set "
              "model.num_scales=2000 for FFHQ-256)");
    if (n->sigma_max <= 0) n->sigma_max = 50; /* not used by VP */
    for (int64_t level = 0; level < s->levels; level++)
        if (s->attention[level] && n->image_size == 0) n->image_size = (int64_t)ATTENTION_SIZE << level;
    if (json_is_integer(size)) n->image_size = json_integer_value(size);
    RMP_CHECK(n->image_size > 0 && n->image_size % ((int64_t)1 << (s->levels - 1)) == 0, RMP_ERR_FORMAT,
              "its tensors do not determine what size it was trained for: give data.image_size (--set "
              "data.image_size=256)");
    return RMP_OK;
}

static json_t *make_arguments(const shape *s, const noise *n)
{
    json_t *mult = json_array(), *attention = json_array();
    for (int64_t level = 0; level < s->levels; level++) {
        json_array_append_new(mult, json_integer(s->mult[level]));
        if (s->attention[level]) json_array_append_new(attention, json_integer(n->image_size >> level));
    }
    json_t *model = json_pack("{s:I, s:o, s:I, s:o, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:f, s:f, s:I}", "nf",
                              (json_int_t)s->nf, "ch_mult", mult, "num_res_blocks", (json_int_t)s->res_blocks,
                              "attn_resolutions", attention, "resblock_type", "biggan", "progressive", s->output,
                              "progressive_input", s->input, "embedding_type", s->fourier ? "fourier" : "positional",
                              "fir", (int)n->fir, "skip_rescale", 1, "scale_by_sigma", (int)n->by_sigma, "sigma_min",
                              n->sigma_min, "sigma_max", n->sigma_max, "num_scales", (json_int_t)n->scales);
    return json_pack("{s:o, s:{s:I, s:I, s:b}}", "model", model, "data", "image_size", (json_int_t)n->image_size,
                     "num_channels", (json_int_t)s->channels, "centered", (int)(!s->fourier && !n->by_sigma));
}

static json_t *make_schedule(const shape *s, const noise *n)
{
    if (!s->fourier && !n->by_sigma)
        return json_pack("{s:s, s:I}", "kind", "vp_continuous", "steps", (json_int_t)n->scales);
    json_t *schedule = json_pack("{s:s, s:f, s:f, s:I}", "kind", "ve", "sigma_min", n->sigma_min, "sigma_max",
                                 n->sigma_max, "steps", (json_int_t)n->scales);
    if (n->labels) json_object_set_new(schedule, "labels", json_true());
    return schedule;
}

rmp_status rmp_infer_ncsnpp(const rmp_infer *from, json_t **description)
{
    shape s = {.weights = from->weights, .input = "none", .output = "none"};
    noise n = {0};
    *description = NULL;
    RMP_TRY(walk(&s));
    RMP_TRY(decide(&s, from->given, &n));
    const bool vp = !s.fourier && !n.by_sigma;
    *description = json_pack("{s:s, s:o, s:s, s:o}", "architecture", "ncsnpp", "arguments", make_arguments(&s, &n),
                             "prediction", vp ? "eps" : "score", "schedule", make_schedule(&s, &n));
    RMP_CHECK(*description, RMP_ERR_MEMORY, "no memory for a description");
    return RMP_OK;
}
