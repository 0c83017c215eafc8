#include "io/model.h"

#include "core/nets/adm.h"
#include "core/schedule.h"
#include "io/file.h"
#include "io/formula.h"
#include "io/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "formula:";
enum { MAX_DESCRIPTION = 16 << 20 };

/* Numbers of Fourier frequencies: no architecture here has them, the rules of the formula do. */
static const double FOURIER_SCALE = 16.0;

typedef struct description {
    rmp_adm_config config;
    double gain;
    double beta[2];
    int64_t steps;
    double range[2];
} description;

/* Keys that the parity fixtures add for readers of other kinds. */
static const char *const FIXTURE_KEYS[] = {
    "name",    "source", "commit", "x_shape",    "t",       "t_meaning",         "x_formula",      "v_formula",
    "y_shape", "notes",  "errors", "parameters", "buffers", "gradient_channels", "parameter_count"};

static rmp_status unknown_key(const char *where, const char *key)
{
    return RMP_FAIL(RMP_ERR_FORMAT, "%s: unknown key '%s'", where, key);
}

static rmp_status get_integer(const char *key, const json_t *value, int64_t least, int64_t most, int64_t *out)
{
    RMP_CHECK(json_is_integer(value) && json_integer_value(value) >= least && json_integer_value(value) <= most,
              RMP_ERR_FORMAT, "%s: an integer from %" PRId64 " to %" PRId64 " is needed", key, least, most);
    *out = json_integer_value(value);
    return RMP_OK;
}

static rmp_status get_number(const char *key, const json_t *value, double *out)
{
    RMP_CHECK(json_is_number(value), RMP_ERR_FORMAT, "%s: a number is needed", key);
    *out = json_number_value(value);
    return RMP_OK;
}

static rmp_status get_boolean(const char *key, const json_t *value, bool *out)
{
    RMP_CHECK(json_is_boolean(value), RMP_ERR_FORMAT, "%s: true or false is needed", key);
    *out = json_is_true(value);
    return RMP_OK;
}

static rmp_status get_integers(const char *key, const json_t *value, int64_t most, int64_t out[], int *count)
{
    RMP_CHECK(json_is_array(value) && json_array_size(value) <= RMP_ADM_MAX_LEVELS, RMP_ERR_FORMAT,
              "%s: a list of at most %d integers is needed", key, (int)RMP_ADM_MAX_LEVELS);
    *count = (int)json_array_size(value);
    for (int i = 0; i < *count; i++)
        RMP_TRY(get_integer(key, json_array_get(value, (size_t)i), 1, most, &out[i]));
    return RMP_OK;
}

/* Arguments that change nothing when a trained network is evaluated, or that have one value that can be. */
static rmp_status neutral_argument(const char *key, const json_t *value, bool *known)
{
    double number = 0.0;
    bool boolean = false;
    *known = true;
    if (strcmp(key, "dropout") == 0) {
        RMP_TRY(get_number(key, value, &number));
        RMP_CHECK(number >= 0.0 && number <= 1.0, RMP_ERR_FORMAT, "dropout: a number from 0 to 1 is needed");
        return RMP_OK;
    }
    if (strcmp(key, "use_checkpoint") == 0 || strcmp(key, "use_fp16") == 0) return get_boolean(key, value, &boolean);
    if (strcmp(key, "dims") == 0) {
        RMP_CHECK(json_is_integer(value) && json_integer_value(value) == 2, RMP_ERR_FORMAT,
                  "dims: only 2 is supported");
        return RMP_OK;
    }
    if (strcmp(key, "num_classes") == 0) {
        RMP_CHECK(json_is_null(value), RMP_ERR_FORMAT,
                  "num_classes: only null is supported (no class-conditional "
                  "networks)");
        return RMP_OK;
    }
    *known = false;
    return RMP_OK;
}

static rmp_status adm_argument(rmp_adm_config *c, const char *key, const json_t *value)
{
    const int64_t most = 1 << 20;
    const struct {
        const char *key;
        int64_t least;
        int64_t *out;
    } integers[] = {{"image_size", 1, &c->image_size},
                    {"in_channels", 1, &c->in_channels},
                    {"model_channels", 1, &c->model_channels},
                    {"out_channels", 1, &c->out_channels},
                    {"num_res_blocks", 1, &c->num_res_blocks},
                    {"num_heads", -1, &c->num_heads},
                    {"num_head_channels", -1, &c->num_head_channels},
                    {"num_heads_upsample", -1, &c->num_heads_upsample}};
    const struct {
        const char *key;
        bool *out;
    } booleans[] = {{"conv_resample", &c->conv_resample},
                    {"use_scale_shift_norm", &c->use_scale_shift_norm},
                    {"resblock_updown", &c->resblock_updown},
                    {"use_new_attention_order", &c->use_new_attention_order}};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        if (strcmp(key, integers[i].key) == 0) return get_integer(key, value, integers[i].least, most, integers[i].out);
    for (size_t i = 0; i < sizeof booleans / sizeof *booleans; i++)
        if (strcmp(key, booleans[i].key) == 0) return get_boolean(key, value, booleans[i].out);
    if (strcmp(key, "attention_resolutions") == 0)
        return get_integers(key, value, most, c->attention_resolutions, &c->attention_count);
    if (strcmp(key, "channel_mult") == 0) {
        RMP_TRY(get_integers(key, value, 1 << 10, c->channel_mult, &c->levels));
        RMP_CHECK(c->levels > 0, RMP_ERR_FORMAT, "channel_mult: at least one integer is needed");
        return RMP_OK;
    }
    bool known = false;
    RMP_TRY(neutral_argument(key, value, &known));
    return known ? RMP_OK : unknown_key("arguments", key);
}

