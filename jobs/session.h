/* What every command that works on a job starts with, on every rank: the job file, threads, the device, the task. */
#pragma once

#include "gpu/share.h"
#include "jobs/options.h"
#include "jobs/task.h"
#include "mpi/world.h"

typedef struct rmp_session {
    rmp_world *world; /* borrowed; set before open */
    rmp_job *job;
    int threads;      /* of this rank */
    int64_t budget;   /* bytes that this rank may take */
    rmp_share *share; /* of the device's weights with the other ranks of this machine; NULL: none */
    rmp_device *device;
    rmp_task *task;
} rmp_session;

/* Collective. Rank 0 reads the job file and sends it to all. `set`: overrides; threads: 0 = the rank's share. */
rmp_status rmp_session_open(rmp_session *session, const char *path, const rmp_text_list *set,
                            int threads) RMP_MUST_CHECK;
void rmp_session_close(rmp_session *session);

/* Collective. `data` of rank 0 to all. */
rmp_status rmp_session_share(rmp_world *world, void *data, size_t size) RMP_MUST_CHECK;
