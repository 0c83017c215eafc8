/* Restores chunks of items: reads, degrades where the ground truth is given, solves, scores and encodes. One on each
 * rank. A picture that cannot be read or restored is a failed row; a status other than RMP_OK means that the rank
 * itself cannot go on. The bytes depend on the job and the chunk only. */
#pragma once

#include "jobs/message.h"
#include "jobs/task.h"

typedef struct rmp_restorer rmp_restorer;

typedef struct rmp_restorer_options {
    int64_t memory_limit; /* bytes that prepared sizes may take together; 0 = no limit */
    int rank;             /* for rows */
    const char *host;     /* borrowed */
    /* Called between the steps of a solver; a status other than RMP_OK ends the chunk with it. May be NULL. */
    rmp_status (*progress)(void *context, double share);
    void *progress_context;
} rmp_restorer_options;

/* The task is borrowed. */
rmp_status rmp_restorer_create(const rmp_task *task, const rmp_restorer_options *options,
                               rmp_restorer **out) RMP_MUST_CHECK;
void rmp_restorer_destroy(rmp_restorer **restorer);
/* Goes on with another task (borrowed) on the same device: networks that are ready for a size and precision stay ready
 * if it uses the same ones, everything else of the former task is let go, so that it may be closed then. */
void rmp_restorer_change(rmp_restorer *restorer, const rmp_task *task, int64_t memory_limit);

/* Lets everything go that is ready for some size, until it is wanted again. */
void rmp_restorer_clear(rmp_restorer *restorer);

/* One row an item, in the order of the items; files of those that succeeded. */
rmp_status rmp_restorer_run(rmp_restorer *restorer, const rmp_item items[], int64_t count,
                            rmp_result *out) RMP_MUST_CHECK;

/* Measurements only (`rmp degrade`): as above, but the rows hold no scores of a restoration and the files are those of
 * measurements/. */
rmp_status rmp_restorer_degrade(rmp_restorer *restorer, const rmp_item items[], int64_t count,
                                rmp_result *out) RMP_MUST_CHECK;

/* The measurement of one item as a picture of the image's size (for reports): owned by the caller. */
rmp_status rmp_restorer_measure(rmp_restorer *restorer, const rmp_item *item, rmp_image *out) RMP_MUST_CHECK;
