/* What METHOD.md section 9 says must be proved about RMP, on problems whose posterior mean is known. The numbers that
 * each proof reaches are printed. */
#include "tests/unit/problems.h"

#include <stdio.h>

static rmp_solver_config exact_config(void)
{
    rmp_solver_config config;
    rmp_solver_defaults(&config);
    config.T = 30;
    config.s1 = 1.0;
    config.sigma_min = 0.01;
    config.sigma_max = 80.0;
    config.init = RMP_INIT_ZERO;
    config.cg_iterations = 100;
    config.cg_tolerance = 1e-6;
    return config;
}

static void use_vp(rmp_solver_config *config)
{
    config->kind = RMP_SOLVER_VP_RMP;
    config->abar = linear_schedule();
    config->abar_steps = SCHEDULE_STEPS;
}

static double solve_error(ground_truth *t, const rmp_solver_config *config)
{
    rmp_field *x = new_field(&t->space);
    OK(rmp_solve(config, &t->problem, x, t->stats));
    for (int64_t i = 0; i < t->space.n; ++i)
        cr_expect(not(t->stats[i].diverged), "%s", t->stats[i].reason);
    const double error = relative_error(x, t->mean);
    rmp_field_destroy(&x);
    return error;
}

/* 1. Gaussian prior in 32 dimensions, 12 measurements, `moment`: both solvers reach the posterior mean to 1e-3. */
Test(proofs, gaussian_posterior_mean)
{
    ground_truth t = {0};
    open_gaussian(&t, 20, 0.05, 1, 0);
    rmp_solver_config config = exact_config();
    const double ve = solve_error(&t, &config);
    use_vp(&config);
    const double vp = solve_error(&t, &config);
    config = exact_config();
    config.init = RMP_INIT_NOISE;
    const double noise = solve_error(&t, &config);
    config.likelihood = RMP_LIKELIHOOD_PIGDM;
    const double pigdm = solve_error(&t, &config);
    config.likelihood = RMP_LIKELIHOOD_NONE;
    const double prior_only = solve_error(&t, &config);
    fprintf(stderr,
            "proof 1: relative error to the posterior mean: VE-RMP %.1e, VP-RMP %.1e (from noise %.1e, pigdm %.1e, "
            "no measurement %.1e)\n",
            ve, vp, noise, pigdm, prior_only);
    cr_expect(le(dbl, ve, 1e-3));
    cr_expect(le(dbl, vp, 1e-3));
    cr_expect(gt(dbl, prior_only, 0.3)); /* the problem is not trivial */
    close_ground_truth(&t);
}

static double square_distance(const rmp_field *x, const rmp_field *y)
{
    float *a = values_of(x), *b = values_of(y);
    const int64_t count = floats_of(x->space);
    double sum = 0.0;
    for (int64_t i = 0; i < count; ++i)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    free(a);
    free(b);
    return sum / (double)count;
}

/* 2. Gaussian mixture, exact likelihood score: RMP is far closer to the posterior mean than a posterior sample is.
 * Six random problems (means, matrix) with 200 draws each, because one problem can be much easier than another. */
static void mixture_proof(double sigma)
{
    double rmp = 0.0, sample = 0.0;
    for (uint64_t seed = 1; seed <= 6; ++seed) {
        ground_truth t = {0};
        open_mixture_problem(&t, 200, 0.5, sigma, seed);
        rmp_solver_config config = exact_config();
        config.likelihood = RMP_LIKELIHOOD_EXACT;
        config.sigma_max = 20.0;
        rmp_field *x = new_field(&t.space), *drawn = new_field(&t.space);
        OK(rmp_solve(&config, &t.problem, x, t.stats));
        OK(rmp_mixture_posterior_sample(t.prior, t.op, t.y, sigma, t.problem.key, 0, drawn));
        rmp += square_distance(x, t.mean) / 6.0;
        sample += square_distance(drawn, t.mean) / 6.0;
        rmp_field_destroy(&x);
        rmp_field_destroy(&drawn);
        close_ground_truth(&t);
    }
    fprintf(stderr,
            "proof 2, sigma %.1f: mean squared distance to the posterior mean: RMP %.5f, a sample %.3f (%.0f times)\n",
            sigma, rmp, sample, sample / rmp);
    cr_expect(le(dbl, 30.0 * rmp, sample));
}

Test(proofs, mixture_posterior_mean_little_noise) { mixture_proof(0.1); }

Test(proofs, mixture_posterior_mean_more_noise) { mixture_proof(0.5); }

/* Evaluations and VJPs of an item, on average. */
static double cost_of(const ground_truth *t)
{
    double sum = 0.0;
    for (int64_t i = 0; i < t->space.n; ++i)
        sum += (double)(t->stats[i].evaluations + t->stats[i].vjps);
    return sum / (double)t->space.n;
}

/* The best that averages of N runs of DPS reach with `cost` evaluations and VJPs, over N and zeta: generous, for no one
 * knows the best in advance. Each step costs two. */
