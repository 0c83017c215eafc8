/* Image quality (METHOD.md section 8). Images are (h, w, c) in [-1, 1] and are scored on [0, 1]. */
#pragma once

#include "core/graph.h"

/* 10 log10(1 / MSE) over all values; +infinity for equal images. */
double rmp_psnr(const float *a, const float *b, rmp_shape shape);
/* Gaussian window 11 x 11, sigma 1.5, K1 0.01, K2 0.03, only windows inside the image (shrunk to the largest odd window
 * for smaller ones), mean over windows and channels. NaN without memory for one row of windows. */
double rmp_ssim(const float *a, const float *b, rmp_shape shape);
/* Values as an 8-bit file holds them: clamped, rounded to nearest, and read again, to the bit. */
void rmp_round_8bit(const float *in, int64_t count, float *out);
