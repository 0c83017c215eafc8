#include "jobs/truth.h"

#include "core/prior_mixture.h"

#include <math.h>

rmp_status rmp_truth_means(const rmp_task *task, rmp_prior *prior, rmp_operator *op, const rmp_field *y,
                           rmp_field **out)
{
    *out = NULL;
    if (!rmp_prior_has_likelihood(prior) || !rmp_noise_is_uniform(&task->noise) || !rmp_operator_is_linear(op))
        return RMP_OK;
    RMP_TRY(rmp_field_create(prior->space, out));
    const rmp_status status = rmp_mixture_posterior_mean(prior, op, y, rmp_noise_sigma(&task->noise), *out);
    if (status != RMP_OK) rmp_field_destroy(out);
    return status;
}

double rmp_truth_distance(const float *x, const float *truth, int64_t count)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        const double d = (double)x[i] - (double)truth[i];
        difference += d * d;
        norm += (double)truth[i] * (double)truth[i];
    }
    return sqrt(difference / norm);
}
