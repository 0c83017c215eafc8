#include "core/uncertainty.h"

#include <math.h>
#include <stdlib.h>

/* diag B^2 / (s^2 diag B) beyond this: x_s tells more about the value than y does, and what B says without it is a
 * guess. A network's J may even exceed the identity there. */
static const double MOST_OWED = 0.75;
/* CG stops here: what a measurement leaves of a variance may be a thousandth of it. */
static const double TOLERANCE = 1e-6;

enum { FIELDS = 7, SPREAD_STEP = 1 << 20 };

typedef struct work {
    const rmp_uncertainty_config *config;
    const rmp_problem *problem;
    const rmp_field *x;
    rmp_likelihood *likelihood;
    int64_t n, probes;
    bool *active;
    int64_t *evaluations;
    float *host; /* one image */
    rmp_field *noisy, *denoised, *probe, *jacobian, *product;
    rmp_field *diagonal, *square; /* sums of n (B n) and of (B n)^2 */
} work;

/* Which comb a value belongs to. Images: distance `pitch` along rows and columns, and one for each channel; what has
 * many channels (vectors) has no neighbours, there every value k combs apart will do. */
typedef struct combs {
    int64_t pitch, count;
    bool vector;
} combs;

static combs combs_of(const rmp_uncertainty_config *c, rmp_shape shape)
{
    const int64_t values = rmp_shape_count(shape);
    if (c->method == RMP_UNCERTAINTY_EXACT || c->probes >= values) return (combs){1, values, true};
    if (shape.h * shape.w == 1 || c->probes < shape.c) return (combs){1, c->probes, true};
    combs out = {1, shape.c, false};
    for (int64_t p = 2; p * p * shape.c <= c->probes; ++p)
        out = (combs){p, p * p * shape.c, false};
    return out;
}

static int64_t comb_at(const combs *c, rmp_shape shape, int64_t value)
{
    if (c->vector) return value % c->count;
    const int64_t pixel = value / shape.c, row = pixel / shape.w, column = pixel % shape.w;
    return ((row % c->pitch) * c->pitch + column % c->pitch) * shape.c + value % shape.c;
}

void rmp_uncertainty_defaults(rmp_uncertainty_config *config)
{
    *config =
        (rmp_uncertainty_config){.method = RMP_UNCERTAINTY_NONE, .probes = 12, .sigma = -1.0, .cg_iterations = -1};
}

rmp_status rmp_uncertainty_check(const rmp_uncertainty_config *c)
{
    RMP_CHECK((int)c->method >= 0 && c->method <= RMP_UNCERTAINTY_EXACT, RMP_ERR_CONFIG,
              "uncertainty.method: number %d is none", (int)c->method);
    RMP_CHECK(c->probes >= 1 && c->probes < SPREAD_STEP, RMP_ERR_CONFIG,
              "uncertainty.probes: %lld is not between 1 and %d", (long long)c->probes, SPREAD_STEP - 1);
    RMP_CHECK(c->sigma > 0.0 && isfinite(c->sigma), RMP_ERR_CONFIG, "uncertainty.sigma: %g is no noise level",
              c->sigma);
    RMP_CHECK(c->cg_iterations >= 1 && c->cg_iterations <= 10000, RMP_ERR_CONFIG,
              "uncertainty.cg_iterations: %lld is not between 1 and 10000", (long long)c->cg_iterations);
    return RMP_OK;
}

/* Every value by itself is exact at once; another round tells the same. */
static int64_t rounds_of(const rmp_uncertainty_config *config, const combs *c, int64_t values)
{
    return c->count == values || config->probes < c->count ? 1 : config->probes / c->count;
}

int64_t rmp_uncertainty_probes(const rmp_uncertainty_config *config, rmp_shape shape)
{
    const combs c = combs_of(config, shape);
    return c.count * rounds_of(config, &c, rmp_shape_count(shape));
}

int64_t rmp_uncertainty_cost(const rmp_uncertainty_config *config, rmp_shape shape)
{
    if (config->method == RMP_UNCERTAINTY_NONE) return 0;
    return rmp_uncertainty_probes(config, shape) * (2 + config->cg_iterations);
}

