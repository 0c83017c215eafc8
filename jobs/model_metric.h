/* rmp model check, convert and info for the networks that metrics use (io/perceptual.h). */
#pragma once

#include "core/device.h"
#include "io/perceptual.h"

#include <stdio.h>

/* Prints what a network needs that rmp_perceptual_select has made of a file, and every tensor that does not fit.
 * RMP_ERR_FORMAT if one does not. */
rmp_status rmp_model_metric_fit(const rmp_model_source *source, rmp_perceptual_kind kind, rmp_model_mismatch *each,
                                FILE *out) RMP_MUST_CHECK;

/* What it computes and needs, and its GFLOP and memory for images of one size (0 x 0: 256 x 256). */
rmp_status rmp_model_metric_describe(const rmp_perceptual_net *net, const char *name, rmp_device *device, int64_t h,
                                     int64_t w, FILE *out) RMP_MUST_CHECK;
