/* The noise levels of a solver, from the top down, with the coefficients of one mean update. VE-RMP and VP-RMP are the
 * same iteration in different coordinates, METHOD.md sections 3 and 4; what differs is in these numbers.
 * With mu in the solver's coordinates and mu_{k+1} the result of the level above, one inner iteration is
 *   mu <- (1 - s1) mu + s1 (next mu_{k+1} + denoised D(x; s) + gamma score l(x, s)),   x = scale (mu + spread n)
 * because the step of natural gradient s1 v_k makes the three precisions sum to 1. `dps` is not a score: it adds
 * zeta dps l instead. */
#pragma once

#include "core/solver.h"

typedef struct rmp_level {
    double s;                     /* noise level, variance exploding */
    double scale;                 /* solver's coordinates to variance-exploding ones */
    double start;                 /* mu starts from start mu_{k+1} */
    double next, denoised, score; /* as above */
    double conditional, marginal; /* standard deviations of the spreads, solver's coordinates */
    double dps;
} rmp_level;

/* Levels k = T - 1 .. 0 of the descending grid sigma[0] > ... > sigma[T] > 0: levels[0] goes from sigma[0] to sigma[1].
 */
void rmp_levels_ve(int64_t T, const double *sigma, rmp_level levels[]);
/* Likewise for the ascending abar[0] < ... < abar[T] < 1. */
void rmp_levels_vp(int64_t T, const double *abar, rmp_level levels[]);

/* Levels (T) as the configuration asks, and the standard deviation of the state at the top. */
rmp_status rmp_levels_create(const rmp_solver_config *config, rmp_level levels[], double *top) RMP_MUST_CHECK;
rmp_status rmp_levels_create_ve(const rmp_solver_config *config, rmp_level levels[], double *top) RMP_MUST_CHECK;
/* The last step of the schedule whose noise level is at most sigma_max. */
int64_t rmp_schedule_top(const rmp_solver_config *config);
rmp_status rmp_levels_create_vp(const rmp_solver_config *config, rmp_level levels[], double *top) RMP_MUST_CHECK;

/* rmp_solve on given levels. */
rmp_status rmp_solve_levels(const rmp_solver_config *config, const rmp_level levels[], double top,
                            const rmp_problem *problem, rmp_field *x, rmp_solver_stats stats[]) RMP_MUST_CHECK;
