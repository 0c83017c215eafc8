/* Curves of a sweep: the main figure along each numeric axis, one line for each place on the others, and against what
 * the cells cost, with the front that no cell beats in both. */
#include "jobs/sweep_page.h"
#include "jobs/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 520, HEIGHT = 300, LEFT = 64, RIGHT = 14, TOP = 12, BOTTOM = 44, TICK_GAP = 34, MAX_POINTS = 2000 };

typedef struct scale { /* from numbers to pixels */
    double low, high, from, to;
    bool logarithmic;
} scale;

static double pixel(const scale *s, double value)
{
    const double a = s->logarithmic ? log(s->low) : s->low, b = s->logarithmic ? log(s->high) : s->high;
    const double v = s->logarithmic ? log(value) : value;
    return s->from + (s->to - s->from) * (b > a ? (v - a) / (b - a) : 0.5);
}

/* Equal ratios, or a wide range: on a logarithmic axis such values lie evenly. */
static bool is_geometric(const double values[], int count)
{
    double low = INFINITY, high = -INFINITY, least = INFINITY, most = 0;
    for (int i = 0; i < count; i++) {
        low = fmin(low, values[i]);
        high = fmax(high, values[i]);
        if (i == 0 || !(values[i - 1] > 0)) continue;
        least = fmin(least, values[i] / values[i - 1]);
        most = fmax(most, values[i] / values[i - 1]);
    }
    if (!(low > 0)) return false;
    return high >= 20 * low || (count >= 3 && least > 1.2 && most < 1.15 * least);
}

static double nice_step(double range, int parts)
{
    const double rough = range / parts, power = pow(10, floor(log10(rough)));
    const double digit = rough / power;
    return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

static scale vertical_scale(double low, double high)
{
    const double least = 1e-6 * fmax(fabs(high), 1e-3), range = fmax(high - low, least);
    return (scale){low - 0.06 * range, high + 0.06 * range, HEIGHT - BOTTOM, TOP, false};
}

static void vertical_axis(FILE *out, const scale *y, const char *title)
{
    const double step = nice_step(y->high - y->low, 5);
    const int digits = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);
    const int64_t first = (int64_t)ceil(y->low / step), last = (int64_t)floor(y->high / step);
    for (int64_t k = first; k <= last; k++) {
        const double value = (double)k * step, at = pixel(y, value);
        fprintf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, WIDTH - RIGHT, at, at);
        fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.*f</text>", LEFT - 6, at + 4, digits, value);
    }
    fprintf(out, "<text x=\"14\" y=\"%d\" text-anchor=\"middle\" transform=\"rotate(-90 14 %d)\">%s</text>",
            (TOP + HEIGHT - BOTTOM) / 2, (TOP + HEIGHT - BOTTOM) / 2, title);
}

static void tick(FILE *out, double x, const char *text)
{
    fprintf(out, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x, x, HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 4);
    fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", x, HEIGHT - BOTTOM + 17);
    rmp_text_html(out, text);
    fputs("</text>", out);
}

static void horizontal_title(FILE *out, const char *title)
{
    fprintf(out, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM,
            HEIGHT - BOTTOM);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (WIDTH + LEFT - RIGHT) / 2, HEIGHT - 8);
    rmp_text_html(out, title);
    fputs("</text>", out);
}

static void open_svg(FILE *out, const char *kind)
{
    fprintf(out, "<svg class=\"%s\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">", kind, WIDTH, HEIGHT, kind);
}

static void legend(FILE *out, int line, const char *text)
{
    fprintf(out, "<span><i style=\"background:%s\"></i>", rmp_sweep_colour(line));
    rmp_text_html(out, text);
    fputs("</span>", out);
}

/* Hollow where items failed. */
static void point(const rmp_sweep_results *r, int64_t cell, double x, double y, const char *colour, FILE *out)
{
    fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" stroke=\"%s\" fill=\"%s\"><title>", x, y, colour,
            rmp_sweep_is_partial(&r->row[cell]) ? "#fff" : colour);
    rmp_sweep_cell_text(r, cell, out);
    fputs("</title></circle>", out);
}

/* ---- along an axis ---- */

