#include "core/likelihood.h"

#include "core/cg.h"

#include <math.h>
#include <stdlib.h>

/* Conjugate gradients for A A^T: cheap, so until they converge. */
enum { PLAIN_ITERATIONS = 100 };
static const double PLAIN_TOLERANCE = 1e-5;

/* How far a residual may rise. A network's J is only nearly symmetric and positive: with photo64 and three iterations a
 * bound of 10 costs 2 dB in single pictures. */
static const double GROWTH = 10.0, GROWTH_NETWORK = 2.0;

struct rmp_likelihood {
    rmp_likelihood_config config;
    rmp_prior *prior;
    rmp_operator *op;
    double sigma; /* of uniform noise; of other noise a typical one */
    int64_t n;
    rmp_field *variance;  /* range, `dps`: of noise that is not uniform, else NULL */
    rmp_field *precision; /* range: its inverse, likewise */
    rmp_field *t;         /* range: scratch of these two */
    rmp_field *y;         /* masked copy */
    rmp_field *r;         /* range: residual */
    rmp_field *z;         /* range: solution */
    rmp_cg *cg;
    rmp_field *v, *w;   /* images: A^T p, J^T A^T p */
    double *scalar;     /* (SCALARS, n) */
    double *dps_misfit; /* (n) of the last score of `dps` */
    int64_t *vjps, *iterations;
};

enum { SCALARS = 10 };

static double *scalars(const rmp_likelihood *l, int which) { return l->scalar + which * l->n; }

static void fill(double *a, int64_t n, double value)
{
    for (int64_t i = 0; i < n; ++i)
        a[i] = value;
}

/* Which fields a kind needs. */
typedef struct needs {
    bool r, cg, z, v, w;
} needs;

static needs needs_of(rmp_likelihood_kind kind)
{
    switch (kind) {
    case RMP_LIKELIHOOD_MOMENT:
        return (needs){.r = true, .cg = true, .v = true, .w = true};
    case RMP_LIKELIHOOD_PIGDM:
    case RMP_LIKELIHOOD_SPECTRAL:
        return (needs){.r = true, .cg = true, .z = true, .v = true};
    case RMP_LIKELIHOOD_DPS:
        return (needs){.r = true, .v = true};
    case RMP_LIKELIHOOD_NONE:
    case RMP_LIKELIHOOD_EXACT:
        break;
    }
    return (needs){.r = true}; /* the misfit at the end */
}

static rmp_cg_options cg_options(const rmp_likelihood_config *config)
{
    const bool moment = config->kind == RMP_LIKELIHOOD_MOMENT;
    return (rmp_cg_options){.warm = moment && config->cg_warm, .precondition = moment && config->cg_precondition};
}

int64_t rmp_likelihood_floats(const rmp_likelihood_config *config, const rmp_noise *noise, int64_t image,
                              int64_t measured)
{
    const needs need = needs_of(config->kind);
    const rmp_cg_options cg = cg_options(config);
    const int64_t variance = rmp_noise_is_uniform(noise) ? 0 : config->kind == RMP_LIKELIHOOD_DPS ? 3 : 2;
    return measured * (1 + variance + need.r + (need.cg ? rmp_cg_fields(&cg) : 0) + need.z) + image * (need.v + need.w);
}

int64_t rmp_likelihood_cost(const rmp_likelihood_config *config)
{
    switch (config->kind) {
    case RMP_LIKELIHOOD_MOMENT:
        return config->cg_iterations;
    case RMP_LIKELIHOOD_PIGDM:
    case RMP_LIKELIHOOD_DPS:
        return 1;
    case RMP_LIKELIHOOD_SPECTRAL:
    case RMP_LIKELIHOOD_NONE:
    case RMP_LIKELIHOOD_EXACT:
        break;
    }
    return 0;
}

static rmp_status prepare_noise(rmp_likelihood *l, const rmp_noise *noise)
{
    const rmp_space *range = rmp_operator_range(l->op);
    if (rmp_noise_is_uniform(noise)) return RMP_OK;
    RMP_TRY(rmp_field_create(range, &l->precision));
    RMP_TRY(rmp_field_create(range, &l->t));
    RMP_TRY(rmp_noise_variance(noise, l->y, true, l->precision));
    if (l->config.kind != RMP_LIKELIHOOD_DPS) return RMP_OK;
    RMP_TRY(rmp_field_create(range, &l->variance));
    return rmp_noise_variance(noise, l->y, false, l->variance);
}

