/* What changes the tones or colours of each pixel: hdr, gamma, grayscale. */
#include "core/operators/internal.h"

#include <stdlib.h>

/* The least brightness that gamma tells apart, so that its slope stays finite where the exponent is below 1. */
static const double DARKEST = 1e-3;

/* ITU-R BT.601: luma of red, green, blue. */
static const float LUMA[3] = {0.299f, 0.587f, 0.114f};

static rmp_status hdr_build(rmp_operator *op, rmp_value x, rmp_value *y)
{
    RMP_TRY(rmp_graph_affine(op->graph, 2.0, x, 0.0, &x));
    return rmp_graph_clip(op->graph, x, -1.0, 1.0, y);
}

static rmp_status gamma_check(const rmp_operator_config *config)
{
    RMP_CHECK(config->gamma >= 0.1 && config->gamma <= 10.0, RMP_ERR_CONFIG,
              "operator.gamma: %g is not between 0.1 and 10", config->gamma);
    return RMP_OK;
}

static rmp_status gamma_build(rmp_operator *op, rmp_value x, rmp_value *y)
{
    RMP_TRY(rmp_graph_affine(op->graph, 0.5, x, 0.5, &x));
    RMP_TRY(rmp_graph_clip(op->graph, x, DARKEST, 1.0, &x));
    RMP_TRY(rmp_graph_power(op->graph, x, op->config.gamma, &x));
    return rmp_graph_affine(op->graph, 2.0, x, -1.0, y);
}

static rmp_status gray_measured(const rmp_operator_config *config, rmp_shape image, rmp_shape *out)
{
    (void)config;
    RMP_CHECK(image.c == 3, RMP_ERR_CONFIG, "operator.kind: grayscale is for images of 3 channels, not of %lld",
              (long long)image.c);
    *out = (rmp_shape){image.h, image.w, 1};
    return RMP_OK;
}

static rmp_status gray_image(const rmp_operator_config *config, rmp_shape measured, rmp_shape *out)
{
    (void)config;
    RMP_CHECK(measured.c == 1, RMP_ERR_CONFIG, "operator.kind: grayscale measures 1 channel, not %lld",
              (long long)measured.c);
    *out = (rmp_shape){measured.h, measured.w, 3};
    return RMP_OK;
}

static rmp_status gray_build(rmp_operator *op, rmp_value x, rmp_value *y)
{
    op->weight = (rmp_tensor){.dtype = RMP_F32, .rank = 4, .dims = {1, 3, 1, 1}, .data = LUMA};
    const rmp_conv2d conv = {.weight = &op->weight, .stride = 1, .groups = 1};
    return rmp_graph_conv2d(op->graph, x, &conv, y);
}

static rmp_status gray_spectrum(rmp_operator *op)
{
    double sum = 0.0;
    for (int i = 0; i < 3; ++i)
        sum += (double)LUMA[i] * (double)LUMA[i];
    return rmp_operator_flat_spectrum(op, sum);
}

const rmp_operator_class rmp_operator_hdr = {
    .name = "hdr",
    .nonlinear = true,
    .check = rmp_operator_check_nothing,
    .measured_shape = rmp_operator_same_shape,
    .image_shape = rmp_operator_same_shape,
    .build = hdr_build,
};

const rmp_operator_class rmp_operator_gamma = {
    .name = "gamma",
    .nonlinear = true,
    .check = gamma_check,
    .measured_shape = rmp_operator_same_shape,
    .image_shape = rmp_operator_same_shape,
    .build = gamma_build,
};

const rmp_operator_class rmp_operator_grayscale = {
    .name = "grayscale",
    .check = rmp_operator_check_nothing,
    .measured_shape = gray_measured,
    .image_shape = gray_image,
    .build = gray_build,
    .spectrum = gray_spectrum,
};
