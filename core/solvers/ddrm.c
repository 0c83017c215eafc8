/* Denoising diffusion restoration models (Kawar et al. 2022, arXiv 2201.11793). With A = U S V^T and x0 = D(x; s), the
 * next state at noise level s' has in the direction of the singular value a, with fresh normal numbers n,
 *   v.x0 + sqrt(1 - eta^2) s' v.e + eta s' n                            a = 0, e = (x - x0) / s
 *   v.x0 + sqrt(1 - eta^2) s' (u.y - a v.x0) / sigma + eta s' n         a s' < sigma
 *   v.x0 + eta_b (u.y / a - v.x0) + sqrt(s'^2 - (eta_b sigma / a)^2) n  otherwise.
 * The first line is computed for all directions, in the image. What is wrong with it in the others is A^T of three
 * measurements (y - A x0, A e, A n) whose coefficients in the basis U are weighted: no V is needed. The start is the
 * last line with x0 = 0 and eta_b = 1, or s n. */
#include "core/solvers/data.h"
#include "core/solvers/ddpm.h"

#include <math.h>

/* Singular values below this share of the largest count as 0, as in the authors' deblurring. */
static const double SMALLEST = 0.03;

enum { MEASURED_FIELDS = RMP_DATA_FIELDS + 2 };

typedef struct ddrm {
    rmp_ddpm d;
    rmp_data data;
    rmp_field *weights, *sum; /* range */
    double sigma, smallest;   /* smallest eigenvalue of A A^T that is not 0 */
} ddrm;

typedef enum part { PART_RESIDUAL, PART_DIRECTION, PART_NOISE } part;

typedef struct weighting {
    const ddrm *m;
    part part;
    double s, eta, eta_b; /* s: the next noise level */
} weighting;

static rmp_status check(const rmp_solver_config *c)
{
    RMP_CHECK(c->eta >= 0.0 && c->eta <= 1.0, RMP_ERR_CONFIG, "solver.eta: %g is not from 0 to 1", c->eta);
    RMP_CHECK(c->eta_b >= 0.0 && c->eta_b <= 1.0, RMP_ERR_CONFIG, "solver.eta_b: %g is not from 0 to 1", c->eta_b);
    return rmp_ddpm_check(c);
}

static rmp_status check_operator(const rmp_solver_config *c, const rmp_operator_config *op)
{
    (void)c;
    RMP_CHECK(rmp_operator_config_may_have_spectrum(op), RMP_ERR_CONFIG,
              "solver.kind: ddrm needs the singular values of the operator, which are not known of this operator.kind");
    return RMP_OK;
}

/* The weight of a part in the direction of eigenvalue a^2. */
static double weight(void *context, double eigenvalue)
{
    const weighting *w = context;
    if (!(eigenvalue >= w->m->smallest)) return 0.0;
    const double a = sqrt(eigenvalue), sigma = w->m->sigma, turn = sqrt(1.0 - w->eta * w->eta) * w->s;
    const bool noisier = a * w->s >= sigma;
    switch (w->part) {
    case PART_RESIDUAL:
        return noisier ? w->eta_b / eigenvalue : turn / (a * sigma);
    case PART_DIRECTION:
        return -turn / eigenvalue;
    case PART_NOISE:
        break;
    }
    const double spread = sqrt(fmax(w->s * w->s - w->eta_b * w->eta_b * sigma * sigma / eigenvalue, 0.0));
    return noisier ? (spread - w->eta * w->s) / eigenvalue : 0.0;
}

/* sum += U w U^T r. */
static rmp_status add_part(ddrm *m, weighting *w, part which)
{
    w->part = which;
    RMP_TRY(rmp_operator_filter(m->data.op, weight, w, m->weights, m->data.r));
    return rmp_field_axpby1(1.0, m->data.r, which == PART_RESIDUAL ? 0.0 : 1.0, m->sum);
}

