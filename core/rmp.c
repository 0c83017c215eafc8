/* Reverse mean propagation (arXiv 2410.05646; METHOD.md sections 3 and 4) on the levels of core/levels.h. */
#include "core/solve.h"

#include <math.h>
#include <stdlib.h>

/* In units of 1 / v_k: only a bound for what is not finite. */
static const double LARGEST_PRECISION = 1e6;

enum { IMAGE_FIELDS = 6, LEARNED_FIELDS = 5 };

typedef struct rmp {
    rmp_solve_state *base;
    rmp_spread spread;
    int64_t draws;                 /* evaluations of one inner iteration */
    rmp_field *mu, *above, *fresh; /* state, mu_{k+1}, state in the making */
    rmp_field *x, *denoised, *score;
    /* learned precision, in units of 1 / v_k: itself, its estimate of one update, a probe n, J^T n, curvature times n
     */
    rmp_field *precision, *estimate, *probe, *jacobian, *curvature;
} rmp;

static rmp_status check_rmp(const rmp_solver_config *c)
{
    RMP_CHECK((int)c->likelihood >= 0 && c->likelihood <= RMP_LIKELIHOOD_EXACT, RMP_ERR_CONFIG,
              "solver.likelihood: number %d is no likelihood", (int)c->likelihood);
    RMP_CHECK((int)c->spread >= 0 && c->spread <= RMP_SPREAD_MARGINAL, RMP_ERR_CONFIG,
              "solver.spread: number %d is no spread", (int)c->spread);
    RMP_CHECK(c->init == RMP_INIT_NOISE || c->init == RMP_INIT_ZERO, RMP_ERR_CONFIG, "solver.init: number %d is none",
              (int)c->init);
    RMP_CHECK(c->final == RMP_FINAL_DENOISE || c->final == RMP_FINAL_MEAN, RMP_ERR_CONFIG,
              "solver.final: number %d is none", (int)c->final);
    RMP_CHECK(c->T_in >= 1 && c->T_in <= 1000, RMP_ERR_CONFIG, "solver.T_in: %lld is not between 1 and 1000",
              (long long)c->T_in);
    RMP_CHECK(c->samples >= 1 && c->samples <= 1000 && c->T * c->T_in * c->samples < INT32_MAX, RMP_ERR_CONFIG,
              "solver.samples: %lld is not between 1 and 1000, or T x T_in x samples is 2^31 or more",
              (long long)c->samples);
    RMP_CHECK(c->s1 > 0.0 && c->s1 < 2.0, RMP_ERR_CONFIG, "solver.s1: %g is not between 0 and 2", c->s1);
    RMP_CHECK(c->lambda == RMP_LAMBDA_FIXED || c->lambda == RMP_LAMBDA_LEARNED, RMP_ERR_CONFIG,
              "solver.precision: number %d is none", (int)c->lambda);
    RMP_CHECK(c->s2 >= 0.0 && c->s2 <= 1.0, RMP_ERR_CONFIG, "solver.s2: %g is not from 0 to 1", c->s2);
    RMP_CHECK(c->probes >= 1 && c->probes <= 1000 && c->T * c->T_in * c->samples * c->probes < INT32_MAX,
              RMP_ERR_CONFIG, "solver.probes: %lld is not between 1 and 1000, or T x T_in x samples x probes too large",
              (long long)c->probes);
    RMP_CHECK(c->lambda == RMP_LAMBDA_FIXED || c->likelihood != RMP_LIKELIHOOD_EXACT, RMP_ERR_CONFIG,
              "solver.precision: learned knows no curvature of likelihood exact; use moment");
    RMP_CHECK(c->gamma >= 0.0 && isfinite(c->gamma), RMP_ERR_CONFIG, "solver.gamma: %g is not a weight", c->gamma);
    RMP_CHECK(isfinite(c->zeta), RMP_ERR_CONFIG, "solver.zeta: %g is not a step", c->zeta);
    RMP_CHECK(c->cg_iterations >= 1 && c->cg_iterations <= 10000, RMP_ERR_CONFIG,
              "solver.cg_iterations: %lld is not between 1 and 10000", (long long)c->cg_iterations);
    RMP_CHECK(c->cg_tolerance >= 0.0 && c->cg_tolerance < 1.0, RMP_ERR_CONFIG,
              "solver.cg_tolerance: %g is not from 0 to below 1", c->cg_tolerance);
    /* The first iteration of a warm start goes along the last solution: alone it would never find another direction. */
    RMP_CHECK(c->likelihood != RMP_LIKELIHOOD_MOMENT || !c->cg_warm || c->cg_iterations > 1, RMP_ERR_CONFIG,
              "solver.cg_warm: needs solver.cg_iterations of 2 or more, not %lld", (long long)c->cg_iterations);
    return RMP_OK;
}

