/* The exact prior N(mean, cov) on flattened images: a mixture of one component (core/prior_mixture.h). */
#pragma once

#include "core/prior_mixture.h"

/* mean (D), cov (D, D), symmetric positive semi-definite; copied. */
rmp_status rmp_prior_gaussian_create(const rmp_space *space, const double *mean, const double *cov,
                                     rmp_prior **out) RMP_MUST_CHECK;

/* out = mean + cov A^T (sigma^2 I + A cov A^T)^-1 (y - A mean). */
rmp_status rmp_gaussian_posterior_mean(rmp_prior *prior, rmp_operator *op, const rmp_field *y, double sigma,
                                       rmp_field *out) RMP_MUST_CHECK;
