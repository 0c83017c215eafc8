/* Standard deviations of the posterior, against the closed form of a Gaussian prior. */
#include "core/dense.h"
#include "core/uncertainty.h"
#include "tests/unit/problems.h"

#include <stdio.h>

enum { H = 4, W = 6, D = H * W, M = 9, IMAGES = 2 };

typedef struct gaussian {
    ground_truth t;
    double cov[D * D], deviation[D]; /* of the prior; exact, of the posterior */
} gaussian;

/* Pixels at a distance d correlate by exp(-d / 2); standard deviations from 0.3 to 0.6. */
static void open_smooth(gaussian *g, double sigma)
{
    double mean[D], size[D];
    for (int i = 0; i < D; ++i) {
        mean[i] = 0.1 * i / D;
        size[i] = 0.3 + 0.3 * ((i * 7) % D) / D;
    }
    for (int i = 0; i < D; ++i)
        for (int j = 0; j < D; ++j)
            g->cov[i * D + j] = size[i] * size[j] * exp(-0.5 * hypot(i / W - j / W, i % W - j % W));
    g->t.device = reference_device();
    rmp_space_local(&g->t.space, g->t.device, IMAGES, (rmp_shape){H, W, 1});
    OK(rmp_prior_gaussian_create(&g->t.space, mean, g->cov, &g->t.prior));
    ground_truth_finish(&g->t, M, 0.5, sigma, 5, 0);

    double *ac = calloc((size_t)M * D, sizeof *ac), system[M * M], column[M];
    for (int i = 0; i < M; ++i)
        for (int j = 0; j < D; ++j)
            for (int k = 0; k < D; ++k)
                ac[i * D + j] += (double)g->t.a[i * D + k] * g->cov[k * D + j];
    for (int i = 0; i < M; ++i)
        for (int j = 0; j < M; ++j) {
            system[i * M + j] = i == j ? sigma * sigma : 0.0;
            for (int k = 0; k < D; ++k)
                system[i * M + j] += ac[i * D + k] * (double)g->t.a[j * D + k];
        }
    OK(rmp_dense_cholesky(M, system));
    for (int j = 0; j < D; ++j) {
        for (int i = 0; i < M; ++i)
            column[i] = ac[i * D + j];
        rmp_dense_cholesky_solve(M, system, column);
        double explained = 0.0;
        for (int i = 0; i < M; ++i)
            explained += ac[i * D + j] * column[i];
        g->deviation[j] = sqrt(g->cov[j * D + j] - explained);
    }
    free(ac);
}

/* The largest relative error, and that of the mean variance. */
static double worst_error(gaussian *g, const rmp_uncertainty_config *config, double *of_mean)
{
    int64_t evaluations[IMAGES];
    rmp_field *out = new_field(&g->t.space);
    OK(rmp_uncertainty(config, &g->t.problem, g->t.mean, out, evaluations));
    float *have = values_of(out);
    double worst = 0.0, sum = 0.0, want = 0.0;
    for (int i = 0; i < IMAGES * D; ++i) {
        const double d = (double)have[i];
        worst = fmax(worst, fabs(d / g->deviation[i % D] - 1.0));
        sum += d * d;
        want += g->deviation[i % D] * g->deviation[i % D];
    }
    *of_mean = fabs(sum / want - 1.0);
    const int64_t probes = rmp_uncertainty_probes(config, g->t.space.shape);
    for (int i = 0; i < IMAGES; ++i)
        cr_expect(evaluations[i] >= 1 + probes && evaluations[i] <= 1 + probes * (1 + config->cg_iterations));
    free(have);
    rmp_field_destroy(&out);
    return worst;
}

static rmp_uncertainty_config config_of(rmp_uncertainty_method method, int64_t probes, double s)
{
    rmp_uncertainty_config config;
    rmp_uncertainty_defaults(&config);
    config.method = method;
    config.probes = probes;
    config.sigma = s;
    config.cg_iterations = 40;
    return config;
}

/* (deviation / s)^4 is 1e-6 at s = 10, and a deviation has half of that error; the rest is float32, some 3e-7, so that
 * 1e-5 has room for other machines. At s = 1, only twice the largest deviation, the quadrature is 0.3 % short; without
 * it the 30 % that x_s tells would be missing. */
