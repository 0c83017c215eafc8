#include "jobs/summary.h"

#include "core/perceptual.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CLASSES = 256 }; /* of failure reasons that are told apart while counting */

const char *rmp_figure_name(rmp_figure figure)
{
    static const char *const name[RMP_FIGURES] = {
        [RMP_FIGURE_PSNR] = "psnr",
        [RMP_FIGURE_SSIM] = "ssim",
        [RMP_FIGURE_PSNR_8BIT] = "psnr_8bit",
        [RMP_FIGURE_SSIM_8BIT] = "ssim_8bit",
        [RMP_FIGURE_PSNR_INPUT] = "psnr_input",
        [RMP_FIGURE_SSIM_INPUT] = "ssim_input",
        [RMP_FIGURE_LPIPS] = "lpips",
        [RMP_FIGURE_LPIPS_INPUT] = "lpips_input",
        [RMP_FIGURE_FID] = "fid",
        [RMP_FIGURE_GAIN] = "gain",
        [RMP_FIGURE_RESIDUAL] = "residual",
        [RMP_FIGURE_DISTANCE] = "distance",
        [RMP_FIGURE_DISTANCE_MEAN] = "distance_mean",
        [RMP_FIGURE_STD] = "std",
        [RMP_FIGURE_COVERAGE] = "coverage",
        [RMP_FIGURE_EVALUATIONS] = "evaluations",
        [RMP_FIGURE_VJPS] = "vjps",
        [RMP_FIGURE_CG_ITERATIONS] = "cg_iterations",
        [RMP_FIGURE_STD_EVALUATIONS] = "std_evaluations",
        [RMP_FIGURE_SECONDS] = "seconds",
    };
    return name[figure];
}

typedef struct rmp_count { /* of one pass over the rows */
    rmp_summary *summary;
    int classes;
    rmp_reason class[MAX_CLASSES];
} rmp_count;

/* A copy of `text` in which every occurrence of `part` is "FILE"; NULL without memory. */
static char *replaced(const char *text, const char *part)
{
    static const char word[] = "FILE";
    size_t length = part ? strlen(part) : 0, copies = 0;
    for (const char *at = text; length && (at = strstr(at, part)) != NULL; at += length)
        copies++;
    char *out = malloc(strlen(text) + copies * (sizeof word - 1) + 1), *end = out;
    if (!out) return NULL;
    for (const char *at; copies && (at = strstr(text, part)) != NULL; text = at + length) {
        memcpy(end, text, (size_t)(at - text));
        end += at - text;
        memcpy(end, word, sizeof word - 1);
        end += sizeof word - 1;
    }
    memcpy(end, text, strlen(text) + 1);
    return out;
}

static rmp_status count_reason(rmp_count *count, const rmp_item *item, const char *reason)
{
    const char *path[] = {item->image, item->measurement, item->mask};
    char *text = replaced(reason, NULL);
    for (size_t i = 0; i < 3 && text; i++) {
        char *shorter = replaced(text, path[i]);
        free(text);
        text = shorter;
    }
    RMP_CHECK(text, RMP_ERR_MEMORY, "no memory for the reasons of failures");
    for (int i = 0; i < count->classes; i++) {
        if (strcmp(count->class[i].text, text) != 0) continue;
        count->class[i].items++;
        free(text);
        return RMP_OK;
    }
    if (count->classes == MAX_CLASSES) {
        count->summary->other_failures++;
        free(text);
        return RMP_OK;
    }
    count->class[count->classes++] = (rmp_reason){text, 1};
    return RMP_OK;
}

static void count_share(rmp_summary *summary, const rmp_row *row)
{
    int i = 0;
    while (i < summary->shares && summary->share[i].rank < row->rank)
        i++;
    if (i == RMP_MAX_RANKS_SHOWN) return;
    if (i == summary->shares || summary->share[i].rank != row->rank) {
        if (summary->shares == RMP_MAX_RANKS_SHOWN) summary->shares--;
        memmove(summary->share + i + 1, summary->share + i, (size_t)(summary->shares - i) * sizeof *summary->share);
        summary->shares++;
        summary->share[i] = (rmp_rank_share){.rank = row->rank};
    }
    rmp_rank_share *share = &summary->share[i];
    if (row->host) snprintf(share->host, sizeof share->host, "%s", row->host);
    share->items++;
    if (isfinite(row->seconds)) share->seconds += row->seconds;
}

