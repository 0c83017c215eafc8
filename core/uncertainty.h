/* Posterior uncertainty: the standard deviation of every value of x0 given y, around a result of a solver.
 *
 * With J the Jacobian of the denoiser at noise level s, Tweedie's formula gives Cov[x0 | x_s] = s^2 J, and a linear
 * measurement y = A x0 + sigma w leaves of it
 *   B = Cov[x0 | x_s, y] = s^2 J - s^2 J A^T (sigma^2 I + s^2 A J A^T)^-1 A J s^2,
 * the matrix of the likelihood `moment`. What is asked for is the covariance without x_s. For a Gaussian prior of
 * covariance C, B^-1 = C^-1 + A^T A / sigma^2 + I / s^2, so that
 *   Cov[x0 | y] = (B^-1 - I / s^2)^-1 = B (I - B / s^2)^-1 = B + B^2 / s^2 + ...,
 * at every level s. (The same matrix is the sum of B and the spread of E[x0 | x_s, y] over x_s ~ p(x_s | y).) Of B only
 * products with vectors are at hand; they give the diagonals of B and of B^2 = B B^T together, and
 *   diag B / (1 - diag B^2 / (s^2 diag B))
 * is a Gauss-Radau quadrature of the diagonal of B (I - B / s^2)^-1 with one node at 0, where the integrand vanishes,
 * and one free node (Golub & Meurant 1994): a lower bound, exact where B is diagonal, with a relative error of
 * (deviation / s)^4 else. For a Gaussian prior any s well above the posterior deviation will do. For other priors J at
 * level s is that of what looks alike at this level: a large s averages over everything that the prior knows, a small
 * one sees the surroundings of x only.
 *
 * Diagonals: `exact`, from D unit vectors; or `hutchinson`, from random signs (Hutchinson 1990; Bekas, Kokiopoulou &
 * Saad 2007). The signs are set on combs of pixels and channels far apart (probing: Tang & Saad 2012), one comb after
 * the other, so that neighbours, which are what correlates in images, do not disturb each other. */
#pragma once

#include "core/solver.h"

typedef enum rmp_uncertainty_method {
    RMP_UNCERTAINTY_NONE,
    RMP_UNCERTAINTY_HUTCHINSON,
    RMP_UNCERTAINTY_EXACT
} rmp_uncertainty_method;

typedef struct rmp_uncertainty_config {
    rmp_uncertainty_method method;
    int64_t probes;        /* hutchinson: at most; whole rounds of combs are made */
    double sigma;          /* noise level s; negative: to be chosen by who knows the prior */
    int64_t cg_iterations; /* at most, for each probe; negative: as sigma */
} rmp_uncertainty_config;

enum { RMP_UNCERTAINTY_MOST = 4096 }; /* values of an image, `exact` */

/* None; what depends on the prior is left to be chosen. */
void rmp_uncertainty_defaults(rmp_uncertainty_config *config);

/* RMP_ERR_CONFIG with the key named. */
rmp_status rmp_uncertainty_check(const rmp_uncertainty_config *config) RMP_MUST_CHECK;

/* out: standard deviations, image space; zero for images that are not active. x: result of rmp_solve on the problem;
 * D is taken at x for analytic priors, at x + s n for networks, with another n for every probe. evaluations (n): of D
 * and VJPs together. RMP_ERR_CONFIG for an operator that is not linear, or more values than `exact` takes. */
rmp_status rmp_uncertainty(const rmp_uncertainty_config *config, const rmp_problem *problem, const rmp_field *x,
                           rmp_field *out, int64_t evaluations[]) RMP_MUST_CHECK;

/* Fields that rmp_uncertainty will take, in floats for each image (image and measurement sizes given). */
int64_t rmp_uncertainty_floats(const rmp_uncertainty_config *config, const rmp_noise *noise, int64_t image,
                               int64_t measured);
/* Probes for images of a shape; evaluations and VJPs of one image, together, at most: none without a method. */
int64_t rmp_uncertainty_probes(const rmp_uncertainty_config *config, rmp_shape shape);
int64_t rmp_uncertainty_cost(const rmp_uncertainty_config *config, rmp_shape shape);
