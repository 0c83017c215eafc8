/* What journal.c, journal_read.c and journal_export.c share. Not for other parts. */
#pragma once

#include "io/journal.h"

#include <sqlite3.h>

struct rmp_journal {
    char *path; /* of the database, for messages */
    sqlite3 *db;
    char *job;
    int lock;      /* descriptor of the locked file; -1: none */
    bool in_items; /* between items_begin and items_commit */
    sqlite3_stmt *add_item, *open_item, *chunk_items, *put_row, *put_tensor, *drop_tensor, *put_features,
        *drop_features, *mark_done;
};

/* The status of a failed SQLite call, with path and reason. */
rmp_status rmp_journal_fail(const rmp_journal *journal, int code, const char *what);

/* Prepares once: *statement is reused, reset and without values. */
rmp_status rmp_journal_prepare(rmp_journal *journal, const char *sql, sqlite3_stmt **statement) RMP_MUST_CHECK;

/* One integer of a query (0 if it is NULL or has no row). */
rmp_status rmp_journal_integer(rmp_journal *journal, const char *sql, int64_t *out) RMP_MUST_CHECK;

/* Copies item (index, id, image, measurement, mask from the first five columns). */
rmp_status rmp_journal_read_item(sqlite3_stmt *statement, rmp_item *out) RMP_MUST_CHECK;
