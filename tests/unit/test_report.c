/* report.html from a page in memory: how it looks for a folder of results is a whole-job test. */
#include "jobs/describe.h"
#include "jobs/picture.h"
#include "jobs/report_page.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char job_text[] = "operator:\n  kind: denoise\nprior:\n  kind: gaussian\n";
static char evil_id[] = "<script>alert(1)</script>", evil_reason[] = "\"broken\" & <bad>\xFF";

static rmp_page *make_page(void)
{
    rmp_page *page = calloc(1, sizeof *page);
    page->dir = ".";
    page->summary = (rmp_summary){.counts = {3, 3, 1}, .job = job_text, .charted = RMP_FIGURE_GAIN};
    for (int i = 0; i < RMP_FIGURES; i++)
        page->summary.figure[i] = (rmp_statistics){0, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    page->summary.figure[RMP_FIGURE_GAIN] = (rmp_statistics){2, 1.5, 0.5, 1, 1.25, 1.5, 1.75, 2};
    page->summary.figure[RMP_FIGURE_PSNR] = (rmp_statistics){2, 25.25, 0.5, 25, 25, 25.25, 25.5, 25.5};
    page->summary.chart_low = 1;
    page->summary.chart_high = 2;
    page->summary.chart[0] = page->summary.chart[RMP_HISTOGRAM_BINS - 1] = 1;
    page->summary.reasons = 1;
    page->summary.reason[0] = (rmp_reason){evil_reason, 1};
    page->failures = 1;
    page->failure[0] = (rmp_failure){evil_id, evil_reason};
    page->shown = 1;
    page->item[0] = (rmp_shown){.rank = "best", .id = evil_id, .psnr = 25, .psnr_input = INFINITY, .ssim = NAN};
    cr_assert_eq(rmp_describe_json(job_text, &page->job), RMP_OK);
    cr_assert_eq(rmp_picture_create(2, 2, 0, &page->item[0].pictures.original), RMP_OK);
    return page;
}

static char *html_of(const rmp_page *page)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    cr_assert_eq(rmp_report_html(page, out), RMP_OK, "%s", rmp_fail_message());
    fclose(out);
    return text;
}

static int occurrences(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

static void destroy(rmp_page *page)
{
    rmp_pictures_free(&page->item[0].pictures);
    json_decref(page->job);
    free(page);
}

Test(report, is_self_contained_and_escaped)
{
    rmp_page *page = make_page();
    char *text = html_of(page);
    static const char *const forbidden[] = {"<script", "http:", "https:", "url(", "<link", "@import", "\xFF", "nan"};
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        cr_assert_null(strstr(text, forbidden[i]), "%s", forbidden[i]);
    cr_assert_not_null(strstr(text, "&lt;script&gt;"));
    cr_assert_not_null(strstr(text, "denoising"));
    cr_assert_not_null(strstr(text, "+1.50 dB"));
    cr_assert_eq(occurrences(text, "data:image/png;base64,iVBOR"), 1);
    cr_assert_eq(occurrences(text, "<rect class=\"bar\""), 2);
    cr_assert_eq(occurrences(text, "<svg"), occurrences(text, "</svg>"));
    cr_assert_eq(occurrences(text, "<section"), occurrences(text, "</section>"));
    free(text);
    destroy(page);
}

Test(report, an_empty_job_has_a_page)
{
    rmp_page *page = make_page();
    page->shown = page->failures = 0;
    page->summary.counts = (rmp_counts){5, 0, 0};
    page->summary.figure[RMP_FIGURE_GAIN].n = page->summary.figure[RMP_FIGURE_PSNR].n = 0;
    char *text = html_of(page);
    cr_assert_not_null(strstr(text, "5 not done yet"));
    cr_assert_null(strstr(text, "<svg"));
    cr_assert_null(strstr(text, "Failures"));
    free(text);
    destroy(page);
}
