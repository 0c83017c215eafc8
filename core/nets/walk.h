/* Networks of features for metrics: convolutions, each with a rectifier, and pooling. Such a network is one function
 * that walks its layers, to list the tensors that a weight file must have or to append the layers to a graph. */
#pragma once

#include "core/graph.h"

typedef struct rmp_walk {
    rmp_weights *list;          /* to list: tensors with data NULL are added, in the order of the original */
    rmp_graph *graph;           /* to append: list is NULL */
    const rmp_weights *weights; /* to append: NAME.weight and NAME.bias of every convolution; outlives the graph */
} rmp_walk;

/* A value on the walk; only its channels are known while listing. */
typedef struct rmp_step_value {
    rmp_value value;
    int64_t channels;
} rmp_step_value;

typedef struct rmp_walk_conv {
    int64_t out, kh, kw; /* channels, kernel */
    int64_t stride, pad_h, pad_w;
    bool norm; /* files have NAME.conv.weight and a batch normalisation NAME.bn, folded by rmp_walk_fold */
} rmp_walk_conv;

/* The epsilon of every batch normalisation here (torchvision's BasicConv2d). */
#define RMP_WALK_EPS 1e-3

/* Convolution and rectifier. */
rmp_status rmp_walk_convolve(const rmp_walk *walk, rmp_step_value x, const char *name, const rmp_walk_conv *conv,
                             rmp_step_value *out) RMP_MUST_CHECK;
rmp_status rmp_walk_max_pool(const rmp_walk *walk, rmp_step_value x, const rmp_max_pool *pool,
                             rmp_step_value *out) RMP_MUST_CHECK;
/* Means of 3 x 3 pixels without those beyond the edge: average pooling with count_include_pad = false. */
rmp_status rmp_walk_mean(const rmp_walk *walk, rmp_step_value x, rmp_step_value *out) RMP_MUST_CHECK;
rmp_status rmp_walk_concat(const rmp_walk *walk, int parts, const rmp_step_value part[],
                           rmp_step_value *out) RMP_MUST_CHECK;

/* Means over all pixels: (1, 1, c). */
rmp_status rmp_walk_average(rmp_graph *graph, rmp_value x, rmp_value *out) RMP_MUST_CHECK;

/* Adds NAME.weight and NAME.bias to `folded` for every NAME.conv.weight of `weights`, with the batch normalisation:
 * w' = w g / sqrt(v + eps), b' = b - m g / sqrt(v + eps), in double, rounded once. */
rmp_status rmp_walk_fold(const rmp_weights *weights, rmp_weights *folded) RMP_MUST_CHECK;
