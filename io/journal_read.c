#include "io/journal.h"
#include "io/journal_db.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What read_row expects, in this order. */
#define ROW_COLUMNS                                                                                                    \
    "items.item, items.id, items.image, items.measurement, items.mask, failed, reason, output, results.height,"        \
    " results.width, channels, psnr, ssim, psnr_8bit, ssim_8bit, psnr_input, ssim_input, lpips, lpips_input,"          \
    " residual, distance, distance_mean, results.std, coverage, evaluations, vjps, cg_iterations, std_evaluations, "   \
    "seconds, "                                                                                                        \
    "started, rank, host, lpips_network, tensors.data, tensors.std"
#define ROW_TABLES                                                                                                     \
    " FROM results JOIN items ON items.item = results.item LEFT JOIN tensors ON tensors.item = results.item "

/* Larger is better, whatever the job could measure. */
#define GAIN "COALESCE(psnr - psnr_input, psnr, -distance_mean, -distance, -residual)"

static rmp_status copy_text(sqlite3_stmt *statement, int column, char **out)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    *out = NULL;
    if (!text) return RMP_OK;
    *out = strdup(text);
    RMP_CHECK(*out, RMP_ERR_MEMORY, "no memory for an item");
    return RMP_OK;
}

rmp_status rmp_journal_read_item(sqlite3_stmt *statement, rmp_item *out)
{
    *out = (rmp_item){.index = sqlite3_column_int64(statement, 0)};
    rmp_status status = copy_text(statement, 1, &out->id);
    if (status == RMP_OK) status = copy_text(statement, 2, &out->image);
    if (status == RMP_OK) status = copy_text(statement, 3, &out->measurement);
    if (status == RMP_OK) status = copy_text(statement, 4, &out->mask);
    if (status != RMP_OK) rmp_item_free(out);
    return status;
}

void rmp_row_free(rmp_row *row)
{
    if (!row) return;
    free(row->reason);
    free(row->output);
    free(row->host);
    row->reason = row->output = row->host = NULL;
}

static double real_column(sqlite3_stmt *statement, int column)
{
    return sqlite3_column_type(statement, column) == SQLITE_NULL ? NAN : sqlite3_column_double(statement, column);
}

/* Copies of blobs, which SQLite does not align; reused from row to row. */
typedef struct blob_copy {
    float *values;
    size_t capacity;
} blob_copy;

/* *values is NULL for a blob that is not there. */
static rmp_status copy_blob(sqlite3_stmt *statement, int column, blob_copy *copy, const float **values, size_t *size)
{
    const void *blob = sqlite3_column_blob(statement, column);
    *size = (size_t)sqlite3_column_bytes(statement, column);
    *values = NULL;
    if (!blob) return RMP_OK;
    if (*size > copy->capacity) {
        float *larger = realloc(copy->values, *size);
        RMP_CHECK(larger, RMP_ERR_MEMORY, "no memory for a restored tensor");
        copy->values = larger;
        copy->capacity = *size;
    }
    memcpy(copy->values, blob, *size);
    *values = copy->values;
    return RMP_OK;
}

static rmp_status read_row(const rmp_journal *journal, sqlite3_stmt *statement, rmp_row *row, blob_copy copy[2])
{
    int at = 5;
    *row = (rmp_row){.item = sqlite3_column_int64(statement, 0)};
    row->failed = sqlite3_column_int(statement, at++) != 0;
    RMP_TRY(copy_text(statement, at++, &row->reason));
    RMP_TRY(copy_text(statement, at++, &row->output));
    int64_t *const sizes[] = {&row->height, &row->width, &row->channels};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        *sizes[i] = sqlite3_column_int64(statement, at++);
    double *const reals[] = {&row->psnr,          &row->ssim,  &row->psnr_8bit,   &row->ssim_8bit, &row->psnr_input,
                             &row->ssim_input,    &row->lpips, &row->lpips_input, &row->residual,  &row->distance,
                             &row->distance_mean, &row->std,   &row->coverage};
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++)
        *reals[i] = real_column(statement, at++);
    int64_t *const counts[] = {&row->evaluations, &row->vjps, &row->cg_iterations, &row->std_evaluations};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        *counts[i] = sqlite3_column_int64(statement, at++);
    row->seconds = real_column(statement, at++);
    row->started = real_column(statement, at++);
    row->rank = sqlite3_column_int(statement, at++);
    RMP_TRY(copy_text(statement, at++, &row->host));
    row->lpips_network = sqlite3_column_int(statement, at++);
    size_t size, std_size;
    RMP_TRY(copy_blob(statement, at, &copy[0], &row->tensor, &size));
    RMP_TRY(copy_blob(statement, at + 1, &copy[1], &row->tensor_std, &std_size));
    RMP_CHECK(!row->tensor_std || std_size == size, RMP_ERR_FORMAT,
              "%s: item %lld has %zu bytes of deviations, not %zu", journal->path, (long long)row->item, std_size,
              size);
    row->tensor_length = row->tensor ? (int64_t)(size / sizeof(float)) : 0;
    return RMP_OK;
}

