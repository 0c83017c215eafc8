/* What a solver promises besides its mathematics (test_proofs.c): failures stay with their image, bytes do not depend
 * on a batch, configurations are checked, memory and progress are told truly. */
#include "core/likelihood.h"
#include "tests/unit/problems.h"

static rmp_solver_config quick_config(void)
{
    rmp_solver_config config;
    rmp_solver_defaults(&config);
    config.T = 6;
    config.sigma_max = 5.0;
    return config;
}

static void solve(ground_truth *t, const rmp_solver_config *config, rmp_field *x)
{
    OK(rmp_solve(config, &t->problem, x, t->stats));
}

/* A prior that spoils one image of its batch from some denoising on. */
typedef struct spoiler {
    rmp_prior base;
    rmp_prior *good;
    int64_t image, from;
    float value;
} spoiler;

static void spoiler_destroy(rmp_prior *prior) { (void)prior; }

static rmp_status spoiler_denoise(rmp_prior *prior, const rmp_field *x, double s, rmp_field *out)
{
    spoiler *p = (spoiler *)prior;
    RMP_TRY(rmp_prior_denoise(p->good, x, s, out));
    if (prior->denoisings <= p->from) return RMP_OK;
    float values[32];
    for (int i = 0; i < 32; ++i)
        values[i] = p->value;
    return rmp_field_put(out, p->image, values);
}

static rmp_status spoiler_vjp(rmp_prior *prior, const rmp_field *v, rmp_field *out)
{
    return rmp_prior_vjp(((spoiler *)prior)->good, v, out);
}

static const rmp_prior_ops spoiler_ops = {.destroy = spoiler_destroy, .denoise = spoiler_denoise, .vjp = spoiler_vjp};

/* Divergence: reported with its reason, zeros, and not one byte of the others changes. */
Test(solver, a_diverging_image_falls_alone)
{
    ground_truth t = {0};
    open_gaussian(&t, 3, 0.1, 3, 0);
    const float values[3] = {NAN, INFINITY, 1e7f};
    const rmp_likelihood_kind kinds[4] = {RMP_LIKELIHOOD_MOMENT, RMP_LIKELIHOOD_PIGDM, RMP_LIKELIHOOD_DPS,
                                          RMP_LIKELIHOOD_SPECTRAL};
    for (int k = 0; k < 12; ++k) {
        rmp_solver_config config = quick_config();
        rmp_field *good = new_field(&t.space), *spoiled = new_field(&t.space);
        config.likelihood = kinds[k / 3];
        config.T_in = 2;
        solve(&t, &config, good);
        const rmp_solver_stats untouched = t.stats[2];
        cr_assert(not(t.stats[1].diverged));
        spoiler bad = {.base = {.ops = &spoiler_ops, .space = &t.space, .analytic = true},
                       .good = t.prior,
                       .image = 1,
                       .from = 5,
                       .value = values[k % 3]};
        t.problem.prior = &bad.base;
        solve(&t, &config, spoiled);
        t.problem.prior = t.prior;
        cr_assert(t.stats[1].diverged);
        cr_assert(strncmp(t.stats[1].reason, "diverged: ", 10) == 0, "%s", t.stats[1].reason);
        cr_assert(lt(i64, t.stats[1].evaluations, untouched.evaluations)); /* it stopped counting */
        cr_assert(not(t.stats[0].diverged));
        cr_assert(eq(i64, t.stats[2].cg_iterations, untouched.cg_iterations));
        cr_assert(eq(i64, t.stats[2].vjps, untouched.vjps));
        float *a = values_of(good), *b = values_of(spoiled);
        cr_assert(eq(int, memcmp(a, b, 32 * sizeof *a), 0), "case %d", k);
        cr_assert(eq(int, memcmp(a + 64, b + 64, 32 * sizeof *a), 0), "case %d", k);
        for (int i = 32; i < 64; ++i)
            cr_assert(eq(flt, b[i], 0.0f));
        free(a);
        free(b);
        rmp_field_destroy(&good);
        rmp_field_destroy(&spoiled);
    }
    close_ground_truth(&t);
}

