/* Heat maps of a sweep: the main figure over two axes, one panel for each place on the others. */
#include "jobs/sweep_page.h"
#include "jobs/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PAIRS = 6, MAX_SIDE = 40, MAX_PANELS = 12, WIDTH = 420, LEFT = 92, TOP = 8, ROW = 30, BOTTOM = 40 };
enum { TEXT_LEAST = 38 /* width of a square that a number fits into */, LABEL = 13 };

typedef struct scale { /* of the colours of a group */
    double low, high;
} scale;

/* Viridis in five steps (Smith and van der Walt): the better, the brighter. */
static void colour(double share, int rgb[3])
{
    static const int stop[5][3] = {{68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {94, 201, 98}, {253, 231, 37}};
    const double at = 4 * fmin(fmax(share, 0), 1);
    const int i = at >= 4 ? 3 : (int)at;
    for (int k = 0; k < 3; k++)
        rgb[k] = (int)lround(stop[i][k] + (at - i) * (stop[i + 1][k] - stop[i][k]));
}

static void find_scales(const rmp_sweep_results *r, scale *scales)
{
    for (int g = 0; g < r->groups; g++)
        scales[g] = (scale){INFINITY, -INFINITY};
    for (int64_t i = 0; i < r->cells; i++) {
        const double value = r->row[i].value[r->main];
        scale *s = &scales[r->row[i].group];
        if (!isfinite(value)) continue;
        s->low = fmin(s->low, value);
        s->high = fmax(s->high, value);
    }
}

static void label(FILE *out, double x, double y, const char *anchor, const char *text)
{
    char cut[LABEL + 4];
    snprintf(cut, sizeof cut, "%.*s", LABEL, text);
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    rmp_text_html(out, cut);
    fputs("</text>", out);
}

static void square(const rmp_sweep_results *r, const scale *scales, const int place[], double x, double y, double width,
                   FILE *out)
{
    const rmp_sweep_column *column = &r->column[r->main];
    const double value = rmp_sweep_value_at(r, place);
    if (!isfinite(value)) {
        fprintf(out, "<rect class=\"axis\" fill=\"none\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>", x + 1,
                y + 1, width - 2, ROW - 2);
        return;
    }
    const int64_t cell = rmp_sweep_cell_at(r->sweep, place);
    const rmp_sweep_row *row = &r->row[cell];
    const scale *s = &scales[row->group];
    double share = s->high > s->low ? (value - s->low) / (s->high - s->low) : 1;
    int rgb[3];
    if (column->better < 0) share = s->high > s->low ? 1 - share : 1;
    colour(share, rgb);
    fprintf(out, "<rect fill=\"#%02x%02x%02x\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"><title>", rgb[0],
            rgb[1], rgb[2], x, y, width, ROW);
    rmp_sweep_cell_text(r, cell, out);
    fputs("</title></rect>", out);
    if (rmp_sweep_is_best(r, cell, r->main)) {
        fprintf(out, "<rect class=\"mine\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>", x + 1, y + 1,
                width - 2, ROW - 2);
    }
    if (width >= TEXT_LEAST) {
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" style=\"fill:%s\">%.*f%s</text>",
                x + width / 2, y + ROW * 0.5 + 4, share > 0.55 ? "#111" : "#fff",
                column->digits > 4 ? 4 : column->digits, value, rmp_sweep_is_partial(row) ? "*" : "");
    }
}

