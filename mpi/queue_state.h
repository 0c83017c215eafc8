/* What queue.c, queue_server.c (rank 0) and queue_worker.c (the others) share. Not for other folders. */
#pragma once

#include "mpi/message.h"
#include "mpi/queue.h"

/* Messages of one queue; the tag is the first tag of the queue plus one of these. */
enum rmp_queue_kind {
    RMP_QUEUE_ALIVE,   /* to rank 0: nothing */
    RMP_QUEUE_REQUEST, /* to rank 0: nothing */
    RMP_QUEUE_RESULT,  /* to rank 0: bytes */
    RMP_QUEUE_FAIL,    /* to rank 0: rmp_queue_failure */
    RMP_QUEUE_DONE,    /* to rank 0: int64_t, results that were sent */
    RMP_QUEUE_CHUNK,   /* to the others: one byte and the chunk, or nothing at all: no more work */
    RMP_QUEUE_SERVING, /* to the others: nothing, rank 0 is alive */
    RMP_QUEUE_ABORT,   /* to the others: rmp_queue_failure */
    RMP_QUEUE_END,     /* to the others: nothing, all ranks are finished */
    RMP_QUEUE_PART,    /* the rest of a large message */
    RMP_QUEUE_KINDS
};
enum { RMP_QUEUE_FAILURE_TEXT = 2048 };

typedef struct rmp_queue_failure {
    int32_t code;
    char text[RMP_QUEUE_FAILURE_TEXT];
} rmp_queue_failure;

typedef struct rmp_queue_peer { /* of rank 0: one of the others */
    rmp_silence silence;
    rmp_outgoing chunk;
    rmp_incoming result;
    MPI_Request beat, farewell;
    int64_t results, announced; /* results: received; announced: sent, -1 until it is done */
} rmp_queue_peer;

struct rmp_queue {
    rmp_comm *comm;
    int tag;
    rmp_status failed;
    rmp_queue_failure failure, told; /* of this rank; as it is told to the others, kept while it is on its way */
    bool drained;                    /* no more work for this rank; on rank 0: for any */
    double beat_at;                  /* when the next sign of life is due */

    rmp_queue_server server; /* rank 0, to `arriving` */
    rmp_queue_peer *peers;   /* (size), [0] unused */
    bool serving;            /* in a callback, which may call poll */
    double judge_at;         /* when lost ranks are looked for */
    int arriving;            /* results that are on their way */

    rmp_incoming chunk; /* the others, from here on: came ahead, or is coming */
    bool have_chunk, ended;
    rmp_outgoing result;
    int64_t results; /* sent */
    MPI_Request request, beat, done;
    rmp_silence silence; /* of rank 0, while this rank waits for it */
};

/* The failure that was kept, again. */
rmp_status rmp_queue_known_failure(const rmp_queue *queue);
/* Keeps a failure for all later calls; returns it. */
rmp_status rmp_queue_keep_failure(rmp_queue *queue, rmp_status failed, const char *text);
/* Seconds between two signs of life. */
double rmp_queue_beat_seconds(const rmp_queue *queue);
rmp_status rmp_queue_send_empty(rmp_queue *queue, int rank, enum rmp_queue_kind kind,
                                MPI_Request *request) RMP_MUST_CHECK;
/* A small message of that kind from `rank`, if one is there. *source: whose, or -1. */
rmp_status rmp_queue_receive_small(rmp_queue *queue, int rank, enum rmp_queue_kind kind, void *bytes, int size,
                                   int *source) RMP_MUST_CHECK;

/* Rank 0. *busy: something was done. Failures have been told to the others. */
rmp_status rmp_queue_serve(rmp_queue *queue, bool *busy) RMP_MUST_CHECK;
rmp_status rmp_queue_server_pull(rmp_queue *queue, void **bytes, size_t *size) RMP_MUST_CHECK;
rmp_status rmp_queue_server_push(rmp_queue *queue, const void *bytes, size_t size) RMP_MUST_CHECK;
rmp_status rmp_queue_server_finish(rmp_queue *queue) RMP_MUST_CHECK;
/* Tells the others a failure of rank 0 itself, of which this thread's trail holds the sentence; returns it. */
rmp_status rmp_queue_server_fail(rmp_queue *queue, rmp_status failed);

/* The others. */
rmp_status rmp_queue_worker_start(rmp_queue *queue) RMP_MUST_CHECK;
rmp_status rmp_queue_worker_poll(rmp_queue *queue) RMP_MUST_CHECK;
rmp_status rmp_queue_worker_pull(rmp_queue *queue, void **bytes, size_t *size) RMP_MUST_CHECK;
rmp_status rmp_queue_worker_push(rmp_queue *queue, const void *bytes, size_t size) RMP_MUST_CHECK;
rmp_status rmp_queue_worker_finish(rmp_queue *queue) RMP_MUST_CHECK;
rmp_status rmp_queue_worker_fail(rmp_queue *queue, rmp_status failed);
