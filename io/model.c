#include "io/model.h"

#include "io/description.h"
#include "io/file.h"
#include "io/formula.h"
#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "formula:";
static const char PARALLEL[] = "module."; /* what DataParallel puts in front of every name */
enum { MAX_DESCRIPTION = 16 << 20 };

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

static rmp_status formula_weights(const rmp_description *d, rmp_weights **out)
{
    rmp_weights *list = NULL;
    RMP_TRY(rmp_weights_create(&list));
    rmp_status status = d->architecture->list(d, list);
    if (status == RMP_OK) status = rmp_formula_weights(list, d->gain, d->fourier_scale, out);
    rmp_weights_destroy(&list);
    return status;
}

static void release_set(void *set)
{
    rmp_weights *weights = set;
    rmp_weights_destroy(&weights);
}

/* Renames module.NAME to NAME if every name begins so. */
static rmp_status strip_names(rmp_weights **weights)
{
    const size_t length = sizeof PARALLEL - 1;
    const int64_t count = rmp_weights_count(*weights);
    rmp_weights *stripped = NULL;
    rmp_status status = RMP_OK;
    for (int64_t i = 0; i < count; i++)
        if (strncmp(rmp_weights_name(*weights, i), PARALLEL, length) != 0) return RMP_OK;
    RMP_TRY(rmp_weights_create(&stripped));
    for (int64_t i = 0; i < count; i++)
        RMP_TRY_GOTO(rmp_weights_add(stripped, rmp_weights_name(*weights, i) + length, rmp_weights_tensor(*weights, i)),
                     failed);
    RMP_TRY_GOTO(rmp_weights_adopt(stripped, *weights, release_set), failed);
    *weights = stripped;
    return RMP_OK;
failed:
    rmp_weights_destroy(&stripped);
    return status;
}

/* *where: the file to name in what goes wrong from here on; NULL if the message has it. */
static rmp_status fill(const char *path, rmp_model *model, const char **where, char **owned)
{
    const bool formula = strncmp(path, PREFIX, sizeof PREFIX - 1) == 0;
    rmp_description d;
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
    RMP_TRY(rmp_description_parse(model->description, formula, &d));
    RMP_TRY(rmp_description_abar(&d, &model->abar, &model->steps));
    RMP_TRY(formula ? formula_weights(&d, &model->weights) : strip_names(&model->weights));
    if (!formula) *where = path;
    model->diffusion = d.diffusion;
    model->diffusion.schedule.abar = model->abar;
    return d.architecture->create(&d, model->weights, &model->net);
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
