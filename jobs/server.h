/* Rank 0's side of a job: chunks come out of the journal, finished ones go back into it. */
#pragma once

#include "io/job.h"
#include "io/journal.h"
#include "jobs/message.h"
#include "jobs/progress.h"
#include "mpi/queue.h"

typedef struct rmp_server {
    const rmp_job *job;     /* borrowed; job->batch is the chunk */
    rmp_journal *journal;   /* borrowed */
    int64_t cell;           /* its chunks' */
    rmp_progress *progress; /* NULL: none is shown */
    rmp_item *items;        /* (batch) */
    rmp_counts counts;
    int64_t chunk;     /* the next one to look at */
    bool kernel_saved; /* measurements/kernels/ is the same for every item */
    bool interrupted;
} rmp_server;

rmp_status rmp_server_start(const rmp_job *job, rmp_journal *journal, rmp_server *out) RMP_MUST_CHECK;
/* The same without progress: for one cell of a sweep. */
rmp_status rmp_server_open(const rmp_job *job, rmp_journal *journal, int64_t cell, rmp_server *out) RMP_MUST_CHECK;
/* The next chunk that is not done: *bytes NULL if there is none. */
rmp_status rmp_server_chunk(rmp_server *server, void **bytes, size_t *size) RMP_MUST_CHECK;
/* Writes the outputs of a result and commits its rows. */
rmp_status rmp_server_accept(rmp_server *server, rmp_result *result) RMP_MUST_CHECK;
void rmp_server_stop(rmp_server *server);

/* The callbacks of rmp_queue_server; context is the server. */
rmp_status rmp_server_next(void *context, void **bytes, size_t *size);
rmp_status rmp_server_result(void *context, int rank, const void *bytes, size_t size);

/* Makes the folders that results are written to, and removes the temporary files that killed processes left in them and
 * in the output folder itself. Only with the lock on that folder. */
rmp_status rmp_server_prepare_folders(const rmp_job *job, bool images, bool measurements) RMP_MUST_CHECK;

/* Writes measurements/kernels/ of a result, unless that is done. */
rmp_status rmp_server_save_shared(rmp_server *server, const rmp_result *result) RMP_MUST_CHECK;

/* Writes the files of a result into the output folder and takes them out of it. Files that are the same for every item
 * (the kernel) stay and are written by rank 0. */
rmp_status rmp_result_save(const char *dir, rmp_result *result) RMP_MUST_CHECK;
