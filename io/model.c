#include "io/model.h"

#include "io/description.h"
#include "io/file.h"
#include "io/formula.h"
#include "io/model_source.h"

#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "formula:";
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

static rmp_status formula_weights(const rmp_description *d, rmp_weights **out)
{
    rmp_weights *list = NULL;
    RMP_TRY(rmp_weights_create(&list));
    rmp_status status = d->architecture->list(d, list);
    if (status == RMP_OK) status = rmp_formula_weights(list, d->gain, d->fourier_scale, out);
    rmp_weights_destroy(&list);
    return status;
}

static rmp_status check_use(const rmp_description *d, rmp_model_use use)
{
    RMP_CHECK(use != RMP_MODEL_SCORE || d->architecture->create, RMP_ERR_FORMAT,
              "holds a network '%s', which blurs images (operator.network of nonlinear_blur), not a score network",
              d->architecture->name);
    RMP_CHECK(use != RMP_MODEL_BLUR || !d->architecture->create, RMP_ERR_FORMAT,
              "holds the score network '%s', not a network 'kernel_wizard', which blurs images", d->architecture->name);
    return RMP_OK;
}

static rmp_status create(const rmp_description *d, rmp_model *model)
{
    if (!d->architecture->create)
        return rmp_kernel_wizard_create(&d->config.kernel_wizard, model->weights, &model->blur);
    model->diffusion = d->diffusion;
    model->diffusion.schedule.abar = model->abar;
    return d->architecture->create(d, model->weights, &model->net);
}

/* *where: the file to name in what goes wrong from here on; NULL if the message has it. */
static rmp_status fill(rmp_model_use use, const char *path, rmp_model *model, const char **where, char **owned)
{
    const bool formula = strncmp(path, PREFIX, sizeof PREFIX - 1) == 0;
    rmp_description d;
    if (formula) {
        path += sizeof PREFIX - 1;
        RMP_TRY(read_text(path, &model->description));
        *where = path;
    } else {
        rmp_model_source source;
        RMP_TRY(rmp_model_source_open(path, NULL, NULL, 0, &source));
        model->weights = source.weights;
        model->description = source.description;
        *owned = source.described_by;
        *where = *owned;
        free(source.path);
    }
    RMP_TRY(rmp_description_parse(model->description, formula, &d));
    RMP_TRY(check_use(&d, use));
    if (d.architecture->create) RMP_TRY(rmp_description_abar(&d, &model->abar, &model->steps));
    if (formula) RMP_TRY(formula_weights(&d, &model->weights));
    if (!formula) *where = path;
    return create(&d, model);
}

rmp_status rmp_model_open(const char *path, rmp_model **out) { return rmp_model_open_for(RMP_MODEL_SCORE, path, out); }

rmp_status rmp_model_open_for(rmp_model_use use, const char *path, rmp_model **out)
{
    *out = NULL;
    rmp_model *model = calloc(1, sizeof *model);
    RMP_CHECK(model, RMP_ERR_MEMORY, "%s: no memory to open it", path);
    const char *where = NULL;
    char *owned = NULL;
    rmp_status status = fill(use, path, model, &where, &owned);
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
    rmp_kernel_wizard_destroy(&(*model)->blur);
    rmp_weights_destroy(&(*model)->weights);
    free((*model)->abar);
    free((*model)->description);
    free(*model);
    *model = NULL;
}
