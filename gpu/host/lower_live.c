/* Which steps are needed, and when each slot is first and last used. */
#include "gpu/host/host.h"

#include <limits.h>
#include <stdlib.h>

typedef void slot_visitor(void *context, rmp_slot slot);

static void visit(slot_visitor *visitor, void *context, rmp_slot slot)
{
    if (slot != RMP_NONE) visitor(context, slot);
}

/* Slots that a step writes, and those that it reads or needs as scratch. */
static void visit_slots(const rmp_step *s, bool writes, slot_visitor *visitor, void *context)
{
    const bool coefficients = s->kind == RMP_STEP_COEFFICIENTS, backward = s->kind == RMP_STEP_COEFFICIENTS_BACKWARD;
    const bool sums = s->kind == RMP_STEP_WINO || s->kind == RMP_STEP_SUMS || s->kind == RMP_STEP_BACKWARD1;
    const struct {
        rmp_slot slot;
        bool written;
    } single[] = {{s->result, true}, {s->sums, sums},          {s->a, coefficients}, {s->b, coefficients || backward},
                  {s->r, backward},  {s->stats, coefficients}, {s->y, false},        {s->scratch, false},
                  {s->film, false},  {s->finish_a, false},     {s->finish_b, false}};
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        if (single[i].written == writes) visit(visitor, context, single[i].slot);
    }
    for (int i = 0; i < RMP_MAX_PARTS; i++) {
        if (writes) {
            visit(visitor, context, s->results[i]);
        } else {
            visit(visitor, context, s->x.slot[i]);
            visit(visitor, context, s->addend[i]);
            visit(visitor, context, s->finish_x[i]);
        }
    }
    /* what is added to in place is read too */
    if (!writes && s->accumulates) visit(visitor, context, s->result);
}

typedef struct needs {
    bool *slot;
    bool found;
} needs;

static void ask(void *context, rmp_slot slot)
{
    needs *n = context;
    n->found = n->found || n->slot[slot];
}

static void need(void *context, rmp_slot slot) { ((needs *)context)->slot[slot] = true; }

static rmp_status drop_unread(rmp_host_plan *p)
{
    needs n = {.slot = calloc((size_t)p->slots + 1, sizeof *n.slot)};
    bool *keep = calloc((size_t)p->steps + 1, sizeof *keep);
    if (n.slot == NULL || keep == NULL) {
        free(n.slot);
        free(keep);
        return RMP_FAIL(RMP_ERR_MEMORY, "no memory for the lives of a plan's slots");
    }
    for (int i = 0; i < p->slots; i++)
        n.slot[i] = p->slot[i].place == RMP_IN_OUTPUT || p->slot[i].place == RMP_IN_GRADIENT;
    for (int i = p->steps - 1; i >= 0; i--) {
        n.found = false;
        visit_slots(&p->step[i], true, ask, &n);
        keep[i] = n.found;
        if (keep[i]) visit_slots(&p->step[i], false, need, &n);
    }
    int used = 0, forward = 0;
    for (int i = 0; i < p->steps; i++) {
        if (!keep[i]) {
            rmp_onednn_conv_destroy(&p->step[i].conv);
            continue;
        }
        forward += i < p->forward_steps;
        p->step[used++] = p->step[i];
    }
    p->steps = used;
    p->forward_steps = forward;
    free(n.slot);
    free(keep);
    return RMP_OK;
}

typedef struct lives {
    rmp_host_plan *plan;
    int step;
} lives;

static void touch(void *context, rmp_slot slot)
{
    const lives *now = context;
    rmp_slot_info *s = &now->plan->slot[slot];
    if (now->step < s->first) s->first = now->step;
    if (now->step > s->last) s->last = now->step;
}

rmp_status rmp_host_live(rmp_host_plan *plan)
{
    RMP_TRY(drop_unread(plan));
    for (int i = 0; i < plan->steps; i++) {
        lives now = {plan, i};
        visit_slots(&plan->step[i], true, touch, &now);
        visit_slots(&plan->step[i], false, touch, &now);
    }
    for (int i = 0; i < plan->slots; i++) {
        rmp_slot_info *s = &plan->slot[i];
        if (s->first >= plan->forward_steps || s->last < plan->forward_steps) continue;
        s->last = plan->steps; /* the VJP may be repeated */
        s->kept = plan->n < plan->base.options.batch;
    }
    return RMP_OK;
}