/* state (variance exploding) = the next one, of x0 in d.denoised and e in d.score. */
static rmp_status move(ddrm *m, double s, double eta, double eta_b, const rmp_key *key, uint32_t index,
                       uint32_t purpose)
{
    rmp_ddpm *d = &m->d;
    rmp_solve_state *q = d->base;
    weighting w = {.m = m, .s = s, .eta = eta, .eta_b = eta_b};
    const double turn = sqrt(1.0 - eta * eta) * s;
    RMP_TRY(rmp_data_residual(&m->data, d->denoised));
    RMP_TRY(add_part(m, &w, PART_RESIDUAL));
    RMP_TRY(rmp_operator_forward(m->data.op, d->score, m->data.r));
    RMP_TRY(add_part(m, &w, PART_DIRECTION));
    RMP_TRY(rmp_solve_axpby(q, 1.0, d->denoised, 0.0, d->state));
    RMP_TRY(rmp_solve_axpby(q, turn, d->score, 1.0, d->state));
    RMP_TRY(rmp_field_normals(d->at, key, index, purpose));
    RMP_TRY(rmp_solve_axpby(q, eta * s, d->at, 1.0, d->state));
    RMP_TRY(rmp_operator_forward(m->data.op, d->at, m->data.r));
    RMP_TRY(add_part(m, &w, PART_NOISE));
    RMP_TRY(rmp_operator_adjoint(m->data.op, m->sum, d->at));
    return rmp_solve_axpby(q, 1.0, d->at, 1.0, d->state);
}

static rmp_status descend(ddrm *m)
{
    rmp_ddpm *d = &m->d;
    rmp_solve_state *q = d->base;
    const rmp_solver_config *c = q->config;
    const rmp_key *key = q->problem->key;
    RMP_TRY(move(m, d->steps[0].s, 1.0, 1.0, key, 0, RMP_PURPOSE_INIT)); /* denoised and score are zero */
    for (int64_t i = 0; i < c->T; ++i) {
        const double s = d->steps[i].s;
        RMP_TRY(rmp_solve_denoise(q, d->state, s, d->denoised));
        if (i + 1 < c->T) {
            RMP_TRY(rmp_field_copy(d->state, d->score));
            RMP_TRY(rmp_field_axpby1(-1.0 / s, d->denoised, 1.0 / s, d->score));
            RMP_TRY(move(m, d->steps[i + 1].s, c->eta, c->eta_b, key, (uint32_t)i, RMP_PURPOSE_ANCESTRAL));
        }
        rmp_solve_step_done(q);
        RMP_TRY(rmp_solve_watch(q, d->state, 1.0, s));
    }
    return RMP_OK;
}

static rmp_status work(ddrm *m, rmp_field *x)
{
    rmp_solve_state *q = m->d.base;
    const rmp_space *range = rmp_operator_range(q->problem->op);
    RMP_TRY(rmp_data_create(q->problem, &m->data));
    RMP_TRY(rmp_field_create(range, &m->weights));
    RMP_TRY(rmp_field_create(range, &m->sum));
    RMP_TRY(descend(m));
    return rmp_solve_axpby(q, 1.0, m->d.denoised, 0.0, x);
}

static rmp_status run(rmp_solve_state *q, rmp_field *x)
{
    rmp_operator *op = q->problem->op;
    RMP_CHECK(rmp_operator_has_spectrum(op), RMP_ERR_CONFIG,
              "solver.kind: ddrm needs the singular values of the operator, which are not known of %s of this size",
              rmp_operator_name(op));
    ddrm m = {.sigma = rmp_noise_sigma(&q->problem->noise),
              .smallest = SMALLEST * SMALLEST * rmp_operator_largest_eigenvalue(op)};
    rmp_status status = rmp_ddpm_create(q, RMP_DDPM_EVEN, &m.d);
    if (status == RMP_OK) status = work(&m, x);
    rmp_field_destroy(&m.weights);
    rmp_field_destroy(&m.sum);
    rmp_data_destroy(&m.data);
    rmp_ddpm_destroy(&m.d);
    return status;
}

static int64_t floats(const rmp_solver_config *c, int64_t image, int64_t measured)
{
    (void)c;
    return RMP_DDPM_FIELDS * image + MEASURED_FIELDS * measured;
}

const rmp_solver_class rmp_solver_ddrm = {.name = "ddrm",
                                          .check = check,
                                          .check_operator = check_operator,
                                          .likelihood = rmp_solver_likelihood_none,
                                          .explains = rmp_solver_explains_always,
                                          .floats = floats,
                                          .extent = rmp_solver_evaluates,
                                          .run = run};
