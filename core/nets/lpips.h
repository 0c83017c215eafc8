/* LPIPS, version 0.1 (Zhang, Isola, Efros, Shechtman, Wang: The Unreasonable Effectiveness of Deep Features as a
 * Perceptual Metric, CVPR 2018), as the package `lpips` computes it: features of both images after some layers of a
 * classifier, channels at unit length, squared differences weighted by channel, means over the pixels. */
#pragma once

#include "core/perceptual.h"

/* See rmp_perceptual_list. */
rmp_status rmp_lpips_list(rmp_perceptual_kind kind, rmp_weights *list) RMP_MUST_CHECK;

/* Adds to `layers` what graphs read: the tensors of the file, and its scaling as a convolution. */
rmp_status rmp_lpips_layers(const rmp_weights *file, rmp_weights *layers) RMP_MUST_CHECK;

/* See rmp_perceptual_graph; layers: of rmp_lpips_layers, borrowed by the graph. */
rmp_status rmp_lpips_graph(rmp_perceptual_kind kind, const rmp_weights *layers, int64_t h, int64_t w,
                           rmp_graph *graph) RMP_MUST_CHECK;
