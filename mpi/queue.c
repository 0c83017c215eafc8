#include "mpi/queue.h"

#include "core/log.h"
#include "mpi/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messages of one queue; the tag is the first tag of the queue plus one of these. */
enum kind {
    TO_SERVER_ALIVE,   /* nothing */
    TO_SERVER_REQUEST, /* nothing */
    TO_SERVER_RESULT,  /* bytes */
    TO_SERVER_FAIL,    /* failure_message */
    TO_SERVER_DONE,    /* int64_t: results that were sent */
    TO_WORKER_CHUNK,   /* bytes, or nothing at all: no more work */
    TO_WORKER_ALIVE,   /* nothing */
    TO_WORKER_ABORT,   /* failure_message */
    TO_WORKER_END,     /* nothing: all ranks are finished */
    PART,              /* the rest of a large message */
    KINDS
};
/* Tags of queues made one after another differ, so that a late sign of life cannot reach the next one. */
enum { FIRST_TAG = 64, GENERATIONS = 1000, FAILURE_TEXT = 2048 };
static const double BEAT_SECONDS = 1, FAREWELL_SECONDS = 10;

typedef struct failure_message {
    int32_t code;
    char text[FAILURE_TEXT];
} failure_message;

typedef struct peer { /* of rank 0: one of the others */
    rmp_silence silence;
    rmp_outgoing chunk;
    MPI_Request beat;
    int64_t results, announced; /* results: received; announced: sent, -1 until it is done */
} peer;

struct rmp_queue {
    rmp_comm *comm;
    rmp_queue_server server;
    int tag;
    rmp_status failed;
    failure_message failure, told; /* of this rank; as it is told to the others */
    bool drained;                  /* no more work for this rank; on rank 0: for any */
    double beat_at;                /* when the next sign of life is due */

    peer *peers;  /* rank 0: (size), [0] unused */
    bool serving; /* rank 0: in a callback, which may call poll */
    double judge_at;

    void *chunk; /* others: came ahead */
    size_t chunk_size;
    bool have_chunk, ended;
    rmp_outgoing result;
    int64_t results;
    MPI_Request request, beat, done;
    rmp_silence silence; /* of rank 0, while this rank waits for it */
};

static bool is_server(const rmp_queue *queue) { return queue->comm->world.rank == 0; }

static double beat_seconds(const rmp_queue *queue)
{
    double quarter = queue->comm->world.timeout / 4;
    return quarter < BEAT_SECONDS ? quarter : BEAT_SECONDS;
}

static rmp_status known_failure(const rmp_queue *queue)
{
    return queue->failed == RMP_OK ? RMP_OK : RMP_FAIL(queue->failed, "%s", queue->failure.text);
}

/* Keeps the failure for all later calls. */
static rmp_status keep_failure(rmp_queue *queue, rmp_status failed, const char *text)
{
    queue->failed = failed;
    snprintf(queue->failure.text, sizeof queue->failure.text, "%s", text);
    return known_failure(queue);
}

static rmp_status send_empty(rmp_queue *queue, int rank, enum kind kind, MPI_Request *request)
{
    return rmp_comm_check(MPI_Isend(NULL, 0, MPI_BYTE, rank, queue->tag + (int)kind, MPI_COMM_WORLD, request),
                          "sending to another rank");
}

/* A small message of that kind from `rank`, if one is there. *source: whose, or -1. */
static rmp_status receive_small(rmp_queue *queue, int rank, enum kind kind, void *bytes, int size, int *source)
{
    static const char what[] = "receiving from another rank";
    int there = 0;
    MPI_Message message;
    MPI_Status found;
    *source = -1;
    RMP_TRY(rmp_comm_check(MPI_Improbe(rank, queue->tag + (int)kind, MPI_COMM_WORLD, &there, &message, &found), what));
    if (!there) return RMP_OK;
    *source = found.MPI_SOURCE;
    return rmp_comm_check(MPI_Mrecv(bytes, size, MPI_BYTE, &message, MPI_STATUS_IGNORE), what);
}

