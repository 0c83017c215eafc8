#include "jobs/sweep_results.h"

#include "io/file.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static bool ends(const char *text, const char *with)
{
    const size_t a = strlen(text), b = strlen(with);
    return a >= b && strcmp(text + a - b, with) == 0;
}

/* Told by the name, so that a new figure of the journal needs nothing here. What the measurement scores, and what a
 * method costs, is neither good nor bad. */
static int better_of(const char *name)
{
    if (ends(name, "_input")) return 0;
    if (begins(name, "psnr") || begins(name, "ssim") || begins(name, "gain")) return 1;
    if (begins(name, "lpips") || begins(name, "distance") || begins(name, "fid")) return -1;
    return 0;
}

static int digits_of(const char *name)
{
    if (begins(name, "psnr") || begins(name, "gain") || begins(name, "fid")) return 2;
    if (begins(name, "ssim") || begins(name, "lpips")) return 4;
    if (begins(name, "distance")) return 6;
    return begins(name, "residual") ? 5 : 1;
}

static rmp_status read_cell(const rmp_sweep *sweep, int64_t cell, rmp_sweep_row *row)
{
    char name[RMP_SWEEP_NAME + 1], path[PATH_MAX];
    rmp_journal *journal;
    rmp_sweep_name(sweep, cell, name);
    rmp_sweep_places(sweep, cell, row->place);
    row->seconds = NAN;
    for (int i = 0; i < RMP_SWEEP_COLUMNS; i++)
        row->value[i] = NAN;
    for (int a = 0; a < sweep->axes; a++) {
        if (sweep->axis[a].problem) row->group = row->group * sweep->axis[a].points + row->place[a];
    }
    snprintf(path, sizeof path, "%s/cells/%s", sweep->dir, name);
    row->name = strdup(name);
    row->dir = strdup(path);
    RMP_CHECK(row->name != NULL && row->dir != NULL, RMP_ERR_MEMORY, "no memory for the results of a sweep");
    snprintf(path, sizeof path, "%s/results.sqlite", row->dir);
    if (access(path, F_OK) != 0) return RMP_OK;
    RMP_TRY(rmp_journal_open_readonly(row->dir, &journal));
    rmp_status status = rmp_journal_counts(journal, &row->counts);
    for (int i = 0; status == RMP_OK && row->counts.done > 0 && i < RMP_FIGURES; i++) {
        rmp_statistics statistics;
        status = rmp_journal_statistics(journal, rmp_figure_name((rmp_figure)i), &statistics);
        if (status == RMP_OK && i == RMP_FIGURE_SECONDS) row->seconds = statistics.mean;
        if (status == RMP_OK && i != RMP_FIGURE_SECONDS) row->value[i] = statistics.mean;
    }
    rmp_journal_close(&journal);
    row->value[RMP_FIGURES] = row->value[RMP_FIGURE_EVALUATIONS] + row->value[RMP_FIGURE_VJPS];
    return status;
}

static void name_column(rmp_sweep_column *column, const char *name)
{
    snprintf(column->name, sizeof column->name, "%s", name);
    column->better = better_of(name);
    column->digits = digits_of(name);
}

/* Leaves the figures out that apply to no cell. */
static void choose_columns(rmp_sweep_results *r)
{
    for (int i = 0; i <= RMP_FIGURES; i++) {
        /* Asked for only where standard deviations are. */
        const bool often_zero = i < RMP_FIGURES && strcmp(rmp_figure_name((rmp_figure)i), "std_evaluations") == 0;
        bool any = false;
        for (int64_t c = 0; c < r->cells; c++)
            any = any || (isfinite(r->row[c].value[i]) && !(often_zero && fabs(r->row[c].value[i]) < 0.5));
        if (!any) continue;
        for (int64_t c = 0; c < r->cells; c++)
            r->row[c].value[r->columns] = r->row[c].value[i];
        name_column(&r->column[r->columns++], i == RMP_FIGURES ? "cost" : rmp_figure_name((rmp_figure)i));
    }
}

static int find_column(const rmp_sweep_results *r, const char *name)
{
    for (int i = 0; i < r->columns; i++) {
        if (strcmp(r->column[i].name, name) == 0) return i;
    }
    return -1;
}

static void choose_main(rmp_sweep_results *r)
{
    static const char *const choice[] = {"distance_mean", "psnr", "distance", "residual"};
    r->main = -1;
    for (size_t i = 0; i < sizeof choice / sizeof choice[0] && r->main < 0; i++)
        r->main = find_column(r, choice[i]);
    /* Where no truth is known, all that is left. */
    if (r->main >= 0 && r->column[r->main].better == 0) r->column[r->main].better = -1;
    r->cost = find_column(r, "cost");
}

static void note_extreme(rmp_sweep_results *r, int64_t i, int c)
{
    const int better = r->column[c].better;
    const rmp_sweep_row *row = &r->row[i];
    rmp_sweep_extremes *e = &r->extremes[row->group][c];
    const double value = row->value[c];
    if (better == 0 || !isfinite(value) || !row->comparable) return;
    if (e->best < 0 || better * value > better * r->row[e->best].value[c]) e->best = i;
    if (isnan(e->worst) || better * value < better * e->worst) e->worst = value;
}