static rmp_status count_row(void *context, const rmp_item *item, const rmp_row *row)
{
    rmp_count *count = context;
    rmp_summary *summary = count->summary;
    count_share(summary, row);
    if (summary->lpips_network == 0 && row->lpips_network > 0 && row->lpips_network <= RMP_PERCEPTUAL_INCEPTION)
        summary->lpips_network = row->lpips_network;
    if (isfinite(row->started) && !(row->started >= summary->first_started)) summary->first_started = row->started;
    return row->failed ? count_reason(count, item, row->reason ? row->reason : "unknown") : RMP_OK;
}

/* Moves the most frequent classes into the summary; ties keep their order. */
static void take_reasons(rmp_count *count)
{
    rmp_summary *summary = count->summary;
    while (summary->reasons < RMP_MAX_REASONS) {
        rmp_reason *most = NULL;
        for (int i = 0; i < count->classes; i++)
            if (count->class[i].text && (!most || count->class[i].items > most->items)) most = &count->class[i];
        if (!most) return;
        summary->reason[summary->reasons++] = *most;
        most->text = NULL;
    }
    for (int i = 0; i < count->classes; i++)
        if (count->class[i].text) summary->other_failures += count->class[i].items;
}

static rmp_status collect_chart(rmp_journal *journal, rmp_summary *summary)
{
    static const rmp_figure choice[] = {RMP_FIGURE_GAIN, RMP_FIGURE_DISTANCE_MEAN, RMP_FIGURE_DISTANCE,
                                        RMP_FIGURE_RESIDUAL};
    summary->charted = RMP_FIGURE_RESIDUAL;
    for (size_t i = 0; i < sizeof choice / sizeof *choice; i++)
        if (summary->figure[choice[i]].n > 0) {
            summary->charted = choice[i];
            break;
        }
    const rmp_statistics *figure = &summary->figure[summary->charted];
    if (figure->n == 0) return RMP_OK;
    double width = (figure->max - figure->min) / RMP_HISTOGRAM_BINS;
    double smallest = 1e-6 * fmax(fabs(figure->min), 1e-3); /* all values equal: they stand in the middle */
    if (!(width > smallest)) width = smallest;
    double middle = (figure->min + figure->max) / 2;
    summary->chart_low = middle - width * RMP_HISTOGRAM_BINS / 2;
    summary->chart_high = middle + width * RMP_HISTOGRAM_BINS / 2;
    if (summary->chart_low > figure->min) summary->chart_low = figure->min;
    if (summary->chart_high < figure->max) summary->chart_high = figure->max;
    return rmp_journal_histogram(journal, rmp_figure_name(summary->charted), summary->chart_low, summary->chart_high,
                                 RMP_HISTOGRAM_BINS, summary->chart);
}

rmp_status rmp_summary_collect(const char *dir, rmp_summary *out)
{
    *out = (rmp_summary){.first_started = NAN};
    rmp_count *count = NULL;
    rmp_journal *journal = NULL;
    rmp_status status;
    RMP_TRY(rmp_journal_open_readonly(dir, &journal));
    count = calloc(1, sizeof *count);
    out->job = strdup(rmp_journal_job(journal));
    RMP_CHECK_GOTO(count && out->job, RMP_ERR_MEMORY, done, "no memory for a summary");
    count->summary = out;
    RMP_TRY_GOTO(rmp_journal_counts(journal, &out->counts), done);
    for (int i = 0; i < RMP_FIGURES; i++)
        RMP_TRY_GOTO(rmp_journal_statistics(journal, rmp_figure_name((rmp_figure)i), &out->figure[i]), done);
    RMP_TRY_GOTO(rmp_journal_get_fid(journal, &out->fid), done);
    RMP_TRY_GOTO(rmp_journal_visit(journal, count_row, count), done);
    take_reasons(count);
    status = collect_chart(journal, out);
done:
    for (int i = 0; count && i < count->classes; i++)
        free(count->class[i].text);
    free(count);
    rmp_journal_close(&journal);
    if (status != RMP_OK) rmp_summary_free(out);
    return status;
}

void rmp_summary_free(rmp_summary *summary)
{
    for (int i = 0; i < summary->reasons; i++)
        free(summary->reason[i].text);
    free(summary->job);
    *summary = (rmp_summary){0};
}
