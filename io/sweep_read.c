#include "io/sweep_axis.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct reader {
    rmp_sweep *sweep;
    char *folder; /* of the file */
    char current[PATH_MAX];
    yaml_document_t document;
    bool have_document;
} reader;

/* A name of the user's: part of names of folders, and the head of a column. */
static bool is_name(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const size_t length = strlen(text);
    if (length == 0 || length > 40 || strchr(letters, text[0]) == NULL) return false;
    for (const char *c = text; *c != '\0'; c++) {
        if (strchr(letters, *c) == NULL && strchr("_+-", *c) == NULL) return false;
    }
    return true;
}

/* Columns of sweep.csv that an axis must not be mistaken for. */
static bool is_column(const char *text)
{
    static const char *const own[] = {"cell", "items", "failed", "cost", "seconds"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(text, own[i]) == 0) return true;
    }
    return false;
}

/* "t.yaml:14: sweep.solver.T", "t.yaml:15: sweep.task.sr4" */
static rmp_status set_origin(const reader *r, rmp_sweep_point *point, const yaml_node_t *at, const char *axis,
                             const char *variant)
{
    char text[1024];
    snprintf(text, sizeof text, "%s:%zu: sweep.%s%s%s", r->sweep->path, at->start_mark.line + 1, axis,
             variant[0] != '\0' ? "." : "", variant);
    point->origin = strdup(text);
    RMP_CHECK(point->origin != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    return RMP_OK;
}

static rmp_status new_axis(reader *r, const char *where, rmp_sweep_axis **out)
{
    rmp_sweep *s = r->sweep;
    RMP_CHECK(s->axes < RMP_SWEEP_AXES, RMP_ERR_CONFIG, "%s: a sweep has at most %d axes", where, RMP_SWEEP_AXES);
    *out = &s->axis[s->axes++];
    return RMP_OK;
}

static rmp_status read_values(reader *r, rmp_sweep_axis *axis, const char *name, yaml_node_t *list, size_t line)
{
    const char *path = r->sweep->path;
    const int count = (int)(list->data.sequence.items.top - list->data.sequence.items.start);
    const rmp_job_section *section;
    RMP_CHECK(rmp_sweep_key(name, &section) != NULL, RMP_ERR_CONFIG,
              "%s:%zu: sweep.%s: there is no key %s in a job (variants that set several keys have names: {fast: "
              "{solver.T: 10}, good: {solver.T: 40}})",
              path, line, name, name);
    RMP_CHECK(count > 0, RMP_ERR_CONFIG, "%s:%zu: sweep.%s: the axis is empty", path, line, name);
    RMP_CHECK(count <= RMP_SWEEP_CELLS, RMP_ERR_CONFIG, "%s:%zu: sweep.%s: more than %d cells", path, line, name,
              RMP_SWEEP_CELLS);
    RMP_TRY(rmp_sweep_axis_create(axis, name, count));
    for (int i = 0; i < count; i++) {
        yaml_node_t *value = yaml_document_get_node(&r->document, list->data.sequence.items.start[i]);
        rmp_sweep_point *p = &axis->point[i];
        RMP_TRY(set_origin(r, p, value, name, ""));
        const rmp_sweep_place place = {p->origin, r->folder};
        RMP_TRY(rmp_sweep_add_change(p, name, &r->document, value, &place));
    }
    return RMP_OK;
}

static rmp_status read_variant(reader *r, rmp_sweep_axis *axis, int index, const yaml_node_pair_t *pair)
{
    const yaml_node_t *key = yaml_document_get_node(&r->document, pair->key);
    yaml_node_t *value = yaml_document_get_node(&r->document, pair->value);
    const char *name = rmp_job_yaml_scalar(key);
    rmp_sweep_point *p = &axis->point[index];
    RMP_TRY(set_origin(r, p, key, axis->name, name != NULL ? name : ""));
    RMP_CHECK(name != NULL && is_name(name), RMP_ERR_CONFIG,
              "%s: a variant is named with up to 40 letters, digits, _, + and -", p->origin);
    for (int i = 0; i < index; i++) {
        RMP_CHECK(strcmp(axis->point[i].label, name) != 0, RMP_ERR_CONFIG, "%s: the variant is there twice", p->origin);
    }
    RMP_CHECK(value->type == YAML_MAPPING_NODE, RMP_ERR_CONFIG,
              "%s: a variant sets keys: {operator.kind: super_resolution, operator.factor: 4}", p->origin);
    p->label = strdup(name);
    RMP_CHECK(p->label != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    const rmp_sweep_place place = {p->origin, r->folder};
    for (yaml_node_pair_t *c = value->data.mapping.pairs.start; c < value->data.mapping.pairs.top; c++) {
        const char *path = rmp_job_yaml_scalar(yaml_document_get_node(&r->document, c->key));
        RMP_CHECK(path != NULL, RMP_ERR_CONFIG, "%s: a variant sets keys", p->origin);
        RMP_TRY(rmp_sweep_add_change(p, path, &r->document, yaml_document_get_node(&r->document, c->value), &place));
    }
    return RMP_OK;
}

static rmp_status read_variants(reader *r, rmp_sweep_axis *axis, const char *name, yaml_node_t *map, size_t line)
{
    const int count = (int)(map->data.mapping.pairs.top - map->data.mapping.pairs.start);
    const char *path = r->sweep->path;
    const rmp_job_section *section;
    RMP_CHECK(rmp_sweep_key(name, &section) == NULL, RMP_ERR_CONFIG,
              "%s:%zu: sweep.%s: takes a list of values; variants that set several keys have a name of their own", path,
              line, name);
    RMP_CHECK(is_name(name) && !is_column(name), RMP_ERR_CONFIG,
              "%s:%zu: sweep.%s: an axis of variants is named with up to 40 letters, digits, _, + and -, and not cell, "
              "items, failed, cost or seconds",
              path, line, name);
    RMP_CHECK(count > 0, RMP_ERR_CONFIG, "%s:%zu: sweep.%s: the axis is empty", path, line, name);
    RMP_CHECK(count <= RMP_SWEEP_CELLS, RMP_ERR_CONFIG, "%s:%zu: sweep.%s: more than %d cells", path, line, name,
              RMP_SWEEP_CELLS);
    RMP_TRY(rmp_sweep_axis_create(axis, name, count));
    axis->named = true;
    for (int i = 0; i < count; i++)
        RMP_TRY(read_variant(r, axis, i, &map->data.mapping.pairs.start[i]));
    return RMP_OK;
}

static rmp_sweep_axis *find_axis(rmp_sweep *s, const char *name)
{
    for (int a = 0; a < s->axes; a++) {
        if (s->axis[a].name != NULL && strcmp(s->axis[a].name, name) == 0) return &s->axis[a];
    }
    return NULL;
}

static yaml_node_pair_t *find_section(yaml_document_t *document, yaml_node_t *root)
{
    if (root == NULL || root->type != YAML_MAPPING_NODE) return NULL;
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        const char *key = rmp_job_yaml_scalar(yaml_document_get_node(document, p->key));
        if (key != NULL && strcmp(key, "sweep") == 0) return p;
    }
    return NULL;
}

bool rmp_sweep_is_one(const char *text, size_t size)
{
    yaml_document_t document;
    if (rmp_job_yaml_document(text, size, "", &document) != RMP_OK) {
        rmp_fail_clear();
        return false;
    }
    const bool found = find_section(&document, yaml_document_get_root_node(&document)) != NULL;
    yaml_document_delete(&document);
    return found;
}

/* ---- combinations that are no cells ---- */

static rmp_status except_variant(rmp_sweep_axis *axis, const yaml_node_t *node, uint64_t bit, const char *where)
{
    const char *name = node->type == YAML_SCALAR_NODE ? rmp_job_yaml_scalar(node) : NULL;
    for (int i = 0; name != NULL && i < axis->points; i++) {
        if (strcmp(axis->point[i].label, name) != 0) continue;
        axis->point[i].excepted |= bit;
        return RMP_OK;
    }
    return RMP_FAIL(RMP_ERR_CONFIG, "%s: the axis %s has no variant '%s'", where, axis->name, name != NULL ? name : "");
}

static rmp_status read_exception(reader *r, const yaml_node_t *map)
{
    rmp_sweep *s = r->sweep;
    char where[512];
    snprintf(where, sizeof where, "%s:%zu: sweep.except", s->path, map->start_mark.line + 1);
    RMP_CHECK(s->exceptions < RMP_SWEEP_EXCEPTIONS, RMP_ERR_CONFIG, "%s: at most %d exceptions", where,
              RMP_SWEEP_EXCEPTIONS);
    RMP_CHECK(map->type == YAML_MAPPING_NODE && map->data.mapping.pairs.start < map->data.mapping.pairs.top,
              RMP_ERR_CONFIG, "%s: an exception names variants of axes: {task: [phase, hdr], method: mcg}", where);
    const uint64_t bit = UINT64_C(1) << s->exceptions++;
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
        const char *name = rmp_job_yaml_scalar(yaml_document_get_node(&r->document, p->key));
        const yaml_node_t *value = yaml_document_get_node(&r->document, p->value);
        rmp_sweep_axis *axis = name != NULL ? find_axis(s, name) : NULL;
        RMP_CHECK(axis != NULL && axis->named, RMP_ERR_CONFIG, "%s: there is no axis of variants '%s'", where,
                  name != NULL ? name : "");
        RMP_CHECK((axis->excepted & bit) == 0, RMP_ERR_CONFIG, "%s: %s is given twice", where, name);
        axis->excepted |= bit;
        if (value->type != YAML_SEQUENCE_NODE) {
            RMP_TRY(except_variant(axis, value, bit, where));
            continue;
        }
        for (const yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top; i++)
            RMP_TRY(except_variant(axis, yaml_document_get_node(&r->document, *i), bit, where));
    }
    return RMP_OK;
}

