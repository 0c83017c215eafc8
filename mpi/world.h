/* Ranks: start-up, threads, agreement. One process is one rank; without mpirun there is one rank. Waits are bounded by
 * the world's timeout. MPI types stay inside mpi/. */
#pragma once

#include "core/status.h"

typedef struct rmp_world {
    int rank, size;
    int local_rank, local_size; /* on this machine */
    char host[128];
    double timeout; /* seconds without an answer after which a peer counts as lost; RMP_TIMEOUT, else 600; may be
                       changed (to the same value on every rank) */
} rmp_world;

/* Collective. Sets MPI_ERRORS_RETURN. Once a process. Environment: RMP_TIMEOUT (seconds), RMP_MESSAGE_MAX (bytes of the
 * largest single MPI message, default and maximum 1 GiB; for transports that have a smaller limit). Rank 0's hold for
 * all. *out is NULL only if MPI itself could not start; after another failure too it has to be stopped. */
rmp_status rmp_world_start(int *argc, char ***argv, rmp_world **out) RMP_MUST_CHECK;
/* Collective. Ends MPI in bounded time. After a lost peer MPI_Finalize is left out, which makes the launcher end the
 * other ranks when this process exits. */
void rmp_world_stop(rmp_world **world);
/* Not collective: ends all ranks with this exit code at once. Only jobs/main.c calls it. */
void rmp_world_abort(rmp_world *world, int code) __attribute__((noreturn));

/* Name of the machine of any rank; owned by the world. */
const char *rmp_world_host(const rmp_world *world, int rank);

/* Threads for this rank, its share of the cores of its machine, and binds the process to that share: ranks that are
 * allowed the same processors divide them, whole cores each. mpirun binds ranks to single cores by default, which is
 * undone here unless the user asked for a binding (--bind-to, --cpu-set, pe=, a rank file, Slurm). The number is
 * `requested` if > 0, else OMP_NUM_THREADS, else the cores of the share within the processor quota of the cgroup.
 * Call it before OpenMP or BLAS start threads: they inherit the binding, and the caller hands the number to them. */
rmp_status rmp_world_threads(rmp_world *world, int requested, int *threads) RMP_MUST_CHECK;

/* Collective. Every rank gets the same status: RMP_OK only if all passed RMP_OK; else that of the lowest failing rank,
 * with its message. Call it before a collective step that depends on local success. */
rmp_status rmp_world_agree(rmp_world *world, rmp_status mine) RMP_MUST_CHECK;

/* Collective. Bytes of rank 0 to all; on other ranks *bytes is allocated (free). Any size. */
rmp_status rmp_world_broadcast(rmp_world *world, void **bytes, size_t *size) RMP_MUST_CHECK;

/* Not collective. A sign of life for ranks that wait in a collective call: call it during long work before one, such as
 * looking at a million files. At most one a second is sent, so call it as often as you like. */
rmp_status rmp_world_beat(rmp_world *world) RMP_MUST_CHECK;

/* Collective for the ranks of this machine: bytes of its local rank 0 to all, at most RMP_WORLD_LOCAL; a sum. */
enum { RMP_WORLD_LOCAL = 256 };
rmp_status rmp_world_local_broadcast(rmp_world *world, void *bytes, size_t size) RMP_MUST_CHECK;
rmp_status rmp_world_local_sum(rmp_world *world, int64_t mine, int64_t *sum) RMP_MUST_CHECK;

/* Collective. Smallest and largest of one number a rank. */
rmp_status rmp_world_min_max(rmp_world *world, int64_t mine, int64_t *min, int64_t *max) RMP_MUST_CHECK;
