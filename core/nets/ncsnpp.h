/* score_sde NCSNpp (Song et al. 2021), of the VE and VP families. */
#pragma once

#include "core/nets/layers.h"

enum { RMP_NCSNPP_MAX_LEVELS = 16 };

typedef enum rmp_pyramid { RMP_PYRAMID_NONE, RMP_PYRAMID_SKIP, RMP_PYRAMID_RESIDUAL } rmp_pyramid;

/* What the original reads of config.model, config.data and config.training. */
typedef struct rmp_ncsnpp_config {
    int64_t image_size, num_channels, nf, num_res_blocks;
    int64_t ch_mult[RMP_NCSNPP_MAX_LEVELS];
    int levels;
    int64_t attn_resolutions[RMP_NCSNPP_MAX_LEVELS]; /* image sizes */
    int attention_count;
    bool resamp_with_conv, skip_rescale, scale_by_sigma, centered;
    bool biggan;        /* resblock_type: biggan, not ddpm */
    bool fourier;       /* embedding_type: fourier, not positional */
    rmp_fir fir;        /* fir_kernel; taps 0 = fir: false */
    rmp_pyramid input;  /* progressive_input: none, input_skip, residual */
    rmp_pyramid output; /* progressive: none, output_skip, residual */
    double sigma_min, sigma_max;
    int64_t num_scales;
} rmp_ncsnpp_config;

/* The options that all published configurations share: resamp_with_conv, skip_rescale, BigGAN blocks, Fourier. */
void rmp_ncsnpp_defaults(rmp_ncsnpp_config *config);

/* Names all_modules.N...; the buffer `sigmas` is taken if it is there. The time argument is the noise level (Fourier)
 * or a label (positional), which with scale_by_sigma is an index into the descending noise levels.
 * `weights` is borrowed: it must outlive the network. RMP_ERR_CONFIG for arguments that the original cannot run,
 * RMP_ERR_FORMAT unless the tensors are exactly those that it needs. */
rmp_status rmp_ncsnpp_create(const rmp_ncsnpp_config *config, rmp_weights *weights, rmp_net **out) RMP_MUST_CHECK;

/* Adds every parameter (with data NULL) to `weights`, in the original's order. */
rmp_status rmp_ncsnpp_list(const rmp_ncsnpp_config *config, rmp_weights *weights) RMP_MUST_CHECK;
