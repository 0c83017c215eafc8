/* Every operator through the same tests, on both devices: adjoint, derivative, closed-form solve; then what is special
 * to each. */
#include "core/operator.h"
#include "tests/unit/fields.h"

typedef struct operator_case {
    const char *name;
    rmp_operator_config config;
    rmp_shape image;
    /* Where the derivative is looked at, off corners and poles: */
    float low;  /* images hold nothing below, if it is not 0 */
    bool spike; /* one number of each channel is far larger than the others */
} operator_case;

enum { MATRIX_ROWS = 11, MATRIX_COLUMNS = 24 };

static float matrix_values[MATRIX_ROWS * MATRIX_COLUMNS];
static rmp_tensor matrix = {.dtype = RMP_F32, .rank = 2, .dims = {MATRIX_ROWS, MATRIX_COLUMNS}, .data = matrix_values};

/* std = 0.125 leaves the image nearly alone, so that hdr meets numbers off its corners. */
static const rmp_operator_config blur_small_gray[] = {
    {.kind = RMP_OPERATOR_GAUSSIAN_BLUR, .kernel_size = 5, .kernel_std = 1.0},
    {.kind = RMP_OPERATOR_SUPER_RESOLUTION, .factor = 2},
    {.kind = RMP_OPERATOR_GRAYSCALE}};
static const rmp_operator_config small_mask[] = {{.kind = RMP_OPERATOR_SUPER_RESOLUTION, .factor = 2},
                                                 {.kind = RMP_OPERATOR_INPAINT_RANDOM, .fraction = 0.4}};
static const rmp_operator_config blur_hdr_mask[] = {
    {.kind = RMP_OPERATOR_GAUSSIAN_BLUR, .kernel_size = 3, .kernel_std = 0.125},
    {.kind = RMP_OPERATOR_HDR},
    {.kind = RMP_OPERATOR_INPAINT_BOX, .box_h = 4, .box_w = 3, .margin = 1}};

/* Odd sizes, sizes that the factor does not divide, images smaller than the kernel, one channel. */
static const operator_case cases[] = {
    {"bicubic x4", {.kind = RMP_OPERATOR_SUPER_RESOLUTION, .factor = 4}, {37, 53, 3}, 0.0f, false},
    {"bicubic x2", {.kind = RMP_OPERATOR_SUPER_RESOLUTION, .factor = 2}, {16, 12, 1}, 0.0f, false},
    {"bicubic x8, tiny", {.kind = RMP_OPERATOR_SUPER_RESOLUTION, .factor = 8}, {5, 9, 1}, 0.0f, false},
    {"box x3",
     {.kind = RMP_OPERATOR_SUPER_RESOLUTION, .factor = 3, .reduction = RMP_REDUCTION_BOX},
     {37, 20, 3},
     0.0f,
     false},
    {"gaussian blur",
     {.kind = RMP_OPERATOR_GAUSSIAN_BLUR, .kernel_size = 61, .kernel_std = 3.0},
     {37, 53, 3},
     0.0f,
     false},
    {"gaussian blur, tiny",
     {.kind = RMP_OPERATOR_GAUSSIAN_BLUR, .kernel_size = 61, .kernel_std = 3.0},
     {9, 4, 1},
     0.0f,
     false},
    {"motion blur", {.kind = RMP_OPERATOR_MOTION_BLUR, .kernel_size = 15, .intensity = 0.5}, {37, 23, 3}, 0.0f, false},
    {"motion blur, tiny",
     {.kind = RMP_OPERATOR_MOTION_BLUR, .kernel_size = 61, .intensity = 0.5},
     {13, 8, 1},
     0.0f,
     false},
    {"box", {.kind = RMP_OPERATOR_INPAINT_BOX, .box_h = 8, .box_w = 11, .margin = 3}, {37, 23, 3}, 0.0f, false},
    {"random mask", {.kind = RMP_OPERATOR_INPAINT_RANDOM, .fraction = 0.7}, {37, 23, 3}, 0.0f, false},
    {"denoise", {.kind = RMP_OPERATOR_DENOISE}, {7, 5, 1}, 0.0f, false},
    {"grayscale", {.kind = RMP_OPERATOR_GRAYSCALE}, {13, 8, 3}, 0.0f, false},
    {"blur, x2, gray", {.kind = RMP_OPERATOR_COMPOSE, .part = blur_small_gray, .parts = 3}, {15, 11, 3}, 0.0f, false},
    {"x2, mask", {.kind = RMP_OPERATOR_COMPOSE, .part = small_mask, .parts = 2}, {16, 11, 3}, 0.0f, false},
    {"hdr", {.kind = RMP_OPERATOR_HDR}, {9, 14, 3}, 0.0f, false},
    {"gamma 2.2", {.kind = RMP_OPERATOR_GAMMA, .gamma = 2.2}, {9, 14, 3}, -0.9375f, false},
    {"gamma 0.45", {.kind = RMP_OPERATOR_GAMMA, .gamma = 0.45}, {9, 14, 1}, -0.4375f, false},
    {"phase", {.kind = RMP_OPERATOR_PHASE_RETRIEVAL, .oversampling = 2.0}, {9, 14, 3}, 0.0f, true},
    {"phase, no padding", {.kind = RMP_OPERATOR_PHASE_RETRIEVAL}, {16, 7, 1}, 0.0f, true},
    {"blur, hdr, mask", {.kind = RMP_OPERATOR_COMPOSE, .part = blur_hdr_mask, .parts = 3}, {12, 9, 3}, 0.0f, false},
    {"matrix", {.kind = RMP_OPERATOR_MATRIX, .matrix = &matrix}, {2, 3, 4}, 0.0f, false},
};
enum { CASES = sizeof cases / sizeof *cases, IMAGES = 2, DEVICES = 2 };

