/* Priors: derivatives against differences, mixtures against sums done by hand, networks against their own formula. */
#include "core/nets/adm.h"
#include "core/prior_gaussian.h"
#include "core/prior_network.h"
#include "tests/unit/fields.h"

enum { D = 6, K = 3, IMAGES = 2 };

static double weights[K] = {0.5, 0.2, 0.3};
static double means[K * D], covs[K * D * D];

/* cov_k = B B^T + 0.1 I, means of size 1. */
static void make_mixture(void)
{
    const rmp_key key = {11, 0};
    for (int i = 0; i < K * D; ++i)
        means[i] = rmp_random_normal(key, 0, 0, (uint64_t)i);
    for (int k = 0; k < K; ++k)
        for (int i = 0; i < D; ++i)
            for (int j = 0; j < D; ++j) {
                double sum = i == j ? 0.1 : 0.0;
                for (int l = 0; l < D; ++l)
                    sum += 0.09 * (double)rmp_random_normal(key, 1, 0, (uint64_t)((k * D + i) * D + l)) *
                           (double)rmp_random_normal(key, 1, 0, (uint64_t)((k * D + j) * D + l));
                covs[(k * D + i) * D + j] = sum;
            }
}

typedef struct setting {
    rmp_device *device;
    rmp_space space;
    rmp_prior *prior;
} setting;

static void open_mixture(setting *s, int64_t components)
{
    make_mixture();
    s->device = reference_device();
    rmp_space_local(&s->space, s->device, IMAGES, (rmp_shape){1, 2, 3});
    OK(rmp_prior_mixture_create(&s->space, components, weights, means, covs, &s->prior));
}

static void close_setting(setting *s)
{
    rmp_prior_destroy(&s->prior);
    rmp_device_destroy(&s->device);
}

/* <u, J^T v> = <(D(x + h u) - D(x - h u)) / 2 h, v>; returns the relative difference of the worst image. */
static double derivative_error(rmp_prior *prior, double s, double h, uint32_t seed)
{
    rmp_field *x = random_field(prior->space, seed), *u = random_field(prior->space, seed + 1);
    rmp_field *v = random_field(prior->space, seed + 2), *moved = new_field(prior->space);
    rmp_field *plus = new_field(prior->space), *minus = new_field(prior->space), *jtv = new_field(prior->space);
    double exact[IMAGES], differences[IMAGES], scale[IMAGES], worst = 0.0;
    OK(rmp_field_copy(x, moved));
    OK(rmp_field_axpby1(h, u, 1.0, moved));
    OK(rmp_prior_denoise(prior, moved, s, plus));
    OK(rmp_field_axpby1(-2.0 * h, u, 1.0, moved));
    OK(rmp_prior_denoise(prior, moved, s, minus));
    OK(rmp_field_axpby1(-0.5 / h, minus, 0.5 / h, plus));
    OK(rmp_prior_denoise(prior, x, s, minus));
    OK(rmp_prior_vjp(prior, v, jtv));
    OK(rmp_field_dot(plus, v, differences));
    OK(rmp_field_dot(u, jtv, exact));
    OK(rmp_field_dot(plus, plus, scale));
    for (int64_t i = 0; i < prior->space->n; ++i)
        worst = fmax(worst, fabs(exact[i] - differences[i]) / sqrt(scale[i]));
    rmp_field_destroy(&x);
    rmp_field_destroy(&u);
    rmp_field_destroy(&v);
    rmp_field_destroy(&moved);
    rmp_field_destroy(&plus);
    rmp_field_destroy(&minus);
    rmp_field_destroy(&jtv);
    return worst;
}

/* Differences of float32 fields at h = 0.01: rounding 1e-5, curvature of the shares 1e-3 at the smallest s. */
Test(priors, derivative_of_analytic_priors)
{
    setting t;
    open_mixture(&t, K);
    for (uint32_t i = 0; i < 4; ++i) {
        const double s = (double[]){0.3, 0.7, 2.0, 20.0}[i];
        cr_expect(lt(dbl, derivative_error(t.prior, s, 0.01, 10 * i), 3e-3), "mixture at %g", s);
    }
    close_setting(&t);
    open_mixture(&t, 1);
    cr_expect(lt(dbl, derivative_error(t.prior, 0.5, 0.1, 5), 2e-5)); /* linear */
    close_setting(&t);
}

