/* diffusers UNet2DModel: the DDPM and NCSN++ configurations. */
#pragma once

#include "core/nets/layers.h"

enum { RMP_UNET2D_MAX_LEVELS = 16 };

/* DownBlock2D, AttnDownBlock2D, SkipDownBlock2D, AttnSkipDownBlock2D and their counterparts on the way up. */
typedef struct rmp_unet2d_block {
    bool attention, skip;
} rmp_unet2d_block;

/* The arguments of the original's constructor. */
typedef struct rmp_unet2d_config {
    int64_t sample_size, in_channels, out_channels, layers_per_block;
    int64_t block_out_channels[RMP_UNET2D_MAX_LEVELS];
    rmp_unet2d_block down[RMP_UNET2D_MAX_LEVELS], up[RMP_UNET2D_MAX_LEVELS];
    int levels;
    bool center_input_sample, flip_sin_to_cos;
    bool fourier; /* time_embedding_type: fourier, not positional */
    double freq_shift, mid_block_scale_factor, norm_eps;
    int64_t downsample_padding;   /* 0 or 1 */
    int64_t attention_head_dim;   /* 0 = None: one head */
    int64_t norm_num_groups;      /* 0 = None: min(C / 4, 32) */
    int64_t attn_norm_num_groups; /* of the middle; 0 = None: as its blocks, with scale_shift no norm there */
    int64_t time_embedding_dim;   /* 0 = None: four times the first of block_out_channels */
    bool scale_shift;             /* resnet_time_scale_shift: scale_shift, not default */
    bool no_middle;               /* mid_block_type: None */
    bool add_attention;           /* to the middle */
} rmp_unet2d_config;

/* The original's defaults, with no levels. */
void rmp_unet2d_defaults(rmp_unet2d_config *config);

/* Also takes the tensor names of files from before diffusers 0.17 (query, key, value, proj_attn) and the second name
 * time_proj.W of time_proj.weight. The time argument is a timestep (positional) or the noise level (Fourier).
 * `weights` is borrowed: it must outlive the network. RMP_ERR_CONFIG for arguments that the original cannot run,
 * RMP_ERR_FORMAT unless the tensors are exactly those that it needs. */
rmp_status rmp_unet2d_create(const rmp_unet2d_config *config, rmp_weights *weights, rmp_net **out) RMP_MUST_CHECK;

/* Adds every tensor (with data NULL) to `weights`, in the original's order. */
rmp_status rmp_unet2d_list(const rmp_unet2d_config *config, rmp_weights *weights) RMP_MUST_CHECK;
