/* Model files: a network from a weight file or a folder of diffusers and the description that goes with it
 * (io/model_source.h), or from `formula:CONFIG.json` with the formula weights of the parity fixtures. */
#pragma once

#include "core/nets/kernel_wizard.h"
#include "core/prior_network.h"

enum { RMP_MAX_SCHEDULE = 10000 };

typedef struct rmp_model {
    rmp_weights *weights;    /* owned */
    rmp_net *net;            /* score network; owned; else NULL */
    rmp_kernel_wizard *blur; /* of the operator nonlinear_blur; owned; else NULL */
    rmp_diffusion diffusion; /* what it was trained on; its abar is the one below */
    int64_t steps;
    double *abar;      /* (steps) cumulative products, descending, for solvers that walk along them: those of its own VP
                          schedule, else DDPM's; owned */
    char *description; /* the JSON, owned */
} rmp_model;

/* What the caller can use. */
typedef enum rmp_model_use { RMP_MODEL_SCORE, RMP_MODEL_BLUR, RMP_MODEL_ANY } rmp_model_use;

/* A score network. RMP_ERR_FORMAT with file and key or tensor named. */
rmp_status rmp_model_open(const char *path, rmp_model **out) RMP_MUST_CHECK;
/* One for that use: another is RMP_ERR_FORMAT. */
rmp_status rmp_model_open_for(rmp_model_use use, const char *path, rmp_model **out) RMP_MUST_CHECK;
void rmp_model_close(rmp_model **model);
