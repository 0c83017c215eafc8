/* Ground-truth problems: an analytic prior, a random matrix, and measurements of draws from the prior. */
#pragma once

#include "core/levels.h"
#include "core/prior_gaussian.h"
#include "tests/unit/fields.h"

typedef struct ground_truth {
    rmp_device *device;
    rmp_space space;
    float *a; /* (M, D) */
    rmp_tensor matrix;
    rmp_operator *op;
    rmp_prior *prior;
    rmp_field *x, *y, *mean; /* drawn, measured, true posterior mean */
    double sigma;
    rmp_problem problem;
    rmp_solver_stats stats[MOST_IMAGES];
} ground_truth;

/* A matrix of independent normal entries of standard deviation `entry`; everything from `seed`. Takes the prior. */
static inline void ground_truth_finish(ground_truth *t, int64_t m, double entry, double sigma, uint64_t seed,
                                       uint64_t first_item)
{
    const int64_t d = rmp_shape_count(t->space.shape);
    t->a = malloc((size_t)(m * d) * sizeof *t->a);
    cr_assert(t->a != NULL);
    for (int64_t i = 0; i < m * d; ++i)
        t->a[i] = (float)(entry * (double)rmp_random_normal((rmp_key){seed, 1000}, 0, 0, (uint64_t)i));
    t->matrix = (rmp_tensor){.dtype = RMP_F32, .rank = 2, .dims = {m, d}, .data = t->a};
    const rmp_operator_config config = {.kind = RMP_OPERATOR_MATRIX, .matrix = &t->matrix};
    OK(rmp_operator_create(t->device, &config, 0, t->space.n, t->space.shape, &t->op));
    t->sigma = sigma;
    t->x = new_field(&t->space);
    t->mean = new_field(&t->space);
    t->y = new_field(rmp_operator_range(t->op));
    rmp_field *noise = new_field(rmp_operator_range(t->op));
    OK(rmp_mixture_sample(t->prior, keys(seed, first_item), 0, t->x));
    OK(rmp_operator_forward(t->op, t->x, t->y));
    OK(rmp_field_normals(noise, keys(seed, first_item), 0, RMP_PURPOSE_NOISE));
    OK(rmp_field_axpby1(sigma, noise, 1.0, t->y));
    OK(rmp_mixture_posterior_mean(t->prior, t->op, t->y, sigma, t->mean));
    rmp_field_destroy(&noise);
    t->problem = (rmp_problem){
        .prior = t->prior, .op = t->op, .y = t->y, .noise = rmp_noise_gaussian(sigma), .key = keys(seed, first_item)};
}

/* A Gaussian prior in 32 dimensions, 12 measurements: the covariance is B diag(1 .. 0.02) B^T / 32, falling
 * geometrically, with a B of independent normal entries. */
static inline void open_gaussian(ground_truth *t, int64_t n, double sigma, uint64_t seed, uint64_t first_item)
{
    enum { DIMENSIONS = 32, MEASURED = 12 };
    double mean[DIMENSIONS], *b = calloc(DIMENSIONS * DIMENSIONS, sizeof *b),
                             *cov = calloc(DIMENSIONS * DIMENSIONS, sizeof *cov);
    cr_assert(b != NULL && cov != NULL);
    for (int i = 0; i < DIMENSIONS * DIMENSIONS; ++i)
        b[i] = rmp_random_normal((rmp_key){seed, 1001}, 0, 0, (uint64_t)i);
    for (int i = 0; i < DIMENSIONS; ++i) {
        mean[i] = 0.3 * (double)rmp_random_normal((rmp_key){seed, 1002}, 0, 0, (uint64_t)i);
        for (int j = 0; j < DIMENSIONS; ++j)
            for (int k = 0; k < DIMENSIONS; ++k)
                cov[i * DIMENSIONS + j] +=
                    b[i * DIMENSIONS + k] * b[j * DIMENSIONS + k] * pow(0.02, k / (DIMENSIONS - 1.0)) / DIMENSIONS;
    }
    t->device = reference_device();
    rmp_space_local(&t->space, t->device, n, (rmp_shape){4, 8, 1});
    OK(rmp_prior_gaussian_create(&t->space, mean, cov, &t->prior));
    free(b);
    free(cov);
    ground_truth_finish(t, MEASURED, 1.0 / sqrt(DIMENSIONS), sigma, seed, first_item);
}

/* A mixture of 8 components in 16 dimensions, means of standard deviation 2, 6 measurements. */
static inline void open_mixture_problem(ground_truth *t, int64_t n, double component, double sigma, uint64_t seed)
{
    enum { DIMENSIONS = 16, MEASURED = 6, COMPONENTS = 8 };
    double weights[COMPONENTS], means[COMPONENTS * DIMENSIONS];
    double *covs = calloc(COMPONENTS * DIMENSIONS * DIMENSIONS, sizeof *covs);
    cr_assert(covs != NULL);
    for (int k = 0; k < COMPONENTS; ++k) {
        weights[k] = 1.0;
        for (int i = 0; i < DIMENSIONS; ++i) {
            means[k * DIMENSIONS + i] =
                2.0 * (double)rmp_random_normal((rmp_key){seed, 1002}, 0, 0, (uint64_t)(k * DIMENSIONS + i));
            covs[(k * DIMENSIONS + i) * DIMENSIONS + i] = component * component;
        }
    }
    t->device = reference_device();
    rmp_space_local(&t->space, t->device, n, (rmp_shape){1, 1, DIMENSIONS});
    OK(rmp_prior_mixture_create(&t->space, COMPONENTS, weights, means, covs, &t->prior));
    free(covs);
    ground_truth_finish(t, MEASURED, 1.0, sigma, seed, 0);
}

static inline void close_ground_truth(ground_truth *t)
{
    rmp_field_destroy(&t->x);
    rmp_field_destroy(&t->y);
    rmp_field_destroy(&t->mean);
    rmp_operator_destroy(&t->op);
    rmp_prior_destroy(&t->prior);
    rmp_device_destroy(&t->device);
    free(t->a);
}

/* The floats that a device is asked for from one call to the other; one device at a time. */
static struct {
    int64_t floats;
    rmp_device_ops counting;
    const rmp_device_ops *former;
} counted;

static inline rmp_status counting_create(rmp_device *device, int64_t floats, rmp_buffer **out)
{
    counted.floats += floats;
    return counted.former->buffer_create(device, floats, out);
}

static inline void start_counting(rmp_device *device)
{
    counted.floats = 0;
    counted.former = device->ops;
    counted.counting = *device->ops;
    counted.counting.buffer_create = counting_create;
    device->ops = &counted.counting;
}

static inline int64_t stop_counting(rmp_device *device)
{
    device->ops = counted.former;
    return counted.floats;
}

/* Linear schedule of 1000 steps, 1e-4 to 0.02, as networks are trained with. */
enum { SCHEDULE_STEPS = 1000 };

static inline const double *linear_schedule(void)
{
    static double abar[SCHEDULE_STEPS];
    double product = 1.0;
    for (int k = 0; k < SCHEDULE_STEPS; ++k) {
        product *= 1.0 - (1e-4 + (0.02 - 1e-4) * k / (SCHEDULE_STEPS - 1));
        abar[k] = product;
    }
    return abar;
}
