#include "jobs/message.h"

#include <stdlib.h>
#include <string.h>

typedef struct writer {
    char *bytes;
    size_t size, capacity;
    bool failed;
} writer;

typedef struct reader {
    const char *bytes;
    size_t size, at;
    bool failed; /* sticky: values read after a failure are zero */
} reader;

static void put(writer *w, const void *data, size_t size)
{
    if (w->failed || size == 0) return;
    if (w->capacity - w->size < size) {
        size_t capacity = 2 * w->capacity + size + 256;
        char *grown = realloc(w->bytes, capacity);
        if (grown == NULL) {
            w->failed = true;
            return;
        }
        w->bytes = grown;
        w->capacity = capacity;
    }
    memcpy(w->bytes + w->size, data, size);
    w->size += size;
}

static void put_integer(writer *w, int64_t value) { put(w, &value, sizeof value); }

static void put_number(writer *w, double value) { put(w, &value, sizeof value); }

static void put_bytes(writer *w, const void *data, size_t size)
{
    put_integer(w, data != NULL ? (int64_t)size : -1);
    if (data != NULL) put(w, data, size);
}

static void put_text(writer *w, const char *text) { put_bytes(w, text, text != NULL ? strlen(text) : 0); }

static void get(reader *r, void *data, size_t size)
{
    memset(data, 0, size);
    if (r->failed || r->size - r->at < size) {
        r->failed = true;
        return;
    }
    memcpy(data, r->bytes + r->at, size);
    r->at += size;
}

static int64_t get_integer(reader *r)
{
    int64_t value;
    get(r, &value, sizeof value);
    return value;
}

static double get_number(reader *r)
{
    double value;
    get(r, &value, sizeof value);
    return value;
}

/* NULL for a NULL that was put; one zero byte more than the size otherwise. */
static void *get_bytes(reader *r, size_t *size)
{
    int64_t length = get_integer(r);
    *size = 0;
    if (r->failed || length < 0) return NULL;
    if ((uint64_t)length > r->size - r->at) {
        r->failed = true;
        return NULL;
    }
    char *data = malloc((size_t)length + 1);
    if (data == NULL) {
        r->failed = true;
        return NULL;
    }
    memcpy(data, r->bytes + r->at, (size_t)length);
    data[length] = '\0';
    r->at += (size_t)length;
    *size = (size_t)length;
    return data;
}

static char *get_text(reader *r)
{
    size_t size;
    return get_bytes(r, &size);
}

/* A count of things that take at least `least` bytes each: a damaged one cannot ask for more memory than the message.
 */
static int64_t get_count(reader *r, size_t least)
{
    int64_t count = get_integer(r);
    if (count < 0 || (uint64_t)count > (r->size - r->at) / least) r->failed = true;
    return r->failed ? 0 : count;
}

static rmp_status finish_writing(writer *w, void **bytes, size_t *size)
{
    if (w->failed) free(w->bytes);
    RMP_CHECK(!w->failed, RMP_ERR_MEMORY, "no memory to pack a chunk");
    *bytes = w->bytes;
    *size = w->size;
    return RMP_OK;
}

static rmp_status finish_reading(const reader *r)
{
    RMP_CHECK(!r->failed && r->at == r->size, RMP_ERR_INTERNAL, "a chunk of %zu bytes cannot be unpacked", r->size);
    return RMP_OK;
}

rmp_status rmp_result_create(int64_t count, int64_t files, rmp_result *out)
{
    memset(out, 0, sizeof *out);
    out->row = calloc((size_t)count + 1, sizeof *out->row);
    out->file = calloc((size_t)files + 1, sizeof *out->file);
    if (out->row == NULL || out->file == NULL) {
        free(out->row);
        free(out->file);
        memset(out, 0, sizeof *out);
        return RMP_FAIL(RMP_ERR_MEMORY, "no memory for the results of a chunk");
    }
    out->count = count;
    out->files = files;
    return RMP_OK;
}

void rmp_result_free(rmp_result *result)
{
    for (int64_t i = 0; i < result->count; i++) {
        free((void *)(uintptr_t)result->row[i].tensor);
        free((void *)(uintptr_t)result->row[i].tensor_std);
        free((void *)(uintptr_t)result->row[i].features);
        free((void *)(uintptr_t)result->row[i].truth_features);
        result->row[i].tensor = result->row[i].tensor_std = result->row[i].features = result->row[i].truth_features =
            NULL;
        rmp_row_free(&result->row[i]);
    }
    for (int64_t i = 0; i < result->files; i++) {
        free(result->file[i].name);
        free(result->file[i].bytes);
    }
    free(result->row);
    free(result->file);
    memset(result, 0, sizeof *result);
}

static void put_row(writer *w, const rmp_row *row)
{
    put_integer(w, row->item);
    put_integer(w, row->failed);
    put_text(w, row->reason);
    put_text(w, row->output);
    put_integer(w, row->height);
    put_integer(w, row->width);
    put_integer(w, row->channels);
    put_number(w, row->psnr);
    put_number(w, row->ssim);
    put_number(w, row->psnr_8bit);
    put_number(w, row->ssim_8bit);
    put_number(w, row->psnr_input);
    put_number(w, row->ssim_input);
    put_number(w, row->lpips);
    put_number(w, row->lpips_input);
    put_integer(w, row->lpips_network);
    put_number(w, row->residual);
    put_number(w, row->distance);
    put_number(w, row->distance_mean);
    put_number(w, row->std);
    put_number(w, row->coverage);
    put_integer(w, row->evaluations);
    put_integer(w, row->vjps);
    put_integer(w, row->cg_iterations);
    put_integer(w, row->std_evaluations);
    put_bytes(w, row->tensor, (size_t)row->tensor_length * sizeof(float));
    put_bytes(w, row->tensor_std, (size_t)row->tensor_length * sizeof(float));
    put_bytes(w, row->features, (size_t)row->feature_length * sizeof(float));
    put_bytes(w, row->truth_features, (size_t)row->feature_length * sizeof(float));
    put_number(w, row->seconds);
    put_number(w, row->started);
    put_integer(w, row->rank);
    put_text(w, row->host);
}

