/* Decoupled annealing posterior sampling (Zhang et al. 2024, arXiv 2407.01521), with Langevin steps: at each noise
 * level the probability flow ODE leads from the state to an image x0hat; Langevin steps from there sample exp(-|y -
 * A(x)|^2 / (2 tau^2) - |x - x0hat|^2 / (2 s^2)); the result with fresh noise of the next level is the next state. No
 * gradient of the network, and operators that are not linear. Levels fall as Karras et al. 2022 have them, rho = 7,
 * from sigma_max to sigma_min; the steps of Langevin shrink with the level's number to a hundredth of lr.
 *
 * Levels are those of the authors' code (github.com/zhangbingliang2019/DAPS, cores/scheduler.py and sampler.py at
 * a9bed9f): a grid of T + 1 levels of which the last one, sigma_min, is the image itself, without noise, and makes no
 * step; their ODE takes ode_steps of Euler on such a grid from the level to 0.01, its last level included. Their first
 * release put T levels on the grid and ended the ODE at 0. */
#include "core/solvers/data.h"

#include <math.h>

static const double RHO = 7.0, ODE_END = 0.01, LR_END = 0.01;

enum { IMAGE_FIELDS = 4 };

typedef struct daps {
    rmp_solve_state *base;
    rmp_data data;
    rmp_field *state, *image, *denoised, *move;
} daps;

static rmp_status check(const rmp_solver_config *c)
{
    RMP_CHECK(c->sigma_min > 0.0 && c->sigma_max > c->sigma_min && isfinite(c->sigma_max), RMP_ERR_CONFIG,
              "solver.sigma_min, solver.sigma_max: %g and %g are not 0 < sigma_min < sigma_max", c->sigma_min,
              c->sigma_max);
    RMP_CHECK(c->sigma_min >= ODE_END, RMP_ERR_CONFIG, "solver.sigma_min: %g is below %g, where the ODE of daps ends",
              c->sigma_min, ODE_END);
    RMP_CHECK(c->ode_steps >= 1 && c->ode_steps <= 1000, RMP_ERR_CONFIG,
              "solver.ode_steps: %lld is not between 1 and 1000", (long long)c->ode_steps);
    RMP_CHECK(c->langevin_steps >= 0 && c->langevin_steps <= 10000 && c->T * c->langevin_steps < INT32_MAX,
              RMP_ERR_CONFIG, "solver.langevin_steps: %lld is not between 0 and 10000, or T times it is 2^31 or more",
              (long long)c->langevin_steps);
    RMP_CHECK(c->lr > 0.0 && isfinite(c->lr), RMP_ERR_CONFIG, "solver.lr: %g is not a positive step", c->lr);
    RMP_CHECK(c->tau > 0.0 && isfinite(c->tau), RMP_ERR_CONFIG, "solver.tau: %g is not a noise level", c->tau);
    return RMP_OK;
}

/* The level at the share r of the way from `from` to `to`. */
static double level(double from, double to, double r)
{
    return pow(pow(from, 1.0 / RHO) + r * (pow(to, 1.0 / RHO) - pow(from, 1.0 / RHO)), RHO);
}

/* image = where the ODE dx/ds = (x - D(x; s)) / s leads from the state, by Euler's method. */
static rmp_status flow(daps *q, double s)
{
    const int64_t steps = q->base->config->ode_steps;
    RMP_TRY(rmp_field_copy(q->state, q->image));
    for (int64_t j = 0; j < steps; ++j) {
        const double here = level(s, ODE_END, (double)j / (double)steps);
        const double step = (level(s, ODE_END, (double)(j + 1) / (double)steps) - here) / here;
        RMP_TRY(rmp_solve_denoise(q->base, q->image, here, q->denoised));
        RMP_TRY(rmp_solve_axpby(q->base, -step, q->denoised, 1.0 + step, q->image));
    }
    return RMP_OK;
}

