#include "core/prior_gaussian.h"

rmp_status rmp_prior_gaussian_create(const rmp_space *space, const double *mean, const double *cov, rmp_prior **out)
{
    const double weight = 1.0;
    return rmp_prior_mixture_create(space, 1, &weight, mean, cov, out);
}

rmp_status rmp_gaussian_posterior_mean(rmp_prior *prior, rmp_operator *op, const rmp_field *y, double sigma,
                                       rmp_field *out)
{
    return rmp_mixture_posterior_mean(prior, op, y, sigma, out);
}
