/* Manifold constrained gradients (Chung et al. 2022, arXiv 2206.00941).
 *
 * published: x' = DDPM's draw - (I - C A) grad_{x_t} |y - A x0hat|, then x = x' + C (y_t - A x'), where C is the step
 * back from measurements: their program's formula for inpainting (C the mask) and, for other operators, that of their
 * tomography, A^T over its norm. There A^T A 1 is the norm, which works for operators without negative entries; here
 * it is |A|^2, which does the same for masks and works for all. Their measurements have no noise; y_t = sqrt(abar_t) y
 * + sqrt(1 - abar_t) A n with a fresh n, at the level of x_t (not of x_{t-1}), as they do.
 *
 * dps_repo: x = (I - A^T A) y_t - A x' with x' = DDPM's draw - grad and y_t = sqrt(abar_t) y + sqrt(1 - abar_t) n: the
 * formula of the base class of linear operators in the program of DPS (Chung et al. 2023), which MCG was compared
 * with there. It is no projection onto measurements: it puts -A x where they should be. For comparison only. */
#include "core/solvers/ddpm.h"

#include <math.h>

enum { POWER_ITERATIONS = 50 };
#define NOT_LINEAR "solver.kind: mcg projects onto measurements, which needs a linear operator"
static const double WEIGHT = 1.0; /* of the gradient */

typedef struct mcg {
    rmp_ddpm d;
    rmp_field *noised; /* range */
    rmp_field *back;   /* range */
    rmp_field *image;
} mcg;

static bool is_repo(const rmp_solver_config *c) { return c->mcg_variant == RMP_MCG_DPS_REPO; }

static rmp_status check(const rmp_solver_config *c)
{
    RMP_CHECK(c->mcg_variant == RMP_MCG_PUBLISHED || is_repo(c), RMP_ERR_CONFIG,
              "solver.mcg_variant: number %d is none", (int)c->mcg_variant);
    return rmp_ddpm_check(c);
}

static rmp_status check_shapes(rmp_shape x, rmp_shape y)
{
    RMP_CHECK(x.h == y.h && x.w == y.w && x.c == y.c, RMP_ERR_CONFIG,
              "solver.mcg_variant: dps_repo adds images and measurements, which for this operator differ in shape");
    return RMP_OK;
}

static rmp_status check_operator(const rmp_solver_config *c, const rmp_operator_config *op)
{
    const rmp_shape image = {4096, 4096, 3}; /* large enough for any operator */
    rmp_shape measured = image;
    RMP_CHECK(rmp_operator_config_is_linear(op), RMP_ERR_CONFIG, NOT_LINEAR);
    if (!is_repo(c)) return RMP_OK;
    /* What such an image does not fit is for the solve to find. */
    if (rmp_operator_measured_shape(op, image, &measured) != RMP_OK) rmp_fail_clear();
    return check_shapes(image, measured);
}

static rmp_status check_problem(const rmp_solve_state *q)
{
    const rmp_operator *op = q->problem->op;
    RMP_CHECK(rmp_operator_is_linear(op), RMP_ERR_CONFIG, NOT_LINEAR);
    return is_repo(q->config) ? check_shapes(rmp_operator_domain(op)->shape, rmp_operator_range(op)->shape) : RMP_OK;
}

/* norm = |A|^2 by the power method on A^T A. */
static rmp_status power_method(mcg *m, double norm[])
{
    rmp_solve_state *q = m->d.base;
    rmp_operator *op = q->problem->op;
    double *zero = rmp_solve_scalars(q, 5);
    RMP_TRY(rmp_field_normals(m->image, q->problem->key, 0, RMP_PURPOSE_PROBE));
    for (int k = 0; k < POWER_ITERATIONS; ++k) {
        RMP_TRY(rmp_field_dot(m->image, m->image, norm));
        for (int64_t i = 0; i < q->n; ++i) {
            norm[i] = norm[i] > 0.0 ? 1.0 / sqrt(norm[i]) : 0.0;
            zero[i] = 0.0;
        }
        RMP_TRY(rmp_field_axpby(norm, m->image, zero, m->image));
        RMP_TRY(rmp_operator_forward(op, m->image, m->back));
        RMP_TRY(rmp_operator_adjoint(op, m->back, m->image));
    }
    return rmp_field_dot(m->back, m->back, norm); /* the image was of length 1 before A */
}

/* rmp_solve_scalars 3: 1 / |A|^2. */
static rmp_status measure_norm(mcg *m)
{
    rmp_solve_state *q = m->d.base;
    double *inverse = rmp_solve_scalars(q, 3), *norm = rmp_solve_scalars(q, 4);
    for (int64_t i = 0; i < q->n; ++i)
        norm[i] = rmp_operator_largest_eigenvalue(q->problem->op);
    if (!rmp_operator_has_spectrum(q->problem->op)) RMP_TRY(power_method(m, norm));
    for (int64_t i = 0; i < q->n; ++i)
        inverse[i] = q->alive[i] && norm[i] > 0.0 ? 1.0 / norm[i] : 0.0;
    return RMP_OK;
}

static double *fill(mcg *m, int which, double value)
{
    double *a = rmp_solve_scalars(m->d.base, which);
    for (int64_t i = 0; i < m->d.base->n; ++i)
        a[i] = value;
    return a;
}

