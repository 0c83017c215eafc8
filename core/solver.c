#include "core/solver.h"

#include "core/levels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double EXPLODED = 1e3; /* root mean square, in units of max(1, noise level) */
/* A result whose misfit is beyond this share of that of an image of zeros, and beyond the noise, explains nothing. */
static const double UNEXPLAINED = 0.5;
/* Networks know images in [-1, 1]: what their results must not miss by, and cannot exceed. */
static const double IMAGE_FLOOR = 0.05, IMAGE_RMS = 1.5;

void rmp_solver_defaults(rmp_solver_config *config)
{
    *config = (rmp_solver_config){
        .kind = RMP_SOLVER_VE_RMP,
        .likelihood = RMP_LIKELIHOOD_MOMENT,
        .T = 20,
        .T_in = 1,
        .sigma_min = 0.03,
        .sigma_max = 5.0,
        .s1 = 1.0,
        .gamma = 1.0,
        .zeta = 0.3,
        .cg_iterations = 3,
        .cg_tolerance = 1e-4,
        .spread = RMP_SPREAD_AUTO,
        .samples = 1,
        .init = RMP_INIT_ZERO,
        .final = RMP_FINAL_DENOISE,
    };
}

static rmp_status check_vp(const rmp_solver_config *c)
{
    RMP_CHECK(c->abar != NULL && c->abar_steps >= 2, RMP_ERR_CONFIG,
              "solver.kind: vp_rmp needs a prior with a noise schedule");
    RMP_CHECK(c->T < c->abar_steps, RMP_ERR_CONFIG, "solver.T: %lld is not below the %lld steps of the schedule",
              (long long)c->T, (long long)c->abar_steps);
    for (int64_t i = 0; i < c->abar_steps; ++i)
        RMP_CHECK(c->abar[i] > 0.0 && c->abar[i] < 1.0 && (i == 0 || c->abar[i] < c->abar[i - 1]), RMP_ERR_CONFIG,
                  "prior: the noise schedule does not descend from 1 to 0 at step %lld", (long long)i);
    return RMP_OK;
}

rmp_status rmp_solver_check(const rmp_solver_config *c)
{
    RMP_CHECK(c->kind == RMP_SOLVER_VE_RMP || c->kind == RMP_SOLVER_VP_RMP, RMP_ERR_CONFIG,
              "solver.kind: number %d is no solver", (int)c->kind);
    RMP_CHECK((int)c->likelihood >= 0 && c->likelihood <= RMP_LIKELIHOOD_EXACT, RMP_ERR_CONFIG,
              "solver.likelihood: number %d is no likelihood", (int)c->likelihood);
    RMP_CHECK((int)c->spread >= 0 && c->spread <= RMP_SPREAD_MARGINAL, RMP_ERR_CONFIG,
              "solver.spread: number %d is no spread", (int)c->spread);
    RMP_CHECK(c->init == RMP_INIT_NOISE || c->init == RMP_INIT_ZERO, RMP_ERR_CONFIG, "solver.init: number %d is none",
              (int)c->init);
    RMP_CHECK(c->final == RMP_FINAL_DENOISE || c->final == RMP_FINAL_MEAN, RMP_ERR_CONFIG,
              "solver.final: number %d is none", (int)c->final);
    RMP_CHECK(c->T >= 1 && c->T <= 100000, RMP_ERR_CONFIG, "solver.T: %lld is not between 1 and 100000",
              (long long)c->T);
    RMP_CHECK(c->T_in >= 1 && c->T_in <= 1000, RMP_ERR_CONFIG, "solver.T_in: %lld is not between 1 and 1000",
              (long long)c->T_in);
    RMP_CHECK(c->samples >= 1 && c->samples <= 1000 && c->T * c->T_in * c->samples < INT32_MAX, RMP_ERR_CONFIG,
              "solver.samples: %lld is not between 1 and 1000, or T x T_in x samples is 2^31 or more",
              (long long)c->samples);
    RMP_CHECK(c->s1 > 0.0 && c->s1 < 2.0, RMP_ERR_CONFIG, "solver.s1: %g is not between 0 and 2", c->s1);
    RMP_CHECK(c->gamma >= 0.0 && isfinite(c->gamma), RMP_ERR_CONFIG, "solver.gamma: %g is not a weight", c->gamma);
    RMP_CHECK(c->zeta >= 0.0 && isfinite(c->zeta), RMP_ERR_CONFIG, "solver.zeta: %g is not a step", c->zeta);
    RMP_CHECK(c->cg_iterations >= 1 && c->cg_iterations <= 10000, RMP_ERR_CONFIG,
              "solver.cg_iterations: %lld is not between 1 and 10000", (long long)c->cg_iterations);
    RMP_CHECK(c->cg_tolerance >= 0.0 && c->cg_tolerance < 1.0, RMP_ERR_CONFIG,
              "solver.cg_tolerance: %g is not from 0 to below 1", c->cg_tolerance);
    if (c->kind == RMP_SOLVER_VP_RMP) return check_vp(c);
    RMP_CHECK(c->sigma_min > 0.0 && c->sigma_max > c->sigma_min && isfinite(c->sigma_max), RMP_ERR_CONFIG,
              "solver.sigma_min, solver.sigma_max: %g and %g are not 0 < sigma_min < sigma_max", c->sigma_min,
              c->sigma_max);
    return RMP_OK;
}

