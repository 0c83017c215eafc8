#include "core/solver.h"

#include "core/solve.h"

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
        .lambda = RMP_LAMBDA_FIXED,
        .s2 = 0.3,
        .probes = 1,
        .gamma = 1.0,
        .zeta = 0.3,
        .cg_iterations = 1,
        .cg_tolerance = 1e-4,
        .cg_precondition = true,
        .spread = RMP_SPREAD_AUTO,
        .samples = 1,
        .init = RMP_INIT_ZERO,
        .final = RMP_FINAL_DENOISE,
    };
}

void rmp_solver_defaults_of(rmp_solver_kind kind, rmp_solver_config *config)
{
    rmp_solver_defaults(config);
    config->kind = kind;
    switch (kind) {
    case RMP_SOLVER_VE_RMP:
    case RMP_SOLVER_POSTERIOR_SAMPLES:
    case RMP_SOLVER_VP_RMP:
        break;
    case RMP_SOLVER_DPS:
    case RMP_SOLVER_DPS_MEAN:
    case RMP_SOLVER_MCG:
        config->T = 1000;
        config->samples = kind == RMP_SOLVER_DPS_MEAN ? 4 : 1;
        break;
    case RMP_SOLVER_DDRM:
        config->T = 20;
        config->eta = 0.85;
        config->eta_b = 1.0;
        break;
    case RMP_SOLVER_RED_DIFF:
        config->T = 1000;
        config->regularization = 0.25;
        config->lr = 0.1;
        break;
    case RMP_SOLVER_DIFFPIR:
        config->T = 100;
        config->regularization = 7.0;
        config->fresh_noise = 0.3;
        break;
    case RMP_SOLVER_DAPS:
        config->T = 200;
        config->sigma_min = 0.1;
        config->sigma_max = 100.0;
        config->ode_steps = 5;
        config->langevin_steps = 100;
        config->lr = 1e-4;
        config->tau = 0.01;
        break;
    }
}

/* Configurations of the authors' program, appendix D of the paper. */
double rmp_solver_dps_zeta(const rmp_operator_config *op)
{
    if (rmp_operator_config_has_magnitudes(op)) return 1.0;
    return rmp_operator_config_mask(op) != NULL ? 0.5 : 0.3;
}

/* Configurations of the authors' program: inpainting; deblurring and super-resolution. */
void rmp_solver_diffpir_weights(const rmp_operator_config *op, rmp_solver_config *config)
{
    const bool inpainting = rmp_operator_config_mask(op) != NULL;
    config->regularization = inpainting ? 1.0 : 7.0;
    config->fresh_noise = inpainting ? 1.0 : 0.3;
}

rmp_likelihood_kind rmp_solver_likelihood_none(const rmp_solver_config *config)
{
    (void)config;
    return RMP_LIKELIHOOD_NONE;
}

rmp_likelihood_kind rmp_solver_likelihood_dps(const rmp_solver_config *config)
{
    (void)config;
    return RMP_LIKELIHOOD_DPS;
}

bool rmp_solver_explains_always(const rmp_solver_config *config)
{
    (void)config;
    return true;
}

rmp_solver_extent rmp_solver_evaluates(const rmp_solver_config *config)
{
    return (rmp_solver_extent){.steps = config->T, .ticks = 1, .cost = config->T};
}

rmp_solver_extent rmp_solver_differentiates(const rmp_solver_config *config)
{
    return (rmp_solver_extent){.steps = config->T, .ticks = 2, .cost = 2 * config->T};
}

static const rmp_solver_class *const classes[] = {
    [RMP_SOLVER_VE_RMP] = &rmp_solver_ve_rmp,     [RMP_SOLVER_VP_RMP] = &rmp_solver_vp_rmp,
    [RMP_SOLVER_DPS] = &rmp_solver_dps,           [RMP_SOLVER_DPS_MEAN] = &rmp_solver_dps_mean,
    [RMP_SOLVER_MCG] = &rmp_solver_mcg,           [RMP_SOLVER_DDRM] = &rmp_solver_ddrm,
    [RMP_SOLVER_RED_DIFF] = &rmp_solver_red_diff, [RMP_SOLVER_DIFFPIR] = &rmp_solver_diffpir,
    [RMP_SOLVER_DAPS] = &rmp_solver_daps,         [RMP_SOLVER_POSTERIOR_SAMPLES] = &rmp_solver_posterior_samples,
};

static rmp_status class_of(const rmp_solver_config *c, const rmp_solver_class **out)
{
    RMP_CHECK((int)c->kind >= 0 && (size_t)c->kind < sizeof classes / sizeof *classes, RMP_ERR_CONFIG,
              "solver.kind: number %d is no solver", (int)c->kind);
    *out = classes[c->kind];
    return RMP_OK;
}

