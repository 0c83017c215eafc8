#include "jobs/session.h"

#include "core/log.h"
#include "gpu/devices.h"
#include "jobs/budget.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rank 0's job as text, for all; the text has every default and absolute paths. */
static rmp_status share_job(rmp_session *s, const char *path, const rmp_text_list *set)
{
    rmp_world *world = s->world;
    char *text = NULL;
    rmp_status status = RMP_OK;
    if (world->rank == 0) {
        status = rmp_job_read(path, set->count, set->item, &s->job);
        if (status == RMP_OK) status = rmp_job_text(s->job, &text);
    }
    status = rmp_world_agree(world, status);
    void *bytes = text;
    size_t size = text != NULL ? strlen(text) : 0;
    if (status == RMP_OK) status = rmp_world_broadcast(world, &bytes, &size);
    if (status == RMP_OK) {
        status = rmp_world_agree(world, world->rank == 0 ? RMP_OK : rmp_job_parse(bytes, size, "job", &s->job));
    }
    free(bytes);
    return status;
}

/* Collective. A rank that cannot take part keeps weights of its own. */
static rmp_status open_share(rmp_session *s)
{
    rmp_world *world = s->world;
    char address[RMP_SHARE_ADDRESS] = "";
    int64_t sharing;
    if (world->local_size == 1) return RMP_OK;
    rmp_status status = RMP_OK;
    if (world->local_rank == 0) {
        status = rmp_share_create(&s->share);
        if (status == RMP_OK) snprintf(address, sizeof address, "%s", rmp_share_address(s->share));
    }
    RMP_TRY(rmp_world_local_broadcast(world, address, sizeof address));
    if (world->local_rank != 0 && address[0] != '\0') status = rmp_share_open(address, &s->share);
    if (status != RMP_OK) {
        RMP_LOG_INFO("session", "weights are not shared with the other ranks of this node: %s", rmp_fail_message());
        rmp_fail_clear();
    }
    RMP_TRY(rmp_world_local_sum(world, s->share != NULL, &sharing));
    if (sharing < 2) rmp_share_destroy(&s->share);
    if (s->share != NULL) rmp_share_set_ranks(s->share, (int)sharing);
    return RMP_OK;
}

const char *rmp_session_device_kind(const rmp_job *job)
{
    static const char *const kinds[] = {"auto", "cpu", "cuda", "reference"};
    return kinds[job->device];
}

static rmp_status find_budget(rmp_session *s, const rmp_job *job)
{
    s->budget = job->memory;
    if (job->memory > 0) return RMP_OK;
    /* Once: what this rank itself takes from now on is part of it. */
    if (s->available == 0) RMP_TRY(rmp_budget_bytes(job, s->world, &s->available));
    s->budget = s->available;
    return RMP_OK;
}

rmp_status rmp_session_start(rmp_session *session, double timeout, bool network, int threads)
{
    rmp_world *world = session->world;
    /* Rank 0's environment holds for all, as in mpi/world: a launcher does not hand it to other machines. */
    int64_t given, least;
    RMP_TRY(rmp_world_min_max(world, world->rank == 0 && getenv("RMP_TIMEOUT") != NULL, &least, &given));
    if (given == 0) world->timeout = timeout;
    RMP_TRY(rmp_world_agree(world, rmp_world_threads(world, threads, &session->threads)));
    return rmp_world_agree(world, network ? open_share(session) : RMP_OK);
}

/* The former job and its task, after nothing needs them any more. */
static void leave(rmp_task **task, rmp_job **job)
{
    rmp_task_close(task);
    rmp_job_free(job);
}

rmp_status rmp_session_switch(rmp_session *session, rmp_job *job, rmp_restorer **restorer)
{
    rmp_session *s = session;
    rmp_task *former = s->task;
    rmp_job *former_job = s->job;
    s->job = job;
    s->task = NULL;
    if (s->device != NULL && strcmp(rmp_session_device_kind(former_job), rmp_session_device_kind(job)) != 0) {
        if (restorer != NULL && *restorer != NULL) rmp_restorer_destroy(restorer);
        leave(&former, &former_job);
        rmp_device_destroy(&s->device);
    }
    rmp_status status = find_budget(s, job);
    if (status == RMP_OK && s->device == NULL) {
        const rmp_device_request request = {.kind = rmp_session_device_kind(job),
                                            .threads = s->threads,
                                            .local_rank = s->world->local_rank,
                                            .memory_limit = s->budget,
                                            .share = s->share};
        status = rmp_device_create(&request, &s->device);
    }
    if (status == RMP_OK) {
        s->device->memory_limit = s->budget;
        status = rmp_task_open_next(job, s->device, former, &s->task);
    }
    if (restorer != NULL && *restorer != NULL) {
        if (status == RMP_OK) {
            rmp_restorer_change(*restorer, s->task, s->budget);
        } else {
            rmp_restorer_destroy(restorer);
        }
    }
    leave(&former, &former_job);
    return status;
}

rmp_status rmp_session_open(rmp_session *session, const char *path, const rmp_text_list *set, int threads)
{
    rmp_world *world = session->world;
    RMP_TRY(share_job(session, path, set));
    rmp_job *job = session->job;
    session->job = NULL;
    rmp_status status = rmp_session_start(session, job->timeout, job->prior.kind == RMP_PRIOR_NETWORK, threads);
    if (status != RMP_OK) {
        rmp_job_free(&job);
        return status;
    }
    return rmp_world_agree(world, rmp_session_switch(session, job, NULL));
}

void rmp_session_close(rmp_session *session)
{
    rmp_task_close(&session->task);
    rmp_device_destroy(&session->device);
    rmp_share_destroy(&session->share);
    rmp_job_free(&session->job);
}

rmp_status rmp_session_share(rmp_world *world, void *data, size_t size)
{
    void *bytes = NULL;
    size_t length = size;
    rmp_status status = RMP_OK;
    if (world->rank == 0) {
        bytes = malloc(size);
        if (bytes == NULL) {
            status = RMP_FAIL(RMP_ERR_MEMORY, "no memory to share %zu bytes", size);
        } else {
            memcpy(bytes, data, size);
        }
    }
    status = rmp_world_agree(world, status);
    if (status == RMP_OK) status = rmp_world_broadcast(world, &bytes, &length);
    if (status == RMP_OK && world->rank != 0) memcpy(data, bytes, size);
    free(bytes);
    return status;
}