rmp_status rmp_levels_create(const rmp_solver_config *config, rmp_level levels[], double *top)
{
    return config->kind == RMP_SOLVER_VE_RMP ? rmp_levels_create_ve(config, levels, top)
                                             : rmp_levels_create_vp(config, levels, top);
}

enum { IMAGE_FIELDS = 6, SCALARS = 3 };

int64_t rmp_solver_floats(const rmp_solver_config *config, int64_t image, int64_t measured)
{
    return IMAGE_FIELDS * image + rmp_likelihood_floats(config->likelihood, image, measured);
}

typedef struct solve {
    const rmp_solver_config *config;
    const rmp_problem *problem;
    rmp_solver_stats *stats;
    rmp_spread spread;
    int64_t n, draws; /* images; evaluations of one inner iteration */
    rmp_likelihood *likelihood;
    rmp_field *mu, *above, *fresh; /* state, mu_{k+1}, state in the making */
    rmp_field *x, *denoised, *score;
    double *scalar; /* (SCALARS, n) */
    bool *alive;    /* (n) */
    float *zeros;   /* one image */
    int64_t steps_done, steps, calls, calls_per_step;
} solve;

static double *scalars(const solve *q, int which) { return q->scalar + which * q->n; }

/* Coefficients: `value` for images that are alive, 0 for the others. */
static const double *for_alive(const solve *q, int which, double value)
{
    double *a = scalars(q, which);
    for (int64_t i = 0; i < q->n; ++i)
        a[i] = q->alive[i] ? value : 0.0;
    return a;
}

/* y = a x + b y for images that are alive; the others become 0. */
static rmp_status axpby(const solve *q, double a, const rmp_field *x, double b, rmp_field *y)
{
    return rmp_field_axpby(for_alive(q, 0, a), x, for_alive(q, 1, b), y);
}

static rmp_status tick(void *context)
{
    solve *q = context;
    if (q->problem->progress == NULL) return RMP_OK;
    q->calls++;
    const double within = fmin((double)q->calls / (double)q->calls_per_step, 1.0);
    return q->problem->progress(q->problem->progress_context,
                                fmin(((double)q->steps_done + within) / (double)q->steps, 1.0));
}

static void step_done(solve *q)
{
    q->steps_done++;
    q->calls = 0;
}

static rmp_status zero_image(const solve *q, rmp_field *x, int64_t i) { return rmp_field_put(x, i, q->zeros); }