static rmp_status adm_arguments(json_t *arguments, rmp_adm_config *c)
{
    static const char *const needed[] = {"image_size",   "in_channels",    "model_channels",
                                         "out_channels", "num_res_blocks", "attention_resolutions"};
    static const int64_t mult[] = {1, 2, 4, 8}; /* the original's default */
    const char *key;
    json_t *value;
    RMP_CHECK(json_is_object(arguments), RMP_ERR_FORMAT, "arguments: a JSON object is needed");
    rmp_adm_defaults(c);
    c->levels = sizeof mult / sizeof *mult;
    memcpy(c->channel_mult, mult, sizeof mult);
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        RMP_CHECK(json_object_get(arguments, needed[i]), RMP_ERR_FORMAT, "arguments: '%s' is missing", needed[i]);
    json_object_foreach(arguments, key, value) RMP_TRY(adm_argument(c, key, value));
    return RMP_OK;
}

static rmp_status parse_schedule(json_t *schedule, description *d)
{
    static const char *const needed[] = {"kind", "beta_start", "beta_end", "steps"};
    const char *key;
    json_t *value;
    RMP_CHECK(json_is_object(schedule), RMP_ERR_FORMAT, "schedule: a JSON object is needed");
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        RMP_CHECK(json_object_get(schedule, needed[i]), RMP_ERR_FORMAT, "schedule: '%s' is missing", needed[i]);
    json_object_foreach(schedule, key, value)
    {
        if (strcmp(key, "kind") == 0) {
            const char *kind = json_string_value(value);
            RMP_CHECK(kind && strcmp(kind, "vp_linear") == 0, RMP_ERR_FORMAT,
                      "schedule: kind '%s' is unknown; vp_linear is supported", kind ? kind : "?");
        } else if (strcmp(key, "beta_start") == 0) {
            RMP_TRY(get_number(key, value, &d->beta[0]));
        } else if (strcmp(key, "beta_end") == 0) {
            RMP_TRY(get_number(key, value, &d->beta[1]));
        } else if (strcmp(key, "steps") == 0) {
            RMP_TRY(get_integer(key, value, 2, RMP_MAX_SCHEDULE, &d->steps));
        } else {
            return unknown_key("schedule", key);
        }
    }
    RMP_CHECK(d->beta[0] > 0.0 && d->beta[0] <= d->beta[1] && d->beta[1] < 1.0, RMP_ERR_FORMAT,
              "schedule: 0 < beta_start <= beta_end < 1 is needed");
    return RMP_OK;
}

static rmp_status parse_range(const json_t *range, description *d)
{
    RMP_CHECK(json_array_size(range) == 2, RMP_ERR_FORMAT, "range: a list of two numbers is needed");
    for (size_t i = 0; i < 2; i++)
        RMP_TRY(get_number("range", json_array_get(range, i), &d->range[i]));
    RMP_CHECK(d->range[0] < d->range[1], RMP_ERR_FORMAT, "range: its ends must ascend");
    return RMP_OK;
}

static rmp_status parse_prediction(const json_t *value)
{
    const char *word = json_string_value(value);
    RMP_CHECK(word && strcmp(word, "eps") == 0, RMP_ERR_FORMAT, "prediction: '%s' is unknown; eps is supported",
              word ? word : "?");
    return RMP_OK;
}

static bool fixture_key(const char *key)
{
    for (size_t i = 0; i < sizeof FIXTURE_KEYS / sizeof *FIXTURE_KEYS; i++)
        if (strcmp(key, FIXTURE_KEYS[i]) == 0) return true;
    return false;
}

static rmp_status parse_top(const char *key, json_t *value, bool formula, description *d)
{
    if (strcmp(key, "architecture") == 0) {
        const char *name = json_string_value(value);
        RMP_CHECK(name && (strcmp(name, "adm") == 0 || (formula && strcmp(name, "guided-diffusion UNetModel") == 0)),
                  RMP_ERR_FORMAT, "architecture '%s' is unknown; adm is supported", name ? name : "?");
        return RMP_OK;
    }
    if (strcmp(key, "arguments") == 0) return adm_arguments(value, &d->config);
    if (strcmp(key, "prediction") == 0) return parse_prediction(value);
    if (strcmp(key, "schedule") == 0) return parse_schedule(value, d);
    if (strcmp(key, "range") == 0) return parse_range(value, d);
    if (formula && strcmp(key, "gain") == 0) return get_number(key, value, &d->gain);
    return formula && fixture_key(key) ? RMP_OK : unknown_key("description", key);
}

