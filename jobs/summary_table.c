#include "jobs/describe.h"
#include "jobs/scorer.h"
#include "jobs/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Cells are separated by at least two spaces and never hold two in a row: easy to read for scripts too. */
enum { MAX_COLUMNS = 18, CELL = 64 };

typedef struct rmp_table {
    int columns, lines;
    char (*cell)[CELL]; /* (lines, columns), line 0 is the head */
} rmp_table;

typedef struct rmp_kinds { /* which columns are needed */
    bool psnr, lpips, fid, distance, distance_mean, std, coverage, residual;
} rmp_kinds;

static char *cell_of(rmp_table *table, int line, int column) { return table->cell[line * MAX_COLUMNS + column]; }

/* A number, or "-" where it does not apply. */
static void put(rmp_table *table, int line, int *column, double value, int digits, bool sign)
{
    char *cell = cell_of(table, line, (*column)++);
    if (!isfinite(value))
        snprintf(cell, CELL, "-");
    else if (sign)
        snprintf(cell, CELL, "%+.*f", digits, value);
    else
        snprintf(cell, CELL, "%.*f", digits, value);
}

static void fill_head(rmp_table *table, rmp_kinds kinds)
{
    static const char *const scores[] = {"PSNR in", "PSNR out", "gain dB", "SSIM"};
    int c = 0;
    snprintf(cell_of(table, 0, c++), CELL, "task");
    snprintf(cell_of(table, 0, c++), CELL, "items");
    snprintf(cell_of(table, 0, c++), CELL, "failed");
    for (int i = 0; i < 4 && kinds.psnr; i++)
        snprintf(cell_of(table, 0, c++), CELL, "%s", scores[i]);
    if (kinds.lpips) snprintf(cell_of(table, 0, c++), CELL, "LPIPS");
    if (kinds.fid) snprintf(cell_of(table, 0, c++), CELL, "FID");
    if (kinds.distance) snprintf(cell_of(table, 0, c++), CELL, "distance");
    if (kinds.distance_mean) snprintf(cell_of(table, 0, c++), CELL, "to mean");
    if (kinds.std) snprintf(cell_of(table, 0, c++), CELL, "std");
    if (kinds.coverage) snprintf(cell_of(table, 0, c++), CELL, "coverage");
    if (kinds.residual) snprintf(cell_of(table, 0, c++), CELL, "residual");
    snprintf(cell_of(table, 0, c++), CELL, "s/item");
    snprintf(cell_of(table, 0, c++), CELL, "evaluations");
    snprintf(cell_of(table, 0, c++), CELL, "VJPs");
    table->columns = c;
}

static rmp_status fill_line(rmp_table *table, int line, const rmp_summary *summary, rmp_kinds kinds)
{
    json_t *job = NULL;
    RMP_TRY(rmp_describe_json(summary->job, &job));
    int c = 0;
    rmp_describe_task(job, cell_of(table, line, c++), CELL);
    json_decref(job);
    const rmp_statistics *figure = summary->figure;
    snprintf(cell_of(table, line, c++), CELL, "%lld", (long long)summary->counts.items);
    snprintf(cell_of(table, line, c++), CELL, "%lld", (long long)summary->counts.failed);
    if (kinds.psnr) {
        put(table, line, &c, figure[RMP_FIGURE_PSNR_INPUT].mean, 2, false);
        put(table, line, &c, figure[RMP_FIGURE_PSNR].mean, 2, false);
        put(table, line, &c, figure[RMP_FIGURE_GAIN].mean, 2, true);
        put(table, line, &c, figure[RMP_FIGURE_SSIM].mean, 4, false);
    }
    if (kinds.lpips) put(table, line, &c, figure[RMP_FIGURE_LPIPS].mean, 4, false);
    if (kinds.fid) put(table, line, &c, figure[RMP_FIGURE_FID].mean, 2, false);
    if (kinds.distance) put(table, line, &c, figure[RMP_FIGURE_DISTANCE].mean, 6, false);
    if (kinds.distance_mean) put(table, line, &c, figure[RMP_FIGURE_DISTANCE_MEAN].mean, 6, false);
    if (kinds.std) put(table, line, &c, figure[RMP_FIGURE_STD].mean, 5, false);
    if (kinds.coverage) put(table, line, &c, figure[RMP_FIGURE_COVERAGE].mean, 4, false);
    if (kinds.residual) put(table, line, &c, figure[RMP_FIGURE_RESIDUAL].mean, 5, false);
    put(table, line, &c, figure[RMP_FIGURE_SECONDS].mean, 2, false);
    put(table, line, &c, figure[RMP_FIGURE_EVALUATIONS].mean, 0, false);
    put(table, line, &c, figure[RMP_FIGURE_VJPS].mean, 0, false);
    return RMP_OK;
}

