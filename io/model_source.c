#include "io/model_source.h"

#include "io/file.h"
#include "io/infer.h"
#include "io/mapping.h"
#include "io/safetensors.h"
#include "io/torch_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DESCRIPTION = 16 << 20 };

static const char MODULE[] = "module.";

static bool exists(const char *path) { return access(path, F_OK) == 0; }

static rmp_status keep(char **out, const char *text)
{
    free(*out);
    *out = strdup(text);
    RMP_CHECK(*out, RMP_ERR_MEMORY, "no memory for a path");
    return RMP_OK;
}

/* FOLDER/NAME in *out if it is there; else *out stays. */
static rmp_status look_for(const char *folder, const char *name, char **out)
{
    char *path = NULL;
    if (*out) return RMP_OK;
    RMP_TRY(rmp_path_join(folder, name, &path));
    if (exists(path))
        *out = path;
    else
        free(path);
    return RMP_OK;
}

static rmp_status read_json(const char *path, json_t **out)
{
    char *text = NULL;
    size_t size = 0;
    json_error_t error;
    *out = NULL;
    RMP_TRY(rmp_file_read(path, MAX_DESCRIPTION, &text, &size));
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    free(text);
    RMP_CHECK(*out, RMP_ERR_FORMAT, "%s: line %d: %s", path, error.line, error.text);
    if (json_is_object(*out)) return RMP_OK;
    json_decref(*out);
    *out = NULL;
    return RMP_FAIL(RMP_ERR_FORMAT, "%s: a JSON object is needed", path);
}

/* The weight file of a folder of diffusers. */
static rmp_status resolve_folder(const char *folder, char **out)
{
    static const char *const names[] = {"diffusion_pytorch_model.safetensors",
                                        "unet/diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin",
                                        "unet/diffusion_pytorch_model.bin"};
    static const char *const split[] = {
        "diffusion_pytorch_model.safetensors.index.json", "unet/diffusion_pytorch_model.safetensors.index.json",
        "diffusion_pytorch_model.bin.index.json", "unet/diffusion_pytorch_model.bin.index.json"};
    char *index = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        RMP_TRY(look_for(folder, names[i], out));
    for (size_t i = 0; i < sizeof split / sizeof *split && !*out; i++)
        RMP_TRY(look_for(folder, split[i], &index));
    if (index) {
        const rmp_status status =
            RMP_FAIL(RMP_ERR_FORMAT,
                     "%s: its weights are split into several files, which is not supported; save_pretrained(FOLDER, "
                     "max_shard_size=\"100GB\") of diffusers writes one",
                     index);
        free(index);
        return status;
    }
    RMP_CHECK(
        *out, RMP_ERR_FORMAT,
        "%s: is a folder without diffusion_pytorch_model.safetensors or .bin (in it or in unet/); name the weight "
        "file itself if it has another name",
        folder);
    return RMP_OK;
}

/* The first bytes, not the name, tell the format. */
static rmp_status read_weights(rmp_model_source *s)
{
    rmp_mapping *m = NULL;
    RMP_TRY(rmp_mapping_open(s->path, &m));
    const bool torch = rmp_torch_recognise(m->bytes, m->size) != RMP_TORCH_NO;
    rmp_mapping_release(m);
    if (!torch) {
        s->format = "safetensors";
        return rmp_safetensors_open(s->path, "rmp", &s->description, &s->weights);
    }
    rmp_torch_layout layout = RMP_TORCH_BARE;
    RMP_TRY(rmp_torch_open(s->path, &layout, &s->weights));
    s->format = rmp_torch_layout_text(layout);
    return RMP_OK;
}

static void release_set(void *set)
{
    rmp_weights *weights = set;
    rmp_weights_destroy(&weights);
}

/* Renames module.NAME to NAME if every name begins so (DataParallel puts that in front). */
static rmp_status strip_names(rmp_weights **weights)
{
    const size_t length = strlen(MODULE);
    const int64_t count = rmp_weights_count(*weights);
    rmp_weights *stripped = NULL;
    rmp_status status = RMP_OK;
    for (int64_t i = 0; i < count; i++)
        if (strncmp(rmp_weights_name(*weights, i), MODULE, length) != 0) return RMP_OK;
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

/* NAME.json for NAME.safetensors, .pt, .pth, .bin. */
static rmp_status path_beside(const char *path, char **out)
{
    static const char *const suffixes[] = {".safetensors", ".pt", ".pth", ".bin"};
    size_t stem = strlen(path);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        const size_t tail = strlen(suffixes[i]), length = strlen(path);
        if (length > tail && strcmp(path + length - tail, suffixes[i]) == 0) stem = length - tail;
    }
    *out = malloc(stem + sizeof ".json");
    RMP_CHECK(*out, RMP_ERR_MEMORY, "no memory for a path");
    memcpy(*out, path, stem);
    memcpy(*out + stem, ".json", sizeof ".json");
    return RMP_OK;
}

