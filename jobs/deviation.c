#include "jobs/deviation.h"

#include <math.h>
#include <stdlib.h>

rmp_status rmp_deviation_check(const rmp_task *task, rmp_shape shape)
{
    RMP_CHECK(task->job->uncertainty.method != RMP_UNCERTAINTY_EXACT || rmp_shape_count(shape) <= RMP_UNCERTAINTY_MOST,
              RMP_ERR_CONFIG, "uncertainty.method: exact takes at most %d values an image, not %lld; use hutchinson",
              RMP_UNCERTAINTY_MOST, (long long)rmp_shape_count(shape));
    return RMP_OK;
}

rmp_status rmp_deviation_check_items(const rmp_task *task, const rmp_inventory *items)
{
    if (items->h == 0) return RMP_OK; /* nothing can be read */
    const bool vectors = task->job->input.tensors != NULL;
    const rmp_shape shape = {vectors ? 1 : items->h, vectors ? 1 : items->w, task->channels};
    return rmp_deviation_check(task, shape);
}

rmp_status rmp_deviation_estimate(const rmp_task *task, const rmp_problem *problem, const rmp_field *x,
                                  const rmp_solver_stats stats[], int64_t evaluations[], rmp_field **out)
{
    const rmp_space *space = problem->prior->space;
    *out = NULL;
    for (int64_t i = 0; i < space->n; i++)
        evaluations[i] = 0;
    if (task->job->uncertainty.method == RMP_UNCERTAINTY_NONE) return RMP_OK;
    bool *active = calloc((size_t)space->n, sizeof *active);
    RMP_CHECK(active != NULL, RMP_ERR_MEMORY, "no memory for standard deviations");
    for (int64_t i = 0; i < space->n; i++)
        active[i] = !stats[i].diverged;
    rmp_problem of_active = *problem;
    of_active.active = active;
    rmp_status status = rmp_field_create(space, out);
    if (status == RMP_OK) status = rmp_uncertainty(&task->job->uncertainty, &of_active, x, *out, evaluations);
    if (status != RMP_OK) rmp_field_destroy(out);
    free(active);
    return status;
}

void rmp_deviation_score(const float *x, const float *std, const float *truth, int64_t count, rmp_row *row)
{
    double squares = 0;
    int64_t within = 0;
    for (int64_t i = 0; i < count; i++) {
        squares += (double)std[i] * (double)std[i];
        if (truth != NULL) within += fabs((double)x[i] - (double)truth[i]) <= 2 * (double)std[i];
    }
    row->std = sqrt(squares / (double)count);
    if (truth != NULL) row->coverage = (double)within / (double)count;
}

void rmp_deviation_exact(rmp_image *std)
{
    const int64_t count = rmp_shape_count(std->shape);
    for (int64_t i = 0; i < count; i++)
        std->values[i] = 2 * std->values[i] - 1;
}

void rmp_deviation_visible(rmp_image *exact, const rmp_row *row)
{
    const int64_t count = rmp_shape_count(exact->shape);
    const float scale = row->std > 0 ? (float)(1 / (RMP_DEVIATION_WHITE * row->std)) : 0;
    for (int64_t i = 0; i < count; i++)
        exact->values[i] = scale * (exact->values[i] + 1) - 1;
}
