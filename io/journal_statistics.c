#include "io/journal.h"
#include "io/journal_db.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Column names of statistics and what they are in the table. */
static const struct {
    const char *name, *sql;
} columns[] = {
    {"psnr", "psnr"},
    {"ssim", "ssim"},
    {"psnr_8bit", "psnr_8bit"},
    {"ssim_8bit", "ssim_8bit"},
    {"psnr_input", "psnr_input"},
    {"ssim_input", "ssim_input"},
    {"lpips", "lpips"},
    {"lpips_input", "lpips_input"},
    {"gain", "(psnr - psnr_input)"},
    {"gain_8bit", "(psnr_8bit - psnr_input)"},
    {"residual", "residual"},
    {"distance", "distance"},
    {"distance_mean", "distance_mean"},
    {"std", "std"},
    {"coverage", "coverage"},
    {"evaluations", "evaluations"},
    {"vjps", "vjps"},
    {"cg_iterations", "cg_iterations"},
    {"std_evaluations", "std_evaluations"},
    {"seconds", "seconds"},
    {"height", "height"},
    {"width", "width"},
};

/* The finite values of a column; `order` is "item", which gives sums that do not depend on the order of arrival, or
 * "value". */
static rmp_status select_values(rmp_journal *journal, const char *column, const char *order, sqlite3_stmt **out)
{
    *out = NULL;
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        if (strcmp(columns[i].name, column) != 0) continue;
        char sql[256];
        snprintf(sql, sizeof sql, "SELECT %s AS value FROM results WHERE failed = 0 AND abs(value) < 9e999 ORDER BY %s",
                 columns[i].sql, order);
        return rmp_journal_prepare(journal, sql, out);
    }
    return RMP_FAIL(RMP_ERR_ARGUMENT, "the journal has no statistics of \"%s\"", column);
}

static rmp_status finish(rmp_journal *journal, sqlite3_stmt *statement, int code)
{
    rmp_status status = code == SQLITE_DONE ? RMP_OK : rmp_journal_fail(journal, code, "reading statistics");
    sqlite3_finalize(statement);
    return status;
}

static rmp_status moments(rmp_journal *journal, const char *column, rmp_statistics *out)
{
    sqlite3_stmt *statement;
    RMP_TRY(select_values(journal, column, "item", &statement));
    double mean = 0, squares = 0; /* Welford: one pass, no cancellation */
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        double value = sqlite3_column_double(statement, 0);
        double delta = value - mean;
        out->n++;
        mean += delta / (double)out->n;
        squares += delta * (value - mean);
    }
    if (out->n > 0) {
        out->mean = mean;
        out->std = sqrt(squares / (double)out->n);
    }
    return finish(journal, statement, code);
}

static rmp_status quartiles(rmp_journal *journal, const char *column, rmp_statistics *out)
{
    sqlite3_stmt *statement;
    RMP_TRY(select_values(journal, column, "value", &statement));
    double *const quantile[] = {&out->min, &out->q25, &out->median, &out->q75, &out->max};
    double before = 0;
    int next = 0, code;
    for (int64_t i = 0; (code = sqlite3_step(statement)) == SQLITE_ROW; i++) {
        double value = sqlite3_column_double(statement, 0);
        for (; next < 5; next++) {
            double position = 0.25 * next * (double)(out->n - 1);
            if ((double)i < position) break;
            double beyond = (double)i - position; /* 0: exactly here; below 1: between the value before and this one */
            *quantile[next] = beyond == 0 ? value : value - beyond * (value - before);
        }
        before = value;
    }
    return finish(journal, statement, code);
}

/* One number of all images. */
static rmp_status statistics_of_fid(rmp_journal *journal, rmp_statistics *out)
{
    rmp_journal_fid fid;
    RMP_TRY(rmp_journal_get_fid(journal, &fid));
    out->n = fid.images;
    if (fid.images == 0) return RMP_OK;
    out->mean = out->min = out->q25 = out->median = out->q75 = out->max = fid.value;
    out->std = 0;
    return RMP_OK;
}

rmp_status rmp_journal_statistics(rmp_journal *journal, const char *column, rmp_statistics *out)
{
    *out = (rmp_statistics){.mean = NAN, .std = NAN, .min = NAN, .q25 = NAN, .median = NAN, .q75 = NAN, .max = NAN};
    if (strcmp(column, "fid") == 0) return statistics_of_fid(journal, out);
    RMP_TRY(moments(journal, column, out));
    return out->n > 0 ? quartiles(journal, column, out) : RMP_OK;
}

rmp_status rmp_journal_histogram(rmp_journal *journal, const char *column, double low, double high, int64_t bins,
                                 int64_t counts[])
{
    RMP_CHECK(bins > 0 && low < high, RMP_ERR_ARGUMENT, "%lld bins from %g to %g", (long long)bins, low, high);
    sqlite3_stmt *statement;
    RMP_TRY(select_values(journal, column, "item", &statement));
    memset(counts, 0, (size_t)bins * sizeof counts[0]);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        double value = sqlite3_column_double(statement, 0);
        if (value < low || value > high) continue;
        int64_t bin = (int64_t)((value - low) / (high - low) * (double)bins);
        counts[bin < bins ? bin : bins - 1]++;
    }
    return finish(journal, statement, code);
}