static rmp_status allocate(rmp_likelihood *l, const rmp_field *y, const rmp_noise *noise)
{
    const rmp_space *image = l->prior->space, *range = rmp_operator_range(l->op);
    const needs need = needs_of(l->config.kind);
    const size_t n = (size_t)l->n;
    l->scalar = calloc(SCALARS * n, sizeof *l->scalar);
    l->dps_misfit = calloc(n, sizeof *l->dps_misfit);
    l->vjps = calloc(n, sizeof *l->vjps);
    l->iterations = calloc(n, sizeof *l->iterations);
    RMP_CHECK(l->scalar != NULL && l->dps_misfit != NULL && l->vjps != NULL && l->iterations != NULL, RMP_ERR_MEMORY,
              "no memory for a likelihood");
    RMP_TRY(rmp_field_create(range, &l->y));
    RMP_TRY(rmp_field_copy(y, l->y));
    RMP_TRY(rmp_operator_mask_measurement(l->op, l->y));
    RMP_TRY(prepare_noise(l, noise));
    if (need.r) RMP_TRY(rmp_field_create(range, &l->r));
    const rmp_cg_options cg = cg_options(&l->config);
    if (need.cg) RMP_TRY(rmp_cg_create(range, &cg, &l->cg));
    if (need.z) RMP_TRY(rmp_field_create(range, &l->z));
    if (need.v) RMP_TRY(rmp_field_create(image, &l->v));
    if (need.w) RMP_TRY(rmp_field_create(image, &l->w));
    return RMP_OK;
}

rmp_status rmp_likelihood_create(const rmp_likelihood_config *config, rmp_prior *prior, rmp_operator *op,
                                 const rmp_field *y, const rmp_noise *noise, rmp_likelihood **out)
{
    *out = NULL;
    RMP_CHECK(rmp_operator_is_linear(op) || config->kind == RMP_LIKELIHOOD_DPS || config->kind == RMP_LIKELIHOOD_NONE,
              RMP_ERR_CONFIG, "solver.likelihood: %s is not linear; only dps takes it", rmp_operator_name(op));
    RMP_CHECK(config->kind != RMP_LIKELIHOOD_EXACT || rmp_prior_has_likelihood(prior), RMP_ERR_CONFIG,
              "solver.likelihood: exact needs an analytic prior (gaussian, mixture)");
    RMP_CHECK(config->kind != RMP_LIKELIHOOD_EXACT || rmp_noise_is_uniform(noise), RMP_ERR_CONFIG,
              "solver.likelihood: exact needs Gaussian noise");
    RMP_TRY(rmp_noise_check(noise));
    rmp_likelihood *l = calloc(1, sizeof *l);
    RMP_CHECK(l != NULL, RMP_ERR_MEMORY, "no memory for a likelihood");
    l->config = *config;
    l->prior = prior;
    l->op = op;
    l->sigma = rmp_noise_sigma(noise);
    l->n = prior->space->n;
    const rmp_status status = allocate(l, y, noise);
    if (status != RMP_OK) {
        rmp_likelihood_destroy(&l);
        return status;
    }
    *out = l;
    return RMP_OK;
}

void rmp_likelihood_destroy(rmp_likelihood **likelihood)
{
    if (likelihood == NULL || *likelihood == NULL) return;
    rmp_likelihood *l = *likelihood;
    rmp_field_destroy(&l->y);
    rmp_field_destroy(&l->variance);
    rmp_field_destroy(&l->precision);
    rmp_field_destroy(&l->t);
    rmp_field_destroy(&l->r);
    rmp_cg_destroy(&l->cg);
    rmp_field_destroy(&l->z);
    rmp_field_destroy(&l->v);
    rmp_field_destroy(&l->w);
    free(l->scalar);
    free(l->dps_misfit);
    free(l->vjps);
    free(l->iterations);
    free(l);
    *likelihood = NULL;
}