static void mark_diverged(solve *q, int64_t i, const char *what, double value, const char *where, double level)
{
    q->alive[i] = false;
    q->stats[i].diverged = true;
    snprintf(q->stats[i].reason, sizeof q->stats[i].reason, "diverged: %s %.3g %s %.3g", what, value, where, level);
}

/* Drops images whose state is not finite or far too large; zeros those that are not alive. */
static rmp_status watch(solve *q, rmp_field *x, double scale, double s)
{
    double *norm = scalars(q, 0);
    const double count = (double)rmp_shape_count(x->space->shape);
    RMP_TRY(rmp_field_dot(x, x, norm));
    for (int64_t i = 0; i < q->n; ++i) {
        const double rms = scale * sqrt(norm[i] / count);
        if (q->alive[i] && !(rms <= EXPLODED * fmax(1.0, s)))
            mark_diverged(q, i, isfinite(rms) ? "root mean square" : "not finite:", rms, "at noise level", s);
        if (!q->alive[i]) RMP_TRY(zero_image(q, x, i));
    }
    return RMP_OK;
}

/* Draw number `index` of the solve: x = scale (mu + spread n), denoised = D(x; s). Successive draws are pairs n, -n,
 * also across updates: what is odd in the noise cancels within a step or, nearly, between neighbouring steps. */
static rmp_status evaluate(solve *q, const rmp_level *level, int64_t index, const rmp_field **at)
{
    const double deviation = q->spread == RMP_SPREAD_CONDITIONAL ? level->conditional : level->marginal;
    *at = q->x;
    if (q->spread == RMP_SPREAD_NONE) {
        RMP_TRY(rmp_field_axpby1(level->scale, q->mu, 0.0, q->x));
    } else {
        const double sign = index % 2 == 1 ? -1.0 : 1.0;
        RMP_TRY(rmp_field_normals(q->x, q->problem->key, (uint32_t)(index / 2), RMP_PURPOSE_SPREAD));
        RMP_TRY(rmp_field_axpby1(level->scale, q->mu, sign * level->scale * deviation, q->x));
    }
    RMP_TRY(rmp_prior_denoise(q->problem->prior, q->x, level->s, q->denoised));
    for (int64_t i = 0; i < q->n; ++i)
        q->stats[i].evaluations += q->alive[i];
    return tick(q);
}

/* One inner iteration; `first` is the number of its first draw. */
static rmp_status update(solve *q, const rmp_level *level, int64_t first)
{
    const rmp_solver_config *c = q->config;
    const double share = 1.0 / (double)q->draws;
    const double weight = c->likelihood == RMP_LIKELIHOOD_DPS ? c->zeta * level->dps : c->s1 * c->gamma * level->score;
    RMP_TRY(axpby(q, c->s1 * level->next, q->above, 0.0, q->fresh));
    RMP_TRY(axpby(q, 1.0 - c->s1, q->mu, 1.0, q->fresh));
    for (int64_t j = 0; j < q->draws; ++j) {
        const rmp_field *x = NULL;
        RMP_TRY(evaluate(q, level, first + j, &x));
        RMP_TRY(axpby(q, c->s1 * level->denoised * share, q->denoised, 1.0, q->fresh));
        if (c->likelihood == RMP_LIKELIHOOD_NONE) continue;
        RMP_TRY(rmp_likelihood_score(q->likelihood, x, level->s, q->denoised, q->alive, q->score));
        RMP_TRY(axpby(q, weight * share, q->score, 1.0, q->fresh));
    }
    rmp_field *old = q->mu;
    q->mu = q->fresh;
    q->fresh = old;
    return watch(q, q->mu, level->scale, level->s);
}

