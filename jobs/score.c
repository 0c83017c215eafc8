#include "jobs/score.h"

#include "core/log.h"
#include "core/metrics.h"

#include <stdlib.h>

static rmp_status tick(const rmp_score_options *options)
{
    return options->tick ? options->tick(options->context) : RMP_OK;
}

/* What a network cannot take is no failure of the item. */
static rmp_status excuse(rmp_status status, const char *id)
{
    if (status != RMP_ERR_ARGUMENT) return status;
    RMP_LOG_WARN("metrics", "%s has no such score: %s", id, rmp_fail_message());
    rmp_fail_clear();
    return RMP_OK;
}

/* `image` may be NULL: there is no such picture. */
static rmp_status score_lpips(const rmp_score_options *options, const char *id, const float *image,
                              const rmp_image *truth, double *out)
{
    if (!image) return RMP_OK;
    RMP_TRY(excuse(rmp_scorer_lpips(options->scorer, image, truth->values, truth->shape, out), id));
    return tick(options);
}

/* NULL in *out where there are none. */
static rmp_status take_features(const rmp_score_options *options, const char *id, const float *image, rmp_shape shape,
                                const float **out)
{
    float *features = malloc(RMP_INCEPTION_FEATURES * sizeof *features);
    RMP_CHECK(features, RMP_ERR_MEMORY, "no memory for features");
    rmp_status status = rmp_scorer_features(options->scorer, image, shape, features);
    if (status == RMP_OK)
        *out = features;
    else
        free(features);
    RMP_TRY(excuse(status, id));
    return tick(options);
}

static rmp_status score_perceptually(const rmp_score_options *options, const char *id, const rmp_image *truth,
                                     const rmp_image *restored, const float *rounded, const float *picture,
                                     rmp_row *row)
{
    const rmp_perceptual_net *lpips = rmp_scorer_nets_lpips(rmp_scorer_networks(options->scorer));
    if (lpips && truth->values) {
        row->lpips_network = 1 + (int)rmp_perceptual_net_kind(lpips);
        RMP_TRY(score_lpips(options, id, rounded, truth, &row->lpips));
        RMP_TRY(score_lpips(options, id, picture, truth, &row->lpips_input));
    }
    if (!rmp_scorer_nets_fid(rmp_scorer_networks(options->scorer))) return RMP_OK;
    row->feature_length = RMP_INCEPTION_FEATURES;
    RMP_TRY(take_features(options, id, rounded, restored->shape, &row->features));
    if (!options->truth_features || !truth->values || !row->features) return RMP_OK;
    return take_features(options, id, truth->values, truth->shape, &row->truth_features);
}

rmp_status rmp_score(const rmp_score_options *options, const char *id, const rmp_image *truth,
                     const rmp_image *restored, const rmp_image *picture, rmp_row *row)
{
    const rmp_shape shape = restored->shape;
    const int64_t count = rmp_shape_count(shape);
    float *rounded = malloc(2 * (size_t)count * sizeof *rounded);
    RMP_CHECK(rounded, RMP_ERR_MEMORY, "no memory to score an image");
    rmp_round_8bit(restored->values, count, rounded);
    if (truth->values) {
        row->psnr = rmp_psnr(restored->values, truth->values, shape);
        row->ssim = rmp_ssim(restored->values, truth->values, shape);
        row->psnr_8bit = rmp_psnr(rounded, truth->values, shape);
        row->ssim_8bit = rmp_ssim(rounded, truth->values, shape);
    }
    const bool measured = truth->values && picture->values;
    if (measured) {
        row->psnr_input = rmp_psnr(picture->values, truth->values, shape);
        row->ssim_input = rmp_ssim(picture->values, truth->values, shape);
        rmp_round_8bit(picture->values, count, rounded + count);
    }
    rmp_status status = RMP_OK;
    if (options->scorer)
        status = score_perceptually(options, id, truth, restored, rounded, measured ? rounded + count : NULL, row);
    free(rounded);
    return status;
}
