/* Weights in half the bytes. */
#pragma once

#include "core/tensor.h"

/* A set in which floating-point tensors of at least two dimensions, nearly all of a network, are float16, rounded to
 * nearest even, and everything else is what it is in `weights` (borrowed: must outlive *out). RMP_ERR_FORMAT names a
 * tensor with a value that float16 cannot hold. */
rmp_status rmp_weights_halve(const rmp_weights *weights, rmp_weights **out) RMP_MUST_CHECK;

/* Bits of the float16 next to a finite value; ties to even. Infinite from 65520 on. */
uint16_t rmp_half_bits(float value);
