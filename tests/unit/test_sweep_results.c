/* What a sweep came to: sweep.csv, the best cells, summary.json, the table and the report, from journals that are
 * written here. */
#include "io/file.h"
#include "jobs/sweep_results.h"
#include "tests/unit/scratch.h"

#include <jansson.h>
#include <math.h>

TestSuite(sweep_results, .init = scratch_setup, .fini = scratch_teardown);

static const char text[] = "input: {images: photos}\n"
                           "prior: {model: photo64}\n"
                           "operator: {kind: denoise}\n"
                           "output: {dir: .}\n"
                           "sweep:\n"
                           "  noise.sigma: [0.1, 0.2]\n"
                           "  solver.T: [10, 20, 40]\n";

enum { CELLS = 6, ITEMS = 3 };

static rmp_sweep *open_sweep(void)
{
    rmp_sweep *sweep = NULL;
    scratch_write(scratch_path("job.yaml"), text, strlen(text));
    expect_ok(rmp_sweep_read(scratch_path("job.yaml"), 0, NULL, 0, NULL, &sweep));
    return sweep;
}

/* Item k of cell i has psnr 20 + value + k; the first `failed` items have failed. */
static void write_cell(const rmp_sweep *sweep, int64_t i, double value, int64_t evaluations, int64_t failed)
{
    rmp_job *job;
    rmp_journal *journal;
    char *resolved, id[8], reason[] = "broken", host[] = "node", image[] = "/photos/x.png";
    expect_ok(rmp_sweep_job(sweep, i, &job));
    expect_ok(rmp_job_text(job, &resolved));
    expect_ok(rmp_folder_create(job->output.dir));
    expect_ok(rmp_journal_open(job->output.dir, resolved, RMP_JOURNAL_RESUME, &journal));
    expect_ok(rmp_journal_items_begin(journal));
    for (int64_t k = 0; k < ITEMS; k++) {
        snprintf(id, sizeof id, "p%d", (int)k);
        const rmp_item item = {.index = k, .id = id, .image = image};
        expect_ok(rmp_journal_items_add(journal, &item, 8, 8));
    }
    expect_ok(rmp_journal_items_commit(journal));
    for (int64_t k = 0; k < ITEMS; k++) {
        const bool bad = k < failed;
        const double none = NAN, psnr = 20 + value + (double)k;
        rmp_row row = {.item = k, .failed = bad, .reason = bad ? reason : NULL, .host = host};
        row.psnr = bad ? none : psnr;
        row.psnr_input = bad ? none : 15;
        row.ssim = row.psnr_8bit = row.ssim_8bit = row.ssim_input = row.residual = row.distance = none;
        row.lpips = row.lpips_input = row.distance_mean = row.std = row.coverage = none;
        row.evaluations = evaluations;
        row.vjps = 2 * evaluations;
        row.seconds = 0.5;
        expect_ok(rmp_journal_commit(journal, 1, &row));
    }
    rmp_journal_close(&journal);
    free(resolved);
    rmp_job_free(&job);
}

/* Of the last cell there is nothing yet; the fourth is the best of its group, but two of its items have failed. */
static rmp_sweep_results *collect(rmp_sweep *sweep)
{
    static const double value[CELLS] = {1, 4, 3, 9, 2, 0};
    rmp_sweep_results *r = NULL;
    for (int64_t i = 0; i + 1 < CELLS; i++)
        write_cell(sweep, i, value[i], 10 + i, i == 3 ? 2 : 0);
    expect_ok(rmp_sweep_results_collect(sweep, NULL, NULL, &r));
    return r;
}

static int column(const rmp_sweep_results *r, const char *name)
{
    for (int c = 0; c < r->columns; c++) {
        if (strcmp(r->column[c].name, name) == 0) return c;
    }
    return -1;
}

