#include "io/file.h"
#include "jobs/run_json.h"
#include "jobs/sweep_results.h"
#include "jobs/versions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SUMMARY = 64 << 20 }; /* bytes of a summary.json that is read again */

static json_t *axes(const rmp_sweep *sweep)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (int a = 0; ok && a < sweep->axes; a++) {
        const rmp_sweep_axis *axis = &sweep->axis[a];
        json_t *values = json_array();
        ok = values != NULL;
        for (int i = 0; ok && i < axis->points; i++)
            ok = json_array_append_new(values, rmp_run_text(axis->point[i].label)) == 0;
        ok = ok &&
             json_array_append_new(list, json_pack("{so sO}", "name", rmp_run_text(axis->name), "values", values)) == 0;
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
        ok = json_object_set_new(places, axis->name, rmp_run_text(axis->point[row->place[a]].label)) == 0;
    }
    for (int c = 0; ok && c < r->columns; c++)
        ok = json_object_set_new(figures, r->column[c].name, rmp_run_real(row->value[c])) == 0;
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
        ok = json_object_set_new(seconds, r->row[i].name, rmp_run_real(r->row[i].seconds)) == 0;
    }
    ok = ok && json_object_set_new(root, "axes", axes(r->sweep)) == 0 &&
         json_object_set_new(root, "items",
                             json_pack("{sI sI sI}", "total", (json_int_t)total.items, "done", (json_int_t)total.done,
                                       "failed", (json_int_t)total.failed)) == 0 &&
         json_object_set_new(root, "main_figure", r->main >= 0 ? json_string(r->column[r->main].name) : json_null()) ==
             0 &&
         json_object_set_new(root, "best", best(r)) == 0 && json_object_set_new(root, "cells", cells(r)) == 0 &&
         json_object_set_new(root, "sweep_text", rmp_run_text(text)) == 0 &&
         json_object_set_new(root, "versions", rmp_versions()) == 0 &&
         json_object_set_new(root, "hardware", rmp_run_hardware(facts, before)) == 0 &&
         json_object_set_new(
             root, "timing",
             json_pack("{sO so}", "seconds_an_item", seconds, "last_run", rmp_run_last(facts, before))) == 0;
    json_decref(seconds);
    free(text);
    if (ok) return root;
    json_decref(root);
    return NULL;
}

rmp_status rmp_sweep_write_json(const rmp_sweep_results *results, const rmp_run_facts *facts)
{
    const char *dir = results->sweep->dir;
    if (facts != NULL && facts->items == 0) facts = NULL; /* a finished sweep was looked at again */
    json_t *before = facts != NULL ? NULL : rmp_run_former(dir, MAX_SUMMARY);
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
