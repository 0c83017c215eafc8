#include "io/infer.h"

#include <stdio.h>
#include <string.h>

const rmp_tensor *rmp_infer_find(const rmp_weights *weights, const char *prefix, int64_t number, const char *suffix)
{
    char name[128];
    snprintf(name, sizeof name, "%s%lld%s", prefix, (long long)number, suffix);
    return rmp_weights_find(weights, name);
}

int64_t rmp_infer_dim(const rmp_tensor *t, int i) { return t && i < t->rank ? t->dims[i] : 0; }

const char *rmp_infer_architecture(const rmp_weights *weights)
{
    if (rmp_weights_find(weights, "input_blocks.0.0.weight") && rmp_weights_find(weights, "time_embed.0.weight"))
        return "adm";
    if (rmp_weights_find(weights, "all_modules.0.W") || rmp_weights_find(weights, "all_modules.0.weight"))
        return "ncsnpp";
    if (rmp_weights_find(weights, "conv_in.weight") && rmp_weights_find(weights, "time_embedding.linear_1.weight"))
        return "unet2d";
    if (rmp_weights_find(weights, "feature_extractor.0.weight") &&
        rmp_weights_find(weights, "adapter.model.down.0.weight"))
        return "kernel_wizard";
    return NULL;
}
