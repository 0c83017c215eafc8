#include "io/sweep_axis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_TEXT = 4096, MAX_COMPONENTS = 16 };

const rmp_job_key *rmp_sweep_key(const char *path, const rmp_job_section **section)
{
    const char *dot = strchr(path, '.');
    const size_t length = dot != NULL ? (size_t)(dot - path) : 0;
    for (int s = 0; s < RMP_JOB_SECTIONS; s++) {
        const char *name = rmp_job_sections[s].name;
        if (strlen(name) != length || strncmp(name, path, length) != 0) continue;
        *section = &rmp_job_sections[s];
        return rmp_job_key_find(*section, dot != NULL ? dot + 1 : path);
    }
    return NULL;
}

/* A scalar as it is; a list of scalars as "[a,b]". */
static rmp_status value_text(yaml_document_t *document, yaml_node_t *value, const char *key,
                             const rmp_sweep_place *place, char text[VALUE_TEXT])
{
    const char *scalar = rmp_job_yaml_scalar(value);
    if (scalar != NULL) {
        const int length = snprintf(text, VALUE_TEXT, "%s", scalar);
        RMP_CHECK(length < VALUE_TEXT, RMP_ERR_CONFIG, "%s: %s: the value is too long", place->origin, key);
        return RMP_OK;
    }
    RMP_CHECK(value->type == YAML_SEQUENCE_NODE, RMP_ERR_CONFIG, "%s: %s: takes one value, or a list such as [0,1]",
              place->origin, key);
    size_t used = (size_t)snprintf(text, VALUE_TEXT, "[");
    for (yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top; i++) {
        const char *entry = rmp_job_yaml_scalar(yaml_document_get_node(document, *i));
        RMP_CHECK(entry != NULL && used + strlen(entry) + 3 < VALUE_TEXT, RMP_ERR_CONFIG,
                  "%s: %s: takes one value, or a list such as [0,1]", place->origin, key);
        used += (size_t)snprintf(text + used, VALUE_TEXT - used, "%s%s", used > 1 ? "," : "", entry);
    }
    snprintf(text + used, VALUE_TEXT - used, "]");
    return RMP_OK;
}

