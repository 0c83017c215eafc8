#include "io/perceptual.h"

#include "io/description.h"
#include "io/file.h"
#include "io/formula.h"

#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "formula:";
enum { MAX_DESCRIPTION = 16 << 20 };

/* Keys that the parity fixtures add. */
static const char *const fixture_keys[] = {"architecture", "gain", "source", "pairs", "images", "parameters", NULL};

static rmp_status parse(const char *text, size_t size, rmp_perceptual_kind *kind, double *gain)
{
    static const char *const needed[] = {"architecture", NULL};
    const char *words[RMP_PERCEPTUAL_KINDS + 1] = {NULL}, *key;
    json_error_t error;
    json_t *value;
    int choice = 0;
    rmp_status status;
    for (int i = 0; i < RMP_PERCEPTUAL_KINDS; i++)
        words[i] = rmp_perceptual_name((rmp_perceptual_kind)i);
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    RMP_CHECK(root, RMP_ERR_FORMAT, "description, line %d: %s", error.line, error.text);
    RMP_TRY_GOTO(rmp_json_needed("description", root, needed), done);
    RMP_TRY_GOTO(rmp_json_word("architecture", json_object_get(root, "architecture"), words, &choice), done);
    *kind = (rmp_perceptual_kind)choice;
    *gain = 1;
    value = json_object_get(root, "gain");
    if (value) RMP_TRY_GOTO(rmp_json_number("gain", value, gain), done);
    json_object_foreach(root, key, value)
    {
        if (rmp_json_listed(key, fixture_keys)) continue;
        status = rmp_json_unknown("description", key);
        goto done;
    }
done:
    json_decref(root);
    return status;
}

bool rmp_perceptual_probe(const char *path)
{
    bool found = false;
    rmp_status status;
    if (strncmp(path, PREFIX, sizeof PREFIX - 1) == 0) {
        char *text = NULL;
        size_t size = 0;
        status = rmp_file_read(path + sizeof PREFIX - 1, MAX_DESCRIPTION, &text, &size);
        found = status == RMP_OK && rmp_perceptual_described(text) != RMP_PERCEPTUAL_KINDS;
        free(text);
    } else {
        rmp_model_source source;
        status = rmp_model_source_read(path, &source);
        found = status == RMP_OK && rmp_perceptual_recognise(&source);
        if (status == RMP_OK) rmp_model_source_close(&source);
    }
    if (status != RMP_OK) rmp_fail_clear();
    return found;
}

static rmp_status formula_weights(const char *path, rmp_perceptual_kind *kind, rmp_weights **out)
{
    char *text = NULL;
    size_t size = 0;
    double gain = 1;
    rmp_weights *list = NULL;
    RMP_TRY(rmp_file_read(path, MAX_DESCRIPTION, &text, &size));
    rmp_status status = parse(text, size, kind, &gain);
    free(text);
    if (status == RMP_OK) status = rmp_weights_create(&list);
    if (status == RMP_OK) status = rmp_perceptual_list(*kind, list);
    if (status == RMP_OK) status = rmp_formula_weights(list, gain, 0, out);
    rmp_weights_destroy(&list);
    return status == RMP_OK ? RMP_OK : rmp_fail_context(status, "%s", path);
}

static rmp_status file_weights(const char *path, rmp_perceptual_kind *kind, rmp_weights **out)
{
    rmp_model_source source;
    RMP_TRY(rmp_model_source_read(path, &source));
    const rmp_status status = rmp_perceptual_select(&source, NULL, kind);
    if (status == RMP_OK) {
        *out = source.weights;
        source.weights = NULL;
    }
    rmp_model_source_close(&source);
    return status;
}

rmp_status rmp_perceptual_open(const char *path, rmp_perceptual_net **out)
{
    rmp_perceptual_kind kind = RMP_PERCEPTUAL_KINDS;
    rmp_weights *weights = NULL;
    *out = NULL;
    if (strncmp(path, PREFIX, sizeof PREFIX - 1) == 0)
        RMP_TRY(formula_weights(path + sizeof PREFIX - 1, &kind, &weights));
    else
        RMP_TRY(file_weights(path, &kind, &weights));
    const rmp_status status = rmp_perceptual_net_create(kind, &weights, out);
    return status == RMP_OK ? RMP_OK : rmp_fail_context(status, "%s", path);
}

void rmp_perceptual_close(rmp_perceptual_net **net) { rmp_perceptual_net_destroy(net); }
