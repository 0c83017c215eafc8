#include "core/prior_mixture.h"

#include "core/dense.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the mixture is at one point x of noise level s. With C_k = V_k^T diag(w_k) V_k:
 *   r_k ~ weights_k N(x; m_k, C_k + s^2 I)            share
 *   D_k = m_k + J_k (x - m_k), J_k = C_k (C_k + s^2 I)^-1
 *   g_k = grad log N(x; m_k, C_k + s^2 I)
 * D = sum r_k D_k, J = sum r_k (J_k + D_k (g_k - sum r g)^T). */
typedef struct point {
    double *share, *log_share; /* (K) */
    double *mean;              /* (K, D): D_k */
    double *gradient;          /* (K, D): g_k - sum r g */
} point;

typedef struct mixture {
    rmp_prior base;
    int64_t k, d;
    double *log_weight; /* (K) */
    double *mean;       /* (K, D) */
    double *value;      /* (K, D): w_k */
    double *vector;     /* (K, D, D): rows of V_k */
    double *gain;       /* (K, D): w_k / (w_k + s^2) at the last denoise */
    double *at;         /* points of the last denoise: n times point_size */
    double s;
} mixture;

static int64_t point_size(const mixture *p) { return 2 * p->k * (1 + p->d); }

static point point_at(const mixture *p, double *memory)
{
    return (point){memory, memory + p->k, memory + 2 * p->k, memory + 2 * p->k + p->k * p->d};
}

static void destroy(rmp_prior *prior)
{
    mixture *p = (mixture *)prior;
    free(p->log_weight);
    free(p->mean);
    free(p->value);
    free(p->vector);
    free(p->gain);
    free(p->at);
    free(p);
}

/* share <- exp(log_share) normalised; log_share likewise. */
static void normalise(int64_t k, double *log_share, double *share)
{
    double most = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < k; ++i)
        most = fmax(most, log_share[i]);
    for (int64_t i = 0; i < k; ++i)
        sum += exp(log_share[i] - most);
    const double log_sum = most + log(sum);
    for (int64_t i = 0; i < k; ++i) {
        log_share[i] -= log_sum;
        share[i] = exp(log_share[i]);
    }
}

/* out = V_k^T diag(gain) V_k x; work (D). */
static void apply_component(const mixture *p, int64_t k, const double *gain, const double *x, double *work, double *out)
{
    rmp_dense_apply(p->d, p->d, p->vector + k * p->d * p->d, x, work);
    for (int64_t j = 0; j < p->d; ++j)
        work[j] *= gain[j];
    rmp_dense_apply_transposed(p->d, p->d, p->vector + k * p->d * p->d, work, out);
}

static void gains_at(const mixture *p, double s, double *gain)
{
    for (int64_t i = 0; i < p->k * p->d; ++i)
        gain[i] = p->value[i] / (p->value[i] + s * s);
}

/* work (2 D). */
static void evaluate(const mixture *p, const double *x, double s, double *work, point *at)
{
    const int64_t d = p->d;
    double *rotated = work, *scaled = work + d;
    for (int64_t k = 0; k < p->k; ++k) {
        const double *mean = p->mean + k * d, *value = p->value + k * d, *vector = p->vector + k * d * d;
        double log_density = p->log_weight[k];
        for (int64_t j = 0; j < d; ++j)
            scaled[j] = x[j] - mean[j];
        rmp_dense_apply(d, d, vector, scaled, rotated);
        for (int64_t j = 0; j < d; ++j) {
            const double variance = value[j] + s * s;
            log_density -= 0.5 * (rotated[j] * rotated[j] / variance + log(variance));
            scaled[j] = -rotated[j] / variance;
            rotated[j] *= value[j] / variance;
        }
        rmp_dense_apply_transposed(d, d, vector, rotated, at->mean + k * d);
        rmp_dense_apply_transposed(d, d, vector, scaled, at->gradient + k * d);
        for (int64_t j = 0; j < d; ++j)
            at->mean[k * d + j] += mean[j];
        at->log_share[k] = log_density;
    }
    normalise(p->k, at->log_share, at->share);
    for (int64_t j = 0; j < d; ++j) {
        double average = 0.0;
        for (int64_t k = 0; k < p->k; ++k)
            average += at->share[k] * at->gradient[k * d + j];
        for (int64_t k = 0; k < p->k; ++k)
            at->gradient[k * d + j] -= average;
    }
}

