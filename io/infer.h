/* Descriptions of networks from the names and shapes of their tensors. What these do not determine is taken from what
 * is known of published checkpoints of exactly these shapes, or must be given. */
#pragma once

#include "core/tensor.h"

#include <jansson.h>

/* What a description is made from; both are borrowed. */
typedef struct rmp_infer {
    const rmp_weights *weights;
    const json_t *given; /* an object: the arguments that the user gave, in sections where the original has them */
} rmp_infer;

/* "adm", "ncsnpp", "unet2d" or "kernel_wizard" by the names, NULL if it is none of them. */
const char *rmp_infer_architecture(const rmp_weights *weights);

/* Each returns a whole description ("architecture", "arguments", "prediction", "schedule", ...), owned by the caller.
 * RMP_ERR_FORMAT says which tensor does not fit the architecture or which argument must be given. */
rmp_status rmp_infer_adm(const rmp_infer *from, json_t **description) RMP_MUST_CHECK;
rmp_status rmp_infer_ncsnpp(const rmp_infer *from, json_t **description) RMP_MUST_CHECK;
rmp_status rmp_infer_unet2d(const rmp_infer *from, json_t **description) RMP_MUST_CHECK;
rmp_status rmp_infer_kernel_wizard(const rmp_infer *from, json_t **description) RMP_MUST_CHECK;

/* The description that the config.json of diffusers (an object, with `scheduler`, the object of scheduler_config.json,
 * or NULL) amounts to. */
rmp_status rmp_infer_diffusers(json_t *config, const json_t *scheduler, json_t **description) RMP_MUST_CHECK;

/* The tensor PREFIX%lldSUFFIX, or NULL; and its dimension i, 0 if there is none. */
const rmp_tensor *rmp_infer_find(const rmp_weights *weights, const char *prefix, int64_t number, const char *suffix);
int64_t rmp_infer_dim(const rmp_tensor *t, int i);