double rmp_likelihood_dps_misfit(const rmp_likelihood *l, int64_t image) { return l->dps_misfit[image]; }
int64_t rmp_likelihood_vjps(const rmp_likelihood *l, int64_t image) { return l->vjps[image]; }
int64_t rmp_likelihood_cg_iterations(const rmp_likelihood *l, int64_t image) { return l->iterations[image]; }

/* l->r = y - A x. */
static rmp_status residual(rmp_likelihood *l, const rmp_field *x)
{
    RMP_TRY(rmp_operator_forward(l->op, x, l->r));
    return rmp_field_axpby1(1.0, l->y, -1.0, l->r);
}

rmp_status rmp_likelihood_misfit(rmp_likelihood *l, const rmp_field *x, double out[])
{
    RMP_TRY(residual(l, x));
    return rmp_field_dot(l->r, l->r, out);
}

static rmp_status vjp(rmp_likelihood *l, const bool counted[], const rmp_field *v, rmp_field *out)
{
    RMP_TRY(rmp_prior_vjp(l->prior, v, out));
    for (int64_t i = 0; i < l->n; ++i)
        l->vjps[i] += counted[i];
    return l->config.tick != NULL ? l->config.tick(l->config.tick_context) : RMP_OK;
}

/* The system (S + b A K A^T) z = r, S the covariance of the noise, K = J^T (with the VJP) or the identity. */
typedef struct problem {
    rmp_likelihood *l;
    double b;
    bool jacobian;
    double variance;  /* of a guess b J ~ variance I */
    rmp_field *image; /* receives K A^T z, or NULL */
} problem;

/* y = S x + b y. */
static rmp_status add_noise(rmp_likelihood *l, const rmp_field *x, double b, rmp_field *y)
{
    if (l->precision == NULL) return rmp_field_axpby1(l->sigma * l->sigma, x, b, y);
    double *zero = scalars(l, 8), *one = scalars(l, 9);
    fill(zero, l->n, 0.0);
    fill(one, l->n, 1.0);
    RMP_TRY(rmp_field_copy(x, l->t));
    RMP_TRY(rmp_field_divide(zero, one, l->precision, l->t));
    return rmp_field_axpby1(1.0, l->t, b, y);
}

/* out[i] = <x, S x>. */
static rmp_status noise_norm(rmp_likelihood *l, const rmp_field *x, double out[])
{
    if (l->precision != NULL) {
        RMP_TRY(add_noise(l, x, 0.0, l->t));
        return rmp_field_dot(x, l->t, out);
    }
    RMP_TRY(rmp_field_dot(x, x, out));
    for (int64_t i = 0; i < l->n; ++i)
        out[i] *= l->sigma * l->sigma;
    return RMP_OK;
}

/* out = (S + b A K A^T) p; K A^T p stays in w (with J) or v. */
static rmp_status apply(void *context, const rmp_field *p, const bool active[], rmp_field *out)
{
    const problem *pb = context;
    rmp_likelihood *l = pb->l;
    RMP_TRY(rmp_operator_adjoint(l->op, p, l->v));
    if (pb->jacobian) RMP_TRY(vjp(l, active, l->v, l->w));
    RMP_TRY(rmp_operator_forward(l->op, pb->jacobian ? l->w : l->v, out));
    return add_noise(l, p, pb->b, out);
}

/* <p, (S + variance A A^T) p>; A^T p is in v. */
static rmp_status safe_curvature(void *context, const rmp_field *p, double out[])
{
    const problem *pb = context;
    double *vv = scalars(pb->l, 5);
    RMP_TRY(noise_norm(pb->l, p, out));
    RMP_TRY(rmp_field_dot(pb->l->v, pb->l->v, vv));
    for (int64_t i = 0; i < pb->l->n; ++i)
        out[i] += pb->variance * vv[i];
    return RMP_OK;
}

static rmp_status step(void *context, const double alpha[], bool first)
{
    const problem *pb = context;
    double *keep = scalars(pb->l, 5);
    fill(keep, pb->l->n, first ? 0.0 : 1.0);
    return rmp_field_axpby(alpha, pb->jacobian ? pb->l->w : pb->l->v, keep, pb->image);
}

