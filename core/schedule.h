/* Noise schedules of variance-preserving diffusion (Ho et al. 2020). */
#pragma once

#include "core/status.h"

/* Cumulative products abar[i] = (1 - beta_0) ... (1 - beta_i) of `steps` betas spaced evenly from `first` to `last`.
 * RMP_ERR_FORMAT if nothing of the signal is left at the end. steps >= 2. */
rmp_status rmp_schedule_linear(double first, double last, int64_t steps, double abar[]) RMP_MUST_CHECK;

/* The schedule of DDPM, for priors that bring none: 1e-4 .. 0.02 in 1000 steps. */
enum { RMP_SCHEDULE_STEPS = 1000 };
rmp_status rmp_schedule_default(double abar[RMP_SCHEDULE_STEPS]) RMP_MUST_CHECK;
