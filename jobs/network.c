#include "jobs/network.h"

#include "jobs/paths.h"

#include <stdlib.h>
#include <string.h>

enum { REMEMBERED = 16 };

typedef struct answer { /* to a question about memory */
    const rmp_device *device;
    int64_t n;
    rmp_shape shape;
    rmp_precision precision;
    rmp_memory_policy memory;
    int64_t bytes, saved;
} answer;

struct rmp_network {
    char *name;
    rmp_model *model;
    int holders;
    answer known[REMEMBERED];
    int answers; /* given so far; the last ones are known */
    bool has_priors;
};

static rmp_status open_model(const char *name, rmp_model **out)
{
    char *path = NULL;
    RMP_TRY(rmp_paths_model(name, &path));
    rmp_status status = rmp_model_open(path, out);
    free(path);
    /* A file that is not there is a mistake in the job, not a failing system. */
    return status == RMP_ERR_IO ? rmp_fail_context(RMP_ERR_CONFIG, "prior.model") : status;
}

rmp_status rmp_network_open(const char *model, rmp_network *known, rmp_network **out)
{
    *out = NULL;
    if (known != NULL && strcmp(known->name, model) == 0) {
        known->holders++;
        *out = known;
        return RMP_OK;
    }
    rmp_network *network = calloc(1, sizeof *network);
    RMP_CHECK(network != NULL, RMP_ERR_MEMORY, "no memory for a network");
    network->holders = 1;
    network->name = strdup(model);
    rmp_status status = network->name != NULL ? RMP_OK : RMP_FAIL(RMP_ERR_MEMORY, "no memory for a network");
    if (status == RMP_OK) status = open_model(model, &network->model);
    if (status == RMP_OK) {
        *out = network;
    } else {
        rmp_network_close(&network);
    }
    return status;
}

void rmp_network_close(rmp_network **network)
{
    rmp_network *n = *network;
    *network = NULL;
    if (n == NULL || --n->holders > 0) return;
    rmp_model_close(&n->model);
    free(n->name);
    free(n);
}

const rmp_model *rmp_network_model(const rmp_network *network) { return network->model; }

rmp_status rmp_network_prior(rmp_network *network, rmp_device *device, const rmp_space *space, rmp_precision precision,
                             rmp_memory_policy memory, rmp_prior **out)
{
    const rmp_model *model = network->model;
    network->has_priors = true;
    return rmp_prior_network_create(device, model->net, &model->diffusion, space, precision, memory, out);
}

rmp_status rmp_network_estimate(rmp_network *network, rmp_device *device, const rmp_space *space,
                                rmp_precision precision, rmp_memory_policy memory, int64_t *bytes, int64_t *saved)
{
    answer a = {.device = device, .n = space->n, .shape = space->shape, .precision = precision, .memory = memory};
    for (int i = 0; !network->has_priors && i < REMEMBERED && i < network->answers; i++) {
        const answer *k = &network->known[i];
        if (k->device != device || k->n != a.n || memcmp(&k->shape, &a.shape, sizeof a.shape) != 0 ||
            k->precision != precision || k->memory != memory) {
            continue;
        }
        *bytes = k->bytes;
        *saved = k->saved;
        return RMP_OK;
    }
    RMP_TRY(rmp_prior_network_estimate(device, network->model->net, space, precision, memory, &a.bytes, &a.saved));
    network->known[network->answers++ % REMEMBERED] = a;
    *bytes = a.bytes;
    *saved = a.saved;
    return RMP_OK;
}