static void get_row(reader *r, rmp_row *row)
{
    size_t size, std_size, truth_size;
    row->item = get_integer(r);
    row->failed = get_integer(r) != 0;
    row->reason = get_text(r);
    row->output = get_text(r);
    row->height = get_integer(r);
    row->width = get_integer(r);
    row->channels = get_integer(r);
    row->psnr = get_number(r);
    row->ssim = get_number(r);
    row->psnr_8bit = get_number(r);
    row->ssim_8bit = get_number(r);
    row->psnr_input = get_number(r);
    row->ssim_input = get_number(r);
    row->lpips = get_number(r);
    row->lpips_input = get_number(r);
    row->lpips_network = (int)get_integer(r);
    row->residual = get_number(r);
    row->distance = get_number(r);
    row->distance_mean = get_number(r);
    row->std = get_number(r);
    row->coverage = get_number(r);
    row->evaluations = get_integer(r);
    row->vjps = get_integer(r);
    row->cg_iterations = get_integer(r);
    row->std_evaluations = get_integer(r);
    row->tensor = get_bytes(r, &size);
    row->tensor_std = get_bytes(r, &std_size);
    row->tensor_length = (int64_t)(size / sizeof(float));
    if (row->tensor_std != NULL && std_size != size) r->failed = true;
    row->features = get_bytes(r, &size);
    row->truth_features = get_bytes(r, &truth_size);
    row->feature_length = (int64_t)(size / sizeof(float));
    if (row->truth_features != NULL && truth_size != size) r->failed = true;
    row->seconds = get_number(r);
    row->started = get_number(r);
    row->rank = (int)get_integer(r);
    row->host = get_text(r);
}

rmp_status rmp_result_pack(const rmp_result *result, void **bytes, size_t *size)
{
    writer w = {NULL, 0, 0, false};
    put_integer(&w, result->interrupted);
    put_integer(&w, result->cell);
    put_integer(&w, result->count);
    put_integer(&w, result->files);
    for (int64_t i = 0; i < result->count; i++)
        put_row(&w, &result->row[i]);
    for (int64_t i = 0; i < result->files; i++) {
        put_text(&w, result->file[i].name);
        put_bytes(&w, result->file[i].bytes, result->file[i].size);
    }
    return finish_writing(&w, bytes, size);
}

rmp_status rmp_result_unpack(const void *bytes, size_t size, rmp_result *out)
{
    reader r = {bytes, size, 0, false};
    bool interrupted = get_integer(&r) != 0;
    int64_t cell = get_integer(&r);
    int64_t count = get_count(&r, 8), files = get_count(&r, 8);
    RMP_TRY(rmp_result_create(count, files, out));
    out->interrupted = interrupted;
    out->cell = cell;
    for (int64_t i = 0; i < count; i++)
        get_row(&r, &out->row[i]);
    for (int64_t i = 0; i < files; i++) {
        out->file[i].name = get_text(&r);
        out->file[i].bytes = get_bytes(&r, &out->file[i].size);
        if (out->file[i].name == NULL || out->file[i].bytes == NULL) r.failed = true;
    }
    rmp_status status = finish_reading(&r);
    if (status != RMP_OK) rmp_result_free(out);
    return status;
}

rmp_status rmp_items_pack(const rmp_item items[], int64_t count, int64_t cell, void **bytes, size_t *size)
{
    writer w = {NULL, 0, 0, false};
    put_integer(&w, cell);
    put_integer(&w, count);
    for (int64_t i = 0; i < count; i++) {
        put_integer(&w, items[i].index);
        put_text(&w, items[i].id);
        put_text(&w, items[i].image);
        put_text(&w, items[i].measurement);
        put_text(&w, items[i].mask);
    }
    return finish_writing(&w, bytes, size);
}

rmp_status rmp_items_unpack(const void *bytes, size_t size, rmp_item **items, int64_t *count, int64_t *cell)
{
    reader r = {bytes, size, 0, false};
    *cell = get_integer(&r);
    int64_t n = get_count(&r, 8);
    *items = calloc((size_t)n + 1, sizeof **items);
    RMP_CHECK(*items != NULL, RMP_ERR_MEMORY, "no memory for a chunk");
    *count = n;
    for (int64_t i = 0; i < n; i++) {
        rmp_item *item = &(*items)[i];
        item->index = get_integer(&r);
        item->id = get_text(&r);
        item->image = get_text(&r);
        item->measurement = get_text(&r);
        item->mask = get_text(&r);
        if (item->id == NULL) r.failed = true;
    }
    rmp_status status = finish_reading(&r);
    if (status != RMP_OK) {
        rmp_items_free(*items, n);
        *items = NULL;
    }
    return status;
}

void rmp_items_free(rmp_item *items, int64_t count)
{
    if (items == NULL) return;
    for (int64_t i = 0; i < count; i++)
        rmp_item_free(&items[i]);
    free(items);
}
