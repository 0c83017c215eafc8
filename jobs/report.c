#include "jobs/report.h"

#include "io/file.h"
#include "jobs/describe.h"
#include "jobs/report_page.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 320, MAX_SUMMARY = 1 << 20 };

typedef struct rmp_gather { /* while the journal is visited */
    const rmp_finder *finder;
    rmp_page *page;
    const char *rank;
} rmp_gather;

/* An item may be the best and the worst of a small job: it is shown once. */
static rmp_status gather_item(void *context, const rmp_item *item, const rmp_row *row)
{
    rmp_gather *gather = context;
    rmp_page *page = gather->page;
    for (int i = 0; i < page->shown; i++)
        if (!strcmp(page->item[i].id, item->id)) return RMP_OK;
    if (page->shown == RMP_MAX_SHOWN || !row->output) return RMP_OK;
    rmp_shown *shown = &page->item[page->shown];
    *shown = (rmp_shown){.rank = gather->rank,
                         .psnr = row->psnr,
                         .ssim = row->ssim,
                         .psnr_input = row->psnr_input,
                         .ssim_input = row->ssim_input,
                         .lpips = row->lpips,
                         .lpips_input = row->lpips_input,
                         .residual = row->residual,
                         .std = row->std,
                         .height = row->height,
                         .width = row->width};
    RMP_TRY(rmp_pictures_load(gather->finder, item, row, MAX_SIDE, &shown->pictures));
    page->shown++;
    shown->id = strdup(item->id);
    RMP_CHECK(shown->id, RMP_ERR_MEMORY, "no memory for a report");
    return RMP_OK;
}

static rmp_status gather_failure(void *context, const rmp_item *item, const rmp_row *row)
{
    rmp_page *page = ((rmp_gather *)context)->page;
    rmp_failure *failure = &page->failure[page->failures++];
    failure->id = strdup(item->id);
    failure->reason = strdup(row->reason ? row->reason : "unknown");
    RMP_CHECK(failure->id && failure->reason, RMP_ERR_MEMORY, "no memory for a report");
    return RMP_OK;
}

static rmp_status gather_items(const rmp_finder *finder, rmp_page *page)
{
    static const struct {
        rmp_ranking order;
        const char *name;
    } ranking[] = {{RMP_RANK_BEST, "best"}, {RMP_RANK_WORST, "worst"}, {RMP_RANK_MEDIAN, "median"}};
    rmp_gather gather = {.finder = finder, .page = page};
    int64_t restored = page->summary.counts.done - page->summary.counts.failed;
    int64_t each = restored < RMP_MAX_SHOWN ? (restored + 2) / 3 : RMP_SHOWN_PER_RANKING; /* small jobs: all, once */
    rmp_journal *journal = NULL;
    RMP_TRY(rmp_journal_open_readonly(finder->dir, &journal));
    rmp_status status = RMP_OK;
    for (size_t i = 0; i < sizeof ranking / sizeof *ranking && status == RMP_OK; i++) {
        gather.rank = ranking[i].name;
        status = rmp_journal_ranked(journal, ranking[i].order, each, gather_item, &gather);
    }
    if (status == RMP_OK)
        status = rmp_journal_ranked(journal, RMP_RANK_FAILED, RMP_MAX_FAILURES_SHOWN, gather_failure, &gather);
    rmp_journal_close(&journal);
    return status;
}

static rmp_status read_summary(rmp_page *page)
{
    char *path = NULL, *bytes = NULL;
    size_t size = 0;
    rmp_status status;
    RMP_TRY(rmp_path_join(page->dir, "summary.json", &path));
    RMP_TRY_GOTO(rmp_file_read(path, MAX_SUMMARY, &bytes, &size), done);
    json_error_t error;
    page->json = json_loadb(bytes, size, 0, &error);
    RMP_CHECK_GOTO(page->json, RMP_ERR_FORMAT, done, "%s, line %d: %s", path, error.line, error.text);
done:
    free(bytes);
    free(path);
    return status;
}

static void page_free(rmp_page *page)
{
    for (int i = 0; i < page->shown; i++) {
        free(page->item[i].id);
        rmp_pictures_free(&page->item[i].pictures);
    }
    for (int i = 0; i < page->failures; i++) {
        free(page->failure[i].id);
        free(page->failure[i].reason);
    }
    json_decref(page->job);
    json_decref(page->json);
    rmp_summary_free(&page->summary);
    free(page);
}

static rmp_status write_page(const rmp_page *page)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    RMP_CHECK(out, RMP_ERR_MEMORY, "no memory for a report");
    rmp_status status = rmp_report_html(page, out);
    bool complete = !ferror(out);
    complete = fclose(out) == 0 && complete; /* text is valid from here on, whatever fclose said */
    if (status == RMP_OK && !complete) status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for a report");
    if (status == RMP_OK) status = rmp_file_write(page->dir, "report.html", text, size);
    free(text);
    return status;
}

rmp_status rmp_report_write(const char *dir, rmp_report_measure measure, void *context)
{
    const rmp_finder finder = {dir, measure, context};
    rmp_page *page = calloc(1, sizeof *page);
    RMP_CHECK(page, RMP_ERR_MEMORY, "no memory for a report");
    page->dir = dir;
    rmp_status status = rmp_summary_collect(dir, &page->summary);
    if (status != RMP_OK) {
        free(page);
        return status;
    }
    RMP_TRY_GOTO(rmp_describe_json(page->summary.job, &page->job), done);
    RMP_TRY_GOTO(read_summary(page), done);
    RMP_TRY_GOTO(gather_items(&finder, page), done);
    RMP_TRY_GOTO(rmp_report_sheet(&finder), done);
    status = write_page(page); /* last: where it is, everything is */
done:
    page_free(page);
    return status;
}
