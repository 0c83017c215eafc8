#include "jobs/prepared.h"

#include <string.h>

static void clear(rmp_prepared *p)
{
    rmp_prior_destroy(&p->prior);
    rmp_operator_destroy(&p->op);
    memset(p, 0, sizeof *p);
}

static rmp_prepared *oldest(rmp_prepared_set *set)
{
    rmp_prepared *found = &set->one[0];
    for (int i = 1; i < RMP_PREPARED; i++) {
        if (set->one[i].used < found->used) found = &set->one[i];
    }
    return found;
}

/* Another prepared size may stay only if both fit. */
static void make_room(rmp_prepared_set *set, const rmp_prepared *wanted, int64_t bytes)
{
    int64_t others = 0;
    for (int i = 0; i < RMP_PREPARED; i++)
        others += &set->one[i] != wanted ? set->one[i].bytes : 0;
    if (set->limit == 0 || others + bytes <= set->limit) return;
    for (int i = 0; i < RMP_PREPARED; i++) {
        if (&set->one[i] != wanted) clear(&set->one[i]);
    }
}

/* The operator of another task beside a prior that was kept. */
static rmp_status renew(rmp_prepared_set *set, rmp_prepared *p)
{
    const rmp_task *task = set->task;
    rmp_task_memory memory;
    RMP_TRY(rmp_task_estimate(task, p->n, p->shape.h, p->shape.w, &memory));
    p->bytes = p->prior_bytes + memory.total - memory.prior;
    make_room(set, p, p->bytes);
    return rmp_operator_create(task->device, &task->op, task->job->seed, p->n, p->shape, &p->op);
}

rmp_status rmp_prepared_find(rmp_prepared_set *set, int64_t n, rmp_shape shape, rmp_prepared **out)
{
    const rmp_task *task = set->task;
    for (int i = 0; i < RMP_PREPARED; i++) {
        rmp_prepared *p = &set->one[i];
        if (p->n != n || memcmp(&p->shape, &shape, sizeof shape) != 0) continue;
        p->used = ++set->clock;
        *out = p;
        return p->op != NULL ? RMP_OK : renew(set, p);
    }
    rmp_task_memory memory;
    RMP_TRY(rmp_task_estimate(task, n, shape.h, shape.w, &memory));
    rmp_prepared *p = oldest(set);
    clear(p);
    make_room(set, p, memory.total);
    p->n = n;
    p->shape = shape;
    rmp_space_local(&p->space, task->device, n, shape);
    p->prior_bytes = memory.prior;
    p->bytes = memory.total;
    p->used = ++set->clock;
    rmp_status status = rmp_operator_create(task->device, &task->op, task->job->seed, n, shape, &p->op);
    if (status != RMP_OK) clear(p);
    *out = p;
    return status;
}

void rmp_prepared_change(rmp_prepared_set *set, const rmp_task *task, int64_t limit)
{
    const rmp_task *former = set->task;
    const bool same = task->network != NULL && task->network == former->network &&
                      task->job->precision == former->job->precision && task->memory == former->memory;
    for (int i = 0; i < RMP_PREPARED; i++) {
        rmp_prepared *p = &set->one[i];
        if (!same || p->prior == NULL) {
            clear(p);
        } else {
            rmp_operator_destroy(&p->op);
        }
    }
    set->task = task;
    set->limit = limit;
}

void rmp_prepared_clear(rmp_prepared_set *set)
{
    for (int i = 0; i < RMP_PREPARED; i++)
        clear(&set->one[i]);
}
