/* Ancestral sampling of DDPM (Ho et al. 2020) on the schedule of the prior, which DPS and MCG guide. In the coordinates
 * of the schedule, x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) n. The variance of a step is that of q(x_{t-1} | x_t, x0);
 * a variance that a network has learned is not used: no other prior has one. */
#pragma once

#include "core/solve.h"

typedef struct rmp_ddpm_step {
    double abar, previous;                       /* of this step and of the next one down, which is 1 at the end */
    double s, scale;                             /* noise level and x_t to variance-exploding coordinates */
    double from_denoised, from_state, deviation; /* of x_{t-1} */
} rmp_ddpm_step;

enum { RMP_DDPM_FIELDS = 4 };

typedef struct rmp_ddpm {
    rmp_solve_state *base;
    rmp_ddpm_step *steps;                     /* (T), from the noisiest down */
    rmp_field *state, *at, *denoised, *score; /* at: scratch between the functions below */
} rmp_ddpm;

typedef enum rmp_ddpm_spacing {
    RMP_DDPM_EVEN,
    RMP_DDPM_QUADRATIC /* of DiffPIR: denser towards the image; even where T is more than half the schedule */
} rmp_ddpm_spacing;

/* T steps of a schedule of `abar_steps`, evenly spaced and rounded as guided-diffusion's space_timesteps does. */
rmp_status rmp_ddpm_check(const rmp_solver_config *config) RMP_MUST_CHECK;
/* steps (T) are the caller's to free. */
rmp_status rmp_ddpm_steps_create(const rmp_solver_config *config, rmp_ddpm_spacing spacing,
                                 rmp_ddpm_step **steps) RMP_MUST_CHECK;

/* base: borrowed. Destroy also after a failure. */
rmp_status rmp_ddpm_create(rmp_solve_state *base, rmp_ddpm_spacing spacing, rmp_ddpm *out) RMP_MUST_CHECK;
void rmp_ddpm_destroy(rmp_ddpm *ddpm);

/* Run number `run`: state = n. */
rmp_status rmp_ddpm_start(rmp_ddpm *ddpm, int64_t run) RMP_MUST_CHECK;
/* denoised = x0hat, clipped if base says so. */
rmp_status rmp_ddpm_denoise(rmp_ddpm *ddpm, const rmp_ddpm_step *step) RMP_MUST_CHECK;
/* The same, and score = the likelihood's at the state, variance-exploding coordinates. */
rmp_status rmp_ddpm_predict(rmp_ddpm *ddpm, const rmp_ddpm_step *step) RMP_MUST_CHECK;
/* The state becomes a draw of q(x_{t-1} | x_t, x0hat): its mean at the last step. index: of the step, counted over all
 * runs. */
rmp_status rmp_ddpm_draw(rmp_ddpm *ddpm, const rmp_ddpm_step *step, int64_t index) RMP_MUST_CHECK;