static rmp_likelihood_config likelihood_of(const rmp_uncertainty_config *c)
{
    return (rmp_likelihood_config){
        .kind = RMP_LIKELIHOOD_MOMENT, .cg_iterations = c->cg_iterations, .cg_tolerance = TOLERANCE};
}

int64_t rmp_uncertainty_floats(const rmp_uncertainty_config *config, const rmp_noise *noise, int64_t image,
                               int64_t measured)
{
    const rmp_likelihood_config likelihood = likelihood_of(config);
    return FIELDS * image + rmp_likelihood_floats(&likelihood, noise, image, measured);
}

static rmp_status tick(void *context)
{
    const rmp_problem *p = ((const work *)context)->problem;
    return p->progress != NULL ? p->progress(p->progress_context, 1.0) : RMP_OK;
}

static void count(work *w)
{
    for (int64_t i = 0; i < w->n; ++i)
        w->evaluations[i] += w->active[i];
}

/* D and J at x, or at a draw around it. */
static rmp_status linearise(work *w, int64_t index)
{
    const rmp_problem *p = w->problem;
    if (p->prior->analytic) {
        if (index > 0) return RMP_OK; /* it is there already */
        RMP_TRY(rmp_field_copy(w->x, w->noisy));
    } else {
        RMP_TRY(rmp_field_normals(w->noisy, p->key, (uint32_t)(SPREAD_STEP + index), RMP_PURPOSE_UNCERTAINTY));
        RMP_TRY(rmp_field_axpby1(1.0, w->x, w->config->sigma, w->noisy));
    }
    RMP_TRY(rmp_prior_denoise(p->prior, w->noisy, w->config->sigma, w->denoised));
    count(w);
    return tick(w);
}

static rmp_status set_probe(work *w, const combs *c, int64_t index)
{
    const rmp_shape shape = w->x->space->shape;
    const int64_t values = rmp_shape_count(shape), comb = index % c->count;
    for (int64_t i = 0; i < w->n; ++i) {
        for (int64_t j = 0; j < values; ++j) {
            w->host[j] = 0.0f;
            if (comb_at(c, shape, j) != comb) continue;
            const uint32_t bits =
                rmp_random_u32(w->problem->key[i], (uint32_t)index, RMP_PURPOSE_UNCERTAINTY, (uint64_t)j);
            w->host[j] = (bits & 1u) != 0 ? 1.0f : -1.0f;
        }
        RMP_TRY(rmp_field_put(w->probe, i, w->host));
    }
    return RMP_OK;
}

/* product = B probe. */
static rmp_status apply(work *w)
{
    const double s = w->config->sigma;
    RMP_TRY(rmp_prior_vjp(w->problem->prior, w->probe, w->jacobian));
    count(w);
    RMP_TRY(tick(w));
    RMP_TRY(rmp_likelihood_curvature(w->likelihood, s, w->probe, w->jacobian, w->active, w->product));
    return rmp_field_axpby1(s * s, w->jacobian, -s * s * s * s, w->product);
}

static rmp_status probe(work *w, const combs *c, int64_t index)
{
    RMP_TRY(linearise(w, index));
    RMP_TRY(set_probe(w, c, index));
    RMP_TRY(apply(w));
    RMP_TRY(rmp_field_multiply(w->product, w->probe));
    RMP_TRY(rmp_field_axpby1(1.0, w->probe, 1.0, w->diagonal));
    RMP_TRY(rmp_field_copy(w->product, w->jacobian));
    RMP_TRY(rmp_field_multiply(w->product, w->jacobian));
    return rmp_field_axpby1(1.0, w->jacobian, 1.0, w->square);
}

static float deviation(double diagonal, double square, double s)
{
    /* B is at most s^2 I, so B^2 at most s^2 B: random probes scatter below that. */
    const double least = square / (s * s), known = fmax(diagonal, least);
    if (!(known > 0.0)) return 0.0f;
    return (float)sqrt(known / (1.0 - fmin(least / known, MOST_OWED)));
}

