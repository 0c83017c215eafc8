#include "jobs/model_file.h"

#include "core/nets/kernel_wizard.h"
#include "io/file.h"
#include "io/halve.h"
#include "io/model_expected.h"
#include "io/model_source.h"
#include "io/safetensors.h"
#include "jobs/model_metric.h"
#include "jobs/paths.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void print_object(const json_t *object, int indent, FILE *out)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (json_is_object(value)) {
            fprintf(out, "%*s%s\n", indent, "", key);
            print_object(value, indent + 2, out);
            continue;
        }
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(10));
        fprintf(out, "%*s%-*s %s\n", indent, "", 26 - indent, key, text ? text : "?");
        free(text);
    }
}

void rmp_model_print_arguments(const char *description, FILE *out)
{
    json_t *root = json_loads(description, 0, NULL);
    print_object(json_object_get(root, "arguments"), 2, out);
    json_decref(root);
}

/* Prediction and schedule, each in one line. */
static void print_training(const char *description, FILE *out)
{
    static const char *const keys[] = {"prediction", "preconditioning", "schedule"};
    json_t *root = json_loads(description, 0, NULL);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(root, keys[i]);
        if (!value) continue;
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
        fprintf(out, "%-19s %s\n", keys[i], text ? text : "?");
        free(text);
    }
    json_decref(root);
}

static void print_types(const rmp_weights *weights, FILE *out)
{
    int64_t counts[RMP_U8 + 1] = {0};
    for (int64_t i = 0; i < rmp_weights_count(weights); i++)
        counts[rmp_weights_tensor(weights, i)->dtype]++;
    fprintf(out, "tensors             %lld:", (long long)rmp_weights_count(weights));
    for (int d = 0; d <= (int)RMP_U8; d++)
        if (counts[d] > 0) fprintf(out, " %lld %s", (long long)counts[d], rmp_dtype_name((rmp_dtype)d));
    fprintf(out, "\n");
}

static void print_mismatch(void *context, const char *kind, const char *name, const rmp_tensor *have,
                           const rmp_tensor *want)
{
    char had[128] = "", wanted[128] = "";
    if (have) rmp_tensor_shape_text(have, had, sizeof had);
    if (want) rmp_tensor_shape_text(want, wanted, sizeof wanted);
    fprintf(context, "%-19s %s %s%s%s\n", kind, name, had, have && want ? ", needed is " : "", wanted);
}

static rmp_status fit(const rmp_model_source *source, FILE *out)
{
    rmp_model_fit found;
    rmp_status status = rmp_model_expected(source->weights, source->description, print_mismatch, out, &found);
    if (status != RMP_OK) return rmp_fail_context(status, "%s", source->described_by);
    fprintf(out, "parameters          %lld\n", (long long)found.parameters);
    if (found.passed_over > 0)
        fprintf(out, "passed over         %lld (tensors that it does without)\n", (long long)found.passed_over);
    RMP_CHECK(found.missing + found.misshapen + found.unexpected == 0, RMP_ERR_FORMAT,
              "%s: does not fit the network: %lld tensors missing, %lld misshapen, %lld unexpected", source->path,
              (long long)found.missing, (long long)found.misshapen, (long long)found.unexpected);
    RMP_CHECK(found.not_finite == 0, RMP_ERR_FORMAT,
              "%s: %lld of its tensors have numbers that are not finite: its training went wrong", source->path,
              (long long)found.not_finite);
    fprintf(out, "fits                yes: every tensor is there and none is left over\n");
    return RMP_OK;
}

static void release_set(void *set)
{
    rmp_weights *weights = set;
    rmp_weights_destroy(&weights);
}

/* A file as it was given: a score network, or one that metrics use. */
typedef struct opened {
    rmp_model_source source;
    bool metric;
    rmp_perceptual_kind kind;
} opened;

/* no such file: a mistake, not a failing system */
static rmp_status mistake(rmp_status status) { return status == RMP_ERR_IO ? RMP_ERR_CONFIG : status; }

static rmp_status select_metric(opened *o, const char *linear, bool settings)
{
    rmp_model_source second = {0};
    RMP_CHECK(!settings, RMP_ERR_CONFIG, "%s: --arch and --set are of score networks; this one has no arguments",
              o->source.path);
    if (linear) RMP_TRY(mistake(rmp_model_source_read(linear, &second)));
    const rmp_status status = rmp_perceptual_select(&o->source, linear ? &second : NULL, &o->kind);
    /* tensors of the second file are used until the end */
    if (status == RMP_OK && linear) RMP_TRY(rmp_weights_adopt(o->source.weights, second.weights, release_set));
    if (status == RMP_OK) second.weights = NULL;
    rmp_model_source_close(&second);
    return status;
}

