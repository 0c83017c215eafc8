/* Perceptual scores on a rank: LPIPS of pairs of images and the features that FID compares, with weights from files of
 * the user. Compiled networks are kept for the last few image sizes. */
#pragma once

#include "core/perceptual.h"

/* How images get into the networks, for people who compare numbers. */
#define RMP_SCORER_RESIZE                                                                                              \
    "bilinear to 299 x 299 without antialiasing, centre-aligned (align_corners=False), as pytorch-fid"
#define RMP_SCORER_BIASED "FID of fewer than 2048 images is biased: compare only numbers of equally many images"
enum { RMP_SCORER_UNBIASED = 2048 }; /* images below which the covariance has not full rank */

/* The networks of a job, held by every task and scorer that uses them. */
typedef struct rmp_scorer_nets rmp_scorer_nets;

/* Opens weight files (NULL: not wanted), or holds `known` (may be NULL) once more if it has the same ones; *out is NULL
 * if none is wanted. `prefix` makes names for messages: "metrics." of a job, "--" of a command. RMP_ERR_CONFIG names
 * it: no such file, or a network of another kind; RMP_ERR_FORMAT names file and tensor. */
rmp_status rmp_scorer_nets_open(const char *prefix, const char *lpips, const char *fid, rmp_scorer_nets *known,
                                rmp_scorer_nets **out) RMP_MUST_CHECK;
void rmp_scorer_nets_close(rmp_scorer_nets **nets);

/* NULL where not wanted. */
const rmp_perceptual_net *rmp_scorer_nets_lpips(const rmp_scorer_nets *nets);
const rmp_perceptual_net *rmp_scorer_nets_fid(const rmp_scorer_nets *nets);

/* Bytes that scoring pictures of one size takes; 0 for those that are too small. The answer is remembered. */
rmp_status rmp_scorer_nets_estimate(rmp_scorer_nets *nets, rmp_device *device, int64_t h, int64_t w,
                                    int64_t *bytes) RMP_MUST_CHECK;

typedef struct rmp_scorer rmp_scorer;

/* Device and networks (not NULL) are borrowed. */
rmp_status rmp_scorer_create(rmp_device *device, const rmp_scorer_nets *nets, rmp_scorer **out) RMP_MUST_CHECK;
void rmp_scorer_destroy(rmp_scorer **scorer);
/* Lets compiled networks go, but for these sizes, until they are wanted again. */
void rmp_scorer_keep_only(rmp_scorer *scorer, int count, const rmp_shape shapes[]);
const rmp_scorer_nets *rmp_scorer_networks(const rmp_scorer *scorer);

/* Images (h, w, c) in [-1, 1], c = 1 or 3. RMP_ERR_ARGUMENT: too small for the network, or not finite. */
rmp_status rmp_scorer_lpips(rmp_scorer *scorer, const float *a, const float *b, rmp_shape shape,
                            double *out) RMP_MUST_CHECK;
rmp_status rmp_scorer_features(rmp_scorer *scorer, const float *image, rmp_shape shape,
                               float features[RMP_INCEPTION_FEATURES]) RMP_MUST_CHECK;