static rmp_device *device_of(int which)
{
    rmp_device *device = NULL;
    if (which == 0) return reference_device();
    OK(rmp_host_create(2, 0, &device));
    return device;
}

static rmp_operator *create(rmp_device *device, const operator_case *c)
{
    for (int i = 0; i < MATRIX_ROWS * MATRIX_COLUMNS; ++i)
        matrix_values[i] = rmp_random_normal((rmp_key){1, 1}, 0, 0, (uint64_t)i);
    rmp_operator *op = NULL;
    OK(rmp_operator_create(device, &c->config, 3, IMAGES, c->image, &op));
    OK(rmp_operator_draw(op, keys(3, 0)));
    return op;
}

/* <A x, y> = <x, A^T y>, the adjoint before any forward. */
static void check_adjoint(rmp_device *device, const operator_case *c)
{
    rmp_operator *op = create(device, c);
    rmp_field *x = random_field(rmp_operator_domain(op), 0), *y = random_field(rmp_operator_range(op), 1);
    rmp_field *ax = new_field(rmp_operator_range(op)), *aty = new_field(rmp_operator_domain(op));
    double left[IMAGES], right[IMAGES], size[IMAGES];
    if (rmp_operator_is_linear(op)) {
        OK(rmp_operator_adjoint(op, y, aty));
        OK(rmp_operator_forward(op, x, ax));
        OK(rmp_field_dot(ax, y, left));
        OK(rmp_field_dot(x, aty, right));
        OK(rmp_field_dot(y, y, size));
        for (int k = 0; k < IMAGES; ++k) /* float32 sums of a few thousand terms */
            cr_expect(lt(dbl, fabs(left[k] - right[k]), 1e-5 * size[k]), "%s, %s: %g, %g", c->name, device->kind,
                      left[k], right[k]);
    } else {
        FAILS(rmp_operator_adjoint(op, y, aty), RMP_ERR_ARGUMENT);
        FAILS(rmp_operator_matrix(op, 0, NULL), RMP_ERR_ARGUMENT);
        FAILS(rmp_operator_vjp(op, y, aty), RMP_ERR_ARGUMENT); /* of which forward? */
    }
    cr_expect(eq(int, rmp_operator_is_linear(op), rmp_operator_config_is_linear(&c->config)), "%s", c->name);
    cr_expect(eq(int, rmp_operator_has_mask(op), rmp_operator_config_mask(&c->config) != NULL), "%s", c->name);
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    rmp_field_destroy(&ax);
    rmp_field_destroy(&aty);
    rmp_operator_destroy(&op);
}

Test(operators, adjoint_of_each)
{
    for (int d = 0; d < DEVICES; ++d) {
        rmp_device *device = device_of(d);
        for (int i = 0; i < CASES; ++i)
            check_adjoint(device, &cases[i]);
        rmp_device_destroy(&device);
    }
}

