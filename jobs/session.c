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
    if (world->local_size == 1 || s->job->prior.kind != RMP_PRIOR_NETWORK) return RMP_OK;
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

static rmp_status open_device(rmp_session *s)
{
    static const char *const kinds[] = {"auto", "cpu", "cuda", "reference"};
    RMP_TRY(rmp_budget_bytes(s->job, s->world, &s->budget));
    const rmp_device_request request = {.kind = kinds[s->job->device],
                                        .threads = s->threads,
                                        .local_rank = s->world->local_rank,
                                        .memory_limit = s->budget,
                                        .share = s->share};
    RMP_TRY(rmp_device_create(&request, &s->device));
    return rmp_task_open(s->job, s->device, &s->task);
}

rmp_status rmp_session_open(rmp_session *session, const char *path, const rmp_text_list *set, int threads)
{
    rmp_world *world = session->world;
    RMP_TRY(share_job(session, path, set));
    /* Rank 0's environment holds for all, as in mpi/world: a launcher does not hand it to other machines. */
    int64_t given, least;
    RMP_TRY(rmp_world_min_max(world, world->rank == 0 && getenv("RMP_TIMEOUT") != NULL, &least, &given));
    if (given == 0) world->timeout = session->job->timeout;
    RMP_TRY(rmp_world_agree(world, rmp_world_threads(world, threads, &session->threads)));
    RMP_TRY(rmp_world_agree(world, open_share(session)));
    return rmp_world_agree(world, open_device(session));
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
