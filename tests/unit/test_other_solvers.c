/* The solvers that RMP is compared with, on Gaussian priors whose posterior is known, and what they promise besides
 * their mathematics: bytes that do not depend on a batch, memory, progress, checked configurations. */
#include "tests/unit/problems.h"

#include <stdio.h>

static const rmp_solver_kind all[] = {RMP_SOLVER_DPS,      RMP_SOLVER_DPS_MEAN, RMP_SOLVER_MCG, RMP_SOLVER_DDRM,
                                      RMP_SOLVER_RED_DIFF, RMP_SOLVER_DIFFPIR,  RMP_SOLVER_DAPS};
enum { ALL = (int)(sizeof all / sizeof *all), DIMENSIONS = 32, MEASURED = 12, KEYS = 128 };

static rmp_solver_config published(rmp_solver_kind kind)
{
    rmp_solver_config config;
    rmp_solver_defaults_of(kind, &config);
    config.abar = linear_schedule();
    config.abar_steps = SCHEDULE_STEPS;
    return config;
}

static rmp_solver_config quick(rmp_solver_kind kind)
{
    rmp_solver_config config = published(kind);
    config.T = 6;
    config.samples = 2;
    config.langevin_steps = 4;
    config.tau = 0.1; /* of daps' step the square of this is the limit */
    return config;
}

/* The first image's measurement, KEYS times: results differ by their noise only. */
static void open_one_problem(ground_truth *t, double sigma)
{
    open_gaussian(t, KEYS, sigma, 3, 0);
    float y[MEASURED];
    OK(rmp_field_get(t->y, 0, y));
    for (int64_t i = 0; i < KEYS; ++i)
        OK(rmp_field_put(t->y, i, y));
    OK(rmp_mixture_posterior_mean(t->prior, t->op, t->y, sigma, t->mean));
}

typedef struct accuracy {
    double bias;    /* |average of the results - posterior mean| / |prior mean - posterior mean| */
    double scatter; /* root mean square distance of a result from their average, in the same unit */
    double residual;
} accuracy;

static accuracy measure(ground_truth *t, const rmp_solver_config *config, const char *name)
{
    rmp_field *x = new_field(&t->space), *prior = new_field(&t->space), *zero = new_field(&t->space);
    OK(rmp_solve(config, &t->problem, x, t->stats));
    OK(rmp_prior_denoise(t->prior, zero, 1e6, prior)); /* all noise: the prior mean */
    float *values = values_of(x), *mean = values_of(t->mean), *known = values_of(prior);
    double average[DIMENSIONS] = {0}, unit = 0.0, bias = 0.0, scatter = 0.0;
    for (int i = 0; i < KEYS * DIMENSIONS; ++i)
        average[i % DIMENSIONS] += (double)values[i] / KEYS;
    for (int i = 0; i < DIMENSIONS; ++i) {
        unit += pow((double)known[i] - (double)mean[i], 2.0);
        bias += pow(average[i] - (double)mean[i], 2.0);
    }
    for (int i = 0; i < KEYS * DIMENSIONS; ++i)
        scatter += pow((double)values[i] - average[i % DIMENSIONS], 2.0) / KEYS;
    for (int i = 0; i < KEYS; ++i)
        cr_assert(not(t->stats[i].diverged), "%s: %s", name, t->stats[i].reason);
    const accuracy a = {.bias = sqrt(bias / unit), .scatter = sqrt(scatter / unit), .residual = t->stats[0].residual};
    printf("%s: bias %.3f, scatter %.3f of the distance of the prior mean; residual %.3f\n", name, a.bias, a.scatter,
           a.residual);
    free(values);
    free(mean);
    free(known);
    rmp_field_destroy(&x);
    rmp_field_destroy(&prior);
    rmp_field_destroy(&zero);
    return a;
}

/* Of 128 exact posterior samples the average has a bias of 0.09 in this unit, each a scatter of 1.07; an answer that
 * ignores the measurement has bias 1. What a solver's own approximations add to it was measured once and has a third to
 * spare: DDRM puts the measurement into its directions whatever the prior says of them, the data step of DiffPIR knows
 * the prior as the identity, DPS is short of steps, MCG projects onto a measurement with noise. DAPS takes p(x0 | x_t)
 * for wider than it is, which scatters but has little bias. RED-diff weighs its prior by the noise level: it ends at a
 * fit of the measurement, closer than its noise of 0.1. */
