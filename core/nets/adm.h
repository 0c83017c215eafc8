/* guided-diffusion UNetModel ("ADM"; Dhariwal & Nichol 2021) in all its options. */
#pragma once

#include "core/nets/net.h"

enum { RMP_ADM_MAX_LEVELS = 16 };

/* The arguments of the original's constructor. */
typedef struct rmp_adm_config {
    int64_t image_size, in_channels, model_channels, out_channels, num_res_blocks;
    int64_t attention_resolutions[RMP_ADM_MAX_LEVELS]; /* down-sampling factors */
    int attention_count;
    int64_t channel_mult[RMP_ADM_MAX_LEVELS];
    int levels;
    bool conv_resample;
    int64_t num_heads, num_head_channels, num_heads_upsample; /* -1 = not given, as in the original */
    bool use_scale_shift_norm, resblock_updown, use_new_attention_order;
} rmp_adm_config;

/* The original's defaults: conv_resample true, num_heads 1, the rest -1 / false. */
void rmp_adm_defaults(rmp_adm_config *config);

/* Takes its tensors from `weights` (borrowed: must outlive the network) and verifies that they are complete,
 * of the right shape, and that nothing is left over. RMP_ERR_CONFIG for arguments the original refuses. */
rmp_status rmp_adm_create(const rmp_adm_config *config, rmp_weights *weights, rmp_net **out) RMP_MUST_CHECK;

/* Adds every tensor that the configuration needs (with data NULL) to `weights`, in the original's order:
 * for formula weights and for lists. */
rmp_status rmp_adm_list(const rmp_adm_config *config, rmp_weights *weights) RMP_MUST_CHECK;
