#include "jobs/report_page.h"

#include <math.h>

enum { WIDTH = 640, HEIGHT = 240, LEFT = 44, RIGHT = 14, TOP = 28, BOTTOM = 40 };

/* 1, 2 or 5 times a power of ten, so that about `parts` of them make `range`. */
static double nice_step(double range, int parts)
{
    double rough = range / parts, power = pow(10, floor(log10(rough)));
    double digit = rough / power;
    return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

static double x_of(const rmp_summary *s, double value)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (value - s->chart_low) / (s->chart_high - s->chart_low);
}

static double y_of(double count, double top) { return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * count / top; }

static void vertical(FILE *out, const char *class, double x)
{
    fprintf(out, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", class, x, x, TOP, HEIGHT - BOTTOM);
}

static void axes(const rmp_summary *s, double top, double step, FILE *out)
{
    for (int i = 0; i * step <= top + step / 2; i++) {
        double count = i * step, y = y_of(count, top);
        fprintf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, WIDTH - RIGHT, y, y);
        fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.0f</text>", LEFT - 6, y + 4, count);
    }
    double tick = nice_step(s->chart_high - s->chart_low, 6);
    int digits = tick >= 1 ? 0 : (int)ceil(-log10(tick));
    int64_t last = (int64_t)floor(s->chart_high / tick);
    for (int64_t i = (int64_t)ceil(s->chart_low / tick); i <= last; i++)
        fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.*f</text>", x_of(s, (double)i * tick),
                HEIGHT - BOTTOM + 16, digits, (double)i * tick);
    fprintf(out, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM,
            HEIGHT - BOTTOM);
}

void rmp_report_histogram(const rmp_summary *s, FILE *out)
{
    static const char *const title[RMP_FIGURES] = {
        [RMP_FIGURE_GAIN] = "PSNR gain, dB",
        [RMP_FIGURE_DISTANCE] = "relative distance to the truth",
        [RMP_FIGURE_DISTANCE_MEAN] = "relative distance to the exact posterior mean",
        [RMP_FIGURE_RESIDUAL] = "residual",
    };
    int64_t most = 1;
    for (int i = 0; i < RMP_HISTOGRAM_BINS; i++)
        if (s->chart[i] > most) most = s->chart[i];
    double step = fmax(1, nice_step((double)most, 4)), top = ceil((double)most / step) * step;
    fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Histogram: %s\">", WIDTH, HEIGHT,
            title[s->charted]);
    axes(s, top, step, out);
    double width = (s->chart_high - s->chart_low) / RMP_HISTOGRAM_BINS;
    for (int i = 0; i < RMP_HISTOGRAM_BINS; i++) {
        if (s->chart[i] == 0) continue;
        double low = s->chart_low + width * i, y = y_of((double)s->chart[i], top);
        fprintf(out,
                "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>%.4g to %.4g: "
                "%lld</title></rect>",
                x_of(s, low) + 0.5, y, x_of(s, low + width) - x_of(s, low) - 1, HEIGHT - BOTTOM - y, low, low + width,
                (long long)s->chart[i]);
    }
    if (s->chart_low < 0 && s->chart_high > 0) vertical(out, "axis", x_of(s, 0));
    double median = s->figure[s->charted].median, x = x_of(s, median);
    fprintf(out, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x, x, TOP - 18, HEIGHT - BOTTOM);
    bool left = x > WIDTH * 0.75;
    fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">median %.4g</text>", x + (left ? -6 : 6), TOP - 8,
            left ? "end" : "start", median);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text></svg>", (WIDTH + LEFT - RIGHT) / 2,
            HEIGHT - 6, title[s->charted]);
}
