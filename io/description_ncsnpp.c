#include "io/description.h"

#include <string.h>

/* Of the original's configuration files: what does not touch a trained network. */
static const char *const model_ignored[] = {"ema_rate",  "init_scale", /* of training */
                                            "conv_size",               /* NCSNpp never reads it */
                                            "t0",        "t1",         "sigma_begin", "sigma_end", /* other networks */
                                            NULL};
static const char *const data_ignored[] = {"dataset",        "random_flip", "uniform_dequantization",
                                           "tfrecords_path", "category",    NULL};

static const char *const resblock_types[] = {"ddpm", "biggan", NULL};
static const char *const embedding_types[] = {"positional", "fourier", NULL};
static const char *const inputs[] = {"none", "input_skip", "residual", NULL};
static const char *const outputs[] = {"none", "output_skip", "residual", NULL};

static rmp_status fir_kernel(const json_t *value, rmp_fir *fir)
{
    RMP_CHECK(json_array_size(value) >= 2 && json_array_size(value) <= RMP_FIR_MAX_TAPS, RMP_ERR_FORMAT,
              "fir_kernel: a list of 2 to %d numbers is needed", (int)RMP_FIR_MAX_TAPS);
    fir->taps = (int)json_array_size(value);
    for (int i = 0; i < fir->taps; i++)
        RMP_TRY(rmp_json_number("fir_kernel", json_array_get(value, (size_t)i), &fir->kernel[i]));
    return RMP_OK;
}

/* Options that have one value in every published configuration. */
static rmp_status fixed_argument(const char *key, const json_t *value, bool *known)
{
    static const struct {
        const char *key, *word;
    } fixed[] = {{"name", "ncsnpp"},
                 {"nonlinearity", "swish"},
                 {"normalization", "GroupNorm"},
                 {"progressive_combine", "sum"},
                 {"attention_type", "ddpm"}};
    int choice;
    int64_t heads = 1;
    bool conditional = false;
    *known = true;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (strcmp(key, fixed[i].key) == 0)
            return rmp_json_word(key, value, (const char *const[]){fixed[i].word, NULL}, &choice);
    if (strcmp(key, "num_heads") == 0) return rmp_json_integer(key, value, 1, 1, &heads); /* of forks */
    if (strcmp(key, "conditional") == 0) {
        RMP_TRY(rmp_json_boolean(key, value, &conditional));
        RMP_CHECK(conditional, RMP_ERR_FORMAT, "conditional: only true is supported");
        return RMP_OK;
    }
    *known = false;
    return RMP_OK;
}

static rmp_status model_argument(rmp_description *d, const char *key, const json_t *value, bool *fir)
{
    rmp_ncsnpp_config *c = &d->config.ncsnpp;
    const rmp_json_integer_key integers[] = {{"nf", 1, &c->nf},
                                             {"num_res_blocks", 1, &c->num_res_blocks},
                                             {"num_scales", 2, &c->num_scales},
                                             {NULL, 0, NULL}};
    const rmp_json_number_key numbers[] = {{"sigma_min", &c->sigma_min},
                                           {"sigma_max", &c->sigma_max},
                                           {"fourier_scale", &d->fourier_scale},
                                           {"beta_min", &d->diffusion.schedule.beta_min},
                                           {"beta_max", &d->diffusion.schedule.beta_max},
                                           {NULL, NULL}};
    const rmp_json_boolean_key booleans[] = {{"fir", fir},
                                             {"resamp_with_conv", &c->resamp_with_conv},
                                             {"skip_rescale", &c->skip_rescale},
                                             {"scale_by_sigma", &c->scale_by_sigma},
                                             {NULL, NULL}};
    int choice = 0;
    bool known = false;
    RMP_TRY(rmp_json_plain(key, value, integers, numbers, booleans, &known));
    if (!known) RMP_TRY(rmp_json_dropout(key, value, &known));
    if (!known) RMP_TRY(fixed_argument(key, value, &known));
    if (known || rmp_json_listed(key, model_ignored)) return RMP_OK;
    if (strcmp(key, "ch_mult") == 0)
        return rmp_json_integers(key, value, 1 << 10, RMP_NCSNPP_MAX_LEVELS, c->ch_mult, &c->levels);
    if (strcmp(key, "attn_resolutions") == 0)
        return rmp_json_integers(key, value, 1 << 20, RMP_NCSNPP_MAX_LEVELS, c->attn_resolutions, &c->attention_count);
    if (strcmp(key, "fir_kernel") == 0) return fir_kernel(value, &c->fir);
    if (strcmp(key, "resblock_type") == 0) {
        RMP_TRY(rmp_json_word(key, value, resblock_types, &choice));
        c->biggan = choice == 1;
    } else if (strcmp(key, "embedding_type") == 0) {
        RMP_TRY(rmp_json_word(key, value, embedding_types, &choice));
        c->fourier = choice == 1;
    } else if (strcmp(key, "progressive_input") == 0) {
        RMP_TRY(rmp_json_word(key, value, inputs, &choice));
        c->input = (rmp_pyramid)choice;
    } else if (strcmp(key, "progressive") == 0) {
        RMP_TRY(rmp_json_word(key, value, outputs, &choice));
        c->output = (rmp_pyramid)choice;
    } else {
        return rmp_json_unknown("arguments.model", key);
    }
    return RMP_OK;
}

