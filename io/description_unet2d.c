#include "io/description.h"

#include <string.h>

static const char *const down_types[] = {"DownBlock2D", "AttnDownBlock2D", "SkipDownBlock2D", "AttnSkipDownBlock2D",
                                         NULL};
static const char *const up_types[] = {"UpBlock2D", "AttnUpBlock2D", "SkipUpBlock2D", "AttnSkipUpBlock2D", NULL};
static const char *const embedding_types[] = {"positional", "fourier", NULL};
static const char *const time_shifts[] = {"default", "scale_shift", NULL};
static const char *const middle_types[] = {"UNetMidBlock2D", NULL};

/* Of config.json: what does not touch a trained network of this class. */
static const char *const ignored[] = {"_class_name",
                                      "_diffusers_version",
                                      "_name_or_path",
                                      "num_train_timesteps", /* of time_embedding_type learned only */
                                      "decay",
                                      "min_decay",
                                      "optimization_step",
                                      "update_after_step",
                                      "use_ema_warmup",
                                      "inv_gamma",
                                      "power", /* EMAModel.save_pretrained leaves its own state among the arguments */
                                      NULL};

static rmp_status block_types(const char *key, const json_t *value, const char *const words[], rmp_unet2d_block out[],
                              int *count)
{
    RMP_CHECK(json_is_array(value) && json_array_size(value) <= RMP_UNET2D_MAX_LEVELS, RMP_ERR_FORMAT,
              "%s: a list of at most %d names is needed", key, (int)RMP_UNET2D_MAX_LEVELS);
    *count = (int)json_array_size(value);
    for (int i = 0; i < *count; i++) {
        int choice = 0;
        RMP_TRY(rmp_json_word(key, json_array_get(value, (size_t)i), words, &choice));
        out[i] = (rmp_unet2d_block){.attention = choice % 2 == 1, .skip = choice >= 2};
    }
    return RMP_OK;
}

/* sample_size may be a pair: the larger one. */
static rmp_status sample_size(const json_t *value, int64_t *out)
{
    int64_t sides[2] = {0, 0};
    int count = 0;
    if (json_is_null(value)) return RMP_OK;
    if (!json_is_array(value)) return rmp_json_integer("sample_size", value, 1, 1 << 20, out);
    RMP_TRY(rmp_json_integers("sample_size", value, 1 << 20, 2, sides, &count));
    *out = sides[0] > sides[1] ? sides[0] : sides[1];
    return RMP_OK;
}

/* Options of which one value is supported: null where `word` is NULL. */
static rmp_status fixed_argument(const char *key, const json_t *value, bool *known)
{
    static const struct {
        const char *key, *word;
    } fixed[] = {
        {"downsample_type", "conv"}, {"upsample_type", "conv"}, {"class_embed_type", NULL}, {"num_class_embeds", NULL}};
    static const char *const activations[] = {"silu", "swish", NULL};
    int choice;
    *known = strcmp(key, "act_fn") == 0;
    if (*known) return rmp_json_word(key, value, activations, &choice);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (strcmp(key, fixed[i].key) != 0) continue;
        *known = true;
        if (fixed[i].word) return rmp_json_word(key, value, (const char *const[]){fixed[i].word, NULL}, &choice);
        RMP_CHECK(json_is_null(value), RMP_ERR_FORMAT, "%s: only null is supported (no class-conditional networks)",
                  key);
    }
    return RMP_OK;
}