/* D(x; s) = sum_k r_k (m_k + C_k (C_k + s^2 I)^-1 (x - m_k)), inverses and determinants by Gaussian elimination. */
static double eliminate(double a[D][D + 1])
{
    double log_det = 0.0;
    for (int i = 0; i < D; ++i) {
        log_det += log(a[i][i]);
        for (int r = 0; r < D; ++r) {
            if (r == i) continue;
            const double f = a[r][i] / a[i][i];
            for (int c = i; c <= D; ++c)
                a[r][c] -= f * a[i][c];
        }
    }
    for (int i = 0; i < D; ++i)
        a[i][D] /= a[i][i];
    return log_det;
}

static void brute_force(const float *x, double s, double out[D])
{
    double share[K], part[K][D], total = 0.0;
    for (int k = 0; k < K; ++k) {
        double a[D][D + 1], quadratic = 0.0;
        for (int i = 0; i < D; ++i) {
            for (int j = 0; j < D; ++j)
                a[i][j] = covs[(k * D + i) * D + j] + (i == j ? s * s : 0.0);
            a[i][D] = x[i] - means[k * D + i];
        }
        const double log_det = eliminate(a);
        for (int i = 0; i < D; ++i) {
            quadratic += (x[i] - means[k * D + i]) * a[i][D];
            part[k][i] = means[k * D + i];
            for (int j = 0; j < D; ++j)
                part[k][i] += covs[(k * D + i) * D + j] * a[j][D];
        }
        share[k] = weights[k] * exp(-0.5 * (quadratic + log_det));
        total += share[k];
    }
    for (int i = 0; i < D; ++i) {
        out[i] = 0.0;
        for (int k = 0; k < K; ++k)
            out[i] += share[k] / total * part[k][i];
    }
}

Test(priors, mixture_by_hand)
{
    setting t;
    open_mixture(&t, K);
    rmp_field *x = random_field(&t.space, 0), *y = new_field(&t.space);
    float *a = values_of(x);
    for (int l = 0; l < 3; ++l) {
        const double s = (double[]){0.1, 1.0, 10.0}[l];
        OK(rmp_prior_denoise(t.prior, x, s, y));
        float *b = values_of(y);
        for (int i = 0; i < IMAGES; ++i) {
            double expected[D];
            brute_force(a + i * D, s, expected);
            for (int j = 0; j < D; ++j) /* the result is rounded to float32 */
                cr_expect(lt(dbl, fabs(b[i * D + j] - expected[j]), 1e-6));
        }
        free(b);
    }
    cr_assert(eq(i64, t.prior->denoisings, 3));
    cr_assert(eq(i64, t.prior->vjps, 0));
    free(a);
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    close_setting(&t);
}

static rmp_operator *make_operator(rmp_device *device, int64_t n, rmp_shape image)
{
    static float a[4 * D];
    static rmp_tensor tensor = {.dtype = RMP_F32, .rank = 2, .dims = {4, D}, .data = a};
    for (int i = 0; i < 4 * D; ++i)
        a[i] = rmp_random_normal((rmp_key){12, 0}, 0, 0, (uint64_t)i);
    const rmp_operator_config config = {.kind = RMP_OPERATOR_MATRIX, .matrix = &tensor};
    rmp_operator *op = NULL;
    OK(rmp_operator_create(device, &config, 0, n, image, &op));
    return op;
}

/* Importance sampling knows nothing of the closed form: E[x | y] = E[x p(y | x)] / E[p(y | x)] over prior draws, which
 * also checks the prior's own sampler. */
