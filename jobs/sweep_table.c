/* The tables of a sweep: for programs (CSV) and for the person who started it. */
#include "io/file.h"
#include "jobs/sweep_results.h"
#include "jobs/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CELL = 48, SHOWN_ROWS = 60 };

static void csv_start(const rmp_sweep_results *r, int64_t i, FILE *f)
{
    const rmp_sweep *sweep = r->sweep;
    if (i < 0) {
        fputs("cell", f);
    } else {
        rmp_text_csv(f, r->row[i].name);
    }
    for (int a = 0; a < sweep->axes; a++) {
        fputc(',', f);
        rmp_text_csv(f, i < 0 ? sweep->axis[a].name : sweep->axis[a].point[r->row[i].place[a]].label);
    }
}

static void csv_number(double value, FILE *f)
{
    fputc(',', f);
    if (!isnan(value)) fprintf(f, "%.9g", value);
}

static void write_figures(const rmp_sweep_results *r, FILE *f)
{
    csv_start(r, -1, f);
    fputs(",items,failed", f);
    for (int c = 0; c < r->columns; c++)
        fprintf(f, ",%s", r->column[c].name);
    fputc('\n', f);
    for (int64_t i = 0; i < r->cells; i++) {
        const rmp_sweep_row *row = &r->row[i];
        csv_start(r, i, f);
        fprintf(f, ",%" PRId64 ",%" PRId64, row->counts.done, row->counts.failed);
        for (int c = 0; c < r->columns; c++)
            csv_number(row->value[c], f);
        fputc('\n', f);
    }
}

static void write_timings(const rmp_sweep_results *r, FILE *f)
{
    csv_start(r, -1, f);
    fputs(",items,seconds\n", f);
    for (int64_t i = 0; i < r->cells; i++) {
        csv_start(r, i, f);
        fprintf(f, ",%" PRId64, r->row[i].counts.done);
        csv_number(r->row[i].seconds, f);
        fputc('\n', f);
    }
}

static rmp_status write_file(const rmp_sweep_results *r, const char *name,
                             void (*write)(const rmp_sweep_results *r, FILE *f))
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    RMP_CHECK(f != NULL, RMP_ERR_MEMORY, "no memory for %s", name);
    write(r, f);
    bool complete = !ferror(f);
    complete = fclose(f) == 0 && complete;
    rmp_status status =
        complete ? rmp_file_write(r->sweep->dir, name, text, size) : RMP_FAIL(RMP_ERR_MEMORY, "no memory for %s", name);
    free(text);
    return status;
}

rmp_status rmp_sweep_write_csv(const rmp_sweep_results *results)
{
    RMP_TRY(write_file(results, "sweep.csv", write_figures));
    return write_file(results, "sweep_timings.csv", write_timings);
}

/* ---- for people ---- */

typedef struct table {
    int columns;
    int64_t lines;
    char (*cell)[CELL]; /* (lines, columns), line 0 is the head */
} table;

/* What a person compares cells by; the rest is in sweep.csv. */
static bool is_shown(const rmp_sweep_results *r, int c)
{
    static const char *const names[] = {"psnr", "ssim", "lpips", "distance", "distance_mean", "evaluations", "vjps"};
    if (c == r->main || c == r->cost) return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(r->column[c].name, names[i]) == 0) return true;
    }
    return false;
}

static const char *last_word(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot != NULL ? dot + 1 : key;
}

static bool has_failures(const rmp_sweep_results *r)
{
    for (int64_t i = 0; i < r->cells; i++) {
        if (r->row[i].counts.failed > 0) return true;
    }
    return false;
}

