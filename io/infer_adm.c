#include "io/infer.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_BLOCKS = 256, MAX_LEVELS = 16, KNOWN_HEAD_CHANNELS = 64, KNOWN_SIZE = 256 };

/* Published checkpoints, by their number of parameters; both have 64 channels a head and saw 256 x 256 pixels. */
static const int64_t KNOWN[] = {93563910, 552814086}; /* ffhq_10m.pt, 256x256_diffusion_uncond.pt */

typedef struct shape { /* of the network */
    int64_t model_channels, in_channels, out_channels, res_blocks, levels;
    int64_t mult[MAX_LEVELS];
    bool attention[MAX_LEVELS];
    bool scale_shift, updown, conv_resample;
} shape;

/* What the k-th block on the way up ends with: does it resample, and how. */
static bool ends_level(const rmp_weights *w, int64_t block, shape *s)
{
    static const char *const norm[] = {".1.in_layers.0.weight", ".2.in_layers.0.weight"};
    static const char *const conv[] = {".1.conv.weight", ".2.conv.weight"};
    for (int i = 0; i < 2; i++) {
        if (rmp_infer_find(w, "output_blocks.", block, norm[i])) s->updown = true;
        if (rmp_infer_find(w, "output_blocks.", block, conv[i])) s->conv_resample = true;
    }
    return s->updown || s->conv_resample;
}

static int64_t count_blocks(const rmp_weights *w)
{
    int64_t count = 0;
    while (count < MAX_BLOCKS && rmp_infer_find(w, "output_blocks.", count, ".0.in_layers.0.weight"))
        count++;
    return count;
}

/* Blocks of a level on the way up, one more than residual blocks on the way down. */
static int64_t blocks_a_level(const rmp_weights *w, int64_t blocks, shape *s)
{
    for (int64_t k = 0; k < blocks; k++)
        if (ends_level(w, k, s)) return k + 1;
    /* Resampling without parameters leaves a hole among the blocks on the way down. */
    for (int64_t k = 1; k < blocks; k++)
        if (!rmp_infer_find(w, "input_blocks.", k, ".0.in_layers.0.weight")) return k;
    s->conv_resample = true; /* one level: nothing is resampled; the original's default */
    return blocks;
}

static rmp_status measure(const rmp_weights *w, shape *s)
{
    *s = (shape){.model_channels = rmp_infer_dim(rmp_weights_find(w, "time_embed.0.weight"), 1),
                 .in_channels = rmp_infer_dim(rmp_weights_find(w, "input_blocks.0.0.weight"), 1),
                 .out_channels = rmp_infer_dim(rmp_weights_find(w, "out.2.weight"), 0)};
    RMP_CHECK(s->model_channels > 0 && s->in_channels > 0 && s->out_channels > 0, RMP_ERR_FORMAT,
              "looks like a guided-diffusion network, but has no time_embed.0.weight, input_blocks.0.0.weight or "
              "out.2.weight of a usual shape");
    RMP_CHECK(!rmp_weights_find(w, "label_emb.weight"), RMP_ERR_FORMAT,
              "is a class-conditional network (label_emb.weight), which is not supported");
    const int64_t blocks = count_blocks(w), each = blocks_a_level(w, blocks, s);
    RMP_CHECK(blocks >= 2 && each >= 2 && blocks % each == 0 && blocks / each <= MAX_LEVELS, RMP_ERR_FORMAT,
              "looks like a guided-diffusion network, but its %" PRId64 " output_blocks are no levels of %" PRId64,
              blocks, each);
    s->res_blocks = each - 1;
    s->levels = blocks / each;
    for (int64_t level = 0; level < s->levels; level++) {
        const int64_t block = 1 + level * each;
        const int64_t channels = rmp_infer_dim(rmp_infer_find(w, "input_blocks.", block, ".0.out_layers.3.weight"), 0);
        RMP_CHECK(channels > 0 && channels % s->model_channels == 0, RMP_ERR_FORMAT,
                  "input_blocks.%" PRId64 ".0.out_layers.3.weight: %" PRId64 " channels, no multiple of %" PRId64,
                  block, channels, s->model_channels);
        s->mult[level] = channels / s->model_channels;
        s->attention[level] = rmp_infer_find(w, "input_blocks.", block, ".1.qkv.weight") != NULL;
    }
    s->scale_shift = rmp_infer_dim(rmp_weights_find(w, "input_blocks.1.0.emb_layers.1.weight"), 0) ==
                     2 * s->mult[0] * s->model_channels;
    if (s->updown) s->conv_resample = true; /* has no effect then */
    return RMP_OK;
}

static bool is_known(const rmp_weights *w)
{
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
        if (rmp_weights_parameters(w) == KNOWN[i]) return true;
    return false;
}

static json_t *make_arguments(const shape *s)
{
    json_t *mult = json_array(), *attention = json_array();
    for (int64_t level = 0; level < s->levels; level++) {
        json_array_append_new(mult, json_integer(s->mult[level]));
        if (s->attention[level]) json_array_append_new(attention, json_integer((json_int_t)1 << level));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:b, s:b, s:b}", "in_channels", (json_int_t)s->in_channels,
                     "model_channels", (json_int_t)s->model_channels, "out_channels", (json_int_t)s->out_channels,
                     "num_res_blocks", (json_int_t)s->res_blocks, "attention_resolutions", attention, "channel_mult",
                     mult, "use_scale_shift_norm", (int)s->scale_shift, "resblock_updown", (int)s->updown,
                     "conv_resample", (int)s->conv_resample);
}

rmp_status rmp_infer_adm(const rmp_infer *from, json_t **description)
{
    shape s = {0};
    *description = NULL;
    RMP_TRY(measure(from->weights, &s));
    const json_t *given = from->given;
    const bool known = is_known(from->weights);
    RMP_CHECK(known || json_object_get(given, "num_head_channels") || json_object_get(given, "num_heads"),
              RMP_ERR_FORMAT,
              "its tensors do not determine how many heads its attention has: give num_head_channels or num_heads "
              "(--set num_head_channels=64 where that is so)");
    RMP_CHECK(known || json_object_get(given, "image_size"), RMP_ERR_FORMAT,
              "its tensors do not determine what size it was trained for: give image_size (--set image_size=256)");
    json_t *arguments = make_arguments(&s);
    int failed = arguments ? 0 : 1;
    if (known && arguments) {
        failed |= json_object_set_new(arguments, "image_size", json_integer(KNOWN_SIZE));
        failed |= json_object_set_new(arguments, "num_head_channels", json_integer(KNOWN_HEAD_CHANNELS));
    }
    *description = json_pack("{s:s, s:o, s:s, s:{s:s, s:f, s:f, s:i}, s:[i, i]}", "architecture", "adm", "arguments",
                             arguments, "prediction", "eps", "schedule", "kind", "vp_linear", "beta_start", 1e-4,
                             "beta_end", 0.02, "steps", 1000, "range", -1, 1);
    RMP_CHECK(!failed && *description, RMP_ERR_MEMORY, "no memory for a description");
    return RMP_OK;
}