rmp_status rmp_solver_check(const rmp_solver_config *c)
{
    const rmp_solver_class *class = NULL;
    RMP_TRY(class_of(c, &class));
    RMP_CHECK(c->T >= 1 && c->T <= 100000, RMP_ERR_CONFIG, "solver.T: %lld is not between 1 and 100000",
              (long long)c->T);
    return class->check(c);
}

rmp_status rmp_solver_check_operator(const rmp_solver_config *config, const rmp_operator_config *op)
{
    const rmp_solver_class *class = NULL;
    RMP_TRY(class_of(config, &class));
    return class->check_operator != NULL ? class->check_operator(config, op) : RMP_OK;
}

static rmp_likelihood_config likelihood_of(const rmp_solver_config *config, const rmp_solver_class *class)
{
    return (rmp_likelihood_config){.kind = class->likelihood(config),
                                   .cg_iterations = config->cg_iterations,
                                   .cg_tolerance = config->cg_tolerance,
                                   .cg_warm = config->cg_warm,
                                   .cg_precondition = config->cg_precondition};
}

bool rmp_solver_takes_nonlinear(const rmp_solver_config *config)
{
    const rmp_solver_class *class = NULL;
    if (class_of(config, &class) != RMP_OK) return false;
    const rmp_likelihood_kind likelihood = class->likelihood(config);
    return likelihood == RMP_LIKELIHOOD_DPS || likelihood == RMP_LIKELIHOOD_NONE;
}

int64_t rmp_solver_cost(const rmp_solver_config *config)
{
    const rmp_solver_class *class = NULL;
    return class_of(config, &class) == RMP_OK ? class->extent(config).cost : 0;
}

int64_t rmp_solver_floats(const rmp_solver_config *config, const rmp_noise *noise, int64_t image, int64_t measured)
{
    const rmp_solver_class *class = NULL;
    if (class_of(config, &class) != RMP_OK) return 0;
    const rmp_likelihood_config likelihood = likelihood_of(config, class);
    return image + class->floats(config, image, measured) + rmp_likelihood_floats(&likelihood, noise, image, measured);
}

double *rmp_solve_scalars(const rmp_solve_state *q, int which) { return q->scalar + which * q->n; }

/* Coefficients: `value` for images that are alive, 0 for the others. */
static const double *for_alive(const rmp_solve_state *q, int which, double value)
{
    double *a = rmp_solve_scalars(q, which);
    for (int64_t i = 0; i < q->n; ++i)
        a[i] = q->alive[i] ? value : 0.0;
    return a;
}

rmp_status rmp_solve_axpby(const rmp_solve_state *q, double a, const rmp_field *x, double b, rmp_field *y)
{
    return rmp_field_axpby(for_alive(q, 0, a), x, for_alive(q, 1, b), y);
}

rmp_status rmp_solve_tick(void *solve)
{
    rmp_solve_state *q = solve;
    if (q->problem->progress == NULL) return RMP_OK;
    q->ticks++;
    const double within = fmin((double)q->ticks / (double)q->extent.ticks, 1.0);
    return q->problem->progress(q->problem->progress_context,
                                fmin(((double)q->steps_done + within) / (double)q->extent.steps, 1.0));
}

void rmp_solve_step_done(rmp_solve_state *q)
{
    q->steps_done++;
    q->ticks = 0;
}

rmp_status rmp_solve_denoise(rmp_solve_state *q, const rmp_field *x, double s, rmp_field *out)
{
    RMP_TRY(rmp_prior_denoise(q->problem->prior, x, s, out));
    for (int64_t i = 0; i < q->n; ++i)
        q->stats[i].evaluations += q->alive[i];
    return rmp_solve_tick(q);
}

rmp_status rmp_solve_vjp(rmp_solve_state *q, const rmp_field *v, rmp_field *out)
{
    RMP_TRY(rmp_prior_vjp(q->problem->prior, v, out));
    for (int64_t i = 0; i < q->n; ++i)
        q->stats[i].vjps += q->alive[i];
    return rmp_solve_tick(q);
}

static rmp_status zero_image(const rmp_solve_state *q, rmp_field *x, int64_t i)
{
    return rmp_field_put(x, i, q->zeros);
}

void rmp_solve_diverged(rmp_solve_state *q, int64_t i, const char *what, double value, const char *where, double level)
{
    q->alive[i] = false;
    q->stats[i].diverged = true;
    snprintf(q->stats[i].reason, sizeof q->stats[i].reason, "diverged: %s %.3g %s %.3g", what, value, where, level);
}

rmp_status rmp_solve_watch(rmp_solve_state *q, rmp_field *x, double scale, double s)
{
    double *norm = rmp_solve_scalars(q, 0);
    const double count = (double)rmp_shape_count(x->space->shape);
    RMP_TRY(rmp_field_dot(x, x, norm));
    for (int64_t i = 0; i < q->n; ++i) {
        const double rms = scale * sqrt(norm[i] / count);
        if (q->alive[i] && !(rms <= EXPLODED * fmax(1.0, s)))
            rmp_solve_diverged(q, i, isfinite(rms) ? "root mean square" : "not finite:", rms, "at noise level", s);
        if (!q->alive[i]) RMP_TRY(zero_image(q, x, i));
    }
    return RMP_OK;
}

