/* The same items as the cells of a sweep restored them, side by side. */
#include "jobs/remaker.h"
#include "jobs/report_page.h"
#include "jobs/sweep_page.h"
#include "jobs/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 3, SIDE = 160, PIXELATED = 120 };

typedef struct shown { /* an item of a cell */
    int64_t item;
    char *id;
    double value; /* its main figure is not known here: PSNR, NaN if there is none */
    rmp_pictures pictures;
} shown;

typedef struct strip { /* of one cell */
    int64_t cell;
    int items;
    shown one[ITEMS];
} strip;

typedef struct visit {
    const rmp_finder *finder;
    const int64_t *wanted; /* (ITEMS) numbers of items; NULL: the first ones that have a picture */
    strip *strip;
} visit;

static rmp_status take(void *context, const rmp_item *item, const rmp_row *row)
{
    visit *v = context;
    strip *s = v->strip;
    if (s->items == ITEMS || row->failed || row->output == NULL) return RMP_OK;
    bool wanted = v->wanted == NULL;
    for (int i = 0; !wanted && i < ITEMS; i++)
        wanted = v->wanted[i] == item->index;
    if (!wanted) return RMP_OK;
    shown *one = &s->one[s->items];
    *one = (shown){.item = item->index, .value = row->psnr};
    RMP_TRY(rmp_pictures_load(v->finder, item, row, SIDE, &one->pictures));
    s->items++;
    one->id = strdup(item->id);
    RMP_CHECK(one->id != NULL, RMP_ERR_MEMORY, "no memory for a report");
    return RMP_OK;
}

/* The pictures of a cell; measurements are made again only for the first cell of a group. */
static rmp_status load(const rmp_sweep_results *r, int64_t cell, bool first, const int64_t *wanted, strip *out)
{
    rmp_remaker remaker = {.dir = r->row[cell].dir};
    const rmp_finder finder = {r->row[cell].dir, first ? rmp_remaker_measure : NULL, &remaker};
    visit v = {&finder, wanted, out};
    rmp_journal *journal = NULL;
    *out = (strip){.cell = cell};
    RMP_TRY(rmp_journal_open_readonly(r->row[cell].dir, &journal));
    rmp_status status = rmp_journal_visit(journal, take, &v);
    rmp_journal_close(&journal);
    rmp_remaker_close(&remaker);
    return status;
}

static const shown *find(const strip *s, int64_t item)
{
    for (int i = 0; i < s->items; i++) {
        if (s->one[i].item == item) return &s->one[i];
    }
    return NULL;
}

static rmp_status figure(const rmp_image *picture, const char *caption, const char *more, FILE *out)
{
    fputs("<figure>", out);
    if (picture != NULL && picture->values != NULL) {
        void *bytes = NULL;
        size_t size = 0;
        RMP_TRY(rmp_image_encode(picture, RMP_PNG8, &bytes, &size));
        fprintf(out, "<img%s alt=\"", picture->shape.w < PIXELATED ? " class=\"pixels\"" : "");
        rmp_text_html(out, caption);
        fputs("\" src=\"data:image/png;base64,", out);
        rmp_text_base64(out, bytes, size);
        fputs("\">", out);
        free(bytes);
    } else {
        fputs("<div class=\"none\"></div>", out);
    }
    fputs("<figcaption>", out);
    rmp_text_html(out, caption);
    fprintf(out, "%s</figcaption></figure>", more);
    return RMP_OK;
}

static rmp_status item_strip(const rmp_sweep_results *r, const strip *strips, int count, int64_t item, FILE *out)
{
    int group = -1;
    bool titled = false;
    for (int i = 0; i < count; i++) {
        char text[256], more[64] = "";
        const strip *s = &strips[i];
        const rmp_sweep_row *row = &r->row[s->cell];
        const shown *one = find(s, item);
        if (one != NULL && !titled) {
            fputs("<h3>", out);
            rmp_text_html(out, one->id);
            fputs("</h3><div class=\"strip\">", out);
            titled = true;
            RMP_TRY(figure(&one->pictures.original, "original", "", out));
        }
        if (one == NULL) continue;
        if (row->group != group) {
            group = row->group;
            rmp_sweep_group_text(r, group, text, sizeof text);
            char caption[300];
            snprintf(caption, sizeof caption, "measurement%s%s", text[0] != '\0' ? ": " : "", text);
            RMP_TRY(figure(&one->pictures.measurement, caption, "", out));
        }
        rmp_sweep_place_text(r->sweep, row->place, ~0u, text, sizeof text);
        if (isfinite(one->value)) snprintf(more, sizeof more, " &middot; %.2f dB", one->value);
        RMP_TRY(figure(&one->pictures.restored, text, more, out));
    }
    if (titled) fputs("</div>", out);
    return RMP_OK;
}

/* Cells that have results, evenly chosen, those of a group together. */
static int choose(const rmp_sweep_results *r, int64_t chosen[RMP_SWEEP_PICTURES])
{
    int64_t with = 0, seen = 0;
    int count = 0;
    for (int64_t i = 0; i < r->cells; i++)
        with += r->row[i].counts.done > r->row[i].counts.failed;
    const int64_t most = with < RMP_SWEEP_PICTURES ? with : RMP_SWEEP_PICTURES;
    for (int g = 0; g < r->groups; g++) {
        for (int64_t i = 0; i < r->cells && most > 0; i++) {
            const rmp_sweep_row *row = &r->row[i];
            if (row->group != g || row->counts.done <= row->counts.failed) continue;
            const int64_t before = seen++ * most / with;
            if (seen * most / with > before && count < RMP_SWEEP_PICTURES) chosen[count++] = i;
        }
    }
    return count;
}

static void strip_free(strip *s)
{
    for (int i = 0; i < s->items; i++) {
        free(s->one[i].id);
        rmp_pictures_free(&s->one[i].pictures);
    }
    s->items = 0;
}

static rmp_status load_all(const rmp_sweep_results *r, const int64_t *chosen, int count, strip *strips, int64_t *items)
{
    int group = -1;
    for (int i = 0; i < ITEMS; i++)
        items[i] = -1;
    for (int i = 0; i < count; i++) {
        const bool first = r->row[chosen[i]].group != group;
        group = r->row[chosen[i]].group;
        RMP_TRY(load(r, chosen[i], first, i > 0 ? items : NULL, &strips[i]));
        for (int k = 0; i == 0 && k < strips[0].items; k++)
            items[k] = strips[0].one[k].item;
    }
    return RMP_OK;
}

rmp_status rmp_sweep_pictures(const rmp_sweep_results *results, FILE *out)
{
    int64_t chosen[RMP_SWEEP_PICTURES], items[ITEMS];
    const int count = choose(results, chosen);
    if (count == 0) return RMP_OK;
    strip *strips = calloc((size_t)count, sizeof *strips);
    RMP_CHECK(strips != NULL, RMP_ERR_MEMORY, "no memory for a report");
    rmp_status status = load_all(results, chosen, count, strips, items);
    if (status == RMP_OK && items[0] >= 0) {
        fputs("<section><h2>Pictures</h2>", out);
        if (count < results->cells) fprintf(out, "<p class=\"soft\">%d of the cells.</p>", count);
        for (int i = 0; i < ITEMS && status == RMP_OK; i++) {
            if (items[i] >= 0) status = item_strip(results, strips, count, items[i], out);
        }
        fputs("</section>", out);
    }
    for (int i = 0; i < count; i++)
        strip_free(&strips[i]);
    free(strips);
    return status;
}
