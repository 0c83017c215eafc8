#include "io/perceptual.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* What a file holds. */
typedef enum part { PART_NONE, PART_WHOLE, PART_BACKBONE, PART_LINEAR } part;

static bool has(const rmp_weights *weights, const char *name) { return rmp_weights_find(weights, name) != NULL; }

static bool begins(const char *name, const char *prefix) { return strncmp(name, prefix, strlen(prefix)) == 0; }

static bool ends(const char *name, const char *suffix)
{
    const size_t length = strlen(name), tail = strlen(suffix);
    return length >= tail && strcmp(name + length - tail, suffix) == 0;
}

rmp_perceptual_kind rmp_perceptual_described(const char *description)
{
    int kind = RMP_PERCEPTUAL_KINDS;
    json_t *root = description ? json_loads(description, 0, NULL) : NULL;
    const char *name = json_string_value(json_object_get(root, "architecture"));
    for (int i = 0; name && i < RMP_PERCEPTUAL_KINDS; i++)
        if (strcmp(name, rmp_perceptual_name((rmp_perceptual_kind)i)) == 0) kind = i;
    json_decref(root);
    return (rmp_perceptual_kind)kind;
}

static part part_of(const rmp_model_source *source)
{
    const rmp_weights *w = source->weights;
    if (source->description)
        return rmp_perceptual_described(source->description) == RMP_PERCEPTUAL_KINDS ? PART_NONE : PART_WHOLE;
    if (has(w, "net.slice1.0.weight") || has(w, "Conv2d_1a_3x3.conv.weight")) return PART_WHOLE;
    if (has(w, "features.0.weight")) return PART_BACKBONE;
    return has(w, "lin0.model.1.weight") ? PART_LINEAR : PART_NONE;
}

bool rmp_perceptual_recognise(const rmp_model_source *source) { return part_of(source) != PART_NONE; }

/* By what tells the backbones apart; whether the rest fits is seen later. */
static rmp_perceptual_kind kind_of(const rmp_model_source *source)
{
    const rmp_weights *w = source->weights;
    if (source->description) return rmp_perceptual_described(source->description);
    if (has(w, "Conv2d_1a_3x3.conv.weight")) return RMP_PERCEPTUAL_INCEPTION;
    if (has(w, "net.slice2.3.squeeze.weight") || has(w, "features.3.squeeze.weight")) return RMP_PERCEPTUAL_SQUEEZE;
    const rmp_tensor *first = rmp_weights_find(w, "net.slice1.0.weight");
    if (!first) first = rmp_weights_find(w, "features.0.weight");
    return first && first->rank == 4 && first->dims[2] == 11 ? RMP_PERCEPTUAL_ALEX : RMP_PERCEPTUAL_VGG;
}

static bool same_numbers(const rmp_tensor *a, const rmp_tensor *b)
{
    const int64_t count = rmp_tensor_count(a);
    if (count != rmp_tensor_count(b)) return false;
    for (int64_t i = 0; i < count; i++) {
        const double x = rmp_tensor_at(a, i), y = rmp_tensor_at(b, i);
        if (x < y || x > y) return false;
    }
    return true;
}

/* lins.0.model.1.weight is lin0.model.1.weight once more, under the name of a list of modules. */
static rmp_status check_second_name(const rmp_weights *weights, const char *name, const rmp_tensor *tensor)
{
    char first[128];
    const char *rest = name + strlen("lins.");
    const size_t digits = strspn(rest, "0123456789");
    if (digits == 0 || digits > 2 || rest[digits] != '.' || strlen(rest) > 64) return RMP_OK;
    snprintf(first, sizeof first, "lin%s", rest);
    const rmp_tensor *other = rmp_weights_find(weights, first);
    RMP_CHECK(!other || same_numbers(tensor, other), RMP_ERR_FORMAT, "tensors '%s' and '%s' must be the same", name,
              first);
    return RMP_OK;
}

static rmp_status copy_lpips(const rmp_weights *from, rmp_weights *to)
{
    for (int64_t i = 0; i < rmp_weights_count(from); i++) {
        const char *name = rmp_weights_name(from, i);
        const rmp_tensor *tensor = rmp_weights_tensor(from, i);
        if (begins(name, "lins."))
            RMP_TRY(check_second_name(from, name, tensor));
        else
            RMP_TRY(rmp_weights_add(to, name, tensor));
    }
    return RMP_OK;
}

/* features.N of the classifier is net.sliceK.N; the list knows K. */
static rmp_status copy_backbone(rmp_perceptual_kind kind, const rmp_weights *from, rmp_weights *to)
{
    rmp_weights *list = NULL;
    rmp_status status;
    RMP_TRY(rmp_weights_create(&list));
    RMP_TRY_GOTO(rmp_perceptual_list(kind, list), done);
    for (int64_t i = 0; i < rmp_weights_count(from); i++) {
        const char *name = rmp_weights_name(from, i), *full = name;
        if (begins(name, "classifier.")) continue;
        for (int64_t k = 0; begins(name, "features.") && k < rmp_weights_count(list); k++) {
            const char *candidate = rmp_weights_name(list, k);
            const char *dot = begins(candidate, "net.") ? strchr(candidate + strlen("net."), '.') : NULL;
            if (dot && strcmp(dot + 1, name + strlen("features.")) == 0) full = candidate;
        }
        RMP_TRY_GOTO(rmp_weights_add(to, full, rmp_weights_tensor(from, i)), done);
    }
    status = RMP_OK;
done:
    rmp_weights_destroy(&list);
    return status;
}

