/* Poisson numbers from the streams of core/random.h: the number at an index is a function of (seed, item, step,
 * purpose, index) and its mean, whatever is drawn beside it.
 *
 * The distribution is exact but for the rounding of double arithmetic: below a mean of 10 the cumulated distribution is
 * inverted at a uniform number of 53 bits, from there on Hoermann's transformed rejection is used (PTRS: "The
 * transformed rejection method for generating Poisson random variables", Insurance: Mathematics and Economics 12,
 * 1993). Both compare with exp and log of the system's libm. Libraries that round them differently in the last bit give
 * another number once in some 10^13 draws. */
#pragma once

#include "core/random.h"

/* values[i], a mean, becomes a Poisson number of that mean; 0 for one that is not above 0, NaN for NaN. */
void rmp_random_poissons(rmp_key key, uint32_t step, uint32_t purpose, int64_t n, double values[]);