Test(priors, posterior_mean_and_samples)
{
    enum { DRAWS = 300000, SAMPLES = 20000 };
    setting t;
    open_mixture(&t, K);
    const double sigma = 1.0;
    rmp_operator *op = make_operator(t.device, IMAGES, t.space.shape);
    rmp_field *y = random_field(rmp_operator_range(op), 7), *ax = new_field(rmp_operator_range(op));
    rmp_field *exact = new_field(&t.space), *x = new_field(&t.space), *sum = new_field(&t.space);
    double total[IMAGES] = {0.0}, weight[IMAGES];
    OK(rmp_mixture_posterior_mean(t.prior, op, y, sigma, exact));
    for (uint32_t i = 0; i < DRAWS; ++i) {
        OK(rmp_mixture_sample(t.prior, keys(1, 0), i, x));
        OK(rmp_operator_forward(op, x, ax));
        OK(rmp_field_axpby1(1.0, y, -1.0, ax));
        OK(rmp_field_dot(ax, ax, weight));
        for (int k = 0; k < IMAGES; ++k) {
            weight[k] = exp(-0.5 * weight[k] / (sigma * sigma));
            total[k] += weight[k];
        }
        OK(rmp_field_axpby(weight, x, (double[]){1.0, 1.0}, sum));
    }
    OK(rmp_field_axpby((double[]){0.0, 0.0}, x, (double[]){1.0 / total[0], 1.0 / total[1]}, sum));
    /* some thousand effective draws of size 1 */
    cr_expect(lt(dbl, relative_error(sum, exact), 0.03), "%g", relative_error(sum, exact));
    for (uint32_t i = 0; i < SAMPLES; ++i) {
        OK(rmp_mixture_posterior_sample(t.prior, op, y, sigma, keys(2, 0), i, x));
        OK(rmp_field_axpby1(1.0 / SAMPLES, x, i == 0 ? 0.0 : 1.0, sum));
    }
    cr_expect(lt(dbl, relative_error(sum, exact), 0.03), "%g", relative_error(sum, exact));
    rmp_field_destroy(&y);
    rmp_field_destroy(&ax);
    rmp_field_destroy(&exact);
    rmp_field_destroy(&x);
    rmp_field_destroy(&sum);
    rmp_operator_destroy(&op);
    close_setting(&t);
}

/* Bayes and Tweedie: the posterior mean under x0 + s n = x and y is x + s^2 (score of p(x) + score of the likelihood).
 * For the posterior given both, x is one more measurement: the exact mean for the stacked operator [A / sigma; I / s].
 */
Test(priors, likelihood_score_satisfies_tweedie)
{
    setting t;
    open_mixture(&t, K);
    const double sigma = 0.4, s = 0.8;
    rmp_operator *op = make_operator(t.device, IMAGES, t.space.shape), *stacked = NULL;
    double a[4 * D];
    float both[(4 + D) * D] = {0};
    OK(rmp_operator_matrix(op, 0, a));
    for (int i = 0; i < 4 * D; ++i)
        both[i] = (float)(a[i] / sigma);
    for (int i = 0; i < D; ++i)
        both[(4 + i) * D + i] = (float)(1.0 / s);
    const rmp_tensor tensor = {.dtype = RMP_F32, .rank = 2, .dims = {4 + D, D}, .data = both};
    const rmp_operator_config config = {.kind = RMP_OPERATOR_MATRIX, .matrix = &tensor};
    OK(rmp_operator_create(t.device, &config, 0, IMAGES, t.space.shape, &stacked));
    rmp_field *x = random_field(&t.space, 1), *y = random_field(rmp_operator_range(op), 2);
    rmp_field *joint = new_field(rmp_operator_range(stacked)), *exact = new_field(&t.space);
    rmp_field *score = new_field(&t.space), *denoised = new_field(&t.space);
    float *xs = values_of(x), *ys = values_of(y), row[4 + D];
    for (int k = 0; k < IMAGES; ++k) {
        for (int i = 0; i < 4; ++i)
            row[i] = (float)(ys[4 * k + i] / sigma);
        for (int i = 0; i < D; ++i)
            row[4 + i] = (float)(xs[D * k + i] / s);
        OK(rmp_field_put(joint, k, row));
    }
    OK(rmp_mixture_posterior_mean(t.prior, stacked, joint, 1.0, exact));
    OK(rmp_prior_denoise(t.prior, x, s, denoised));
    cr_assert(rmp_prior_has_likelihood(t.prior));
    OK(rmp_prior_likelihood_score(t.prior, op, x, s, y, sigma, score));
    OK(rmp_field_axpby1(s * s, score, 1.0, denoised));
    cr_expect(lt(dbl, relative_error(denoised, exact), 1e-5), "%g", relative_error(denoised, exact));
    free(xs);
    free(ys);
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    rmp_field_destroy(&joint);
    rmp_field_destroy(&exact);
    rmp_field_destroy(&score);
    rmp_field_destroy(&denoised);
    rmp_operator_destroy(&stacked);
    rmp_operator_destroy(&op);
    close_setting(&t);
}

