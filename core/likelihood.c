#include "core/likelihood.h"

#include <math.h>
#include <stdlib.h>

/* The guard of `moment`: conjugate gradients of a symmetric positive matrix may raise the residual for a while, but not
 * to this many times the smallest one so far; a network's J that makes it do so is too far from symmetric to go on. */
static const double GROWTH = 10.0;

/* Conjugate gradients for A A^T: cheap, so until they converge. */
enum { PLAIN_ITERATIONS = 100 };
static const double PLAIN_TOLERANCE = 1e-5;

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
    rmp_field *r, *p, *q; /* range: residual, direction, operator times direction */
    rmp_field *z;         /* range: solution */
    rmp_field *v, *w;     /* images: A^T p, J^T A^T p */
    double *scalar;       /* (SCALARS, n) */
    bool *active;         /* (n) images that CG still works on */
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

int64_t rmp_likelihood_floats(rmp_likelihood_kind kind, const rmp_noise *noise, int64_t image, int64_t measured)
{
    const needs need = needs_of(kind);
    const int64_t variance = rmp_noise_is_uniform(noise) ? 0 : kind == RMP_LIKELIHOOD_DPS ? 3 : 2;
    return measured * (1 + variance + need.r + 2 * need.cg + need.z) + image * (need.v + need.w);
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
    l->active = calloc(n, sizeof *l->active);
    l->vjps = calloc(n, sizeof *l->vjps);
    l->iterations = calloc(n, sizeof *l->iterations);
    RMP_CHECK(l->scalar != NULL && l->active != NULL && l->vjps != NULL && l->iterations != NULL, RMP_ERR_MEMORY,
              "no memory for a likelihood");
    RMP_TRY(rmp_field_create(range, &l->y));
    RMP_TRY(rmp_field_copy(y, l->y));
    RMP_TRY(rmp_operator_mask_measurement(l->op, l->y));
    RMP_TRY(prepare_noise(l, noise));
    if (need.r) RMP_TRY(rmp_field_create(range, &l->r));
    if (need.cg) RMP_TRY(rmp_field_create(range, &l->p));
    if (need.cg) RMP_TRY(rmp_field_create(range, &l->q));
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
    rmp_field_destroy(&l->p);
    rmp_field_destroy(&l->q);
    rmp_field_destroy(&l->z);
    rmp_field_destroy(&l->v);
    rmp_field_destroy(&l->w);
    free(l->scalar);
    free(l->active);
    free(l->vjps);
    free(l->iterations);
    free(l);
    *likelihood = NULL;
}

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

/* One conjugate-gradient problem (S + b A K A^T) z = l->r, S the covariance of the noise, K = J^T (with the VJP) or the
 * identity. */
