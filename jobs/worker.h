/* A rank at work: takes chunks from the queue, restores them, hands in the results, until there is nothing left. */
#pragma once

#include "jobs/restorer.h"
#include "mpi/queue.h"

typedef struct rmp_worker {
    rmp_queue *queue; /* borrowed */
    void *context;
    /* The job that a chunk belongs to and the restorer that is ready for it, both borrowed until the next call. */
    rmp_status (*enter)(void *context, int64_t cell, const rmp_job **job, rmp_restorer **restorer);
    /* Called before a chunk is asked for; may be NULL. */
    rmp_status (*between)(void *context);
    bool queue_failed, interrupted; /* zero at first */
} rmp_worker;

/* Collective: works until the queue is finished. A failure of this rank has been told to the others. */
rmp_status rmp_worker_run(rmp_worker *worker) RMP_MUST_CHECK;

/* The callback of a restorer's options, with the worker as context: serves the queue, notices an interruption. */
rmp_status rmp_worker_progress(void *context, double share) RMP_MUST_CHECK;
