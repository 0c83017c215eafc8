/* Perceptual metrics: LPIPS, a distance of two images, and the features of one image that FID compares between sets of
 * images. Both come from published networks that people download (README, "Weights of metrics"), run as graphs on any
 * device in float32.
 *
 * Images are (h, w, c) in [-1, 1], row-major, host memory; c is 3, or 1 (repeated three times). */
#pragma once

#include "core/device.h"

typedef enum rmp_perceptual_kind {
    RMP_PERCEPTUAL_ALEX, /* LPIPS v0.1 on AlexNet, VGG-16, SqueezeNet 1.1 */
    RMP_PERCEPTUAL_VGG,
    RMP_PERCEPTUAL_SQUEEZE,
    RMP_PERCEPTUAL_INCEPTION, /* Inception-v3 of FID */
    RMP_PERCEPTUAL_KINDS
} rmp_perceptual_kind;

enum { RMP_INCEPTION_FEATURES = 2048, RMP_LPIPS_MAX_LAYERS = 7 };

/* "lpips_alex", "lpips_vgg", "lpips_squeeze", "inception"; static storage. */
const char *rmp_perceptual_name(rmp_perceptual_kind kind);

/* A network with its weights; plans borrow them, so it outlives what is compiled from it. */
typedef struct rmp_perceptual_net rmp_perceptual_net;

/* Tensors that a weight file must have, in the order of the original's state dict, with data NULL. Two more may be
 * there: see rmp_perceptual_optional. */
rmp_status rmp_perceptual_list(rmp_perceptual_kind kind, rmp_weights *list) RMP_MUST_CHECK;
/* True for scaling_layer.shift and .scale of LPIPS, (1, 3, 1, 1): constants, which only some files have. */
bool rmp_perceptual_optional(rmp_perceptual_kind kind, const char *name);

/* Takes ownership of the weights, also where it fails; *weights is NULL then. Batch normalisations are folded into
 * convolutions. RMP_ERR_FORMAT names tensors that are missing, misshapen or unexpected, or variances that cannot be. */
rmp_status rmp_perceptual_net_create(rmp_perceptual_kind kind, rmp_weights **weights,
                                     rmp_perceptual_net **out) RMP_MUST_CHECK;
void rmp_perceptual_net_destroy(rmp_perceptual_net **net);
rmp_perceptual_kind rmp_perceptual_net_kind(const rmp_perceptual_net *net);
const rmp_weights *rmp_perceptual_net_weights(const rmp_perceptual_net *net);

/* The finished graph for images of one size: for LPIPS of two images (inputs 0 and 1, (h, w, 3)) the vector of its
 * layers' distances, whose sum is LPIPS; for Inception of one image the vector of features. RMP_ERR_ARGUMENT for images
 * that are too small, with the least size. The caller destroys it, before the network. */
rmp_status rmp_perceptual_graph(const rmp_perceptual_net *net, int64_t h, int64_t w, rmp_graph **out) RMP_MUST_CHECK;

/* The network compiled for images of one size on one device, which it borrows with the network. */
typedef struct rmp_perceptual rmp_perceptual;

/* RMP_ERR_ARGUMENT for images that are too small (the least size is named) or have neither 1 nor 3 channels,
 * RMP_ERR_MEMORY beyond the device's limit. */
rmp_status rmp_perceptual_create(rmp_device *device, const rmp_perceptual_net *net, rmp_shape image,
                                 rmp_perceptual **out) RMP_MUST_CHECK;
void rmp_perceptual_destroy(rmp_perceptual **perceptual);

/* Bytes that rmp_perceptual_create will take of the device's memory; nothing is allocated. Weights that other plans of
 * the device hold already are not counted. */
rmp_status rmp_perceptual_estimate(rmp_device *device, const rmp_perceptual_net *net, rmp_shape image,
                                   int64_t *bytes) RMP_MUST_CHECK;

/* LPIPS of two images. RMP_ERR_ARGUMENT if the network is Inception or the images are not finite. */
rmp_status rmp_perceptual_distance(rmp_perceptual *perceptual, const float *a, const float *b,
                                   double *out) RMP_MUST_CHECK;
/* The parts of it, one a layer; *layers is how many. */
rmp_status rmp_perceptual_distances(rmp_perceptual *perceptual, const float *a, const float *b,
                                    double out[RMP_LPIPS_MAX_LAYERS], int *layers) RMP_MUST_CHECK;

/* Features of one image for FID: resized to 299 x 299 (bilinear, centre-aligned, no antialiasing, as pytorch-fid),
 * means of the last feature maps. RMP_ERR_ARGUMENT if the network is not Inception or the image is not finite. */
rmp_status rmp_perceptual_features(rmp_perceptual *perceptual, const float *image,
                                   float features[RMP_INCEPTION_FEATURES]) RMP_MUST_CHECK;
