/* Noise schedules: which time argument tells a network which noise level. */
#pragma once

#include "core/status.h"

/* Cumulative products abar[i] = (1 - beta_0) ... (1 - beta_i) of `steps` betas spaced evenly from `first` to `last`
 * (Ho et al. 2020). RMP_ERR_FORMAT if nothing of the signal is left at the end. steps >= 2. */
rmp_status rmp_schedule_linear(double first, double last, int64_t steps, double abar[]) RMP_MUST_CHECK;
/* The same with the square roots of the betas spaced evenly ("scaled_linear"). */
rmp_status rmp_schedule_scaled_linear(double first, double last, int64_t steps, double abar[]) RMP_MUST_CHECK;
/* abar[i] = exp(-t beta_min - t^2 (beta_max - beta_min) / 2) at t = (i + 1) / steps (Song et al. 2021, VP). */
rmp_status rmp_schedule_continuous(double beta_min, double beta_max, int64_t steps, double abar[]) RMP_MUST_CHECK;

/* The schedule of DDPM, for priors that bring none: 1e-4 .. 0.02 in 1000 steps. */
enum { RMP_SCHEDULE_STEPS = 1000 };
rmp_status rmp_schedule_default(double abar[RMP_SCHEDULE_STEPS]) RMP_MUST_CHECK;

/* The (fractional) step of a schedule at noise level s: the inverse of s_k = sqrt((1 - abar_k) / abar_k), interpolated
 * linearly in log s, held at both ends. */
double rmp_schedule_time(const double *abar, int64_t steps, double s);

typedef enum rmp_schedule_kind {
    RMP_SCHEDULE_VP,            /* a step of abar */
    RMP_SCHEDULE_VP_CONTINUOUS, /* 999 t, t in [1e-5, 1] */
    RMP_SCHEDULE_VE,            /* the noise level itself */
    RMP_SCHEDULE_VE_LABELS,     /* 0 .. steps - 1, levels descending geometrically from sigma_max to sigma_min */
    RMP_SCHEDULE_EDM            /* log(noise level) / 4 */
} rmp_schedule_kind;

typedef struct rmp_schedule {
    rmp_schedule_kind kind;
    const double *abar;          /* VP: (steps), borrowed, strictly descending within (0, 1) */
    int64_t steps;               /* VP, VE_LABELS */
    double beta_min, beta_max;   /* VP_CONTINUOUS */
    double sigma_min, sigma_max; /* VE, VE_LABELS, EDM: what the network was trained on */
} rmp_schedule;

/* RMP_ERR_CONFIG for a schedule that is none. */
rmp_status rmp_schedule_check(const rmp_schedule *schedule) RMP_MUST_CHECK;

/* Whether the network sees x / sqrt(1 + s^2), not x. */
bool rmp_schedule_preserves_variance(const rmp_schedule *schedule);

/* The time argument for noise level s; *told is the noise level that it stands for: s, unless s lies beyond what the
 * network was trained on, or between labels. (VP: told = s.) */
double rmp_schedule_argument(const rmp_schedule *schedule, double s, double *told);

/* "1000 steps", "noise levels 0.01 to 348", ... for people, in a buffer of the caller. */
const char *rmp_schedule_text(const rmp_schedule *schedule, char *buffer, size_t size);