static void panel(const rmp_sweep_results *r, const scale *scales, int across, int down, const int at[], FILE *out)
{
    const rmp_sweep *sweep = r->sweep;
    const rmp_sweep_axis *x = &sweep->axis[across], *y = &sweep->axis[down];
    const double width = (double)(WIDTH - LEFT - 8) / x->points;
    const int bottom = TOP + ROW * y->points;
    int place[RMP_SWEEP_AXES];
    memcpy(place, at, sizeof place);
    fprintf(out, "<svg class=\"heat\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Heat map\">", WIDTH,
            bottom + BOTTOM);
    for (place[down] = 0; place[down] < y->points; place[down]++) {
        const double top = TOP + ROW * place[down];
        label(out, LEFT - 6, top + ROW * 0.5 + 4, "end", y->point[place[down]].label);
        for (place[across] = 0; place[across] < x->points; place[across]++) {
            square(r, scales, place, LEFT + width * place[across], top, width, out);
        }
    }
    const int step = (int)ceil(30 / width); /* labels that would cover each other are left out */
    for (int i = 0; i < x->points; i += step)
        label(out, LEFT + width * (i + 0.5), bottom + 15, "middle", x->point[i].label);
    fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", (WIDTH + LEFT) / 2.0, bottom + 32);
    rmp_text_html(out, x->name);
    fputs("</text></svg>", out);
}

/* Numbers lie on the horizontal axis, many names below each other, where there is room for them. */
static bool goes_across(const rmp_sweep_axis *a, const rmp_sweep_axis *b)
{
    if (a->numeric != b->numeric) return a->numeric;
    return a->numeric ? a->points > b->points : a->points < b->points;
}

static void pair(const rmp_sweep_results *r, const scale *scales, int a, int b, FILE *out)
{
    const rmp_sweep *sweep = r->sweep;
    const int across = goes_across(&sweep->axis[a], &sweep->axis[b]) ? a : b, down = across == a ? b : a;
    const unsigned others = ((1u << sweep->axes) - 1) & ~(1u << a) & ~(1u << b);
    int place[RMP_SWEEP_AXES] = {0}, panels = 0;
    char text[256];
    bool more = true;
    fputs("<h3>", out);
    rmp_text_html(out, sweep->axis[down].name);
    fputs(" &times; ", out);
    rmp_text_html(out, sweep->axis[across].name);
    fputs("</h3><div class=\"panels\">", out);
    for (; more && panels < MAX_PANELS; panels++) {
        fputs("<figure><figcaption>", out);
        rmp_sweep_place_text(sweep, place, others, text, sizeof text);
        rmp_text_html(out, text);
        fputs("</figcaption>", out);
        panel(r, scales, across, down, place, out);
        fputs("</figure>", out);
        more = rmp_sweep_next_place(sweep, others, place);
    }
    fputs("</div>", out);
    if (more) fprintf(out, "<p class=\"small soft\">The first %d panels.</p>", MAX_PANELS);
}

static bool fits(const rmp_sweep_axis *axis) { return axis->points >= 2 && axis->points <= MAX_SIDE; }

static void maps(const rmp_sweep_results *r, const scale *scales, bool methods, int *pairs, FILE *out)
{
    const rmp_sweep *sweep = r->sweep;
    for (int a = 0; a < sweep->axes; a++) {
        for (int b = a + 1; b < sweep->axes && *pairs < MAX_PAIRS; b++) {
            const rmp_sweep_axis *x = &sweep->axis[a], *y = &sweep->axis[b];
            if (!fits(x) || !fits(y) || methods != (!x->problem && !y->problem)) continue;
            if ((*pairs)++ == 0) {
                fprintf(out,
                        "<section><h2>Heat maps</h2><p class=\"soft\">Mean %s; the brighter, the better%s. The best is "
                        "framed.</p>",
                        r->column[r->main].name,
                        r->groups > 1 ? ", each scale that of the cells which restore the same" : "");
            }
            pair(r, scales, a, b, out);
        }
    }
}

void rmp_sweep_heat_maps(const rmp_sweep_results *results, FILE *out)
{
    int pairs = 0;
    scale *scales = calloc((size_t)results->groups, sizeof *scales);
    if (scales == NULL) return; /* a page without this section; writing the page will fail for the same reason */
    find_scales(results, scales);
    maps(results, scales, true, &pairs, out);
    /* Over what is restored only where the methods alone make no map. */
    if (pairs == 0) maps(results, scales, false, &pairs, out);
    if (pairs > 0) fputs("</section>", out);
    free(scales);
}
