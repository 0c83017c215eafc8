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
static bool is_optional(const rmp_description *d, const char *name)
{
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

static rmp_status compare(const rmp_description *d, const rmp_weights *weights, const rmp_weights *wanted,
                          rmp_weights *seen, rmp_model_mismatch *each, void *context, rmp_model_fit *fit)
{
    char former[MAX_NAME];
    for (int64_t i = 0; i < rmp_weights_count(wanted); i++) {
        const char *name = rmp_weights_name(wanted, i);
        const rmp_tensor *want = rmp_weights_tensor(wanted, i), *have = find(weights, name, former);
        if (!have) {
            fit->missing++;
            if (each) each(context, "missing", name, NULL, want);
            continue;
        }
        RMP_TRY(rmp_weights_add(seen, former, have));
        if (!same_shape(have, want)) {
            fit->misshapen++;
            if (each) each(context, "misshapen", former, have, want);
        } else if (!is_finite(have)) {
            fit->not_finite++;
            if (each) each(context, "not finite", former, have, NULL);
        }
    }
    for (int64_t i = 0; i < rmp_weights_count(weights); i++) {
        const char *name = rmp_weights_name(weights, i);
        if (rmp_weights_find(seen, name)) continue;
        if (is_optional(d, name)) {
            fit->passed_over++;
            continue;
        }
        fit->unexpected++;
        if (each) each(context, "unexpected", name, rmp_weights_tensor(weights, i), NULL);
    }
    return RMP_OK;
}

rmp_status rmp_model_expected(const rmp_weights *weights, const char *description, rmp_model_mismatch *each,
                              void *context, rmp_model_fit *fit)
{
    rmp_description d;
    rmp_weights *wanted = NULL, *seen = NULL;
    rmp_status status = RMP_OK;
    *fit = (rmp_model_fit){0};
    RMP_TRY(rmp_description_parse(description, false, &d));
    fit->architecture = d.architecture->name;
    for (int64_t i = 0; i < rmp_weights_count(weights); i++)
        if (!is_optional(&d, rmp_weights_name(weights, i)))
            fit->parameters += rmp_tensor_count(rmp_weights_tensor(weights, i));
    RMP_TRY_GOTO(rmp_weights_create(&wanted), done);
    RMP_TRY_GOTO(rmp_weights_create(&seen), done);
    RMP_TRY_GOTO(d.architecture->list(&d, wanted), done);
    status = compare(&d, weights, wanted, seen, each, context, fit);
done:
    rmp_weights_destroy(&wanted);
    rmp_weights_destroy(&seen);
    return status;
}
