/* `rmp model`: a network by itself. */
#pragma once

#include "core/device.h"
#include "io/model.h"

#include <stdio.h>

/* Opens a model by path, formula:CONFIG.json or shipped name: a score network, or one for that use. A file that is not
 * there is RMP_ERR_CONFIG. */
rmp_status rmp_model_open_named(const char *name, rmp_model **out) RMP_MUST_CHECK;
rmp_status rmp_model_open_named_for(rmp_model_use use, const char *name, rmp_model **out) RMP_MUST_CHECK;

/* Architecture, arguments, parameters, GFLOP and memory at one size (0 x 0: the one it was trained for). */
rmp_status rmp_model_describe(const rmp_model *model, const char *name, rmp_device *device, int64_t h, int64_t w,
                              FILE *out) RMP_MUST_CHECK;

/* Runs the raw network on the tensors of a safetensors file: x (N, C, H, W), t or sigma (N), optionally v (N, 3, H, W).
 * Writes emb_in (N, features), emb (N, E) where the architecture has one, y (N, C_out, H, W) and, with v, g (N, C, H,
 * W), the gradient of <y[:, :3], v> with respect to x. */
rmp_status rmp_model_evaluate(const rmp_model *model, rmp_device *device, rmp_precision precision, const char *input,
                              const char *output) RMP_MUST_CHECK;
