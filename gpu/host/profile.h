/* Where the time of a plan of the host device goes: for `rmp bench`. */
#pragma once

#include "core/device.h"

typedef struct rmp_host_profile {
    double forward, forward_conv;   /* seconds since the last reset: all steps, convolutions */
    double backward, backward_conv; /* of the VJP */
    int64_t arena;                  /* bytes allocated, 0 before allocation */
} rmp_host_profile;

/* RMP_ERR_ARGUMENT if the plan is not the host device's. */
rmp_status rmp_host_plan_profile(const rmp_plan *plan, rmp_host_profile *out) RMP_MUST_CHECK;
void rmp_host_plan_profile_reset(rmp_plan *plan);
/* One line a step (kind, shape, milliseconds) in the order of execution. */
rmp_status rmp_host_plan_profile_print(const rmp_plan *plan, void (*line)(void *context, const char *text),
                                       void *context) RMP_MUST_CHECK;

/* GFLOP/s of a large 3x3 convolution (256 -> 256 channels, 128 x 128) through oneDNN's direct algorithm: what the
 * processor gives to a layer-by-layer program. Best of `repeat` runs. */
rmp_status rmp_host_convolution_peak(rmp_device *device, rmp_precision precision, int repeat,
                                     double *gflops) RMP_MUST_CHECK;