static rmp_status check_ve(const rmp_solver_config *c)
{
    RMP_TRY(check_rmp(c));
    RMP_CHECK(c->sigma_min > 0.0 && c->sigma_max > c->sigma_min && isfinite(c->sigma_max), RMP_ERR_CONFIG,
              "solver.sigma_min, solver.sigma_max: %g and %g are not 0 < sigma_min < sigma_max", c->sigma_min,
              c->sigma_max);
    return RMP_OK;
}

rmp_status rmp_solver_check_schedule(const rmp_solver_config *c, int64_t least)
{
    RMP_CHECK(c->abar != NULL && c->abar_steps >= 2, RMP_ERR_CONFIG,
              "solver.kind: this solver needs a prior with a noise schedule");
    RMP_CHECK(c->abar_steps >= least, RMP_ERR_CONFIG, "solver.T: %lld is too much for the %lld steps of the schedule",
              (long long)c->T, (long long)c->abar_steps);
    for (int64_t i = 0; i < c->abar_steps; ++i)
        RMP_CHECK(c->abar[i] > 0.0 && c->abar[i] < 1.0 && (i == 0 || c->abar[i] < c->abar[i - 1]), RMP_ERR_CONFIG,
                  "prior: the noise schedule does not descend from 1 to 0 at step %lld", (long long)i);
    return RMP_OK;
}

static rmp_status check_vp(const rmp_solver_config *c)
{
    RMP_TRY(check_rmp(c));
    RMP_TRY(rmp_solver_check_schedule(c, c->T + 1));
    RMP_CHECK(c->sigma_max > 0.0, RMP_ERR_CONFIG, "solver.sigma_max: %g is not a noise level", c->sigma_max);
    RMP_CHECK(c->T <= rmp_schedule_top(c), RMP_ERR_CONFIG,
              "solver.T: %lld is too much for the %lld steps of the schedule up to solver.sigma_max (%g)",
              (long long)c->T, (long long)rmp_schedule_top(c) + 1, c->sigma_max);
    return RMP_OK;
}

rmp_status rmp_levels_create(const rmp_solver_config *config, rmp_level levels[], double *top)
{
    return config->kind == RMP_SOLVER_VE_RMP ? rmp_levels_create_ve(config, levels, top)
                                             : rmp_levels_create_vp(config, levels, top);
}

/* Draw number `index` of the solve: x = scale (mu + spread n), denoised = D(x; s). Successive draws are pairs n, -n,
 * also across updates: what is odd in the noise cancels within a step or, nearly, between neighbouring steps. */
static rmp_status evaluate(rmp *q, const rmp_level *level, int64_t index, const rmp_field **at)
{
    const double deviation = q->spread == RMP_SPREAD_CONDITIONAL ? level->conditional : level->marginal;
    *at = q->x;
    if (q->spread == RMP_SPREAD_NONE) {
        RMP_TRY(rmp_field_axpby1(level->scale, q->mu, 0.0, q->x));
    } else {
        const double sign = index % 2 == 1 ? -1.0 : 1.0;
        RMP_TRY(rmp_field_normals(q->x, q->base->problem->key, (uint32_t)(index / 2), RMP_PURPOSE_SPREAD));
        RMP_TRY(rmp_field_axpby1(level->scale, q->mu, sign * level->scale * deviation, q->x));
    }
    return rmp_solve_denoise(q->base, q->x, level->s, q->denoised);
}

/* Adds the share of one draw to the estimate of the diagonal of -v_k times the Hessian of log p(x_k | x_{k+1}, y), by
 * Hutchinson probes n of +-1: the diagonal of B is the mean of n (B n). */