static bool has_closed_form(const rmp_likelihood *l)
{
    return rmp_operator_has_spectrum(l->op) && l->precision == NULL;
}

static double pigdm_variance(double s) { return s * s / (1.0 + s * s); }

/* l->z = (S + variance A A^T)^-1 l->r. */
static rmp_status invert(rmp_likelihood *l, double variance, const bool alive[])
{
    if (!has_closed_form(l)) {
        problem pb = {.l = l, .b = variance};
        const rmp_cg_system system = {.context = &pb,
                                      .apply = apply,
                                      .iterations = PLAIN_ITERATIONS,
                                      .growth = GROWTH,
                                      .tolerance = PLAIN_TOLERANCE};
        return rmp_cg_solve(l->cg, &system, l->r, alive, l->z, NULL);
    }
    double *a = scalars(l, 0), *b = scalars(l, 1);
    fill(a, l->n, l->sigma * l->sigma);
    fill(b, l->n, variance);
    RMP_TRY(rmp_field_copy(l->r, l->z));
    return rmp_operator_solve(l->op, a, b, l->z);
}

/* g = (S + variance A A^T)^-1 r in closed form. */
static rmp_status precondition(void *context, const rmp_field *r, rmp_field *g)
{
    const problem *pb = context;
    double *a = scalars(pb->l, 0), *b = scalars(pb->l, 1);
    fill(a, pb->l->n, pb->l->sigma * pb->l->sigma);
    fill(b, pb->l->n, pb->variance);
    RMP_TRY(rmp_field_copy(r, g));
    return rmp_operator_solve(pb->l->op, a, b, g);
}

/* out = J^T A^T (S + s^2 A J A^T)^-1 l->r. */
static rmp_status invert_moment(rmp_likelihood *l, double s, const bool alive[], bool apart, rmp_field *out)
{
    problem pb = {.l = l, .b = s * s, .jacobian = true, .variance = pigdm_variance(s), .image = out};
    const rmp_cg_system system = {.context = &pb,
                                  .apply = apply,
                                  .precondition = l->config.cg_precondition && has_closed_form(l) ? precondition : NULL,
                                  .safe_curvature = safe_curvature,
                                  .step = step,
                                  .iterations = l->config.cg_iterations,
                                  .growth = l->prior->analytic ? GROWTH : GROWTH_NETWORK,
                                  .tolerance = l->config.cg_tolerance,
                                  .apart = apart};
    return rmp_cg_solve(l->cg, &system, l->r, alive, NULL, l->iterations);
}

static rmp_status score_moment(rmp_likelihood *l, double s, const rmp_field *denoised, const bool alive[],
                               rmp_field *out)
{
    RMP_TRY(residual(l, denoised));
    return invert_moment(l, s, alive, false, out);
}

static rmp_status score_pigdm(rmp_likelihood *l, double s, const rmp_field *denoised, const bool alive[],
                              rmp_field *out)
{
    double *zr = scalars(l, 2), *zz = scalars(l, 5), *vg = scalars(l, 6), *scale = scalars(l, 7), *zero = scalars(l, 0);
    RMP_TRY(residual(l, denoised));
    RMP_TRY(invert(l, pigdm_variance(s), alive));
    if (!has_closed_form(l)) RMP_TRY(residual(l, denoised)); /* CG has used it up */
    RMP_TRY(rmp_operator_adjoint(l->op, l->z, l->v));
    RMP_TRY(vjp(l, alive, l->v, out));
    RMP_TRY(rmp_field_dot(l->z, l->r, zr));
    RMP_TRY(rmp_field_dot(l->v, out, vg));
    RMP_TRY(noise_norm(l, l->z, zz));
    for (int64_t i = 0; i < l->n; ++i) {
        const double bound = zr[i] / (zz[i] + s * s * fmax(vg[i], 0.0));
        scale[i] = !alive[i] ? 0.0 : isfinite(bound) ? fmin(1.0, fmax(bound, 0.0)) : 1.0;
        zero[i] = 0.0;
    }
    return rmp_field_axpby(scale, out, zero, out);
}

/* The gradient of -|y - A D|. Noise that is not uniform weighs the norm, scaled so that the step `zeta` means the same:
 * by the typical variance. */