static rmp_status receive_large(rmp_queue *queue, int rank, enum kind kind, void **bytes, size_t *size, int *source)
{
    int there = 0;
    MPI_Message message;
    MPI_Status found;
    *source = -1;
    RMP_TRY(rmp_comm_check(MPI_Improbe(rank, queue->tag + (int)kind, MPI_COMM_WORLD, &there, &message, &found),
                           "receiving from another rank"));
    if (!there) return RMP_OK;
    *source = found.MPI_SOURCE;
    return rmp_message_receive(queue->comm, queue->tag + PART, &message, &found, bytes, size);
}

/* ---- rank 0 ---- */

/* Sends to every other rank and waits a little; a lost one must not keep rank 0. */
static void tell_all(rmp_queue *queue, enum kind kind, const void *bytes, int size, int except)
{
    int ranks = queue->comm->world.size;
    MPI_Request *requests = malloc((size_t)ranks * sizeof *requests);
    if (!requests) return; /* they will notice the silence */
    int count = 0;
    for (int rank = 1; rank < ranks; rank++)
        if (rank != except && MPI_Isend(bytes, size, MPI_BYTE, rank, queue->tag + (int)kind, MPI_COMM_WORLD,
                                        &requests[count]) == MPI_SUCCESS)
            count++;
    rmp_backoff backoff = {0};
    double limit = queue->comm->world.timeout < FAREWELL_SECONDS ? queue->comm->world.timeout : FAREWELL_SECONDS;
    double end = rmp_comm_now() + limit;
    int all = 0;
    while (!all && rmp_comm_now() < end) {
        if (MPI_Testall(count, requests, &all, MPI_STATUSES_IGNORE) != MPI_SUCCESS) break;
        if (!all) rmp_backoff_sleep(&backoff);
    }
    if (!all) RMP_LOG_WARN("queue", "a rank does not take messages");
    if (all) free(requests);
}

/* Rank 0 ends the job: keeps the failure and tells it to all but `except`. */
static rmp_status server_fail(rmp_queue *queue, rmp_status failed, const char *text, int except)
{
    queue->told.code = (int32_t)failed;
    snprintf(queue->told.text, sizeof queue->told.text, "%s", text);
    tell_all(queue, TO_WORKER_ABORT, &queue->told, sizeof queue->told, except);
    return keep_failure(queue, failed, text);
}

/* The same for a failure of rank 0 itself, of which this thread's trail tells. */
static rmp_status server_fail_here(rmp_queue *queue, rmp_status failed)
{
    queue->failed = failed;
    snprintf(queue->failure.text, sizeof queue->failure.text, "%s", rmp_fail_message());
    queue->told.code = (int32_t)failed;
    snprintf(queue->told.text, sizeof queue->told.text, "rank 0 (%s): %.1900s", queue->comm->world.host,
             queue->failure.text);
    tell_all(queue, TO_WORKER_ABORT, &queue->told, sizeof queue->told, -1);
    return failed; /* the trail still holds the true place */
}