typedef rmp_status (*row_visitor)(void *context, const rmp_item *item, const rmp_row *row);

/* Calls `visit` for each row of a query that begins with ROW_COLUMNS; takes the statement. */
static rmp_status visit_rows(rmp_journal *journal, sqlite3_stmt *statement, row_visitor visit, void *context)
{
    rmp_status status = RMP_OK;
    blob_copy copy[2] = {{NULL, 0}, {NULL, 0}};
    int code = SQLITE_ROW;
    while (status == RMP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        rmp_item item;
        rmp_row row = {0};
        status = rmp_journal_read_item(statement, &item);
        if (status != RMP_OK) break;
        status = read_row(journal, statement, &row, copy);
        if (status == RMP_OK) status = visit(context, &item, &row);
        rmp_row_free(&row);
        rmp_item_free(&item);
    }
    if (status == RMP_OK && code != SQLITE_DONE) status = rmp_journal_fail(journal, code, "reading");
    sqlite3_finalize(statement);
    free(copy[0].values);
    free(copy[1].values);
    return status;
}

rmp_status rmp_journal_visit(rmp_journal *journal, row_visitor visit, void *context)
{
    sqlite3_stmt *statement = NULL;
    RMP_TRY(rmp_journal_prepare(journal, "SELECT " ROW_COLUMNS ROW_TABLES "ORDER BY results.item", &statement));
    return visit_rows(journal, statement, visit, context);
}

rmp_status rmp_journal_features(rmp_journal *journal, int64_t length, rmp_journal_feature_visit *visit, void *context)
{
    const size_t size = (size_t)length * sizeof(float);
    sqlite3_stmt *statement = NULL;
    float *copy[2] = {malloc(size), malloc(size)}; /* SQLite does not align blobs */
    rmp_status status = RMP_OK;
    int code = SQLITE_ROW;
    RMP_CHECK_GOTO(copy[0] && copy[1], RMP_ERR_MEMORY, done, "no memory for %lld features", (long long)length);
    RMP_TRY_GOTO(rmp_journal_prepare(journal,
                                     "SELECT features.item, restored, truth FROM features JOIN results"
                                     " ON results.item = features.item WHERE failed = 0 ORDER BY features.item",
                                     &statement),
                 done);
    while (status == RMP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const float *seen[2] = {NULL, NULL};
        for (int i = 0; i < 2; i++) {
            const void *blob = sqlite3_column_blob(statement, 1 + i);
            if (!blob) continue;
            RMP_CHECK_GOTO((size_t)sqlite3_column_bytes(statement, 1 + i) == size, RMP_ERR_FORMAT, done,
                           "%s: item %lld has %d bytes of features, not %zu", journal->path,
                           (long long)sqlite3_column_int64(statement, 0), sqlite3_column_bytes(statement, 1 + i), size);
            memcpy(copy[i], blob, size);
            seen[i] = copy[i];
        }
        status = visit(context, seen[0], seen[1]);
    }
    if (status == RMP_OK && code != SQLITE_DONE) status = rmp_journal_fail(journal, code, "reading features");
done:
    sqlite3_finalize(statement);
    free(copy[0]);
    free(copy[1]);
    return status;
}

rmp_status rmp_journal_get_fid(rmp_journal *journal, rmp_journal_fid *out)
{
    sqlite3_stmt *statement = NULL;
    memset(out, 0, sizeof *out);
    RMP_TRY(rmp_journal_prepare(journal, "SELECT value, images, truths FROM fid", &statement));
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        out->value = sqlite3_column_double(statement, 0);
        out->images = sqlite3_column_int64(statement, 1);
        out->truths = sqlite3_column_int64(statement, 2);
    }
    rmp_status status =
        code == SQLITE_ROW || code == SQLITE_DONE ? RMP_OK : rmp_journal_fail(journal, code, "reading the FID");
    sqlite3_finalize(statement);
    return status;
}