typedef struct chart {
    const rmp_sweep_results *results;
    int axis;
    unsigned problem, others; /* axes that are fixed in a chart, and in a line of it */
    int *order;               /* places of the axis by their numbers */
} chart;

static void span(const chart *c, const int at[], double *low, double *high)
{
    const rmp_sweep_results *r = c->results;
    const rmp_sweep *sweep = r->sweep;
    int place[RMP_SWEEP_AXES];
    memcpy(place, at, sizeof place);
    *low = INFINITY;
    *high = -INFINITY;
    int lines = 0;
    do {
        for (place[c->axis] = 0; place[c->axis] < sweep->axis[c->axis].points; place[c->axis]++) {
            const double value = rmp_sweep_value_at(r, place);
            if (!isfinite(value)) continue;
            *low = fmin(*low, value);
            *high = fmax(*high, value);
        }
        place[c->axis] = 0;
    } while (rmp_sweep_next_place(sweep, c->others, place) && ++lines < RMP_SWEEP_LINES);
}

static void line(const chart *c, int place[], int number, const scale *x, const scale *y, FILE *out)
{
    const rmp_sweep_results *r = c->results;
    const rmp_sweep *sweep = r->sweep;
    const rmp_sweep_axis *axis = &sweep->axis[c->axis];
    fprintf(out, "<polyline class=\"line\" stroke=\"%s\" points=\"", rmp_sweep_colour(number));
    for (int i = 0; i < axis->points; i++) {
        place[c->axis] = c->order[i];
        const double value = rmp_sweep_value_at(r, place);
        if (isfinite(value)) fprintf(out, "%.1f,%.1f ", pixel(x, axis->point[c->order[i]].number), pixel(y, value));
    }
    fputs("\"/>", out);
    for (int i = 0; i < axis->points; i++) {
        place[c->axis] = c->order[i];
        const double value = rmp_sweep_value_at(r, place);
        if (!isfinite(value)) continue;
        point(r, rmp_sweep_cell_at(sweep, place), pixel(x, axis->point[c->order[i]].number), pixel(y, value),
              rmp_sweep_colour(number), out);
    }
    place[c->axis] = 0;
}

static scale horizontal_scale(const chart *c)
{
    const rmp_sweep_axis *axis = &c->results->sweep->axis[c->axis];
    double *values = calloc((size_t)axis->points, sizeof *values);
    const double low = axis->point[c->order[0]].number, high = axis->point[c->order[axis->points - 1]].number;
    scale x = {low, high, LEFT + 14, WIDTH - RIGHT - 14, false};
    for (int i = 0; values != NULL && i < axis->points; i++)
        values[i] = axis->point[c->order[i]].number;
    x.logarithmic = values != NULL && is_geometric(values, axis->points);
    free(values);
    return x;
}

static void draw_chart(const chart *c, const int at[], FILE *out)
{
    const rmp_sweep_results *r = c->results;
    const rmp_sweep *sweep = r->sweep;
    const rmp_sweep_axis *axis = &sweep->axis[c->axis];
    double low, high, last = -INFINITY;
    char text[256];
    int place[RMP_SWEEP_AXES], number = 0;
    span(c, at, &low, &high);
    if (!(low <= high)) return;
    const scale x = horizontal_scale(c), y = vertical_scale(low, high);
    fputs("<figure><figcaption>", out);
    rmp_sweep_place_text(sweep, at, c->problem, text, sizeof text);
    rmp_text_html(out, text);
    fputs("</figcaption>", out);
    open_svg(out, "curves");
    vertical_axis(out, &y, r->column[r->main].name);
    for (int i = 0; i < axis->points; i++) {
        const double there = pixel(&x, axis->point[c->order[i]].number);
        if (there - last < TICK_GAP) continue;
        tick(out, there, axis->point[c->order[i]].label);
        last = there;
    }
    snprintf(text, sizeof text, "%s%s", axis->name, x.logarithmic ? " (logarithmic)" : "");
    horizontal_title(out, text);
    memcpy(place, at, sizeof place);
    do {
        line(c, place, number++, &x, &y, out);
    } while (rmp_sweep_next_place(sweep, c->others, place) && number < RMP_SWEEP_LINES);
    fputs("</svg><p class=\"legend\">", out);
    memcpy(place, at, sizeof place);
    for (int i = 0; i < number && c->others != 0; i++) {
        rmp_sweep_place_text(sweep, place, c->others, text, sizeof text);
        legend(out, i, text);
        (void)rmp_sweep_next_place(sweep, c->others, place);
    }
    fputs("</p></figure>", out);
}