static rmp_status probe(rmp *q, const rmp_level *level, int64_t index, bool first, double share)
{
    const rmp_solver_config *c = q->base->config;
    for (int64_t k = 0; k < c->probes; ++k) {
        RMP_TRY(
            rmp_field_normals(q->probe, q->base->problem->key, (uint32_t)(index * c->probes + k), RMP_PURPOSE_PROBE));
        RMP_TRY(rmp_field_sign(q->probe));
        RMP_TRY(rmp_solve_vjp(q->base, q->probe, q->jacobian));
        RMP_TRY(rmp_likelihood_curvature(q->base->likelihood, level->s, q->probe, q->jacobian, q->base->alive,
                                         q->curvature));
        RMP_TRY(rmp_field_axpby1(-level->denoised * level->scale, q->jacobian, c->gamma * level->score * level->scale,
                                 q->curvature));
        RMP_TRY(rmp_field_axpby1(1.0, q->probe, 1.0, q->curvature));
        RMP_TRY(rmp_field_multiply(q->probe, q->curvature));
        RMP_TRY(rmp_solve_axpby(q->base, share / (double)c->probes, q->curvature, first && k == 0 ? 0.0 : 1.0,
                                q->estimate));
    }
    return RMP_OK;
}

/* Lambda <- (1 - s2) Lambda + s2 estimate, never below the 1 / dv that the state above alone gives: the rest of the
 * Hessian is not negative in theory, and estimates scatter. Then mu <- mu + (fresh - mu) / Lambda, where fresh is the
 * result of a step with the precision fixed. */
static rmp_status apply_precision(rmp *q, const rmp_level *level)
{
    const rmp_solver_config *c = q->base->config;
    const int64_t n = q->base->n;
    double *zero = rmp_solve_scalars(q->base, 3), *one = rmp_solve_scalars(q->base, 4);
    for (int64_t i = 0; i < n; ++i) {
        zero[i] = 0.0;
        one[i] = 1.0;
    }
    RMP_TRY(rmp_field_axpby1(c->s2, q->estimate, 1.0 - c->s2, q->precision));
    RMP_TRY(rmp_field_clamp(1.0 - level->denoised * level->scale, LARGEST_PRECISION, q->precision));
    RMP_TRY(rmp_field_axpby1(-1.0, q->mu, 1.0, q->fresh));
    RMP_TRY(rmp_field_divide(zero, one, q->precision, q->fresh));
    return rmp_solve_axpby(q->base, 1.0, q->mu, 1.0, q->fresh);
}

/* The step of `dps`. All steps of DPS together go 0.3 x 1000 far on pictures of 256 x 256 x 3, and lengths grow with
 * the root of the number of numbers: as far, however many steps there are. */
static double zeta_of(const rmp *q)
{
    const rmp_solver_config *c = q->base->config;
    const double numbers = (double)rmp_shape_count(q->base->problem->prior->space->shape);
    return c->zeta >= 0.0 ? c->zeta : 0.7 * sqrt(numbers) / (double)(c->T * c->T_in);
}

/* fresh += share of the step along the score. `dps` steps zeta along a gradient, but never beyond the length at which
 * the linearised misfit would be gone (Polyak's step, f / |grad f|^2): where a level's network amplifies, as those at
 * the top of vp_rmp do by the noise level, it would not come back from there. */
static rmp_status add_score(rmp *q, const rmp_level *level, double share)
{
    const rmp_solver_config *c = q->base->config;
    if (c->likelihood != RMP_LIKELIHOOD_DPS)
        return rmp_solve_axpby(q->base, c->s1 * c->gamma * level->score * share, q->score, 1.0, q->fresh);
    double *step = rmp_solve_scalars(q->base, 3), *one = rmp_solve_scalars(q->base, 4);
    RMP_TRY(rmp_field_dot(q->score, q->score, step));
    for (int64_t i = 0; i < q->base->n; ++i) {
        const double polyak = rmp_likelihood_dps_misfit(q->base->likelihood, i) / (level->scale * step[i]);
        const double zeta = zeta_of(q) * level->dps;
        step[i] = !q->base->alive[i] || !(step[i] > 0.0) ? 0.0 : share * (polyak < zeta ? polyak : zeta);
        one[i] = 1.0;
    }
    return rmp_field_axpby(step, q->score, one, q->fresh);
}

