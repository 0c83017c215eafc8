/* The prior of a score network: the denoiser D(x; s) from a network that predicts the noise, the score, or EDM's F:
 * METHOD.md section 2. Images of any size: they are padded by reflection to the network's multiple and the result is
 * cropped. */
#pragma once

#include "core/nets/net.h"
#include "core/prior.h"
#include "core/schedule.h"

/* What a network was trained on, and what its output means. With r = (b - a) / 2 for data in [a, b], x' = a + r (x + 1)
 * and s' = r s the image and the noise level as the network knows them, F its output and D' its denoiser:
 * eps:   D' = x' - s' F(x'), or of x' / sqrt(1 + s'^2) with a VP schedule.
 * score: D' = x' + s'^2 F(x'); with a VP schedule F is the score of x' / sqrt(1 + s'^2).
 * edm:   D' = cskip x' + cout F(cin x') with Karras et al.'s coefficients for sigma_data. */
typedef struct rmp_diffusion {
    rmp_prediction prediction;
    rmp_schedule schedule;
    double sigma_data; /* edm */
    double range[2];   /* of the data */
} rmp_diffusion;

/* net, space and the schedule's abar are borrowed; the space's images have the network's input channels. Compiles and
 * allocates for space->n images a call. RMP_ERR_CONFIG for a diffusion that is none, RMP_ERR_MEMORY beyond the
 * device's limit. */
rmp_status rmp_prior_network_create(rmp_device *device, const rmp_net *net, const rmp_diffusion *diffusion,
                                    const rmp_space *space, rmp_precision precision, rmp_memory_policy memory,
                                    rmp_prior **out) RMP_MUST_CHECK;

/* Bytes that create will take on the device, and how many more it would take if no other process held weights together
 * with this one; compiles but does not allocate. */
rmp_status rmp_prior_network_estimate(rmp_device *device, const rmp_net *net, const rmp_space *space,
                                      rmp_precision precision, rmp_memory_policy memory, int64_t *bytes,
                                      int64_t *saved) RMP_MUST_CHECK;