static rmp_status score_dps(rmp_likelihood *l, const rmp_field *denoised, const bool alive[], rmp_field *out)
{
    double *rr = scalars(l, 0), *scale = scalars(l, 1), *zero = scalars(l, 2), *one = scalars(l, 3);
    const rmp_field *weighted = l->r;
    double typical = 1.0;
    fill(zero, l->n, 0.0);
    if (l->config.clip) {
        RMP_TRY(rmp_field_copy(denoised, out));
        RMP_TRY(rmp_field_clamp(-1.0, 1.0, out));
    }
    RMP_TRY(residual(l, l->config.clip ? out : denoised));
    if (l->variance != NULL) {
        fill(one, l->n, 1.0);
        RMP_TRY(rmp_field_copy(l->r, l->t));
        RMP_TRY(rmp_field_divide(zero, one, l->variance, l->t));
        weighted = l->t;
        typical = l->sigma;
    }
    RMP_TRY(rmp_field_dot(l->r, weighted, rr));
    RMP_TRY(rmp_operator_vjp(l->op, weighted, l->v));
    if (l->config.clip) RMP_TRY(rmp_field_clamp_gradient(-1.0, 1.0, denoised, l->v));
    RMP_TRY(vjp(l, alive, l->v, out));
    for (int64_t i = 0; i < l->n; ++i)
        scale[i] = alive[i] && rr[i] > 0.0 ? typical / sqrt(rr[i]) : 0.0;
    for (int64_t i = 0; i < l->n; ++i)
        l->dps_misfit[i] = typical * sqrt(rr[i]);
    return rmp_field_axpby(scale, out, zero, out);
}

static rmp_status score_spectral(rmp_likelihood *l, const rmp_field *x, double s, const bool alive[], rmp_field *out)
{
    RMP_TRY(residual(l, x));
    RMP_TRY(invert(l, s * s, alive));
    return rmp_operator_adjoint(l->op, l->z, out);
}

rmp_status rmp_likelihood_score(rmp_likelihood *l, const rmp_field *x, double s, const rmp_field *denoised,
                                const bool alive[], rmp_field *out)
{
    switch (l->config.kind) {
    case RMP_LIKELIHOOD_MOMENT:
        return score_moment(l, s, denoised, alive, out);
    case RMP_LIKELIHOOD_PIGDM:
        return score_pigdm(l, s, denoised, alive, out);
    case RMP_LIKELIHOOD_DPS:
        return score_dps(l, denoised, alive, out);
    case RMP_LIKELIHOOD_SPECTRAL:
        return score_spectral(l, x, s, alive, out);
    case RMP_LIKELIHOOD_EXACT:
        return rmp_prior_likelihood_score(l->prior, l->op, x, s, l->y, l->sigma, out);
    case RMP_LIKELIHOOD_NONE:
        break;
    }
    return rmp_field_axpby1(0.0, x, 0.0, out);
}

rmp_status rmp_likelihood_curvature(rmp_likelihood *l, double s, const rmp_field *n, const rmp_field *jn,
                                    const bool alive[], rmp_field *out)
{
    const rmp_likelihood_kind kind = l->config.kind;
    RMP_CHECK(kind != RMP_LIKELIHOOD_EXACT, RMP_ERR_CONFIG,
              "solver.precision: the curvature of likelihood exact is not known; use moment");
    if (kind == RMP_LIKELIHOOD_NONE || kind == RMP_LIKELIHOOD_DPS) return rmp_field_axpby1(0.0, n, 0.0, out);
    RMP_TRY(rmp_operator_forward(l->op, kind == RMP_LIKELIHOOD_SPECTRAL ? n : jn, l->r));
    if (kind == RMP_LIKELIHOOD_MOMENT) return invert_moment(l, s, alive, true, out);
    RMP_TRY(invert(l, kind == RMP_LIKELIHOOD_PIGDM ? pigdm_variance(s) : s * s, alive));
    if (kind == RMP_LIKELIHOOD_SPECTRAL) return rmp_operator_adjoint(l->op, l->z, out);
    RMP_TRY(rmp_operator_adjoint(l->op, l->z, l->v));
    return vjp(l, alive, l->v, out);
}