/* One inner iteration; `first` is the number of its first draw. */
static rmp_status update(rmp *q, const rmp_level *level, int64_t first)
{
    const rmp_solver_config *c = q->base->config;
    const double share = 1.0 / (double)q->draws;
    RMP_TRY(rmp_solve_axpby(q->base, c->s1 * level->next, q->above, 0.0, q->fresh));
    RMP_TRY(rmp_solve_axpby(q->base, 1.0 - c->s1, q->mu, 1.0, q->fresh));
    for (int64_t j = 0; j < q->draws; ++j) {
        const rmp_field *x = NULL;
        RMP_TRY(evaluate(q, level, first + j, &x));
        RMP_TRY(rmp_solve_axpby(q->base, c->s1 * level->denoised * share, q->denoised, 1.0, q->fresh));
        if (c->likelihood != RMP_LIKELIHOOD_NONE) {
            RMP_TRY(rmp_likelihood_score(q->base->likelihood, x, level->s, q->denoised, q->base->alive, q->score));
            RMP_TRY(add_score(q, level, share));
        }
        if (c->lambda == RMP_LAMBDA_LEARNED) RMP_TRY(probe(q, level, first + j, j == 0, share));
    }
    if (c->lambda == RMP_LAMBDA_LEARNED) RMP_TRY(apply_precision(q, level));
    rmp_field *old = q->mu;
    q->mu = q->fresh;
    q->fresh = old;
    return rmp_solve_watch(q->base, q->mu, level->scale, level->s);
}

/* A priori it is 1: x / x where no x is 0. */
static rmp_status set_precision(rmp *q)
{
    double *zero = rmp_solve_scalars(q->base, 3), *one = rmp_solve_scalars(q->base, 4);
    for (int64_t i = 0; i < q->base->n; ++i) {
        zero[i] = 0.0;
        one[i] = 1.0;
    }
    RMP_TRY(rmp_field_axpby1(0.0, q->mu, 0.0, q->precision));
    return rmp_field_sign(q->precision);
}

static rmp_status descend(rmp *q, const rmp_level levels[], double top)
{
    const rmp_solver_config *c = q->base->config;
    if (c->init == RMP_INIT_NOISE) {
        RMP_TRY(rmp_field_normals(q->mu, q->base->problem->key, 0, RMP_PURPOSE_INIT));
        RMP_TRY(rmp_solve_axpby(q->base, top, q->mu, 0.0, q->mu));
    }
    for (int64_t i = 0; i < c->T; ++i) {
        RMP_TRY(rmp_field_copy(q->mu, q->above));
        if (levels[i].start != 1.0) RMP_TRY(rmp_field_axpby1(levels[i].start, q->above, 0.0, q->mu));
        if (c->lambda == RMP_LAMBDA_LEARNED) RMP_TRY(set_precision(q));
        for (int64_t t = 0; t < c->T_in; ++t)
            RMP_TRY(update(q, &levels[i], (i * c->T_in + t) * q->draws));
        rmp_solve_step_done(q->base);
    }
    return RMP_OK;
}

static rmp_status finish(rmp *q, const rmp_level *last, rmp_field *x)
{
    const rmp_solver_config *c = q->base->config;
    if (c->final == RMP_FINAL_MEAN) {
        RMP_TRY(rmp_solve_axpby(q->base, last->scale, q->mu, 0.0, x));
    } else {
        for (int64_t j = 0; j < q->draws; ++j) {
            const rmp_field *at = NULL;
            RMP_TRY(evaluate(q, last, c->T * c->T_in * q->draws + j, &at));
            RMP_TRY(rmp_solve_axpby(q->base, 1.0 / (double)q->draws, q->denoised, j == 0 ? 0.0 : 1.0, x));
        }
    }
    rmp_solve_step_done(q->base);
    return rmp_solve_watch(q->base, x, 1.0, last->s);
}

static int64_t fields_of(const rmp_solver_config *c)
{
    return IMAGE_FIELDS + (c->lambda == RMP_LAMBDA_LEARNED ? LEARNED_FIELDS : 0);
}

