/* DiffPIR (Zhu et al. 2023, arXiv 2305.08995): each denoised image moves to
 *   argmin_x |y - A x|^2 + rho |x - x0hat|^2,  rho = lambda (sigma / 2)^2 / s^2,
 * sigma being stated on [0, 1] there; then the step of DDIM to the next level, in which the share fresh_noise (their
 * zeta) of the noise is new. The last step is the denoiser's alone.
 * The minimum is x0hat + s'^2 A^T (sigma^2 I + s'^2 A A^T)^-1 (y - A x0hat) with s'^2 = 4 s^2 / lambda: the score of
 * the likelihood `spectral`, in closed form where the operator has a spectrum, else by conjugate gradients. */
#include "core/solvers/ddpm.h"

#include <math.h>

static rmp_status check(const rmp_solver_config *c)
{
    RMP_CHECK(c->regularization > 0.0 && isfinite(c->regularization), RMP_ERR_CONFIG,
              "solver.lambda: %g is not a positive weight", c->regularization);
    RMP_CHECK(c->fresh_noise >= 0.0 && c->fresh_noise <= 1.0, RMP_ERR_CONFIG,
              "solver.fresh_noise: %g is not from 0 to 1", c->fresh_noise);
    return rmp_ddpm_check(c);
}

static rmp_status check_operator(const rmp_solver_config *c, const rmp_operator_config *op)
{
    (void)c;
    RMP_CHECK(rmp_operator_config_is_linear(op), RMP_ERR_CONFIG,
              "solver.kind: the data step of diffpir needs a linear operator");
    return RMP_OK;
}

static rmp_status meet_data(rmp_ddpm *d, const rmp_ddpm_step *step)
{
    rmp_solve_state *q = d->base;
    const double variance = 4.0 * step->s * step->s / q->config->regularization;
    RMP_TRY(rmp_likelihood_score(q->likelihood, d->denoised, sqrt(variance), d->denoised, q->alive, d->score));
    return rmp_solve_axpby(q, variance, d->score, 1.0, d->denoised);
}

/* eps = (x_t - sqrt(abar_t) x0) / sqrt(1 - abar_t). */
static rmp_status go_down(rmp_ddpm *d, const rmp_ddpm_step *step, int64_t index)
{
    rmp_solve_state *q = d->base;
    const double fresh = q->config->fresh_noise, below = sqrt(1.0 - step->previous);
    const double old = below * sqrt(1.0 - fresh) / sqrt(1.0 - step->abar);
    RMP_TRY(rmp_solve_axpby(q, sqrt(step->previous) - old * sqrt(step->abar), d->denoised, old, d->state));
    RMP_TRY(rmp_field_normals(d->at, q->problem->key, (uint32_t)index, RMP_PURPOSE_ANCESTRAL));
    return rmp_solve_axpby(q, below * sqrt(fresh), d->at, 1.0, d->state);
}

static rmp_status descend(rmp_ddpm *d)
{
    rmp_solve_state *q = d->base;
    RMP_TRY(rmp_ddpm_start(d, 0));
    for (int64_t i = 0; i < q->config->T; ++i) {
        const rmp_ddpm_step *step = &d->steps[i];
        RMP_TRY(rmp_ddpm_denoise(d, step));
        if (i + 1 < q->config->T) {
            RMP_TRY(meet_data(d, step));
            RMP_TRY(go_down(d, step, i));
        }
        rmp_solve_step_done(q);
        RMP_TRY(rmp_solve_watch(q, d->state, step->scale, step->s));
    }
    return RMP_OK;
}

static rmp_status run(rmp_solve_state *q, rmp_field *x)
{
    rmp_ddpm d;
    rmp_status status = rmp_ddpm_create(q, RMP_DDPM_QUADRATIC, &d);
    if (status == RMP_OK) status = descend(&d);
    if (status == RMP_OK) status = rmp_solve_axpby(q, 1.0, d.denoised, 0.0, x);
    rmp_ddpm_destroy(&d);
    return status;
}

static rmp_likelihood_kind likelihood(const rmp_solver_config *c)
{
    (void)c;
    return RMP_LIKELIHOOD_SPECTRAL;
}

static int64_t floats(const rmp_solver_config *c, int64_t image, int64_t measured)
{
    (void)c;
    (void)measured;
    return RMP_DDPM_FIELDS * image;
}

const rmp_solver_class rmp_solver_diffpir = {.name = "diffpir",
                                             .clips = true,
                                             .check = check,
                                             .check_operator = check_operator,
                                             .likelihood = likelihood,
                                             .explains = rmp_solver_explains_always,
                                             .floats = floats,
                                             .extent = rmp_solver_evaluates,
                                             .run = run};