/* x += C (target - A x); target NULL: 0. */
static rmp_status step_back(mcg *m, const rmp_field *target, rmp_field *x)
{
    rmp_operator *op = m->d.base->problem->op;
    RMP_TRY(rmp_operator_forward(op, x, m->back));
    RMP_TRY(rmp_field_axpby1(target != NULL ? 1.0 : 0.0, target != NULL ? target : m->back, -1.0, m->back));
    RMP_TRY(rmp_operator_adjoint(op, m->back, m->image));
    return rmp_field_axpby(rmp_solve_scalars(m->d.base, 3), m->image, fill(m, 4, 1.0), x);
}

static rmp_status project_published(mcg *m, const rmp_ddpm_step *step, const rmp_field *y, int64_t index)
{
    rmp_solve_state *q = m->d.base;
    RMP_TRY(rmp_field_normals(m->image, q->problem->key, (uint32_t)index, RMP_PURPOSE_NOISED));
    RMP_TRY(rmp_operator_forward(q->problem->op, m->image, m->noised));
    RMP_TRY(rmp_field_axpby1(sqrt(step->abar), y, sqrt(1.0 - step->abar), m->noised));
    RMP_TRY(rmp_operator_mask_measurement(q->problem->op, m->noised));
    return step_back(m, m->noised, m->d.state);
}

static rmp_status project_repo(mcg *m, const rmp_ddpm_step *step, const rmp_field *y, int64_t index)
{
    rmp_solve_state *q = m->d.base;
    rmp_operator *op = q->problem->op;
    RMP_TRY(rmp_field_copy(y, m->noised));
    RMP_TRY(rmp_operator_mask_measurement(op, m->noised));
    RMP_TRY(rmp_field_normals(m->back, q->problem->key, (uint32_t)index, RMP_PURPOSE_NOISED));
    RMP_TRY(rmp_field_axpby1(sqrt(1.0 - step->abar), m->back, sqrt(step->abar), m->noised));
    RMP_TRY(rmp_operator_forward(op, m->noised, m->back));
    RMP_TRY(rmp_operator_adjoint(op, m->back, m->image));
    RMP_TRY(rmp_operator_forward(op, m->d.state, m->back));
    RMP_TRY(rmp_solve_axpby(q, -1.0, m->image, 0.0, m->d.state));
    RMP_TRY(rmp_solve_axpby(q, 1.0, m->noised, 1.0, m->d.state));
    return rmp_solve_axpby(q, -1.0, m->back, 1.0, m->d.state);
}

static rmp_status descend(mcg *m, const rmp_field *y)
{
    rmp_ddpm *d = &m->d;
    rmp_solve_state *q = d->base;
    RMP_TRY(rmp_ddpm_start(d, 0));
    for (int64_t i = 0; i < q->config->T; ++i) {
        const rmp_ddpm_step *step = &d->steps[i];
        RMP_TRY(rmp_ddpm_predict(d, step));
        RMP_TRY(rmp_ddpm_draw(d, step, i));
        if (!is_repo(q->config)) RMP_TRY(step_back(m, NULL, d->score));
        RMP_TRY(rmp_solve_axpby(q, WEIGHT * step->scale, d->score, 1.0, d->state));
        RMP_TRY(is_repo(q->config) ? project_repo(m, step, y, i) : project_published(m, step, y, i));
        rmp_solve_step_done(q);
        RMP_TRY(rmp_solve_watch(q, d->state, step->scale, step->s));
    }
    return RMP_OK;
}

static rmp_status work(mcg *m, rmp_field *x)
{
    rmp_solve_state *q = m->d.base;
    const rmp_space *range = rmp_operator_range(q->problem->op);
    RMP_TRY(rmp_field_create(range, &m->noised));
    RMP_TRY(rmp_field_create(range, &m->back));
    RMP_TRY(rmp_field_create(q->problem->prior->space, &m->image));
    RMP_TRY(measure_norm(m));
    RMP_TRY(descend(m, q->problem->y));
    return rmp_field_copy(m->d.state, x);
}

static rmp_status run(rmp_solve_state *q, rmp_field *x)
{
    mcg m = {.noised = NULL};
    RMP_TRY(check_problem(q));
    rmp_status status = rmp_ddpm_create(q, RMP_DDPM_EVEN, &m.d);
    if (status == RMP_OK) status = work(&m, x);
    rmp_field_destroy(&m.noised);
    rmp_field_destroy(&m.back);
    rmp_field_destroy(&m.image);
    rmp_ddpm_destroy(&m.d);
    return status;
}

static bool explains(const rmp_solver_config *c) { return !is_repo(c); }

static int64_t floats(const rmp_solver_config *c, int64_t image, int64_t measured)
{
    (void)c;
    return (RMP_DDPM_FIELDS + 1) * image + 2 * measured;
}

const rmp_solver_class rmp_solver_mcg = {.name = "mcg",
                                         .clips = true,
                                         .check = check,
                                         .check_operator = check_operator,
                                         .likelihood = rmp_solver_likelihood_dps,
                                         .explains = explains,
                                         .floats = floats,
                                         .extent = rmp_solver_differentiates,
                                         .run = run};