static void list_fields(rmp *q, rmp_field **field[IMAGE_FIELDS + LEARNED_FIELDS])
{
    rmp_field **all[IMAGE_FIELDS + LEARNED_FIELDS] = {&q->mu,       &q->above,    &q->fresh,     &q->x,
                                                      &q->denoised, &q->score,    &q->precision, &q->estimate,
                                                      &q->probe,    &q->jacobian, &q->curvature};
    for (int i = 0; i < IMAGE_FIELDS + LEARNED_FIELDS; ++i)
        field[i] = all[i];
}

static rmp_status create_fields(rmp *q)
{
    rmp_field **field[IMAGE_FIELDS + LEARNED_FIELDS];
    list_fields(q, field);
    for (int64_t i = 0; i < fields_of(q->base->config); ++i)
        RMP_TRY(rmp_field_create(q->base->problem->prior->space, field[i]));
    return RMP_OK;
}

static void destroy_fields(rmp *q)
{
    rmp_field **field[IMAGE_FIELDS + LEARNED_FIELDS];
    list_fields(q, field);
    for (int i = 0; i < IMAGE_FIELDS + LEARNED_FIELDS; ++i)
        rmp_field_destroy(field[i]);
}

static rmp_status propagate(rmp_solve_state *base, const rmp_level levels[], double top, rmp_field *x)
{
    const rmp_solver_config *c = base->config;
    rmp q = {.base = base, .spread = c->spread};
    if (q.spread == RMP_SPREAD_AUTO) q.spread = base->problem->prior->analytic ? RMP_SPREAD_NONE : RMP_SPREAD_MARGINAL;
    q.draws = q.spread == RMP_SPREAD_NONE ? 1 : c->samples;
    rmp_status status = create_fields(&q);
    if (status == RMP_OK) status = descend(&q, levels, top);
    if (status == RMP_OK) status = finish(&q, &levels[c->T - 1], x);
    destroy_fields(&q);
    return status;
}

static rmp_status run(rmp_solve_state *q, rmp_field *x)
{
    double top = q->top;
    if (q->levels != NULL) return propagate(q, q->levels, top, x);
    rmp_level *levels = malloc((size_t)q->config->T * sizeof *levels);
    RMP_CHECK(levels != NULL, RMP_ERR_MEMORY, "no memory for %lld noise levels", (long long)q->config->T);
    rmp_status status = rmp_levels_create(q->config, levels, &top);
    if (status == RMP_OK) status = propagate(q, levels, top, x);
    free(levels);
    return status;
}

static rmp_solver_extent extent(const rmp_solver_config *c)
{
    const rmp_likelihood_config likelihood = {.kind = c->likelihood, .cg_iterations = c->cg_iterations};
    const int64_t score = rmp_likelihood_cost(&likelihood), draws = c->spread == RMP_SPREAD_NONE ? 1 : c->samples;
    const int64_t curvature = c->likelihood == RMP_LIKELIHOOD_DPS ? 0 : score; /* dps has none */
    const int64_t probes = c->lambda == RMP_LAMBDA_LEARNED ? c->probes * (1 + curvature) : 0;
    const int64_t level = c->T_in * draws * (1 + score + probes);
    return (rmp_solver_extent){
        .steps = c->T + 1, .ticks = level, .cost = c->T * level + (c->final == RMP_FINAL_DENOISE ? draws : 0)};
}

static rmp_likelihood_kind likelihood_of(const rmp_solver_config *c) { return c->likelihood; }
static bool explains(const rmp_solver_config *c) { return c->likelihood != RMP_LIKELIHOOD_NONE; }

static int64_t floats(const rmp_solver_config *c, int64_t image, int64_t measured)
{
    (void)measured;
    return fields_of(c) * image;
}

const rmp_solver_class rmp_solver_ve_rmp = {.name = "ve_rmp",
                                            .check = check_ve,
                                            .likelihood = likelihood_of,
                                            .explains = explains,
                                            .floats = floats,
                                            .extent = extent,
                                            .run = run};
const rmp_solver_class rmp_solver_vp_rmp = {.name = "vp_rmp",
                                            .check = check_vp,
                                            .likelihood = likelihood_of,
                                            .explains = explains,
                                            .floats = floats,
                                            .extent = extent,
                                            .run = run};
