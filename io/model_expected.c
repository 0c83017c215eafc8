#include "io/model_expected.h"

#include "io/description.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NAME = 256, CHUNK = 4096 };

/* Names of diffusers from before 0.17, in the file, for those of today. */
static const struct {
    const char *now, *before;
} RENAMED[] = {{".to_q.", ".query."},
               {".to_k.", ".key."},
               {".to_v.", ".value."},
               {".to_out.0.", ".proj_attn."},
               {"time_proj.weight", "time_proj.W"}};
enum { RENAMES = sizeof RENAMED / sizeof *RENAMED };

/* Tensors that an architecture does without and a file may have: noise levels, a second name, the other half. */
static bool is_optional(const void *description, const char *name)
{
    const rmp_description *d = description;
    if (d->architecture == &rmp_architecture_kernel_wizard) return rmp_kernel_wizard_ignores(name);
    if (d->architecture == &rmp_architecture_ncsnpp) return strcmp(name, "sigmas") == 0;
    return d->architecture == &rmp_architecture_unet2d && strcmp(name, "time_proj.W") == 0;
}

/* The tensor of that name, or of the name that it used to have, which `former` then holds. */
static const rmp_tensor *find(const rmp_weights *weights, const char *name, char former[static MAX_NAME])
{
    snprintf(former, MAX_NAME, "%s", name);
    const rmp_tensor *found = rmp_weights_find(weights, name);
    for (int i = 0; !found && i < RENAMES; i++) {
        const char *at = strstr(name, RENAMED[i].now);
        if (!at) continue;
        snprintf(former, MAX_NAME, "%.*s%s%s", (int)(at - name), name, RENAMED[i].before, at + strlen(RENAMED[i].now));
        found = rmp_weights_find(weights, former);
    }
    return found;
}

static bool same_shape(const rmp_tensor *a, const rmp_tensor *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

static bool is_finite(const rmp_tensor *t)
{
    float values[CHUNK];
    const int64_t count = t->data ? rmp_tensor_count(t) : 0; /* shapes alone have no numbers */
    for (int64_t at = 0; at < count; at += CHUNK) {
        const int64_t size = count - at < CHUNK ? count - at : CHUNK;
        rmp_tensor_read_f32(t, at, size, values);
        for (int64_t i = 0; i < size; i++)
            if (!isfinite(values[i])) return false;
    }
    return true;
}

typedef struct comparison {
    const rmp_weights *weights, *wanted;
    rmp_model_optional *optional;
    const void *optional_context;
    rmp_model_mismatch *each;
    void *context;
} comparison;

static rmp_status compare(const comparison *c, rmp_weights *seen, rmp_model_fit *fit)
{
    char former[MAX_NAME];
    for (int64_t i = 0; i < rmp_weights_count(c->wanted); i++) {
        const char *name = rmp_weights_name(c->wanted, i);
        const rmp_tensor *want = rmp_weights_tensor(c->wanted, i), *have = find(c->weights, name, former);
        if (!have) {
            fit->missing++;
            if (c->each) c->each(c->context, "missing", name, NULL, want);
            continue;
        }
        RMP_TRY(rmp_weights_add(seen, former, have));
        if (!same_shape(have, want)) {
            fit->misshapen++;
            if (c->each) c->each(c->context, "misshapen", former, have, want);
        } else if (!is_finite(have)) {
            fit->not_finite++;
            if (c->each) c->each(c->context, "not finite", former, have, NULL);
        }
    }
    for (int64_t i = 0; i < rmp_weights_count(c->weights); i++) {
        const char *name = rmp_weights_name(c->weights, i);
        if (rmp_weights_find(seen, name)) continue;
        if (c->optional(c->optional_context, name)) {
            fit->passed_over++;
            continue;
        }
        fit->unexpected++;
        if (c->each) c->each(c->context, "unexpected", name, rmp_weights_tensor(c->weights, i), NULL);
    }
    return RMP_OK;
}

rmp_status rmp_model_compare(const rmp_weights *weights, const rmp_weights *wanted, rmp_model_optional *optional,
                             const void *optional_context, rmp_model_mismatch *each, void *context, rmp_model_fit *fit)
{
    const comparison c = {weights, wanted, optional, optional_context, each, context};
    rmp_weights *seen = NULL;
    for (int64_t i = 0; i < rmp_weights_count(weights); i++)
        if (!optional(optional_context, rmp_weights_name(weights, i)))
            fit->parameters += rmp_tensor_count(rmp_weights_tensor(weights, i));
    RMP_TRY(rmp_weights_create(&seen));
    const rmp_status status = compare(&c, seen, fit);
    rmp_weights_destroy(&seen);
    return status;
}

rmp_status rmp_model_expected(const rmp_weights *weights, const char *description, rmp_model_mismatch *each,
                              void *context, rmp_model_fit *fit)
{
    rmp_description d;
    rmp_weights *wanted = NULL;
    *fit = (rmp_model_fit){0};
    RMP_TRY(rmp_description_parse(description, false, &d));
    fit->architecture = d.architecture->name;
    RMP_TRY(rmp_weights_create(&wanted));
    rmp_status status = d.architecture->list(&d, wanted);
    if (status == RMP_OK) status = rmp_model_compare(weights, wanted, is_optional, &d, each, context, fit);
    rmp_weights_destroy(&wanted);
    return status;
}
