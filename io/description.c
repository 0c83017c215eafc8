#include "io/description.h"

#include <string.h>

static const rmp_architecture *const architectures[] = {&rmp_architecture_adm, &rmp_architecture_ncsnpp,
                                                        &rmp_architecture_unet2d, &rmp_architecture_kernel_wizard};
enum { ARCHITECTURES = (int)(sizeof architectures / sizeof *architectures) };

/* Keys that the parity fixtures add for readers of other kinds. */
static const char *const fixture_keys[] = {
    "name",    "source",      "commit", "x_shape", "t",          "t_meaning", "x_formula",         "v_formula",
    "y_shape", "config_file", "notes",  "errors",  "parameters", "buffers",   "gradient_channels", "parameter_count",
    NULL};

static rmp_status parse_architecture(const json_t *value, bool formula, rmp_description *d)
{
    const char *name = json_string_value(value);
    for (int i = 0; name && i < ARCHITECTURES; i++) {
        const rmp_architecture *a = architectures[i];
        if (strcmp(name, a->name) != 0 && !(formula && strcmp(name, a->original) == 0)) continue;
        d->architecture = a;
        return RMP_OK;
    }
    return RMP_FAIL(RMP_ERR_FORMAT, "architecture '%s' is unknown; supported: adm, ncsnpp, unet2d, kernel_wizard",
                    name ? name : "?");
}

static rmp_status parse_range(const json_t *range, double out[2])
{
    RMP_CHECK(json_array_size(range) == 2, RMP_ERR_FORMAT, "range: a list of two numbers is needed");
    for (size_t i = 0; i < 2; i++)
        RMP_TRY(rmp_json_number("range", json_array_get(range, i), &out[i]));
    RMP_CHECK(out[0] < out[1], RMP_ERR_FORMAT, "range: its ends must ascend");
    return RMP_OK;
}

static rmp_status parse_rest(const char *key, json_t *value, bool formula, rmp_description *d)
{
    static const char *const parsed[] = {"architecture",    "arguments", "prediction",
                                         "preconditioning", "schedule",  NULL};
    const bool score = d->architecture->create != NULL;
    if (rmp_json_listed(key, parsed)) {
        RMP_CHECK(score || strcmp(key, "architecture") == 0 || strcmp(key, "arguments") == 0, RMP_ERR_FORMAT,
                  "%s: architecture %s is no score network and has none", key, d->architecture->name);
        return RMP_OK;
    }
    if (score && strcmp(key, "range") == 0) return parse_range(value, d->diffusion.range);
    if (score && strcmp(key, "sigma_data") == 0) {
        RMP_TRY(rmp_json_number(key, value, &d->diffusion.sigma_data));
        RMP_CHECK(d->diffusion.sigma_data > 0.0, RMP_ERR_FORMAT, "sigma_data: a positive number is needed");
        return RMP_OK;
    }
    if (formula && strcmp(key, "gain") == 0) return rmp_json_number(key, value, &d->gain);
    return formula && rmp_json_listed(key, fixture_keys) ? RMP_OK : rmp_json_unknown("description", key);
}

/* What the output means: prediction, or preconditioning: edm, and the schedule that goes with it. */
static rmp_status parse_diffusion(json_t *root, bool formula, rmp_description *d)
{
    static const char *const predictions[] = {"eps", "score", "edm", NULL}, *const preconditionings[] = {"edm", NULL};
    json_t *prediction = json_object_get(root, "prediction"), *schedule = json_object_get(root, "schedule");
    json_t *preconditioning = json_object_get(root, "preconditioning");
    rmp_diffusion *diffusion = &d->diffusion;
    int choice = 0;
    if (preconditioning) {
        RMP_TRY(rmp_json_word("preconditioning", preconditioning, preconditionings, &choice));
        diffusion->prediction = RMP_PREDICTION_EDM;
    }
    if (prediction) {
        RMP_TRY(rmp_json_word("prediction", prediction, predictions, &choice));
        RMP_CHECK(!preconditioning || choice == (int)RMP_PREDICTION_EDM, RMP_ERR_FORMAT,
                  "prediction: '%s' does not go with preconditioning 'edm'", predictions[choice]);
        diffusion->prediction = (rmp_prediction)choice;
    }
    const bool edm = diffusion->prediction == RMP_PREDICTION_EDM;
    /* Fixtures say how to build the network, not what it predicts. */
    RMP_CHECK(formula || preconditioning || prediction, RMP_ERR_FORMAT, "description: 'prediction' is missing");
    RMP_CHECK(formula || schedule || edm, RMP_ERR_FORMAT, "description: 'schedule' is missing");
    RMP_CHECK(edm || !json_object_get(root, "sigma_data"), RMP_ERR_FORMAT,
              "sigma_data: belongs to prediction 'edm' (preconditioning 'edm')");
    if (edm && !schedule)
        diffusion->schedule = (rmp_schedule){.kind = RMP_SCHEDULE_EDM, .sigma_min = 0.002, .sigma_max = 80.0};
    if (schedule) RMP_TRY(rmp_description_schedule(schedule, d));
    RMP_CHECK(edm == (diffusion->schedule.kind == RMP_SCHEDULE_EDM), RMP_ERR_FORMAT,
              "schedule: kind edm and prediction edm need each other");
    RMP_CHECK(!d->discrete || diffusion->schedule.kind != RMP_SCHEDULE_VP_CONTINUOUS, RMP_ERR_FORMAT,
              "schedule: training.continuous false needs kind vp_linear, with beta_start and beta_end the beta_min and "
              "beta_max of the model divided by its num_scales, and steps num_scales");
    if (diffusion->schedule.kind == RMP_SCHEDULE_VP) return RMP_OK; /* made from betas that were checked */
    return rmp_schedule_check(&diffusion->schedule) == RMP_OK ? RMP_OK : rmp_fail_context(RMP_ERR_FORMAT, "schedule");
}

static rmp_status parse_object(json_t *root, bool formula, rmp_description *d)
{
    static const char *const needed[] = {"architecture", "arguments", NULL};
    const char *key;
    json_t *value;
    RMP_TRY(rmp_json_needed("description", root, needed));
    RMP_TRY(parse_architecture(json_object_get(root, "architecture"), formula, d));
    RMP_TRY(d->architecture->arguments(json_object_get(root, "arguments"), d));
    if (d->architecture->create) RMP_TRY(parse_diffusion(root, formula, d));
    json_object_foreach(root, key, value) RMP_TRY(parse_rest(key, value, formula, d));
    return RMP_OK;
}

rmp_status rmp_description_parse(const char *text, bool formula, rmp_description *out)
{
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    RMP_CHECK(root, RMP_ERR_FORMAT, "description, line %d: %s", error.line, error.text);
    *out = (rmp_description){.diffusion = {.prediction = RMP_PREDICTION_EPS,
                                           .schedule = {.kind = RMP_SCHEDULE_VP, .steps = RMP_SCHEDULE_STEPS},
                                           .sigma_data = 0.5,
                                           .range = {-1.0, 1.0}},
                             .spacing = RMP_BETA_LINEAR,
                             .beta = {1e-4, 0.02},
                             .gain = 1.0,
                             .fourier_scale = 16.0};
    const rmp_status status = parse_object(root, formula, out);
    json_decref(root);
    return status;
}