bool rmp_sweep_is_partial(const rmp_sweep_row *row)
{
    return row->counts.failed > 0 && row->counts.done > row->counts.failed;
}

static rmp_status find_comparable(rmp_sweep_results *r)
{
    int64_t *most = calloc((size_t)r->groups, sizeof *most);
    RMP_CHECK(most != NULL, RMP_ERR_MEMORY, "no memory for the results of a sweep");
    for (int64_t i = 0; i < r->cells; i++) {
        const rmp_sweep_row *row = &r->row[i];
        const int64_t results = row->counts.done - row->counts.failed;
        if (results > most[row->group]) most[row->group] = results;
    }
    for (int64_t i = 0; i < r->cells; i++) {
        rmp_sweep_row *row = &r->row[i];
        const int64_t results = row->counts.done - row->counts.failed;
        row->comparable = results > 0 && results == most[row->group];
    }
    free(most);
    return RMP_OK;
}

static rmp_status find_extremes(rmp_sweep_results *r)
{
    r->extremes = calloc((size_t)r->groups, sizeof *r->extremes);
    RMP_CHECK(r->extremes != NULL, RMP_ERR_MEMORY, "no memory for the results of a sweep");
    for (int g = 0; g < r->groups; g++) {
        for (int c = 0; c < RMP_SWEEP_COLUMNS; c++)
            r->extremes[g][c] = (rmp_sweep_extremes){-1, NAN};
    }
    for (int64_t i = 0; i < r->cells; i++) {
        for (int c = 0; c < r->columns; c++)
            note_extreme(r, i, c);
    }
    return RMP_OK;
}

rmp_status rmp_sweep_results_collect(const rmp_sweep *sweep, rmp_status (*beat)(void *context), void *context,
                                     rmp_sweep_results **out)
{
    rmp_sweep_results *r = calloc(1, sizeof *r);
    *out = NULL;
    RMP_CHECK(r != NULL, RMP_ERR_MEMORY, "no memory for the results of a sweep");
    r->sweep = sweep;
    r->cells = sweep->cells;
    r->row = calloc((size_t)r->cells, sizeof *r->row);
    rmp_status status = r->row != NULL ? RMP_OK : RMP_FAIL(RMP_ERR_MEMORY, "no memory for the results of a sweep");
    for (int64_t i = 0; status == RMP_OK && i < r->cells; i++) {
        if (beat != NULL) status = beat(context);
        if (status == RMP_OK) status = read_cell(sweep, i, &r->row[i]);
    }
    if (status == RMP_OK) {
        r->groups = 1;
        for (int a = 0; a < sweep->axes; a++)
            r->groups *= sweep->axis[a].problem ? sweep->axis[a].points : 1;
        choose_columns(r);
        choose_main(r);
        status = find_comparable(r);
        if (status == RMP_OK) status = find_extremes(r);
    }
    if (status == RMP_OK) {
        *out = r;
    } else {
        rmp_sweep_results_free(&r);
    }
    return status;
}

void rmp_sweep_results_free(rmp_sweep_results **results)
{
    rmp_sweep_results *r = *results;
    if (r == NULL) return;
    for (int64_t i = 0; r->row != NULL && i < r->cells; i++) {
        free(r->row[i].name);
        free(r->row[i].dir);
    }
    free(r->row);
    free(r->extremes);
    free(r);
    *results = NULL;
}

int64_t rmp_sweep_best(const rmp_sweep_results *results, int group, int column)
{
    return results->extremes[group][column].best;
}

bool rmp_sweep_is_best(const rmp_sweep_results *results, int64_t cell, int column)
{
    const rmp_sweep_row *row = &results->row[cell];
    const rmp_sweep_extremes *e = &results->extremes[row->group][column];
    const int better = results->column[column].better;
    if (e->best < 0 || !isfinite(row->value[column]) || !row->comparable) return false;
    const double best = results->row[e->best].value[column];
    return better * row->value[column] >= better * best && better * best > better * e->worst;
}

void rmp_sweep_group_text(const rmp_sweep_results *results, int group, char *text, size_t size)
{
    const rmp_sweep *sweep = results->sweep;
    int place[RMP_SWEEP_AXES] = {0};
    size_t used = 0;
    for (int a = sweep->axes - 1; a >= 0; a--) {
        if (!sweep->axis[a].problem) continue;
        place[a] = group % sweep->axis[a].points;
        group /= sweep->axis[a].points;
    }
    text[0] = '\0';
    for (int a = 0; a < sweep->axes && used < size; a++) {
        const rmp_sweep_axis *axis = &sweep->axis[a];
        if (!axis->problem) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s %s", used > 0 ? ", " : "", axis->name,
                                 axis->point[place[a]].label);
    }
}
