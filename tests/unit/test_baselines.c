/* DPS, its average and MCG against their re-computation in float64 (tests/fixtures/baselines.py). */
#include "core/prior_gaussian.h"
#include "core/prior_network.h"
#include "io/model.h"
#include "io/safetensors.h"
#include "tests/unit/problems.h"

#include <stdio.h>

/* Float against double over 20 steps of a network whose steps do not forget: 1e-3, as the project asks. */
static const double TOLERANCE = 1e-3;

enum { SIDE = 16, STEPS = 20 };

typedef struct bench {
    rmp_weights *set;
    rmp_model *model;
    rmp_device *device;
    rmp_space space; /* two images */
    rmp_prior *prior;
    rmp_operator *op;
    rmp_field *x, *y;
    rmp_solver_stats stats[2];
} bench;

static const rmp_tensor *tensor(const bench *b, const char *name)
{
    const rmp_tensor *t = rmp_weights_find(b->set, name);
    cr_assert(t != NULL, "no tensor %s", name);
    return t;
}

static float *floats(const rmp_tensor *t)
{
    const int64_t count = rmp_tensor_count(t);
    float *values = malloc((size_t)count * sizeof *values);
    cr_assert(values != NULL);
    for (int64_t i = 0; i < count; ++i)
        values[i] = (float)rmp_tensor_at(t, i);
    return values;
}

static void put(const bench *b, const char *name, rmp_field *x)
{
    const rmp_tensor *t = tensor(b, name);
    float *values = floats(t);
    for (int64_t i = 0; i < 2; ++i)
        OK(rmp_field_put(x, i, values + i * t->dims[1]));
    free(values);
}

static void open_bench(bench *b)
{
    *b = (bench){0};
    OK(rmp_safetensors_open(RMP_FIXTURES "/baselines.safetensors", NULL, NULL, &b->set));
    OK(rmp_host_create(1, 0, &b->device));
}

static void finish_bench(bench *b, const rmp_operator_config *op, const char *y)
{
    OK(rmp_operator_create(b->device, op, 0, 2, b->space.shape, &b->op));
    b->x = new_field(&b->space);
    b->y = new_field(rmp_operator_range(b->op));
    put(b, y, b->y);
}

static void open_network(bench *b, bool inpainting)
{
    open_bench(b);
    rmp_space_local(&b->space, b->device, 2, (rmp_shape){SIDE, SIDE, 3});
    OK(rmp_model_open("formula:" RMP_FIXTURES "/adm_tiny_eps.json", &b->model));
    OK(rmp_prior_network_create(b->device, b->model->net, &b->model->diffusion, &b->space, RMP_PRECISION_FP32,
                                RMP_MEMORY_KEEP, &b->prior));
    const rmp_operator_config op = {.kind = inpainting ? RMP_OPERATOR_INPAINT_MASK : RMP_OPERATOR_SUPER_RESOLUTION,
                                    .factor = 4};
    finish_bench(b, &op, inpainting ? "inpaint.y" : "sr.y");
    if (inpainting) {
        float *mask = floats(tensor(b, "mask"));
        for (int64_t i = 0; i < 2; ++i)
            OK(rmp_operator_set_mask(b->op, i, mask));
        free(mask);
    }
}

static void close_bench(bench *b)
{
    rmp_field_destroy(&b->x);
    rmp_field_destroy(&b->y);
    rmp_operator_destroy(&b->op);
    rmp_prior_destroy(&b->prior);
    rmp_model_close(&b->model);
    rmp_device_destroy(&b->device);
    rmp_weights_destroy(&b->set);
}

static rmp_solver_config short_run(rmp_solver_kind kind)
{
    rmp_solver_config config;
    rmp_solver_defaults_of(kind, &config);
    cr_assert(eq(i64, config.T, 1000));
    config.T = STEPS;
    config.abar = linear_schedule();
    config.abar_steps = SCHEDULE_STEPS;
    return config;
}

/* The largest relative error of an image. The noise level has no part in these solvers but in the judgement of the
 * result, which a network with formula weights would not pass. */