/* Line 0 for i < 0. */
static void fill_line(const rmp_sweep_results *r, int64_t i, bool failures, table *t, int64_t line)
{
    const rmp_sweep *sweep = r->sweep;
    char(*cell)[CELL] = t->cell + line * t->columns;
    int n = 0;
    for (int a = 0; a < sweep->axes; a++) {
        const rmp_sweep_axis *axis = &sweep->axis[a];
        snprintf(cell[n++], CELL, "%s", i < 0 ? last_word(axis->name) : axis->point[r->row[i].place[a]].label);
    }
    snprintf(cell[n], CELL, "items");
    if (i >= 0) snprintf(cell[n], CELL, "%" PRId64, r->row[i].counts.done);
    n++;
    if (failures) {
        snprintf(cell[n], CELL, "failed");
        if (i >= 0) {
            snprintf(cell[n], CELL, "%" PRId64 "%s", r->row[i].counts.failed,
                     rmp_sweep_is_partial(&r->row[i]) ? "*" : "");
        }
        n++;
    }
    for (int c = 0; c < r->columns; c++) {
        if (!is_shown(r, c)) continue;
        snprintf(cell[n], CELL, "%s", i < 0 ? r->column[c].name : "-");
        if (i >= 0 && isfinite(r->row[i].value[c])) {
            snprintf(cell[n], CELL, "%.*f", r->column[c].digits, r->row[i].value[c]);
        }
        n++;
    }
    snprintf(cell[n], CELL, "%s", i < 0 ? "s/item" : "-");
    if (i >= 0 && isfinite(r->row[i].seconds)) snprintf(cell[n], CELL, "%.2f", r->row[i].seconds);
    n++;
    snprintf(cell[n], CELL, "%s", i >= 0 && r->main >= 0 && rmp_sweep_is_best(r, i, r->main) ? "best" : "");
}

static int width_of(const table *t, int c)
{
    int width = 0;
    for (int64_t l = 0; l < t->lines; l++) {
        const int length = (int)strlen(t->cell[l * t->columns + c]);
        if (length > width) width = length;
    }
    return width;
}

static void print_cell(FILE *out, const char *text, int width, bool left)
{
    if (left) {
        fprintf(out, "%-*s", width, text);
    } else {
        fprintf(out, "  %*s", width, text);
    }
}

static rmp_status print_lines(FILE *out, const table *t, int axes)
{
    int *width = calloc((size_t)t->columns, sizeof *width);
    RMP_CHECK(width != NULL, RMP_ERR_MEMORY, "no memory for a table of results");
    for (int c = 0; c < t->columns; c++)
        width[c] = width_of(t, c);
    for (int64_t l = 0; l < t->lines; l++) {
        for (int c = 0; c + 1 < t->columns; c++) {
            if (c > 0 && c < axes) fputs("  ", out);
            print_cell(out, t->cell[l * t->columns + c], width[c], c < axes);
        }
        const char *last = t->cell[l * t->columns + t->columns - 1];
        fprintf(out, "%s%s\n", last[0] != '\0' ? "  " : "", last);
    }
    free(width);
    return RMP_OK;
}

rmp_status rmp_sweep_print(FILE *out, const rmp_sweep_results *results)
{
    const rmp_sweep_results *r = results;
    const bool failures = has_failures(r), all = r->cells <= SHOWN_ROWS;
    bool partial = false;
    table t = {.columns = r->sweep->axes + 3 + failures, .lines = 1};
    for (int c = 0; c < r->columns; c++)
        t.columns += is_shown(r, c);
    t.cell = calloc((size_t)(r->cells + 1) * (size_t)t.columns, sizeof *t.cell);
    RMP_CHECK(t.cell != NULL, RMP_ERR_MEMORY, "no memory for a table of results");
    fill_line(r, -1, failures, &t, 0);
    for (int64_t i = 0; i < r->cells; i++) {
        const bool best = r->main >= 0 && rmp_sweep_is_best(r, i, r->main);
        if (!all && i >= SHOWN_ROWS / 2 && !best) continue;
        fill_line(r, i, failures, &t, t.lines++);
        partial = partial || rmp_sweep_is_partial(&r->row[i]);
    }
    rmp_status status = print_lines(out, &t, r->sweep->axes);
    if (!all) {
        fprintf(out, "the first %d of %" PRId64 " cells and the best ones; all are in sweep.csv\n", SHOWN_ROWS / 2,
                r->cells);
    }
    if (r->main >= 0) {
        fprintf(out, "best: by %s%s\n", r->column[r->main].name,
                r->groups > 1 ? ", among cells that restore the same" : "");
    }
    if (partial) fputs("*: means over the items that did not fail\n", out);
    free(t.cell);
    return status;
}
