#include "jobs/describe.h"
#include "jobs/deviation.h"
#include "jobs/report_page.h"
#include "jobs/scorer.h"
#include "jobs/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIXELATED = 160 }; /* pictures narrower than this are enlarged with visible pixels */

static const struct {
    rmp_figure figure;
    const char *title;
    int digits;
} rows[] = {
    {RMP_FIGURE_PSNR_INPUT, "PSNR of the measurement, dB", 2},
    {RMP_FIGURE_PSNR, "PSNR restored, dB", 2},
    {RMP_FIGURE_GAIN, "PSNR gain, dB", 2},
    {RMP_FIGURE_PSNR_8BIT, "PSNR restored, 8-bit, dB", 2},
    {RMP_FIGURE_SSIM_INPUT, "SSIM of the measurement", 4},
    {RMP_FIGURE_SSIM, "SSIM restored", 4},
    {RMP_FIGURE_LPIPS_INPUT, "LPIPS of the measurement, 8-bit", 4},
    {RMP_FIGURE_LPIPS, "LPIPS restored, 8-bit", 4},
    {RMP_FIGURE_DISTANCE, "Distance to the truth", 6},
    {RMP_FIGURE_DISTANCE_MEAN, "Distance to the exact posterior mean", 6},
    {RMP_FIGURE_STD, "Posterior standard deviation", 5},
    {RMP_FIGURE_COVERAGE, "Truth within two of them", 4},
    {RMP_FIGURE_RESIDUAL, "Residual", 5},
    {RMP_FIGURE_EVALUATIONS, "Network evaluations", 0},
    {RMP_FIGURE_VJPS, "Gradients through the network", 0},
    {RMP_FIGURE_CG_ITERATIONS, "CG iterations", 0},
    {RMP_FIGURE_STD_EVALUATIONS, "Evaluations and gradients for the deviation", 0},
    {RMP_FIGURE_SECONDS, "Seconds an item", 3},
};

static void number(FILE *out, double value, int digits)
{
    if (isfinite(value))
        fprintf(out, "%.*f", digits, value);
    else
        fputs(value > 0 ? "&infin;" : "&ndash;", out);
}

static void tile(FILE *out, const char *class, double value, int digits, const char *unit, const char *label)
{
    fprintf(out, "<div class=\"tile\"><b class=\"%s\">", class);
    number(out, value, digits);
    fprintf(out, "%s</b><span>%s</span></div>", unit, label);
}

static void tiles(const rmp_summary *s, FILE *out)
{
    const rmp_statistics *figure = s->figure;
    fputs("<div class=\"tiles\">", out);
    if (figure[RMP_FIGURE_GAIN].n > 0) {
        double gain = figure[RMP_FIGURE_GAIN].mean;
        fputs("<div class=\"tile\"><b>", out);
        number(out, figure[RMP_FIGURE_PSNR_INPUT].mean, 2);
        fputs(" &rarr; ", out);
        number(out, figure[RMP_FIGURE_PSNR].mean, 2);
        fputs("</b><span>mean PSNR, dB</span></div>", out);
        fprintf(out, "<div class=\"tile\"><b class=\"%s\">%+.2f dB</b><span>mean gain</span></div>",
                gain > 0 ? "good" : "bad", gain);
    }
    if (figure[RMP_FIGURE_SSIM].n > 0) tile(out, "", figure[RMP_FIGURE_SSIM].mean, 4, "", "mean SSIM");
    if (figure[RMP_FIGURE_LPIPS].n > 0) tile(out, "", figure[RMP_FIGURE_LPIPS].mean, 4, "", "mean LPIPS");
    if (s->fid.images > 0) tile(out, "", s->fid.value, 2, "", "FID");
    if (figure[RMP_FIGURE_DISTANCE].n > 0)
        tile(out, "", figure[RMP_FIGURE_DISTANCE].mean, 5, "", "mean distance to the truth");
    if (figure[RMP_FIGURE_DISTANCE_MEAN].n > 0)
        tile(out, "", figure[RMP_FIGURE_DISTANCE_MEAN].mean, 5, "", "mean distance to the exact posterior mean");
    if (figure[RMP_FIGURE_GAIN].n == 0 && figure[RMP_FIGURE_RESIDUAL].n > 0)
        tile(out, "", figure[RMP_FIGURE_RESIDUAL].mean, 4, "", "mean residual");
    if (figure[RMP_FIGURE_SECONDS].n > 0) tile(out, "", figure[RMP_FIGURE_SECONDS].mean, 2, " s", "work for an item");
    if (figure[RMP_FIGURE_EVALUATIONS].n > 0)
        tile(out, "", figure[RMP_FIGURE_EVALUATIONS].mean, 0, "", "network evaluations an item");
    fputs("</div>", out);
}

