#include "jobs/worker.h"

#include "jobs/interrupt.h"
#include "jobs/server.h"

#include <stdlib.h>

rmp_status rmp_worker_progress(void *context, double share)
{
    rmp_worker *w = context;
    (void)share;
    if (rmp_interrupt_pending()) {
        w->interrupted = true;
        return RMP_FAIL(RMP_ERR_INTERNAL, "interrupted");
    }
    rmp_status status = rmp_queue_poll(w->queue);
    if (status != RMP_OK) w->queue_failed = true;
    return status;
}

static rmp_status push(rmp_worker *w, const rmp_result *result)
{
    void *bytes;
    size_t size;
    RMP_TRY(rmp_result_pack(result, &bytes, &size));
    rmp_status status = rmp_queue_push(w->queue, bytes, size);
    if (status != RMP_OK) w->queue_failed = true;
    free(bytes);
    return status;
}

/* Rank 0 is told: it may be that only this rank was sent the signal. */
static rmp_status push_nothing(rmp_worker *w, int64_t cell)
{
    const rmp_result nothing = {.interrupted = true, .cell = cell};
    return push(w, &nothing);
}

static rmp_status restore(rmp_worker *w, int64_t cell, const rmp_item items[], int64_t count)
{
    const rmp_job *job;
    rmp_restorer *restorer;
    rmp_result result;
    RMP_TRY(w->enter(w->context, cell, &job, &restorer));
    rmp_status status = rmp_restorer_run(restorer, items, count, &result);
    if (w->interrupted) {
        if (status == RMP_OK) rmp_result_free(&result);
        return push_nothing(w, cell);
    }
    RMP_TRY(status);
    result.cell = cell;
    if (job->output.writer == RMP_WRITER_RANKS) status = rmp_result_save(job->output.dir, &result);
    if (status == RMP_OK) status = push(w, &result);
    rmp_result_free(&result);
    return status;
}

static rmp_status work_on_chunk(rmp_worker *w, const void *bytes, size_t size)
{
    rmp_item *items;
    int64_t count, cell;
    RMP_TRY(rmp_items_unpack(bytes, size, &items, &count, &cell));
    /* After a signal chunks are taken, so that the queue ends in order, but left undone. */
    w->interrupted = w->interrupted || rmp_interrupt_pending();
    rmp_status status = w->interrupted ? push_nothing(w, cell) : restore(w, cell, items, count);
    rmp_items_free(items, count);
    return status;
}

rmp_status rmp_worker_run(rmp_worker *worker)
{
    rmp_worker *w = worker;
    for (;;) {
        void *bytes;
        size_t size;
        rmp_status status = w->between != NULL ? w->between(w->context) : RMP_OK;
        if (status != RMP_OK) return w->queue_failed ? status : rmp_queue_fail(w->queue, status);
        RMP_TRY(rmp_queue_pull(w->queue, &bytes, &size));
        if (bytes == NULL) return rmp_queue_finish(w->queue);
        status = work_on_chunk(w, bytes, size);
        free(bytes);
        if (status != RMP_OK) return w->queue_failed ? status : rmp_queue_fail(w->queue, status);
    }
}
