/* Magnitudes of the Fourier transform of a padded image. */
#include "core/operators/internal.h"

static rmp_status check(const rmp_operator_config *config)
{
    RMP_CHECK(config->oversampling >= 0.0 && config->oversampling <= 32.0, RMP_ERR_CONFIG,
              "operator.oversampling: %g is not between 0 and 32", config->oversampling);
    return RMP_OK;
}

static int64_t pad_of(const rmp_operator_config *config, int64_t side)
{
    return (int64_t)(config->oversampling / 8.0 * (double)side);
}

static int64_t padded(const rmp_operator_config *config, int64_t side) { return side + 2 * pad_of(config, side); }

static rmp_status measured_shape(const rmp_operator_config *config, rmp_shape image, rmp_shape *out)
{
    *out = (rmp_shape){padded(config, image.h), padded(config, image.w), image.c};
    return RMP_OK;
}

/* The side that is padded to `length`, or 0: padding grows with the side, so there is one at most. */
static int64_t side_of(const rmp_operator_config *config, int64_t length)
{
    int64_t low = 1, high = length;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (padded(config, middle) < length) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return padded(config, low) == length ? low : 0;
}

static rmp_status image_shape(const rmp_operator_config *config, rmp_shape measured, rmp_shape *out)
{
    *out = (rmp_shape){side_of(config, measured.h), side_of(config, measured.w), measured.c};
    RMP_CHECK(out->h > 0 && out->w > 0, RMP_ERR_CONFIG,
              "operator.oversampling: with %g no image has a measurement of %lldx%lld", config->oversampling,
              (long long)measured.h, (long long)measured.w);
    return RMP_OK;
}

static rmp_status build(rmp_operator *op, rmp_value x, rmp_value *y)
{
    const rmp_shape image = op->domain.shape;
    return rmp_graph_fft_magnitude(op->graph, x, pad_of(&op->config, image.h), pad_of(&op->config, image.w), y);
}

const rmp_operator_class rmp_operator_phase_retrieval = {
    .name = "phase_retrieval",
    .nonlinear = true,
    .magnitudes = true,
    .check = check,
    .measured_shape = measured_shape,
    .image_shape = image_shape,
    .build = build,
};
