#include "io/infer.h"

enum { MAX_BLOCKS = 256, FRONT = 6 };

static int64_t count_blocks(const rmp_weights *w, const char *prefix, int64_t first)
{
    int64_t count = 0;
    while (count < MAX_BLOCKS && rmp_infer_find(w, prefix, first + count, ".conv1.weight"))
        count++;
    return count;
}

rmp_status rmp_infer_kernel_wizard(const rmp_infer *from, json_t **description)
{
    const rmp_weights *w = from->weights;
    const rmp_tensor *first = rmp_weights_find(w, "feature_extractor.0.weight");
    const int64_t nf = rmp_infer_dim(first, 0), channels = rmp_infer_dim(first, 1);
    *description = NULL;
    RMP_CHECK(nf > 0 && channels > 0, RMP_ERR_FORMAT,
              "looks like a KernelWizard, but feature_extractor.0.weight is no convolution");
    RMP_CHECK(!rmp_weights_find(w, "adapter.model.up.1.double_conv.0.weight"), RMP_ERR_FORMAT,
              "is a KernelWizard whose UNet enlarges by interpolation (adapter.model.up.1.double_conv), which is not "
              "supported; the published ones have transposed convolutions there");
    *description = json_pack("{s:s, s:{s:I, s:I, s:I, s:I, s:I}}", "architecture", "kernel_wizard", "arguments",
                             "input_nc", (json_int_t)channels, "nf", (json_int_t)nf, "front_RBs",
                             (json_int_t)count_blocks(w, "feature_extractor.", FRONT), "back_RBs",
                             (json_int_t)count_blocks(w, "recon_trunk.", 0), "kernel_dim", (json_int_t)(8 * nf));
    RMP_CHECK(*description, RMP_ERR_MEMORY, "no memory for a description");
    return RMP_OK;
}