/* Langevin steps of length lr from the image, which they sample around what it was; `first` numbers their noise. */
static rmp_status sample(daps *q, double s, double lr, int64_t first)
{
    const rmp_solver_config *c = q->base->config;
    RMP_TRY(rmp_field_copy(q->image, q->denoised)); /* x0hat */
    for (int64_t j = 0; j < c->langevin_steps; ++j) {
        RMP_TRY(rmp_data_descent(&q->data, q->image, q->move));
        RMP_TRY(rmp_solve_axpby(q->base, lr / (c->tau * c->tau), q->move, 1.0 - lr / (s * s), q->image));
        RMP_TRY(rmp_solve_axpby(q->base, lr / (s * s), q->denoised, 1.0, q->image));
        RMP_TRY(rmp_field_normals(q->move, q->base->problem->key, (uint32_t)(first + j), RMP_PURPOSE_LANGEVIN));
        RMP_TRY(rmp_solve_axpby(q->base, sqrt(2.0 * lr), q->move, 1.0, q->image));
        RMP_TRY(rmp_solve_tick(q->base)); /* the operator may be a network too */
    }
    return RMP_OK;
}

static rmp_status descend(daps *q)
{
    const rmp_solver_config *c = q->base->config;
    const rmp_key *key = q->base->problem->key;
    const double T = (double)c->T;
    RMP_TRY(rmp_field_normals(q->state, key, 0, RMP_PURPOSE_INIT));
    RMP_TRY(rmp_solve_axpby(q->base, 0.0, q->state, c->sigma_max, q->state));
    for (int64_t i = 0; i < c->T; ++i) {
        const double s = level(c->sigma_max, c->sigma_min, (double)i / T);
        RMP_TRY(flow(q, s));
        RMP_TRY(sample(q, s, c->lr * (1.0 + (double)i / T * (LR_END - 1.0)), i * c->langevin_steps));
        rmp_solve_step_done(q->base);
        RMP_TRY(rmp_solve_watch(q->base, q->image, 1.0, s));
        if (i + 1 == c->T) break;
        RMP_TRY(rmp_field_normals(q->state, key, (uint32_t)i, RMP_PURPOSE_ANCESTRAL));
        RMP_TRY(
            rmp_solve_axpby(q->base, 1.0, q->image, level(c->sigma_max, c->sigma_min, (double)(i + 1) / T), q->state));
    }
    return RMP_OK;
}

static rmp_status work(daps *q, rmp_field *x)
{
    rmp_field **field[IMAGE_FIELDS] = {&q->state, &q->image, &q->denoised, &q->move};
    RMP_TRY(rmp_data_create(q->base->problem, &q->data));
    for (int i = 0; i < IMAGE_FIELDS; ++i)
        RMP_TRY(rmp_field_create(q->base->problem->prior->space, field[i]));
    RMP_TRY(descend(q));
    return rmp_field_copy(q->image, x);
}

static rmp_status run(rmp_solve_state *base, rmp_field *x)
{
    daps q = {.base = base};
    const rmp_status status = work(&q, x);
    rmp_field **field[IMAGE_FIELDS] = {&q.state, &q.image, &q.denoised, &q.move};
    for (int i = 0; i < IMAGE_FIELDS; ++i)
        rmp_field_destroy(field[i]);
    rmp_data_destroy(&q.data);
    return status;
}

static bool explains(const rmp_solver_config *c) { return c->langevin_steps > 0; }

static rmp_solver_extent extent(const rmp_solver_config *c)
{
    return (rmp_solver_extent){.steps = c->T, .ticks = c->ode_steps + c->langevin_steps, .cost = c->T * c->ode_steps};
}

static int64_t floats(const rmp_solver_config *c, int64_t image, int64_t measured)
{
    (void)c;
    return IMAGE_FIELDS * image + RMP_DATA_FIELDS * measured;
}

const rmp_solver_class rmp_solver_daps = {.name = "daps",
                                          .check = check,
                                          .likelihood = rmp_solver_likelihood_none,
                                          .explains = explains,
                                          .floats = floats,
                                          .extent = extent,
                                          .run = run};
