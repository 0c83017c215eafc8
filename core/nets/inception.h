/* Inception-v3 (Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception Architecture for Computer Vision,
 * 2016) as FID uses it: the network of 2015-12-05 in the form of the package `pytorch-fid`, which differs from
 * torchvision's: its average pooling leaves the padding out of the mean, and its last block pools by maximum. */
#pragma once

#include "core/perceptual.h"

enum { RMP_INCEPTION_SIZE = 299 };

/* See rmp_perceptual_list. */
rmp_status rmp_inception_list(rmp_weights *list) RMP_MUST_CHECK;

/* See rmp_perceptual_graph; layers: of rmp_walk_fold, borrowed by the graph. */
rmp_status rmp_inception_graph(const rmp_weights *layers, int64_t h, int64_t w, rmp_graph *graph) RMP_MUST_CHECK;
