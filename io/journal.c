#define _GNU_SOURCE /* asprintf */
#include "io/journal.h"

#include "io/file.h"
#include "io/job.h"
#include "io/journal_db.h"
#include "io/lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SCHEMA_VERSION = 3, APPLICATION_ID = 0x726d7031 /* "rmp1" */, BUSY_MILLISECONDS = 120000 };

/* `done` is kept beside the item, so that a partial index over what is left finds the next chunk at once among
 * millions of items. */
static const char schema[] =
    "CREATE TABLE job (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT NOT NULL, version TEXT NOT NULL);"
    "CREATE TABLE items (item INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, image TEXT, measurement TEXT, mask TEXT,"
    " height INTEGER NOT NULL, width INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX items_left ON items (item) WHERE done = 0;"
    "CREATE TABLE results (item INTEGER PRIMARY KEY REFERENCES items (item), failed INTEGER NOT NULL, reason TEXT,"
    " output TEXT, height INTEGER, width INTEGER, channels INTEGER, psnr REAL, ssim REAL, psnr_8bit REAL,"
    " ssim_8bit REAL, psnr_input REAL, ssim_input REAL, lpips REAL, lpips_input REAL, residual REAL, distance REAL,"
    " distance_mean REAL, std REAL, coverage REAL, evaluations INTEGER, vjps INTEGER, cg_iterations INTEGER,"
    " std_evaluations INTEGER, seconds REAL, started REAL, rank INTEGER, host TEXT, "
    "lpips_network INTEGER);"
    "CREATE INDEX results_failed ON results (item) WHERE failed = 1;"
    "CREATE TABLE tensors (item INTEGER PRIMARY KEY REFERENCES results (item), data BLOB NOT NULL, std BLOB);"
    "CREATE TABLE fid (one INTEGER PRIMARY KEY CHECK (one = 1), value REAL NOT NULL, images INTEGER NOT NULL,"
    " truths INTEGER NOT NULL);"
    "CREATE TABLE features (item INTEGER PRIMARY KEY REFERENCES results (item), restored BLOB NOT NULL, truth BLOB);";

rmp_status rmp_journal_fail(const rmp_journal *journal, int code, const char *what)
{
    const char *reason = journal->db ? sqlite3_errmsg(journal->db) : sqlite3_errstr(code);
    int system = journal->db ? sqlite3_system_errno(journal->db) : 0;
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return RMP_FAIL(RMP_ERR_FORMAT, "%s: damaged (%s); --restart begins anew", journal->path, reason);
    case SQLITE_NOMEM:
        return RMP_FAIL(RMP_ERR_MEMORY, "%s: %s: no memory", journal->path, what);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return RMP_FAIL(RMP_ERR_BUSY, "%s: %s: another process is using it (%s)", journal->path, what, reason);
    case SQLITE_FULL: /* no errno is kept for it */
        return RMP_FAIL(RMP_ERR_IO, "%s: %s: %s", journal->path, what, strerror(ENOSPC));
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (system != 0) return RMP_FAIL(RMP_ERR_IO, "%s: %s: %s", journal->path, what, strerror(system));
        return RMP_FAIL(RMP_ERR_IO, "%s: %s: %s", journal->path, what, reason);
    default:
        return RMP_FAIL(RMP_ERR_IO, "%s: %s: %s", journal->path, what, reason);
    }
}

rmp_status rmp_journal_prepare(rmp_journal *journal, const char *sql, sqlite3_stmt **statement)
{
    if (*statement) {
        sqlite3_reset(*statement);
        sqlite3_clear_bindings(*statement);
        return RMP_OK;
    }
    int code = sqlite3_prepare_v2(journal->db, sql, -1, statement, NULL);
    return code == SQLITE_OK ? RMP_OK : rmp_journal_fail(journal, code, "reading");
}

static rmp_status execute(rmp_journal *journal, const char *sql, const char *what)
{
    int code = sqlite3_exec(journal->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? RMP_OK : rmp_journal_fail(journal, code, what);
}

/* Some failures (disk full) have rolled back already. */
static void rollback(rmp_journal *journal)
{
    if (!sqlite3_get_autocommit(journal->db)) (void)sqlite3_exec(journal->db, "ROLLBACK", NULL, NULL, NULL);
}

/* Runs a statement that returns no rows, and lets go of it in any case. */
static rmp_status run(rmp_journal *journal, sqlite3_stmt *statement, const char *what)
{
    int code = sqlite3_step(statement);
    rmp_status status = code == SQLITE_DONE ? RMP_OK : rmp_journal_fail(journal, code, what);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement); /* they borrow the caller's memory */
    return status;
}