static void print_lines(FILE *out, rmp_table *table)
{
    int width[MAX_COLUMNS] = {0};
    for (int l = 0; l < table->lines; l++)
        for (int c = 0; c < table->columns; c++) {
            int length = (int)strlen(cell_of(table, l, c));
            if (length > width[c]) width[c] = length;
        }
    for (int l = 0; l < table->lines; l++)
        for (int c = 0; c < table->columns; c++) {
            if (c == 0)
                fprintf(out, "%-*s", width[c], cell_of(table, l, c));
            else
                fprintf(out, "  %*s", width[c], cell_of(table, l, c));
            if (c == table->columns - 1) fputc('\n', out);
        }
}

/* How the last two scores were computed, since published numbers differ by it; one line a network. */
static void print_notes(FILE *out, int dirs, const rmp_summary summary[])
{
    bool seen[RMP_PERCEPTUAL_KINDS] = {false}, biased = false, fid = false;
    for (int i = 0; i < dirs; i++) {
        const rmp_journal_fid *f = &summary[i].fid;
        fid |= f->images > 0;
        biased |=
            f->images > 0 && (f->images < RMP_SCORER_UNBIASED || (f->truths > 0 && f->truths < RMP_SCORER_UNBIASED));
        const int network = summary[i].lpips_network - 1;
        if (network < 0 || network >= RMP_PERCEPTUAL_KINDS || seen[network]) continue;
        seen[network] = true;
        fprintf(out, "LPIPS: %s, restored images rounded to 8 bits\n",
                rmp_perceptual_name((rmp_perceptual_kind)network));
    }
    if (fid) fprintf(out, "FID: inception, %s; restored images rounded to 8 bits\n", RMP_SCORER_RESIZE);
    if (biased) fprintf(out, "%s\n", RMP_SCORER_BIASED);
}

rmp_status rmp_summary_print(FILE *out, int dirs, char *const dir[])
{
    size_t lines = (size_t)dirs + 1;
    rmp_summary *summary = calloc(lines, sizeof *summary);
    rmp_table table = {.lines = dirs + 1, .cell = calloc(lines * MAX_COLUMNS, sizeof *table.cell)};
    rmp_kinds kinds = {0};
    int collected = 0;
    rmp_status status = RMP_OK;
    RMP_CHECK_GOTO(summary && table.cell, RMP_ERR_MEMORY, done, "no memory for a table of results");
    for (; collected < dirs; collected++) {
        RMP_TRY_GOTO(rmp_summary_collect(dir[collected], &summary[collected]), done);
        bool psnr = summary[collected].figure[RMP_FIGURE_PSNR].n > 0;
        bool distance = summary[collected].figure[RMP_FIGURE_DISTANCE].n > 0;
        bool mean = summary[collected].figure[RMP_FIGURE_DISTANCE_MEAN].n > 0;
        kinds.psnr |= psnr;
        kinds.lpips |= summary[collected].figure[RMP_FIGURE_LPIPS].n > 0;
        kinds.fid |= summary[collected].fid.images > 0;
        kinds.distance |= distance;
        kinds.distance_mean |= mean;
        kinds.std |= summary[collected].figure[RMP_FIGURE_STD].n > 0;
        kinds.coverage |= summary[collected].figure[RMP_FIGURE_COVERAGE].n > 0;
        kinds.residual |= !psnr && !distance && !mean;
    }
    fill_head(&table, kinds);
    for (int i = 0; i < dirs; i++)
        RMP_TRY_GOTO(fill_line(&table, i + 1, &summary[i], kinds), done);
    print_lines(out, &table);
    print_notes(out, dirs, summary);
done:
    for (int i = 0; i < collected; i++)
        rmp_summary_free(&summary[i]);
    free(summary);
    free(table.cell);
    return status;
}