/* One image to and from double. */
static rmp_status get_image(const rmp_field *x, int64_t image, int64_t count, float *single, double *out)
{
    RMP_TRY(rmp_field_get(x, image, single));
    for (int64_t j = 0; j < count; ++j)
        out[j] = (double)single[j];
    return RMP_OK;
}

static rmp_status put_image(rmp_field *x, int64_t image, int64_t count, const double *values, float *single)
{
    for (int64_t j = 0; j < count; ++j)
        single[j] = (float)values[j];
    return rmp_field_put(x, image, single);
}

/* Scratch of one call. */
typedef struct workspace {
    double *memory;
    float *single;
} workspace;

static rmp_status workspace_create(int64_t doubles, int64_t floats, workspace *out)
{
    out->memory = malloc((size_t)doubles * sizeof *out->memory);
    out->single = malloc((size_t)floats * sizeof *out->single);
    if (out->memory == NULL || out->single == NULL) {
        free(out->memory);
        free(out->single);
        return RMP_FAIL(RMP_ERR_MEMORY, "no memory for an analytic prior: %lld numbers", (long long)doubles);
    }
    return RMP_OK;
}

static void workspace_free(workspace *w)
{
    free(w->memory);
    free(w->single);
}

static rmp_status denoise(rmp_prior *prior, const rmp_field *x, double s, rmp_field *out)
{
    mixture *p = (mixture *)prior;
    const int64_t d = p->d;
    workspace w;
    RMP_TRY(workspace_create(4 * d, d, &w));
    double *value = w.memory, *sum = w.memory + d, *work = w.memory + 2 * d;
    rmp_status status = RMP_OK;
    p->s = s;
    gains_at(p, s, p->gain);
    for (int64_t i = 0; i < prior->space->n; ++i) {
        point at = point_at(p, p->at + i * point_size(p));
        RMP_TRY_GOTO(get_image(x, i, d, w.single, value), done);
        evaluate(p, value, s, work, &at);
        rmp_dense_apply_transposed(p->k, d, at.mean, at.share, sum);
        RMP_TRY_GOTO(put_image(out, i, d, sum, w.single), done);
    }
done:
    workspace_free(&w);
    return status;
}

static rmp_status vjp(rmp_prior *prior, const rmp_field *v, rmp_field *out)
{
    mixture *p = (mixture *)prior;
    const int64_t d = p->d;
    workspace w;
    RMP_TRY(workspace_create(4 * d, d, &w));
    double *value = w.memory, *sum = w.memory + d, *work = w.memory + 2 * d, *part = w.memory + 3 * d;
    rmp_status status = RMP_OK;
    for (int64_t i = 0; i < prior->space->n; ++i) {
        const point at = point_at(p, p->at + i * point_size(p));
        RMP_TRY_GOTO(get_image(v, i, d, w.single, value), done);
        memset(sum, 0, (size_t)d * sizeof *sum);
        for (int64_t k = 0; k < p->k; ++k) {
            apply_component(p, k, p->gain + k * d, value, work, part);
            const double along = rmp_dense_dot(d, at.mean + k * d, value);
            for (int64_t j = 0; j < d; ++j)
                sum[j] += at.share[k] * (part[j] + along * at.gradient[k * d + j]);
        }
        RMP_TRY_GOTO(put_image(out, i, d, sum, w.single), done);
    }
done:
    workspace_free(&w);
    return status;
}

/* What y says about one component with covariance V_k^T diag(spread) V_k: S = sigma^2 I + A cov A^T, factored. */
typedef struct evidence {
    int64_t m;
    double *matrix;  /* (M, D): A */
    double *factor;  /* (K, M, M): Cholesky factors of S_k */
    double *log_det; /* (K) */
} evidence;

static rmp_status evidence_create(const mixture *p, int64_t m, evidence *out)
{
    *out = (evidence){.m = m};
    out->matrix = malloc((size_t)(m * p->d) * sizeof *out->matrix);
    out->factor = malloc((size_t)(p->k * m * m) * sizeof *out->factor);
    out->log_det = malloc((size_t)p->k * sizeof *out->log_det);
    if (out->matrix != NULL && out->factor != NULL && out->log_det != NULL) return RMP_OK;
    free(out->matrix);
    free(out->factor);
    free(out->log_det);
    return RMP_FAIL(RMP_ERR_MEMORY, "no memory for the exact likelihood of %lld measurements", (long long)m);
}