rmp_status rmp_journal_ranked(rmp_journal *journal, rmp_ranking order, int64_t limit, row_visitor visit, void *context)
{
    /* Numbers of rows are chosen first, without their texts and tensors, so that sorting stays light. */
    static const char worst[] = "SELECT " ROW_COLUMNS ", " GAIN " AS gain FROM (SELECT item AS chosen FROM results"
                                " WHERE failed = 0 AND " GAIN " IS NOT NULL ORDER BY " GAIN ", item LIMIT ?1 OFFSET ?2)"
                                " JOIN results ON results.item = chosen JOIN items ON items.item = chosen"
                                " LEFT JOIN tensors ON tensors.item = chosen ORDER BY gain, results.item";
    static const char best[] =
        "SELECT " ROW_COLUMNS ", " GAIN " AS gain FROM (SELECT item AS chosen FROM results"
        " WHERE failed = 0 AND " GAIN " IS NOT NULL ORDER BY " GAIN " DESC, item LIMIT ?1 OFFSET ?2)"
        " JOIN results ON results.item = chosen JOIN items ON items.item = chosen"
        " LEFT JOIN tensors ON tensors.item = chosen ORDER BY gain DESC, results.item";
    static const char failed[] =
        "SELECT " ROW_COLUMNS ROW_TABLES "WHERE failed = 1 ORDER BY results.item LIMIT ?1 OFFSET ?2";
    RMP_CHECK(limit >= 0, RMP_ERR_ARGUMENT, "at most %lld items", (long long)limit);
    int64_t skip = 0;
    if (order == RMP_RANK_MEDIAN) {
        int64_t known;
        RMP_TRY(rmp_journal_integer(journal, "SELECT COUNT(*) FROM results WHERE failed = 0 AND " GAIN " IS NOT NULL",
                                    &known));
        skip = known > limit ? (known - limit) / 2 : 0;
    }
    sqlite3_stmt *statement = NULL;
    const char *sql = order == RMP_RANK_FAILED ? failed : order == RMP_RANK_BEST ? best : worst;
    RMP_TRY(rmp_journal_prepare(journal, sql, &statement));
    sqlite3_bind_int64(statement, 1, limit);
    sqlite3_bind_int64(statement, 2, skip);
    return visit_rows(journal, statement, visit, context);
}

rmp_status rmp_journal_counts(rmp_journal *journal, rmp_counts *out)
{
    int64_t left;
    /* Item numbers have no gaps; the rest is counted in the two partial indexes. */
    RMP_TRY(rmp_journal_integer(journal, "SELECT COALESCE(MAX(item) + 1, 0) FROM items", &out->items));
    RMP_TRY(rmp_journal_integer(journal, "SELECT COUNT(*) FROM items WHERE done = 0", &left));
    RMP_TRY(rmp_journal_integer(journal, "SELECT COUNT(*) FROM results WHERE failed = 1", &out->failed));
    out->done = out->items - left;
    return RMP_OK;
}

rmp_status rmp_journal_sizes(rmp_journal *journal,
                             rmp_status (*size)(void *context, int64_t height, int64_t width, int64_t items),
                             void *context)
{
    sqlite3_stmt *statement = NULL;
    RMP_TRY(rmp_journal_prepare(journal,
                                "SELECT height, width, COUNT(*) FROM items GROUP BY height, width"
                                " ORDER BY height * width DESC, height DESC",
                                &statement));
    rmp_status status = RMP_OK;
    int code = SQLITE_ROW;
    while (status == RMP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
        status = size(context, sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1),
                      sqlite3_column_int64(statement, 2));
    if (status == RMP_OK && code != SQLITE_DONE) status = rmp_journal_fail(journal, code, "reading the sizes");
    sqlite3_finalize(statement);
    return status;
}

static rmp_status read_chunk(rmp_journal *journal, int64_t first, int64_t chunk, rmp_item items[], int64_t *count)
{
    RMP_TRY(rmp_journal_prepare(journal,
                                "SELECT item, id, image, measurement, mask FROM items WHERE item >= ?1 AND item < ?2"
                                " ORDER BY item",
                                &journal->chunk_items));
    sqlite3_stmt *statement = journal->chunk_items;
    sqlite3_bind_int64(statement, 1, first);
    sqlite3_bind_int64(statement, 2, first + chunk);
    rmp_status status = RMP_OK;
    int code = SQLITE_ROW;
    while (status == RMP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        status = rmp_journal_read_item(statement, &items[*count]);
        if (status == RMP_OK) (*count)++;
    }
    if (status == RMP_OK && code != SQLITE_DONE) status = rmp_journal_fail(journal, code, "reading items");
    sqlite3_reset(statement);
    for (; status != RMP_OK && *count > 0; --*count)
        rmp_item_free(&items[*count - 1]);
    return status;
}

rmp_status rmp_journal_next_chunk(rmp_journal *journal, int64_t chunk, int64_t *k, rmp_item items[], int64_t *count)
{
    *count = 0;
    RMP_CHECK(chunk > 0 && *k >= 0 && *k < INT64_MAX / chunk - 1, RMP_ERR_ARGUMENT, "chunk %lld of %lld items",
              (long long)*k, (long long)chunk);
    RMP_TRY(rmp_journal_prepare(journal, "SELECT item FROM items WHERE done = 0 AND item >= ?1 ORDER BY item LIMIT 1",
                                &journal->open_item));
    sqlite3_bind_int64(journal->open_item, 1, *k * chunk);
    int code = sqlite3_step(journal->open_item);
    int64_t item = code == SQLITE_ROW ? sqlite3_column_int64(journal->open_item, 0) : 0;
    rmp_status status = code == SQLITE_ROW || code == SQLITE_DONE ? RMP_OK : rmp_journal_fail(journal, code, "reading");
    sqlite3_reset(journal->open_item);
    if (code != SQLITE_ROW) return status;
    *k = item / chunk;
    return read_chunk(journal, *k * chunk, chunk, items, count);
}
