#include "mpi/queue.h"

#include "mpi/queue_state.h"

#include <stdio.h>
#include <stdlib.h>

/* Tags of queues made one after another differ, so that a late sign of life cannot reach the next one. */
enum { FIRST_TAG = 64, GENERATIONS = 1000 };
static const double BEAT_SECONDS = 1;

static bool is_server(const rmp_queue *queue) { return queue->comm->world.rank == 0; }

double rmp_queue_beat_seconds(const rmp_queue *queue)
{
    double quarter = queue->comm->world.timeout / 4;
    return quarter < BEAT_SECONDS ? quarter : BEAT_SECONDS;
}

rmp_status rmp_queue_known_failure(const rmp_queue *queue)
{
    return queue->failed == RMP_OK ? RMP_OK : RMP_FAIL(queue->failed, "%s", queue->failure.text);
}

/* Keeps the failure for all later calls. */
rmp_status rmp_queue_keep_failure(rmp_queue *queue, rmp_status failed, const char *text)
{
    queue->failed = failed;
    snprintf(queue->failure.text, sizeof queue->failure.text, "%s", text);
    return rmp_queue_known_failure(queue);
}

rmp_status rmp_queue_send_empty(rmp_queue *queue, int rank, enum rmp_queue_kind kind, MPI_Request *request)
{
    return rmp_comm_check(MPI_Isend(NULL, 0, MPI_BYTE, rank, queue->tag + (int)kind, MPI_COMM_WORLD, request),
                          "sending to another rank");
}

/* A small message of that kind from `rank`, if one is there. *source: whose, or -1. */
rmp_status rmp_queue_receive_small(rmp_queue *queue, int rank, enum rmp_queue_kind kind, void *bytes, int size,
                                   int *source)
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

rmp_status rmp_queue_create(rmp_world *world, const rmp_queue_server *server, rmp_queue **out)
{
    *out = NULL;
    rmp_comm *comm = rmp_comm_of(world);
    rmp_status status = RMP_OK;
    rmp_queue *queue = calloc(1, sizeof *queue);
    rmp_queue_peer *peers = world->rank == 0 ? calloc((size_t)world->size, sizeof *peers) : NULL;
    if (!queue || (world->rank == 0 && !peers)) status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for the work queue");
    if (status == RMP_OK && (world->rank == 0) != (server != NULL))
        status = RMP_FAIL(RMP_ERR_ARGUMENT, "rank 0, and no other, serves a work queue");
    status = rmp_world_agree(world, status);
    if (status != RMP_OK || !queue) { /* the same: no queue is a failure of this rank */
        free(queue);
        free(peers);
        return status;
    }
    queue->comm = comm;
    queue->tag = FIRST_TAG + comm->queues++ % GENERATIONS * RMP_QUEUE_KINDS;
    queue->peers = peers;
    queue->request = queue->beat = queue->done = MPI_REQUEST_NULL;
    if (server) queue->server = *server;
    for (int rank = 0; rank < world->size && peers; rank++) {
        peers[rank].beat = peers[rank].farewell = MPI_REQUEST_NULL;
        peers[rank].announced = -1;
        rmp_silence_reset(&peers[rank].silence);
    }
    *out = queue;
    return world->rank == 0 ? RMP_OK : rmp_queue_worker_start(queue);
}

void rmp_queue_destroy(rmp_queue **queue)
{
    if (!queue || !*queue) return;
    rmp_queue *old = *queue;
    *queue = NULL;
    rmp_message_abandon(&old->result);
    for (int rank = 1; rank < old->comm->world.size && old->peers; rank++) {
        rmp_message_abandon(&old->peers[rank].chunk);
        rmp_message_drop(&old->peers[rank].result);
        if (old->peers[rank].beat != MPI_REQUEST_NULL) MPI_Request_free(&old->peers[rank].beat);
    }
    if (old->request != MPI_REQUEST_NULL) MPI_Request_free(&old->request);
    if (old->beat != MPI_REQUEST_NULL) MPI_Request_free(&old->beat);
    free(old->peers);
    rmp_message_drop(&old->chunk);
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

rmp_status rmp_queue_pull(rmp_queue *queue, void **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    RMP_TRY(rmp_queue_known_failure(queue));
    return keep_status(queue, is_server(queue) ? rmp_queue_server_pull(queue, bytes, size)
                                               : rmp_queue_worker_pull(queue, bytes, size));
}

rmp_status rmp_queue_push(rmp_queue *queue, const void *bytes, size_t size)
{
    RMP_TRY(rmp_queue_known_failure(queue));
    return keep_status(queue, is_server(queue) ? rmp_queue_server_push(queue, bytes, size)
                                               : rmp_queue_worker_push(queue, bytes, size));
}

rmp_status rmp_queue_poll(rmp_queue *queue)
{
    RMP_TRY(rmp_queue_known_failure(queue));
    bool busy;
    return keep_status(queue, is_server(queue) ? rmp_queue_serve(queue, &busy) : rmp_queue_worker_poll(queue));
}

rmp_status rmp_queue_fail(rmp_queue *queue, rmp_status failure)
{
    if (queue->failed != RMP_OK || failure == RMP_OK) return failure;
    return is_server(queue) ? rmp_queue_server_fail(queue, failure) : rmp_queue_worker_fail(queue, failure);
}

rmp_status rmp_queue_finish(rmp_queue *queue)
{
    RMP_TRY(rmp_queue_known_failure(queue));
    RMP_CHECK(queue->drained && !queue->have_chunk, RMP_ERR_ARGUMENT, "the queue is finished before it is empty");
    if (queue->comm->world.size == 1) return RMP_OK;
    return keep_status(queue, is_server(queue) ? rmp_queue_server_finish(queue) : rmp_queue_worker_finish(queue));
}
