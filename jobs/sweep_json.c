#include "io/file.h"
#include "jobs/sweep_results.h"
#include "jobs/text.h"
#include "jobs/versions.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SUMMARY = 64 << 20 };

/* jansson's setters take NULL for a value that could not be made and return -1, and so pass a lack of memory on. */
static json_t *real_or_null(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *clean_text(const char *text)
{
    char *utf8 = rmp_text_utf8(text);
    json_t *out = utf8 != NULL ? json_string(utf8) : NULL;
    free(utf8);
    return out;
}

static json_t *axes(const rmp_sweep *sweep)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (int a = 0; ok && a < sweep->axes; a++) {
        const rmp_sweep_axis *axis = &sweep->axis[a];
        json_t *values = json_array();
        ok = values != NULL;
        for (int i = 0; ok && i < axis->points; i++)
            ok = json_array_append_new(values, clean_text(axis->point[i].label)) == 0;
        ok = ok &&
             json_array_append_new(list, json_pack("{so sO}", "name", clean_text(axis->name), "values", values)) == 0;
        json_decref(values);
    }
    if (ok) return list;
    json_decref(list);
    return NULL;
}

static json_t *cell(const rmp_sweep_results *r, int64_t i)
{
    const rmp_sweep *sweep = r->sweep;
    const rmp_sweep_row *row = &r->row[i];
    json_t *places = json_object(), *figures = json_object(), *out = NULL;
    bool ok = places != NULL && figures != NULL;
    for (int a = 0; ok && a < sweep->axes; a++) {
        const rmp_sweep_axis *axis = &sweep->axis[a];
        ok = json_object_set_new(places, axis->name, clean_text(axis->point[row->place[a]].label)) == 0;
    }
    for (int c = 0; ok && c < r->columns; c++)
        ok = json_object_set_new(figures, r->column[c].name, real_or_null(row->value[c])) == 0;
    if (ok) {
        out = json_pack("{ss sO sI sI sI sO}", "name", row->name, "at", places, "items", (json_int_t)row->counts.items,
                        "done", (json_int_t)row->counts.done, "failed", (json_int_t)row->counts.failed, "figures",
                        figures);
    }
    json_decref(places);
    json_decref(figures);
    return out;
}

static json_t *cells(const rmp_sweep_results *r)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (int64_t i = 0; ok && i < r->cells; i++)
        ok = json_array_append_new(list, cell(r, i)) == 0;
    if (ok) return list;
    json_decref(list);
    return NULL;
}

/* Names of the best cells by the main figure, one a group. */
static json_t *best(const rmp_sweep_results *r)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (int g = 0; ok && r->main >= 0 && g < r->groups; g++) {
        const int64_t i = rmp_sweep_best(r, g, r->main);
        if (i >= 0) ok = json_array_append_new(list, json_string(r->row[i].name)) == 0;
    }
    if (ok) return list;
    json_decref(list);
    return NULL;
}

static json_t *hardware(const rmp_run_facts *facts, const json_t *before)
{
    if (facts != NULL)
        return json_pack("{so so si si}", "device", clean_text(facts->device), "precision",
                         clean_text(facts->precision), "ranks", facts->ranks, "threads", facts->threads);
    json_t *former = json_object_get(before, "hardware");
    return former != NULL ? json_deep_copy(former) : json_null();
}

static json_t *last_run(const rmp_run_facts *facts, const json_t *before)
{
    if (facts != NULL) {
        const double rate = facts->elapsed > 0 ? (double)facts->items / facts->elapsed : NAN;
        return json_pack("{so sI so}", "elapsed", real_or_null(facts->elapsed), "items", (json_int_t)facts->items,
                         "items_per_second", real_or_null(rate));
    }
    json_t *former = json_object_get(json_object_get(before, "timing"), "last_run");
    return former != NULL ? json_deep_copy(former) : json_null();
}

static json_t *everything(const rmp_sweep_results *r, const rmp_run_facts *facts, const json_t *before)
{
    rmp_counts total = {0, 0, 0};
    char *text = NULL;
    json_t *root = json_object(), *seconds = json_object();
    bool ok = root != NULL && seconds != NULL && rmp_sweep_text(r->sweep, &text) == RMP_OK;
    for (int64_t i = 0; ok && i < r->cells; i++) {
        total.items += r->row[i].counts.items;
        total.done += r->row[i].counts.done;
        total.failed += r->row[i].counts.failed;
        ok = json_object_set_new(seconds, r->row[i].name, real_or_null(r->row[i].seconds)) == 0;
    }
    ok =
        ok && json_object_set_new(root, "axes", axes(r->sweep)) == 0 &&
        json_object_set_new(root, "items",
                            json_pack("{sI sI sI}", "total", (json_int_t)total.items, "done", (json_int_t)total.done,
                                      "failed", (json_int_t)total.failed)) == 0 &&
        json_object_set_new(root, "main_figure", r->main >= 0 ? json_string(r->column[r->main].name) : json_null()) ==
            0 &&
        json_object_set_new(root, "best", best(r)) == 0 && json_object_set_new(root, "cells", cells(r)) == 0 &&
        json_object_set_new(root, "sweep_text", clean_text(text)) == 0 &&
        json_object_set_new(root, "versions", rmp_versions()) == 0 &&
        json_object_set_new(root, "hardware", hardware(facts, before)) == 0 &&
        json_object_set_new(root, "timing",
                            json_pack("{sO so}", "seconds_an_item", seconds, "last_run", last_run(facts, before))) == 0;
    json_decref(seconds);
    free(text);
    if (ok) return root;
    json_decref(root);
    return NULL;
}

/* The summary.json of an earlier run, or NULL: it is only asked for what cannot be known any more. */
static json_t *former_summary(const char *dir)
{
    char *path = NULL, *bytes = NULL;
    size_t size = 0;
    json_t *root = NULL;
    if (rmp_path_join(dir, "summary.json", &path) == RMP_OK &&
        rmp_file_read(path, MAX_SUMMARY, &bytes, &size) == RMP_OK)
        root = json_loadb(bytes, size, 0, NULL);
    free(bytes);
    free(path);
    rmp_fail_clear();
    return root;
}

rmp_status rmp_sweep_write_json(const rmp_sweep_results *results, const rmp_run_facts *facts)
{
    const char *dir = results->sweep->dir;
    if (facts != NULL && facts->items == 0) facts = NULL; /* a finished sweep was looked at again */
    json_t *before = facts != NULL ? NULL : former_summary(dir);
    json_t *root = everything(results, facts, before);
    char *text = root != NULL ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    const size_t size = text != NULL ? strlen(text) : 0;
    char *line = text != NULL ? realloc(text, size + 2) : NULL;
    rmp_status status = RMP_OK;
    if (line == NULL) {
        status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for summary.json");
    } else {
        text = line;
        memcpy(text + size, "\n", 2);
        status = rmp_file_write(dir, "summary.json", text, size + 1);
    }
    free(text);
    json_decref(root);
    json_decref(before);
    return status;
}