static void head(const rmp_page *page, FILE *out)
{
    char task[128], method[512];
    rmp_describe_task(page->job, task, sizeof task);
    rmp_describe_method(page->job, method, sizeof method);
    const rmp_counts *counts = &page->summary.counts;
    fputs("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>",
          out);
    rmp_text_html(out, task);
    fprintf(out, " &ndash; rmp</title><style>%s</style></head><body><header><h1>", rmp_report_style);
    rmp_text_html(out, task);
    fputs("</h1><p class=\"soft\">", out);
    rmp_text_html(out, method);
    fprintf(out, "</p><p>%lld items: %lld restored", (long long)counts->items,
            (long long)(counts->done - counts->failed));
    if (counts->failed > 0)
        fprintf(out, ", <a class=\"bad\" href=\"#failures\">%lld failed</a>", (long long)counts->failed);
    if (counts->done < counts->items)
        fprintf(out, ", <b>%lld not done yet</b>", (long long)(counts->items - counts->done));
    fputs("</p></header>", out);
}

/* Published numbers differ by what is said here. */
static void metric_notes(const rmp_summary *s, FILE *out)
{
    const rmp_journal_fid *f = &s->fid;
    if (s->lpips_network == 0 && f->images == 0) return;
    fputs("<p class=\"small soft\">", out);
    if (s->lpips_network > 0)
        fprintf(out, "LPIPS by %s. ", rmp_perceptual_name((rmp_perceptual_kind)(s->lpips_network - 1)));
    if (f->images > 0) {
        fprintf(out, "FID of %lld images against ", (long long)f->images);
        if (f->truths > 0)
            fprintf(out, "%lld ground truths", (long long)f->truths);
        else
            fputs("statistics from a file", out);
        fprintf(out, ", by inception; resize: %s. ", RMP_SCORER_RESIZE);
        if (f->images < RMP_SCORER_UNBIASED || (f->truths > 0 && f->truths < RMP_SCORER_UNBIASED))
            fputs("<b>" RMP_SCORER_BIASED ".</b> ", out);
    }
    fputs("Both are of images rounded to 8 bits, against ground truths as they were read.</p>", out);
}

static void results(const rmp_summary *s, FILE *out)
{
    tiles(s, out);
    fputs("<section><h2>Results</h2><div class=\"wide\"><table><tr><th></th><th>mean</th><th>std</th><th>min</th>"
          "<th>25%</th><th>median</th><th>75%</th><th>max</th></tr>",
          out);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const rmp_statistics *f = &s->figure[rows[i].figure];
        if (f->n == 0) continue;
        const double value[] = {f->mean, f->std, f->min, f->q25, f->median, f->q75, f->max};
        fprintf(out, "<tr><td>%s</td>", rows[i].title);
        for (size_t j = 0; j < sizeof value / sizeof *value; j++) {
            fputs("<td>", out);
            number(out, value[j], rows[i].digits);
            fputs("</td>", out);
        }
        fputs("</tr>", out);
    }
    fputs("</table></div>", out);
    metric_notes(s, out);
    fputs("</section>", out);
}