/* The value in the one form that rmp_job_text writes. */
static rmp_status normalise(const rmp_job_key *key, const char *path, const char *text, const rmp_sweep_place *place,
                            char **out)
{
    char accepts[512];
    bool memory = false;
    rmp_job *scratch = calloc(1, sizeof *scratch);
    RMP_CHECK(scratch != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    rmp_status status = RMP_OK;
    if (!rmp_job_key_parse(scratch, key, text, &memory)) {
        rmp_job_key_accepts(key, accepts, sizeof accepts);
        status = memory ? RMP_FAIL(RMP_ERR_MEMORY, "no memory for a sweep")
                        : RMP_FAIL(RMP_ERR_CONFIG, "%s: %s: '%.100s' is not accepted; give %s", place->origin, path,
                                   text, accepts);
    }
    if (status == RMP_OK) status = rmp_job_key_absolute(scratch, key, place->folder);
    *out = status == RMP_OK ? rmp_job_key_text(scratch, key) : NULL;
    if (status == RMP_OK && *out == NULL) status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for a sweep");
    rmp_job_free(&scratch);
    return status;
}

rmp_status rmp_sweep_add_change(rmp_sweep_point *point, const char *key, yaml_document_t *document, yaml_node_t *value,
                                const rmp_sweep_place *place)
{
    const rmp_job_section *section;
    const rmp_job_key *found = rmp_sweep_key(key, &section);
    char text[VALUE_TEXT], *form = NULL, *whole;
    RMP_CHECK(found != NULL, RMP_ERR_CONFIG, "%s: there is no key %s in a job", place->origin, key);
    RMP_CHECK(strcmp(key, "output.dir") != 0, RMP_ERR_CONFIG,
              "%s: output.dir: every cell has its own folder in that of the sweep", place->origin);
    for (int i = 0; i < point->changes; i++) {
        const size_t length = strlen(key);
        const char *other = point->change[i].text;
        RMP_CHECK(strncmp(other, key, length) != 0 || other[length] != '=', RMP_ERR_CONFIG, "%s: %s: given twice",
                  place->origin, key);
    }
    if (rmp_job_yaml_is_null(value)) {
        form = strdup("null");
        RMP_CHECK(form != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    } else {
        RMP_TRY(value_text(document, value, key, place, text));
        RMP_TRY(normalise(found, key, text, place, &form));
    }
    const size_t size = strlen(key) + strlen(form) + 2;
    rmp_job_change *grown = realloc(point->change, ((size_t)point->changes + 1) * sizeof *grown);
    if (grown != NULL) point->change = grown;
    whole = grown != NULL ? malloc(size) : NULL;
    if (whole != NULL) snprintf(whole, size, "%s=%s", key, form);
    free(form);
    RMP_CHECK(whole != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    point->change[point->changes++] = (rmp_job_change){whole, point->origin};
    return RMP_OK;
}

rmp_status rmp_sweep_axis_create(rmp_sweep_axis *axis, const char *name, int points)
{
    axis->name = strdup(name);
    axis->point = calloc((size_t)points + 1, sizeof *axis->point);
    RMP_CHECK(axis->name != NULL && axis->point != NULL, RMP_ERR_MEMORY, "no memory for an axis");
    axis->points = points;
    return RMP_OK;
}

/* ---- labels ---- */

/* The last n components of a path. */
static const char *tail(const char *path, int n)
{
    const char *at = path + strlen(path);
    while (n > 0 && at > path) {
        at--;
        if (*at == '/') n--;
    }
    return *at == '/' && at[1] != '\0' ? at + 1 : at;
}

static char *unquoted(const char *text)
{
    const size_t length = strlen(text);
    if (length < 2 || text[0] != '"') return strdup(text);
    return strndup(text + 1, length - 2);
}

/* Values as people know them; of paths what tells them apart. */
static rmp_status label_values(rmp_sweep_axis *axis)
{
    const rmp_job_section *section;
    const rmp_job_key *key = rmp_sweep_key(axis->name, &section);
    const bool path = key->type == RMP_JOB_PATH || key->type == RMP_JOB_MODEL;
    for (int n = 1; n <= MAX_COMPONENTS; n++) {
        bool different = true;
        for (int i = 0; i < axis->points; i++) {
            char *value = unquoted(strchr(axis->point[i].change[0].text, '=') + 1);
            RMP_CHECK(value != NULL, RMP_ERR_MEMORY, "no memory for an axis");
            free(axis->point[i].label);
            axis->point[i].label = path ? strdup(tail(value, n)) : value;
            if (path) free(value);
            RMP_CHECK(axis->point[i].label != NULL, RMP_ERR_MEMORY, "no memory for an axis");
            for (int j = 0; j < i; j++)
                different = different && strcmp(axis->point[i].label, axis->point[j].label) != 0;
        }
        if (!path || different) break;
    }
    return RMP_OK;
}

/* The letters of a label that every file system takes: "[48, 48]" is 48x48. No '=', which tells parts apart. */
static void append_safe(char *part, size_t size, const char *label)
{
    size_t used = strlen(part);
    for (const char *c = label; *c != '\0' && used + 1 < size; c++) {
        const bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        if (*c == '[' || *c == ']' || *c == ' ') continue;
        part[used++] = letter || strchr("+-._", *c) != NULL ? *c : *c == ',' ? 'x' : '_';
    }
    part[used] = '\0';
}

static const char *last_word(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot != NULL ? dot + 1 : key;
}

/* "T=" of solver.T, or all of it if another axis has the same last word. */
static const char *short_key(const rmp_sweep *sweep, const rmp_sweep_axis *axis)
{
    for (int a = 0; a < sweep->axes; a++) {
        const rmp_sweep_axis *other = &sweep->axis[a];
        if (other != axis && !other->named && strcmp(last_word(other->name), last_word(axis->name)) == 0) {
            return axis->name;
        }
    }
    return last_word(axis->name);
}

static bool is_taken(const rmp_sweep_axis *axis, int before, const char *part)
{
    for (int i = 0; i < before; i++) {
        if (strcmp(axis->point[i].part, part) == 0) return true;
    }
    return false;
}

static rmp_status name_parts(const rmp_sweep *sweep, rmp_sweep_axis *axis)
{
    const size_t most = (size_t)(RMP_SWEEP_NAME / sweep->axes); /* with the dot between parts */
    char part[RMP_SWEEP_NAME + 1], whole[RMP_SWEEP_NAME + 1];
    for (int i = 0; i < axis->points; i++) {
        part[0] = '\0';
        if (!axis->named) snprintf(part, most, "%s=", short_key(sweep, axis));
        append_safe(part, most, axis->point[i].label);
        snprintf(whole, sizeof whole, "%s", part);
        for (int k = 2; is_taken(axis, i, whole); k++)
            snprintf(whole, sizeof whole, "%.*s-%d", (int)(most - 8), part, k);
        axis->point[i].part = strdup(whole);
        RMP_CHECK(axis->point[i].part != NULL, RMP_ERR_MEMORY, "no memory for an axis");
    }
    return RMP_OK;
}

static void find_numbers(rmp_sweep_axis *axis)
{
    axis->numeric = true;
    for (int i = 0; i < axis->points; i++) {
        rmp_sweep_point *p = &axis->point[i];
        char *end;
        const bool plain = p->label[strspn(p->label, "0123456789+-.eE")] == '\0';
        p->number = strtod(p->label, &end);
        if (!plain || end == p->label || *end != '\0' || !isfinite(p->number)) {
            p->number = NAN;
            axis->numeric = false;
        }
    }
}

/* ---- what axes may not do ---- */

static bool sets(const rmp_sweep_axis *axis, const char *change, const char **origin)
{
    const size_t length = (size_t)(strchr(change, '=') - change) + 1;
    for (int i = 0; i < axis->points; i++) {
        for (int c = 0; c < axis->point[i].changes; c++) {
            if (strncmp(axis->point[i].change[c].text, change, length) != 0) continue;
            *origin = axis->point[i].origin;
            return true;
        }
    }
    return false;
}

static rmp_status check_other_axes(const rmp_sweep *sweep, int a)
{
    const rmp_sweep_axis *axis = &sweep->axis[a];
    const char *origin;
    for (int b = 0; b < a; b++) {
        for (int i = 0; i < axis->points; i++) {
            for (int c = 0; c < axis->point[i].changes; c++) {
                const char *text = axis->point[i].change[c].text;
                RMP_CHECK(!sets(&sweep->axis[b], text, &origin), RMP_ERR_CONFIG,
                          "%s: %.*s is set by two axes (the other is %s)", axis->point[i].origin,
                          (int)(strchr(text, '=') - text), text, origin);
            }
        }
    }
    return RMP_OK;
}

static rmp_status check_overrides(const rmp_sweep *sweep, const rmp_sweep_axis *axis)
{
    const char *origin;
    for (int i = 0; i < sweep->overrides; i++) {
        const char *text = sweep->override[i];
        if (strchr(text, '=') == NULL) continue; /* reading the base says so */
        RMP_CHECK(!sets(axis, text, &origin), RMP_ERR_CONFIG,
                  "--set %s: the sweep varies this key (%s); choose its values with --grid", text, origin);
    }
    return RMP_OK;
}

static rmp_status check_values(const rmp_sweep_axis *axis)
{
    for (int i = 0; !axis->named && i < axis->points; i++) {
        for (int j = 0; j < i; j++) {
            const char *text = axis->point[i].change[0].text;
            RMP_CHECK(strcmp(text, axis->point[j].change[0].text) != 0, RMP_ERR_CONFIG,
                      "%s: the value %s is there twice", axis->point[i].origin, strchr(text, '=') + 1);
        }
    }
    return RMP_OK;
}

/* Keys that say what is restored; of priors the analytic ones, whose answer is known. */
static bool is_of_problem(const char *change)
{
    static const char *const starts[] = {"input.", "operator.", "noise.", "seed=", "prior.kind=", "prior.file="};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        if (strncmp(change, starts[i], strlen(starts[i])) == 0) return true;
    }
    return false;
}

/* ---- exceptions ---- */

bool rmp_sweep_exception_matters(const rmp_sweep *sweep, int exception)
{
    const uint64_t bit = UINT64_C(1) << exception;
    for (int a = 0; a < sweep->axes; a++) {
        bool any = (sweep->axis[a].excepted & bit) == 0;
        for (int i = 0; i < sweep->axis[a].points; i++)
            any = any || (sweep->axis[a].point[i].excepted & bit) != 0;
        if (!any) return false;
    }
    return true;
}

static bool is_left_out(const rmp_sweep *sweep, const int place[RMP_SWEEP_AXES])
{
    /* Of each axis: the exceptions that name its point or do not speak of it. */
    uint64_t all = sweep->exceptions < 64 ? (UINT64_C(1) << sweep->exceptions) - 1 : UINT64_MAX;
    for (int a = 0; a < sweep->axes; a++)
        all &= sweep->axis[a].point[place[a]].excepted | ~sweep->axis[a].excepted;
    return all != 0;
}

static rmp_status leave_out(rmp_sweep *sweep)
{
    int place[RMP_SWEEP_AXES];
    int64_t left = 0;
    if (sweep->exceptions == 0) return RMP_OK;
    int *kept = malloc((size_t)sweep->cells * sizeof *kept);
    RMP_CHECK(kept != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    for (int64_t i = 0; i < sweep->cells; i++) {
        rmp_sweep_places(sweep, i, place);
        if (!is_left_out(sweep, place)) kept[left++] = (int)i;
    }
    sweep->kept = kept;
    sweep->cells = left;
    RMP_CHECK(left > 0, RMP_ERR_CONFIG, "%s: sweep.except: leaves no cell", sweep->path);
    return RMP_OK;
}

rmp_status rmp_sweep_finish_axes(rmp_sweep *sweep)
{
    sweep->cells = 1;
    for (int a = 0; a < sweep->axes; a++) {
        rmp_sweep_axis *axis = &sweep->axis[a];
        RMP_TRY(check_values(axis));
        RMP_TRY(check_other_axes(sweep, a));
        RMP_TRY(check_overrides(sweep, axis));
        if (!axis->named) RMP_TRY(label_values(axis));
        RMP_TRY(name_parts(sweep, axis));
        find_numbers(axis);
        for (int i = 0; i < axis->points; i++) {
            for (int c = 0; c < axis->point[i].changes; c++)
                axis->problem = axis->problem || is_of_problem(axis->point[i].change[c].text);
        }
        RMP_CHECK(sweep->cells <= RMP_SWEEP_CELLS / axis->points, RMP_ERR_CONFIG,
                  "%s: sweep: more than %d cells; give fewer values or axes", sweep->path, RMP_SWEEP_CELLS);
        sweep->cells *= axis->points;
    }
    return leave_out(sweep);
}
