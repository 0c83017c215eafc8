/* The little of oneDNN that the host plan needs - convolutions in channels-last with re-ordered weights - behind one
 * interface for the C interfaces of versions 2 and 3. Internal to gpu/host. */
#pragma once

#include "core/status.h"

typedef struct rmp_onednn rmp_onednn;           /* engine and stream; one a device */
typedef struct rmp_onednn_conv rmp_onednn_conv; /* one convolution primitive */

typedef enum rmp_onednn_type { RMP_ONEDNN_F32, RMP_ONEDNN_BF16 } rmp_onednn_type;

typedef struct rmp_onednn_shape {
    int64_t n, ih, iw, ic, oh, ow, oc, kh, kw, groups, stride;
    int64_t pad_top, pad_left, pad_bottom, pad_right;
    bool backward;          /* gradient with respect to the source (for strides other than 1); no bias, no addend */
    bool bias;              /* float32 (oc) */
    bool accumulate;        /* result += what the destination holds */
    bool addend;            /* result += another tensor of the destination's shape */
    rmp_onednn_type source; /* of source and weights; the destination is float32 */
} rmp_onednn_shape;

rmp_status rmp_onednn_create(rmp_onednn **out) RMP_MUST_CHECK;
void rmp_onednn_destroy(rmp_onednn **dnn);
/* "oneDNN 2.6.3" */
const char *rmp_onednn_version(void);

/* RMP_ERR_DEVICE if this processor cannot do it (bf16). */
rmp_status rmp_onednn_conv_create(rmp_onednn *dnn, const rmp_onednn_shape *shape, rmp_onednn_conv **out) RMP_MUST_CHECK;
void rmp_onednn_conv_destroy(rmp_onednn_conv **conv);

/* Bytes of scratch a run needs (64-byte aligned) and of the re-ordered weights. */
int64_t rmp_onednn_conv_scratch(const rmp_onednn_conv *conv);
int64_t rmp_onednn_conv_weight_bytes(const rmp_onednn_conv *conv);
/* A word for the weights' layout: equal words, equal layouts (for sharing between plans and processes); 0: unknown. */
uint64_t rmp_onednn_conv_layout(const rmp_onednn_conv *conv);

/* Re-orders (oc, ic / groups, kh, kw) float32 weights ((g, oc/g, ic/g, kh, kw) with groups) into `out`. */
rmp_status rmp_onednn_conv_reorder(const rmp_onednn_conv *conv, const float *plain, void *out) RMP_MUST_CHECK;

/* Runs on whole tensors. For `backward`, source is the gradient of the result and destination that of the source. */
rmp_status rmp_onednn_conv_run(const rmp_onednn_conv *conv, const void *source, const void *weights, const float *bias,
                               const float *addend, float *destination, void *scratch) RMP_MUST_CHECK;
