#include "io/file.h"
#include "jobs/report_page.h"
#include "jobs/sweep_page.h"
#include "jobs/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_ROWS = 400 };

static const char style[] =
    "td.best{font-weight:700;color:var(--good)}td.name,th.name{text-align:left}"
    ".panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(24rem,100%),1fr));gap:1rem}"
    ".panels figure{margin:0}.panels figcaption{font-weight:600;color:var(--ink)}"
    "svg .line{fill:none;stroke-width:2}svg .front{fill:none;stroke:var(--bad);stroke-width:1.5;"
    "stroke-dasharray:5 4}svg .mine{stroke:var(--bad);stroke-width:2;fill:none}"
    ".legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.85rem;color:var(--soft)}"
    ".legend i{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;"
    "margin-right:.35rem;vertical-align:-.05rem}"
    ".strip{display:grid;grid-template-columns:repeat(auto-fill,minmax(7.5rem,1fr));gap:.4rem;"
    "margin-bottom:1.2rem}.strip figure{margin:0}.strip img,.strip .none{display:block;width:100%;"
    "border-radius:.3rem;background:var(--card)}.strip .none{aspect-ratio:1}"
    ".strip img.pixels{image-rendering:pixelated}.strip figcaption{overflow-wrap:anywhere}";

const char *rmp_sweep_colour(int line)
{
    /* Okabe and Ito, then darker and lighter ones of the same. */
    static const char *const colours[RMP_SWEEP_LINES] = {"#0072b2", "#e69f00", "#009e73", "#d55e00",
                                                         "#cc79a7", "#56b4e9", "#7a6a00", "#004a75",
                                                         "#8a3d00", "#00604a", "#8e4f73", "#888888"};
    return colours[line % RMP_SWEEP_LINES];
}

double rmp_sweep_value_at(const rmp_sweep_results *results, const int place[RMP_SWEEP_AXES])
{
    const int64_t cell = rmp_sweep_cell_at(results->sweep, place);
    return cell >= 0 ? results->row[cell].value[results->main] : (double)NAN;
}

void rmp_sweep_cell_text(const rmp_sweep_results *results, int64_t cell, FILE *out)
{
    const rmp_sweep_row *row = &results->row[cell];
    const rmp_sweep_column *main = &results->column[results->main];
    rmp_text_html(out, row->name);
    fprintf(out, ": %s %.*f", main->name, main->digits, row->value[results->main]);
    if (results->cost >= 0 && isfinite(row->value[results->cost])) {
        fprintf(out, ", cost %.4g", row->value[results->cost]);
    }
    if (rmp_sweep_is_partial(row)) {
        fprintf(out, ", %" PRId64 " of %" PRId64 " items failed", row->counts.failed, row->counts.done);
    }
}

void rmp_sweep_place_text(const rmp_sweep *sweep, const int place[RMP_SWEEP_AXES], unsigned mask, char *text,
                          size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int a = 0; a < sweep->axes && used < size; a++) {
        const rmp_sweep_axis *axis = &sweep->axis[a];
        const char *dot = strrchr(axis->name, '.');
        if ((mask >> a & 1u) == 0) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s%s%s", used > 0 ? ", " : "",
                                 axis->named   ? ""
                                 : dot != NULL ? dot + 1
                                               : axis->name,
                                 axis->named ? "" : " ", axis->point[place[a]].label);
    }
}

bool rmp_sweep_next_place(const rmp_sweep *sweep, unsigned mask, int place[RMP_SWEEP_AXES])
{
    for (int a = sweep->axes - 1; a >= 0; a--) {
        if ((mask >> a & 1u) == 0) continue;
        if (++place[a] < sweep->axis[a].points) return true;
        place[a] = 0;
    }
    return false;
}

unsigned rmp_sweep_problem_axes(const rmp_sweep *sweep)
{
    unsigned mask = 0;
    for (int a = 0; a < sweep->axes; a++)
        mask |= sweep->axis[a].problem ? 1u << a : 0u;
    return mask;
}

static void head(const rmp_sweep_results *r, FILE *out)
{
    const rmp_sweep *sweep = r->sweep;
    rmp_counts total = {0, 0, 0};
    for (int64_t i = 0; i < r->cells; i++) {
        total.items += r->row[i].counts.items;
        total.done += r->row[i].counts.done;
        total.failed += r->row[i].counts.failed;
    }
    fprintf(out,
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>Sweep &ndash; rmp</title>"
            "<style>%s%s</style></head><body><header><h1>Sweep of %" PRId64 " cells</h1><p class=\"soft\">",
            rmp_report_style, style, r->cells);
    for (int a = 0; a < sweep->axes; a++) {
        if (a > 0) fputs(" &times; ", out);
        rmp_text_html(out, sweep->axis[a].name);
        fprintf(out, " (%d)", sweep->axis[a].points);
    }
    fprintf(out, "</p><p>%" PRId64 " items done", total.done);
    if (total.failed > 0) fprintf(out, ", <b class=\"bad\">%" PRId64 " failed</b>", total.failed);
    if (total.done < total.items) fprintf(out, ", <b>%" PRId64 " not done yet</b>", total.items - total.done);
    fputs("</p></header>", out);
}