/* Numbers on a grid of (k + 1/2) / 8, so that no difference crosses a corner, which all are at multiples of 1/8. */
static void fill_image(const operator_case *c, rmp_field *x)
{
    const rmp_shape s = c->image;
    const int64_t count = rmp_shape_count(s);
    float *values = values_of(x);
    for (int64_t i = 0; i < IMAGES; ++i) {
        float *image = values + i * count;
        for (int64_t j = 0; j < count; ++j) {
            image[j] = (floorf(image[j] * 8.0f) + 0.5f) / 8.0f;
            if (c->low < 0.0f && image[j] < c->low) image[j] = c->low;
            if (c->spike && j / s.c == s.h / 2 * s.w + s.w - 1) image[j] = 16.0f;
        }
        OK(rmp_field_put(x, i, image));
    }
    free(values);
}

/* <v, (A(x + h u) - A(x - h u))> / 2h of each image. */
static void difference(rmp_operator *op, const rmp_field *x, const rmp_field *u, const rmp_field *v, double h,
                       double out[IMAGES])
{
    rmp_field *moved = new_field(rmp_operator_domain(op)), *y = new_field(rmp_operator_range(op));
    double sum[IMAGES] = {0};
    for (int sign = 1; sign >= -1; sign -= 2) {
        OK(rmp_field_copy(x, moved));
        OK(rmp_field_axpby1(sign * h, u, 1.0, moved));
        OK(rmp_operator_forward(op, moved, y));
        OK(rmp_field_dot(v, y, sum));
        for (int k = 0; k < IMAGES; ++k)
            out[k] = (sign > 0 ? 0.0 : out[k]) + sign * sum[k] / (2.0 * h);
    }
    rmp_field_destroy(&moved);
    rmp_field_destroy(&y);
}

/* The VJP against differences, extrapolated; of a linear operator they are its values. u holds +-1, so that |g| is the
 * standard deviation of <u, g>. A y of up to 10 is rounded to float32 and divided by h / 2: 4e-5 of |g|. */
static void check_derivative(rmp_device *device, const operator_case *c)
{
    rmp_operator *op = create(device, c);
    rmp_field *x = random_field(rmp_operator_domain(op), 0), *u = random_field(rmp_operator_domain(op), 1);
    rmp_field *v = random_field(rmp_operator_range(op), 2), *y = new_field(rmp_operator_range(op));
    rmp_field *g = new_field(rmp_operator_domain(op));
    double coarse[IMAGES], fine[IMAGES], have[IMAGES], norm[IMAGES];
    const double h = 1.0 / 32.0;
    fill_image(c, x);
    float *signs = values_of(u);
    for (int64_t i = 0; i < floats_of(rmp_operator_domain(op)); ++i)
        signs[i] = signs[i] < 0.0f ? -1.0f : 1.0f;
    for (int64_t i = 0; i < IMAGES; ++i)
        OK(rmp_field_put(u, i, signs + i * rmp_shape_count(c->image)));
    free(signs);
    difference(op, x, u, v, h, coarse);
    difference(op, x, u, v, h / 2.0, fine);
    OK(rmp_operator_forward(op, x, y));
    OK(rmp_operator_vjp(op, v, g));
    OK(rmp_field_dot(u, g, have));
    OK(rmp_field_dot(g, g, norm));
    for (int k = 0; k < IMAGES; ++k) {
        const double want = (4.0 * fine[k] - coarse[k]) / 3.0;
        cr_expect(lt(dbl, fabs(have[k] - want), 1e-4 * sqrt(norm[k])), "%s, %s: %g, %g, |g| %g", c->name, device->kind,
                  have[k], want, sqrt(norm[k]));
        cr_expect(gt(dbl, norm[k], 0.0), "%s", c->name);
    }
    rmp_field_destroy(&x);
    rmp_field_destroy(&u);
    rmp_field_destroy(&v);
    rmp_field_destroy(&y);
    rmp_field_destroy(&g);
    rmp_operator_destroy(&op);
}

Test(operators, derivative_of_each)
{
    for (int d = 0; d < DEVICES; ++d) {
        rmp_device *device = device_of(d);
        for (int i = 0; i < CASES; ++i)
            check_derivative(device, &cases[i]);
        rmp_device_destroy(&device);
    }
}