typedef struct problem {
    double b;
    bool jacobian;
    int64_t iterations;
    double tolerance;
    double fallback;  /* b of a first step where the curvature is not positive; used with the VJP only */
    rmp_field *image; /* receives K A^T z, or NULL */
    rmp_field *z;     /* receives z, or NULL */
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

/* l->q = (S + b A K A^T) l->p; K A^T p stays in w (with J) or v. */
static rmp_status apply(rmp_likelihood *l, const problem *pb)
{
    RMP_TRY(rmp_operator_adjoint(l->op, l->p, l->v));
    if (pb->jacobian) RMP_TRY(vjp(l, l->active, l->v, l->w));
    RMP_TRY(rmp_operator_forward(l->op, pb->jacobian ? l->w : l->v, l->q));
    return add_noise(l, l->p, pb->b, l->q);
}

static bool any(const bool flag[], int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        if (flag[i]) return true;
    return false;
}

/* alpha[i] of this iteration; images whose curvature is not positive are stopped, in the first iteration after one step
 * whose length does without J. rr = |r|^2. */
static rmp_status steps(rmp_likelihood *l, const problem *pb, bool first, const double rr[], double alpha[])
{
    double *pq = scalars(l, 3), *pp = scalars(l, 4), *vv = scalars(l, 5);
    RMP_TRY(rmp_field_dot(l->p, l->q, pq));
    if (first && pb->jacobian) {
        RMP_TRY(noise_norm(l, l->p, pp));
        RMP_TRY(rmp_field_dot(l->v, l->v, vv));
    }
    for (int64_t i = 0; i < l->n; ++i) {
        alpha[i] = 0.0;
        if (!l->active[i]) continue;
        if (pq[i] > 0.0) {
            alpha[i] = rr[i] / pq[i];
        } else {
            l->active[i] = false;
            if (first && pb->jacobian) alpha[i] = rr[i] / (pp[i] + pb->fallback * vv[i]);
        }
        if (!isfinite(alpha[i])) {
            alpha[i] = 0.0;
            l->active[i] = false;
        }
    }
    return RMP_OK;
}

static rmp_status conjugate_gradients(rmp_likelihood *l, const problem *pb, const bool alive[])
{
    const int64_t n = l->n;
    double *rr = scalars(l, 0), *next = scalars(l, 1), *alpha = scalars(l, 2), *smallest = scalars(l, 6);
    double *first_rr = scalars(l, 7);
    RMP_TRY(rmp_field_copy(l->r, l->p));
    RMP_TRY(rmp_field_dot(l->r, l->r, rr));
    for (int64_t i = 0; i < n; ++i) {
        smallest[i] = first_rr[i] = rr[i];
        l->active[i] = alive[i] && rr[i] > 0.0 && isfinite(rr[i]);
    }
    for (int64_t it = 0; it == 0 || (it < pb->iterations && any(l->active, n)); ++it) {
        double *minus = scalars(l, 3), *keep = scalars(l, 4), *one = scalars(l, 5);
        RMP_TRY(apply(l, pb));
        for (int64_t i = 0; i < n; ++i)
            l->iterations[i] += pb->jacobian && l->active[i];
        RMP_TRY(steps(l, pb, it == 0, rr, alpha));
        for (int64_t i = 0; i < n; ++i)
            minus[i] = -alpha[i];
        fill(one, n, 1.0);
        RMP_TRY(rmp_field_axpby(minus, l->q, one, l->r));
        RMP_TRY(rmp_field_dot(l->r, l->r, next));
        for (int64_t i = 0; i < n; ++i) {
            const bool grown = !(next[i] <= GROWTH * GROWTH * smallest[i]);
            if (grown && it > 0 && l->active[i]) {
                alpha[i] = 0.0; /* not taken */
                l->active[i] = false;
            }
            smallest[i] = fmin(smallest[i], next[i]);
            if (!(next[i] > pb->tolerance * pb->tolerance * first_rr[i])) l->active[i] = false;
            keep[i] = it == 0 ? 0.0 : 1.0;
        }
        if (pb->image != NULL) RMP_TRY(rmp_field_axpby(alpha, pb->jacobian ? l->w : l->v, keep, pb->image));
        if (pb->z != NULL) RMP_TRY(rmp_field_axpby(alpha, l->p, keep, pb->z));
        double *beta = minus;
        for (int64_t i = 0; i < n; ++i) {
            beta[i] = l->active[i] ? next[i] / rr[i] : 0.0;
            rr[i] = next[i];
        }
        RMP_TRY(rmp_field_axpby(one, l->r, beta, l->p));
    }
    return RMP_OK;
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
        const problem pb = {.b = variance, .iterations = PLAIN_ITERATIONS, .tolerance = PLAIN_TOLERANCE, .z = l->z};
        return conjugate_gradients(l, &pb, alive);
    }
    double *a = scalars(l, 0), *b = scalars(l, 1);
    fill(a, l->n, l->sigma * l->sigma);
    fill(b, l->n, variance);
    RMP_TRY(rmp_field_copy(l->r, l->z));
    return rmp_operator_solve(l->op, a, b, l->z);
}

static rmp_status score_moment(rmp_likelihood *l, double s, const rmp_field *denoised, const bool alive[],
                               rmp_field *out)
{
    const problem pb = {.b = s * s,
                        .jacobian = true,
                        .iterations = l->config.cg_iterations,
                        .tolerance = l->config.cg_tolerance,
                        .fallback = pigdm_variance(s),
                        .image = out};
    RMP_TRY(residual(l, denoised));
    return conjugate_gradients(l, &pb, alive);
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
    RMP_TRY(residual(l, denoised));
    if (l->variance != NULL) {
        fill(one, l->n, 1.0);
        RMP_TRY(rmp_field_copy(l->r, l->t));
        RMP_TRY(rmp_field_divide(zero, one, l->variance, l->t));
        weighted = l->t;
        typical = l->sigma;
    }
    RMP_TRY(rmp_field_dot(l->r, weighted, rr));
    RMP_TRY(rmp_operator_vjp(l->op, weighted, l->v));
    RMP_TRY(vjp(l, alive, l->v, out));
    for (int64_t i = 0; i < l->n; ++i)
        scale[i] = alive[i] && rr[i] > 0.0 ? typical / sqrt(rr[i]) : 0.0;
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
