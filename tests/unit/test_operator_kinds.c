/* What is special to operators that are not linear and to compositions. */
#include "core/operator.h"
#include "tests/unit/fields.h"

static const float matrix_values[4] = {1.0f, 0.0f, 0.0f, 1.0f};
static const rmp_tensor matrix = {.dtype = RMP_F32, .rank = 2, .dims = {2, 2}, .data = matrix_values};
static const rmp_operator_config blur_small_gray[] = {
    {.kind = RMP_OPERATOR_GAUSSIAN_BLUR, .kernel_size = 5, .kernel_std = 1.0},
    {.kind = RMP_OPERATOR_SUPER_RESOLUTION, .factor = 2},
    {.kind = RMP_OPERATOR_GRAYSCALE}};

/* Shapes there and back, and what makes no sense. */
Test(operator_kinds, phase_retrieval_shapes)
{
    rmp_shape shape;
    rmp_operator_config config = {.kind = RMP_OPERATOR_PHASE_RETRIEVAL, .oversampling = 2.0};
    OK(rmp_operator_measured_shape(&config, (rmp_shape){256, 255, 3}, &shape));
    cr_assert(shape.h == 384 && shape.w == 381 && shape.c == 3);
    OK(rmp_operator_image_shape(&config, shape, &shape));
    cr_assert(shape.h == 256 && shape.w == 255 && shape.c == 3);
    FAILS(rmp_operator_image_shape(&config, (rmp_shape){5, 4, 1}, &shape), RMP_ERR_CONFIG); /* 3 -> 3, 4 -> 6 */
    config.oversampling = 33.0;
    FAILS(rmp_operator_measured_shape(&config, (rmp_shape){8, 8, 1}, &shape), RMP_ERR_CONFIG);
    cr_assert(rmp_operator_config_has_magnitudes(&config));
    config = (rmp_operator_config){.kind = RMP_OPERATOR_GAMMA, .gamma = 20.0};
    FAILS(rmp_operator_measured_shape(&config, (rmp_shape){8, 8, 1}, &shape), RMP_ERR_CONFIG);
    config = (rmp_operator_config){.kind = RMP_OPERATOR_GRAYSCALE};
    FAILS(rmp_operator_measured_shape(&config, (rmp_shape){8, 8, 1}, &shape), RMP_ERR_CONFIG);
    FAILS(rmp_operator_image_shape(&config, (rmp_shape){8, 8, 3}, &shape), RMP_ERR_CONFIG);
    config = (rmp_operator_config){.kind = RMP_OPERATOR_KINDS};
    FAILS(rmp_operator_measured_shape(&config, (rmp_shape){8, 8, 1}, &shape), RMP_ERR_CONFIG);
    cr_assert(eq(int, rmp_operator_config_is_linear(&config), false));
}

Test(operator_kinds, parts_of_compose)
{
    rmp_shape shape;
    rmp_operator_config config = {.kind = RMP_OPERATOR_COMPOSE, .part = blur_small_gray, .parts = 3};
    OK(rmp_operator_measured_shape(&config, (rmp_shape){15, 11, 3}, &shape));
    cr_assert(shape.h == 8 && shape.w == 6 && shape.c == 1);
    OK(rmp_operator_image_shape(&config, shape, &shape));
    cr_assert(shape.h == 16 && shape.w == 12 && shape.c == 3);
    cr_assert(rmp_operator_config_is_linear(&config) && rmp_operator_config_mask(&config) == NULL);
    config.parts = 0;
    FAILS(rmp_operator_measured_shape(&config, shape, &shape), RMP_ERR_CONFIG);
    config.parts = RMP_OPERATOR_MOST_PARTS + 1;
    FAILS(rmp_operator_measured_shape(&config, shape, &shape), RMP_ERR_CONFIG);

    rmp_operator_config part[2] = {{.kind = RMP_OPERATOR_INPAINT_RANDOM, .fraction = 0.5}, {.kind = RMP_OPERATOR_HDR}};
    config = (rmp_operator_config){.kind = RMP_OPERATOR_COMPOSE, .part = part, .parts = 2};
    FAILS(rmp_operator_measured_shape(&config, shape, &shape), RMP_ERR_CONFIG); /* a mask that is not last */
    cr_assert(strstr(rmp_fail_message(), "part 1 (inpaint_random)") != NULL, "%s", rmp_fail_message());
    part[0] = (rmp_operator_config){.kind = RMP_OPERATOR_SUPER_RESOLUTION, .factor = 100};
    FAILS(rmp_operator_measured_shape(&config, shape, &shape), RMP_ERR_CONFIG);
    cr_assert(strstr(rmp_fail_message(), "part 1 (super_resolution): operator.factor") != NULL, "%s",
              rmp_fail_message());
    part[0] = (rmp_operator_config){.kind = RMP_OPERATOR_MATRIX, .matrix = &matrix};
    FAILS(rmp_operator_measured_shape(&config, shape, &shape), RMP_ERR_CONFIG);
    part[0] = config;
    FAILS(rmp_operator_measured_shape(&config, shape, &shape), RMP_ERR_CONFIG);
}