static rmp_status read_exceptions(reader *r, const yaml_node_t *list, size_t line)
{
    RMP_CHECK(list->type == YAML_SEQUENCE_NODE, RMP_ERR_CONFIG,
              "%s:%zu: sweep.except: takes a list of combinations: [{task: [phase, hdr], method: mcg}]", r->sweep->path,
              line);
    for (const yaml_node_item_t *i = list->data.sequence.items.start; i < list->data.sequence.items.top; i++)
        RMP_TRY(read_exception(r, yaml_document_get_node(&r->document, *i)));
    return RMP_OK;
}

static rmp_status read_section(reader *r)
{
    yaml_document_t *d = &r->document;
    rmp_sweep *s = r->sweep;
    char where[512];
    RMP_TRY(rmp_job_yaml_document(s->text, s->size, s->path, d));
    r->have_document = true;
    const yaml_node_pair_t *pair = find_section(d, yaml_document_get_root_node(d));
    if (pair == NULL) return RMP_OK;
    const yaml_node_t *map = yaml_document_get_node(d, pair->value), *exceptions = NULL;
    size_t exceptions_line = 0;
    RMP_CHECK(map->type == YAML_MAPPING_NODE && map->data.mapping.pairs.start < map->data.mapping.pairs.top,
              RMP_ERR_CONFIG, "%s:%zu: sweep: must hold axes, such as solver.T: [10, 20, 40]", s->path,
              yaml_document_get_node(d, pair->key)->start_mark.line + 1);
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(d, p->key);
        yaml_node_t *value = yaml_document_get_node(d, p->value);
        const size_t line = key->start_mark.line + 1;
        const char *name = rmp_job_yaml_scalar(key);
        rmp_sweep_axis *axis = NULL;
        snprintf(where, sizeof where, "%s:%zu: sweep.%s", s->path, line, name != NULL ? name : "");
        RMP_CHECK(name != NULL, RMP_ERR_CONFIG, "%s: an axis has a name", where);
        RMP_CHECK(find_axis(s, name) == NULL, RMP_ERR_CONFIG, "%s: given twice", where);
        if (strcmp(name, "except") == 0) {
            RMP_CHECK(exceptions == NULL, RMP_ERR_CONFIG, "%s: given twice", where);
            exceptions = value;
            exceptions_line = line;
            continue;
        }
        RMP_CHECK(value->type != YAML_SCALAR_NODE, RMP_ERR_CONFIG,
                  "%s: an axis is a list of values, such as [10, 20, 40], or has variants that set several keys",
                  where);
        RMP_TRY(new_axis(r, where, &axis));
        RMP_TRY(value->type == YAML_SEQUENCE_NODE ? read_values(r, axis, name, value, line)
                                                  : read_variants(r, axis, name, value, line));
    }
    return exceptions != NULL ? read_exceptions(r, exceptions, exceptions_line) : RMP_OK;
}