Test(uncertainty, exact_diagonal_of_a_gaussian_posterior)
{
    static const double levels[] = {100.0, 10.0, 1.0}, bound[] = {1e-5, 1e-5, 1e-2};
    gaussian g = {0};
    open_smooth(&g, 0.1);
    for (int i = 0; i < 3; ++i) {
        const rmp_uncertainty_config config = config_of(RMP_UNCERTAINTY_EXACT, 1, levels[i]);
        double of_mean;
        const double worst = worst_error(&g, &config, &of_mean);
        fprintf(stderr, "s = %g: largest relative error of a deviation %.1e, of the mean variance %.1e\n", levels[i],
                worst, of_mean);
        cr_expect(le(dbl, worst, bound[i]));
    }
    close_ground_truth(&g.t);
}

/* Random signs on combs: scatter falls with the number of probes, and with as many as there are values all is exact. */
Test(uncertainty, random_probes_of_a_gaussian_posterior)
{
    static const int64_t probes[] = {4, 16, 23, 24};
    static const double bound[] = {1.0, 0.3, 0.3, 1e-5}, bound_of_mean[] = {0.3, 0.1, 0.1, 1e-5};
    gaussian g = {0};
    open_smooth(&g, 0.1);
    for (int i = 0; i < 4; ++i) {
        const rmp_uncertainty_config config = config_of(RMP_UNCERTAINTY_HUTCHINSON, probes[i], 20.0);
        double of_mean;
        const double worst = worst_error(&g, &config, &of_mean);
        fprintf(stderr, "%d probes: largest relative error of a deviation %.1e, of the mean variance %.1e\n",
                (int)probes[i], worst, of_mean);
        cr_expect(le(dbl, worst, bound[i]));
        cr_expect(le(dbl, of_mean, bound_of_mean[i]));
    }
    close_ground_truth(&g.t);
}

Test(uncertainty, refusals)
{
    gaussian g = {0};
    int64_t evaluations[IMAGES];
    open_smooth(&g, 0.1);
    rmp_field *out = new_field(&g.t.space);
    rmp_uncertainty_config config = config_of(RMP_UNCERTAINTY_EXACT, 1, -1.0);
    FAILS(rmp_uncertainty(&config, &g.t.problem, g.t.mean, out, evaluations), RMP_ERR_CONFIG);
    cr_expect(strstr(rmp_fail_message(), "uncertainty.sigma") != NULL);
    config = config_of(RMP_UNCERTAINTY_HUTCHINSON, 0, 1.0);
    FAILS(rmp_uncertainty(&config, &g.t.problem, g.t.mean, out, evaluations), RMP_ERR_CONFIG);
    cr_expect(strstr(rmp_fail_message(), "uncertainty.probes") != NULL);
    config = config_of(RMP_UNCERTAINTY_EXACT, 1, 1.0);
    config.cg_iterations = 0;
    FAILS(rmp_uncertainty(&config, &g.t.problem, g.t.mean, out, evaluations), RMP_ERR_CONFIG);
    config = config_of(RMP_UNCERTAINTY_NONE, 1, 1.0);
    FAILS(rmp_uncertainty(&config, &g.t.problem, g.t.mean, out, evaluations), RMP_ERR_ARGUMENT);
    rmp_field_destroy(&out);
    close_ground_truth(&g.t);
}

/* What an image needs and gets does not depend on its companions; one that is not active gets zeros. */
Test(uncertainty, images_are_independent)
{
    gaussian g = {0};
    int64_t evaluations[IMAGES];
    const bool active[IMAGES] = {false, true};
    open_smooth(&g, 0.1);
    const rmp_uncertainty_config config = config_of(RMP_UNCERTAINTY_HUTCHINSON, 8, 20.0);
    rmp_field *both = new_field(&g.t.space), *one = new_field(&g.t.space);
    OK(rmp_uncertainty(&config, &g.t.problem, g.t.mean, both, evaluations));
    g.t.problem.active = active;
    OK(rmp_uncertainty(&config, &g.t.problem, g.t.mean, one, evaluations));
    cr_expect(eq(i64, evaluations[0], 0));
    float *a = values_of(both), *b = values_of(one);
    cr_expect(eq(int, memcmp(a + D, b + D, D * sizeof *a), 0));
    for (int i = 0; i < D; ++i)
        cr_expect(all(eq(flt, b[i], 0.0f), gt(flt, a[i], 0.0f)));
    free(a);
    free(b);
    rmp_field_destroy(&both);
    rmp_field_destroy(&one);
    close_ground_truth(&g.t);
}