static rmp_status finish(work *w, int64_t rounds, rmp_field *out)
{
    const int64_t values = rmp_shape_count(out->space->shape);
    float *square = malloc((size_t)values * sizeof *square);
    RMP_CHECK(square != NULL, RMP_ERR_MEMORY, "no memory for standard deviations");
    rmp_status status = RMP_OK;
    const double share = 1.0 / (double)rounds;
    for (int64_t i = 0; i < w->n; ++i) {
        RMP_TRY_GOTO(rmp_field_get(w->diagonal, i, w->host), done);
        RMP_TRY_GOTO(rmp_field_get(w->square, i, square), done);
        for (int64_t j = 0; j < values; ++j)
            w->host[j] = !w->active[i]
                             ? 0.0f
                             : deviation(share * (double)w->host[j], share * (double)square[j], w->config->sigma);
        RMP_TRY_GOTO(rmp_field_put(out, i, w->host), done);
    }
done:
    free(square);
    return status;
}

static rmp_status prepare(work *w)
{
    const rmp_problem *p = w->problem;
    rmp_field **field[FIELDS] = {&w->noisy,   &w->denoised, &w->probe, &w->jacobian,
                                 &w->product, &w->diagonal, &w->square};
    rmp_likelihood_config likelihood = likelihood_of(w->config);
    likelihood.tick = tick;
    likelihood.tick_context = w;
    w->active = malloc((size_t)w->n * sizeof *w->active);
    w->host = malloc((size_t)rmp_shape_count(w->x->space->shape) * sizeof *w->host);
    RMP_CHECK(w->active != NULL && w->host != NULL, RMP_ERR_MEMORY, "no memory for standard deviations");
    for (int64_t i = 0; i < w->n; ++i) {
        w->active[i] = p->active == NULL || p->active[i];
        w->evaluations[i] = 0;
    }
    for (int i = 0; i < FIELDS; ++i)
        RMP_TRY(rmp_field_create(p->prior->space, field[i]));
    return rmp_likelihood_create(&likelihood, p->prior, p->op, p->y, &p->noise, &w->likelihood);
}

static void release(work *w)
{
    rmp_field **field[FIELDS] = {&w->noisy,   &w->denoised, &w->probe, &w->jacobian,
                                 &w->product, &w->diagonal, &w->square};
    for (int i = 0; i < FIELDS; ++i)
        rmp_field_destroy(field[i]);
    rmp_likelihood_destroy(&w->likelihood);
    free(w->active);
    free(w->host);
}

rmp_status rmp_uncertainty(const rmp_uncertainty_config *config, const rmp_problem *problem, const rmp_field *x,
                           rmp_field *out, int64_t evaluations[])
{
    RMP_TRY(rmp_uncertainty_check(config));
    const rmp_shape shape = x->space->shape;
    RMP_CHECK(config->method != RMP_UNCERTAINTY_NONE, RMP_ERR_ARGUMENT, "uncertainty.method: none has no deviations");
    RMP_CHECK(rmp_operator_is_linear(problem->op), RMP_ERR_CONFIG, "uncertainty.method: %s is not linear",
              rmp_operator_name(problem->op));
    RMP_CHECK(config->method != RMP_UNCERTAINTY_EXACT || rmp_shape_count(shape) <= RMP_UNCERTAINTY_MOST, RMP_ERR_CONFIG,
              "uncertainty.method: exact takes at most %d values an image, not %lld; use hutchinson",
              RMP_UNCERTAINTY_MOST, (long long)rmp_shape_count(shape));
    work w = {.config = config, .problem = problem, .x = x, .n = x->space->n, .evaluations = evaluations};
    const combs c = combs_of(config, shape);
    w.probes = rmp_uncertainty_probes(config, shape);
    rmp_status status = RMP_OK;
    RMP_TRY_GOTO(prepare(&w), done);
    for (int64_t k = 0; k < w.probes; ++k)
        RMP_TRY_GOTO(probe(&w, &c, k), done);
    for (int64_t i = 0; i < w.n; ++i)
        evaluations[i] += rmp_likelihood_vjps(w.likelihood, i);
    status = finish(&w, w.probes / c.count, out);
done:
    release(&w);
    return status;
}