static void evidence_free(evidence *e)
{
    free(e->matrix);
    free(e->factor);
    free(e->log_det);
}

/* spread (K, D): eigenvalues of the components' covariances. */
static rmp_status evidence_set(const mixture *p, rmp_operator *op, int64_t image, const double *spread, double sigma,
                               evidence *e)
{
    const int64_t d = p->d, m = e->m;
    double *rotated = malloc((size_t)(m * d) * sizeof *rotated); /* row i = V_k (row i of A) */
    RMP_CHECK(rotated != NULL, RMP_ERR_MEMORY, "no memory for %lld measurements", (long long)m);
    rmp_status status = RMP_OK;
    RMP_TRY_GOTO(rmp_operator_matrix(op, image, e->matrix), done);
    for (int64_t k = 0; k < p->k; ++k) {
        double *factor = e->factor + k * m * m;
        for (int64_t i = 0; i < m; ++i)
            rmp_dense_apply(d, d, p->vector + k * d * d, e->matrix + i * d, rotated + i * d);
        for (int64_t i = 0; i < m; ++i)
            for (int64_t j = 0; j < m; ++j) {
                double sum = i == j ? sigma * sigma : 0.0;
                for (int64_t l = 0; l < d; ++l)
                    sum += rotated[i * d + l] * spread[k * d + l] * rotated[j * d + l];
                factor[i * m + j] = sum;
            }
        RMP_TRY_GOTO(rmp_dense_cholesky(m, factor), done);
        e->log_det[k] = rmp_dense_cholesky_log_det(m, factor);
    }
done:
    free(rotated);
    return status;
}

/* z = S_k^-1 (y - A centre); returns log N(y; A centre, S_k) without its constant. residual (M). */
static double evidence_solve(const mixture *p, const evidence *e, int64_t k, const double *y, const double *centre,
                             double *residual, double *z)
{
    rmp_dense_apply(e->m, p->d, e->matrix, centre, residual);
    for (int64_t i = 0; i < e->m; ++i)
        z[i] = residual[i] = y[i] - residual[i];
    rmp_dense_cholesky_solve(e->m, e->factor + k * e->m * e->m, z);
    return -0.5 * (rmp_dense_dot(e->m, residual, z) + e->log_det[k]);
}

/* One image of an exact computation: y (M) and x (D, NULL where there is none) in, out (D). */
typedef struct exact_call {
    const mixture *p;
    const evidence *e;
    double s, sigma;
    const double *spread; /* (K, D) */
    rmp_key key;
    uint32_t step;
    const double *y;
    double *x, *out;
    double *z, *residual;      /* (K, M), (M) */
    double *log_share, *share; /* (K) */
    double *work, *part;       /* (2 D), (D) */
    point at;
} exact_call;

/* Score of the likelihood: with w_k ~ r_k N(y; A D_k, S_k), S_k = sigma^2 I + s^2 A J_k A^T,
 * grad log p(y | x) = sum w_k (grad log r_k + J_k A^T S_k^-1 (y - A D_k)). */
static void exact_score(exact_call *c)
{
    const mixture *p = c->p;
    const int64_t d = p->d, m = c->e->m;
    evaluate(p, c->x, c->s, c->work, &c->at);
    for (int64_t k = 0; k < p->k; ++k)
        c->log_share[k] =
            c->at.log_share[k] + evidence_solve(p, c->e, k, c->y, c->at.mean + k * d, c->residual, c->z + k * m);
    normalise(p->k, c->log_share, c->share);
    memset(c->out, 0, (size_t)d * sizeof *c->out);
    for (int64_t k = 0; k < p->k; ++k) {
        rmp_dense_apply_transposed(m, d, c->e->matrix, c->z + k * m, c->part);
        apply_component(p, k, c->spread + k * d, c->part, c->work, c->work + d); /* s^2 J_k */
        for (int64_t j = 0; j < d; ++j)
            c->out[j] += c->share[k] * (c->at.gradient[k * d + j] + c->work[d + j] / (c->s * c->s));
    }
}