rmp_status rmp_journal_integer(rmp_journal *journal, const char *sql, int64_t *out)
{
    sqlite3_stmt *statement = NULL;
    RMP_TRY(rmp_journal_prepare(journal, sql, &statement));
    int code = sqlite3_step(statement);
    *out = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    rmp_status status = code == SQLITE_ROW || code == SQLITE_DONE ? RMP_OK : rmp_journal_fail(journal, code, "reading");
    sqlite3_finalize(statement);
    return status;
}

/* ---- opening ---- */

static rmp_status read_job(rmp_journal *journal)
{
    sqlite3_stmt *statement = NULL;
    RMP_TRY(rmp_journal_prepare(journal, "SELECT text FROM job", &statement));
    rmp_status status = RMP_OK;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        journal->job = strdup(text ? text : "");
        if (!journal->job) status = RMP_FAIL(RMP_ERR_MEMORY, "%s: no memory for the job", journal->path);
    } else if (code == SQLITE_DONE) {
        status = RMP_FAIL(RMP_ERR_FORMAT, "%s: holds no job; --restart begins anew", journal->path);
    } else {
        status = rmp_journal_fail(journal, code, "reading the job");
    }
    sqlite3_finalize(statement);
    return status;
}

static rmp_status store_job(rmp_journal *journal, const char *job)
{
    sqlite3_stmt *statement = NULL;
    RMP_TRY(rmp_journal_prepare(journal, "INSERT OR REPLACE INTO job VALUES (1, ?1, ?2)", &statement));
    sqlite3_bind_text(statement, 1, job, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, RMP_VERSION, -1, SQLITE_STATIC);
    rmp_status status = run(journal, statement, "writing the job");
    sqlite3_finalize(statement);
    RMP_TRY(status);
    free(journal->job);
    journal->job = strdup(job);
    RMP_CHECK(journal->job, RMP_ERR_MEMORY, "%s: no memory for the job", journal->path);
    return RMP_OK;
}

static rmp_status compare_jobs(const rmp_journal *journal, const char *job)
{
    char why[512];
    RMP_CHECK(rmp_job_may_continue(journal->job, job, why, sizeof why), RMP_ERR_CONFIG,
              "%s holds results of another job: %s; choose another output.dir, or discard them with --restart",
              journal->path, why);
    return RMP_OK;
}

static rmp_status make_schema(rmp_journal *journal, const char *job)
{
    char pragma[128];
    snprintf(pragma, sizeof pragma, "PRAGMA application_id = %d; PRAGMA user_version = %d;", APPLICATION_ID,
             SCHEMA_VERSION);
    RMP_TRY(execute(journal, "BEGIN IMMEDIATE", "creating"));
    rmp_status status = execute(journal, schema, "creating");
    if (status == RMP_OK) status = execute(journal, pragma, "creating");
    if (status == RMP_OK) status = store_job(journal, job);
    if (status == RMP_OK) status = execute(journal, "COMMIT", "creating");
    if (status != RMP_OK) rollback(journal);
    return status;
}

static rmp_status check_schema(rmp_journal *journal)
{
    int64_t application, version;
    RMP_TRY(rmp_journal_integer(journal, "PRAGMA application_id", &application));
    RMP_TRY(rmp_journal_integer(journal, "PRAGMA user_version", &version));
    RMP_CHECK(application == APPLICATION_ID, RMP_ERR_FORMAT, "%s: not a journal of this program", journal->path);
    RMP_CHECK(
        version == SCHEMA_VERSION, RMP_ERR_FORMAT,
        "%s: made by another version of this program (journal version %lld, this one reads %d); --restart begins anew",
        journal->path, (long long)version, SCHEMA_VERSION);
    return RMP_OK;
}