static rmp_status figure(const rmp_image *picture, const char *caption, FILE *out)
{
    fputs("<figure>", out);
    if (picture->values) {
        void *bytes = NULL;
        size_t size = 0;
        RMP_TRY(rmp_image_encode(picture, RMP_PNG8, &bytes, &size));
        fprintf(out, "<img%s alt=\"%s\" src=\"data:image/png;base64,",
                picture->shape.w < PIXELATED ? " class=\"pixels\"" : "", caption);
        rmp_text_base64(out, bytes, size);
        fputs("\">", out);
        free(bytes);
    } else {
        fputs("<div class=\"none\">none</div>", out);
    }
    fprintf(out, "<figcaption>%s</figcaption></figure>", caption);
    return RMP_OK;
}

static rmp_status item(const rmp_shown *shown, FILE *out)
{
    fprintf(out, "<article class=\"item\"><header><span class=\"badge\">%s</span><b>", shown->rank);
    rmp_text_html(out, shown->id);
    fprintf(out, "</b><span class=\"soft\">%lld &times; %lld", (long long)shown->width, (long long)shown->height);
    if (isfinite(shown->psnr) && isfinite(shown->psnr_input))
        fprintf(out, " &middot; PSNR %.2f &rarr; %.2f dB (%+.2f)", shown->psnr_input, shown->psnr,
                shown->psnr - shown->psnr_input);
    else if (isfinite(shown->psnr))
        fprintf(out, " &middot; PSNR %.2f dB", shown->psnr);
    if (isfinite(shown->ssim) && isfinite(shown->ssim_input))
        fprintf(out, " &middot; SSIM %.3f &rarr; %.3f", shown->ssim_input, shown->ssim);
    if (isfinite(shown->lpips) && isfinite(shown->lpips_input))
        fprintf(out, " &middot; LPIPS %.3f &rarr; %.3f", shown->lpips_input, shown->lpips);
    if (isfinite(shown->residual)) fprintf(out, " &middot; residual %.4f", shown->residual);
    const bool deviates = shown->pictures.deviation.values != NULL;
    fprintf(out, "</span></header><div class=\"three%s\">", deviates ? " four" : "");
    RMP_TRY(figure(&shown->pictures.original, "original", out));
    RMP_TRY(figure(&shown->pictures.measurement, "measurement", out));
    RMP_TRY(figure(&shown->pictures.restored, "restored", out));
    if (deviates) {
        char caption[96];
        snprintf(caption, sizeof caption, "standard deviation: black 0, white %.3f", RMP_DEVIATION_WHITE * shown->std);
        RMP_TRY(figure(&shown->pictures.deviation, caption, out));
    }
    fputs("</div></article>", out);
    return RMP_OK;
}

static rmp_status pictures(const rmp_page *page, FILE *out)
{
    static const char *const order[] = {"best", "median", "worst"};
    if (page->shown == 0) return RMP_OK;
    fputs("<section><h2>Best, median and worst</h2>", out);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        for (int j = 0; j < page->shown; j++)
            if (!strcmp(page->item[j].rank, order[i])) RMP_TRY(item(&page->item[j], out));
    fputs("</section>", out);
    return RMP_OK;
}

static void chart(const rmp_summary *s, FILE *out)
{
    if (s->figure[s->charted].n < 2 || s->figure[s->charted].min == s->figure[s->charted].max) return;
    fputs("<section><h2>Distribution</h2>", out);
    rmp_report_histogram(s, out);
    fputs("</section>", out);
}

static double json_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void timing(const rmp_page *page, FILE *out)
{
    const rmp_summary *s = &page->summary;
    const json_t *run = json_object_get(json_object_get(page->json, "timing"), "last_run");
    double rate = json_number(run, "items_per_second"), most = 0, busy = 0;
    if (s->shares == 0) return;
    for (int i = 0; i < s->shares; i++) {
        most = fmax(most, s->share[i].seconds);
        busy += s->share[i].seconds;
    }
    fprintf(out, "<section><h2>Time</h2><p>%.1f seconds of work on %d rank%s", busy, s->shares,
            s->shares == 1 ? "" : "s");
    if (isfinite(rate))
        fprintf(out, "; the last run did %.0f items in %.1f s: <b>%.3g items a second</b>", json_number(run, "items"),
                json_number(run, "elapsed"), rate);
    fputs(".</p><div class=\"share\">", out);
    for (int i = 0; i < s->shares; i++) {
        const rmp_rank_share *share = &s->share[i];
        fprintf(out, "<span>rank %d ", share->rank);
        rmp_text_html(out, share->host);
        fprintf(out, "</span><i style=\"width:%.1f%%\"></i><span>%lld items, %.1f s</span>",
                most > 0 ? 100 * share->seconds / most : 0, (long long)share->items, share->seconds);
    }
    fputs("</div></section>", out);
}