/* The tests above are only worth their names while they see every kind. */
Test(operators, every_kind_has_a_case)
{
    bool seen[RMP_OPERATOR_KINDS] = {false};
    for (int i = 0; i < CASES; ++i)
        seen[cases[i].config.kind] = true;
    seen[RMP_OPERATOR_INPAINT_MASK] = true;   /* inpaint_random with another draw; test masks */
    seen[RMP_OPERATOR_NONLINEAR_BLUR] = true; /* corners all over its network: test_nonlinear_blur.c */
    for (int kind = 0; kind < RMP_OPERATOR_KINDS; ++kind)
        cr_expect(seen[kind], "no case of kind %d", kind);
}

/* Of a linear operator A (x + h u) - A x = h A u for any h, and A 0 = 0. */
Test(operators, linearity_of_each)
{
    rmp_device *device = reference_device();
    for (int i = 0; i < CASES; ++i) {
        rmp_operator *op = create(device, &cases[i]);
        rmp_field *x = random_field(rmp_operator_domain(op), 0), *u = random_field(rmp_operator_domain(op), 1);
        rmp_field *ax = new_field(rmp_operator_range(op)), *au = new_field(rmp_operator_range(op));
        rmp_field *moved = new_field(rmp_operator_range(op)), *zero = new_field(rmp_operator_domain(op));
        double norm[IMAGES];
        OK(rmp_operator_forward(op, x, ax));
        OK(rmp_operator_forward(op, u, au));
        OK(rmp_field_axpby1(0.5, u, 1.0, x));
        OK(rmp_operator_forward(op, x, moved));
        OK(rmp_field_axpby1(-1.0, ax, 1.0, moved));
        OK(rmp_field_axpby1(0.0, au, 0.5, au));
        const double error = relative_error(moved, au);
        cr_expect(eq(int, error < 1e-5, rmp_operator_is_linear(op)), "%s: %g", cases[i].name, error);
        OK(rmp_operator_forward(op, zero, ax));
        OK(rmp_field_dot(ax, ax, norm));
        cr_expect(norm[0] + norm[1] == 0.0 || rmp_operator_is_linear(op) == false, "%s", cases[i].name);
        rmp_field_destroy(&x);
        rmp_field_destroy(&u);
        rmp_field_destroy(&ax);
        rmp_field_destroy(&au);
        rmp_field_destroy(&moved);
        rmp_field_destroy(&zero);
        rmp_operator_destroy(&op);
    }
    rmp_device_destroy(&device);
}

/* (a I + b A A^T) solve(y) = y, a and b per image. */
Test(operators, spectrum_of_each)
{
    rmp_device *device = reference_device();
    int with_spectrum = 0;
    for (int i = 0; i < CASES; ++i) {
        rmp_operator *op = create(device, &cases[i]);
        const double a[IMAGES] = {0.3, 0.01}, b[IMAGES] = {0.7, 2.0};
        rmp_field *y = random_field(rmp_operator_range(op), 0), *z = random_field(rmp_operator_range(op), 0);
        rmp_field *image = new_field(rmp_operator_domain(op)), *back = new_field(rmp_operator_range(op));
        if (rmp_operator_has_spectrum(op)) {
            ++with_spectrum;
            OK(rmp_operator_solve(op, a, b, z));
            OK(rmp_operator_adjoint(op, z, image));
            OK(rmp_operator_forward(op, image, back));
            OK(rmp_field_axpby(a, z, b, back));
            /* float32 with a condition number up to 200 (700 for the matrix) */
            cr_expect(lt(dbl, relative_error(back, y), 1e-4), "%s: %g", cases[i].name, relative_error(back, y));
            FAILS(rmp_operator_solve(op, (double[]){0.0, 1.0}, b, z), RMP_ERR_ARGUMENT);
        } else {
            FAILS(rmp_operator_solve(op, a, b, z), RMP_ERR_ARGUMENT);
        }
        rmp_field_destroy(&y);
        rmp_field_destroy(&z);
        rmp_field_destroy(&image);
        rmp_field_destroy(&back);
        rmp_operator_destroy(&op);
    }
    cr_assert(eq(int, with_spectrum, 11)); /* all but motion blur, compose and what is not linear */
    rmp_device_destroy(&device);
}