static rmp_status open_file(const char *name, const char *linear, const char *architecture,
                            const rmp_text_list *settings, opened *o)
{
    char *path = NULL;
    *o = (opened){.kind = RMP_PERCEPTUAL_KINDS};
    RMP_TRY(rmp_paths_model(name, &path));
    rmp_status status = mistake(rmp_model_source_read(path, &o->source));
    free(path);
    RMP_TRY(status);
    o->metric = rmp_perceptual_recognise(&o->source);
    if (o->metric) {
        status = select_metric(o, linear, architecture || settings->count > 0);
    } else if (linear) {
        status = RMP_FAIL(RMP_ERR_CONFIG, "%s: is no classifier that linear layers of LPIPS go with", o->source.path);
    } else {
        return rmp_model_source_describe(&o->source, architecture, settings->item, settings->count);
    }
    if (status != RMP_OK) rmp_model_source_close(&o->source);
    return status;
}

static void print_source(const opened *o, FILE *out)
{
    const rmp_model_source *source = &o->source;
    json_t *root = json_loads(source->description, 0, NULL);
    const char *architecture = json_string_value(json_object_get(root, "architecture"));
    fprintf(out, "file                %s\nformat              %s\n", source->path, source->format);
    print_types(source->weights, out);
    fprintf(out, "described by        %s\n", source->origin);
    fprintf(out, "architecture        %s\n", architecture ? architecture : "?");
    json_decref(root);
    if (o->metric) return;
    fprintf(out, "arguments%s\n", source->inferred ? " (inferred)" : "");
    rmp_model_print_arguments(source->description, out);
    print_training(source->description, out);
}

static rmp_status fit_file(const opened *o, FILE *out)
{
    return o->metric ? rmp_model_metric_fit(&o->source, o->kind, print_mismatch, out) : fit(&o->source, out);
}

rmp_status rmp_model_check(const char *path, const char *architecture, const rmp_text_list *settings, FILE *out)
{
    opened o;
    RMP_TRY(open_file(path, NULL, architecture, settings, &o));
    print_source(&o, out);
    const rmp_status status = fit_file(&o, out);
    rmp_model_source_close(&o.source);
    return status;
}

/* Leaves out the half of a KernelWizard that is passed over, which is most of its file. No other network that fits has
 * tensors of these names. */
static rmp_status drop_unused(rmp_model_source *source)
{
    rmp_weights *kept = NULL;
    rmp_status status = RMP_OK;
    RMP_TRY(rmp_weights_create(&kept));
    for (int64_t i = 0; i < rmp_weights_count(source->weights); i++) {
        const char *name = rmp_weights_name(source->weights, i);
        if (rmp_kernel_wizard_ignores(name)) continue;
        RMP_TRY_GOTO(rmp_weights_add(kept, name, rmp_weights_tensor(source->weights, i)), failed);
    }
    RMP_TRY_GOTO(rmp_weights_adopt(kept, source->weights, release_set), failed);
    source->weights = kept;
    return RMP_OK;
failed:
    rmp_weights_destroy(&kept);
    return status;
}

static rmp_status write_source(const rmp_model_source *source, const char *output, bool half)
{
    static const char key[] = "rmp";
    rmp_weights *halved = NULL;
    char *folder = NULL;
    const char *slash = strrchr(output, '/');
    rmp_status status = RMP_OK;
    RMP_TRY_GOTO(rmp_path_folder(output, &folder), done);
    if (half) RMP_TRY_GOTO(rmp_weights_halve(source->weights, &halved), done);
    status = rmp_safetensors_write(folder, slash ? slash + 1 : output, half ? halved : source->weights, key,
                                   source->description);
done:
    rmp_weights_destroy(&halved);
    free(folder);
    return status;
}

rmp_status rmp_model_convert(const char *path, const char *linear, const char *output, const char *architecture,
                             const rmp_text_list *settings, bool half, FILE *out)
{
    static const char suffix[] = ".safetensors";
    const size_t length = strlen(output), tail = strlen(suffix);
    RMP_CHECK(length > tail && strcmp(output + length - tail, suffix) == 0, RMP_ERR_CONFIG,
              "%s: the converted file must be called NAME.safetensors", output);
    opened o;
    rmp_status status;
    RMP_TRY(open_file(path, linear, architecture, settings, &o));
    RMP_CHECK_GOTO(!half || !o.metric, RMP_ERR_CONFIG, done,
                   "--half: networks of metrics stay as they are, so that their numbers are the published ones");
    print_source(&o, out);
    RMP_TRY_GOTO(fit_file(&o, out), done);
    RMP_TRY_GOTO(drop_unused(&o.source), done);
    RMP_TRY_GOTO(write_source(&o.source, output, half), done);
    fprintf(out, "written             %s%s\n", output, half ? ", matrices in float16" : "");
done:
    rmp_model_source_close(&o.source);
    return status;
}