static void failures(const rmp_page *page, FILE *out)
{
    const rmp_summary *s = &page->summary;
    if (s->counts.failed == 0) return;
    fputs("<section id=\"failures\"><h2>Failures</h2><table class=\"text\"><tr><th>items</th><th>reason</th></tr>",
          out);
    for (int i = 0; i < s->reasons; i++) {
        fprintf(out, "<tr><td>%lld</td><td>", (long long)s->reason[i].items);
        rmp_text_html(out, s->reason[i].text);
        fputs("</td></tr>", out);
    }
    if (s->other_failures > 0)
        fprintf(out, "<tr><td>%lld</td><td>other reasons</td></tr>", (long long)s->other_failures);
    fputs("</table><details><summary>", out);
    if (s->counts.failed > page->failures)
        fprintf(out, "The first %d failed items", page->failures);
    else
        fputs("The failed items", out);
    fputs("</summary><table class=\"text\">", out);
    for (int i = 0; i < page->failures; i++) {
        fputs("<tr><td>", out);
        rmp_text_html(out, page->failure[i].id);
        fputs("</td><td>", out);
        rmp_text_html(out, page->failure[i].reason);
        fputs("</td></tr>", out);
    }
    fputs("</table></details><p class=\"small soft\">All of them are in metrics.csv.</p></section>", out);
}

static void table_of(const json_t *object, FILE *out)
{
    const char *key;
    json_t *value;
    fputs("<table class=\"text\">", out);
    json_object_foreach((json_t *)object, key, value)
    {
        fputs("<tr><td>", out);
        rmp_text_html(out, key);
        fputs("</td><td>", out);
        if (json_is_string(value))
            rmp_text_html(out, json_string_value(value));
        else if (json_is_number(value))
            fprintf(out, "%.10g", json_number_value(value));
        fputs("</td></tr>", out);
    }
    fputs("</table>", out);
}

static void configuration(const rmp_page *page, FILE *out)
{
    fputs("<section><h2>Repeat it</h2><p>The resolved job, with every default written out, is <code>job.yaml</code> "
          "beside this page. The same job gives the same bytes on any number of ranks:</p><pre>",
          out);
    fputs("mpirun -n 2 rmp dataset job.yaml --restart --set output.dir=again</pre><details><summary>job.yaml</summary>"
          "<pre>",
          out);
    rmp_text_html(out, page->summary.job);
    fputs("</pre></details></section><section><h2>Made with</h2>", out);
    const json_t *hardware = json_object_get(page->json, "hardware");
    if (json_is_object(hardware)) table_of(hardware, out);
    fputs("<details><summary>Versions</summary>", out);
    table_of(json_object_get(page->json, "versions"), out);
    fputs("</details></section>", out);
}

rmp_status rmp_report_html(const rmp_page *page, FILE *out)
{
    head(page, out);
    results(&page->summary, out);
    RMP_TRY(pictures(page, out));
    chart(&page->summary, out);
    timing(page, out);
    failures(page, out);
    configuration(page, out);
    fputs("<footer>Reverse Mean Propagation: Xue, Cai, Yuan, Gao, <cite>Score-Based Variational Inference for Inverse "
          "Problems</cite>, arXiv 2410.05646. Every number and picture here comes from results.sqlite and images/ in "
          "this folder; <code>rmp report DIR</code> makes this page again.</footer></body></html>\n",
          out);
    return RMP_OK;
}
