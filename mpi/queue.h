/* Work queue: ranks pull chunks from rank 0, one ahead, so that waiting is hidden; results go back the same way. Rank 0
 * serves between the steps of its own work and computes too. Messages are bytes; what they mean is the caller's.
 * Results are handled before requests. Every wait gives signs of life and is bounded by the world's timeout, counted in
 * time that this rank itself was awake: a job that was suspended as a whole loses no rank. After the first failure
 * every call returns it again. Functions are not collective unless they say so. */
#pragma once

#include "mpi/world.h"

typedef struct rmp_queue rmp_queue;

typedef struct rmp_queue_server { /* what rank 0 does; called on rank 0's main thread only */
    void *context;
    /* The next chunk: *bytes allocated (taken by the queue), or NULL when there is none left. */
    rmp_status (*next)(void *context, void **bytes, size_t *size);
    /* One finished chunk of `rank`; bytes are borrowed. */
    rmp_status (*result)(void *context, int rank, const void *bytes, size_t size);
} rmp_queue_server;

/* Collective. `server` on rank 0, NULL elsewhere. */
rmp_status rmp_queue_create(rmp_world *world, const rmp_queue_server *server, rmp_queue **out) RMP_MUST_CHECK;
void rmp_queue_destroy(rmp_queue **queue);

/* The next chunk for this rank (owned by the caller), and asks for the one after it; *bytes NULL: no more work. */
rmp_status rmp_queue_pull(rmp_queue *queue, void **bytes, size_t *size) RMP_MUST_CHECK;
/* Hands in a finished chunk (copied). At most one result of a rank is on its way: waits until the former one has left,
 * which bounds the memory on both sides. */
rmp_status rmp_queue_push(rmp_queue *queue, const void *bytes, size_t size) RMP_MUST_CHECK;
/* Call between steps. Rank 0: serves what has arrived, notices lost ranks. Others: a sign of life, and sends go on.
 * Cheap. */
rmp_status rmp_queue_poll(rmp_queue *queue) RMP_MUST_CHECK;
/* This rank cannot go on: tells all others the code and this thread's failure message, so that the job ends quickly
 * with the true reason. Rank 0 gets `failure` with "rank 2 (host): message" from its next call, the others RMP_ERR_COMM
 * with the same text. Returns `failure` when it is told (or the world's timeout is over); nothing else may be called on
 * this queue then but destroy. A failing callback of the server does the same by itself. */
rmp_status rmp_queue_fail(rmp_queue *queue, rmp_status failure);
/* Collective, after pull returned NULL. Rank 0 serves until every rank is finished. Bounded: a rank that gives no sign
 * of life for the world's timeout is RMP_ERR_COMM with its number; so is rank 0's silence for the others. */
rmp_status rmp_queue_finish(rmp_queue *queue) RMP_MUST_CHECK;
