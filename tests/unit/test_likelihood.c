/* Likelihood scores against what they approximate, and the guards that a network makes necessary. */
#include "core/dense.h"
#include "tests/unit/problems.h"

static rmp_likelihood *open_likelihood(const ground_truth *t, rmp_likelihood_kind kind, int64_t iterations)
{
    const rmp_likelihood_config config = {.kind = kind, .cg_iterations = iterations, .cg_tolerance = 1e-7};
    rmp_likelihood *l = NULL;
    const rmp_noise noise = rmp_noise_gaussian(t->sigma);
    OK(rmp_likelihood_create(&config, t->prior, t->op, t->y, &noise, &l));
    return l;
}

static void score(const ground_truth *t, rmp_likelihood *l, const rmp_field *x, double s, rmp_field *out)
{
    bool alive[MOST_IMAGES];
    rmp_field *denoised = new_field(&t->space);
    for (int i = 0; i < MOST_IMAGES; ++i)
        alive[i] = true;
    OK(rmp_prior_denoise(t->prior, x, s, denoised));
    OK(rmp_likelihood_score(l, x, s, denoised, alive, out));
    rmp_field_destroy(&denoised);
}

/* Exact for a Gaussian prior, at every noise level. */
Test(likelihood, moment_is_exact_for_a_gaussian)
{
    ground_truth t = {0};
    open_gaussian(&t, 3, 0.05, 1, 0);
    rmp_likelihood *moment = open_likelihood(&t, RMP_LIKELIHOOD_MOMENT, 100);
    rmp_likelihood *exact = open_likelihood(&t, RMP_LIKELIHOOD_EXACT, 1);
    rmp_field *x = random_field(&t.space, 3), *a = new_field(&t.space), *b = new_field(&t.space);
    for (int i = 0; i < 5; ++i) {
        const double s = (double[]){0.02, 0.1, 0.5, 2.0, 20.0}[i];
        score(&t, moment, x, s, a);
        score(&t, exact, x, s, b);
        /* CG in float32 with condition numbers up to 400 */
        cr_expect(lt(dbl, relative_error(a, b), 1e-3), "s %g: %g", s, relative_error(a, b));
    }
    cr_expect(gt(i64, rmp_likelihood_cg_iterations(moment, 0), 5));
    cr_expect(eq(i64, rmp_likelihood_cg_iterations(moment, 0), rmp_likelihood_vjps(moment, 0)));
    rmp_likelihood_destroy(&moment);
    rmp_likelihood_destroy(&exact);
    rmp_field_destroy(&x);
    rmp_field_destroy(&a);
    rmp_field_destroy(&b);
    close_ground_truth(&t);
}

/* With the prior N(0, I): J = I / (1 + s^2), r^2 = s^2 / (1 + s^2) = s^2 J, and pigdm is moment. Far from it (J = 1)
 * the bound keeps it at the length of moment along its direction. */
Test(likelihood, pigdm_is_exact_for_white_images_and_bounded_for_others)
{
    for (int k = 0; k < 2; ++k) {
        ground_truth t = {0};
        double mean[32] = {0}, cov[32 * 32] = {0};
        for (int i = 0; i < 32; ++i)
            cov[33 * i] = k == 0 ? 1.0 : 1e4;
        t.device = reference_device();
        rmp_space_local(&t.space, t.device, 2, (rmp_shape){4, 8, 1});
        OK(rmp_prior_gaussian_create(&t.space, mean, cov, &t.prior));
        ground_truth_finish(&t, 12, 0.2, 0.1, 1, 0);
        rmp_likelihood *pigdm = open_likelihood(&t, RMP_LIKELIHOOD_PIGDM, 1);
        rmp_likelihood *exact = open_likelihood(&t, RMP_LIKELIHOOD_EXACT, 1);
        rmp_field *x = random_field(&t.space, 3), *a = new_field(&t.space), *b = new_field(&t.space);
        double aa[2], bb[2], ab[2];
        score(&t, pigdm, x, 5.0, a);
        score(&t, exact, x, 5.0, b);
        OK(rmp_field_dot(a, a, aa));
        OK(rmp_field_dot(b, b, bb));
        OK(rmp_field_dot(a, b, ab));
        if (k == 0) cr_expect(lt(dbl, relative_error(a, b), 1e-4));
        for (int i = 0; i < 2 && k == 1; ++i) { /* without the bound 25 times too long */
            cr_expect(le(dbl, aa[i], 1.5 * bb[i]), "%g, %g", aa[i], bb[i]);
            cr_expect(ge(dbl, ab[i], 0.7 * sqrt(aa[i] * bb[i])));
        }
        cr_expect(eq(i64, rmp_likelihood_vjps(pigdm, 1), 1));
        rmp_likelihood_destroy(&pigdm);
        rmp_likelihood_destroy(&exact);
        rmp_field_destroy(&x);
        rmp_field_destroy(&a);
        rmp_field_destroy(&b);
        close_ground_truth(&t);
    }
}