/* A description from the config.json of diffusers, with the scheduler's wherever that layout has it. */
static rmp_status from_diffusers(json_t *config, const char *folder, json_t **description)
{
    static const char *const places[] = {"scheduler_config.json", "scheduler/scheduler_config.json",
                                         "../scheduler/scheduler_config.json"};
    char *path = NULL;
    json_t *scheduler = NULL;
    rmp_status status = RMP_OK;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        RMP_TRY_GOTO(look_for(folder, places[i], &path), done);
    if (path) RMP_TRY_GOTO(read_json(path, &scheduler), done);
    status = rmp_infer_diffusers(config, scheduler, description);
done:
    json_decref(scheduler);
    free(path);
    return status;
}

static rmp_status infer(const rmp_model_source *s, const char *architecture, const json_t *given, json_t **description)
{
    const rmp_infer from = {s->weights, given};
    const char *name = architecture ? architecture : rmp_infer_architecture(s->weights);
    RMP_CHECK(name, RMP_ERR_FORMAT,
              "does not say what network it is: the names of its tensors are those of no known "
              "architecture (the first is '%.80s')",
              rmp_weights_count(s->weights) ? rmp_weights_name(s->weights, 0) : "");
    if (strcmp(name, "adm") == 0) return rmp_infer_adm(&from, description);
    if (strcmp(name, "ncsnpp") == 0) return rmp_infer_ncsnpp(&from, description);
    if (strcmp(name, "unet2d") == 0) return rmp_infer_unet2d(&from, description);
    if (strcmp(name, "kernel_wizard") == 0) return rmp_infer_kernel_wizard(&from, description);
    return RMP_FAIL(RMP_ERR_CONFIG, "architecture '%s' is unknown; supported: adm, ncsnpp, unet2d, kernel_wizard",
                    name);
}

/* Sets "a.b=VALUE" in an object, whose sections are made where they are missing. */
static rmp_status apply_setting(json_t *arguments, const char *setting)
{
    const char *equal = strchr(setting, '=');
    RMP_CHECK(equal && equal > setting, RMP_ERR_CONFIG, "--set %s: KEY=VALUE is needed", setting);
    json_t *value = json_loads(equal + 1, JSON_DECODE_ANY, NULL);
    if (!value) value = json_string(equal + 1); /* a word needs no quotes */
    const char *key = setting;
    for (const char *dot; value && (dot = memchr(key, '.', (size_t)(equal - key))); key = dot + 1) {
        char *section = strndup(key, (size_t)(dot - key));
        json_t *inner = section ? json_object_get(arguments, section) : NULL;
        if (section && !json_is_object(inner)) {
            inner = json_object();
            if (json_object_set_new(arguments, section, inner) != 0) inner = NULL;
        }
        free(section);
        if (!inner) break;
        arguments = inner;
    }
    char *last = strndup(key, (size_t)(equal - key));
    const bool failed = !value || !last || json_object_set(arguments, last, value) != 0;
    free(last);
    json_decref(value);
    RMP_CHECK(!failed, RMP_ERR_CONFIG, "--set %s: is no UTF-8 text, or there is no memory for it", setting);
    return RMP_OK;
}

static rmp_status apply_settings(json_t *arguments, char *const settings[], int count)
{
    for (int i = 0; i < count; i++)
        RMP_TRY(apply_setting(arguments, settings[i]));
    return RMP_OK;
}