/* ---- the command line ---- */

/* Keeps the variants that are named, in that order. */
static rmp_status choose_variants(rmp_sweep_axis *axis, const char *grid, yaml_document_t *d, const yaml_node_t *list)
{
    const int count = (int)(list->data.sequence.items.top - list->data.sequence.items.start);
    rmp_sweep_point *chosen = calloc((size_t)count + 1, sizeof *chosen);
    RMP_CHECK(chosen != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    int *from = calloc((size_t)count + 1, sizeof *from);
    rmp_status status = from != NULL ? RMP_OK : RMP_FAIL(RMP_ERR_MEMORY, "no memory for a sweep");
    for (int i = 0; status == RMP_OK && i < count; i++) {
        const char *name = rmp_job_yaml_scalar(yaml_document_get_node(d, list->data.sequence.items.start[i]));
        from[i] = -1;
        for (int k = 0; name != NULL && k < axis->points; k++) {
            if (strcmp(axis->point[k].label, name) == 0) from[i] = k;
        }
        if (from[i] < 0) {
            status =
                RMP_FAIL(RMP_ERR_CONFIG, "--grid %s: the axis has no variant '%s'", grid, name != NULL ? name : "");
        }
        for (int k = 0; status == RMP_OK && k < i; k++) {
            if (from[k] == from[i]) {
                status = RMP_FAIL(RMP_ERR_CONFIG, "--grid %s: the variant '%s' is there twice", grid, name);
            }
        }
    }
    if (status == RMP_OK) {
        for (int i = 0; i < count; i++) {
            chosen[i] = axis->point[from[i]];
            memset(&axis->point[from[i]], 0, sizeof chosen[i]);
        }
        rmp_sweep_axis left = {.points = axis->points, .point = axis->point};
        axis->point = chosen;
        axis->points = count;
        rmp_sweep_axis_free(&left);
        chosen = NULL;
    }
    free(from);
    free(chosen);
    return status;
}

static rmp_status grid_values(reader *r, rmp_sweep_axis *axis, const char *name, const char *where, yaml_document_t *d,
                              const yaml_node_t *list)
{
    const int count = (int)(list->data.sequence.items.top - list->data.sequence.items.start);
    RMP_TRY(rmp_sweep_axis_create(axis, name, count));
    for (int i = 0; i < count; i++) {
        rmp_sweep_point *p = &axis->point[i];
        p->origin = strdup(where);
        RMP_CHECK(p->origin != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
        const rmp_sweep_place place = {p->origin, r->current};
        yaml_node_t *value = yaml_document_get_node(d, list->data.sequence.items.start[i]);
        RMP_TRY(rmp_sweep_add_change(p, name, d, value, &place));
    }
    return RMP_OK;
}

static rmp_status apply_grid(reader *r, const char *grid)
{
    rmp_sweep *s = r->sweep;
    const rmp_job_section *section;
    const char *equals = strchr(grid, '=');
    char name[128], where[512];
    RMP_CHECK(equals != NULL && equals != grid && equals[1] != '\0' && equals - grid < (ptrdiff_t)sizeof name,
              RMP_ERR_CONFIG, "--grid %s: expected key=value,value, for example solver.T=10,20,40", grid);
    snprintf(name, sizeof name, "%.*s", (int)(equals - grid), grid);
    rmp_sweep_axis *axis = find_axis(s, name);
    RMP_CHECK(axis != NULL || rmp_sweep_key(name, &section) != NULL, RMP_ERR_CONFIG,
              "--grid %s: there is no axis and no key %s", grid, name);
    const size_t size = strlen(equals) + 2;
    char *text = malloc(size);
    RMP_CHECK(text != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    snprintf(text, size, "[%s]", equals + 1);
    snprintf(where, sizeof where, "--grid %s", grid);
    yaml_document_t d;
    rmp_status status = rmp_job_yaml_document(text, strlen(text), where, &d);
    free(text);
    RMP_TRY(status);
    const yaml_node_t *list = yaml_document_get_root_node(&d);
    RMP_CHECK_GOTO(list != NULL && list->type == YAML_SEQUENCE_NODE &&
                       list->data.sequence.items.start < list->data.sequence.items.top,
                   RMP_ERR_CONFIG, done, "--grid %s: the axis is empty", grid);
    if (axis != NULL && axis->named) {
        status = choose_variants(axis, grid, &d, list);
        goto done;
    }
    if (axis != NULL) {
        rmp_sweep_axis_free(axis);
    } else {
        RMP_TRY_GOTO(new_axis(r, where, &axis), done);
    }
    status = grid_values(r, axis, name, where, &d, list);
done:
    yaml_document_delete(&d);
    return status;
}

/* ---- the keys that all cells start from ---- */

static rmp_status write_key(reader *r, const rmp_job_yaml *yaml, int s, int k, FILE *f)
{
    const rmp_job_section *section = &rmp_job_sections[s];
    const rmp_job_key *key = &section->keys[k];
    const char *value = rmp_job_yaml_value(yaml, s, k);
    char where[512], accepts[512], *text = NULL;
    bool memory;
    if (value == NULL) return RMP_OK;
    rmp_job *scratch = calloc(1, sizeof *scratch);
    RMP_CHECK(scratch != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    rmp_status status = RMP_OK;
    if (!rmp_job_key_parse(scratch, key, value, &memory)) {
        rmp_job_key_accepts(key, accepts, sizeof accepts);
        status = RMP_FAIL(RMP_ERR_CONFIG, "%s: '%.100s' is not accepted; give %s",
                          rmp_job_yaml_where(yaml, s, k, where, sizeof where), value, accepts);
    }
    if (status == RMP_OK) {
        status = rmp_job_key_absolute(scratch, key, rmp_job_yaml_overridden(yaml, s, k) ? r->current : r->folder);
    }
    if (status == RMP_OK) text = rmp_job_key_text(scratch, key);
    if (status == RMP_OK && text == NULL) status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for a sweep");
    if (status == RMP_OK) {
        fprintf(f, "%s%s: %s\n", section->name[0] != '\0' ? "  " : "", key->name, text);
        if (strcmp(section->name, "output") == 0 && strcmp(key->name, "dir") == 0) {
            r->sweep->dir = strdup(*rmp_job_key_string(scratch, key));
        }
    }
    free(text);
    rmp_job_free(&scratch);
    return status;
}

static bool has_section(const rmp_job_yaml *yaml, int s)
{
    for (int k = 0; k < rmp_job_sections[s].count; k++) {
        if (rmp_job_yaml_value(yaml, s, k) != NULL) return true;
    }
    return false;
}

static rmp_status write_base(reader *r, const rmp_job_yaml *yaml)
{
    rmp_sweep *sweep = r->sweep;
    size_t size;
    FILE *f = open_memstream(&sweep->base, &size);
    RMP_CHECK(f != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    rmp_status status = RMP_OK;
    for (int s = 0; s < RMP_JOB_SECTIONS && status == RMP_OK; s++) {
        if (!has_section(yaml, s)) continue;
        if (rmp_job_sections[s].name[0] != '\0') fprintf(f, "%s:\n", rmp_job_sections[s].name);
        for (int k = 0; k < rmp_job_sections[s].count && status == RMP_OK; k++)
            status = write_key(r, yaml, s, k, f);
    }
    if (fclose(f) != 0 && status == RMP_OK) status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for a sweep");
    return status;
}

static rmp_status read_base(reader *r)
{
    rmp_sweep *s = r->sweep;
    rmp_job_yaml *yaml;
    const rmp_job_input input = {.path = s->path,
                                 .text = s->text,
                                 .size = s->size,
                                 .overrides = s->overrides,
                                 .override = s->override,
                                 .sweep = true};
    RMP_TRY(rmp_job_yaml_open(&input, &yaml));
    rmp_status status = write_base(r, yaml);
    rmp_job_yaml_close(&yaml);
    RMP_TRY(status);
    RMP_CHECK(s->dir != NULL, RMP_ERR_CONFIG,
              "%s: output.dir: missing; give a path, in the file or with --set output.dir=VALUE", s->path);
    return RMP_OK;
}

static rmp_status copy_arguments(rmp_sweep *s, const char *path, int overrides, char *const override[])
{
    s->path = strdup(path);
    s->override = calloc((size_t)overrides + 1, sizeof *s->override);
    RMP_CHECK(s->path != NULL && s->override != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    for (int i = 0; i < overrides; i++) {
        s->override[i] = strdup(override[i]);
        RMP_CHECK(s->override[i] != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
        s->overrides++;
    }
    return RMP_OK;
}

static rmp_status read_all(reader *r, int grids, char *const grid[])
{
    rmp_sweep *s = r->sweep;
    RMP_TRY(rmp_job_load(s->path, &s->text, &s->size));
    RMP_TRY(rmp_job_folder(s->path, &r->folder));
    RMP_CHECK(getcwd(r->current, sizeof r->current) != NULL, RMP_ERR_IO, "the current folder cannot be found");
    RMP_TRY(read_section(r));
    for (int i = 0; i < grids; i++)
        RMP_TRY(apply_grid(r, grid[i]));
    RMP_CHECK(s->axes > 0, RMP_ERR_CONFIG,
              "%s: sweep: missing; give axes, such as sweep: {solver.T: [10, 20, 40]}, or --grid solver.T=10,20,40",
              s->path);
    RMP_TRY(rmp_sweep_finish_axes(s));
    return read_base(r);
}

rmp_status rmp_sweep_read(const char *path, int overrides, char *const override[], int grids, char *const grid[],
                          rmp_sweep **out)
{
    reader r;
    memset(&r, 0, sizeof r);
    *out = NULL;
    r.sweep = calloc(1, sizeof *r.sweep);
    RMP_CHECK(r.sweep != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    rmp_status status = copy_arguments(r.sweep, path, overrides, override);
    if (status == RMP_OK) status = read_all(&r, grids, grid);
    if (r.have_document) yaml_document_delete(&r.document);
    free(r.folder);
    if (status == RMP_OK) {
        *out = r.sweep;
    } else {
        rmp_sweep_free(&r.sweep);
    }
    return status;
}
