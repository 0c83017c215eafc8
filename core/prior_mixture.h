/* The exact prior of a Gaussian mixture sum_k weights_k N(means_k, covs_k) on flattened images, for ground truth:
 * D, J, the likelihood score at every noise level, the posterior mean and posterior samples in closed form.
 * All in double on the host, through rmp_field_get and rmp_field_put; the cost of a call is n K D^2. */
#pragma once

#include "core/prior.h"

/* weights (components) above 0, normalised here; means (components, D); covs (components, D, D), symmetric positive
 * semi-definite; all copied, D = values of one image of `space` (borrowed). RMP_ERR_CONFIG if they are not. */
rmp_status rmp_prior_mixture_create(const rmp_space *space, int64_t components, const double *weights,
                                    const double *means, const double *covs, rmp_prior **out) RMP_MUST_CHECK;

/* Below: `prior` was made by rmp_prior_mixture_create or rmp_prior_gaussian_create, else RMP_ERR_ARGUMENT;
 * y = A x + sigma w with a linear operator, sigma > 0; key (n). */

/* out = E[x | y]. */
rmp_status rmp_mixture_posterior_mean(rmp_prior *prior, rmp_operator *op, const rmp_field *y, double sigma,
                                      rmp_field *out) RMP_MUST_CHECK;
/* out ~ p(x | y), exactly; `step` numbers the draws of a key. */
rmp_status rmp_mixture_posterior_sample(rmp_prior *prior, rmp_operator *op, const rmp_field *y, double sigma,
                                        const rmp_key key[], uint32_t step, rmp_field *out) RMP_MUST_CHECK;
/* out ~ p(x). */
rmp_status rmp_mixture_sample(rmp_prior *prior, const rmp_key key[], uint32_t step, rmp_field *out) RMP_MUST_CHECK;