/* A step far too long explodes; a somewhat too long one ends in a result that fits worse than nothing. */
Test(solver, too_long_a_step_is_divergence)
{
    ground_truth t = {0};
    open_gaussian(&t, 2, 0.05, 3, 0);
    rmp_solver_config config = quick_config();
    rmp_field *x = new_field(&t.space);
    for (int k = 0; k < 2; ++k) {
        config.gamma = k == 0 ? 1e8 : 5.0;
        solve(&t, &config, x);
        cr_assert(t.stats[0].diverged && t.stats[1].diverged);
        cr_assert(strstr(t.stats[0].reason, k == 0 ? "root mean square" : "residual") != NULL, "%s", t.stats[0].reason);
    }
    /* dps goes down a gradient, never farther than to where the misfit would be gone if it were linear */
    config = quick_config();
    config.likelihood = RMP_LIKELIHOOD_DPS;
    config.zeta = 1e8;
    solve(&t, &config, x);
    for (int i = 0; i < 2; ++i)
        cr_assert(not(t.stats[i].diverged), "%s", t.stats[i].reason);
    rmp_field_destroy(&x);
    close_ground_truth(&t);
}

/* A batch of three gives the bytes and statistics of three single runs: every likelihood, with spread. */
Test(solver, a_batch_is_its_images)
{
    const rmp_likelihood_kind kinds[6] = {RMP_LIKELIHOOD_MOMENT,   RMP_LIKELIHOOD_PIGDM, RMP_LIKELIHOOD_DPS,
                                          RMP_LIKELIHOOD_SPECTRAL, RMP_LIKELIHOOD_EXACT, RMP_LIKELIHOOD_NONE};
    ground_truth batch = {0};
    open_gaussian(&batch, 3, 0.1, 4, 0);
    rmp_field *x = new_field(&batch.space);
    for (int k = 0; k < 6; ++k) {
        rmp_solver_config config = quick_config();
        config.likelihood = kinds[k];
        config.spread = RMP_SPREAD_MARGINAL;
        config.samples = 3;
        config.cg_iterations = 12; /* some images stop earlier than others */
        config.cg_tolerance = 1e-2;
        batch.problem.key = keys(4, 0);
        solve(&batch, &config, x);
        float *together = values_of(x);
        for (uint64_t i = 0; i < 3; ++i) {
            ground_truth single = {0};
            open_gaussian(&single, 1, 0.1, 4, i);
            rmp_field *alone = new_field(&single.space);
            solve(&single, &config, alone);
            float *values = values_of(alone);
            cr_assert(eq(int, memcmp(values, together + 32 * i, 32 * sizeof *values), 0), "likelihood %d", k);
            const rmp_solver_stats *a = &single.stats[0], *b = &batch.stats[i];
            cr_assert(a->evaluations == b->evaluations && a->vjps == b->vjps && a->cg_iterations == b->cg_iterations &&
                      a->residual == b->residual);
            free(values);
            rmp_field_destroy(&alone);
            close_ground_truth(&single);
        }
        free(together);
    }
    rmp_field_destroy(&x);
    close_ground_truth(&batch);
}

Test(solver, the_same_twice_and_another_seed_another)
{
    ground_truth t = {0};
    open_gaussian(&t, 2, 0.1, 5, 0);
    rmp_solver_config config = quick_config();
    config.spread = RMP_SPREAD_CONDITIONAL;
    rmp_field *a = new_field(&t.space), *b = random_field(&t.space, 1);
    solve(&t, &config, a);
    solve(&t, &config, b);
    cr_assert(same_bytes(a, b));
    t.problem.key = keys(6, 0);
    solve(&t, &config, b);
    cr_assert(not(same_bytes(a, b)));
    rmp_field_destroy(&a);
    rmp_field_destroy(&b);
    close_ground_truth(&t);
}

/* D and l of a Gaussian prior are affine in x: the noise of an antithetic pair cancels. */
Test(solver, antithetic_pairs_cancel)
{
    ground_truth t = {0};
    open_gaussian(&t, 2, 0.3, 7, 0);
    rmp_field *none = new_field(&t.space), *pair = new_field(&t.space), *single = new_field(&t.space);
    rmp_solver_config config = quick_config();
    config.cg_iterations = 50;
    config.cg_tolerance = 1e-6;
    config.spread = RMP_SPREAD_NONE;
    solve(&t, &config, none);
    config.spread = RMP_SPREAD_MARGINAL;
    solve(&t, &config, single);
    config.samples = 2;
    solve(&t, &config, pair);
    cr_assert(lt(dbl, relative_error(pair, none), 1e-4)); /* CG stops at 1e-6 of residuals of size s */
    cr_assert(gt(dbl, relative_error(single, none), 1e-2));
    rmp_field_destroy(&none);
    rmp_field_destroy(&pair);
    rmp_field_destroy(&single);
    close_ground_truth(&t);
}

