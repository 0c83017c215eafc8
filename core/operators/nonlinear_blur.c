/* Blur by a network (core/nets/kernel_wizard.h) under a kernel code that is drawn once: as in DPS (Chung et al. 2023)
 * images are brought to [0, 1] for it and its result back to [-1, 1], clipped. DPS draws another code at every call, so
 * that no operator of its own belongs to a measurement; here one code belongs to the operator. */
#include "core/operators/internal.h"

#include <math.h>
#include <stdlib.h>

enum { DRAWN_SIDE = 2 }; /* of a drawn code: what 256 x 256 pixels need */

static rmp_status check(const rmp_operator_config *config)
{
    char text[128];
    RMP_CHECK(config->network != NULL, RMP_ERR_CONFIG, "operator.network: nonlinear_blur needs a network");
    RMP_CHECK(config->code_scale >= 0.0 && config->code_scale <= 1e3, RMP_ERR_CONFIG,
              "operator.code_scale: %g is not between 0 and 1000", config->code_scale);
    if (config->code == NULL) return RMP_OK;
    const int64_t dim = rmp_kernel_wizard_arguments(config->network)->kernel_dim;
    const rmp_tensor *code = config->code;
    RMP_CHECK(code->rank == 3 && code->dims[0] == dim && code->dims[1] >= 1 && code->dims[2] >= 1, RMP_ERR_CONFIG,
              "operator.code: 'code' has shape %s; this network takes (%lld, h, w)",
              rmp_tensor_shape_text(code, text, sizeof text), (long long)dim);
    for (int64_t i = 0; i < rmp_tensor_count(code); ++i)
        RMP_CHECK(isfinite((float)rmp_tensor_at(code, i)), RMP_ERR_CONFIG,
                  "operator.code: number %lld of 'code' is not finite", (long long)i);
    return RMP_OK;
}

static rmp_status measured_shape(const rmp_operator_config *config, rmp_shape image, rmp_shape *out)
{
    const int64_t channels = rmp_kernel_wizard_arguments(config->network)->input_nc;
    RMP_CHECK(image.c == channels, RMP_ERR_CONFIG,
              "operator.network: it blurs images of %lld channels, these have %lld", (long long)channels,
              (long long)image.c);
    *out = image;
    return RMP_OK;
}

/* op->code as it was given, or drawn. */
static rmp_status make_code(rmp_operator *op)
{
    const rmp_tensor *given = op->config.code;
    const rmp_tensor shape = {.dtype = RMP_F32,
                              .rank = 3,
                              .dims = {rmp_kernel_wizard_arguments(op->config.network)->kernel_dim,
                                       given != NULL ? given->dims[1] : DRAWN_SIDE,
                                       given != NULL ? given->dims[2] : DRAWN_SIDE}};
    const int64_t count = rmp_tensor_count(&shape);
    op->code_values = malloc((size_t)count * sizeof *op->code_values);
    RMP_CHECK(op->code_values != NULL, RMP_ERR_MEMORY, "no memory for a kernel code of %lld numbers", (long long)count);
    if (given != NULL) {
        rmp_tensor_read_f32(given, 0, count, op->code_values);
    } else {
        rmp_random_normals((rmp_key){.seed = op->seed}, 0, RMP_PURPOSE_CODE, count, op->code_values);
        for (int64_t i = 0; i < count; ++i)
            op->code_values[i] = (float)(op->config.code_scale * (double)op->code_values[i]);
    }
    op->code = shape;
    op->code.data = op->code_values;
    return RMP_OK;
}

/* Repeats the code where the image has more cells of 128 x 128 pixels than it. */
static rmp_status put_code(rmp_operator *op)
{
    const rmp_shape cells = op->constant_space.shape;
    const int64_t *dims = op->code.dims;
    float *values = malloc((size_t)rmp_shape_count(cells) * sizeof *values);
    RMP_CHECK(values != NULL, RMP_ERR_MEMORY, "no memory for a kernel code");
    for (int64_t i = 0; i < rmp_shape_count(cells); ++i) {
        const int64_t k = i % cells.c, row = i / cells.c / cells.w % dims[1], column = i / cells.c % cells.w % dims[2];
        values[i] = op->code_values[(k * dims[1] + row) * dims[2] + column];
    }
    rmp_status status = RMP_OK;
    for (int64_t n = 0; n < op->constant_space.n && status == RMP_OK; ++n)
        status = rmp_field_put(op->constant, n, values);
    free(values);
    return status;
}

/* How one side is padded to the network's multiple; NULL where it is one. */
static rmp_status pad_side(int64_t length, rmp_taps **pad, rmp_taps **crop)
{
    const int64_t multiple = RMP_KERNEL_WIZARD_MULTIPLE, more = (multiple - length % multiple) % multiple;
    if (more == 0) return RMP_OK;
    RMP_TRY(rmp_taps_reflect_pad(length, more / 2, more - more / 2, pad));
    return rmp_taps_crop(length + more, more / 2, length, crop);
}

static rmp_status build(rmp_operator *op, rmp_value x, rmp_value *y)
{
    rmp_taps *pad_h = NULL, *pad_w = NULL, *crop_h = NULL, *crop_w = NULL;
    rmp_graph *g = op->graph;
    rmp_value code;
    rmp_status status = RMP_OK;
    RMP_TRY(make_code(op));
    RMP_TRY_GOTO(pad_side(op->domain.shape.h, &pad_h, &crop_h), done);
    RMP_TRY_GOTO(pad_side(op->domain.shape.w, &pad_w, &crop_w), done);
    const bool padded = pad_h != NULL || pad_w != NULL;
    RMP_TRY_GOTO(rmp_graph_affine(g, 0.5, x, 0.5, &x), done);
    if (padded) RMP_TRY_GOTO(rmp_graph_resample(g, x, pad_h, pad_w, &x), done);
    rmp_space_local(&op->constant_space, op->device, op->domain.n,
                    rmp_kernel_wizard_code_shape(op->config.network, rmp_graph_shape(g, x)));
    RMP_TRY_GOTO(rmp_graph_input(g, op->constant_space.shape, &code), done);
    RMP_TRY_GOTO(rmp_kernel_wizard_append(op->config.network, g, x, code, &x), done);
    if (padded) RMP_TRY_GOTO(rmp_graph_resample(g, x, crop_h, crop_w, &x), done);
    RMP_TRY_GOTO(rmp_graph_affine(g, 2.0, x, -1.0, &x), done);
    status = rmp_graph_clip(g, x, -1.0, 1.0, y);
done:
    rmp_taps_destroy(&pad_h);
    rmp_taps_destroy(&pad_w);
    rmp_taps_destroy(&crop_h);
    rmp_taps_destroy(&crop_w);
    return status;
}

const rmp_operator_class rmp_operator_nonlinear_blur = {
    .name = "nonlinear_blur",
    .nonlinear = true,
    .whole = true,
    .check = check,
    .measured_shape = measured_shape,
    .image_shape = measured_shape,
    .build = build,
    .constant = put_code,
};
