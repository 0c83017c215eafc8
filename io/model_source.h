/* Where a model comes from: the file that has its weights, in any of the formats people have, and the description of
 * its network (io/model.h), wherever that is found. */
#pragma once

#include "core/tensor.h"

typedef struct rmp_model_source {
    rmp_weights *weights; /* owned */
    char *description;    /* JSON with the keys of a description; owned */
    char *path;           /* the weight file, also where a folder was given; owned */
    char *described_by;   /* the file to name in what is wrong with the description; owned */
    const char *format;   /* of the weight file, for people; static storage */
    const char *origin;   /* of the description, for people; static storage */
    bool inferred;        /* from names and shapes of the tensors */
} rmp_model_source;

/* path: a .safetensors file, a PyTorch checkpoint (told by their contents, not their names), or a folder of diffusers:
 * config.json with diffusion_pytorch_model.safetensors or .bin, in it or in unet/, and scheduler_config.json beside
 * them or in scheduler/.
 * The description is, in this order: the metadata "rmp" of the file; NAME.json beside it; config.json beside it, if it
 * is of diffusers; what the names and shapes of the tensors determine. architecture: "adm", "ncsnpp", "unet2d" or
 * "kernel_wizard" if the user said so, else NULL. settings: `count` texts "KEY=VALUE", VALUE in JSON, that are set
 * among the arguments. A prefix "module." that all names have is removed. RMP_ERR_FORMAT names the file and what is
 * missing, RMP_ERR_CONFIG a wrong setting; *out is empty then. */
rmp_status rmp_model_source_open(const char *path, const char *architecture, char *const settings[], int count,
                                 rmp_model_source *out) RMP_MUST_CHECK;
/* Its two halves, for files that may hold something else than a score network: `read` fills everything but what belongs
 * to the description, which is the metadata "rmp" as it stands, or NULL. *out is empty after a failure of either. */
rmp_status rmp_model_source_read(const char *path, rmp_model_source *out) RMP_MUST_CHECK;
rmp_status rmp_model_source_describe(rmp_model_source *source, const char *architecture, char *const settings[],
                                     int count) RMP_MUST_CHECK;
void rmp_model_source_close(rmp_model_source *source);