Test(sweep_results, columns_that_apply)
{
    rmp_sweep *sweep = open_sweep();
    rmp_sweep_results *r = collect(sweep);
    cr_assert_eq(column(r, "psnr"), r->main);
    cr_assert_eq(column(r, "cost"), r->cost);
    cr_assert_eq(r->cost, r->columns - 1);
    cr_assert_eq(column(r, "distance"), -1); /* applies to no cell */
    cr_assert_eq(column(r, "seconds"), -1);  /* a time */
    cr_assert_eq(r->column[column(r, "psnr_input")].better, 0);
    cr_assert_float_eq(r->row[0].value[r->main], 22, 1e-12);
    cr_assert_float_eq(r->row[1].value[r->cost], 33, 1e-12);
    cr_assert(isnan(r->row[5].value[r->main]));
    cr_assert_eq(r->row[5].counts.items, 0);
    rmp_sweep_results_free(&r);
    cr_assert_null(r);
    rmp_sweep_free(&sweep);
}

/* Cells are compared with those that restore the same, and with results of as many items. */
Test(sweep_results, best)
{
    rmp_sweep *sweep = open_sweep();
    rmp_sweep_results *r = collect(sweep);
    char group[128];
    cr_assert_eq(r->groups, 2);
    cr_assert_eq(rmp_sweep_best(r, 0, r->main), 1);
    cr_assert_eq(rmp_sweep_best(r, 1, r->main), 4);
    cr_assert(rmp_sweep_is_best(r, 1, r->main));
    cr_assert(!rmp_sweep_is_best(r, 0, r->main));
    cr_assert(!rmp_sweep_is_best(r, 3, r->main));
    cr_assert(!rmp_sweep_is_best(r, 4, r->main)); /* there is none that it is better than */
    cr_assert_eq(rmp_sweep_best(r, 0, r->cost), -1);
    rmp_sweep_group_text(r, 1, group, sizeof group);
    cr_assert_str_eq(group, "noise.sigma 0.2");
    rmp_sweep_results_free(&r);
    rmp_sweep_free(&sweep);
}

Test(sweep_results, csv)
{
    rmp_sweep *sweep = open_sweep();
    rmp_sweep_results *r = collect(sweep);
    size_t size;
    expect_ok(rmp_sweep_write_csv(r));
    char *figures = scratch_read(scratch_path("sweep.csv"), &size);
    char *timings = scratch_read(scratch_path("sweep_timings.csv"), &size);
    const char head[] = "cell,noise.sigma,solver.T,items,failed,psnr,psnr_input,gain,evaluations,vjps,cg_iterations";
    cr_assert_eq(strncmp(figures, head, sizeof head - 1), 0, "%s", figures);
    cr_assert(strstr(figures, "\nsigma=0.1.T=10,0.1,10,3,0,22,15,7,10,20,0,"), "%s", figures);
    cr_assert(strstr(figures, "\nsigma=0.2.T=10,0.2,10,3,2,31,15,16,13,26,0,"), "%s", figures);
    cr_assert(strstr(figures, "\nsigma=0.2.T=40,0.2,40,0,0,,,,,,,"), "%s", figures);
    cr_assert(strstr(figures, "0.5") == NULL, "a time in sweep.csv");
    cr_assert(strstr(timings, "\nsigma=0.1.T=10,0.1,10,3,0.5\n"), "%s", timings);
    free(figures);
    free(timings);
    rmp_sweep_results_free(&r);
    rmp_sweep_free(&sweep);
}

Test(sweep_results, summary)
{
    rmp_sweep *sweep = open_sweep();
    rmp_sweep_results *r = collect(sweep);
    const rmp_run_facts facts = {.device = "cpu", .precision = "fp32", .ranks = 2, .threads = 1, .items = 15};
    size_t size;
    expect_ok(rmp_sweep_write_json(r, &facts));
    expect_ok(rmp_sweep_write_json(r, NULL)); /* takes the hardware over */
    char *bytes = scratch_read(scratch_path("summary.json"), &size);
    json_t *root = json_loadb(bytes, size, 0, NULL);
    cr_assert_not_null(root);
    cr_assert_str_eq(json_string_value(json_object_get(root, "main_figure")), "psnr");
    cr_assert_eq(json_array_size(json_object_get(root, "cells")), CELLS);
    cr_assert_str_eq(json_string_value(json_array_get(json_object_get(root, "best"), 0)), "sigma=0.1.T=20");
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(root, "items"), "failed")), 2);
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(root, "hardware"), "ranks")), 2);
    json_decref(root);
    free(bytes);
    rmp_sweep_results_free(&r);
    rmp_sweep_free(&sweep);
}

