/* Statistics of feature vectors (number, sum, sum of outer products, in double, of their differences from the first
 * one, so that means that are large against the spread cost no digits) and the Frechet distance between two sets of
 * them, which with features of Inception-v3 is called FID (Heusel et al., "GANs Trained by a Two Time-Scale Update Rule
 * Converge to a Local Nash Equilibrium", NIPS 2017, equation 6). The numbers depend on the vectors and their order
 * only: they are added one after another, whatever blocks the machine takes them in. Memory does not grow with the
 * number of vectors. */
#pragma once

#include "core/device.h"
#include "core/poll.h"

typedef struct rmp_frechet rmp_frechet;

/* No vectors yet, of `dim` numbers each. */
rmp_status rmp_frechet_create(int64_t dim, rmp_frechet **out) RMP_MUST_CHECK;
void rmp_frechet_destroy(rmp_frechet **statistics);

/* One more vector (dim). RMP_ERR_ARGUMENT if a number is not finite; nothing is added then. */
rmp_status rmp_frechet_add(rmp_frechet *statistics, const float features[]) RMP_MUST_CHECK;

int64_t rmp_frechet_count(const rmp_frechet *statistics);

/* mean (dim) and covariance (dim, dim) as numpy.mean and numpy.cov give them: it divides by n - 1. RMP_ERR_ARGUMENT for
 * fewer than two vectors. */
rmp_status rmp_frechet_moments(rmp_frechet *statistics, double mean[], double covariance[]) RMP_MUST_CHECK;

/* |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), never below 0; covariances are symmetric and positive
 * semidefinite up to rounding, and may be singular (fewer vectors than numbers). With C = F^T F, F as many rows as C
 * has rank, the trace of the root is the sum of the singular values of F_a F_b^T, so that rank costs time and null
 * spaces cost no accuracy. With 2048 numbers it takes seconds to a minute: poll (may be NULL) is called every few
 * milliseconds, but not within the eigen-decomposition, before and after which it is called; its failure is returned.
 * RMP_ERR_ARGUMENT if a number is not finite. Takes up to rmp_frechet_bytes. */
rmp_status rmp_frechet_distance(rmp_device *dev, int64_t dim, const double mean_a[], const double covariance_a[],
                                const double mean_b[], const double covariance_b[], const rmp_poll *poll,
                                double *out) RMP_MUST_CHECK;

/* Bytes of two sets of statistics, their moments and their distance at the same time. */
int64_t rmp_frechet_bytes(int64_t dim);
