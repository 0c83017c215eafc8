/* What every command that works on a job starts with, on every rank: the job file, threads, the device, the task. */
#pragma once

#include "gpu/share.h"
#include "jobs/options.h"
#include "jobs/restorer.h"
#include "jobs/task.h"
#include "mpi/world.h"

typedef struct rmp_session {
    rmp_world *world; /* borrowed; set before open */
    rmp_job *job;
    int threads;       /* of this rank */
    int64_t budget;    /* bytes that this rank may take for the job */
    int64_t available; /* what it may take where a job does not say how much; 0: not looked at */
    rmp_share *share;  /* of the device's weights with the other ranks of this machine; NULL: none */
    rmp_device *device;
    rmp_task *task;
} rmp_session;

/* Collective. Rank 0 reads the job file and sends it to all. `set`: overrides; threads: 0 = the rank's share. */
rmp_status rmp_session_open(rmp_session *session, const char *path, const rmp_text_list *set,
                            int threads) RMP_MUST_CHECK;
/* Collective, the first step of a session that goes through several jobs. timeout: seconds without a sign of life,
 * unless RMP_TIMEOUT says otherwise; network: whether any of the jobs has a network, whose weights ranks of a machine
 * share. */
rmp_status rmp_session_start(rmp_session *session, double timeout, bool network, int threads) RMP_MUST_CHECK;
/* Goes on with another job (taken, also if it fails): device and network stay where they are the same. *restorer (may
 * be NULL) is changed to it, or destroyed if the device is another one. */
rmp_status rmp_session_switch(rmp_session *session, rmp_job *job, rmp_restorer **restorer) RMP_MUST_CHECK;
/* "auto", "cpu", ...: for rmp_device_request. */
const char *rmp_session_device_kind(const rmp_job *job);
void rmp_session_close(rmp_session *session);

/* Collective. `data` of rank 0 to all. */
rmp_status rmp_session_share(rmp_world *world, void *data, size_t size) RMP_MUST_CHECK;