/* The description from the first place that has one. */
static rmp_status find_description(rmp_model_source *s, const char *architecture, const json_t *given, json_t **out)
{
    char *beside = NULL, *folder = NULL, *config = NULL;
    rmp_status status = RMP_OK;
    json_error_t error;
    if (s->description) {
        s->origin = "metadata of the file";
        *out = json_loads(s->description, JSON_REJECT_DUPLICATES, &error);
        RMP_CHECK(*out, RMP_ERR_FORMAT, "description, line %d: %s", error.line, error.text);
        RMP_CHECK(json_is_object(*out), RMP_ERR_FORMAT, "description: a JSON object is needed");
        return RMP_OK;
    }
    RMP_TRY_GOTO(path_beside(s->path, &beside), done);
    RMP_TRY_GOTO(rmp_path_folder(s->path, &folder), done);
    if (exists(beside)) {
        s->origin = "JSON file beside it";
        RMP_TRY_GOTO(keep(&s->described_by, beside), done);
        RMP_TRY_GOTO(read_json(beside, out), done);
    } else if (rmp_infer_architecture(s->weights) && strcmp(rmp_infer_architecture(s->weights), "unet2d") == 0) {
        RMP_TRY_GOTO(look_for(folder, "config.json", &config), done);
        if (config) RMP_TRY_GOTO(keep(&s->described_by, config), done);
        if (config) RMP_TRY_GOTO(read_json(config, out), done);
    }
    if (*out && json_object_get(*out, "_class_name")) {
        json_t *arguments = *out;
        s->origin = "config.json of diffusers";
        *out = NULL;
        status = from_diffusers(arguments, folder, out);
        json_decref(arguments);
    } else if (!*out) {
        s->origin = "names and shapes of its tensors";
        s->inferred = true;
        status = infer(s, architecture, given, out);
        if (status == RMP_ERR_FORMAT) status = rmp_fail_context(status, "no metadata 'rmp' in it, no %s", beside);
    }
done:
    free(beside);
    free(folder);
    free(config);
    return status;
}

static rmp_status describe(rmp_model_source *s, const char *architecture, char *const settings[], int count)
{
    json_t *given = json_object(), *description = NULL;
    rmp_status status = RMP_OK;
    RMP_TRY_GOTO(keep(&s->described_by, s->path), done);
    RMP_TRY_GOTO(apply_settings(given, settings, count), done);
    RMP_TRY_GOTO(find_description(s, architecture, given, &description), done);
    const char *found = json_string_value(json_object_get(description, "architecture"));
    RMP_CHECK_GOTO(!architecture || (found && strcmp(found, architecture) == 0), RMP_ERR_FORMAT, done,
                   "its description says architecture '%s', not %s", found ? found : "?", architecture);
    json_t *arguments = json_object_get(description, "arguments");
    if (count > 0 && json_is_object(arguments)) RMP_TRY_GOTO(apply_settings(arguments, settings, count), done);
    free(s->description);
    s->description = json_dumps(description, JSON_COMPACT);
    RMP_CHECK_GOTO(s->description, RMP_ERR_MEMORY, done, "no memory for a description");
done:
    json_decref(given);
    json_decref(description);
    return status;
}

rmp_status rmp_model_source_read(const char *path, rmp_model_source *out)
{
    struct stat info;
    rmp_status status;
    *out = (rmp_model_source){0};
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        status = resolve_folder(path, &out->path);
    else
        status = keep(&out->path, path);
    if (status == RMP_OK) status = read_weights(out);
    if (status == RMP_OK) status = strip_names(&out->weights);
    if (status != RMP_OK) rmp_model_source_close(out);
    return status;
}

rmp_status rmp_model_source_describe(rmp_model_source *source, const char *architecture, char *const settings[],
                                     int count)
{
    rmp_status status = describe(source, architecture, settings, count);
    if (status == RMP_OK) return RMP_OK;
    const char *by = source->described_by;
    /* What goes wrong in another file names that file already. */
    if (status != RMP_ERR_CONFIG && (!by || strncmp(rmp_fail_message(), by, strlen(by)) != 0))
        status = rmp_fail_context(status, "%s", by ? by : source->path);
    rmp_model_source_close(source);
    return status;
}

rmp_status rmp_model_source_open(const char *path, const char *architecture, char *const settings[], int count,
                                 rmp_model_source *out)
{
    RMP_TRY(rmp_model_source_read(path, out));
    return rmp_model_source_describe(out, architecture, settings, count);
}

void rmp_model_source_close(rmp_model_source *source)
{
    rmp_weights_destroy(&source->weights);
    free(source->description);
    free(source->path);
    free(source->described_by);
    *source = (rmp_model_source){0};
}
