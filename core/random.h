/* Philox4x32-10 (Salmon et al., SC 2011) and standard normal numbers from it. A number is a pure function of
 * (seed, item, step, purpose, index): no state, the same on every device, rank and thread.
 * Plain C that a CUDA compiler accepts too; see random.c for what is not inline. */
#pragma once

#include <stdint.h>

/* What a draw is for: a part of the counter, so that no two uses share numbers. */
enum {
    RMP_PURPOSE_NOISE = 1,  /* measurement noise */
    RMP_PURPOSE_INIT = 2,   /* start of a solver */
    RMP_PURPOSE_SPREAD = 3, /* draws around a mean */
    RMP_PURPOSE_MASK = 4,
    RMP_PURPOSE_KERNEL = 5,
    RMP_PURPOSE_PROBE = 6
};
