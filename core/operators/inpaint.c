/* Masks, and the identity. A = diag(mask): A A^T is the mask itself, in the pixels' own basis. */
#include "core/operators/internal.h"

#include <math.h>
#include <stdlib.h>

static rmp_status build_mask(rmp_operator *op, rmp_value x, rmp_value *y)
{
    rmp_value mask;
    RMP_TRY(rmp_graph_input(op->graph, op->mask_space.shape, &mask));
    return rmp_graph_multiply(op->graph, x, mask, y);
}

static rmp_status build_identity(rmp_operator *op, rmp_value x, rmp_value *y)
{
    return rmp_graph_affine(op->graph, 1.0, x, 0.0, y);
}

/* The values of masks follow when they are set. */
static rmp_status ones(rmp_operator *op) { return rmp_operator_flat_spectrum(op, 1.0); }

static rmp_status box_check(const rmp_operator_config *config)
{
    RMP_CHECK(config->box_h >= 1, RMP_ERR_CONFIG, "operator.box_h: %lld is not a number of pixels above 0",
              (long long)config->box_h);
    RMP_CHECK(config->box_w >= 1, RMP_ERR_CONFIG, "operator.box_w: %lld is not a number of pixels above 0",
              (long long)config->box_w);
    RMP_CHECK(config->margin >= 0, RMP_ERR_CONFIG, "operator.margin: %lld is below 0", (long long)config->margin);
    return RMP_OK;
}

static rmp_status box_shape(const rmp_operator_config *config, rmp_shape image, rmp_shape *out)
{
    RMP_CHECK(config->box_h + 2 * config->margin <= image.h && config->box_w + 2 * config->margin <= image.w,
              RMP_ERR_CONFIG,
              "operator.box: a box of %lldx%lld with a margin of %lld does not fit an image of %lldx%lld",
              (long long)config->box_h, (long long)config->box_w, (long long)config->margin, (long long)image.h,
              (long long)image.w);
    *out = image;
    return RMP_OK;
}

/* A number below `range`, from 32 random bits; uneven by less than range / 2^32. */
static int64_t below(int64_t range, rmp_key key, uint64_t index)
{
    return (int64_t)(((uint64_t)range * rmp_random_u32(key, 0, RMP_PURPOSE_MASK, index)) >> 32);
}

static rmp_status box_draw(const rmp_operator *op, rmp_key key, float *mask)
{
    const rmp_operator_config *config = &op->config;
    const int64_t h = op->domain.shape.h, w = op->domain.shape.w;
    const int64_t top = config->margin + below(h - config->box_h - 2 * config->margin + 1, key, 0);
    const int64_t left = config->margin + below(w - config->box_w - 2 * config->margin + 1, key, 1);
    for (int64_t i = 0; i < h; ++i)
        for (int64_t j = 0; j < w; ++j) {
            const bool inside = i >= top && i < top + config->box_h && j >= left && j < left + config->box_w;
            mask[i * w + j] = inside ? 0.0f : 1.0f;
        }
    return RMP_OK;
}

static rmp_status random_check(const rmp_operator_config *config)
{
    RMP_CHECK(config->fraction >= 0.0 && config->fraction < 1.0, RMP_ERR_CONFIG,
              "operator.fraction: %g is not a share of pixels from 0 to below 1", config->fraction);
    return RMP_OK;
}

/* The first `missing` places of a Fisher-Yates shuffle. */
static rmp_status random_draw(const rmp_operator *op, rmp_key key, float *mask)
{
    const int64_t pixels = op->domain.shape.h * op->domain.shape.w;
    const int64_t missing = (int64_t)floor(op->config.fraction * (double)pixels + 0.5);
    int64_t *place = malloc((size_t)pixels * sizeof *place);
    RMP_CHECK(place != NULL, RMP_ERR_MEMORY, "no memory for a mask of %lld pixels", (long long)pixels);
    for (int64_t i = 0; i < pixels; ++i) {
        place[i] = i;
        mask[i] = 1.0f;
    }
    for (int64_t i = 0; i < missing; ++i) {
        const int64_t j = i + below(pixels - i, key, (uint64_t)i);
        const int64_t chosen = place[j];
        place[j] = place[i];
        mask[chosen] = 0.0f;
    }
    free(place);
    return RMP_OK;
}

const rmp_operator_class rmp_operator_inpaint_box = {
    .name = "inpaint_box",
    .mask = true,
    .check = box_check,
    .measured_shape = box_shape,
    .image_shape = rmp_operator_same_shape,
    .build = build_mask,
    .spectrum = ones,
    .draw = box_draw,
};

const rmp_operator_class rmp_operator_inpaint_random = {
    .name = "inpaint_random",
    .mask = true,
    .check = random_check,
    .measured_shape = rmp_operator_same_shape,
    .image_shape = rmp_operator_same_shape,
    .build = build_mask,
    .spectrum = ones,
    .draw = random_draw,
};

const rmp_operator_class rmp_operator_inpaint_mask = {
    .name = "inpaint_mask",
    .mask = true,
    .check = rmp_operator_check_nothing,
    .measured_shape = rmp_operator_same_shape,
    .image_shape = rmp_operator_same_shape,
    .build = build_mask,
    .spectrum = ones,
};

const rmp_operator_class rmp_operator_denoise = {
    .name = "denoise",
    .check = rmp_operator_check_nothing,
    .measured_shape = rmp_operator_same_shape,
    .image_shape = rmp_operator_same_shape,
    .build = build_identity,
    .spectrum = ones,
};
