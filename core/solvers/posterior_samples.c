/* The average of independent draws from the exact posterior p(x0 | y), which analytic priors with a linear operator and
 * Gaussian noise have in closed form: what a perfect posterior sampler would give. Its mean squared distance to the
 * posterior mean is the trace of the posterior covariance divided by the number of draws. No denoising: where a sampler
 * needs a whole run of a network for every draw, this needs none, so evaluations are 0. */
#include "core/prior_mixture.h"
#include "core/solve.h"

static rmp_status check(const rmp_solver_config *c)
{
    RMP_CHECK(c->samples >= 1 && c->samples <= 1000, RMP_ERR_CONFIG, "solver.samples: %lld is not between 1 and 1000",
              (long long)c->samples);
    return RMP_OK;
}

static rmp_status check_operator(const rmp_solver_config *c, const rmp_operator_config *op)
{
    (void)c;
    RMP_CHECK(rmp_operator_config_is_linear(op), RMP_ERR_CONFIG,
              "solver.kind: posterior_samples needs a linear operator");
    return RMP_OK;
}

static rmp_status average(rmp_solve_state *q, rmp_field *draw, rmp_field *x)
{
    const rmp_problem *p = q->problem;
    const double sigma = rmp_noise_sigma(&p->noise), share = 1.0 / (double)q->config->samples;
    for (int64_t k = 0; k < q->config->samples; ++k) {
        RMP_TRY(rmp_mixture_posterior_sample(p->prior, p->op, p->y, sigma, p->key, (uint32_t)k, draw));
        RMP_TRY(rmp_solve_axpby(q, share, draw, k == 0 ? 0.0 : 1.0, x));
        RMP_TRY(rmp_solve_tick(q));
        rmp_solve_step_done(q);
    }
    return RMP_OK;
}

static rmp_status run(rmp_solve_state *q, rmp_field *x)
{
    rmp_field *draw = NULL;
    RMP_CHECK(
        rmp_prior_has_likelihood(q->problem->prior), RMP_ERR_CONFIG,
        "solver.kind: posterior_samples needs an analytic prior (gaussian, mixture): the posterior of a network is "
        "not known");
    RMP_CHECK(rmp_noise_is_uniform(&q->problem->noise), RMP_ERR_CONFIG,
              "solver.kind: posterior_samples needs Gaussian noise");
    RMP_TRY(rmp_field_create(x->space, &draw));
    const rmp_status status = average(q, draw, x);
    rmp_field_destroy(&draw);
    return status;
}

/* A draw from the posterior is what it is, however far its residual. */
static bool explains(const rmp_solver_config *c)
{
    (void)c;
    return false;
}

static rmp_solver_extent extent(const rmp_solver_config *c)
{
    return (rmp_solver_extent){.steps = c->samples, .ticks = 1, .cost = 0};
}

static int64_t floats(const rmp_solver_config *c, int64_t image, int64_t measured)
{
    (void)c;
    (void)measured;
    return image;
}

const rmp_solver_class rmp_solver_posterior_samples = {.name = "posterior_samples",
                                                       .check = check,
                                                       .check_operator = check_operator,
                                                       .likelihood = rmp_solver_likelihood_none,
                                                       .explains = explains,
                                                       .floats = floats,
                                                       .extent = extent,
                                                       .run = run};