static double compare(bench *b, const rmp_solver_config *config, const char *expected)
{
    const rmp_problem problem = {
        .prior = b->prior, .op = b->op, .y = b->y, .noise = rmp_noise_gaussian(10.0), .key = keys(21, 5)};
    const rmp_tensor *t = tensor(b, expected);
    OK(rmp_solve(config, &problem, b->x, b->stats));
    float *values = values_of(b->x);
    double worst = 0.0;
    for (int64_t i = 0; i < 2; ++i) {
        double difference = 0.0, norm = 0.0;
        for (int64_t k = 0; k < t->dims[1]; ++k) {
            const double want = rmp_tensor_at(t, i * t->dims[1] + k);
            const double d = (double)values[i * t->dims[1] + k] - want;
            difference += d * d;
            norm += want * want;
        }
        cr_assert(not(b->stats[i].diverged), "%s", b->stats[i].reason);
        worst = fmax(worst, sqrt(difference / norm));
    }
    free(values);
    printf("%s: relative error %.1e\n", expected, worst);
    return worst;
}

Test(baselines, dps_of_a_network)
{
    for (int inpainting = 0; inpainting < 2; ++inpainting) {
        bench b;
        open_network(&b, inpainting);
        rmp_solver_config config = short_run(RMP_SOLVER_DPS);
        const rmp_operator_config kind = {.kind = inpainting ? RMP_OPERATOR_INPAINT_MASK : RMP_OPERATOR_GAUSSIAN_BLUR};
        config.zeta = rmp_solver_dps_zeta(&kind);
        cr_assert(lt(dbl, compare(&b, &config, inpainting ? "inpaint.dps" : "sr.dps"), TOLERANCE));
        cr_assert(b.stats[0].evaluations == STEPS && b.stats[1].vjps == STEPS);
        close_bench(&b);
    }
}

Test(baselines, dps_mean_of_a_network)
{
    bench b;
    open_network(&b, true);
    rmp_solver_config config = short_run(RMP_SOLVER_DPS_MEAN);
    config.zeta = 0.5;
    config.samples = 2;
    cr_assert(lt(dbl, compare(&b, &config, "inpaint.dps_mean"), TOLERANCE));
    cr_assert(b.stats[0].evaluations == 2 * STEPS && b.stats[1].vjps == 2 * STEPS);
    close_bench(&b);
}

Test(baselines, mcg_of_a_network)
{
    for (int inpainting = 0; inpainting < 2; ++inpainting) {
        bench b;
        open_network(&b, inpainting);
        const rmp_solver_config config = short_run(RMP_SOLVER_MCG);
        cr_assert(lt(dbl, compare(&b, &config, inpainting ? "inpaint.mcg" : "sr.mcg"), TOLERANCE));
        cr_assert(b.stats[0].evaluations == STEPS && b.stats[1].vjps == STEPS);
        close_bench(&b);
    }
}

Test(baselines, mcg_as_in_the_repository_of_dps)
{
    bench b;
    open_network(&b, true);
    rmp_solver_config config = short_run(RMP_SOLVER_MCG);
    config.mcg_variant = RMP_MCG_DPS_REPO;
    cr_assert(lt(dbl, compare(&b, &config, "inpaint.mcg_repo"), TOLERANCE));
    close_bench(&b);
    open_network(&b, false);
    const rmp_problem problem = {
        .prior = b.prior, .op = b.op, .y = b.y, .noise = rmp_noise_gaussian(0.1), .key = keys(21, 5)};
    FAILS(rmp_solve(&config, &problem, b.x, b.stats), RMP_ERR_CONFIG);
    cr_assert(strstr(rmp_fail_message(), "solver.mcg_variant: dps_repo") != NULL, "%s", rmp_fail_message());
    close_bench(&b);
}

Test(baselines, dps_and_mcg_of_a_gaussian)
{
    bench b;
    open_bench(&b);
    const rmp_tensor *mean = tensor(&b, "gaussian.mean"), *cov = tensor(&b, "gaussian.cov");
    float *a = floats(tensor(&b, "gaussian.matrix"));
    const rmp_tensor matrix = {.dtype = RMP_F32, .rank = 2, .dims = {6, 16}, .data = a};
    const rmp_operator_config op = {.kind = RMP_OPERATOR_MATRIX, .matrix = &matrix};
    rmp_space_local(&b.space, b.device, 2, (rmp_shape){1, 1, 16});
    OK(rmp_prior_gaussian_create(&b.space, mean->data, cov->data, &b.prior));
    finish_bench(&b, &op, "gaussian.y");
    rmp_solver_config config = short_run(RMP_SOLVER_DPS);
    cr_assert(lt(dbl, compare(&b, &config, "gaussian.dps"), TOLERANCE));
    config = short_run(RMP_SOLVER_MCG);
    cr_assert(lt(dbl, compare(&b, &config, "gaussian.mcg"), TOLERANCE));
    free(a);
    close_bench(&b);
}