Test(other_solvers, averages_near_the_posterior_mean)
{
    const struct {
        rmp_solver_kind kind;
        int64_t T;
        double bias, least_scatter, most_scatter;
        const char *name;
    } cases[] = {
        {RMP_SOLVER_DDRM, 20, 0.5, 0.7, 1.4, "ddrm"},          {RMP_SOLVER_DIFFPIR, 100, 0.42, 0.7, 1.5, "diffpir"},
        {RMP_SOLVER_RED_DIFF, 300, 0.2, 0.0, 0.8, "red_diff"}, {RMP_SOLVER_DAPS, 50, 0.35, 0.9, 2.0, "daps"},
        {RMP_SOLVER_DPS, 300, 0.35, 0.7, 1.3, "dps"},          {RMP_SOLVER_MCG, 300, 0.7, 0.5, 1.2, "mcg"}};
    ground_truth t = {0};
    open_one_problem(&t, 0.1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        rmp_solver_config config = published(cases[i].kind);
        config.T = cases[i].T;
        config.tau = 0.1;                                       /* daps: the noise level, */
        if (cases[i].kind == RMP_SOLVER_DAPS) config.lr = 3e-3; /* and steps that this allows */
        const accuracy a = measure(&t, &config, cases[i].name);
        cr_assert(lt(dbl, a.bias, cases[i].bias));
        cr_assert(a.scatter > cases[i].least_scatter && a.scatter < cases[i].most_scatter);
        if (cases[i].kind == RMP_SOLVER_RED_DIFF) cr_assert(lt(dbl, a.residual, 0.05));
    }
    close_ground_truth(&t);
}

/* Without noise the identity tells the image: what is left is the noise level of the last denoising, 0.01, where a
 * prior of deviations from 0.14 to 1 takes nearly nothing away. */
Test(other_solvers, an_image_that_is_measured_stays)
{
    const rmp_solver_kind kinds[2] = {RMP_SOLVER_DDRM, RMP_SOLVER_DIFFPIR};
    ground_truth t = {0};
    open_gaussian(&t, 3, 0.1, 3, 0);
    const rmp_operator_config identity = {.kind = RMP_OPERATOR_DENOISE};
    rmp_operator *op = NULL;
    OK(rmp_operator_create(t.device, &identity, 0, 3, t.space.shape, &op));
    t.problem.op = op;
    t.problem.y = t.x;
    t.problem.noise = (rmp_noise){.kind = RMP_NOISE_NONE};
    rmp_field *x = new_field(&t.space);
    for (int k = 0; k < 2; ++k) {
        const rmp_solver_config config = published(kinds[k]);
        OK(rmp_solve(&config, &t.problem, x, t.stats));
        for (int i = 0; i < 3; ++i)
            cr_assert(lt(dbl, t.stats[i].residual, 0.02), "%d", k);
    }
    rmp_field_destroy(&x);
    rmp_operator_destroy(&op);
    close_ground_truth(&t);
}

Test(other_solvers, a_batch_is_its_images)
{
    ground_truth batch = {0};
    open_gaussian(&batch, 3, 0.1, 4, 0);
    rmp_field *x = new_field(&batch.space);
    for (int k = 0; k < ALL; ++k) {
        const rmp_solver_config config = quick(all[k]);
        batch.problem.key = keys(4, 0);
        OK(rmp_solve(&config, &batch.problem, x, batch.stats));
        float *together = values_of(x);
        for (uint64_t i = 0; i < 3; ++i) {
            ground_truth single = {0};
            open_gaussian(&single, 1, 0.1, 4, i);
            rmp_field *alone = new_field(&single.space);
            OK(rmp_solve(&config, &single.problem, alone, single.stats));
            float *values = values_of(alone);
            cr_assert(eq(int, memcmp(values, together + DIMENSIONS * i, DIMENSIONS * sizeof *values), 0), "solver %d",
                      (int)all[k]);
            const rmp_solver_stats *a = &single.stats[0], *b = &batch.stats[i];
            cr_assert(a->evaluations == b->evaluations && a->vjps == b->vjps && a->diverged == b->diverged);
            free(values);
            rmp_field_destroy(&alone);
            close_ground_truth(&single);
        }
        free(together);
    }
    rmp_field_destroy(&x);
    close_ground_truth(&batch);
}

static double last_share;
static int calls;

static rmp_status watch(void *context, double share)
{
    (void)context;
    cr_assert(share >= last_share && share <= 1.0, "%g after %g", share, last_share);
    last_share = share;
    calls++;
    return RMP_OK;
}

/* Evaluations, gradients, progress and memory are what they are said to be; an image that is not active costs nothing
 * and is zero. */
