/* Sparse one-dimensional linear maps ("taps"): row i of the result is a weighted sum of a few input
 * positions. Two of them make every separable operation on images (rmp_graph_resample). */
#pragma once

#include "core/status.h"

typedef struct rmp_taps {
    int64_t in, out; /* length before and after */
    int64_t *start;  /* (out + 1) row i has entries [start[i], start[i + 1]) */
    int32_t *index;  /* input position of each entry */
    float *weight;   /* weight of each entry */
} rmp_taps;

void rmp_taps_destroy(rmp_taps **taps);
rmp_status rmp_taps_copy(const rmp_taps *taps, rmp_taps **out) RMP_MUST_CHECK;
rmp_status rmp_taps_transpose(const rmp_taps *taps, rmp_taps **out) RMP_MUST_CHECK;

/* From a dense row-major (out, in) matrix; zeros are left out. */
rmp_status rmp_taps_from_dense(int64_t out_length, int64_t in_length, const double *matrix,
                               rmp_taps **out) RMP_MUST_CHECK;

/* Reduction by an integer factor: out = ceil(in / factor), output pixel i is centred on input coordinate
 * (i + 1/2) factor - 1/2, cubic kernel a = -0.5 stretched by the factor (antialiased), positions beyond
 * the edge mirrored (half-sample symmetric), weights normalised per output pixel. */
rmp_status rmp_taps_bicubic_down(int64_t in_length, int64_t factor, rmp_taps **out) RMP_MUST_CHECK;

/* Mean of `factor` neighbours; the last block may be shorter. out = ceil(in / factor). */
rmp_status rmp_taps_box_down(int64_t in_length, int64_t factor, rmp_taps **out) RMP_MUST_CHECK;

/* Enlargement with the same cubic kernel (a = -0.5), centre-aligned, mirrored edge; for pictures only. */
rmp_status rmp_taps_bicubic_up(int64_t in_length, int64_t out_length, rmp_taps **out) RMP_MUST_CHECK;

/* Mean of the positions within `size` / 2 (size odd) that there are, for every position: average pooling of stride 1
 * that leaves its padding out. */
rmp_status rmp_taps_mean(int64_t length, int64_t size, rmp_taps **out) RMP_MUST_CHECK;

/* Mean of all positions: one row. */
rmp_status rmp_taps_mean_all(int64_t length, rmp_taps **out) RMP_MUST_CHECK;

/* Linear interpolation to another length, centre-aligned, positions beyond the edge clamped, no antialiasing: torch's
 * interpolate(mode="bilinear", align_corners=False, antialias=False) in one direction. */
rmp_status rmp_taps_linear(int64_t in_length, int64_t out_length, rmp_taps **out) RMP_MUST_CHECK;

/* Gaussian blur: `size` taps (odd), standard deviation `std` pixels, normalised, reflected edge
 * (whole-sample symmetric as numpy "reflect"; folded repeatedly for images smaller than the kernel). */
rmp_status rmp_taps_gaussian(int64_t length, int64_t size, double std, rmp_taps **out) RMP_MUST_CHECK;

/* Copies with `before` and `after` more positions, whole-sample reflection ("reflect"), folded repeatedly
 * where the pad is longer than the signal. */
rmp_status rmp_taps_reflect_pad(int64_t length, int64_t before, int64_t after, rmp_taps **out) RMP_MUST_CHECK;

/* Positions [begin, begin + count). */
rmp_status rmp_taps_crop(int64_t length, int64_t begin, int64_t count, rmp_taps **out) RMP_MUST_CHECK;

/* FIR resampling as upfirdn2d of StyleGAN2, zero border: insert up - 1 zeros, pad, convolve with the
 * normalised kernel times `gain`, keep every down-th. */
rmp_status rmp_taps_fir(int64_t length, int taps, const double kernel[], double gain, int64_t up, int64_t down,
                        int64_t pad_before, int64_t pad_after, rmp_taps **out) RMP_MUST_CHECK;
