/* What the files of mpi/ share: bounded waiting, and the communicator behind a world. Not for other folders. */
#pragma once

#include "mpi/cpus.h"
#include "mpi/world.h"

#include <mpi.h>

typedef struct rmp_comm { /* an rmp_world is the first member of one of these */
    rmp_world world;
    MPI_Comm node;       /* the ranks of this machine */
    int message_max;     /* bytes of one MPI message */
    char (*hosts)[128];  /* (size) */
    rmp_cpus allowed;    /* processors that this rank may use */
    int sharers, sharer; /* ranks of this machine with the same `allowed`, and this rank's place among them */
    bool bind;           /* the user did not forbid binding */
    double beat_at;      /* when the next sign of life may be sent */
    int queues;          /* made so far: each has its own tags */
    void *given_up;      /* by a broadcast that did not end */
    bool broken;         /* a collective call was left unfinished: no further one can work */
} rmp_comm;

static inline rmp_comm *rmp_comm_of(rmp_world *world) { return (rmp_comm *)world; }

/* RMP_ERR_COMM with MPI's reason unless code is MPI_SUCCESS. */
rmp_status rmp_comm_check(int code, const char *what) RMP_MUST_CHECK;

enum { RMP_TAG_BEAT = 1 }; /* of rmp_world_beat; work queues use others */

/* Seconds of the monotonic clock. */
double rmp_comm_now(void);

/* Time without a sign of life. Only time in which this rank was awake counts: of a gap between two looks (a long step,
 * a suspended job) at most an eighth of the limit, so that a rank which was away first reads its mail. */
typedef struct rmp_silence {
    double last, silent;
} rmp_silence;
void rmp_silence_reset(rmp_silence *silence);
/* True when it is longer than `limit` seconds. */
bool rmp_silence_over(rmp_silence *silence, double limit);

/* Sleep between two looks: none at first, then 50 microseconds, doubling to `longest` seconds. */
typedef struct rmp_backoff {
    int looks;
    double longest;
} rmp_backoff;
enum { RMP_BACKOFF_SPINS = 200 };
void rmp_backoff_sleep(rmp_backoff *backoff);

/* Waits for a request, at most the world's timeout since the last sign of life of any rank; bytes: of the message, for
 * the pace of looking. */
rmp_status rmp_comm_wait(rmp_comm *comm, MPI_Request *request, size_t bytes, const char *what) RMP_MUST_CHECK;