Test(other_solvers, cost_what_they_say)
{
    const int64_t evaluations[ALL] = {6, 12, 6, 6, 6, 6, 6 * 5}, vjps[ALL] = {6, 12, 6, 0, 0, 0, 0};
    const bool active[3] = {true, false, true};
    ground_truth t = {0};
    open_gaussian(&t, 3, 0.1, 8, 0);
    rmp_field *x = random_field(&t.space, 0);
    OK(rmp_operator_adjoint(t.op, t.y, x)); /* an operator's first adjoint makes a forward of its own */
    t.problem.active = active;
    t.problem.progress = watch;
    for (int k = 0; k < ALL; ++k) {
        const rmp_solver_config config = quick(all[k]);
        last_share = 0.0;
        calls = 0;
        start_counting(t.device);
        OK(rmp_solve(&config, &t.problem, x, t.stats));
        cr_assert(
            eq(i64, stop_counting(t.device), 3 * rmp_solver_floats(&config, &t.problem.noise, DIMENSIONS, MEASURED)),
            "solver %d", (int)all[k]);
        cr_assert(eq(i64, t.stats[0].evaluations, evaluations[k]));
        cr_assert(eq(i64, t.stats[0].vjps, vjps[k]));
        cr_assert(eq(i64, rmp_solver_cost(&config), evaluations[k] + vjps[k]));
        cr_assert(t.stats[1].evaluations == 0 && t.stats[1].vjps == 0 && !t.stats[1].diverged);
        const int64_t steps = all[k] == RMP_SOLVER_DAPS ? config.T * config.langevin_steps : 0;
        cr_assert(eq(int, calls, (int)(evaluations[k] + vjps[k] + steps)));
        cr_assert(gt(dbl, last_share, 0.99));
        float *values = values_of(x);
        for (int i = DIMENSIONS; i < 2 * DIMENSIONS; ++i)
            cr_assert(values[i] == 0.0f);
        free(values);
    }
    rmp_field_destroy(&x);
    close_ground_truth(&t);
}

Test(other_solvers, refuse_bad_configurations)
{
    ground_truth t = {0};
    open_gaussian(&t, 1, 0.1, 8, 0);
    rmp_field *x = new_field(&t.space);
    struct {
        rmp_solver_config config;
        const char *key;
    } bad[17];
    const int count = sizeof bad / sizeof *bad;
    int i = 0;
#define BAD(kind, field, value, name)                                                                                  \
    (bad[i].config = quick(kind), bad[i].config.field = (value), bad[i++].key = (name))
    BAD(RMP_SOLVER_DPS, zeta, -1.0, "solver.zeta");
    BAD(RMP_SOLVER_DPS, T, 1001, "solver.T");
    BAD(RMP_SOLVER_DPS, abar, NULL, "solver.kind");
    BAD(RMP_SOLVER_DPS_MEAN, samples, 0, "solver.samples");
    BAD(RMP_SOLVER_MCG, mcg_variant, (rmp_mcg_variant)7, "solver.mcg_variant");
    BAD(RMP_SOLVER_MCG, mcg_variant, RMP_MCG_DPS_REPO, "differ in shape");
    BAD(RMP_SOLVER_DDRM, eta, 1.5, "solver.eta");
    BAD(RMP_SOLVER_DDRM, eta_b, NAN, "solver.eta_b");
    BAD(RMP_SOLVER_RED_DIFF, regularization, INFINITY, "solver.lambda");
    BAD(RMP_SOLVER_RED_DIFF, lr, 0.0, "solver.lr");
    BAD(RMP_SOLVER_DIFFPIR, regularization, 0.0, "solver.lambda");
    BAD(RMP_SOLVER_DIFFPIR, fresh_noise, 2.0, "solver.fresh_noise");
    BAD(RMP_SOLVER_DAPS, sigma_max, 0.01, "solver.sigma_max");
    BAD(RMP_SOLVER_DAPS, sigma_min, 0.0099, "solver.sigma_min: 0.0099 is below 0.01");
    BAD(RMP_SOLVER_DAPS, ode_steps, 0, "solver.ode_steps");
    BAD(RMP_SOLVER_DAPS, langevin_steps, -1, "solver.langevin_steps");
    BAD(RMP_SOLVER_DAPS, tau, 0.0, "solver.tau");
    cr_assert(eq(int, i, count));
    for (i = 0; i < count; ++i) {
        FAILS(rmp_solve(&bad[i].config, &t.problem, x, t.stats), RMP_ERR_CONFIG);
        cr_assert(strstr(rmp_fail_message(), bad[i].key) != NULL, "%s: %s", bad[i].key, rmp_fail_message());
    }
    rmp_field_destroy(&x);
    close_ground_truth(&t);
}

