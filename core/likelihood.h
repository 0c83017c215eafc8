/* Scores of the likelihood, l(x, s) = grad_x log p(y | x) for x = x0 + s n, y = A x0 + sigma w: the approximations of
 * METHOD.md section 5, all in variance-exploding coordinates. Linear operators.
 *
 *   moment    J^T A^T z,  (sigma^2 I + s^2 A J A^T) z = y - A D, by conjugate gradients, one VJP an iteration (J A^T z
 *             grows along, so that the last product costs none). A network's J is only nearly symmetric and positive:
 *             see the guard in likelihood.c.
 *   pigdm     J^T A^T z,  (sigma^2 I + r^2 A A^T) z = y - A D,  r^2 = s^2 / (1 + s^2). Where J is far larger than r^2 /
 * s^2 (coarse structure at high noise) this over-shoots and diverges on coarse grids. So its length is bounded by the
 * step that Tweedie's covariance gives along the same direction, which the VJP at hand tells without another
 * evaluation: it is scaled by min(1, <z, y - A D> / (sigma^2 |z|^2 + s^2 <A^T z, J^T A^T z>)). dps       J^T A^T (y - A
 * D) / |y - A D|: a direction, not a score; the solver multiplies it by zeta. spectral  A^T (sigma^2 I + s^2 A A^T)^-1
 * (y - A x): no VJP, not even D. exact     what an analytic prior knows itself. none      0. A A^T is inverted in
 * closed form where the operator has a spectrum, else by conjugate gradients of its own, which cost no network
 * evaluation. */
#pragma once

#include "core/noise.h"
#include "core/prior.h"

typedef enum rmp_likelihood_kind {
    RMP_LIKELIHOOD_MOMENT,
    RMP_LIKELIHOOD_PIGDM,
    RMP_LIKELIHOOD_DPS,
    RMP_LIKELIHOOD_SPECTRAL,
    RMP_LIKELIHOOD_NONE,
    RMP_LIKELIHOOD_EXACT /* analytic priors only */
} rmp_likelihood_kind;

typedef struct rmp_likelihood_config {
    rmp_likelihood_kind kind;
    int64_t cg_iterations; /* of `moment`, at most */
    double cg_tolerance;   /* relative residual at which CG stops */
    bool cg_warm;          /* start along the solution of the score before */
    bool clip;             /* `dps`: of D clipped to [-1, 1], through the gradient of clipping */
    bool cg_precondition;  /* by pigdm's matrix, where the operator has a spectrum and the noise is uniform */
    /* Called after every network evaluation; may be NULL. Another status than RMP_OK ends the work with it. */
    rmp_status (*tick)(void *context);
    void *tick_context;
} rmp_likelihood_config;

typedef struct rmp_likelihood rmp_likelihood;

/* prior, op and y are borrowed; missing pixels of y are ignored (a masked copy is made). sigma^2 I above stands for
 * the covariance of the noise, which is diagonal for Poisson noise. RMP_ERR_CONFIG if `exact` is asked of a prior that
 * cannot or with Poisson noise, or another kind than `dps` and `none` of an operator that is not linear. */
rmp_status rmp_likelihood_create(const rmp_likelihood_config *config, rmp_prior *prior, rmp_operator *op,
                                 const rmp_field *y, const rmp_noise *noise, rmp_likelihood **out) RMP_MUST_CHECK;
void rmp_likelihood_destroy(rmp_likelihood **likelihood);

/* out = l(x, s). denoised = D(x; s) must be the prior's last denoising. Images with alive[i] false are zero in out (or
 * not finite, if they were so before) and are not counted. */
rmp_status rmp_likelihood_score(rmp_likelihood *l, const rmp_field *x, double s, const rmp_field *denoised,
                                const bool alive[], rmp_field *out) RMP_MUST_CHECK;

/* What the last score of `dps` of image i is minus the gradient of: |y - A D|. */
double rmp_likelihood_dps_misfit(const rmp_likelihood *l, int64_t image);

/* out = J^T A^T (...)^-1 A J n, the matrix of the kind above: minus the derivative of the score in direction n where D
 * is taken to be linear (Gauss-Newton), jn = J^T n. After rmp_likelihood_score, at the same x. Zero
 * for `dps` and `none`; RMP_ERR_CONFIG for `exact`. */
rmp_status rmp_likelihood_curvature(rmp_likelihood *l, double s, const rmp_field *n, const rmp_field *jn,
                                    const bool alive[], rmp_field *out) RMP_MUST_CHECK;

/* |y - A x|^2 of each image, missing pixels left out. */
rmp_status rmp_likelihood_misfit(rmp_likelihood *l, const rmp_field *x, double out[]) RMP_MUST_CHECK;

/* VJPs and CG iterations of `moment` that image has needed so far (whatever its companions in the batch needed). */
int64_t rmp_likelihood_vjps(const rmp_likelihood *l, int64_t image);
int64_t rmp_likelihood_cg_iterations(const rmp_likelihood *l, int64_t image);

/* Floats that create will take for each image. */
int64_t rmp_likelihood_floats(const rmp_likelihood_config *config, const rmp_noise *noise, int64_t image,
                              int64_t measured);
/* VJPs of one score, at most. */
int64_t rmp_likelihood_cost(const rmp_likelihood_config *config);
