/* RED-diff (Mardani et al. 2023, arXiv 2305.04391): the mean of a Gaussian approximation is optimised by Adam. At step
 * t, with a fresh n, the loss is mean((y - A(mu))^2) / 2 + lambda s_t mean(mu (eps - n)), eps the noise that the
 * network finds in sqrt(abar_t) mu + sqrt(1 - abar_t) n, held fixed: no gradient of the network. With eps = (x - D) / s
 * at x = mu + s n the second term's gradient is lambda (mu - D(mu + s n)) over the numbers of an image. */
#include "core/solvers/data.h"
#include "core/solvers/ddpm.h"

#include <math.h>
#include <stdlib.h>

static const double BETA1 = 0.9, BETA2 = 0.99, ADAM_EPSILON = 1e-8;

enum { IMAGE_FIELDS = 6 };

typedef struct red {
    rmp_solve_state *base;
    rmp_data data;
    rmp_field *mu, *denoised, *gradient, *first, *second, *scratch;
} red;

static rmp_status check(const rmp_solver_config *c)
{
    RMP_CHECK(c->regularization >= 0.0 && isfinite(c->regularization), RMP_ERR_CONFIG,
              "solver.lambda: %g is not a weight", c->regularization);
    RMP_CHECK(c->lr > 0.0 && isfinite(c->lr), RMP_ERR_CONFIG, "solver.lr: %g is not a positive step", c->lr);
    return rmp_ddpm_check(c);
}

/* A pseudo-inverse of the measurement, held back by the noise, where there is a closed form; as published, but for the
 * noise. Else A^T y; operators that are not linear start from noise. */
static rmp_status start(red *q)
{
    rmp_solve_state *base = q->base;
    rmp_operator *op = base->problem->op;
    if (!rmp_operator_is_linear(op)) {
        RMP_TRY(rmp_field_normals(q->mu, base->problem->key, 0, RMP_PURPOSE_INIT));
        return rmp_solve_axpby(base, 0.0, q->mu, 1.0, q->mu);
    }
    RMP_TRY(rmp_field_copy(q->data.y, q->data.r));
    if (rmp_operator_has_spectrum(op)) {
        double *a = rmp_solve_scalars(base, 3), *b = rmp_solve_scalars(base, 4);
        const double sigma = rmp_noise_sigma(&base->problem->noise);
        for (int64_t i = 0; i < base->n; ++i) {
            a[i] = sigma * sigma;
            b[i] = 1.0;
        }
        RMP_TRY(rmp_operator_solve(op, a, b, q->data.r));
    }
    RMP_TRY(rmp_operator_adjoint(op, q->data.r, q->mu));
    return rmp_solve_axpby(base, 0.0, q->mu, 1.0, q->mu);
}

/* gradient = lambda (mu - D) - (D / M) A^T (y - A mu): that of the loss times the numbers of an image, D. */
static rmp_status differentiate(red *q, const rmp_ddpm_step *step, int64_t index)
{
    rmp_solve_state *base = q->base;
    const double lambda = base->config->regularization;
    const double numbers = (double)rmp_shape_count(q->mu->space->shape);
    double *weight = rmp_solve_scalars(base, 3), *keep = rmp_solve_scalars(base, 4);
    RMP_TRY(rmp_field_normals(q->scratch, base->problem->key, (uint32_t)index, RMP_PURPOSE_ANCESTRAL));
    RMP_TRY(rmp_solve_axpby(base, 1.0, q->mu, step->s, q->scratch));
    RMP_TRY(rmp_solve_denoise(base, q->scratch, step->s, q->denoised));
    RMP_TRY(rmp_data_descent(&q->data, q->mu, q->gradient));
    for (int64_t i = 0; i < base->n; ++i) {
        const double measured = (double)rmp_operator_measured(q->data.op, i);
        weight[i] = base->alive[i] ? lambda : 0.0;
        keep[i] = base->alive[i] && measured > 0.0 ? -numbers / measured : 0.0;
    }
    RMP_TRY(rmp_field_axpby(weight, q->mu, keep, q->gradient));
    return rmp_solve_axpby(base, -lambda, q->denoised, 1.0, q->gradient);
}