/* Every page is looked at, so that damage shows before hours of work, not after. */
static rmp_status check_pages(rmp_journal *journal)
{
    sqlite3_stmt *statement = NULL;
    RMP_TRY(rmp_journal_prepare(journal, "PRAGMA quick_check(1)", &statement));
    rmp_status status = RMP_OK;
    int code = sqlite3_step(statement);
    const char *verdict = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (code != SQLITE_ROW)
        status = rmp_journal_fail(journal, code, "checking");
    else if (!verdict || strcmp(verdict, "ok") != 0)
        status = RMP_FAIL(RMP_ERR_FORMAT, "%s: damaged (%s); --restart begins anew", journal->path,
                          verdict ? verdict : "unknown");
    sqlite3_finalize(statement);
    return status;
}

static rmp_status open_database(rmp_journal *journal, int flags)
{
    int code = sqlite3_open_v2(journal->path, &journal->db, flags, NULL);
    if (code != SQLITE_OK) return rmp_journal_fail(journal, code, "cannot open");
    sqlite3_extended_result_codes(journal->db, 1);
    sqlite3_busy_timeout(journal->db, BUSY_MILLISECONDS);
    /* No write-ahead log: it needs memory shared between processes, which network file systems lack. */
    return execute(journal, "PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
                   "opening");
}

static rmp_status remove_file(const char *path)
{
    RMP_CHECK(unlink(path) == 0 || errno == ENOENT, RMP_ERR_IO, "%s: cannot remove: %s", path, strerror(errno));
    return RMP_OK;
}

static rmp_status remove_database(const rmp_journal *journal)
{
    char *rollback_path = NULL;
    RMP_CHECK(asprintf(&rollback_path, "%s-journal", journal->path) > 0, RMP_ERR_MEMORY, "no memory for a path");
    /* The database first: a rollback journal without its database is void, a database without it could be half. */
    rmp_status status = remove_file(journal->path);
    if (status == RMP_OK) status = remove_file(rollback_path);
    free(rollback_path);
    return status;
}

/* An output of the former job would stand beside the new results as if it were one of them. */
static rmp_status remove_output(const char *dir, const char *output)
{
    if (strncmp(output, "images/", 7) != 0 || strchr(output + 7, '/')) return RMP_OK; /* not of this program */
    char *path;
    RMP_TRY(rmp_path_join(dir, output, &path));
    rmp_status status = remove_file(path);
    free(path);
    return status;
}