/* Operators that a solver cannot do with are refused with its name, before and at the solve. */
Test(other_solvers, know_their_operators)
{
    const rmp_operator_config hdr = {.kind = RMP_OPERATOR_HDR};
    const rmp_operator_config motion = {.kind = RMP_OPERATOR_MOTION_BLUR, .kernel_size = 3, .intensity = 0.5};
    const struct {
        rmp_solver_kind kind;
        bool hdr, motion;
    } takes[ALL] = {{RMP_SOLVER_DPS, true, true},      {RMP_SOLVER_DPS_MEAN, true, true},
                    {RMP_SOLVER_MCG, false, true},     {RMP_SOLVER_DDRM, false, false},
                    {RMP_SOLVER_RED_DIFF, true, true}, {RMP_SOLVER_DIFFPIR, false, true},
                    {RMP_SOLVER_DAPS, true, true}};
    for (int which = 0; which < 2; ++which) {
        const rmp_operator_config *config = which == 0 ? &hdr : &motion;
        ground_truth t = {0};
        rmp_operator *op = NULL;
        open_gaussian(&t, 2, 0.1, 8, 0);
        OK(rmp_operator_create(t.device, config, 5, 2, t.space.shape, &op));
        rmp_field *x = new_field(&t.space), *y = new_field(&t.space);
        OK(rmp_operator_forward(op, t.x, y));
        t.problem.op = op;
        t.problem.y = y;
        for (int k = 0; k < ALL; ++k) {
            rmp_solver_config solver = quick(takes[k].kind);
            const bool good = which == 0 ? takes[k].hdr : takes[k].motion;
            rmp_fail_clear();
            cr_assert(eq(int, rmp_solver_check_operator(&solver, config), good ? RMP_OK : RMP_ERR_CONFIG), "solver %d",
                      k);
            cr_assert(good || strstr(rmp_fail_message(), "solver.kind") != NULL);
            cr_assert(eq(int, rmp_solve(&solver, &t.problem, x, t.stats), good ? RMP_OK : RMP_ERR_CONFIG), "solver %d",
                      k);
        }
        rmp_field_destroy(&x);
        rmp_field_destroy(&y);
        rmp_operator_destroy(&op);
        close_ground_truth(&t);
    }
}

typedef struct inverse {
    double a, b;
} inverse;

static double invert(void *context, double eigenvalue)
{
    const inverse *w = context;
    return eigenvalue > 0.0 ? 1.0 / (w->a + w->b * eigenvalue) - 1.0 / w->a : 0.0;
}

/* A filter that is 0 where the spectrum is, and the identity, give what the closed form gives: with a basis (two small
 * ones, a dense one) and masks that differ. */
Test(other_solvers, filters_are_functions_of_the_spectrum)
{
    const inverse w = {0.3, 2.0};
    const double a[3] = {w.a, w.a, w.a}, b[3] = {w.b, w.b, w.b};
    const rmp_operator_config configs[] = {{.kind = RMP_OPERATOR_SUPER_RESOLUTION, .factor = 2},
                                           {.kind = RMP_OPERATOR_GAUSSIAN_BLUR, .kernel_size = 5, .kernel_std = 1.0},
                                           {.kind = RMP_OPERATOR_INPAINT_RANDOM, .fraction = 0.4},
                                           {.kind = RMP_OPERATOR_DENOISE}};
    rmp_device *device = reference_device();
    for (size_t i = 0; i < sizeof configs / sizeof *configs; ++i) {
        rmp_operator *op = NULL;
        OK(rmp_operator_create(device, &configs[i], 1, 3, (rmp_shape){8, 6, 2}, &op));
        OK(rmp_operator_draw(op, keys(5, 0)));
        const rmp_space *range = rmp_operator_range(op);
        rmp_field *y = random_field(range, 3), *solved = new_field(range), *weights = new_field(range);
        OK(rmp_operator_mask_measurement(op, y));
        OK(rmp_field_copy(y, solved));
        OK(rmp_operator_solve(op, a, b, solved));
        rmp_field *filtered = new_field(range);
        OK(rmp_field_copy(y, filtered));
        OK(rmp_operator_filter(op, invert, (void *)(uintptr_t)&w, weights, filtered));
        OK(rmp_field_axpby1(1.0 / w.a, y, 1.0, filtered));
        cr_assert(lt(dbl, relative_error(filtered, solved), 1e-5)); /* float, two ways of rounding */
        rmp_field_destroy(&y);
        rmp_field_destroy(&solved);
        rmp_field_destroy(&weights);
        rmp_field_destroy(&filtered);
        rmp_operator_destroy(&op);
    }
    const rmp_operator_config motion = {.kind = RMP_OPERATOR_MOTION_BLUR, .kernel_size = 3, .intensity = 0.5};
    rmp_operator *op = NULL;
    OK(rmp_operator_create(device, &motion, 1, 3, (rmp_shape){8, 6, 2}, &op));
    rmp_field *y = new_field(rmp_operator_range(op)), *weights = new_field(rmp_operator_range(op));
    FAILS(rmp_operator_filter(op, invert, (void *)(uintptr_t)&w, weights, y), RMP_ERR_ARGUMENT);
    rmp_field_destroy(&y);
    rmp_field_destroy(&weights);
    rmp_operator_destroy(&op);
    rmp_device_destroy(&device);
}
