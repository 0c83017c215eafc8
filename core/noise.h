/* Measurement noise (METHOD.md section 6): its distribution, and its variance as likelihoods use it. */
#pragma once

#include "core/field.h"

typedef enum rmp_noise_kind {
    RMP_NOISE_GAUSSIAN, /* y = u + sigma n */
    RMP_NOISE_POISSON,  /* (y + 1) gain / 2 is a Poisson number of mean max((u + 1) gain / 2, 0): `gain` counts at white
                         */
    RMP_NOISE_NONE
} rmp_noise_kind;

typedef struct rmp_noise {
    rmp_noise_kind kind;
    double sigma;  /* gaussian: standard deviation, on the [-1, 1] scale */
    double gain;   /* poisson */
    double copies; /* 0 or 1; else every number measured once is there so many times, with so many times the variance
                      on each: together they say what the one says */
} rmp_noise;

static inline rmp_noise rmp_noise_gaussian(double sigma)
{
    return (rmp_noise){.kind = RMP_NOISE_GAUSSIAN, .sigma = sigma};
}

/* RMP_ERR_CONFIG with the key named. */
rmp_status rmp_noise_check(const rmp_noise *noise) RMP_MUST_CHECK;

/* y, which holds noise-free measurements u, becomes a measurement with noise; from the keys alone. */
rmp_status rmp_noise_add(const rmp_noise *noise, const rmp_key key[], rmp_field *y) RMP_MUST_CHECK;

/* A noise-free measurement counts as one of this standard deviation, less than the rounding of an 8-bit file. */
extern const double rmp_noise_smallest;

/* Standard deviation of uniform noise (gaussian, none), never below rmp_noise_smallest; of poisson a typical one, that
 * of mid-gray. */
double rmp_noise_sigma(const rmp_noise *noise);

/* Whether all numbers have the same variance, rmp_noise_sigma^2. */
bool rmp_noise_is_uniform(const rmp_noise *noise);

/* The variance of each number as the measurement y tells it, or its inverse; out has y's space. The gradient of the
 * Poisson log-likelihood is (y - u) / variance(u): with the variance taken from y it is that of a Gaussian. */
rmp_status rmp_noise_variance(const rmp_noise *noise, const rmp_field *y, bool inverse, rmp_field *out) RMP_MUST_CHECK;