Test(priors, refuses_what_is_no_mixture)
{
    setting t;
    open_mixture(&t, K);
    rmp_prior *none = NULL;
    FAILS(rmp_prior_mixture_create(&t.space, 0, weights, means, covs, &none), RMP_ERR_CONFIG);
    weights[1] = 0.0;
    FAILS(rmp_prior_mixture_create(&t.space, K, weights, means, covs, &none), RMP_ERR_CONFIG);
    weights[1] = 0.2;
    covs[D * D + 1] += 0.5;
    FAILS(rmp_prior_mixture_create(&t.space, K, weights, means, covs, &none), RMP_ERR_CONFIG);
    make_mixture();
    covs[0] = -3.0;
    FAILS(rmp_prior_mixture_create(&t.space, K, weights, means, covs, &none), RMP_ERR_CONFIG);
    covs[0] = NAN;
    FAILS(rmp_prior_mixture_create(&t.space, K, weights, means, covs, &none), RMP_ERR_CONFIG);
    make_mixture();
    means[3] = INFINITY;
    FAILS(rmp_prior_mixture_create(&t.space, K, weights, means, covs, &none), RMP_ERR_CONFIG);
    cr_assert(none == NULL);
    rmp_field *x = new_field(&t.space), *y = new_field(&t.space);
    FAILS(rmp_prior_vjp(t.prior, x, y), RMP_ERR_ARGUMENT); /* before any denoising */
    FAILS(rmp_prior_denoise(t.prior, x, 1.0, x), RMP_ERR_ARGUMENT);
    FAILS(rmp_prior_denoise(t.prior, x, 0.0, y), RMP_ERR_ARGUMENT);
    rmp_space other;
    rmp_space_local(&other, t.device, IMAGES, (rmp_shape){1, 2, 2});
    rmp_field *z = new_field(&other);
    FAILS(rmp_prior_denoise(t.prior, z, 1.0, y), RMP_ERR_ARGUMENT);
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    rmp_field_destroy(&z);
    close_setting(&t);
}

/* A network of the real class, a few thousand parameters, weights by formula. */
typedef struct tiny_net {
    rmp_weights *weights;
    rmp_net *net;
} tiny_net;

static void open_net(tiny_net *t)
{
    rmp_adm_config config;
    rmp_weights *list = NULL;
    rmp_adm_defaults(&config);
    config.image_size = 16;
    config.in_channels = 3;
    config.out_channels = 6;
    config.model_channels = 32;
    config.num_res_blocks = 1;
    config.channel_mult[0] = config.channel_mult[1] = 1;
    config.levels = 2;
    config.attention_count = 1;
    config.attention_resolutions[0] = 2;
    config.use_scale_shift_norm = true;
    config.resblock_updown = true;
    OK(rmp_weights_create(&list));
    OK(rmp_adm_list(&config, list));
    OK(rmp_weights_create(&t->weights));
    for (int64_t i = 0; i < rmp_weights_count(list); ++i) {
        rmp_tensor tensor = *rmp_weights_tensor(list, i);
        const int64_t count = rmp_tensor_count(&tensor);
        float *values = malloc((size_t)count * sizeof *values);
        cr_assert(values != NULL);
        const double scale = tensor.rank > 1 ? 1.0 / sqrt((double)(count / tensor.dims[0])) : 0.1;
        const char *name = rmp_weights_name(list, i);
        const bool gain = tensor.rank == 1 && strcmp(name + strlen(name) - 7, ".weight") == 0;
        for (int64_t j = 0; j < count; ++j)
            values[j] = (float)((gain ? 1.0 : 0.0) +
                                scale * (double)rmp_random_normal((rmp_key){1, (uint64_t)i}, 0, 0, (uint64_t)j));
        tensor.data = values;
        OK(rmp_weights_add(t->weights, name, &tensor));
        OK(rmp_weights_adopt(t->weights, values, free));
    }
    rmp_weights_destroy(&list);
    OK(rmp_adm_create(&config, t->weights, &t->net));
}