static double best_of_dps(ground_truth *t, double cost)
{
    static const int64_t samples[] = {1, 2, 4, 8, 16, 32};
    static const double zeta[] = {0.03, 0.1, 0.3, 1.0, 3.0};
    double best = INFINITY;
    rmp_field *x = new_field(&t->space);
    for (size_t i = 0; i < sizeof samples / sizeof *samples; ++i)
        for (size_t j = 0; j < sizeof zeta / sizeof *zeta; ++j) {
            rmp_solver_config config;
            rmp_solver_defaults_of(RMP_SOLVER_DPS_MEAN, &config);
            config.samples = samples[i];
            config.T = (int64_t)(cost / 2.0) / samples[i];
            config.zeta = zeta[j];
            config.abar = linear_schedule();
            config.abar_steps = SCHEDULE_STEPS;
            OK(rmp_solve(&config, &t->problem, x, t->stats));
            cr_assert(le(dbl, cost_of(t), cost));
            const double error = relative_error(x, t->mean);
            if (error < best) best = error;
        }
    rmp_field_destroy(&x);
    return best;
}

static double average_error(ground_truth *t, int64_t samples)
{
    rmp_solver_config config;
    rmp_solver_defaults_of(RMP_SOLVER_POSTERIOR_SAMPLES, &config);
    config.samples = samples;
    const double error = solve_error(t, &config);
    cr_expect(eq(dbl, cost_of(t), 0.0));
    return error;
}

/* 3. At the same cost RMP is far closer to the posterior mean than the best average of DPS samples, and closer than the
 * average of ten draws from the exact posterior, better than which no ten runs of any sampler can be. */
static void against_samples(ground_truth *t, const rmp_solver_config *config, const char *name, double factor)
{
    const double rmp = solve_error(t, config), cost = cost_of(t), dps = best_of_dps(t, fmax(cost, 64.0));
    const double one = average_error(t, 1), ten = average_error(t, 10);
    fprintf(stderr,
            "proof 3, %s: relative error to the posterior mean at %.0f evaluations and VJPs: RMP %.1e, best average of "
            "DPS samples %.2f; one exact posterior sample %.2f, average of 10 %.2f\n",
            name, cost, rmp, dps, one, ten);
    cr_expect(le(dbl, factor * rmp, dps));
    cr_expect(lt(dbl, rmp, ten));
    cr_expect(all(gt(dbl, one / ten, 2.5), lt(dbl, one / ten, 4.0))); /* sqrt(10), within what chance allows */
}

Test(proofs, closer_than_samples_gaussian)
{
    ground_truth t = {0};
    open_gaussian(&t, 20, 0.05, 1, 0);
    const rmp_solver_config config = exact_config();
    against_samples(&t, &config, "Gaussian", 30.0);
    close_ground_truth(&t);
}

Test(proofs, closer_than_samples_mixture)
{
    ground_truth t = {0};
    open_mixture_problem(&t, 40, 0.5, 0.5, 1);
    rmp_solver_config config = exact_config();
    config.likelihood = RMP_LIKELIHOOD_EXACT;
    config.sigma_max = 20.0;
    against_samples(&t, &config, "mixture", 3.0);
    close_ground_truth(&t);
}

/* 5. VE-RMP and VP-RMP are one iteration in two coordinates: on the same noise levels they agree to rounding, with
 * every likelihood, with and without spread, from noise and from zero. */
Test(proofs, ve_and_vp_agree)
{
    enum { T = 25, KINDS = 6 };
    const rmp_likelihood_kind kinds[KINDS] = {RMP_LIKELIHOOD_MOMENT,   RMP_LIKELIHOOD_PIGDM, RMP_LIKELIHOOD_DPS,
                                              RMP_LIKELIHOOD_SPECTRAL, RMP_LIKELIHOOD_NONE,  RMP_LIKELIHOOD_EXACT};
    const double *abar = linear_schedule();
    double grid[T + 1], sigma[T + 1], worst = 0.0;
    for (int i = 0; i <= T; ++i) {
        grid[i] = abar[(T - i) * 39];
        sigma[i] = sqrt((1.0 - grid[i]) / grid[i]);
    }
    rmp_level ve[T], vp[T];
    rmp_levels_ve(T, sigma, ve);
    rmp_levels_vp(T, grid, vp);
    ground_truth t = {0};
    open_gaussian(&t, 4, 0.3, 2, 0);
    rmp_field *a = new_field(&t.space), *b = new_field(&t.space);
    for (int k = 0; k < 3 * KINDS; ++k) {
        rmp_solver_config config = exact_config();
        config.T = T;
        config.s1 = 0.8;
        config.T_in = 1 + k % 2;
        config.likelihood = kinds[k / 3];
        config.spread = (rmp_spread)(RMP_SPREAD_NONE + k % 3);
        config.samples = 2;
        config.init = k % 2 == 0 ? RMP_INIT_NOISE : RMP_INIT_ZERO;
        OK(rmp_solve_levels(&config, ve, sigma[0], &t.problem, a, t.stats));
        OK(rmp_solve_levels(&config, vp, sqrt(1.0 - grid[0]), &t.problem, b, t.stats));
        const double difference = relative_error(a, b);
        worst = fmax(worst, difference);
        /* rounding of float32 states */
        cr_expect(le(dbl, difference, 1e-5), "likelihood %d, spread %d: %g", (int)config.likelihood, (int)config.spread,
                  difference);
    }
    fprintf(stderr, "proof 5: VE-RMP and VP-RMP on one grid differ by %.1e\n", worst);
    rmp_field_destroy(&a);
    rmp_field_destroy(&b);
    close_ground_truth(&t);
}
