/* What is known about the items of a ground-truth job in closed form: the posterior means that RMP aims at. */
#pragma once

#include "jobs/task.h"

/* *out = E[x0 | y] of the images of `prior`, made here and owned by the caller; NULL where it is not known: networks,
 * noise that is not uniform, operators that are not linear. */
rmp_status rmp_truth_means(const rmp_task *task, rmp_prior *prior, rmp_operator *op, const rmp_field *y,
                           rmp_field **out) RMP_MUST_CHECK;

/* ||x - truth|| / ||truth||. */
double rmp_truth_distance(const float *x, const float *truth, int64_t count);