/* Shares of the components in the posterior; z_k for each. */
static void posterior_shares(exact_call *c)
{
    const mixture *p = c->p;
    for (int64_t k = 0; k < p->k; ++k)
        c->log_share[k] =
            p->log_weight[k] + evidence_solve(p, c->e, k, c->y, p->mean + k * p->d, c->residual, c->z + k * c->e->m);
    normalise(p->k, c->log_share, c->share);
}

/* E[x | y] = sum w_k (m_k + C_k A^T S_k^-1 (y - A m_k)), w_k ~ weights_k N(y; A m_k, S_k). */
static void exact_mean(exact_call *c)
{
    const mixture *p = c->p;
    const int64_t d = p->d;
    posterior_shares(c);
    memset(c->out, 0, (size_t)d * sizeof *c->out);
    for (int64_t k = 0; k < p->k; ++k) {
        rmp_dense_apply_transposed(c->e->m, d, c->e->matrix, c->z + k * c->e->m, c->part);
        apply_component(p, k, c->spread + k * d, c->part, c->work, c->work + d);
        for (int64_t j = 0; j < d; ++j)
            c->out[j] += c->share[k] * (p->mean[k * d + j] + c->work[d + j]);
    }
}

static int64_t choose(const double *share, int64_t k, double u)
{
    for (int64_t i = 0; i < k - 1; ++i) {
        if (u < share[i]) return i;
        u -= share[i];
    }
    return k - 1;
}

/* out ~ N(m_k, C_k). */
static void draw_component(const mixture *p, int64_t k, rmp_key key, uint32_t step, double *work, double *out)
{
    for (int64_t j = 0; j < p->d; ++j)
        work[j] = sqrt(p->value[k * p->d + j]) * (double)rmp_random_normal(key, step, RMP_PURPOSE_PROBE, (uint64_t)j);
    rmp_dense_apply_transposed(p->d, p->d, p->vector + k * p->d * p->d, work, out);
    for (int64_t j = 0; j < p->d; ++j)
        out[j] += p->mean[k * p->d + j];
}

/* Matheron's rule: with x ~ N(m_k, C_k), y' = A x + sigma n:  x + C_k A^T S_k^-1 (y - y') ~ p(x | y, k). */
static void exact_sample(exact_call *c)
{
    const mixture *p = c->p;
    const int64_t d = p->d, m = c->e->m;
    posterior_shares(c);
    const int64_t k = choose(c->share, p->k, rmp_random_uniform(c->key, 3 * c->step, RMP_PURPOSE_PROBE, 0));
    draw_component(p, k, c->key, 3 * c->step + 1, c->work, c->out);
    rmp_dense_apply(m, d, c->e->matrix, c->out, c->z);
    for (int64_t i = 0; i < m; ++i)
        c->z[i] = c->y[i] - c->z[i] -
                  c->sigma * (double)rmp_random_normal(c->key, 3 * c->step + 2, RMP_PURPOSE_PROBE, (uint64_t)i);
    rmp_dense_cholesky_solve(m, c->e->factor + k * m * m, c->z);
    rmp_dense_apply_transposed(m, d, c->e->matrix, c->z, c->part);
    apply_component(p, k, c->spread + k * d, c->part, c->work, c->work + d);
    for (int64_t j = 0; j < d; ++j)
        c->out[j] += c->work[d + j];
}