static void close_net(tiny_net *t)
{
    rmp_net_destroy(&t->net);
    rmp_weights_destroy(&t->weights);
}

enum { STEPS = 1000 };

static const double *schedule(void)
{
    static double abar[STEPS];
    double product = 1.0;
    for (int k = 0; k < STEPS; ++k) {
        product *= 1.0 - (1e-4 + (0.02 - 1e-4) * k / (STEPS - 1));
        abar[k] = product;
    }
    return abar;
}

/* Networks that predict eps with that schedule, centred data */
static rmp_diffusion diffusion_of(const double *abar, int64_t steps)
{
    return (rmp_diffusion){.prediction = RMP_PREDICTION_EPS,
                           .schedule = {.kind = RMP_SCHEDULE_VP, .abar = abar, .steps = steps},
                           .range = {-1.0, 1.0}};
}

Test(priors, time_inverts_the_schedule)
{
    const double *abar = schedule();
    for (int k = 0; k < STEPS; k += 37)
        cr_assert(lt(dbl, fabs(rmp_schedule_time(abar, STEPS, sqrt((1 - abar[k]) / abar[k])) - k), 1e-9));
    const double low = sqrt((1 - abar[10]) / abar[10]), high = sqrt((1 - abar[11]) / abar[11]);
    cr_assert(lt(dbl, fabs(rmp_schedule_time(abar, STEPS, sqrt(low * high)) - 10.5), 1e-9));
    cr_assert(eq(dbl, rmp_schedule_time(abar, STEPS, 1e-6), 0.0));
    cr_assert(eq(dbl, rmp_schedule_time(abar, STEPS, 1e6), STEPS - 1.0));
}

/* Sizes that the network cannot take alone; fractional times; the gradient through padding and cropping. */
Test(priors, derivative_of_a_network)
{
    tiny_net net;
    open_net(&net);
    const rmp_diffusion diffusion = diffusion_of(schedule(), STEPS);
    rmp_device *device = reference_device();
    for (int i = 0; i < 2; ++i) {
        rmp_space space;
        rmp_prior *prior = NULL;
        rmp_space_local(&space, device, 2, i == 0 ? (rmp_shape){7, 9, 3} : (rmp_shape){8, 4, 3});
        OK(rmp_prior_network_create(device, net.net, &diffusion, &space, RMP_PRECISION_FP32, RMP_MEMORY_KEEP, &prior));
        /* h = 0.001 balances float32 rounding (grows as 1 / h) and curvature (grows as h^2): 1e-4 each */
        cr_expect(lt(dbl, derivative_error(prior, 0.5, 0.001, 3), 5e-4));
        cr_expect(lt(dbl, derivative_error(prior, 5.0, 0.001, 6), 5e-4));
        rmp_prior_destroy(&prior);
    }
    rmp_device_destroy(&device);
    close_net(&net);
}

