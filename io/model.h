/* Model files: a network from a weight file and its description (metadata key "rmp" in the file, or NAME.json beside
 * it), or from `formula:CONFIG.json` with the formula weights of the parity fixtures. */
#pragma once

#include "core/nets/net.h"

enum { RMP_MAX_SCHEDULE = 10000 };

typedef struct rmp_model {
    rmp_weights *weights; /* owned */
    rmp_net *net;         /* owned */
    rmp_prediction prediction;
    int64_t steps;     /* of the VP schedule */
    double *abar;      /* (steps) cumulative products, descending; owned */
    double range[2];   /* of the data the network was trained on */
    char *description; /* the JSON, owned */
} rmp_model;

/* RMP_ERR_FORMAT with file and key or tensor named. */
rmp_status rmp_model_open(const char *path, rmp_model **out) RMP_MUST_CHECK;
void rmp_model_close(rmp_model **model);
