/* The blur generator of "Exploring Image Deblurring via Encoded Blur Kernel Space" (Tran, Tran, Phung and Hoai, CVPR
 * 2021): a network that blurs an image as a kernel code tells it, G(x, k) of the paper, KernelWizard.adaptKernel of
 * its code. The measurement operator nonlinear_blur is made of it. The other half of that class, which finds the code
 * of a pair of images (kernel_extractor), is not built.
 *
 *     features of x at a quarter of its size -> UNet of five levels, the code joined at the innermost
 *     -> residual blocks -> two pixel shuffles -> + x
 *
 * An image is 128 times as high and as wide as its code: 256 x 256 pixels have one of 2 x 2. */
#pragma once

#include "core/graph.h"

enum { RMP_KERNEL_WIZARD_MULTIPLE = 128, RMP_KERNEL_WIZARD_MAX_BLOCKS = 64 };

/* The arguments of the original's constructor. */
typedef struct rmp_kernel_wizard_config {
    int64_t input_nc;            /* channels of the image */
    int64_t nf;                  /* features */
    int64_t front_RBs, back_RBs; /* residual blocks before and behind the UNet */
    int64_t kernel_dim;          /* channels of the code: 8 nf */
} rmp_kernel_wizard_config;

typedef struct rmp_kernel_wizard rmp_kernel_wizard;

/* The published networks' (options/generate_blur/default.yml). */
void rmp_kernel_wizard_defaults(rmp_kernel_wizard_config *config);

/* True for the tensors of the half that is not built, which files have: those whose names begin with
 * "kernel_extractor.". */
bool rmp_kernel_wizard_ignores(const char *name);

/* Takes its tensors from `weights` (borrowed: must outlive the network) and verifies that they are complete, of the
 * right shape, and that nothing but the other half is left over: else RMP_ERR_FORMAT. RMP_ERR_CONFIG for arguments
 * that the original cannot run. */
rmp_status rmp_kernel_wizard_create(const rmp_kernel_wizard_config *config, rmp_weights *weights,
                                    rmp_kernel_wizard **out) RMP_MUST_CHECK;
void rmp_kernel_wizard_destroy(rmp_kernel_wizard **net);

/* Adds every tensor that is needed (with data NULL) to `weights`, in the original's order. */
rmp_status rmp_kernel_wizard_list(const rmp_kernel_wizard_config *config, rmp_weights *weights) RMP_MUST_CHECK;

const rmp_kernel_wizard_config *rmp_kernel_wizard_arguments(const rmp_kernel_wizard *net);
/* Of the tensors that are needed. */
int64_t rmp_kernel_wizard_parameters(const rmp_kernel_wizard *net);

/* Shape of the code for an image of that shape, which is a multiple of 128 each way. */
rmp_shape rmp_kernel_wizard_code_shape(const rmp_kernel_wizard *net, rmp_shape image);

/* Appends the network: x (h, w, input_nc) in [0, 1], code as above, result as x. RMP_ERR_ARGUMENT for other shapes. */
rmp_status rmp_kernel_wizard_append(const rmp_kernel_wizard *net, rmp_graph *graph, rmp_value x, rmp_value code,
                                    rmp_value *out) RMP_MUST_CHECK;