/* Those that the database names; one that cannot be read names none. */
static rmp_status remove_outputs(const rmp_journal *journal, const char *dir)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    rmp_status status = RMP_OK;
    if (sqlite3_open_v2(journal->path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT output FROM results WHERE output IS NOT NULL", -1, &statement, NULL) ==
            SQLITE_OK) {
        while (status == RMP_OK && sqlite3_step(statement) == SQLITE_ROW)
            status = remove_output(dir, (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return status;
}

static rmp_status open_for_job(rmp_journal *journal, const char *dir, const char *job, rmp_journal_mode mode)
{
    RMP_TRY(rmp_folder_lock(dir, &journal->lock));
    if (mode == RMP_JOURNAL_RESTART) {
        RMP_TRY(remove_outputs(journal, dir));
        RMP_TRY(remove_database(journal));
    }
    RMP_TRY(open_database(journal, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
    int64_t tables;
    RMP_TRY(rmp_journal_integer(journal, "SELECT COUNT(*) FROM sqlite_master", &tables));
    if (tables == 0) return make_schema(journal, job); /* new, or killed before its first transaction */
    RMP_TRY(check_schema(journal));
    RMP_TRY(check_pages(journal));
    RMP_TRY(read_job(journal));
    bool have;
    RMP_TRY(rmp_journal_have_items(journal, &have));
    if (have) RMP_TRY(compare_jobs(journal, job));
    return strcmp(journal->job, job) != 0 ? store_job(journal, job) : RMP_OK;
}

static rmp_status create(const char *dir, rmp_journal **out)
{
    *out = NULL;
    rmp_journal *journal = calloc(1, sizeof *journal);
    RMP_CHECK(journal, RMP_ERR_MEMORY, "no memory for the journal");
    journal->lock = -1;
    rmp_status status = rmp_path_join(dir, "results.sqlite", &journal->path);
    if (status != RMP_OK) {
        free(journal);
        return status;
    }
    *out = journal;
    return RMP_OK;
}

rmp_status rmp_journal_open(const char *dir, const char *job, rmp_journal_mode mode, rmp_journal **out)
{
    RMP_TRY(create(dir, out));
    rmp_status status = open_for_job(*out, dir, job, mode);
    if (status != RMP_OK) rmp_journal_close(out);
    return status;
}

static rmp_status open_to_read(rmp_journal *journal)
{
    RMP_CHECK(access(journal->path, F_OK) == 0, RMP_ERR_IO, "%s: %s; is this the output folder of a job?",
              journal->path, strerror(errno));
    /* Writable where that is allowed: only so can SQLite undo what a killed job left half written. */
    int code = sqlite3_open_v2(journal->path, &journal->db, SQLITE_OPEN_READWRITE, NULL);
    if (code != SQLITE_OK) return rmp_journal_fail(journal, code, "cannot open");
    sqlite3_extended_result_codes(journal->db, 1);
    sqlite3_busy_timeout(journal->db, BUSY_MILLISECONDS);
    RMP_TRY(check_schema(journal));
    RMP_TRY(execute(journal, "PRAGMA query_only = ON", "opening"));
    return read_job(journal);
}

rmp_status rmp_journal_open_readonly(const char *dir, rmp_journal **out)
{
    RMP_TRY(create(dir, out));
    rmp_status status = open_to_read(*out);
    if (status != RMP_OK) rmp_journal_close(out);
    return status;
}

void rmp_journal_close(rmp_journal **journal)
{
    if (!journal || !*journal) return;
    rmp_journal *old = *journal;
    *journal = NULL;
    sqlite3_finalize(old->add_item);
    sqlite3_finalize(old->open_item);
    sqlite3_finalize(old->chunk_items);
    sqlite3_finalize(old->put_row);
    sqlite3_finalize(old->put_tensor);
    sqlite3_finalize(old->drop_tensor);
    sqlite3_finalize(old->put_features);
    sqlite3_finalize(old->drop_features);
    sqlite3_finalize(old->mark_done);
    sqlite3_close(old->db); /* rolls back an item list that was not committed */
    rmp_folder_unlock(&old->lock);
    free(old->job);
    free(old->path);
    free(old);
}

const char *rmp_journal_job(const rmp_journal *journal) { return journal->job; }

/* ---- items ---- */

rmp_status rmp_journal_have_items(rmp_journal *journal, bool *have)
{
    int64_t any;
    RMP_TRY(rmp_journal_integer(journal, "SELECT EXISTS (SELECT 1 FROM items)", &any));
    *have = any != 0 && !journal->in_items;
    return RMP_OK;
}

rmp_status rmp_journal_items_begin(rmp_journal *journal)
{
    bool have;
    RMP_CHECK(!journal->in_items, RMP_ERR_ARGUMENT, "%s: the item list is begun already", journal->path);
    RMP_TRY(rmp_journal_have_items(journal, &have));
    RMP_CHECK(!have, RMP_ERR_ARGUMENT, "%s: has its items already", journal->path);
    RMP_TRY(execute(journal, "BEGIN IMMEDIATE", "writing the items"));
    journal->in_items = true;
    return RMP_OK;
}

/* Ends a failed item list; nothing of it stays. */
static rmp_status drop_items(rmp_journal *journal, rmp_status status)
{
    rollback(journal);
    journal->in_items = false;
    return status;
}

static rmp_status duplicate_id(rmp_journal *journal, const rmp_item *item)
{
    sqlite3_stmt *statement = NULL;
    const char *sql = "SELECT item, COALESCE(image, measurement, '') FROM items WHERE id = ?1";
    RMP_TRY(rmp_journal_prepare(journal, sql, &statement));
    sqlite3_bind_text(statement, 1, item->id, -1, SQLITE_STATIC);
    const char *here = item->image ? item->image : item->measurement;
    rmp_status status;
    if (sqlite3_step(statement) == SQLITE_ROW)
        status =
            RMP_FAIL(RMP_ERR_CONFIG, "two items have the id \"%s\": number %lld (%s) and number %lld (%s)", item->id,
                     (long long)sqlite3_column_int64(statement, 0) + 1, (const char *)sqlite3_column_text(statement, 1),
                     (long long)item->index + 1, here ? here : "");
    else
        status = RMP_FAIL(RMP_ERR_ARGUMENT, "item %lld (\"%s\") is there already", (long long)item->index, item->id);
    sqlite3_finalize(statement);
    return status;
}

rmp_status rmp_journal_items_add(rmp_journal *journal, const rmp_item *item, int64_t height, int64_t width)
{
    RMP_CHECK(journal->in_items, RMP_ERR_ARGUMENT, "%s: the item list is not begun", journal->path);
    rmp_status status =
        rmp_journal_prepare(journal, "INSERT INTO items VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)", &journal->add_item);
    if (status != RMP_OK) return drop_items(journal, status);
    sqlite3_stmt *add = journal->add_item;
    sqlite3_bind_int64(add, 1, item->index);
    sqlite3_bind_text(add, 2, item->id, -1, SQLITE_STATIC);
    sqlite3_bind_text(add, 3, item->image, -1, SQLITE_STATIC);
    sqlite3_bind_text(add, 4, item->measurement, -1, SQLITE_STATIC);
    sqlite3_bind_text(add, 5, item->mask, -1, SQLITE_STATIC);
    sqlite3_bind_int64(add, 6, height);
    sqlite3_bind_int64(add, 7, width);
    int code = sqlite3_step(add);
    if (code == SQLITE_DONE) return RMP_OK;
    bool constraint = (code & 0xff) == SQLITE_CONSTRAINT;
    if (!constraint) status = rmp_journal_fail(journal, code, "writing the items");
    sqlite3_reset(add);
    if (constraint) status = duplicate_id(journal, item);
    return drop_items(journal, status);
}

rmp_status rmp_journal_items_commit(rmp_journal *journal)
{
    RMP_CHECK(journal->in_items, RMP_ERR_ARGUMENT, "%s: the item list is not begun", journal->path);
    rmp_status status = RMP_OK;
    int64_t count, last;
    RMP_TRY_GOTO(rmp_journal_integer(journal, "SELECT COUNT(*) FROM items", &count), failed);
    RMP_TRY_GOTO(rmp_journal_integer(journal, "SELECT COALESCE(MAX(item) + 1, 0) FROM items", &last), failed);
    RMP_CHECK_GOTO(count == last, RMP_ERR_ARGUMENT, failed, "%s: item numbers must be 0, 1, ...", journal->path);
    if (journal->add_item) sqlite3_reset(journal->add_item); /* an open statement would keep COMMIT from ending */
    RMP_TRY_GOTO(execute(journal, "COMMIT", "writing the items"), failed);
    journal->in_items = false;
    return RMP_OK;
failed:
    return drop_items(journal, status);
}

/* ---- rows ---- */

static rmp_status put_tensor(rmp_journal *journal, const rmp_row *row)
{
    sqlite3_stmt **statement = row->tensor ? &journal->put_tensor : &journal->drop_tensor;
    RMP_TRY(rmp_journal_prepare(journal,
                                row->tensor ? "INSERT OR REPLACE INTO tensors VALUES (?1, ?2, ?3)"
                                            : "DELETE FROM tensors WHERE item = ?1",
                                statement));
    sqlite3_bind_int64(*statement, 1, row->item);
    const float *const blobs[] = {row->tensor, row->tensor_std};
    for (int i = 0; row->tensor && i < 2; i++) {
        int code = sqlite3_bind_blob64(*statement, 2 + i, blobs[i], (uint64_t)row->tensor_length * sizeof(float),
                                       SQLITE_STATIC);
        if (code != SQLITE_OK) return rmp_journal_fail(journal, code, "a restored tensor is too large");
    }
    return run(journal, *statement, "writing a restored tensor");
}

static rmp_status put_features(rmp_journal *journal, const rmp_row *row)
{
    sqlite3_stmt **statement = row->features ? &journal->put_features : &journal->drop_features;
    RMP_TRY(rmp_journal_prepare(journal,
                                row->features ? "INSERT OR REPLACE INTO features VALUES (?1, ?2, ?3)"
                                              : "DELETE FROM features WHERE item = ?1",
                                statement));
    sqlite3_bind_int64(*statement, 1, row->item);
    const float *const blobs[] = {row->features, row->truth_features};
    for (int i = 0; row->features && i < 2; i++) {
        int code = sqlite3_bind_blob64(*statement, 2 + i, blobs[i], (uint64_t)row->feature_length * sizeof(float),
                                       SQLITE_STATIC);
        if (code != SQLITE_OK) return rmp_journal_fail(journal, code, "features are too many");
    }
    return run(journal, *statement, "writing features");
}

static rmp_status put_row(rmp_journal *journal, const rmp_row *row)
{
    RMP_TRY(rmp_journal_prepare(journal, "UPDATE items SET done = 1 WHERE item = ?1", &journal->mark_done));
    sqlite3_bind_int64(journal->mark_done, 1, row->item);
    RMP_TRY(run(journal, journal->mark_done, "writing results"));
    RMP_CHECK(sqlite3_changes(journal->db) == 1, RMP_ERR_ARGUMENT, "%s: there is no item %lld", journal->path,
              (long long)row->item);

    /* An update in place, since a replaced row would take its tensor's parent away. */
    RMP_TRY(rmp_journal_prepare(
        journal,
        "INSERT INTO results VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,"
        " ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29) ON CONFLICT (item) DO UPDATE SET failed = ?2, reason "
        "= ?3, output = ?4,"
        " height = ?5, width = ?6, channels = ?7, psnr = ?8, ssim = ?9, psnr_8bit = ?10, ssim_8bit = ?11,"
        " psnr_input = ?12, ssim_input = ?13, lpips = ?14, lpips_input = ?15, residual = ?16, distance = ?17,"
        " distance_mean = ?18, std = ?19, coverage = ?20, evaluations = ?21, vjps = ?22, cg_iterations = ?23,"
        " std_evaluations = ?24, seconds = ?25, started = ?26, rank = ?27, host = ?28, lpips_network = ?29",
        &journal->put_row));
    sqlite3_stmt *put = journal->put_row;
    const int64_t sizes[] = {row->height, row->width, row->channels};
    /* SQLite stores NaN as NULL, which is what "does not apply" means. */
    const double reals[] = {row->psnr,          row->ssim,  row->psnr_8bit,   row->ssim_8bit, row->psnr_input,
                            row->ssim_input,    row->lpips, row->lpips_input, row->residual,  row->distance,
                            row->distance_mean, row->std,   row->coverage};
    const int64_t counts[] = {row->evaluations, row->vjps, row->cg_iterations, row->std_evaluations};
    int at = 1;
    sqlite3_bind_int64(put, at++, row->item);
    sqlite3_bind_int(put, at++, row->failed);
    sqlite3_bind_text(put, at++, row->reason, -1, SQLITE_STATIC);
    sqlite3_bind_text(put, at++, row->output, -1, SQLITE_STATIC);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        sqlite3_bind_int64(put, at++, sizes[i]);
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++)
        sqlite3_bind_double(put, at++, reals[i]);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        sqlite3_bind_int64(put, at++, counts[i]);
    sqlite3_bind_double(put, at++, row->seconds);
    sqlite3_bind_double(put, at++, row->started);
    sqlite3_bind_int(put, at++, row->rank);
    sqlite3_bind_text(put, at++, row->host, -1, SQLITE_STATIC);
    sqlite3_bind_int(put, at++, row->lpips_network);
    RMP_TRY(run(journal, put, "writing results"));
    RMP_TRY(put_tensor(journal, row));
    return put_features(journal, row);
}

rmp_status rmp_journal_commit(rmp_journal *journal, int64_t n, const rmp_row rows[])
{
    RMP_TRY(execute(journal, "BEGIN IMMEDIATE", "writing results"));
    rmp_status status = execute(journal, "DELETE FROM fid", "writing results"); /* it was of the rows before */
    for (int64_t i = 0; i < n && status == RMP_OK; i++)
        status = put_row(journal, &rows[i]);
    if (status == RMP_OK) status = execute(journal, "COMMIT", "writing results");
    if (status != RMP_OK) rollback(journal);
    return status;
}

rmp_status rmp_journal_put_fid(rmp_journal *journal, const rmp_journal_fid *fid)
{
    sqlite3_stmt *statement = NULL;
    RMP_TRY(rmp_journal_prepare(journal, "INSERT OR REPLACE INTO fid VALUES (1, ?1, ?2, ?3)", &statement));
    sqlite3_bind_double(statement, 1, fid->value);
    sqlite3_bind_int64(statement, 2, fid->images);
    sqlite3_bind_int64(statement, 3, fid->truths);
    rmp_status status = run(journal, statement, "writing the FID");
    sqlite3_finalize(statement);
    return status;
}