/* Adam (Kingma & Ba 2015), step number k = 1, 2, ... */
static rmp_status adam(red *q, int64_t k)
{
    rmp_solve_state *base = q->base;
    const double numbers = (double)rmp_shape_count(q->mu->space->shape);
    double *epsilon = rmp_solve_scalars(base, 3), *one = rmp_solve_scalars(base, 4);
    for (int64_t i = 0; i < base->n; ++i) {
        epsilon[i] = ADAM_EPSILON * numbers;
        one[i] = 1.0;
    }
    RMP_TRY(rmp_field_axpby1(1.0 - BETA1, q->gradient, BETA1, q->first));
    RMP_TRY(rmp_field_copy(q->gradient, q->scratch));
    RMP_TRY(rmp_field_multiply(q->gradient, q->scratch));
    RMP_TRY(rmp_field_axpby1(1.0 - BETA2, q->scratch, BETA2, q->second));
    RMP_TRY(rmp_field_axpby1(1.0 / (1.0 - pow(BETA2, (double)k)), q->second, 0.0, q->scratch));
    RMP_TRY(rmp_field_sqrt(q->scratch));
    RMP_TRY(rmp_field_axpby1(base->config->lr / (1.0 - pow(BETA1, (double)k)), q->first, 0.0, q->gradient));
    RMP_TRY(rmp_field_divide(epsilon, one, q->scratch, q->gradient));
    return rmp_solve_axpby(base, -1.0, q->gradient, 1.0, q->mu);
}

static rmp_status descend(red *q, const rmp_ddpm_step steps[])
{
    RMP_TRY(start(q));
    for (int64_t i = 0; i < q->base->config->T; ++i) {
        RMP_TRY(differentiate(q, &steps[i], i));
        RMP_TRY(adam(q, i + 1));
        rmp_solve_step_done(q->base);
        RMP_TRY(rmp_solve_watch(q->base, q->mu, 1.0, 1.0));
    }
    return RMP_OK;
}

static rmp_status work(red *q, const rmp_ddpm_step steps[], rmp_field *x)
{
    rmp_field **field[IMAGE_FIELDS] = {&q->mu, &q->denoised, &q->gradient, &q->first, &q->second, &q->scratch};
    RMP_TRY(rmp_data_create(q->base->problem, &q->data));
    for (int i = 0; i < IMAGE_FIELDS; ++i)
        RMP_TRY(rmp_field_create(q->base->problem->prior->space, field[i]));
    RMP_TRY(descend(q, steps));
    return rmp_field_copy(q->mu, x);
}

static rmp_status run(rmp_solve_state *base, rmp_field *x)
{
    red q = {.base = base};
    rmp_ddpm_step *steps = NULL;
    RMP_TRY(rmp_ddpm_steps_create(base->config, RMP_DDPM_EVEN, &steps));
    const rmp_status status = work(&q, steps, x);
    rmp_field **field[IMAGE_FIELDS] = {&q.mu, &q.denoised, &q.gradient, &q.first, &q.second, &q.scratch};
    for (int i = 0; i < IMAGE_FIELDS; ++i)
        rmp_field_destroy(field[i]);
    rmp_data_destroy(&q.data);
    free(steps);
    return status;
}

static int64_t floats(const rmp_solver_config *c, int64_t image, int64_t measured)
{
    (void)c;
    return IMAGE_FIELDS * image + RMP_DATA_FIELDS * measured;
}

const rmp_solver_class rmp_solver_red_diff = {.name = "red_diff",
                                              .check = check,
                                              .likelihood = rmp_solver_likelihood_none,
                                              .explains = rmp_solver_explains_always,
                                              .floats = floats,
                                              .extent = rmp_solver_evaluates,
                                              .run = run};