static char *printed(const rmp_sweep_results *r)
{
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    cr_assert_not_null(f);
    expect_ok(rmp_sweep_print(f, r));
    fclose(f);
    return out;
}

Test(sweep_results, table)
{
    rmp_sweep *sweep = open_sweep();
    rmp_sweep_results *r = collect(sweep);
    char *out = printed(r);
    cr_assert(strstr(out, "sigma  T   items  failed   psnr  evaluations  vjps  cost  s/item"), "%s", out);
    cr_assert(strstr(out, "0.1    20      3       0  25.00         11.0  22.0  33.0    0.50  best\n"), "%s", out);
    cr_assert(strstr(out, "0.2    40      0       0      -"), "%s", out);
    cr_assert(strstr(out, "0.2    10      3      2*  31.00"), "%s", out);
    cr_assert(strstr(out, "\n*: means over the items that did not fail\n"), "%s", out);
    cr_assert(strstr(out, "best: by psnr, among cells that restore the same"), "%s", out);
    free(out);
    rmp_sweep_results_free(&r);
    rmp_sweep_free(&sweep);
}

/* Where nothing failed, or all did, there is nothing to mark. */
Test(sweep_results, table_without_marks)
{
    rmp_sweep *sweep = open_sweep();
    rmp_sweep_results *r = NULL;
    write_cell(sweep, 0, 1, 10, 0);
    write_cell(sweep, 1, 1, 10, ITEMS);
    expect_ok(rmp_sweep_results_collect(sweep, NULL, NULL, &r));
    char *out = printed(r);
    cr_assert(strstr(out, "0.1    20      3       3      -"), "%s", out);
    cr_assert(strchr(out, '*') == NULL, "%s", out);
    free(out);
    rmp_sweep_results_free(&r);
    rmp_sweep_free(&sweep);
}

/* Every part of the page; two heat maps would need an axis more, one of what is restored serves. */
Test(sweep_results, page)
{
    rmp_sweep *sweep = open_sweep();
    rmp_sweep_results *r = collect(sweep);
    static const char *const parts[] = {
        "<h2>Results</h2>",      "class=\"heat\"",
        "class=\"curves\"",      "class=\"front\"",
        "solver.T (log",         "td class=\"best",
        "sigma=0.1.T=20",        "</html>",
        "class=\"bad\">2*</td>", "* and hollow points: means over the items that did not fail",
        "fill=\"#fff\"><title>", " items failed</title>"};
    size_t size;
    expect_ok(rmp_sweep_write_html(r));
    char *page = scratch_read(scratch_path("report.html"), &size);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        cr_assert(strstr(page, parts[i]) != NULL, "no %s", parts[i]);
    cr_assert(strstr(page, "nan") == NULL && strstr(page, "inf") == NULL, "a number that is none");
    free(page);
    rmp_sweep_results_free(&r);
    rmp_sweep_free(&sweep);
}

/* Before anything is done there is a page, too. */
Test(sweep_results, nothing_yet)
{
    rmp_sweep *sweep = open_sweep();
    rmp_sweep_results *r = NULL;
    expect_ok(rmp_sweep_results_collect(sweep, NULL, NULL, &r));
    cr_assert_eq(r->main, -1);
    cr_assert_eq(r->columns, 0);
    expect_ok(rmp_sweep_write_csv(r));
    expect_ok(rmp_sweep_write_json(r, NULL));
    expect_ok(rmp_sweep_write_html(r));
    char *out = printed(r);
    cr_assert(strstr(out, "sigma  T"), "%s", out);
    free(out);
    rmp_sweep_results_free(&r);
    rmp_sweep_free(&sweep);
}