/* Runs one of the computations above for every image; spread (K, D). x may be NULL. */
static rmp_status for_each_image(mixture *p, rmp_operator *op, const rmp_field *x, double s, const rmp_field *y,
                                 double sigma, const double *spread, const rmp_key key[], uint32_t step,
                                 void (*compute)(exact_call *), rmp_field *out)
{
    const rmp_space *range = rmp_operator_range(op), *domain = rmp_operator_domain(op);
    const int64_t n = p->base.space->n, d = p->d, m = rmp_shape_count(range->shape);
    RMP_CHECK(rmp_operator_is_linear(op), RMP_ERR_ARGUMENT, "an exact likelihood needs a linear operator");
    RMP_CHECK(domain->n == n && rmp_shape_count(domain->shape) == d && y->space->n == n &&
                  rmp_shape_count(y->space->shape) == m && out->space->n == n &&
                  rmp_shape_count(out->space->shape) == d,
              RMP_ERR_ARGUMENT, "an exact likelihood with an operator, measurements or result of another space");
    RMP_CHECK(sigma > 0.0, RMP_ERR_ARGUMENT, "an exact likelihood needs noise");
    workspace w;
    evidence e;
    rmp_status status = RMP_OK;
    RMP_TRY(evidence_create(p, m, &e));
    status = workspace_create(5 * d + m * (2 + p->k) + 2 * p->k + point_size(p), d > m ? d : m, &w);
    if (status != RMP_OK) {
        evidence_free(&e);
        return status;
    }
    exact_call c = {.p = p, .e = &e, .s = s, .sigma = sigma, .spread = spread, .step = step};
    double *measured = w.memory + 5 * d;
    c.x = w.memory;
    c.out = w.memory + d;
    c.work = w.memory + 2 * d;
    c.part = w.memory + 4 * d;
    c.y = measured;
    c.residual = measured + m;
    c.z = measured + 2 * m;
    c.log_share = c.z + p->k * m;
    c.share = c.log_share + p->k;
    c.at = point_at(p, c.share + p->k);
    for (int64_t i = 0; i < n; ++i) {
        if (i == 0 || rmp_operator_has_mask(op)) RMP_TRY_GOTO(evidence_set(p, op, i, spread, sigma, &e), done);
        RMP_TRY_GOTO(get_image(y, i, m, w.single, measured), done);
        if (x != NULL) RMP_TRY_GOTO(get_image(x, i, d, w.single, c.x), done);
        if (key != NULL) c.key = key[i];
        compute(&c);
        RMP_TRY_GOTO(put_image(out, i, d, c.out, w.single), done);
    }
done:
    workspace_free(&w);
    evidence_free(&e);
    return status;
}

static rmp_status likelihood_score(rmp_prior *prior, rmp_operator *op, const rmp_field *x, double s, const rmp_field *y,
                                   double sigma, rmp_field *out)
{
    mixture *p = (mixture *)prior;
    double *spread = malloc((size_t)(p->k * p->d) * sizeof *spread);
    RMP_CHECK(spread != NULL, RMP_ERR_MEMORY, "no memory for an exact likelihood");
    for (int64_t i = 0; i < p->k * p->d; ++i)
        spread[i] = s * s * p->value[i] / (p->value[i] + s * s);
    const rmp_status status = for_each_image(p, op, x, s, y, sigma, spread, NULL, 0, exact_score, out);
    free(spread);
    return status;
}

static const rmp_prior_ops mixture_ops = {
    .destroy = destroy, .denoise = denoise, .vjp = vjp, .likelihood_score = likelihood_score};

static rmp_status take_mixture(rmp_prior *prior, mixture **out)
{
    RMP_CHECK(prior->ops == &mixture_ops, RMP_ERR_ARGUMENT, "this prior is no Gaussian mixture");
    *out = (mixture *)prior;
    return RMP_OK;
}

rmp_status rmp_mixture_posterior_mean(rmp_prior *prior, rmp_operator *op, const rmp_field *y, double sigma,
                                      rmp_field *out)
{
    mixture *p = NULL;
    RMP_TRY(take_mixture(prior, &p));
    return for_each_image(p, op, NULL, 0.0, y, sigma, p->value, NULL, 0, exact_mean, out);
}

rmp_status rmp_mixture_posterior_sample(rmp_prior *prior, rmp_operator *op, const rmp_field *y, double sigma,
                                        const rmp_key key[], uint32_t step, rmp_field *out)
{
    mixture *p = NULL;
    RMP_TRY(take_mixture(prior, &p));
    return for_each_image(p, op, NULL, 0.0, y, sigma, p->value, key, step, exact_sample, out);
}

rmp_status rmp_mixture_sample(rmp_prior *prior, const rmp_key key[], uint32_t step, rmp_field *out)
{
    mixture *p = NULL;
    workspace w;
    RMP_TRY(take_mixture(prior, &p));
    RMP_TRY(workspace_create(2 * p->d + p->k, p->d, &w));
    double *value = w.memory, *work = w.memory + p->d, *share = w.memory + 2 * p->d;
    rmp_status status = RMP_OK;
    for (int64_t k = 0; k < p->k; ++k)
        share[k] = exp(p->log_weight[k]);
    for (int64_t i = 0; i < prior->space->n; ++i) {
        const int64_t k = choose(share, p->k, rmp_random_uniform(key[i], 3 * step, RMP_PURPOSE_INIT, 0));
        draw_component(p, k, key[i], 0x80000000u + step, work, value);
        RMP_TRY_GOTO(put_image(out, i, p->d, value, w.single), done);
    }
done:
    workspace_free(&w);
    return status;
}