static rmp_status parse(const char *text, bool formula, description *d)
{
    *d = (description){.gain = 1.0, .beta = {1e-4, 0.02}, .steps = 1000, .range = {-1.0, 1.0}};
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    RMP_CHECK(root, RMP_ERR_FORMAT, "description, line %d: %s", error.line, error.text);
    static const char *const needed[] = {"architecture", "arguments", "prediction", "schedule"};
    rmp_status status = RMP_OK;
    const char *key;
    json_t *value;
    RMP_CHECK_GOTO(json_is_object(root), RMP_ERR_FORMAT, done, "description: a JSON object is needed");
    /* Fixtures say how to build the network, not what it predicts: the defaults above. */
    for (size_t i = 0; i < (formula ? 2 : sizeof needed / sizeof *needed); i++)
        RMP_CHECK_GOTO(json_object_get(root, needed[i]), RMP_ERR_FORMAT, done, "description: '%s' is missing",
                       needed[i]);
    json_object_foreach(root, key, value) RMP_TRY_GOTO(parse_top(key, value, formula, d), done);
done:
    json_decref(root);
    return status;
}

static rmp_status read_text(const char *path, char **out)
{
    size_t size = 0;
    RMP_TRY(rmp_file_read(path, MAX_DESCRIPTION, out, &size));
    if (strlen(*out) == size) return RMP_OK;
    free(*out);
    *out = NULL;
    return RMP_FAIL(RMP_ERR_FORMAT, "%s: is no text", path);
}

/* NAME.json for NAME.safetensors. */
static rmp_status read_beside(const char *path, char **description_text, char **used_path)
{
    static const char suffix[] = ".safetensors";
    const size_t length = strlen(path), tail = sizeof suffix - 1;
    const size_t stem = length > tail && strcmp(path + length - tail, suffix) == 0 ? length - tail : length;
    char *json_path = malloc(stem + sizeof ".json");
    RMP_CHECK(json_path, RMP_ERR_MEMORY, "%s: no memory for a path", path);
    memcpy(json_path, path, stem);
    memcpy(json_path + stem, ".json", sizeof ".json");
    *used_path = json_path;
    const rmp_status status = read_text(json_path, description_text);
    if (status == RMP_ERR_IO)
        return RMP_FAIL(RMP_ERR_FORMAT,
                        "%s: does not say what network it is: it has no metadata 'rmp', and %s cannot be "
                        "read",
                        path, json_path);
    return status;
}

static rmp_status make_abar(const description *d, double **out)
{
    double *abar = malloc((size_t)d->steps * sizeof *abar);
    *out = abar;
    RMP_CHECK(abar, RMP_ERR_MEMORY, "no memory for a schedule");
    return rmp_schedule_linear(d->beta[0], d->beta[1], d->steps, abar);
}

static rmp_status formula_weights(const description *d, rmp_weights **out)
{
    rmp_weights *list = NULL;
    RMP_TRY(rmp_weights_create(&list));
    rmp_status status = rmp_adm_list(&d->config, list);
    if (status == RMP_OK) status = rmp_formula_weights(list, d->gain, FOURIER_SCALE, out);
    rmp_weights_destroy(&list);
    return status;
}

/* *where: the file to name in what goes wrong from here on; NULL if the message has it. */
static rmp_status fill(const char *path, rmp_model *model, const char **where, char **owned)
{
    const bool formula = strncmp(path, PREFIX, sizeof PREFIX - 1) == 0;
    description d;
    if (formula) {
        path += sizeof PREFIX - 1;
        RMP_TRY(read_text(path, &model->description));
        *where = path;
    } else {
        RMP_TRY(rmp_safetensors_open(path, "rmp", &model->description, &model->weights));
        if (!model->description) {
            RMP_TRY(read_beside(path, &model->description, owned));
            *where = *owned;
        } else {
            *where = path;
        }
    }
    RMP_TRY(parse(model->description, formula, &d));
    RMP_TRY(make_abar(&d, &model->abar));
    if (formula) RMP_TRY(formula_weights(&d, &model->weights));
    if (!formula) *where = path;
    model->steps = d.steps;
    model->prediction = RMP_PREDICTION_EPS;
    memcpy(model->range, d.range, sizeof d.range);
    return rmp_adm_create(&d.config, model->weights, &model->net);
}

rmp_status rmp_model_open(const char *path, rmp_model **out)
{
    *out = NULL;
    rmp_model *model = calloc(1, sizeof *model);
    RMP_CHECK(model, RMP_ERR_MEMORY, "%s: no memory to open it", path);
    const char *where = NULL;
    char *owned = NULL;
    rmp_status status = fill(path, model, &where, &owned);
    if (status != RMP_OK) {
        if (where) status = rmp_fail_context(status, "%s", where);
        rmp_model_close(&model);
    }
    free(owned);
    *out = model;
    return status;
}

void rmp_model_close(rmp_model **model)
{
    if (!model || !*model) return;
    rmp_net_destroy(&(*model)->net); /* before the weights, which it borrows */
    rmp_weights_destroy(&(*model)->weights);
    free((*model)->abar);
    free((*model)->description);
    free(*model);
    *model = NULL;
}
