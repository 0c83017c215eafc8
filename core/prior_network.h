/* The prior of a score network that predicts the noise (eps) of a variance-preserving diffusion: METHOD.md section 2.
 * Images of any size: they are padded by reflection to the network's multiple and the result is cropped. */
#pragma once

#include "core/nets/net.h"
#include "core/prior.h"

/* abar: (steps) cumulative products of the network's schedule, strictly descending within (0, 1); copied.
 * net and space are borrowed; the space's images have the network's input channels. Compiles and allocates for
 * space->n images a call. RMP_ERR_CONFIG for a prediction other than eps or a schedule that is none, RMP_ERR_MEMORY
 * beyond the device's limit. */
rmp_status rmp_prior_network_create(rmp_device *device, const rmp_net *net, const double *abar, int64_t steps,
                                    rmp_prediction prediction, const rmp_space *space, rmp_precision precision,
                                    rmp_prior **out) RMP_MUST_CHECK;

/* Bytes that create will take on the device; compiles but does not allocate. */
rmp_status rmp_prior_network_estimate(rmp_device *device, const rmp_net *net, const rmp_space *space,
                                      rmp_precision precision, int64_t *bytes) RMP_MUST_CHECK;

/* The (fractional) step of a schedule at noise level s: the inverse of s_k = sqrt((1 - abar_k) / abar_k), interpolated
 * linearly in log s, held at both ends. */
double rmp_schedule_time(const double *abar, int64_t steps, double s);