Test(operators, averages_keep_constants)
{
    rmp_device *device = reference_device();
    for (int i = 0; i < 8; ++i) { /* reductions and blurs */
        rmp_operator *op = create(device, &cases[i]);
        rmp_field *x = new_field(rmp_operator_domain(op)), *y = new_field(rmp_operator_range(op));
        const int64_t count = rmp_shape_count(rmp_operator_domain(op)->shape);
        float *ones = malloc((size_t)count * sizeof *ones);
        for (int64_t j = 0; j < count; ++j)
            ones[j] = 0.75f;
        OK(rmp_field_put(x, 0, ones));
        OK(rmp_operator_forward(op, x, y));
        float *values = values_of(y);
        for (int64_t j = 0; j < rmp_shape_count(rmp_operator_range(op)->shape); ++j)
            cr_assert(lt(flt, fabsf(values[j] - 0.75f), 1e-5f), "%s", cases[i].name);
        free(ones);
        free(values);
        rmp_field_destroy(&x);
        rmp_field_destroy(&y);
        rmp_operator_destroy(&op);
    }
    rmp_device_destroy(&device);
}

Test(operators, shapes)
{
    rmp_shape shape;
    const rmp_operator_config sr = {.kind = RMP_OPERATOR_SUPER_RESOLUTION, .factor = 4};
    OK(rmp_operator_measured_shape(&sr, (rmp_shape){37, 53, 3}, &shape));
    cr_assert(shape.h == 10 && shape.w == 14 && shape.c == 3);
    OK(rmp_operator_image_shape(&sr, shape, &shape));
    cr_assert(shape.h == 40 && shape.w == 56 && shape.c == 3);
    const rmp_operator_config a = {.kind = RMP_OPERATOR_MATRIX, .matrix = &matrix};
    OK(rmp_operator_measured_shape(&a, (rmp_shape){1, 1, MATRIX_COLUMNS}, &shape));
    cr_assert(eq(i64, shape.c, MATRIX_ROWS));
    FAILS(rmp_operator_measured_shape(&a, (rmp_shape){1, 1, 7}, &shape), RMP_ERR_CONFIG);
    FAILS(rmp_operator_image_shape(&a, (rmp_shape){1, 1, 7}, &shape), RMP_ERR_CONFIG);
}

/* An exact count, shared by the channels; an item keeps its mask in any batch, and other items have others. */
Test(operators, masks)
{
    rmp_device *device = reference_device();
    const rmp_shape image = {19, 23, 3};
    const rmp_operator_config config = {.kind = RMP_OPERATOR_INPAINT_RANDOM, .fraction = 0.7};
    rmp_operator *two = NULL, *one = NULL;
    float a[437], b[437], alone[437];
    OK(rmp_operator_create(device, &config, 1, 2, image, &two));
    OK(rmp_operator_create(device, &config, 1, 1, image, &one));
    cr_assert(rmp_operator_has_mask(two));
    rmp_field *x = random_field(rmp_operator_domain(two), 0), *y = new_field(rmp_operator_range(two));
    FAILS(rmp_operator_forward(two, x, y), RMP_ERR_ARGUMENT); /* nothing drawn */
    OK(rmp_operator_draw(two, keys(8, 4)));
    OK(rmp_operator_draw(one, keys(8, 5)));
    OK(rmp_operator_get_mask(two, 0, a));
    OK(rmp_operator_get_mask(two, 1, b));
    OK(rmp_operator_get_mask(one, 0, alone));
    int measured = 0;
    for (int i = 0; i < 437; ++i)
        measured += a[i] == 1.0f;
    cr_assert(eq(int, measured, 437 - 306)); /* 0.7 x 437 = 305.9 */
    cr_assert(eq(i64, rmp_operator_measured(two, 0), 3 * measured));
    cr_assert(eq(int, memcmp(b, alone, sizeof b), 0));
    cr_assert(ne(int, memcmp(a, b, sizeof b), 0));
    OK(rmp_operator_forward(two, x, y));
    OK(rmp_operator_mask_measurement(two, x));
    cr_assert(same_bytes(x, y)); /* masking the image's own pixels is the measurement */
    float *values = values_of(y);
    for (int i = 0; i < 437 * 3; ++i)
        cr_assert(eq(int, values[i] == 0.0f, a[i / 3] == 0.0f));
    free(values);

    /* A mask that changes is seen by the adjoint, too. */
    for (int i = 0; i < 437; ++i)
        a[i] = 1.0f - a[i];
    OK(rmp_operator_set_mask(two, 0, a));
    OK(rmp_operator_adjoint(two, y, x));
    values = values_of(x);
    for (int i = 0; i < 437 * 3; ++i)
        cr_assert(eq(flt, values[i], 0.0f));
    free(values);
    a[0] = 0.5f;
    FAILS(rmp_operator_set_mask(two, 0, a), RMP_ERR_ARGUMENT);
    FAILS(rmp_operator_set_mask(two, 2, b), RMP_ERR_ARGUMENT);
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    rmp_operator_destroy(&one);
    rmp_operator_destroy(&two);
    rmp_device_destroy(&device);
}