/* The mask of a composition is drawn on the measurement, its kernel from the seed; what is missing is zero. */
Test(operator_kinds, compose_draws)
{
    rmp_device *device = reference_device();
    const rmp_operator_config part[] = {{.kind = RMP_OPERATOR_MOTION_BLUR, .kernel_size = 9, .intensity = 0.5},
                                        {.kind = RMP_OPERATOR_SUPER_RESOLUTION, .factor = 2},
                                        {.kind = RMP_OPERATOR_INPAINT_RANDOM, .fraction = 0.5}};
    const rmp_operator_config config = {.kind = RMP_OPERATOR_COMPOSE, .part = part, .parts = 3};
    rmp_operator *op = NULL, *alone = NULL;
    OK(rmp_operator_create(device, &config, 4, 1, (rmp_shape){16, 12, 3}, &op));
    OK(rmp_operator_create(device, &part[0], 4, 1, (rmp_shape){16, 12, 3}, &alone));
    int64_t size = 0;
    const float *kernel = rmp_operator_kernel(op, &size);
    cr_assert(kernel != NULL && size == 9);
    cr_assert(eq(int, memcmp(kernel, rmp_operator_kernel(alone, &size), 81 * sizeof *kernel), 0));
    rmp_field *y = random_field(rmp_operator_range(op), 0);
    FAILS(rmp_operator_mask_measurement(op, y), RMP_ERR_ARGUMENT); /* nothing drawn */
    OK(rmp_operator_draw(op, keys(8, 4)));
    float mask[48];
    OK(rmp_operator_get_mask(op, 0, mask));
    int measured = 0;
    for (int i = 0; i < 48; ++i)
        measured += mask[i] == 1.0f;
    cr_assert(eq(int, measured, 24));
    cr_assert(eq(i64, rmp_operator_measured(op, 0), 72));
    OK(rmp_operator_mask_measurement(op, y));
    float *values = values_of(y);
    for (int i = 0; i < 144; ++i)
        cr_assert(eq(int, values[i] == 0.0f, mask[i / 3] == 0.0f));
    free(values);
    rmp_field_destroy(&y);
    rmp_operator_destroy(&op);
    rmp_operator_destroy(&alone);
    rmp_device_destroy(&device);
}

/* Numbers that can be told by hand. */
Test(operator_kinds, tones)
{
    rmp_device *device = reference_device();
    const float image[6] = {-1.0f, -0.5f, -0.25f, 0.0f, 0.75f, 1.5f};
    const double want[3][6] = {{-1.0, -1.0, -0.5, 0.0, 1.0, 1.0},
                               {2e-6 - 1.0, -0.875, -0.71875, -0.5, 0.53125, 1.0},
                               {-0.38675, 0.197, 0, 0, 0, 0}};
    const rmp_operator_config config[3] = {
        {.kind = RMP_OPERATOR_HDR}, {.kind = RMP_OPERATOR_GAMMA, .gamma = 2.0}, {.kind = RMP_OPERATOR_GRAYSCALE}};
    for (int i = 0; i < 3; ++i) {
        rmp_operator *op = NULL;
        OK(rmp_operator_create(device, &config[i], 0, 1, (rmp_shape){1, 2, 3}, &op));
        rmp_field *x = new_field(rmp_operator_domain(op)), *y = new_field(rmp_operator_range(op));
        OK(rmp_field_put(x, 0, image));
        if (i == 2) OK(rmp_field_put(x, 0, (const float[]){-1.0f, 0.0f, -0.7697368f, 0.25f, 0.25f, -0.21491228f}));
        OK(rmp_operator_forward(op, x, y));
        float *values = values_of(y);
        for (int64_t j = 0; j < rmp_shape_count(rmp_operator_range(op)->shape); ++j)
            cr_expect(lt(dbl, fabs((double)values[j] - want[i][j]), 1e-6), "%d: %g, %g", i, (double)values[j],
                      want[i][j]);
        free(values);
        rmp_field_destroy(&x);
        rmp_field_destroy(&y);
        rmp_operator_destroy(&op);
    }
    rmp_device_destroy(&device);
}