static rmp_status descend(solve *q, const rmp_level levels[], double top)
{
    const rmp_solver_config *c = q->config;
    if (c->init == RMP_INIT_NOISE) {
        RMP_TRY(rmp_field_normals(q->mu, q->problem->key, 0, RMP_PURPOSE_INIT));
        RMP_TRY(axpby(q, top, q->mu, 0.0, q->mu));
    }
    for (int64_t i = 0; i < c->T; ++i) {
        RMP_TRY(rmp_field_copy(q->mu, q->above));
        if (levels[i].start != 1.0) RMP_TRY(rmp_field_axpby1(levels[i].start, q->above, 0.0, q->mu));
        for (int64_t t = 0; t < c->T_in; ++t)
            RMP_TRY(update(q, &levels[i], (i * c->T_in + t) * q->draws));
        step_done(q);
    }
    return RMP_OK;
}

static rmp_status finish(solve *q, const rmp_level *last, rmp_field *x)
{
    const rmp_solver_config *c = q->config;
    if (c->final == RMP_FINAL_MEAN) {
        RMP_TRY(axpby(q, last->scale, q->mu, 0.0, x));
    } else {
        for (int64_t j = 0; j < q->draws; ++j) {
            const rmp_field *at = NULL;
            RMP_TRY(evaluate(q, last, c->T * c->T_in * q->draws + j, &at));
            RMP_TRY(axpby(q, 1.0 / (double)q->draws, q->denoised, j == 0 ? 0.0 : 1.0, x));
        }
    }
    step_done(q);
    return watch(q, x, 1.0, last->s);
}

/* Residuals; results that do not explain the measurement, or that are no images. */
static rmp_status judge(solve *q, rmp_field *x)
{
    double *misfit = scalars(q, 0), *zero_misfit = scalars(q, 1), *norm = scalars(q, 2);
    const double sigma = q->problem->noise_sigma;
    const bool network = !q->problem->prior->analytic;
    RMP_TRY(rmp_field_axpby1(0.0, x, 0.0, q->x));
    RMP_TRY(rmp_likelihood_misfit(q->likelihood, q->x, zero_misfit));
    RMP_TRY(rmp_likelihood_misfit(q->likelihood, x, misfit));
    RMP_TRY(rmp_field_dot(x, x, norm));
    for (int64_t i = 0; i < q->n; ++i) {
        const double count = (double)rmp_operator_measured(q->problem->op, i);
        const double rms = count > 0.0 ? sqrt(misfit[i] / count) : 0.0;
        const double zero_rms = count > 0.0 ? sqrt(zero_misfit[i] / count) : 0.0;
        const double size = sqrt(norm[i] / (double)rmp_shape_count(x->space->shape));
        q->stats[i].vjps = rmp_likelihood_vjps(q->likelihood, i);
        q->stats[i].cg_iterations = rmp_likelihood_cg_iterations(q->likelihood, i);
        q->stats[i].residual = q->alive[i] ? rms : NAN;
        if (!q->alive[i]) continue;
        if (network && !(size <= IMAGE_RMS)) {
            mark_diverged(q, i, "root mean square of the result", size, "where images have at most", 1.0);
        } else if (q->config->likelihood != RMP_LIKELIHOOD_NONE &&
                   !(rms <= UNEXPLAINED * zero_rms + 3.0 * sigma + (network ? IMAGE_FLOOR : 0.0))) {
            mark_diverged(q, i, "residual", rms, "where an image of zeros has", zero_rms);
        }
        if (!q->alive[i]) RMP_TRY(zero_image(q, x, i));
    }
    return RMP_OK;
}

static rmp_status check_problem(const rmp_problem *problem, const rmp_field *x)
{
    const rmp_space *space = problem->prior->space, *domain = rmp_operator_domain(problem->op);
    const rmp_space *range = rmp_operator_range(problem->op), *y = problem->y->space;
    const int64_t count = rmp_shape_count(space->shape);
    RMP_CHECK(domain->n == space->n && rmp_shape_count(domain->shape) == count && x->space->n == space->n &&
                  rmp_shape_count(x->space->shape) == count && y->n == space->n &&
                  rmp_shape_count(y->shape) == rmp_shape_count(range->shape),
              RMP_ERR_ARGUMENT, "solve: prior, operator, measurement and result are not for the same images");
    RMP_CHECK(problem->key != NULL, RMP_ERR_ARGUMENT, "solve: no keys");
    return RMP_OK;
}