/* Residuals; results that do not explain the measurement, or that are no images. */
static rmp_status judge(rmp_solve_state *q, const rmp_solver_class *class, rmp_field *x)
{
    double *misfit = rmp_solve_scalars(q, 0), *zero_misfit = rmp_solve_scalars(q, 1), *norm = rmp_solve_scalars(q, 2);
    const double sigma = rmp_noise_sigma(&q->problem->noise);
    const bool network = !q->problem->prior->analytic;
    rmp_field *nothing = NULL;
    RMP_TRY(rmp_field_create(x->space, &nothing));
    rmp_status status = rmp_likelihood_misfit(q->likelihood, nothing, zero_misfit);
    rmp_field_destroy(&nothing);
    RMP_TRY(status);
    RMP_TRY(rmp_likelihood_misfit(q->likelihood, x, misfit));
    RMP_TRY(rmp_field_dot(x, x, norm));
    for (int64_t i = 0; i < q->n; ++i) {
        const double count = (double)rmp_operator_measured(q->problem->op, i);
        const double rms = count > 0.0 ? sqrt(misfit[i] / count) : 0.0;
        const double zero_rms = count > 0.0 ? sqrt(zero_misfit[i] / count) : 0.0;
        const double size = sqrt(norm[i] / (double)rmp_shape_count(x->space->shape));
        q->stats[i].vjps += rmp_likelihood_vjps(q->likelihood, i);
        q->stats[i].cg_iterations = rmp_likelihood_cg_iterations(q->likelihood, i);
        q->stats[i].residual = q->alive[i] ? rms : NAN;
        if (!q->alive[i]) continue;
        if (network && !(size <= IMAGE_RMS)) {
            rmp_solve_diverged(q, i, "root mean square of the result", size, "where images have at most", 1.0);
        } else if (class->explains(q->config) &&
                   !(rms <= UNEXPLAINED * zero_rms + 3.0 * sigma + (network ? IMAGE_FLOOR : 0.0))) {
            rmp_solve_diverged(q, i, "residual", rms, "where an image of zeros has", zero_rms);
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

static rmp_status prepare(rmp_solve_state *q, const rmp_solver_class *class)
{
    const rmp_problem *problem = q->problem;
    const rmp_space *space = problem->prior->space;
    rmp_likelihood_config likelihood = likelihood_of(q->config, class);
    q->clips = class->clips && !problem->prior->analytic;
    likelihood.clip = q->clips;
    likelihood.tick = rmp_solve_tick;
    likelihood.tick_context = q;
    q->n = space->n;
    q->extent = class->extent(q->config);
    q->scalar = calloc((size_t)(RMP_SOLVE_SCALARS * q->n), sizeof *q->scalar);
    q->alive = calloc((size_t)q->n, sizeof *q->alive);
    q->zeros = calloc((size_t)rmp_shape_count(space->shape), sizeof *q->zeros);
    RMP_CHECK(q->scalar != NULL && q->alive != NULL && q->zeros != NULL, RMP_ERR_MEMORY, "no memory for a solver");
    for (int64_t i = 0; i < q->n; ++i) {
        q->alive[i] = problem->active == NULL || problem->active[i];
        q->stats[i] = (rmp_solver_stats){0};
    }
    return rmp_likelihood_create(&likelihood, problem->prior, problem->op, problem->y, &problem->noise, &q->likelihood);
}

static rmp_status solve_on(const rmp_solver_config *config, const rmp_level levels[], double top,
                           const rmp_problem *problem, rmp_field *x, rmp_solver_stats stats[])
{
    const rmp_solver_class *class = NULL;
    RMP_TRY(rmp_solver_check(config));
    RMP_TRY(class_of(config, &class));
    RMP_TRY(check_problem(problem, x));
    rmp_solve_state q = {.config = config, .problem = problem, .stats = stats, .levels = levels, .top = top};
    rmp_status status = RMP_OK;
    RMP_TRY_GOTO(prepare(&q, class), done);
    RMP_TRY_GOTO(class->run(&q, x), done);
    RMP_TRY_GOTO(judge(&q, class, x), done);
done:
    rmp_likelihood_destroy(&q.likelihood);
    free(q.scalar);
    free(q.alive);
    free(q.zeros);
    return status;
}

rmp_status rmp_solve_levels(const rmp_solver_config *config, const rmp_level levels[], double top,
                            const rmp_problem *problem, rmp_field *x, rmp_solver_stats stats[])
{
    return solve_on(config, levels, top, problem, x, stats);
}

rmp_status rmp_solve(const rmp_solver_config *config, const rmp_problem *problem, rmp_field *x,
                     rmp_solver_stats stats[])
{
    return solve_on(config, NULL, 0.0, problem, x, stats);
}