static void sort_places(const rmp_sweep_axis *axis, int *order)
{
    for (int i = 0; i < axis->points; i++) {
        int at = i;
        for (; at > 0 && axis->point[order[at - 1]].number > axis->point[i].number; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

static void charts_of_axis(const rmp_sweep_results *r, int axis, FILE *out)
{
    const rmp_sweep *sweep = r->sweep;
    const unsigned all = (1u << sweep->axes) - 1, mine = 1u << axis;
    chart c = {.results = r, .axis = axis, .problem = rmp_sweep_problem_axes(sweep) & ~mine};
    c.others = all & ~mine & ~c.problem;
    c.order = calloc((size_t)sweep->axis[axis].points, sizeof *c.order);
    if (c.order == NULL) return;
    sort_places(&sweep->axis[axis], c.order);
    int place[RMP_SWEEP_AXES] = {0}, charts = 0, lines = 1;
    for (int a = 0; a < sweep->axes; a++)
        lines *= (c.others >> a & 1u) != 0 && lines <= RMP_SWEEP_LINES ? sweep->axis[a].points : 1;
    fputs("<h3>", out);
    rmp_text_html(out, sweep->axis[axis].name);
    fputs("</h3><div class=\"panels\">", out);
    do {
        draw_chart(&c, place, out);
    } while (rmp_sweep_next_place(sweep, c.problem, place) && ++charts < RMP_SWEEP_CHARTS);
    fputs("</div>", out);
    if (lines > RMP_SWEEP_LINES) fprintf(out, "<p class=\"small soft\">The first %d lines.</p>", RMP_SWEEP_LINES);
    free(c.order);
}

/* ---- against the cost ---- */

static bool has_both(const rmp_sweep_results *r, int64_t cell)
{
    return isfinite(r->row[cell].value[r->main]) && r->row[cell].value[r->cost] > 0;
}

typedef struct offer {
    double value, cost; /* larger values are better */
    int64_t cell;
} offer;

static int compare_offers(const void *a, const void *b)
{
    const offer *x = a, *y = b;
    if (x->cost < y->cost || x->cost > y->cost) return x->cost < y->cost ? -1 : 1;
    if (x->value < y->value || x->value > y->value) return x->value > y->value ? -1 : 1;
    return x->cell < y->cell ? -1 : 1;
}

/* From the cheapest cell on, each that is better than all cheaper ones. */
static void front(const rmp_sweep_results *r, int group, const scale *x, const scale *y, FILE *out)
{
    const int better = r->column[r->main].better;
    offer *offers = calloc((size_t)r->cells, sizeof *offers);
    size_t count = 0;
    double best = -INFINITY;
    if (offers == NULL) return;
    for (int64_t i = 0; i < r->cells; i++) {
        const rmp_sweep_row *row = &r->row[i];
        if (row->group != group || !row->comparable || !has_both(r, i)) continue;
        offers[count++] = (offer){better * row->value[r->main], row->value[r->cost], i};
    }
    qsort(offers, count, sizeof *offers, compare_offers);
    fputs("<polyline class=\"front\" points=\"", out);
    for (size_t i = 0; i < count; i++) {
        if (!(offers[i].value > best)) continue;
        best = offers[i].value;
        fprintf(out, "%.1f,%.1f ", pixel(x, offers[i].cost), pixel(y, r->row[offers[i].cell].value[r->main]));
    }
    fputs("\"/>", out);
    free(offers);
}

/* The axis whose places have colours: the first named one that says how, else the first that says how. */
static int coloured_axis(const rmp_sweep *sweep)
{
    int found = -1;
    for (int a = 0; a < sweep->axes; a++) {
        if (sweep->axis[a].problem) continue;
        if (sweep->axis[a].named) return a;
        if (found < 0) found = a;
    }
    return found;
}

static void cost_ticks(FILE *out, const scale *x)
{
    static const double steps[] = {1, 2, 5};
    char text[32];
    double last = -INFINITY;
    if (!x->logarithmic) {
        const double step = nice_step(x->high - x->low, 6);
        const int64_t first = (int64_t)ceil(x->low / step), end = (int64_t)floor(x->high / step);
        for (int64_t k = first; k <= end; k++) {
            snprintf(text, sizeof text, "%.6g", (double)k * step);
            tick(out, pixel(x, (double)k * step), text);
        }
        return;
    }
    const int first = (int)floor(log10(x->low)), end = (int)floor(log10(x->high));
    for (int power = first; power <= end; power++) {
        for (int i = 0; i < 3; i++) {
            const double value = pow(10, power) * steps[i];
            if (value < x->low || value > x->high || pixel(x, value) - last < TICK_GAP) continue;
            last = pixel(x, value);
            snprintf(text, sizeof text, "%.6g", value);
            tick(out, last, text);
        }
    }
}

static void cost_chart(const rmp_sweep_results *r, int group, int axis, FILE *out)
{
    double low = INFINITY, high = -INFINITY, cheap = INFINITY, dear = 0;
    char text[256];
    for (int64_t i = 0; i < r->cells; i++) {
        if (r->row[i].group != group || !has_both(r, i)) continue;
        low = fmin(low, r->row[i].value[r->main]);
        high = fmax(high, r->row[i].value[r->main]);
        cheap = fmin(cheap, r->row[i].value[r->cost]);
        dear = fmax(dear, r->row[i].value[r->cost]);
    }
    if (!(low <= high)) return;
    const scale y = vertical_scale(low, high);
    const scale x = {0.9 * cheap, 1.1 * dear, LEFT + 8, WIDTH - RIGHT - 8, dear >= 8 * cheap};
    fputs("<figure><figcaption>", out);
    rmp_sweep_group_text(r, group, text, sizeof text);
    rmp_text_html(out, text);
    fputs("</figcaption>", out);
    open_svg(out, "front");
    vertical_axis(out, &y, r->column[r->main].name);
    cost_ticks(out, &x);
    horizontal_title(out, x.logarithmic ? "network evaluations and gradients an item (logarithmic)"
                                        : "network evaluations and gradients an item");
    front(r, group, &x, &y, out);
    int points = 0;
    for (int64_t i = 0; i < r->cells && points < MAX_POINTS; i++) {
        if (r->row[i].group != group || !has_both(r, i)) continue;
        points++;
        const int number = axis < 0 ? 0 : r->row[i].place[axis];
        point(r, i, pixel(&x, r->row[i].value[r->cost]), pixel(&y, r->row[i].value[r->main]), rmp_sweep_colour(number),
              out);
    }
    fputs("</svg><p class=\"legend\">", out);
    for (int i = 0; axis >= 0 && i < r->sweep->axis[axis].points && i < RMP_SWEEP_LINES; i++) {
        int place[RMP_SWEEP_AXES] = {0};
        place[axis] = i;
        rmp_sweep_place_text(r->sweep, place, 1u << axis, text, sizeof text);
        legend(out, i, text);
    }
    fputs("</p></figure>", out);
}

void rmp_sweep_curves(const rmp_sweep_results *results, FILE *out)
{
    const rmp_sweep *sweep = results->sweep;
    bool begun = false;
    for (int a = 0; a < sweep->axes; a++) {
        if (!sweep->axis[a].numeric || sweep->axis[a].points < 2) continue;
        if (!begun) fputs("<section><h2>Curves</h2>", out);
        begun = true;
        charts_of_axis(results, a, out);
    }
    if (begun) fputs("</section>", out);
    if (results->cost < 0) return;
    fputs(
        "<section><h2>What it costs</h2><p class=\"soft\">One point a cell. The dashed line joins the cells that none "
        "beats in both.</p><div class=\"panels\">",
        out);
    for (int g = 0; g < results->groups && g < RMP_SWEEP_CHARTS; g++)
        cost_chart(results, g, coloured_axis(sweep), out);
    fputs("</div></section>", out);
}
