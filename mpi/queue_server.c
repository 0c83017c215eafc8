/* Rank 0 of a work queue: hands out chunks, takes results, notices lost ranks. */
#include "core/log.h"
#include "mpi/queue_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Results that are received at a time: bounds the memory of rank 0 for any number of ranks. */
enum { ARRIVING_MAX = 32 };
static const double FAREWELL_SECONDS = 10;
static const char receiving[] = "receiving from another rank";

/* The last word to every other rank; waits a little until they have it, but a lost one must not keep rank 0. */
static void tell_all(rmp_queue *queue, enum rmp_queue_kind kind, const void *bytes, int size, int except)
{
    int ranks = queue->comm->world.size;
    int told = 0, left = 0;
    for (int rank = 1; rank < ranks; rank++)
        if (rank != except && MPI_Isend(bytes, size, MPI_BYTE, rank, queue->tag + (int)kind, MPI_COMM_WORLD,
                                        &queue->peers[rank].farewell) == MPI_SUCCESS)
            told++;
    rmp_backoff backoff = {0};
    double limit = queue->comm->world.timeout < FAREWELL_SECONDS ? queue->comm->world.timeout : FAREWELL_SECONDS;
    double end = rmp_comm_now() + limit;
    do {
        left = 0;
        for (int rank = 1; rank < ranks && told > 0; rank++) {
            int done = 1; /* a request that is over is MPI_REQUEST_NULL, and done again */
            if (MPI_Test(&queue->peers[rank].farewell, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done) left++;
        }
        if (left > 0) rmp_backoff_sleep(&backoff);
    } while (left > 0 && rmp_comm_now() < end);
    if (left > 0) RMP_LOG_WARN("queue", "%d of %d ranks do not take the last message", left, told);
}

/* Rank 0 ends the job: keeps the failure and tells it to all but `except`. */
static rmp_status fail_for(rmp_queue *queue, rmp_status failed, const char *text, int except)
{
    queue->told.code = (int32_t)failed;
    snprintf(queue->told.text, sizeof queue->told.text, "%s", text);
    tell_all(queue, RMP_QUEUE_ABORT, &queue->told, sizeof queue->told, except);
    return rmp_queue_keep_failure(queue, failed, text);
}

/* The same for a failure of rank 0 itself, of which this thread's trail tells. */
rmp_status rmp_queue_server_fail(rmp_queue *queue, rmp_status failed)
{
    queue->failed = failed;
    snprintf(queue->failure.text, sizeof queue->failure.text, "%s", rmp_fail_message());
    queue->told.code = (int32_t)failed;
    snprintf(queue->told.text, sizeof queue->told.text, "rank 0 (%s): %.1900s", queue->comm->world.host,
             queue->failure.text);
    tell_all(queue, RMP_QUEUE_ABORT, &queue->told, sizeof queue->told, -1);
    return failed; /* the trail still holds the true place */
}

static rmp_status send_beats(rmp_queue *queue)
{
    double now = rmp_comm_now();
    if (now < queue->beat_at) return RMP_OK;
    queue->beat_at = now + rmp_queue_beat_seconds(queue);
    for (int rank = 1; rank < queue->comm->world.size; rank++) {
        MPI_Request *beat = &queue->peers[rank].beat;
        int left = 1;
        if (*beat != MPI_REQUEST_NULL)
            RMP_TRY(rmp_comm_check(MPI_Test(beat, &left, MPI_STATUS_IGNORE), "sending to another rank"));
        if (left) RMP_TRY(rmp_queue_send_empty(queue, rank, RMP_QUEUE_SERVING, beat));
    }
    return RMP_OK;
}

static rmp_status call_next(rmp_queue *queue, void **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    if (queue->drained) return RMP_OK;
    queue->serving = true;
    rmp_status status = queue->server.next(queue->server.context, bytes, size);
    queue->serving = false;
    if (status != RMP_OK) return status;
    if (!*bytes) queue->drained = true;
    return RMP_OK;
}

static rmp_status call_result(rmp_queue *queue, int rank, const void *bytes, size_t size)
{
    queue->serving = true;
    rmp_status status = queue->server.result(queue->server.context, rank, bytes, size);
    queue->serving = false;
    return status;
}

static rmp_status answer_request(rmp_queue *queue, int rank)
{
    rmp_queue_peer *one = &queue->peers[rank];
    /* A rank asks again only when it has the former chunk, so this one has left, or is about to. */
    RMP_TRY(rmp_message_wait(queue->comm, &one->chunk));
    void *bytes;
    size_t size;
    RMP_TRY(call_next(queue, &bytes, &size));
    /* One byte in front tells a chunk from the end of work. */
    size_t total = bytes ? size + 1 : 0;
    char *message = bytes ? malloc(total) : NULL;
    if (bytes && !message) {
        free(bytes);
        return RMP_FAIL(RMP_ERR_MEMORY, "no memory for a chunk of %zu bytes", size);
    }
    if (bytes) {
        message[0] = 1;
        memcpy(message + 1, bytes, size);
        free(bytes);
    }
    rmp_status status = rmp_message_send(queue->comm, rank, queue->tag + RMP_QUEUE_CHUNK, queue->tag + RMP_QUEUE_PART,
                                         message, total, &one->chunk);
    free(message);
    return status;
}

/* Starts to receive a result of `rank`, if one has come and the former one is complete. */
static rmp_status accept_result(rmp_queue *queue, int rank)
{
    rmp_queue_peer *one = &queue->peers[rank];
    int there = 0;
    MPI_Message message;
    MPI_Status found;
    if (one->result.active) return RMP_OK;
    RMP_TRY(rmp_comm_check(MPI_Improbe(rank, queue->tag + RMP_QUEUE_RESULT, MPI_COMM_WORLD, &there, &message, &found),
                           receiving));
    if (!there) return RMP_OK;
    rmp_silence_reset(&one->silence);
    RMP_TRY(rmp_message_accept(&message, &found, &one->result));
    queue->arriving++;
    return RMP_OK;
}

/* Starts to receive what has come, from a bounded number of ranks at a time. */
static rmp_status accept_results(rmp_queue *queue)
{
    while (queue->arriving < ARRIVING_MAX) {
        int there = 0;
        MPI_Status found;
        RMP_TRY(rmp_comm_check(
            MPI_Iprobe(MPI_ANY_SOURCE, queue->tag + RMP_QUEUE_RESULT, MPI_COMM_WORLD, &there, &found), receiving));
        if (!there) return RMP_OK;
        if (!queue->peers[found.MPI_SOURCE].result.active) {
            RMP_TRY(accept_result(queue, found.MPI_SOURCE));
            continue;
        }
        /* A second result of that rank hides those of others behind it, so each is asked for. */
        for (int rank = 1; rank < queue->comm->world.size && queue->arriving < ARRIVING_MAX; rank++)
            RMP_TRY(accept_result(queue, rank));
        return RMP_OK;
    }
    return RMP_OK;
}

static rmp_status serve_results(rmp_queue *queue, bool *busy)
{
    RMP_TRY(accept_results(queue));
    for (int rank = 1; rank < queue->comm->world.size && queue->arriving > 0; rank++) {
        rmp_queue_peer *one = &queue->peers[rank];
        bool here;
        if (!one->result.active) continue;
        RMP_TRY(rmp_message_arrived(queue->comm, queue->tag + RMP_QUEUE_PART, &one->result, &here));
        if (!here) continue;
        *busy = true;
        rmp_silence_reset(&one->silence);
        size_t size;
        const void *bytes = rmp_message_bytes(&one->result, &size);
        rmp_status status = call_result(queue, rank, bytes, size);
        rmp_message_drop(&one->result);
        queue->arriving--;
        one->results++;
        RMP_TRY(status);
        RMP_TRY(send_beats(queue)); /* a result may take long to store */
    }
    return RMP_OK;
}

static rmp_status serve_requests(rmp_queue *queue, bool *busy)
{
    for (int i = 1; i < queue->comm->world.size; i++) {
        int source;
        RMP_TRY(rmp_queue_receive_small(queue, MPI_ANY_SOURCE, RMP_QUEUE_REQUEST, NULL, 0, &source));
        if (source < 0) return RMP_OK;
        *busy = true;
        rmp_silence_reset(&queue->peers[source].silence);
        RMP_TRY(answer_request(queue, source));
        RMP_TRY(send_beats(queue));
    }
    return RMP_OK;
}

static rmp_status serve_signs(rmp_queue *queue)
{
    int source;
    do {
        RMP_TRY(rmp_queue_receive_small(queue, MPI_ANY_SOURCE, RMP_QUEUE_ALIVE, NULL, 0, &source));
        if (source >= 0) rmp_silence_reset(&queue->peers[source].silence);
    } while (source >= 0);
    do {
        int64_t announced = 0;
        RMP_TRY(rmp_queue_receive_small(queue, MPI_ANY_SOURCE, RMP_QUEUE_DONE, &announced, sizeof announced, &source));
        if (source >= 0) queue->peers[source].announced = announced;
    } while (source >= 0);
    return RMP_OK;
}

static bool is_done(const rmp_queue_peer *one) { return one->announced >= 0 && one->results == one->announced; }

/* Finds ranks that gave no sign of life for too long; finished ones are no longer needed. */
static int find_lost(rmp_queue *queue)
{
    double now = rmp_comm_now();
    if (now < queue->judge_at) return -1;
    queue->judge_at = now + rmp_queue_beat_seconds(queue) / 2;
    for (int rank = 1; rank < queue->comm->world.size; rank++) {
        rmp_queue_peer *one = &queue->peers[rank];
        if (!is_done(one) && rmp_silence_over(&one->silence, queue->comm->world.timeout)) return rank;
    }
    return -1;
}

/* One round: at most one result and one request of each rank, so that rank 0 gets back to its own work. */
static rmp_status serve_round(rmp_queue *queue, bool *busy)
{
    RMP_TRY(serve_signs(queue));
    RMP_TRY(serve_results(queue, busy));
    RMP_TRY(serve_requests(queue, busy));
    for (int rank = 1; rank < queue->comm->world.size; rank++) {
        bool sent;
        if (queue->peers[rank].chunk.parts > 0) RMP_TRY(rmp_message_sent(&queue->peers[rank].chunk, &sent));
    }
    return send_beats(queue);
}

rmp_status rmp_queue_serve(rmp_queue *queue, bool *busy)
{
    *busy = false;
    if (queue->serving || queue->comm->world.size == 1) return RMP_OK;
    rmp_status status = serve_round(queue, busy);
    if (status != RMP_OK) return rmp_queue_server_fail(queue, status);

    int source;
    rmp_queue_failure failure;
    status = rmp_queue_receive_small(queue, MPI_ANY_SOURCE, RMP_QUEUE_FAIL, &failure, sizeof failure, &source);
    if (status != RMP_OK) return rmp_queue_server_fail(queue, status);
    if (source >= 0) return fail_for(queue, (rmp_status)failure.code, failure.text, source);

    int lost = find_lost(queue);
    if (lost < 0) return RMP_OK;
    char text[256];
    snprintf(text, sizeof text, "rank %d (%s) gave no sign of life for %g s", lost,
             rmp_world_host(&queue->comm->world, lost), queue->comm->world.timeout);
    return fail_for(queue, RMP_ERR_COMM, text, lost);
}

static bool all_done(const rmp_queue *queue)
{
    for (int rank = 1; rank < queue->comm->world.size; rank++)
        if (!is_done(&queue->peers[rank])) return false;
    return true;
}

rmp_status rmp_queue_server_finish(rmp_queue *queue)
{
    rmp_backoff backoff = {0};
    while (!all_done(queue)) {
        bool busy;
        RMP_TRY(rmp_queue_serve(queue, &busy));
        if (busy) backoff.looks = 0;
        rmp_backoff_sleep(&backoff);
    }
    tell_all(queue, RMP_QUEUE_END, NULL, 0, -1);
    return RMP_OK;
}

rmp_status rmp_queue_server_pull(rmp_queue *queue, void **bytes, size_t *size)
{
    bool busy;
    RMP_TRY(rmp_queue_serve(queue, &busy));
    rmp_status status = call_next(queue, bytes, size);
    return status == RMP_OK ? RMP_OK : rmp_queue_server_fail(queue, status);
}

rmp_status rmp_queue_server_push(rmp_queue *queue, const void *bytes, size_t size)
{
    rmp_status status = call_result(queue, 0, bytes, size);
    return status == RMP_OK ? RMP_OK : rmp_queue_server_fail(queue, status);
}
