#include "jobs/budget.h"

#include "jobs/machine.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_BATCH = 8,
    CHUNKS = 8,             /* at least so many, where there are enough items */
    WORTHWHILE = 256 * 256, /* pixels of a batch beyond which more images do not fill the cores better */
    SHARE_PERCENT = 80
};

rmp_status rmp_budget_bytes(const rmp_job *job, const rmp_world *world, int64_t *out)
{
    rmp_machine machine;
    *out = job->memory;
    if (job->memory > 0) return RMP_OK;
    RMP_TRY(rmp_machine_look(&machine));
    *out = machine.available / 100 * SHARE_PERCENT / world->local_size;
    return RMP_OK;
}

const char *rmp_bytes_text(int64_t bytes, char *buffer, size_t size)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    int unit = 0;
    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    snprintf(buffer, size, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return buffer;
}

static int64_t largest_useful(const rmp_inventory *v)
{
    int64_t batch = v->items / CHUNKS, pixels = v->h * v->w;
    if (pixels > 0 && batch > WORTHWHILE / pixels) batch = WORTHWHILE / pixels;
    if (batch > MAX_BATCH) batch = MAX_BATCH;
    return batch < 1 ? 1 : batch;
}

static rmp_status refuse(const rmp_job *job, const rmp_inventory *v, int64_t batch, int64_t budget,
                         const rmp_task_memory *m)
{
    char total[32], limit[32], prior[32], fields[32], metrics[32];
    return RMP_FAIL(
        RMP_ERR_MEMORY,
        "%lld x %lld (the largest image) needs %s a rank at batch %lld (prior %s, solver %s, metrics %s), but "
        "only %s may be taken (%s); start fewer ranks a machine, lower batch, or set memory",
        (long long)v->h, (long long)v->w, rmp_bytes_text(m->total, total, sizeof total), (long long)batch,
        rmp_bytes_text(m->prior, prior, sizeof prior), rmp_bytes_text(m->fields, fields, sizeof fields),
        rmp_bytes_text(m->metrics, metrics, sizeof metrics), rmp_bytes_text(budget, limit, sizeof limit),
        job->memory > 0 ? "key memory" : "80% of what is available");
}

/* The largest batch of this rank's own memory: first with all activations kept, then, unless the job says otherwise,
 * with blocks computed again; a failure if not even one image fits. `together`: weights held together with other ranks
 * count as this rank's part only; else in full, so that the batch is that of a rank alone. */
static rmp_status fit(rmp_task *task, const rmp_inventory *v, int64_t budget, bool together, int64_t *batch,
                      rmp_task_memory *memory)
{
    const bool fixed = task->job->batch > 0,
               may_recompute = task->model && task->job->activations == RMP_ACTIVATIONS_AUTO;
    for (;;) {
        for (*batch = fixed ? task->job->batch : together ? 1 : largest_useful(v);; *batch /= 2) {
            RMP_TRY(rmp_task_estimate(task, *batch, v->h, v->w, memory));
            if (memory->total + (together ? 0 : memory->saved) <= budget) return RMP_OK;
            if (fixed || *batch == 1) break;
        }
        if (!may_recompute || task->memory == RMP_MEMORY_RECOMPUTE) {
            return refuse(task->job, v, *batch, budget, memory);
        }
        task->memory = RMP_MEMORY_RECOMPUTE;
    }
}

static rmp_status fit_alone_or_together(rmp_task *task, const rmp_inventory *v, int64_t budget, int64_t *batch,
                                        rmp_task_memory *memory)
{
    const rmp_memory_policy policy = task->memory;
    rmp_status status = fit(task, v, budget, false, batch, memory);
    if (status != RMP_ERR_MEMORY || memory->saved == 0) return status;
    task->memory = policy;
    return fit(task, v, budget, true, batch, memory);
}

rmp_status rmp_budget_batch(rmp_task *task, rmp_world *world, const rmp_inventory *inventory, int64_t budget,
                            int64_t *batch, rmp_task_memory *memory)
{
    rmp_inventory v = *inventory;
    int64_t mine = 1, largest;
    memset(memory, 0, sizeof *memory);
    if (task->job->input.tensors != NULL) {
        /* Of a vector of D numbers each is a channel. */
        v.h = v.w = 1;
    }
    rmp_status status = RMP_OK;
    if (v.h > 0) {
        status = fit_alone_or_together(task, &v, budget, &mine, memory);
    } else if (task->job->batch > 0) {
        mine = task->job->batch;
    }
    RMP_TRY(rmp_world_agree(world, status));
    RMP_TRY(rmp_world_min_max(world, mine, batch, &largest));
    /* Another rank has less memory than this one. */
    if (v.h > 0 && *batch != mine) status = rmp_task_estimate(task, *batch, v.h, v.w, memory);
    return rmp_world_agree(world, status);
}