/* Images that vary far more than the r^2 of pigdm allows for: its steps overshoot on coarse grids, unless they are
 * bounded. What comes out is never farther from the posterior mean than the prior mean is. */
Test(solver, pigdm_on_coarse_grids)
{
    enum { SIZE = 32 };
    ground_truth t = {.device = reference_device()};
    double mean[SIZE] = {0}, *cov = calloc(SIZE * SIZE, sizeof *cov);
    cr_assert(cov != NULL);
    for (int i = 0; i < SIZE; ++i)
        cov[i * SIZE + i] = 400.0 * pow(1e-3, i / (SIZE - 1.0));
    rmp_space_local(&t.space, t.device, 4, (rmp_shape){4, 8, 1});
    OK(rmp_prior_gaussian_create(&t.space, mean, cov, &t.prior));
    free(cov);
    ground_truth_finish(&t, 12, 1.0 / sqrt(SIZE), 0.02, 8, 0);
    rmp_solver_config config = quick_config();
    rmp_field *x = new_field(&t.space), *prior = new_field(&t.space);
    config.sigma_max = 20.0;
    config.likelihood = RMP_LIKELIHOOD_NONE;
    config.T = 60;
    solve(&t, &config, prior);
    config.likelihood = RMP_LIKELIHOOD_PIGDM;
    for (config.T = 1; config.T <= 6; ++config.T) {
        for (config.T_in = 1; config.T_in <= 3; ++config.T_in) {
            solve(&t, &config, x);
            for (int i = 0; i < 4; ++i)
                cr_assert(not(t.stats[i].diverged), "T %d: %s", (int)config.T, t.stats[i].reason);
            cr_assert(lt(dbl, relative_error(x, t.mean), relative_error(prior, t.mean)), "T %d, T_in %d: %g and %g",
                      (int)config.T, (int)config.T_in, relative_error(x, t.mean), relative_error(prior, t.mean));
        }
    }
    rmp_field_destroy(&x);
    rmp_field_destroy(&prior);
    close_ground_truth(&t);
}

Test(solver, counts_what_it_did)
{
    ground_truth t = {0};
    open_gaussian(&t, 2, 0.1, 8, 0);
    const bool active[2] = {true, false};
    t.problem.active = active;
    rmp_solver_config config = quick_config();
    config.T_in = 3;
    config.spread = RMP_SPREAD_MARGINAL;
    config.samples = 2;
    config.cg_iterations = 4;
    config.cg_tolerance = 0.0;
    rmp_field *x = random_field(&t.space, 0);
    solve(&t, &config, x);
    cr_assert(eq(i64, t.stats[0].evaluations, 6 * 3 * 2 + 2));
    cr_assert(eq(i64, t.stats[0].cg_iterations, 6 * 3 * 2 * 4));
    cr_assert(eq(i64, t.stats[0].vjps, 6 * 3 * 2 * 4));
    cr_assert(lt(dbl, t.stats[0].residual, 0.3)); /* sigma is 0.1 */
    cr_assert(t.stats[1].evaluations == 0 && t.stats[1].vjps == 0 && !t.stats[1].diverged);
    float *values = values_of(x);
    for (int i = 32; i < 64; ++i)
        cr_assert(eq(flt, values[i], 0.0f));
    free(values);
    rmp_field_destroy(&x);
    close_ground_truth(&t);
}

typedef struct watcher {
    double last;
    int calls, stop_after;
} watcher;

static rmp_status watch(void *context, double share)
{
    watcher *w = context;
    cr_assert(share >= w->last && share <= 1.0, "%g after %g", share, w->last);
    w->last = share;
    w->calls++;
    return w->calls == w->stop_after ? RMP_FAIL(RMP_ERR_COMM, "stop") : RMP_OK;
}

Test(solver, progress_after_every_evaluation)
{
    ground_truth t = {0};
    open_gaussian(&t, 2, 0.1, 8, 0);
    watcher w = {0};
    t.problem.progress = watch;
    t.problem.progress_context = &w;
    rmp_solver_config config = quick_config();
    config.cg_iterations = 3;
    config.cg_tolerance = 0.0;
    rmp_field *x = new_field(&t.space);
    solve(&t, &config, x);
    cr_assert(eq(int, w.calls, 6 * (1 + 3) + 1));
    cr_assert(gt(dbl, w.last, 0.8));
    w = (watcher){.stop_after = 3};
    FAILS(rmp_solve(&config, &t.problem, x, t.stats), RMP_ERR_COMM);
    cr_assert(eq(int, w.calls, 3));
    rmp_field_destroy(&x);
    close_ground_truth(&t);
}

