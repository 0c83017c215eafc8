/* Places slots in one arena. What the VJP finds of its forward lies side by side, once for every image or batch at
 * work; behind it one region serves all other slots in turn: slots whose lives overlap must not. Large ones first, each
 * at the lowest place that is free for its whole life; for the graphs here this comes within a few percent of the
 * largest sum of living slots. */
#include "gpu/host/host.h"

#include <stdlib.h>

enum { ALIGN = 64 };

typedef struct placed {
    int64_t begin, end;
    int slot;
} placed;

static int64_t padded(const rmp_slot_info *s) { return (s->bytes + ALIGN - 1) / ALIGN * ALIGN; }

typedef struct entry {
    int64_t bytes;
    int slot;
} entry;

static int larger_first(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->slot < y->slot ? -1 : 1;
}

rmp_status rmp_host_layout(rmp_host_plan *plan)
{
    entry *order = calloc((size_t)plan->slots + 1, sizeof *order);
    placed *done = calloc((size_t)plan->slots + 1, sizeof *done); /* by begin */
    rmp_status status = RMP_OK;
    RMP_CHECK_GOTO(order && done, RMP_ERR_MEMORY, end, "no memory to lay out a plan");
    int count = 0, used = 0;
    plan->kept_bytes = 0;
    for (int i = 0; i < plan->slots; i++) {
        rmp_slot_info *s = &plan->slot[i];
        if (s->place != RMP_IN_ARENA || s->last < 0) continue;
        if (s->kept) {
            s->offset = plan->kept_bytes;
            plan->kept_bytes += padded(s);
        } else {
            order[count++] = (entry){s->bytes, i};
        }
    }
    qsort(order, (size_t)count, sizeof *order, larger_first);
    plan->arena_bytes = 0;
    for (int k = 0; k < count; k++) {
        rmp_slot_info *s = &plan->slot[order[k].slot];
        int64_t at = 0, size = padded(s);
        for (int j = 0; j < used; j++) {
            const rmp_slot_info *o = &plan->slot[done[j].slot];
            bool together = o->first <= s->last && s->first <= o->last;
            if (!together || done[j].end <= at) continue;
            if (done[j].begin >= at + size) break; /* sorted: the gap before it is large enough */
            at = done[j].end;
        }
        s->offset = at;
        if (at + size > plan->arena_bytes) plan->arena_bytes = at + size;
        int j = used++;
        for (; j > 0 && done[j - 1].begin > at; j--)
            done[j] = done[j - 1];
        done[j] = (placed){at, at + size, order[k].slot};
    }
    plan->arena_bytes += plan->base.options.batch / plan->n * plan->kept_bytes;
end:
    free(order);
    free(done);
    return status;
}