static void best_tiles(const rmp_sweep_results *r, FILE *out)
{
    char text[256];
    if (r->main < 0) return;
    fputs("<div class=\"tiles\">", out);
    for (int g = 0; g < r->groups && g < RMP_SWEEP_CHARTS; g++) {
        const int64_t i = rmp_sweep_best(r, g, r->main);
        if (i < 0) continue;
        fprintf(out, "<div class=\"tile\"><b>%.*f</b><span>best %s: ", r->column[r->main].digits,
                r->row[i].value[r->main], r->column[r->main].name);
        rmp_sweep_place_text(r->sweep, r->row[i].place, ~0u, text, sizeof text);
        rmp_text_html(out, text);
        fputs("</span></div>", out);
    }
    fputs("</div>", out);
}

static void row(const rmp_sweep_results *r, int64_t i, FILE *out)
{
    const rmp_sweep *sweep = r->sweep;
    const rmp_sweep_row *cell = &r->row[i];
    fputs("<tr>", out);
    for (int a = 0; a < sweep->axes; a++) {
        fputs("<td class=\"name\">", out);
        if (a == 0 && cell->counts.items > 0) {
            fputs("<a href=\"cells/", out);
            rmp_text_html(out, cell->name);
            fputs("/report.html\">", out);
        }
        rmp_text_html(out, sweep->axis[a].point[cell->place[a]].label);
        fputs(a == 0 && cell->counts.items > 0 ? "</a></td>" : "</td>", out);
    }
    fprintf(out, "<td>%" PRId64 "</td><td%s>%" PRId64 "%s</td>", cell->counts.done,
            cell->counts.failed > 0 ? " class=\"bad\"" : "", cell->counts.failed,
            rmp_sweep_is_partial(cell) ? "*" : "");
    for (int c = 0; c < r->columns; c++) {
        fputs(rmp_sweep_is_best(r, i, c) ? "<td class=\"best\">" : "<td>", out);
        if (isfinite(cell->value[c])) {
            fprintf(out, "%.*f</td>", r->column[c].digits, cell->value[c]);
        } else {
            fputs("&ndash;</td>", out);
        }
    }
    if (isfinite(cell->seconds)) {
        fprintf(out, "<td>%.2f</td></tr>", cell->seconds);
    } else {
        fputs("<td>&ndash;</td></tr>", out);
    }
}

static void results_table(const rmp_sweep_results *r, FILE *out)
{
    const rmp_sweep *sweep = r->sweep;
    fputs("<section><h2>Results</h2><div class=\"wide\"><table><tr>", out);
    for (int a = 0; a < sweep->axes; a++) {
        fputs("<th class=\"name\">", out);
        rmp_text_html(out, sweep->axis[a].name);
        fputs("</th>", out);
    }
    fputs("<th>items</th><th>failed</th>", out);
    for (int c = 0; c < r->columns; c++)
        fprintf(out, "<th>%s</th>", r->column[c].name);
    fputs("<th>seconds</th></tr>", out);
    int64_t shown = 0;
    bool partial = false;
    for (int64_t i = 0; i < r->cells; i++) {
        if (i >= SHOWN_ROWS && !(r->main >= 0 && rmp_sweep_is_best(r, i, r->main))) continue;
        row(r, i, out);
        partial = partial || rmp_sweep_is_partial(&r->row[i]);
        shown++;
    }
    fputs("</table></div><p class=\"small soft\">Means over the items of a cell; <code>cost</code> is network "
          "evaluations "
          "and gradients together. Bold: the best",
          out);
    if (r->groups > 1) fputs(" of the cells that restore the same", out);
    fputs(", among cells with results of equally many items.", out);
    if (partial) fputs(" * and hollow points: means over the items that did not fail.", out);
    if (shown < r->cells) fprintf(out, " %" PRId64 " more cells are in sweep.csv.", r->cells - shown);
    fputs("</p></section>", out);
}

static rmp_status repeat(const rmp_sweep_results *r, FILE *out)
{
    char *text;
    RMP_TRY(rmp_sweep_text(r->sweep, &text));
    fputs("<section><h2>Repeat it</h2><p>The sweep, with paths written out, is <code>job.yaml</code> beside this page; "
          "every cell is the output folder of a job by itself:</p><pre>mpirun -n 2 rmp sweep job.yaml --restart --set "
          "output.dir=again</pre><details><summary>job.yaml</summary><pre>",
          out);
    rmp_text_html(out, text);
    fputs("</pre></details></section>", out);
    free(text);
    return RMP_OK;
}

static rmp_status write_page(const rmp_sweep_results *r, FILE *out)
{
    head(r, out);
    best_tiles(r, out);
    results_table(r, out);
    if (r->main >= 0) {
        rmp_sweep_heat_maps(r, out);
        rmp_sweep_curves(r, out);
        RMP_TRY(rmp_sweep_pictures(r, out));
    }
    RMP_TRY(repeat(r, out));
    fputs("<footer>Every number and picture here comes from the folders in <code>cells/</code>; <code>rmp report "
          "DIR</code> makes this page again.</footer></body></html>\n",
          out);
    return RMP_OK;
}

rmp_status rmp_sweep_write_html(const rmp_sweep_results *results)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    RMP_CHECK(out != NULL, RMP_ERR_MEMORY, "no memory for a report");
    rmp_status status = write_page(results, out);
    bool complete = !ferror(out);
    complete = fclose(out) == 0 && complete; /* text is valid from here on, whatever fclose said */
    if (status == RMP_OK && !complete) status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for a report");
    if (status == RMP_OK) status = rmp_file_write(results->sweep->dir, "report.html", text, size);
    free(text);
    return status;
}