Test(operators, box_stays_inside_its_margin)
{
    rmp_device *device = reference_device();
    const rmp_operator_config config = {.kind = RMP_OPERATOR_INPAINT_BOX, .box_h = 6, .box_w = 4, .margin = 2};
    rmp_operator *op = NULL;
    OK(rmp_operator_create(device, &config, 1, MOST_IMAGES, (rmp_shape){12, 11, 1}, &op));
    OK(rmp_operator_draw(op, keys(4, 0)));
    bool touched[12 * 11] = {false};
    for (int64_t i = 0; i < MOST_IMAGES; ++i) {
        float mask[12 * 11];
        int missing = 0;
        OK(rmp_operator_get_mask(op, i, mask));
        for (int p = 0; p < 12 * 11; ++p) {
            missing += mask[p] == 0.0f;
            touched[p] |= mask[p] == 0.0f;
        }
        cr_assert(eq(int, missing, 24));
    }
    for (int r = 0; r < 12; ++r) /* every place that the margin leaves, and no other */
        for (int c = 0; c < 11; ++c)
            cr_assert(touched[r * 11 + c] == (r >= 2 && r < 10 && c >= 2 && c < 9));
    rmp_operator_destroy(&op);
    rmp_device_destroy(&device);
}

Test(operators, motion_kernel)
{
    rmp_device *device = reference_device();
    rmp_operator_config config = {.kind = RMP_OPERATOR_MOTION_BLUR, .kernel_size = 61, .intensity = 0.5};
    const rmp_shape image = {16, 16, 1};
    float previous[61 * 61] = {0};
    for (uint64_t seed = 1; seed < 6; ++seed) {
        rmp_operator *op = NULL, *again = NULL;
        int64_t size = 0;
        OK(rmp_operator_create(device, &config, seed, 1, image, &op));
        OK(rmp_operator_create(device, &config, seed, 2, image, &again));
        const float *kernel = rmp_operator_kernel(op, &size);
        cr_assert(eq(i64, size, 61));
        double sum = 0, mx = 0, my = 0, spread = 0;
        for (int i = 0; i < 61 * 61; ++i) {
            cr_assert(kernel[i] >= 0.0f);
            sum += (double)kernel[i];
            mx += kernel[i] * (double)(i % 61 - 30);
            my += kernel[i] * (double)(i / 61 - 30);
        }
        for (int i = 0; i < 61 * 61; ++i)
            spread += kernel[i] * (double)((i % 61 - 30) * (i % 61 - 30) + (i / 61 - 30) * (i / 61 - 30));
        cr_assert(lt(dbl, fabs(sum - 1.0), 1e-5));
        cr_assert(lt(dbl, fmax(fabs(mx), fabs(my)), 1e-3)); /* no shift of the image */
        cr_assert(gt(dbl, sqrt(spread), 2.0));              /* and a blur that is one */
        cr_assert(eq(int, memcmp(kernel, rmp_operator_kernel(again, &size), sizeof previous), 0));
        cr_assert(ne(int, memcmp(kernel, previous, sizeof previous), 0));
        memcpy(previous, kernel, sizeof previous);
        rmp_operator_destroy(&op);
        rmp_operator_destroy(&again);
    }
    rmp_device_destroy(&device);
}

