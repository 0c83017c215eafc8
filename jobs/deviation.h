/* Standard deviations of the posterior for the items of a job that asks for them: what they say of each item, and
 * their pictures. */
#pragma once

#include "io/image.h"
#include "io/journal.h"
#include "jobs/inventory.h"
#include "jobs/task.h"

/* RMP_ERR_CONFIG if `method: exact` is asked of too many values. */
rmp_status rmp_deviation_check(const rmp_task *task, rmp_shape shape) RMP_MUST_CHECK;
/* The same for the largest item, before anything is started. */
rmp_status rmp_deviation_check_items(const rmp_task *task, const rmp_inventory *items) RMP_MUST_CHECK;

/* Of the images that have not diverged; *out is owned by the caller, NULL if the job does not ask for it. evaluations
 * (n): 0 then. */
rmp_status rmp_deviation_estimate(const rmp_task *task, const rmp_problem *problem, const rmp_field *x,
                                  const rmp_solver_stats stats[], int64_t evaluations[],
                                  rmp_field **out) RMP_MUST_CHECK;

/* Fills std and, with the ground truth (else NULL), coverage of a row. */
void rmp_deviation_score(const float *x, const float *std, const float *truth, int64_t count, rmp_row *row);

/* Files hold these: `exact`, the deviation itself where float files have [0, 1]; `visible`, black for none, white for
 * RMP_DEVIATION_WHITE times the std of the row or more. In place. */
#define RMP_DEVIATION_WHITE 4.0
void rmp_deviation_exact(rmp_image *std);
void rmp_deviation_visible(rmp_image *exact, const rmp_row *row);