static rmp_status copy_inception(const rmp_weights *from, rmp_weights *to)
{
    const rmp_tensor *head = rmp_weights_find(from, "fc.weight");
    RMP_CHECK(
        !has(from, "AuxLogits.conv0.conv.weight") && (!head || head->rank != 2 || head->dims[0] != 1000),
        RMP_ERR_FORMAT,
        "is torchvision's Inception-v3, whose features are others: FID needs pt_inception-2015-12-05-6726825d.pth "
        "of pytorch-fid");
    for (int64_t i = 0; i < rmp_weights_count(from); i++) {
        const char *name = rmp_weights_name(from, i);
        if (begins(name, "fc.") || ends(name, ".num_batches_tracked")) continue;
        RMP_TRY(rmp_weights_add(to, name, rmp_weights_tensor(from, i)));
    }
    return RMP_OK;
}

static rmp_status check_parts(const rmp_model_source *source, const rmp_model_source *linear)
{
    const part first = part_of(source), second = linear ? part_of(linear) : PART_NONE;
    RMP_CHECK(first != PART_NONE, RMP_ERR_FORMAT, "%s: is no network of LPIPS or FID", source->path);
    RMP_CHECK(first != PART_LINEAR, RMP_ERR_FORMAT,
              "%s: holds the linear layers of LPIPS without its network: rmp model convert BACKBONE %s OUT.safetensors "
              "joins them with a classifier of torchvision",
              source->path, source->path);
    if (first == PART_WHOLE) {
        RMP_CHECK(!linear, RMP_ERR_CONFIG, "%s: is whole; a second file is not needed", source->path);
        return RMP_OK;
    }
    RMP_CHECK(linear, RMP_ERR_FORMAT,
              "%s: is a classifier without the linear layers of LPIPS: rmp model convert %s LINEAR.pth "
              "OUT.safetensors joins them, with the file of its name in lpips/weights/v0.1 of the package lpips",
              source->path, source->path);
    RMP_CHECK(second == PART_LINEAR, RMP_ERR_FORMAT,
              "%s: holds no linear layers of LPIPS: lpips/weights/v0.1 of the package lpips has them", linear->path);
    return RMP_OK;
}

static void release_set(void *set)
{
    rmp_weights *weights = set;
    rmp_weights_destroy(&weights);
}

static rmp_status copy_parts(rmp_perceptual_kind kind, const rmp_model_source *source, const rmp_model_source *linear,
                             rmp_weights *to)
{
    rmp_status status;
    if (kind == RMP_PERCEPTUAL_INCEPTION)
        status = copy_inception(source->weights, to);
    else if (linear)
        status = copy_backbone(kind, source->weights, to);
    else
        status = copy_lpips(source->weights, to);
    if (status != RMP_OK) return rmp_fail_context(status, "%s", source->path);
    if (!linear) return RMP_OK;
    status = copy_lpips(linear->weights, to);
    return status == RMP_OK ? RMP_OK : rmp_fail_context(status, "%s", linear->path);
}

rmp_status rmp_perceptual_select(rmp_model_source *source, const rmp_model_source *linear, rmp_perceptual_kind *kind)
{
    rmp_weights *weights = NULL;
    char *description = NULL;
    char text[64];
    rmp_status status;
    RMP_TRY(check_parts(source, linear));
    *kind = kind_of(source);
    RMP_TRY(rmp_weights_create(&weights));
    RMP_TRY_GOTO(copy_parts(*kind, source, linear, weights), failed);
    snprintf(text, sizeof text, "{\"architecture\":\"%s\"}", rmp_perceptual_name(*kind));
    description = strdup(text);
    RMP_CHECK_GOTO(description, RMP_ERR_MEMORY, failed, "no memory for a description");
    RMP_TRY_GOTO(rmp_weights_adopt(weights, source->weights, release_set), failed);
    source->origin = source->description ? "metadata of the file" : "names of its tensors";
    source->weights = weights;
    free(source->description);
    source->description = description;
    return RMP_OK;
failed:
    free(description);
    rmp_weights_destroy(&weights);
    return status;
}

static bool is_optional(const void *kind, const char *name)
{
    return rmp_perceptual_optional(*(const rmp_perceptual_kind *)kind, name);
}

rmp_status rmp_perceptual_expected(rmp_perceptual_kind kind, const rmp_weights *weights, rmp_model_mismatch *each,
                                   void *context, rmp_model_fit *fit)
{
    rmp_weights *list = NULL;
    *fit = (rmp_model_fit){.architecture = rmp_perceptual_name(kind)};
    RMP_TRY(rmp_weights_create(&list));
    rmp_status status = rmp_perceptual_list(kind, list);
    if (status == RMP_OK) status = rmp_model_compare(weights, list, is_optional, &kind, each, context, fit);
    fit->passed_over = 0; /* its constants are used where the file has them */
    rmp_weights_destroy(&list);
    return status;
}
