/* Camera shake: one two-dimensional kernel for every image of the job, reflected edges. The kernel is not separable:
 * no spectrum. */
#include "core/operators/internal.h"

#include <math.h>
#include <stdlib.h>

static rmp_status check(const rmp_operator_config *config)
{
    const int64_t size = config->kernel_size;
    RMP_CHECK(size >= 1 && size <= 255 && size % 2 == 1, RMP_ERR_CONFIG,
              "operator.kernel_size: %lld is not an odd number between 1 and 255", (long long)size);
    RMP_CHECK(config->intensity >= 0.0 && config->intensity <= 1.0, RMP_ERR_CONFIG,
              "operator.intensity: %g is not between 0 and 1", config->intensity);
    if (config->kernel != NULL) {
        double sum = 0.0;
        for (int64_t i = 0; i < size * size; ++i)
            sum += (double)config->kernel[i];
        RMP_CHECK(fabs(sum - 1.0) <= 1e-3, RMP_ERR_CONFIG, "operator.kernel: its weights sum to %g, not to 1", sum);
    }
    return RMP_OK;
}

static rmp_status build(rmp_operator *op, rmp_value x, rmp_value *y)
{
    const int64_t size = op->config.kernel_size, radius = size / 2, count = size * size;
    const rmp_shape image = op->domain.shape;
    op->kernel = malloc((size_t)count * sizeof *op->kernel);
    op->depthwise = malloc((size_t)(count * image.c) * sizeof *op->depthwise);
    RMP_CHECK(op->kernel != NULL && op->depthwise != NULL, RMP_ERR_MEMORY, "no memory for a kernel of %lldx%lld",
              (long long)size, (long long)size);
    if (op->config.kernel != NULL) {
        for (int64_t i = 0; i < count; ++i)
            op->kernel[i] = op->config.kernel[i];
    } else {
        rmp_motion_kernel(op->seed, size, op->config.intensity, op->kernel);
    }
    /* Networks correlate; a blur convolves: the kernel is turned by half a turn. */
    for (int64_t i = 0; i < count * image.c; ++i)
        op->depthwise[i] = op->kernel[count - 1 - i % count];
    op->weight = (rmp_tensor){.dtype = RMP_F32, .rank = 4, .dims = {image.c, 1, size, size}, .data = op->depthwise};

    rmp_taps *rows = NULL, *columns = NULL;
    rmp_status status = RMP_OK;
    RMP_TRY_GOTO(rmp_taps_reflect_pad(image.h, radius, radius, &rows), done);
    RMP_TRY_GOTO(rmp_taps_reflect_pad(image.w, radius, radius, &columns), done);
    RMP_TRY_GOTO(rmp_graph_resample(op->graph, x, rows, columns, &x), done);
    const rmp_conv2d conv = {.weight = &op->weight, .stride = 1, .groups = image.c};
    RMP_TRY_GOTO(rmp_graph_conv2d(op->graph, x, &conv, y), done);
done:
    rmp_taps_destroy(&rows);
    rmp_taps_destroy(&columns);
    return status;
}

const rmp_operator_class rmp_operator_motion_blur = {
    .name = "motion_blur",
    .check = check,
    .measured_shape = rmp_operator_same_shape,
    .image_shape = rmp_operator_same_shape,
    .build = build,
};
