#include "io/file.h"
#include "io/journal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct csv { /* the first failure is kept, so that cells need no check each */
    rmp_file_writer *writer;
    rmp_status status;
    bool first; /* cell of its row */
    size_t used;
    char buffer[32 * 1024]; /* cells are short, writes should not be */
} csv;

static void flush(csv *out)
{
    if (out->status == RMP_OK && out->used > 0)
        out->status = rmp_file_writer_append(out->writer, out->buffer, out->used);
    out->used = 0;
}

static void append(csv *out, const char *bytes, size_t size)
{
    while (size > 0) {
        size_t room = sizeof out->buffer - out->used;
        size_t part = size < room ? size : room;
        memcpy(out->buffer + out->used, bytes, part);
        out->used += part;
        bytes += part;
        size -= part;
        if (out->used == sizeof out->buffer) flush(out);
    }
}

static void separate(csv *out)
{
    if (!out->first) append(out, ",", 1);
    out->first = false;
}

/* Quoted if it holds a comma, a quote or a line break (RFC 4180). */
static void text_cell(csv *out, const char *text)
{
    separate(out);
    if (!text) return;
    if (!strpbrk(text, ",\"\r\n")) {
        append(out, text, strlen(text));
        return;
    }
    append(out, "\"", 1);
    for (const char *p = text; *p;) {
        size_t plain = strcspn(p, "\"");
        append(out, p, plain);
        if (p[plain] == '"') append(out, "\"\"", 2);
        p += plain + (p[plain] == '"');
    }
    append(out, "\"", 1);
}

static void real_cell(csv *out, double value, bool fixed)
{
    char text[384]; /* 1e308 with six decimals */
    separate(out);
    if (isnan(value)) return;
    int length = snprintf(text, sizeof text, fixed ? "%.6f" : "%.9g", value);
    append(out, text, (size_t)length);
}

static void integer_cell(csv *out, int64_t value)
{
    char text[32];
    separate(out);
    append(out, text, (size_t)snprintf(text, sizeof text, "%" PRId64, value));
}

static rmp_status end_row(csv *out)
{
    append(out, "\n", 1);
    out->first = true;
    return out->status;
}

static rmp_status metrics_row(void *context, const rmp_item *item, const rmp_row *row)
{
    csv *out = context;
    text_cell(out, item->id);
    text_cell(out, row->failed ? "failed" : "ok");
    text_cell(out, row->reason);
    const double scores[] = {row->psnr,       row->ssim,       row->psnr_8bit, row->ssim_8bit,
                             row->psnr_input, row->ssim_input, row->lpips,     row->lpips_input};
    for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++)
        real_cell(out, scores[i], true);
    real_cell(out, row->residual, false);
    real_cell(out, row->distance, false);
    real_cell(out, row->distance_mean, false);
    real_cell(out, row->std, false);
    real_cell(out, row->coverage, true);
    integer_cell(out, row->evaluations);
    integer_cell(out, row->vjps);
    integer_cell(out, row->cg_iterations);
    integer_cell(out, row->std_evaluations);
    integer_cell(out, row->height);
    integer_cell(out, row->width);
    return end_row(out);
}

static rmp_status timings_row(void *context, const rmp_item *item, const rmp_row *row)
{
    csv *out = context;
    text_cell(out, item->id);
    real_cell(out, row->seconds, true);
    integer_cell(out, row->rank);
    text_cell(out, row->host);
    real_cell(out, row->started, true);
    return end_row(out);
}

static rmp_status export_table(rmp_journal *journal, const char *dir, const char *name, const char *header,
                               rmp_status (*row)(void *context, const rmp_item *item, const rmp_row *row))
{
    csv out = {.first = true};
    RMP_TRY(rmp_file_writer_open(dir, name, &out.writer));
    append(&out, header, strlen(header));
    rmp_status status = rmp_journal_visit(journal, row, &out);
    flush(&out);
    if (status == RMP_OK) status = out.status;
    if (status == RMP_OK) return rmp_file_writer_commit(&out.writer);
    rmp_file_writer_abort(&out.writer);
    return status;
}

rmp_status rmp_journal_export(rmp_journal *journal, const char *dir)
{
    RMP_TRY(export_table(journal, dir, "metrics.csv",
                         "id,status,reason,psnr,ssim,psnr_8bit,ssim_8bit,psnr_input,ssim_input,lpips,lpips_input,"
                         "residual,distance,distance_mean,std,coverage,evaluations,vjps,cg_iterations,"
                         "std_evaluations,height,width\n",
                         metrics_row));
    return export_table(journal, dir, "timings.csv", "id,seconds,rank,host,started\n", timings_row);
}