static rmp_status model_arguments(json_t *object, rmp_description *d)
{
    static const char *const needed[] = {"nf", "ch_mult", "num_res_blocks", "attn_resolutions", NULL};
    const char *key;
    json_t *value;
    bool fir = false;
    RMP_TRY(rmp_json_needed("arguments.model", object, needed));
    d->config.ncsnpp.fir = (rmp_fir){4, {1, 3, 3, 1}};
    json_object_foreach(object, key, value) RMP_TRY(model_argument(d, key, value, &fir));
    if (!fir) d->config.ncsnpp.fir.taps = 0;
    return RMP_OK;
}

static rmp_status data_arguments(json_t *object, rmp_description *d)
{
    static const char *const needed[] = {"image_size", NULL};
    rmp_ncsnpp_config *c = &d->config.ncsnpp;
    const rmp_json_integer_key integers[] = {
        {"image_size", 1, &c->image_size}, {"num_channels", 1, &c->num_channels}, {NULL, 0, NULL}};
    const rmp_json_number_key numbers[] = {{NULL, NULL}};
    const rmp_json_boolean_key booleans[] = {{"centered", &c->centered}, {NULL, NULL}};
    const char *key;
    json_t *value;
    RMP_TRY(rmp_json_needed("arguments.data", object, needed));
    json_object_foreach(object, key, value)
    {
        bool known = false;
        RMP_TRY(rmp_json_plain(key, value, integers, numbers, booleans, &known));
        if (!known && !rmp_json_listed(key, data_ignored)) return rmp_json_unknown("arguments.data", key);
    }
    return RMP_OK;
}

/* Which noise the network was trained on decides what its labels and its output mean, and has to be what its embedding
 * says. The rest of `training` only says how the network came about. */
static rmp_status training_arguments(const json_t *object, rmp_description *d)
{
    static const char *const sdes[] = {"vesde", "vpsde", NULL};
    const rmp_ncsnpp_config *c = &d->config.ncsnpp;
    const bool explodes = c->fourier || c->scale_by_sigma;
    const json_t *sde = json_object_get(object, "sde"), *continuous = json_object_get(object, "continuous");
    int choice = 0;
    bool steady = true;
    if (!object) return RMP_OK;
    RMP_CHECK(json_is_object(object), RMP_ERR_FORMAT, "arguments.training: a JSON object is needed");
    if (sde) {
        RMP_TRY(rmp_json_word("training.sde", sde, sdes, &choice));
        RMP_CHECK(explodes == (choice == 0), RMP_ERR_FORMAT, "training.sde: %s needs %s", sdes[choice],
                  choice == 0 ? "embedding_type fourier or scale_by_sigma"
                              : "embedding_type positional and no scale_by_sigma");
    }
    if (!continuous) return RMP_OK;
    RMP_TRY(rmp_json_boolean("training.continuous", continuous, &steady));
    RMP_CHECK(!explodes || steady == c->fourier, RMP_ERR_FORMAT,
              "training.continuous: %s does not go with embedding_type %s", steady ? "true" : "false",
              c->fourier ? "fourier" : "positional and scale_by_sigma");
    d->discrete = !explodes && !steady;
    return RMP_OK;
}

/* arguments: the sections `model`, `data` and `training` of the original's configuration. */
static rmp_status arguments(json_t *object, rmp_description *d)
{
    static const char *const needed[] = {"model", "data", NULL};
    static const char *const sections[] = {"model",    "data", "training", /* the rest touches no network: */
                                           "sampling", "eval", "optim",    "seed", "device", NULL};
    rmp_ncsnpp_config *c = &d->config.ncsnpp;
    rmp_schedule *schedule = &d->diffusion.schedule;
    const char *key;
    json_t *value;
    RMP_TRY(rmp_json_needed("arguments", object, needed));
    json_object_foreach(object, key, value) if (!rmp_json_listed(key, sections)) return rmp_json_unknown("arguments",
                                                                                                         key);
    rmp_ncsnpp_defaults(c);
    schedule->beta_min = 0.1;
    schedule->beta_max = 20.0;
    RMP_TRY(model_arguments(json_object_get(object, "model"), d));
    RMP_TRY(data_arguments(json_object_get(object, "data"), d));
    RMP_TRY(training_arguments(json_object_get(object, "training"), d));
    schedule->sigma_min = c->sigma_min;
    schedule->sigma_max = c->sigma_max;
    schedule->steps = c->num_scales;
    if (c->fourier || c->scale_by_sigma) {
        schedule->kind = c->fourier ? RMP_SCHEDULE_VE : RMP_SCHEDULE_VE_LABELS;
        d->diffusion.prediction = RMP_PREDICTION_SCORE;
    } else {
        schedule->kind = RMP_SCHEDULE_VP_CONTINUOUS;
    }
    if (!c->centered) d->diffusion.range[0] = 0.0;
    return RMP_OK;
}

static rmp_status list(const rmp_description *d, rmp_weights *weights)
{
    return rmp_ncsnpp_list(&d->config.ncsnpp, weights);
}

static rmp_status create(const rmp_description *d, rmp_weights *weights, rmp_net **out)
{
    return rmp_ncsnpp_create(&d->config.ncsnpp, weights, out);
}

const rmp_architecture rmp_architecture_ncsnpp = {"ncsnpp", "score_sde NCSNpp", arguments, list, create};
