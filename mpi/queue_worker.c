/* The other ranks of a work queue: a chunk ahead, one result on its way, signs of life. */
#include "core/log.h"
#include "mpi/queue_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rmp_status take_chunk(rmp_queue *queue, bool *heard)
{
    if (queue->have_chunk || queue->drained) return RMP_OK;
    if (!queue->chunk.active) {
        int there = 0;
        MPI_Message message;
        MPI_Status found;
        RMP_TRY(rmp_comm_check(MPI_Improbe(0, queue->tag + RMP_QUEUE_CHUNK, MPI_COMM_WORLD, &there, &message, &found),
                               "receiving from rank 0"));
        if (!there) return RMP_OK;
        *heard = true;
        RMP_TRY(rmp_message_accept(&message, &found, &queue->chunk));
    }
    bool here;
    RMP_TRY(rmp_message_arrived(queue->comm, queue->tag + RMP_QUEUE_PART, &queue->chunk, &here));
    if (!here) return RMP_OK;
    *heard = true;
    size_t size;
    (void)rmp_message_bytes(&queue->chunk, &size);
    if (size > 0) {
        queue->have_chunk = true;
    } else {
        rmp_message_drop(&queue->chunk);
        queue->drained = true;
    }
    return RMP_OK;
}

rmp_status rmp_queue_worker_poll(rmp_queue *queue)
{
    double now = rmp_comm_now();
    bool sent, heard = false;
    if (now >= queue->beat_at) {
        int left = 1;
        if (queue->beat != MPI_REQUEST_NULL)
            RMP_TRY(rmp_comm_check(MPI_Test(&queue->beat, &left, MPI_STATUS_IGNORE), "sending to rank 0"));
        if (left) RMP_TRY(rmp_queue_send_empty(queue, 0, RMP_QUEUE_ALIVE, &queue->beat));
        queue->beat_at = now + rmp_queue_beat_seconds(queue);
    }
    if (queue->result.parts > 0) RMP_TRY(rmp_message_sent(&queue->result, &sent));

    int source;
    rmp_queue_failure failure;
    RMP_TRY(rmp_queue_receive_small(queue, 0, RMP_QUEUE_ABORT, &failure, sizeof failure, &source));
    if (source >= 0) return rmp_queue_keep_failure(queue, RMP_ERR_COMM, failure.text);
    do {
        RMP_TRY(rmp_queue_receive_small(queue, 0, RMP_QUEUE_SERVING, NULL, 0, &source));
        heard = heard || source >= 0;
    } while (source >= 0);
    RMP_TRY(take_chunk(queue, &heard));
    RMP_TRY(rmp_queue_receive_small(queue, 0, RMP_QUEUE_END, NULL, 0, &source));
    if (source >= 0) queue->ended = true;
    if (heard) rmp_silence_reset(&queue->silence);
    return RMP_OK;
}

static bool has_next(const rmp_queue *queue) { return queue->have_chunk || queue->drained; }
static bool has_sent(const rmp_queue *queue) { return queue->result.parts == 0; }
static bool has_ended(const rmp_queue *queue) { return queue->ended; }

/* Waits for rank 0, giving signs of life, for as long as rank 0 gives some. */
static rmp_status worker_wait(rmp_queue *queue, bool (*ready)(const rmp_queue *queue))
{
    rmp_backoff backoff = {0};
    rmp_silence_reset(&queue->silence);
    for (;;) {
        RMP_TRY(rmp_queue_worker_poll(queue));
        if (ready(queue)) return RMP_OK;
        if (rmp_silence_over(&queue->silence, queue->comm->world.timeout)) {
            char text[256];
            snprintf(text, sizeof text, "rank 0 (%s) gave no sign of life for %g s",
                     rmp_world_host(&queue->comm->world, 0), queue->comm->world.timeout);
            return rmp_queue_keep_failure(queue, RMP_ERR_COMM, text);
        }
        rmp_backoff_sleep(&backoff);
    }
}

static rmp_status ask(rmp_queue *queue)
{
    RMP_TRY(rmp_comm_wait(queue->comm, &queue->request, 0, "asking rank 0 for work"));
    return rmp_queue_send_empty(queue, 0, RMP_QUEUE_REQUEST, &queue->request);
}

rmp_status rmp_queue_worker_finish(rmp_queue *queue)
{
    RMP_TRY(worker_wait(queue, has_sent));
    RMP_TRY(rmp_comm_check(MPI_Isend(&queue->results, sizeof queue->results, MPI_BYTE, 0, queue->tag + RMP_QUEUE_DONE,
                                     MPI_COMM_WORLD, &queue->done),
                           "telling rank 0 the end"));
    return worker_wait(queue, has_ended);
}

rmp_status rmp_queue_worker_pull(rmp_queue *queue, void **bytes, size_t *size)
{
    RMP_TRY(worker_wait(queue, has_next));
    if (!queue->have_chunk) return RMP_OK;
    size_t length;
    const char *data = rmp_message_bytes(&queue->chunk, &length);
    *size = length - 1; /* the first byte says that there is a chunk */
    *bytes = malloc(length);
    RMP_CHECK(*bytes, RMP_ERR_MEMORY, "no memory for a chunk of %zu bytes", length);
    memcpy(*bytes, data + 1, *size);
    rmp_message_drop(&queue->chunk);
    queue->have_chunk = false;
    rmp_status status = ask(queue);
    if (status == RMP_OK) return RMP_OK;
    free(*bytes);
    *bytes = NULL;
    return status;
}

rmp_status rmp_queue_worker_push(rmp_queue *queue, const void *bytes, size_t size)
{
    RMP_TRY(worker_wait(queue, has_sent));
    RMP_TRY(rmp_message_send(queue->comm, 0, queue->tag + RMP_QUEUE_RESULT, queue->tag + RMP_QUEUE_PART, bytes, size,
                             &queue->result));
    queue->results++;
    return RMP_OK;
}

rmp_status rmp_queue_worker_start(rmp_queue *queue) { return ask(queue); }

rmp_status rmp_queue_worker_fail(rmp_queue *queue, rmp_status failed)
{
    static const char what[] = "telling rank 0 a failure";
    queue->failed = failed; /* the trail keeps the true place */
    snprintf(queue->failure.text, sizeof queue->failure.text, "%s", rmp_fail_message());
    queue->told.code = (int32_t)failed;
    snprintf(queue->told.text, sizeof queue->told.text, "rank %d (%s): %.1900s", queue->comm->world.rank,
             queue->comm->world.host, queue->failure.text);
    MPI_Request request = MPI_REQUEST_NULL;
    rmp_status told = rmp_comm_check(
        MPI_Isend(&queue->told, sizeof queue->told, MPI_BYTE, 0, queue->tag + RMP_QUEUE_FAIL, MPI_COMM_WORLD, &request),
        what);
    if (told == RMP_OK) told = rmp_comm_wait(queue->comm, &request, 0, what);
    if (told == RMP_OK) return failed;
    RMP_LOG_WARN("queue", "%s", rmp_fail_message());
    return rmp_queue_known_failure(queue);
}
