/* The learned precision of RMP (METHOD.md section 3): where it is known what an update with it must give. */
#include "tests/unit/problems.h"

enum { SIZE = 32 };

/* A Gaussian with independent numbers and a measurement of each of them: every Hessian is diagonal, so that one
 * Rademacher probe is exact. */
static void open_diagonal(ground_truth *t, int64_t n)
{
    double mean[SIZE], *cov = calloc(SIZE * SIZE, sizeof *cov);
    cr_assert(cov != NULL);
    for (int i = 0; i < SIZE; ++i) {
        mean[i] = 0.1 * i - 1.5;
        cov[i * SIZE + i] = pow(0.02, i / (SIZE - 1.0));
    }
    t->device = reference_device();
    t->sigma = 0.2;
    rmp_space_local(&t->space, t->device, n, (rmp_shape){4, 8, 1});
    OK(rmp_prior_gaussian_create(&t->space, mean, cov, &t->prior));
    free(cov);
    const rmp_operator_config config = {.kind = RMP_OPERATOR_DENOISE};
    OK(rmp_operator_create(t->device, &config, 0, n, t->space.shape, &t->op));
    t->x = random_field(&t->space, 1);
    t->y = random_field(&t->space, 2);
    t->mean = new_field(&t->space);
    t->problem = (rmp_problem){
        .prior = t->prior, .op = t->op, .y = t->y, .noise = rmp_noise_gaussian(t->sigma), .key = keys(5, 0)};
}

static rmp_solver_config configuration(rmp_lambda lambda, int64_t T_in, double s2)
{
    rmp_solver_config config;
    rmp_solver_defaults(&config);
    config.T = 8;
    config.T_in = T_in;
    config.lambda = lambda;
    config.s2 = s2;
    config.cg_iterations = SIZE;
    config.cg_tolerance = 1e-7;
    return config;
}

static void run(ground_truth *t, const rmp_solver_config *config, rmp_field *x)
{
    OK(rmp_solve(config, &t->problem, x, t->stats));
    for (int64_t i = 0; i < t->space.n; ++i)
        cr_assert(not(t->stats[i].diverged), "%s", t->stats[i].reason);
}

/* With the exact Hessian an update is Newton's: one finds the mode of a quadratic, and more change nothing. With the
 * precision fixed that takes many. */
Test(precision, one_update_is_enough_where_the_hessian_is_diagonal)
{
    ground_truth t = {0};
    open_diagonal(&t, 2);
    rmp_field *once = new_field(&t.space), *often = new_field(&t.space), *fixed = new_field(&t.space);
    rmp_solver_config config = configuration(RMP_LAMBDA_LEARNED, 1, 1.0);
    run(&t, &config, once);
    cr_assert(eq(i64, t.stats[0].evaluations, 8 + 1));
    cr_assert(gt(i64, t.stats[0].vjps, 2 * 8)); /* a score, a probe and its curvature */
    config.T_in = 4;
    run(&t, &config, often);
    cr_assert(lt(dbl, relative_error(once, often), 2e-5)); /* float32 and CG to 1e-7 */
    config = configuration(RMP_LAMBDA_FIXED, 1, 1.0);
    run(&t, &config, fixed);
    cr_assert(gt(dbl, relative_error(fixed, often), 1e-3));
    config.T_in = 200;
    run(&t, &config, fixed);
    cr_assert(lt(dbl, relative_error(fixed, often), 2e-4)); /* they are after the same mode */
    rmp_field_destroy(&once);
    rmp_field_destroy(&often);
    rmp_field_destroy(&fixed);
    close_ground_truth(&t);
}

/* With dense covariances probes scatter; small steps and several updates still come closer than with the precision
 * fixed, and s2 = 0 is the precision fixed. */
Test(precision, learns_a_dense_hessian)
{
    ground_truth t = {0};
    open_gaussian(&t, 2, 0.1, 4, 0);
    rmp_field *limit = new_field(&t.space), *fixed = new_field(&t.space), *learned = new_field(&t.space);
    rmp_solver_config config = configuration(RMP_LAMBDA_FIXED, 300, 0.0);
    run(&t, &config, limit);
    config.T_in = 4;
    run(&t, &config, fixed);
    config = configuration(RMP_LAMBDA_LEARNED, 4, 0.0);
    run(&t, &config, learned);
    cr_assert(lt(dbl, relative_error(learned, fixed), 1e-5));
    config.s2 = 0.5;
    config.probes = 8;
    run(&t, &config, learned);
    cr_assert(lt(dbl, relative_error(learned, limit), 0.7 * relative_error(fixed, limit)), "%g and %g",
              relative_error(learned, limit), relative_error(fixed, limit));
    rmp_field_destroy(&limit);
    rmp_field_destroy(&fixed);
    rmp_field_destroy(&learned);
    close_ground_truth(&t);
}

Test(precision, keys_of_a_batch_and_bad_settings)
{
    ground_truth t = {0}, single = {0};
    open_diagonal(&t, 2);
    open_diagonal(&single, 1);
    rmp_solver_config config = configuration(RMP_LAMBDA_LEARNED, 2, 0.3);
    rmp_field *both = new_field(&t.space), *one = new_field(&single.space);
    run(&t, &config, both);
    float second[SIZE], alone[SIZE];
    OK(rmp_field_get(t.y, 1, second));
    OK(rmp_field_put(single.y, 0, second));
    single.problem.key = keys(5, 1);
    run(&single, &config, one);
    OK(rmp_field_get(both, 1, second));
    OK(rmp_field_get(one, 0, alone));
    cr_assert(eq(int, memcmp(second, alone, sizeof second), 0));
    config.s2 = 1.5;
    FAILS(rmp_solve(&config, &t.problem, both, t.stats), RMP_ERR_CONFIG);
    cr_assert(strstr(rmp_fail_message(), "solver.s2") != NULL);
    config = configuration(RMP_LAMBDA_LEARNED, 1, 0.3);
    config.probes = 0;
    FAILS(rmp_solve(&config, &t.problem, both, t.stats), RMP_ERR_CONFIG);
    cr_assert(strstr(rmp_fail_message(), "solver.probes") != NULL);
    config.probes = 1;
    config.likelihood = RMP_LIKELIHOOD_EXACT;
    FAILS(rmp_solve(&config, &t.problem, both, t.stats), RMP_ERR_CONFIG);
    cr_assert(strstr(rmp_fail_message(), "solver.precision") != NULL);
    rmp_field_destroy(&both);
    rmp_field_destroy(&one);
    close_ground_truth(&t);
    close_ground_truth(&single);
}