static rmp_status argument(rmp_unet2d_config *c, const char *key, const json_t *value, int *downs, int *ups)
{
    const rmp_json_integer_key integers[] = {{"in_channels", 1, &c->in_channels},
                                             {"out_channels", 1, &c->out_channels},
                                             {"layers_per_block", 1, &c->layers_per_block},
                                             {"downsample_padding", 0, &c->downsample_padding},
                                             {NULL, 0, NULL}};
    const rmp_json_integer_key optional[] = {{"attention_head_dim", 1, &c->attention_head_dim},
                                             {"norm_num_groups", 1, &c->norm_num_groups},
                                             {"attn_norm_num_groups", 1, &c->attn_norm_num_groups},
                                             {"time_embedding_dim", 1, &c->time_embedding_dim},
                                             {NULL, 0, NULL}};
    const rmp_json_number_key numbers[] = {{"freq_shift", &c->freq_shift},
                                           {"mid_block_scale_factor", &c->mid_block_scale_factor},
                                           {"norm_eps", &c->norm_eps},
                                           {NULL, NULL}};
    const rmp_json_boolean_key booleans[] = {{"center_input_sample", &c->center_input_sample},
                                             {"flip_sin_to_cos", &c->flip_sin_to_cos},
                                             {"add_attention", &c->add_attention},
                                             {NULL, NULL}};
    static const rmp_json_number_key no_numbers[] = {{NULL, NULL}};
    static const rmp_json_boolean_key no_booleans[] = {{NULL, NULL}};
    int choice = 0;
    bool known = false;
    if (strcmp(key, "block_out_channels") == 0)
        return rmp_json_integers(key, value, 1 << 20, RMP_UNET2D_MAX_LEVELS, c->block_out_channels, &c->levels);
    if (strcmp(key, "down_block_types") == 0) return block_types(key, value, down_types, c->down, downs);
    if (strcmp(key, "up_block_types") == 0) return block_types(key, value, up_types, c->up, ups);
    if (strcmp(key, "sample_size") == 0) return sample_size(value, &c->sample_size);
    if (strcmp(key, "time_embedding_type") == 0) {
        RMP_TRY(rmp_json_word(key, value, embedding_types, &choice));
        c->fourier = choice == 1;
        return RMP_OK;
    }
    if (strcmp(key, "resnet_time_scale_shift") == 0) {
        RMP_TRY(rmp_json_word(key, value, time_shifts, &choice));
        c->scale_shift = choice == 1;
        return RMP_OK;
    }
    if (strcmp(key, "mid_block_type") == 0) {
        c->no_middle = json_is_null(value);
        return c->no_middle ? RMP_OK : rmp_json_word(key, value, middle_types, &choice);
    }
    for (int i = 0; json_is_null(value) && optional[i].key; i++)
        if (strcmp(key, optional[i].key) == 0) {
            *optional[i].out = 0;
            return RMP_OK;
        }
    RMP_TRY(rmp_json_plain(key, value, integers, numbers, booleans, &known));
    if (!known) RMP_TRY(rmp_json_plain(key, value, optional, no_numbers, no_booleans, &known));
    if (!known) RMP_TRY(rmp_json_dropout(key, value, &known));
    if (!known) RMP_TRY(fixed_argument(key, value, &known));
    return known || rmp_json_listed(key, ignored) ? RMP_OK : rmp_json_unknown("arguments", key);
}

static rmp_status arguments(json_t *object, rmp_description *d)
{
    static const char *const needed[] = {"block_out_channels", "down_block_types", "up_block_types", "layers_per_block",
                                         NULL};
    rmp_unet2d_config *c = &d->config.unet2d;
    rmp_schedule *schedule = &d->diffusion.schedule;
    const char *key;
    json_t *value;
    int downs = 0, ups = 0;
    RMP_TRY(rmp_json_needed("arguments", object, needed));
    rmp_unet2d_defaults(c);
    json_object_foreach(object, key, value) RMP_TRY(argument(c, key, value, &downs, &ups));
    RMP_CHECK(downs == c->levels && ups == c->levels, RMP_ERR_FORMAT,
              "down_block_types, up_block_types and block_out_channels: %d, %d and %d entries, not the same number",
              downs, ups, c->levels);
    if (c->sample_size == 0) c->sample_size = (int64_t)1 << (c->levels - 1);
    if (c->fourier) { /* the defaults of diffusers' ScoreSdeVeScheduler */
        d->diffusion.prediction = RMP_PREDICTION_SCORE;
        schedule->kind = RMP_SCHEDULE_VE;
        schedule->sigma_min = 0.01;
        schedule->sigma_max = 1348.0;
        schedule->steps = 2000;
    }
    if (c->center_input_sample) d->diffusion.range[0] = 0.0;
    return RMP_OK;
}

static rmp_status list(const rmp_description *d, rmp_weights *weights)
{
    return rmp_unet2d_list(&d->config.unet2d, weights);
}

static rmp_status create(const rmp_description *d, rmp_weights *weights, rmp_net **out)
{
    return rmp_unet2d_create(&d->config.unet2d, weights, out);
}

const rmp_architecture rmp_architecture_unet2d = {"unet2d", "diffusers UNet2DModel", arguments, list, create};