static rmp_status send_beats(rmp_queue *queue)
{
    double now = rmp_comm_now();
    if (now < queue->beat_at) return RMP_OK;
    queue->beat_at = now + beat_seconds(queue);
    for (int rank = 1; rank < queue->comm->world.size; rank++) {
        MPI_Request *beat = &queue->peers[rank].beat;
        int left = 1;
        if (*beat != MPI_REQUEST_NULL)
            RMP_TRY(rmp_comm_check(MPI_Test(beat, &left, MPI_STATUS_IGNORE), "sending to another rank"));
        if (left) RMP_TRY(send_empty(queue, rank, TO_WORKER_ALIVE, beat));
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
    peer *one = &queue->peers[rank];
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
    rmp_status status = rmp_message_send(queue->comm, rank, queue->tag + TO_WORKER_CHUNK, queue->tag + PART, message,
                                         total, &one->chunk);
    free(message);
    return status;
}

static rmp_status serve_results(rmp_queue *queue, bool *busy)
{
    for (int i = 1; i < queue->comm->world.size; i++) {
        int source;
        void *bytes;
        size_t size;
        RMP_TRY(receive_large(queue, MPI_ANY_SOURCE, TO_SERVER_RESULT, &bytes, &size, &source));
        if (source < 0) return RMP_OK;
        *busy = true;
        rmp_silence_reset(&queue->peers[source].silence);
        queue->peers[source].results++;
        rmp_status status = call_result(queue, source, bytes, size);
        free(bytes);
        RMP_TRY(status);
        RMP_TRY(send_beats(queue)); /* a result may take long to store */
    }
    return RMP_OK;
}

static rmp_status serve_requests(rmp_queue *queue, bool *busy)
{
    for (int i = 1; i < queue->comm->world.size; i++) {
        int source;
        RMP_TRY(receive_small(queue, MPI_ANY_SOURCE, TO_SERVER_REQUEST, NULL, 0, &source));
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
        RMP_TRY(receive_small(queue, MPI_ANY_SOURCE, TO_SERVER_ALIVE, NULL, 0, &source));
        if (source >= 0) rmp_silence_reset(&queue->peers[source].silence);
    } while (source >= 0);
    do {
        int64_t announced = 0;
        RMP_TRY(receive_small(queue, MPI_ANY_SOURCE, TO_SERVER_DONE, &announced, sizeof announced, &source));
        if (source >= 0) queue->peers[source].announced = announced;
    } while (source >= 0);
    return RMP_OK;
}

/* Finds ranks that gave no sign of life for too long; finished ones are no longer needed. */
static int find_lost(rmp_queue *queue)
{
    double now = rmp_comm_now();
    if (now < queue->judge_at) return -1;
    queue->judge_at = now + beat_seconds(queue) / 2;
    for (int rank = 1; rank < queue->comm->world.size; rank++) {
        peer *one = &queue->peers[rank];
        if (one->announced < 0 && rmp_silence_over(&one->silence, queue->comm->world.timeout)) return rank;
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

static rmp_status serve(rmp_queue *queue, bool *busy)
{
    *busy = false;
    if (queue->serving || queue->comm->world.size == 1) return RMP_OK;
    rmp_status status = serve_round(queue, busy);
    if (status != RMP_OK) return server_fail_here(queue, status);

    int source;
    failure_message failure;
    status = receive_small(queue, MPI_ANY_SOURCE, TO_SERVER_FAIL, &failure, sizeof failure, &source);
    if (status != RMP_OK) return server_fail_here(queue, status);
    if (source >= 0) return server_fail(queue, (rmp_status)failure.code, failure.text, source);

    int lost = find_lost(queue);
    if (lost < 0) return RMP_OK;
    char text[256];
    snprintf(text, sizeof text, "rank %d (%s) gave no sign of life for %g s", lost,
             rmp_world_host(&queue->comm->world, lost), queue->comm->world.timeout);
    return server_fail(queue, RMP_ERR_COMM, text, lost);
}

static bool all_done(const rmp_queue *queue)
{
    for (int rank = 1; rank < queue->comm->world.size; rank++)
        if (queue->peers[rank].announced < 0 || queue->peers[rank].results < queue->peers[rank].announced) return false;
    return true;
}

static rmp_status server_finish(rmp_queue *queue)
{
    rmp_backoff backoff = {0};
    while (!all_done(queue)) {
        bool busy;
        RMP_TRY(serve(queue, &busy));
        if (busy) backoff.looks = 0;
        rmp_backoff_sleep(&backoff);
    }
    tell_all(queue, TO_WORKER_END, NULL, 0, -1);
    return RMP_OK;
}

/* ---- the others ---- */

static rmp_status take_chunk(rmp_queue *queue, bool *heard)
{
    if (queue->have_chunk || queue->drained) return RMP_OK;
    int source;
    char *bytes;
    size_t size;
    RMP_TRY(receive_large(queue, 0, TO_WORKER_CHUNK, (void **)&bytes, &size, &source));
    if (source < 0) return RMP_OK;
    *heard = true;
    if (size == 0) {
        free(bytes);
        queue->drained = true;
        return RMP_OK;
    }
    memmove(bytes, bytes + 1, size - 1);
    queue->chunk = bytes;
    queue->chunk_size = size - 1;
    queue->have_chunk = true;
    return RMP_OK;
}

static rmp_status worker_poll(rmp_queue *queue)
{
    double now = rmp_comm_now();
    bool sent, heard = false;
    if (now >= queue->beat_at) {
        int left = 1;
        if (queue->beat != MPI_REQUEST_NULL)
            RMP_TRY(rmp_comm_check(MPI_Test(&queue->beat, &left, MPI_STATUS_IGNORE), "sending to rank 0"));
        if (left) RMP_TRY(send_empty(queue, 0, TO_SERVER_ALIVE, &queue->beat));
        queue->beat_at = now + beat_seconds(queue);
    }
    if (queue->result.parts > 0) RMP_TRY(rmp_message_sent(&queue->result, &sent));

    int source;
    failure_message failure;
    RMP_TRY(receive_small(queue, 0, TO_WORKER_ABORT, &failure, sizeof failure, &source));
    if (source >= 0) return keep_failure(queue, RMP_ERR_COMM, failure.text);
    do {
        RMP_TRY(receive_small(queue, 0, TO_WORKER_ALIVE, NULL, 0, &source));
        heard = heard || source >= 0;
    } while (source >= 0);
    RMP_TRY(take_chunk(queue, &heard));
    RMP_TRY(receive_small(queue, 0, TO_WORKER_END, NULL, 0, &source));
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
        RMP_TRY(worker_poll(queue));
        if (ready(queue)) return RMP_OK;
        if (rmp_silence_over(&queue->silence, queue->comm->world.timeout)) {
            char text[256];
            snprintf(text, sizeof text, "rank 0 (%s) gave no sign of life for %g s",
                     rmp_world_host(&queue->comm->world, 0), queue->comm->world.timeout);
            return keep_failure(queue, RMP_ERR_COMM, text);
        }
        rmp_backoff_sleep(&backoff);
    }
}

static rmp_status ask(rmp_queue *queue)
{
    RMP_TRY(rmp_comm_wait(queue->comm, &queue->request, 0, "asking rank 0 for work"));
    return send_empty(queue, 0, TO_SERVER_REQUEST, &queue->request);
}

static rmp_status worker_finish(rmp_queue *queue)
{
    RMP_TRY(worker_wait(queue, has_sent));
    RMP_TRY(rmp_comm_check(MPI_Isend(&queue->results, sizeof queue->results, MPI_BYTE, 0, queue->tag + TO_SERVER_DONE,
                                     MPI_COMM_WORLD, &queue->done),
                           "telling rank 0 the end"));
    return worker_wait(queue, has_ended);
}

/* ---- both ---- */

rmp_status rmp_queue_create(rmp_world *world, const rmp_queue_server *server, rmp_queue **out)
{
    *out = NULL;
    rmp_comm *comm = rmp_comm_of(world);
    rmp_status status = RMP_OK;
    rmp_queue *queue = calloc(1, sizeof *queue);
    peer *peers = world->rank == 0 ? calloc((size_t)world->size, sizeof *peers) : NULL;
    if (!queue || (world->rank == 0 && !peers)) status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for the work queue");
    if (status == RMP_OK && (world->rank == 0) != (server != NULL))
        status = RMP_FAIL(RMP_ERR_ARGUMENT, "rank 0, and no other, serves a work queue");
    status = rmp_world_agree(world, status);
    if (status != RMP_OK) {
        free(queue);
        free(peers);
        return status;
    }
    queue->comm = comm;
    queue->tag = FIRST_TAG + comm->queues++ % GENERATIONS * KINDS;
    queue->peers = peers;
    queue->request = queue->beat = queue->done = MPI_REQUEST_NULL;
    if (server) queue->server = *server;
    for (int rank = 0; rank < world->size && peers; rank++) {
        peers[rank].beat = MPI_REQUEST_NULL;
        peers[rank].announced = -1;
        rmp_silence_reset(&peers[rank].silence);
    }
    *out = queue;
    return world->rank == 0 ? RMP_OK : ask(queue);
}

void rmp_queue_destroy(rmp_queue **queue)
{
    if (!queue || !*queue) return;
    rmp_queue *old = *queue;
    *queue = NULL;
    rmp_message_abandon(&old->result);
    for (int rank = 1; rank < old->comm->world.size && old->peers; rank++) {
        rmp_message_abandon(&old->peers[rank].chunk);
        if (old->peers[rank].beat != MPI_REQUEST_NULL) MPI_Request_free(&old->peers[rank].beat);
    }
    if (old->request != MPI_REQUEST_NULL) MPI_Request_free(&old->request);
    if (old->beat != MPI_REQUEST_NULL) MPI_Request_free(&old->beat);
    free(old->peers);
    free(old->chunk);
    int left = 1;
    if (old->done != MPI_REQUEST_NULL) MPI_Test(&old->done, &left, MPI_STATUS_IGNORE);
    /* Messages that tell a failure are sent from the queue itself: it is given up if they could be on their way. */
    if (left && old->failed == RMP_OK) free(old);
}

/* A failure of the messages themselves: no later call can do better. */
static rmp_status keep_status(rmp_queue *queue, rmp_status status)
{
    if (status == RMP_OK || queue->failed != RMP_OK) return status;
    queue->failed = status;
    snprintf(queue->failure.text, sizeof queue->failure.text, "%s", rmp_fail_message());
    return status;
}

static rmp_status server_pull(rmp_queue *queue, void **bytes, size_t *size)
{
    bool busy;
    RMP_TRY(serve(queue, &busy));
    rmp_status status = call_next(queue, bytes, size);
    return status == RMP_OK ? RMP_OK : server_fail_here(queue, status);
}

static rmp_status worker_pull(rmp_queue *queue, void **bytes, size_t *size)
{
    RMP_TRY(worker_wait(queue, has_next));
    if (!queue->have_chunk) return RMP_OK;
    RMP_TRY(ask(queue));
    *bytes = queue->chunk;
    *size = queue->chunk_size;
    queue->chunk = NULL;
    queue->have_chunk = false;
    return RMP_OK;
}

rmp_status rmp_queue_pull(rmp_queue *queue, void **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    RMP_TRY(known_failure(queue));
    return keep_status(queue, is_server(queue) ? server_pull(queue, bytes, size) : worker_pull(queue, bytes, size));
}

static rmp_status server_push(rmp_queue *queue, const void *bytes, size_t size)
{
    rmp_status status = call_result(queue, 0, bytes, size);
    return status == RMP_OK ? RMP_OK : server_fail_here(queue, status);
}

static rmp_status worker_push(rmp_queue *queue, const void *bytes, size_t size)
{
    RMP_TRY(worker_wait(queue, has_sent));
    RMP_TRY(rmp_message_send(queue->comm, 0, queue->tag + TO_SERVER_RESULT, queue->tag + PART, bytes, size,
                             &queue->result));
    queue->results++;
    return RMP_OK;
}

rmp_status rmp_queue_push(rmp_queue *queue, const void *bytes, size_t size)
{
    RMP_TRY(known_failure(queue));
    return keep_status(queue, is_server(queue) ? server_push(queue, bytes, size) : worker_push(queue, bytes, size));
}

rmp_status rmp_queue_poll(rmp_queue *queue)
{
    RMP_TRY(known_failure(queue));
    bool busy;
    return keep_status(queue, is_server(queue) ? serve(queue, &busy) : worker_poll(queue));
}

rmp_status rmp_queue_fail(rmp_queue *queue, rmp_status failure)
{
    if (queue->failed != RMP_OK || failure == RMP_OK) return failure;
    if (is_server(queue)) return server_fail_here(queue, failure);
    keep_status(queue, failure);
    queue->told.code = (int32_t)failure;
    snprintf(queue->told.text, sizeof queue->told.text, "rank %d (%s): %.1900s", queue->comm->world.rank,
             queue->comm->world.host, queue->failure.text);
    MPI_Request request = MPI_REQUEST_NULL;
    rmp_status told = rmp_comm_check(
        MPI_Isend(&queue->told, sizeof queue->told, MPI_BYTE, 0, queue->tag + TO_SERVER_FAIL, MPI_COMM_WORLD, &request),
        "telling rank 0 a failure");
    if (told == RMP_OK) told = rmp_comm_wait(queue->comm, &request, 0, "telling rank 0 a failure");
    if (told == RMP_OK) return failure;
    RMP_LOG_WARN("queue", "%s", rmp_fail_message());
    return known_failure(queue);
}

rmp_status rmp_queue_finish(rmp_queue *queue)
{
    RMP_TRY(known_failure(queue));
    RMP_CHECK(queue->drained && !queue->have_chunk, RMP_ERR_ARGUMENT, "the queue is finished before it is empty");
    if (queue->comm->world.size == 1) return RMP_OK;
    return keep_status(queue, is_server(queue) ? server_finish(queue) : worker_finish(queue));
}
