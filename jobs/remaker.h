/* Makes the measurement of an item again, from the job.yaml of an output folder: for reports of jobs that kept none.
 * The job is opened when the first one is wanted, since a report that has its pictures needs no model; a failure to
 * open it (the model has moved) is the failure of every picture. */
#pragma once

#include "jobs/restorer.h"

typedef struct rmp_remaker { /* zero but for dir at first */
    const char *dir;         /* borrowed */
    bool tried;
    rmp_status opened; /* of the first attempt */
    rmp_job *job;
    rmp_device *device;
    rmp_task *task;
    rmp_restorer *restorer;
} rmp_remaker;

/* As rmp_report_measure; context is the remaker. */
rmp_status rmp_remaker_measure(void *context, const rmp_item *item, rmp_image *out);
void rmp_remaker_close(rmp_remaker *remaker);
