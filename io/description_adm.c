#include "io/description.h"

#include <string.h>

/* Arguments that change nothing when a trained network is evaluated, or that have one value that can be. */
static rmp_status neutral_argument(const char *key, const json_t *value, bool *known)
{
    bool boolean = false;
    RMP_TRY(rmp_json_dropout(key, value, known));
    if (*known) return RMP_OK;
    *known = true;
    if (strcmp(key, "use_checkpoint") == 0 || strcmp(key, "use_fp16") == 0)
        return rmp_json_boolean(key, value, &boolean);
    if (strcmp(key, "dims") == 0) {
        RMP_CHECK(json_is_integer(value) && json_integer_value(value) == 2, RMP_ERR_FORMAT,
                  "dims: only 2 is supported");
        return RMP_OK;
    }
    if (strcmp(key, "num_classes") == 0) {
        RMP_CHECK(json_is_null(value), RMP_ERR_FORMAT,
                  "num_classes: only null is supported (no class-conditional networks)");
        return RMP_OK;
    }
    *known = false;
    return RMP_OK;
}

/* Arguments of guided-diffusion's scripts, not of its network. */
static rmp_status script_argument(const char *key, const json_t *value, bool *known)
{
    static const struct {
        const char *key, *hint;
    } elsewhere[] = {{"num_channels", "is called model_channels here"},
                     {"diffusion_steps", "belongs in schedule.steps"},
                     {"noise_schedule", "belongs in schedule.kind"},
                     {"timestep_respacing", "belongs to the sampler, not to the network"}};
    static const char *const off[] = {"class_cond", "predict_xstart", "rescale_timesteps"};
    static const char *const plain[] = {"use_kl", "rescale_learned_sigmas", "learn_sigma", NULL};
    bool boolean = false;
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        RMP_CHECK(strcmp(key, elsewhere[i].key) != 0, RMP_ERR_FORMAT, "arguments: '%s' %s", key, elsewhere[i].hint);
    *known = rmp_json_listed(key, plain);
    if (*known) return rmp_json_boolean(key, value, &boolean);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        if (strcmp(key, off[i]) != 0) continue;
        *known = true;
        RMP_TRY(rmp_json_boolean(key, value, &boolean));
        RMP_CHECK(!boolean, RMP_ERR_FORMAT, "%s: only false is supported", key);
    }
    return RMP_OK;
}

static rmp_status check_learn_sigma(json_t *value, const rmp_adm_config *c)
{
    const int64_t wanted = (json_is_true(value) ? 2 : 1) * c->in_channels;
    RMP_CHECK(!value || c->out_channels == wanted, RMP_ERR_FORMAT, "learn_sigma: %s means %lld out_channels, not %lld",
              json_is_true(value) ? "true" : "false", (long long)wanted, (long long)c->out_channels);
    return RMP_OK;
}

static rmp_status argument(rmp_adm_config *c, const char *key, const json_t *value)
{
    const int64_t most = 1 << 20;
    const rmp_json_integer_key integers[] = {{"image_size", 1, &c->image_size},
                                             {"in_channels", 1, &c->in_channels},
                                             {"model_channels", 1, &c->model_channels},
                                             {"out_channels", 1, &c->out_channels},
                                             {"num_res_blocks", 1, &c->num_res_blocks},
                                             {"num_heads", -1, &c->num_heads},
                                             {"num_head_channels", -1, &c->num_head_channels},
                                             {"num_heads_upsample", -1, &c->num_heads_upsample},
                                             {NULL, 0, NULL}};
    const rmp_json_number_key numbers[] = {{NULL, NULL}};
    const rmp_json_boolean_key booleans[] = {{"conv_resample", &c->conv_resample},
                                             {"use_scale_shift_norm", &c->use_scale_shift_norm},
                                             {"resblock_updown", &c->resblock_updown},
                                             {"use_new_attention_order", &c->use_new_attention_order},
                                             {NULL, NULL}};
    bool known = false;
    if (strcmp(key, "attention_resolutions") == 0)
        return rmp_json_integers(key, value, most, RMP_ADM_MAX_LEVELS, c->attention_resolutions, &c->attention_count);
    if (strcmp(key, "channel_mult") == 0) {
        RMP_TRY(rmp_json_integers(key, value, 1 << 10, RMP_ADM_MAX_LEVELS, c->channel_mult, &c->levels));
        RMP_CHECK(c->levels > 0, RMP_ERR_FORMAT, "channel_mult: at least one integer is needed");
        return RMP_OK;
    }
    RMP_TRY(rmp_json_plain(key, value, integers, numbers, booleans, &known));
    if (!known) RMP_TRY(neutral_argument(key, value, &known));
    if (!known) RMP_TRY(script_argument(key, value, &known));
    return known ? RMP_OK : rmp_json_unknown("arguments", key);
}

static rmp_status arguments(json_t *object, rmp_description *d)
{
    static const char *const needed[] = {
        "image_size", "in_channels", "model_channels", "out_channels", "num_res_blocks", "attention_resolutions", NULL};
    static const int64_t mult[] = {1, 2, 4, 8}; /* the original's default */
    rmp_adm_config *c = &d->config.adm;
    const char *key;
    json_t *value;
    RMP_TRY(rmp_json_needed("arguments", object, needed));
    rmp_adm_defaults(c);
    c->levels = sizeof mult / sizeof *mult;
    memcpy(c->channel_mult, mult, sizeof mult);
    json_object_foreach(object, key, value) RMP_TRY(argument(c, key, value));
    return check_learn_sigma(json_object_get(object, "learn_sigma"), c);
}

static rmp_status list(const rmp_description *d, rmp_weights *weights) { return rmp_adm_list(&d->config.adm, weights); }

static rmp_status create(const rmp_description *d, rmp_weights *weights, rmp_net **out)
{
    return rmp_adm_create(&d->config.adm, weights, out);
}

const rmp_architecture rmp_architecture_adm = {"adm", "guided-diffusion UNetModel", arguments, list, create};