/* And the cost, which `moment` may stay below. */
Test(solver, memory_is_what_it_says)
{
    ground_truth t = {0};
    open_gaussian(&t, 3, 0.1, 8, 0);
    rmp_field *x = new_field(&t.space);
    OK(rmp_operator_adjoint(t.op, t.y, x));              /* an operator's first adjoint makes a forward of its own */
    for (int j = 0; j < 4 * RMP_LIKELIHOOD_EXACT; ++j) { /* exact asks for the operator's dense matrix */
        const int k = j / 4;
        rmp_solver_config config = quick_config();
        config.likelihood = (rmp_likelihood_kind)k;
        config.lambda = j % 2 == 1 ? RMP_LAMBDA_LEARNED : RMP_LAMBDA_FIXED;
        config.cg_iterations = 2;
        config.cg_warm = config.cg_precondition = j % 4 > 1;
        start_counting(t.device);
        solve(&t, &config, x);
        cr_assert(eq(i64, stop_counting(t.device), 3 * rmp_solver_floats(&config, &t.problem.noise, 32, 12)),
                  "likelihood %d", k);
        const int64_t cost = t.stats[0].evaluations + t.stats[0].vjps;
        cr_assert(le(i64, cost, rmp_solver_cost(&config)), "likelihood %d", k);
        if (k != RMP_LIKELIHOOD_MOMENT) cr_assert(eq(i64, cost, rmp_solver_cost(&config)), "likelihood %d", k);
    }
    rmp_field_destroy(&x);
    close_ground_truth(&t);
}

Test(solver, refuses_bad_configurations)
{
    ground_truth t = {0};
    open_gaussian(&t, 1, 0.1, 8, 0);
    rmp_field *x = new_field(&t.space);
    double rising[3] = {0.5, 0.6, 0.4};
    struct {
        rmp_solver_config config;
        const char *key;
    } bad[17];
    const int count = sizeof bad / sizeof *bad;
    for (int i = 0; i < count; ++i)
        bad[i].config = quick_config();
    int i = 0;
#define BAD(field, value, name) (bad[i].config.field = (value), bad[i++].key = (name))
    BAD(T, 0, "solver.T");
    BAD(T_in, 0, "solver.T_in");
    BAD(s1, 0.0, "solver.s1");
    BAD(s1, NAN, "solver.s1");
    BAD(gamma, -1.0, "solver.gamma");
    BAD(zeta, INFINITY, "solver.zeta");
    BAD(cg_iterations, 0, "solver.cg_iterations");
    BAD(cg_tolerance, 1.0, "solver.cg_tolerance");
    BAD(samples, 0, "solver.samples");
    BAD(sigma_min, 0.0, "solver.sigma_min");
    BAD(sigma_max, 0.01, "solver.sigma_max");
    BAD(kind, (rmp_solver_kind)99, "solver.kind");
    BAD(kind, RMP_SOLVER_VP_RMP, "solver.kind"); /* no schedule */
    BAD(likelihood, (rmp_likelihood_kind)9, "solver.likelihood");
    bad[i].config.kind = RMP_SOLVER_VP_RMP;
    bad[i].config.abar = linear_schedule();
    bad[i].config.abar_steps = 6;
    bad[i++].key = "solver.T";
    bad[i].config.kind = RMP_SOLVER_VP_RMP;
    bad[i].config.T = 2;
    bad[i].config.abar = rising;
    bad[i].config.abar_steps = 3;
    bad[i++].key = "schedule";
    bad[i].config.cg_iterations = 1;
    BAD(cg_warm, true, "solver.cg_warm");
    cr_assert(eq(int, i, count));
    for (i = 0; i < count; ++i) {
        FAILS(rmp_solve(&bad[i].config, &t.problem, x, t.stats), RMP_ERR_CONFIG);
        cr_assert(strstr(rmp_fail_message(), bad[i].key) != NULL, "%s: %s", bad[i].key, rmp_fail_message());
    }
    rmp_solver_config config = quick_config();
    rmp_field *short_x = new_field(rmp_operator_range(t.op));
    FAILS(rmp_solve(&config, &t.problem, short_x, t.stats), RMP_ERR_ARGUMENT);
    t.problem.noise.sigma = -1.0;
    FAILS(rmp_solve(&config, &t.problem, x, t.stats), RMP_ERR_CONFIG);
    rmp_field_destroy(&short_x);
    rmp_field_destroy(&x);
    close_ground_truth(&t);
}