static rmp_status prepare(solve *q)
{
    const rmp_problem *problem = q->problem;
    const rmp_space *space = problem->prior->space;
    const rmp_likelihood_config likelihood = {.kind = q->config->likelihood,
                                              .cg_iterations = q->config->cg_iterations,
                                              .cg_tolerance = q->config->cg_tolerance,
                                              .tick = tick,
                                              .tick_context = q};
    q->n = space->n;
    q->spread = q->config->spread;
    if (q->spread == RMP_SPREAD_AUTO) q->spread = problem->prior->analytic ? RMP_SPREAD_NONE : RMP_SPREAD_MARGINAL;
    q->draws = q->spread == RMP_SPREAD_NONE ? 1 : q->config->samples;
    q->steps = q->config->T + 1;
    q->calls_per_step = q->config->T_in * q->draws * (1 + rmp_likelihood_cost(&likelihood));
    q->scalar = calloc((size_t)(SCALARS * q->n), sizeof *q->scalar);
    q->alive = calloc((size_t)q->n, sizeof *q->alive);
    q->zeros = calloc((size_t)rmp_shape_count(space->shape), sizeof *q->zeros);
    RMP_CHECK(q->scalar != NULL && q->alive != NULL && q->zeros != NULL, RMP_ERR_MEMORY, "no memory for a solver");
    for (int64_t i = 0; i < q->n; ++i) {
        q->alive[i] = problem->active == NULL || problem->active[i];
        q->stats[i] = (rmp_solver_stats){0};
    }
    rmp_field **field[IMAGE_FIELDS] = {&q->mu, &q->above, &q->fresh, &q->x, &q->denoised, &q->score};
    for (int i = 0; i < IMAGE_FIELDS; ++i)
        RMP_TRY(rmp_field_create(space, field[i]));
    return rmp_likelihood_create(&likelihood, problem->prior, problem->op, problem->y, problem->noise_sigma,
                                 &q->likelihood);
}

static void release(solve *q)
{
    rmp_field **field[IMAGE_FIELDS] = {&q->mu, &q->above, &q->fresh, &q->x, &q->denoised, &q->score};
    for (int i = 0; i < IMAGE_FIELDS; ++i)
        rmp_field_destroy(field[i]);
    rmp_likelihood_destroy(&q->likelihood);
    free(q->scalar);
    free(q->alive);
    free(q->zeros);
}

rmp_status rmp_solve_levels(const rmp_solver_config *config, const rmp_level levels[], double top,
                            const rmp_problem *problem, rmp_field *x, rmp_solver_stats stats[])
{
    RMP_TRY(rmp_solver_check(config));
    RMP_TRY(check_problem(problem, x));
    solve q = {.config = config, .problem = problem, .stats = stats};
    rmp_status status = RMP_OK;
    RMP_TRY_GOTO(prepare(&q), done);
    RMP_TRY_GOTO(descend(&q, levels, top), done);
    RMP_TRY_GOTO(finish(&q, &levels[config->T - 1], x), done);
    RMP_TRY_GOTO(judge(&q, x), done);
done:
    release(&q);
    return status;
}

rmp_status rmp_solve(const rmp_solver_config *config, const rmp_problem *problem, rmp_field *x,
                     rmp_solver_stats stats[])
{
    double top = 0.0;
    RMP_TRY(rmp_solver_check(config));
    rmp_level *levels = malloc((size_t)config->T * sizeof *levels);
    RMP_CHECK(levels != NULL, RMP_ERR_MEMORY, "no memory for %lld noise levels", (long long)config->T);
    rmp_status status = rmp_levels_create(config, levels, &top);
    if (status == RMP_OK) status = rmp_solve_levels(config, levels, top, problem, x, stats);
    free(levels);
    return status;
}