/* J^T A^T r / |r| is minus the gradient of |y - A D(x)|. */
Test(likelihood, dps_is_a_gradient)
{
    ground_truth t = {0};
    open_gaussian(&t, 2, 0.1, 2, 0);
    rmp_likelihood *l = open_likelihood(&t, RMP_LIKELIHOOD_DPS, 1);
    rmp_field *x = random_field(&t.space, 3), *u = random_field(&t.space, 4), *g = new_field(&t.space);
    rmp_field *denoised = new_field(&t.space);
    const double s = 0.7, h = 1e-2;
    double plus[2], minus[2], along[2];
    score(&t, l, x, s, g);
    OK(rmp_field_dot(g, u, along));
    OK(rmp_field_axpby1(h, u, 1.0, x));
    OK(rmp_prior_denoise(t.prior, x, s, denoised));
    OK(rmp_likelihood_misfit(l, denoised, plus));
    OK(rmp_field_axpby1(-2.0 * h, u, 1.0, x));
    OK(rmp_prior_denoise(t.prior, x, s, denoised));
    OK(rmp_likelihood_misfit(l, denoised, minus));
    for (int i = 0; i < 2; ++i) {
        const double difference = -(sqrt(plus[i]) - sqrt(minus[i])) / (2.0 * h);
        cr_expect(lt(dbl, fabs(difference - along[i]), 1e-3 * (1.0 + fabs(along[i]))), "%g, %g", difference, along[i]);
    }
    rmp_likelihood_destroy(&l);
    rmp_field_destroy(&x);
    rmp_field_destroy(&u);
    rmp_field_destroy(&g);
    rmp_field_destroy(&denoised);
    close_ground_truth(&t);
}

/* A prior whose J is what a test wants: D = x - s0 M x with a matrix M that is neither symmetric nor positive. */
typedef struct crooked {
    rmp_prior base;
    const double *jacobian; /* (D, D) */
    int64_t d;
} crooked;

static rmp_status multiply(const crooked *p, const rmp_field *x, bool transposed, rmp_field *out)
{
    float *values = values_of(x);
    double in[64], result[64];
    for (int64_t i = 0; i < x->space->n; ++i) {
        float single[64];
        for (int64_t j = 0; j < p->d; ++j)
            in[j] = values[i * p->d + j];
        (transposed ? rmp_dense_apply_transposed : rmp_dense_apply)(p->d, p->d, p->jacobian, in, result);
        for (int64_t j = 0; j < p->d; ++j)
            single[j] = (float)result[j];
        OK(rmp_field_put(out, i, single));
    }
    free(values);
    return RMP_OK;
}

static rmp_status crooked_denoise(rmp_prior *prior, const rmp_field *x, double s, rmp_field *out)
{
    (void)s;
    return multiply((crooked *)prior, x, false, out);
}

static rmp_status crooked_vjp(rmp_prior *prior, const rmp_field *v, rmp_field *out)
{
    return multiply((crooked *)prior, v, true, out);
}

static void crooked_destroy(rmp_prior *prior) { (void)prior; }

static const rmp_prior_ops crooked_ops = {.destroy = crooked_destroy, .denoise = crooked_denoise, .vjp = crooked_vjp};

/* Negative and rotating J: CG stops early, and its result stays of the size that pigdm's curvature gives. */
Test(likelihood, guard_against_a_crooked_jacobian)
{
    ground_truth t = {0};
    open_gaussian(&t, 2, 0.05, 3, 0);
    double jacobian[32 * 32];
    for (int k = 0; k < 2; ++k) {
        for (int i = 0; i < 32; ++i)
            for (int j = 0; j < 32; ++j)
                jacobian[32 * i + j] = k == 0 ? (i == j ? -0.5 : 0.0) : (i == j ? 0.1 : (j > i ? 1.0 : -1.0) / 8.0);
        crooked prior = {.base = {.ops = &crooked_ops, .space = &t.space}, .jacobian = jacobian, .d = 32};
        rmp_prior *good = t.prior;
        t.prior = &prior.base;
        rmp_likelihood *l = open_likelihood(&t, RMP_LIKELIHOOD_MOMENT, 200);
        rmp_field *x = random_field(&t.space, 3), *g = new_field(&t.space);
        double norm[2];
        score(&t, l, x, 1.0, g);
        OK(rmp_field_dot(g, g, norm));
        for (int64_t i = 0; i < 2; ++i) {
            cr_expect(le(i64, rmp_likelihood_cg_iterations(l, i), k == 0 ? 1 : 50));
            cr_expect(norm[i] > 0.0 && norm[i] < 1e4, "%g", norm[i]);
        }
        rmp_likelihood_destroy(&l);
        rmp_field_destroy(&x);
        rmp_field_destroy(&g);
        t.prior = good;
    }
    rmp_likelihood *l = NULL;
    crooked prior = {.base = {.ops = &crooked_ops, .space = &t.space}, .jacobian = jacobian, .d = 32};
    const rmp_likelihood_config exact = {.kind = RMP_LIKELIHOOD_EXACT};
    FAILS(rmp_likelihood_create(&exact, &prior.base, t.op, t.y, &t.problem.noise, &l), RMP_ERR_CONFIG);
    close_ground_truth(&t);
}