static rmp_status set_component(mixture *p, int64_t k, const double *cov)
{
    const int64_t d = p->d;
    double *value = p->value + k * d, largest = 0.0;
    for (int64_t i = 0; i < d * d; ++i) {
        RMP_CHECK(isfinite(cov[i]), RMP_ERR_CONFIG, "prior.file: covariance %lld is not finite", (long long)k);
        largest = fmax(largest, fabs(cov[i]));
    }
    for (int64_t i = 0; i < d; ++i)
        for (int64_t j = 0; j < i; ++j)
            RMP_CHECK(fabs(cov[i * d + j] - cov[j * d + i]) <= 1e-5 * largest, RMP_ERR_CONFIG,
                      "prior.file: covariance %lld is not symmetric at (%lld, %lld)", (long long)k, (long long)i,
                      (long long)j);
    RMP_TRY(rmp_device_symmetric_eigen(p->base.space->device, d, cov, value, p->vector + k * d * d));
    RMP_CHECK(value[0] >= -1e-5 * largest, RMP_ERR_CONFIG, "prior.file: covariance %lld has the negative eigenvalue %g",
              (long long)k, value[0]);
    for (int64_t j = 0; j < d; ++j)
        value[j] = fmax(value[j], 0.0);
    return RMP_OK;
}

static rmp_status fill(mixture *p, const double *weights, const double *means, const double *covs)
{
    double total = 0.0;
    for (int64_t k = 0; k < p->k; ++k) {
        RMP_CHECK(weights[k] > 0.0 && isfinite(weights[k]), RMP_ERR_CONFIG, "prior.file: weight %lld is %g",
                  (long long)k, weights[k]);
        total += weights[k];
    }
    for (int64_t k = 0; k < p->k; ++k) {
        p->log_weight[k] = log(weights[k] / total);
        RMP_TRY(set_component(p, k, covs + k * p->d * p->d));
    }
    for (int64_t i = 0; i < p->k * p->d; ++i) {
        RMP_CHECK(isfinite(means[i]), RMP_ERR_CONFIG, "prior.file: a mean is not finite");
        p->mean[i] = means[i];
    }
    return RMP_OK;
}

rmp_status rmp_prior_mixture_create(const rmp_space *space, int64_t components, const double *weights,
                                    const double *means, const double *covs, rmp_prior **out)
{
    *out = NULL;
    const int64_t d = rmp_shape_count(space->shape), k = components;
    RMP_CHECK(k >= 1, RMP_ERR_CONFIG, "prior.file: a mixture of %lld components", (long long)k);
    mixture *p = calloc(1, sizeof *p);
    RMP_CHECK(p != NULL, RMP_ERR_MEMORY, "no memory for a prior");
    p->base = (rmp_prior){.ops = &mixture_ops, .space = space, .analytic = true};
    p->k = k;
    p->d = d;
    p->log_weight = malloc((size_t)k * sizeof(double));
    p->mean = malloc((size_t)(k * d) * sizeof(double));
    p->value = malloc((size_t)(k * d) * sizeof(double));
    p->vector = malloc((size_t)(k * d * d) * sizeof(double));
    p->gain = malloc((size_t)(k * d) * sizeof(double));
    p->at = malloc((size_t)(space->n * point_size(p)) * sizeof(double));
    rmp_status status = RMP_OK;
    RMP_CHECK_GOTO(p->log_weight != NULL && p->mean != NULL && p->value != NULL && p->vector != NULL &&
                       p->gain != NULL && p->at != NULL,
                   RMP_ERR_MEMORY, failed, "no memory for a mixture of %lld components in %lld dimensions",
                   (long long)k, (long long)d);
    RMP_TRY_GOTO(fill(p, weights, means, covs), failed);
    *out = &p->base;
    return RMP_OK;
failed:
    destroy(&p->base);
    return status;
}
