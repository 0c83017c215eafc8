/* Diffusion posterior sampling (Chung et al. 2023, arXiv 2209.14687), as its authors' program does it: x_{t-1} is drawn
 * as DDPM does from a denoised image clipped to [-1, 1], then moved by -zeta grad_{x_t} |y - A(x0hat)|, the norm not
 * squared. There the norm is that of a whole batch, here of each image: the same for their batches of one.
 * `dps_mean` averages independent runs. */
#include "core/solvers/ddpm.h"

#include <math.h>

static rmp_status check_dps(const rmp_solver_config *c)
{
    RMP_CHECK(c->zeta >= 0.0 && isfinite(c->zeta), RMP_ERR_CONFIG, "solver.zeta: %g is not a step", c->zeta);
    return rmp_ddpm_check(c);
}

static rmp_status check_mean(const rmp_solver_config *c)
{
    RMP_CHECK(c->samples >= 1 && c->samples <= 1000 && c->T * c->samples < INT32_MAX, RMP_ERR_CONFIG,
              "solver.samples: %lld is not between 1 and 1000, or T x samples is 2^31 or more", (long long)c->samples);
    return check_dps(c);
}

static rmp_status sample(rmp_ddpm *d, int64_t run)
{
    rmp_solve_state *q = d->base;
    RMP_TRY(rmp_ddpm_start(d, run));
    for (int64_t i = 0; i < q->config->T; ++i) {
        const rmp_ddpm_step *step = &d->steps[i];
        RMP_TRY(rmp_ddpm_predict(d, step));
        RMP_TRY(rmp_ddpm_draw(d, step, run * q->config->T + i));
        RMP_TRY(rmp_solve_axpby(q, q->config->zeta * step->scale, d->score, 1.0, d->state));
        rmp_solve_step_done(q);
        RMP_TRY(rmp_solve_watch(q, d->state, step->scale, step->s));
    }
    return RMP_OK;
}

static rmp_status run_samples(rmp_solve_state *q, int64_t samples, rmp_field *x)
{
    rmp_ddpm d;
    rmp_status status = rmp_ddpm_create(q, RMP_DDPM_EVEN, &d);
    for (int64_t k = 0; k < samples && status == RMP_OK; ++k) {
        status = sample(&d, k);
        if (status == RMP_OK) status = rmp_solve_axpby(q, 1.0 / (double)samples, d.state, k == 0 ? 0.0 : 1.0, x);
    }
    rmp_ddpm_destroy(&d);
    return status;
}

static rmp_status run_dps(rmp_solve_state *q, rmp_field *x) { return run_samples(q, 1, x); }
static rmp_status run_mean(rmp_solve_state *q, rmp_field *x) { return run_samples(q, q->config->samples, x); }

static bool explains(const rmp_solver_config *c) { return c->zeta > 0.0; }

static rmp_solver_extent extent_of_mean(const rmp_solver_config *c)
{
    return (rmp_solver_extent){.steps = c->samples * c->T, .ticks = 2, .cost = 2 * c->samples * c->T};
}

static int64_t floats(const rmp_solver_config *c, int64_t image, int64_t measured)
{
    (void)c;
    (void)measured;
    return RMP_DDPM_FIELDS * image;
}

const rmp_solver_class rmp_solver_dps = {.name = "dps",
                                         .clips = true,
                                         .check = check_dps,
                                         .likelihood = rmp_solver_likelihood_dps,
                                         .explains = explains,
                                         .floats = floats,
                                         .extent = rmp_solver_differentiates,
                                         .run = run_dps};
const rmp_solver_class rmp_solver_dps_mean = {.name = "dps_mean",
                                              .clips = true,
                                              .check = check_mean,
                                              .likelihood = rmp_solver_likelihood_dps,
                                              .explains = explains,
                                              .floats = floats,
                                              .extent = extent_of_mean,
                                              .run = run_mean};
