/* Operators and priors that a rank has ready for some batches and sizes of images: compiled plans, the expensive part
 * of a chunk. A few are kept, the one that was used last the longest. */
#pragma once

#include "jobs/task.h"

enum { RMP_PREPARED = 2 };

typedef struct rmp_prepared {
    int64_t n; /* images at a time; 0: not in use */
    rmp_shape shape;
    rmp_space space;            /* of the images; the prior's, which may outlive the operator */
    rmp_operator *op;           /* NULL after a change of the task, until it is wanted again */
    rmp_prior *prior;           /* made by whoever needs it first */
    int64_t prior_bytes, bytes; /* bytes: of everything */
    uint64_t used;              /* when, for the choice of the one to give up */
} rmp_prepared;

typedef struct rmp_prepared_set { /* zero, but for task and limit, at first */
    const rmp_task *task;         /* borrowed */
    int64_t limit;                /* bytes that all may take together; 0 = no limit */
    rmp_prepared one[RMP_PREPARED];
    uint64_t clock;
} rmp_prepared_set;

/* The operator for n images of a shape, borrowed until the next call. A failure of the operator to take the shape is
 * returned as it is. */
rmp_status rmp_prepared_find(rmp_prepared_set *set, int64_t n, rmp_shape shape, rmp_prepared **out) RMP_MUST_CHECK;
/* Another task on the same device: priors stay if it uses the same network in the same way. */
void rmp_prepared_change(rmp_prepared_set *set, const rmp_task *task, int64_t limit);
void rmp_prepared_clear(rmp_prepared_set *set);
