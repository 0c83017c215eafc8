/* Priors: the denoiser D(x; s) = E[x0 | x0 + s n = x] and the transposed Jacobian at the last x
 * (METHOD.md section 2). Variance-exploding coordinates, images in [-1, 1]. */
#pragma once

#include "core/operator.h"

typedef struct rmp_prior rmp_prior;

typedef struct rmp_prior_ops {
    void (*destroy)(rmp_prior *prior);
    /* out = D(x; s); x != out; x must stay unchanged until the last VJP at it. */
    rmp_status (*denoise)(rmp_prior *prior, const rmp_field *x, double s, rmp_field *out);
    /* out = J^T v, J = dD/dx at the x and s of the last denoise; v != out. */
    rmp_status (*vjp)(rmp_prior *prior, const rmp_field *v, rmp_field *out);
    /* out = grad_x log p(y | x0 + s n = x) for y = A x0 + sigma w, exactly; does not change where `vjp` is taken.
     * NULL: unknown, as for every network. */
    rmp_status (*likelihood_score)(rmp_prior *prior, rmp_operator *op, const rmp_field *x, double s, const rmp_field *y,
                                   double sigma, rmp_field *out);
} rmp_prior_ops;

struct rmp_prior {
    const rmp_prior_ops *ops;
    const rmp_space *space;   /* borrowed: the images this prior was prepared for */
    bool analytic;            /* exact D and J: may be evaluated at a mean without noise (METHOD.md section 3) */
    int64_t denoisings, vjps; /* calls so far: network evaluations per image */
};

void rmp_prior_destroy(rmp_prior **prior);
rmp_status rmp_prior_denoise(rmp_prior *prior, const rmp_field *x, double s, rmp_field *out) RMP_MUST_CHECK;
rmp_status rmp_prior_vjp(rmp_prior *prior, const rmp_field *v, rmp_field *out) RMP_MUST_CHECK;

/* Analytic priors know the score of the likelihood at every noise level: the ground truth that the approximations of
 * core/likelihood.h are measured against. The operator must be linear. */
bool rmp_prior_has_likelihood(const rmp_prior *prior);
rmp_status rmp_prior_likelihood_score(rmp_prior *prior, rmp_operator *op, const rmp_field *x, double s,
                                      const rmp_field *y, double sigma, rmp_field *out) RMP_MUST_CHECK;
