/* The network of a prior, held by every task that uses it: the jobs of a sweep differ in other things, and a network is
 * read once for all of them. */
#pragma once

#include "io/model.h"

typedef struct rmp_network rmp_network;

/* Opens the network that a job names as prior.model (a path or the name of a shipped model), or holds `known` (may be
 * NULL) once more if that is the same. RMP_ERR_CONFIG or RMP_ERR_FORMAT names the file. */
rmp_status rmp_network_open(const char *model, rmp_network *known, rmp_network **out) RMP_MUST_CHECK;
/* Lets go of it; the last one closes it. NULL is fine. */
void rmp_network_close(rmp_network **network);

/* Borrowed. */
const rmp_model *rmp_network_model(const rmp_network *network);

rmp_status rmp_network_prior(rmp_network *network, rmp_device *device, const rmp_space *space, rmp_precision precision,
                             rmp_memory_policy memory, rmp_prior **out) RMP_MUST_CHECK;
/* rmp_prior_network_estimate; what was asked before is remembered until the first prior is made, whose weights no
 * other one takes again: the jobs of a sweep ask the same thousands of times. */
rmp_status rmp_network_estimate(rmp_network *network, rmp_device *device, const rmp_space *space,
                                rmp_precision precision, rmp_memory_policy memory, int64_t *bytes,
                                int64_t *saved) RMP_MUST_CHECK;
