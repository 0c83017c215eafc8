/* Formula weights: every parameter is a function of its name and its index, so that a network of any size can be
 * compared with the original definition without a weight file. */
#pragma once

#include "core/tensor.h"

/* FNV-1a (64 bits) of the name. */
uint64_t rmp_formula_seed(const char *name);

/* b + a r, r in [-1, 1) by SplitMix64 of seed and flat row-major index; double arithmetic, then float. */
float rmp_formula_value(uint64_t seed, uint64_t index, double a, double b);

/* a and b of a parameter from its name and shape: weights of rank 2 and more a = sqrt(3 / fan_in), times gain;
 * normalisation gains and variances 1 +- 0.2; biases and means +- 0.1, times gain; Fourier frequencies +-
 * fourier_scale; the weights of LPIPS's squared differences (linN.*) 0.1 +- 0.1. */
void rmp_formula_rule(const char *name, const rmp_tensor *tensor, double gain, double fourier_scale, double *a,
                      double *b);

/* A set with the names and shapes of `list` (whose data is not read), float32, filled. */
rmp_status rmp_formula_weights(const rmp_weights *list, double gain, double fourier_scale,
                               rmp_weights **out) RMP_MUST_CHECK;