/* Convolution with the kernel that was given: a single bright pixel becomes that kernel, not a turned one. */
Test(operators, given_kernel)
{
    rmp_device *device = reference_device();
    float kernel[9] = {0.1f, 0.2f, 0.0f, 0.0f, 0.3f, 0.0f, 0.0f, 0.0f, 0.4f};
    rmp_operator_config config = {.kind = RMP_OPERATOR_MOTION_BLUR, .kernel_size = 3, .kernel = kernel};
    rmp_operator *op = NULL;
    OK(rmp_operator_create(device, &config, 0, 1, (rmp_shape){5, 5, 1}, &op));
    rmp_field *x = new_field(rmp_operator_domain(op)), *y = new_field(rmp_operator_range(op));
    float image[25] = {0};
    image[12] = 1.0f;
    OK(rmp_field_put(x, 0, image));
    OK(rmp_operator_forward(op, x, y));
    float *values = values_of(y);
    for (int q = 0; q < 9; ++q) /* y[centre + offset(q)] = kernel[q] */
        cr_assert(eq(flt, values[(2 + q / 3 - 1) * 5 + 2 + q % 3 - 1], kernel[q]));
    free(values);
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    rmp_operator_destroy(&op);
    kernel[0] = 1.0f;
    FAILS(rmp_operator_create(device, &config, 0, 1, (rmp_shape){5, 5, 1}, &op), RMP_ERR_CONFIG);
    cr_assert(op == NULL);
    rmp_device_destroy(&device);
}

Test(operators, dense_matrix)
{
    rmp_device *device = reference_device();
    rmp_operator *op = create(device, &cases[CASES - 1]);
    double a[MATRIX_ROWS * MATRIX_COLUMNS];
    OK(rmp_operator_matrix(op, 1, a));
    for (int i = 0; i < MATRIX_ROWS * MATRIX_COLUMNS; ++i)
        cr_assert(eq(dbl, a[i], (double)matrix_values[i]));
    rmp_operator_destroy(&op);
    rmp_device_destroy(&device);
}

Test(operators, estimate_without_allocation)
{
    rmp_device *device = reference_device();
    for (int i = 0; i < CASES; ++i) {
        int64_t two = 0, four = 0;
        OK(rmp_operator_estimate(device, &cases[i].config, 2, cases[i].image, &two));
        OK(rmp_operator_estimate(device, &cases[i].config, 4, cases[i].image, &four));
        cr_assert(two > 0 && four > two, "%s: %lld, %lld", cases[i].name, (long long)two, (long long)four);
    }
    rmp_device_destroy(&device);
}

Test(operators, refuses_bad_configurations)
{
    rmp_device *device = reference_device();
    const struct {
        rmp_operator_config config;
        const char *key;
    } bad[] = {
        {{.kind = (rmp_operator_kind)77}, "operator.kind"},
        {{.kind = RMP_OPERATOR_SUPER_RESOLUTION, .factor = 0}, "operator.factor"},
        {{.kind = RMP_OPERATOR_GAUSSIAN_BLUR, .kernel_size = 60, .kernel_std = 3}, "operator.kernel_size"},
        {{.kind = RMP_OPERATOR_GAUSSIAN_BLUR, .kernel_size = 61, .kernel_std = 0}, "operator.kernel_std"},
        {{.kind = RMP_OPERATOR_GAUSSIAN_BLUR, .kernel_size = 61, .kernel_std = NAN}, "operator.kernel_std"},
        {{.kind = RMP_OPERATOR_MOTION_BLUR, .kernel_size = 4, .intensity = 0.5}, "operator.kernel_size"},
        {{.kind = RMP_OPERATOR_MOTION_BLUR, .kernel_size = 61, .intensity = 1.5}, "operator.intensity"},
        {{.kind = RMP_OPERATOR_INPAINT_BOX, .box_h = 0, .box_w = 4}, "operator.box_h"},
        {{.kind = RMP_OPERATOR_INPAINT_BOX, .box_h = 15, .box_w = 4, .margin = 1}, "operator.box"},
        {{.kind = RMP_OPERATOR_INPAINT_RANDOM, .fraction = 1.0}, "operator.fraction"},
        {{.kind = RMP_OPERATOR_INPAINT_RANDOM, .fraction = NAN}, "operator.fraction"},
        {{.kind = RMP_OPERATOR_MATRIX}, "operator.file"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        rmp_operator *op = NULL;
        FAILS(rmp_operator_create(device, &bad[i].config, 0, 1, (rmp_shape){16, 16, 1}, &op), RMP_ERR_CONFIG);
        cr_assert(op == NULL);
        cr_assert(strstr(rmp_fail_message(), bad[i].key) != NULL, "%s: %s", bad[i].key, rmp_fail_message());
    }
    rmp_operator *op = NULL;
    FAILS(rmp_operator_create(device, &cases[0].config, 0, 0, (rmp_shape){16, 16, 1}, &op), RMP_ERR_ARGUMENT);
    rmp_device_destroy(&device);
}