/* D = x - s eps(x / sqrt(1 + s^2), t(s)), eps straight from the network's own graph. */
Test(priors, network_by_hand)
{
    tiny_net net;
    open_net(&net);
    const rmp_diffusion diffusion = diffusion_of(schedule(), STEPS);
    rmp_device *device = reference_device();
    rmp_space space;
    rmp_prior *prior = NULL;
    rmp_space_local(&space, device, 1, (rmp_shape){8, 8, 3});
    OK(rmp_prior_network_create(device, net.net, &diffusion, &space, RMP_PRECISION_FP32, RMP_MEMORY_KEEP, &prior));
    cr_assert(not(prior->analytic));
    const double s = 1.7;
    rmp_field *x = random_field(&space, 0), *y = new_field(&space), *eps = new_field(&space);
    OK(rmp_prior_denoise(prior, x, s, y));

    rmp_graph *graph = NULL;
    rmp_plan *plan = NULL, *embed = NULL;
    rmp_buffer *features = NULL, *condition = NULL;
    float *host = malloc((size_t)net.net->features * sizeof *host);
    const rmp_plan_options options = {.batch = 1};
    OK(rmp_net_build(net.net, 8, 8, 3, &graph));
    OK(rmp_plan_create(device, graph, &options, &plan));
    OK(rmp_plan_create(device, net.net->embed, &options, &embed));
    OK(rmp_buffer_create(device, net.net->features, &features));
    OK(rmp_buffer_create(device, net.net->condition, &condition));
    net.net->ops->time_features(net.net, rmp_schedule_time(schedule(), STEPS, s), host);
    OK(rmp_buffer_upload(features, 0, net.net->features, host));
    const rmp_buffer *const in[1] = {features};
    OK(rmp_plan_forward(embed, 1, in, condition));
    rmp_field *scaled = new_field(&space);
    OK(rmp_field_axpby1(1.0 / sqrt(1.0 + s * s), x, 0.0, scaled));
    const rmp_buffer *const inputs[2] = {scaled->buffer, condition};
    OK(rmp_plan_forward(plan, 2, inputs, eps->buffer));
    OK(rmp_field_axpby1(1.0, x, -s, eps));
    cr_assert(same_bytes(eps, y));
    /* and once more at another level and back, through the cache */
    OK(rmp_prior_denoise(prior, x, 0.2, y));
    cr_assert(not(same_bytes(eps, y)));
    OK(rmp_prior_denoise(prior, x, s, y));
    cr_assert(same_bytes(eps, y));

    free(host);
    rmp_field_destroy(&scaled);
    rmp_buffer_destroy(&features);
    rmp_buffer_destroy(&condition);
    rmp_plan_destroy(&plan);
    rmp_plan_destroy(&embed);
    rmp_graph_destroy(&graph);
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    rmp_field_destroy(&eps);
    rmp_prior_destroy(&prior);
    rmp_device_destroy(&device);
    close_net(&net);
}

Test(priors, refuses_what_a_network_cannot_do)
{
    tiny_net net;
    open_net(&net);
    rmp_device *device = reference_device();
    rmp_space space, gray;
    rmp_prior *prior = NULL;
    int64_t one = 0, two = 0, saved;
    rmp_space_local(&space, device, 1, (rmp_shape){8, 8, 3});
    rmp_space_local(&gray, device, 1, (rmp_shape){8, 8, 1});
    const double flat[3] = {0.9, 0.9, 0.8};
    const rmp_diffusion diffusion = diffusion_of(schedule(), STEPS), flat_diffusion = diffusion_of(flat, 3);
    rmp_diffusion edm = diffusion;
    edm.prediction = RMP_PREDICTION_EDM; /* with another's schedule */
    FAILS(rmp_prior_network_create(device, net.net, &edm, &space, RMP_PRECISION_FP32, RMP_MEMORY_KEEP, &prior),
          RMP_ERR_CONFIG);
    FAILS(
        rmp_prior_network_create(device, net.net, &flat_diffusion, &space, RMP_PRECISION_FP32, RMP_MEMORY_KEEP, &prior),
        RMP_ERR_CONFIG);
    FAILS(rmp_prior_network_create(device, net.net, &diffusion, &gray, RMP_PRECISION_FP32, RMP_MEMORY_KEEP, &prior),
          RMP_ERR_CONFIG);
    cr_assert(prior == NULL);
    OK(rmp_prior_network_estimate(device, net.net, &space, RMP_PRECISION_FP32, RMP_MEMORY_KEEP, &one, &saved));
    rmp_space_local(&space, device, 4, (rmp_shape){8, 8, 3});
    OK(rmp_prior_network_estimate(device, net.net, &space, RMP_PRECISION_FP32, RMP_MEMORY_KEEP, &two, &saved));
    cr_assert(one > 0 && two > one);
    rmp_device_destroy(&device);
    close_net(&net);
}