/* Without a spectrum conjugate gradients give the same, and what stands in missing pixels counts for nothing. */
Test(likelihood, plain_cg_and_missing_pixels)
{
    rmp_device *device = reference_device();
    rmp_space space;
    double mean[60] = {0}, *cov = calloc(60 * 60, sizeof *cov);
    for (int i = 0; i < 60; ++i)
        for (int j = 0; j < 60; ++j)
            cov[60 * i + j] = exp(-0.1 * abs(i - j));
    ground_truth t = {.device = device, .sigma = 0.1};
    rmp_space_local(&t.space, device, 2, (rmp_shape){6, 10, 1});
    space = t.space;
    OK(rmp_prior_gaussian_create(&space, mean, cov, &t.prior));
    const rmp_operator_config mask = {.kind = RMP_OPERATOR_INPAINT_RANDOM, .fraction = 0.5};
    const rmp_operator_config blur = {.kind = RMP_OPERATOR_GAUSSIAN_BLUR, .kernel_size = 5, .kernel_std = 0.8};
    float kernel[25], weight[5], sum = 0.0f;
    for (int i = 0; i < 5; ++i) {
        weight[i] = (float)exp(-0.5 * (i - 2) * (i - 2) / 0.64);
        sum += weight[i];
    }
    for (int i = 0; i < 25; ++i)
        kernel[i] = weight[i / 5] * weight[i % 5] / (sum * sum);
    const rmp_operator_config same = {.kind = RMP_OPERATOR_MOTION_BLUR, .kernel_size = 5, .kernel = kernel};
    rmp_field *x = random_field(&t.space, 1), *a = new_field(&t.space), *b = new_field(&t.space);
    for (int k = 0; k < 2; ++k) { /* one blur with a spectrum and without */
        const rmp_likelihood_kind kind = k == 0 ? RMP_LIKELIHOOD_SPECTRAL : RMP_LIKELIHOOD_PIGDM;
        for (int j = 0; j < 2; ++j) {
            OK(rmp_operator_create(device, j == 0 ? &blur : &same, 0, 2, t.space.shape, &t.op));
            cr_assert(eq(int, rmp_operator_has_spectrum(t.op), j == 0));
            t.y = random_field(rmp_operator_range(t.op), 5);
            rmp_likelihood *l = open_likelihood(&t, kind, 1);
            score(&t, l, x, 0.6, j == 0 ? a : b);
            rmp_likelihood_destroy(&l);
            rmp_field_destroy(&t.y);
            rmp_operator_destroy(&t.op);
        }
        cr_expect(lt(dbl, relative_error(b, a), 1e-3), "%g", relative_error(b, a)); /* CG stops at 1e-5, condition 37 */
    }
    OK(rmp_operator_create(device, &mask, 0, 2, t.space.shape, &t.op));
    OK(rmp_operator_draw(t.op, keys(1, 0)));
    t.y = random_field(rmp_operator_range(t.op), 5);
    for (int k = 0; k < 4; ++k) {
        rmp_likelihood *l = open_likelihood(&t, (rmp_likelihood_kind)k, 5);
        score(&t, l, x, 0.6, a);
        rmp_likelihood_destroy(&l);
        rmp_field *clean = new_field(rmp_operator_range(t.op)), *dirty = t.y;
        OK(rmp_field_copy(t.y, clean));
        OK(rmp_operator_mask_measurement(t.op, clean));
        cr_assert(not(same_bytes(clean, dirty)));
        t.y = clean;
        l = open_likelihood(&t, (rmp_likelihood_kind)k, 5);
        score(&t, l, x, 0.6, b);
        rmp_likelihood_destroy(&l);
        cr_expect(same_bytes(a, b), "likelihood %d", k);
        t.y = dirty;
        rmp_field_destroy(&clean);
    }
    free(cov);
    rmp_field_destroy(&x);
    rmp_field_destroy(&a);
    rmp_field_destroy(&b);
    close_ground_truth(&t);
}
