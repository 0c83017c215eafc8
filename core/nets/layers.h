/* What all networks are made of, layers with their tensors, and what NCSN++ and the UNets of diffusers share: residual
 * blocks with an additive time bias, single attention blocks, FIR resampling. A network declares its layers in the
 * order of the original's constructor; building appends them to graphs. */
#pragma once

#include "core/nets/net.h"

enum { RMP_LAYERS_MAX_CHANNELS = 1 << 20, RMP_LAYERS_MAX_BLOCKS = 64, RMP_FIR_MAX_TAPS = 16 };

typedef struct rmp_layer { /* a convolution, a linear layer or a normalisation; NULL = there is none */
    const rmp_tensor *weight, *bias;
} rmp_layer;

typedef struct rmp_fir { /* taps 0: none, that is nearest neighbours and means of 2 x 2 */
    int taps;
    double kernel[RMP_FIR_MAX_TAPS];
} rmp_fir;

typedef enum rmp_resampling { RMP_SAME_SIZE, RMP_HALVE, RMP_DOUBLE } rmp_resampling;

/* Where layers get their tensors, and what belongs to all of them. Zero-initialised; outlives the graphs. */
typedef struct rmp_layers {
    rmp_weights *weights;
    bool declare;      /* tensors are added to `weights` (with data NULL) instead of taken from it */
    rmp_weights *made; /* tensors that were computed from those of the file */
    rmp_layer *embed;  /* of the residual blocks, in the order of their parts of the conditioning vector */
    int embed_count, embed_capacity;
    int64_t condition; /* length of the conditioning vector so far */
} rmp_layers;

void rmp_layers_clear(rmp_layers *layers);

/* One tensor NAME = prefix + suffix, or with data NULL when declaring. *out may be NULL: rmp_weights_verify. */
rmp_status rmp_layers_tensor(rmp_layers *layers, const char *prefix, const char *suffix, int rank, const int64_t dims[],
                             const rmp_tensor **out) RMP_MUST_CHECK;
/* prefix + name + ".weight" of these dimensions and ".bias" of the first of them. */
rmp_status rmp_layers_affine(rmp_layers *layers, const char *prefix, const char *name, int rank, const int64_t dims[],
                             rmp_layer *out) RMP_MUST_CHECK;
rmp_status rmp_layers_conv(rmp_layers *layers, const char *prefix, const char *name, int64_t out_channels,
                           int64_t in_channels, int64_t size, rmp_layer *out) RMP_MUST_CHECK;
/* prefix + name + ".W" (in, out) and ".b" (out), as a 1x1 convolution (out, in). */
rmp_status rmp_layers_nin(rmp_layers *layers, const char *prefix, const char *name, int64_t in_channels,
                          int64_t out_channels, rmp_layer *out) RMP_MUST_CHECK;
/* `count` layers with equal numbers of inputs, as one with all their outputs. */
rmp_status rmp_layers_join(rmp_layers *layers, int count, const rmp_layer part[], rmp_layer *out) RMP_MUST_CHECK;

/* A group norm, which needs `groups` to divide `channels`: RMP_ERR_CONFIG. */
typedef struct rmp_norm {
    rmp_layer layer;
    int64_t groups;
    double eps;
} rmp_norm;

rmp_status rmp_layers_norm(rmp_layers *layers, const char *prefix, const char *name, int64_t channels, int64_t groups,
                           double eps, rmp_norm *out) RMP_MUST_CHECK;

/* A linear layer of the time MLP's output (emb numbers) that makes `numbers` of the conditioning vector, from *offset.
 */
rmp_status rmp_layers_embedding(rmp_layers *layers, const char *prefix, const char *name, int64_t numbers, int64_t emb,
                                int64_t *offset) RMP_MUST_CHECK;

/* Tensor names of a residual block; in the order of the state dict. */
typedef struct rmp_res_names {
    const char *norm_in, *conv, *embed, *norm_out, *last, *skip;
    bool nin; /* the skip is stored as NIN */
} rmp_res_names;

typedef struct rmp_res {
    int64_t in, out; /* channels */
    int64_t groups_in, groups_out;
    double eps, scale;         /* of the norms; of the sum */
    rmp_resampling resampling; /* of both branches */
    const rmp_fir *fir;        /* borrowed */
    bool shortcut;             /* a 1x1 convolution on the skip */
    bool film;                 /* the time scales and shifts after the second norm, not added before it */
    int64_t offset;            /* of its part of the conditioning vector */
    rmp_norm norm_in, norm_out;
    rmp_layer conv, last, skip;
} rmp_res;

/* Fills the layers of *res, whose other members the caller has set; emb: length of the time MLP's output. */
rmp_status rmp_layers_res(rmp_layers *layers, const char *prefix, const rmp_res_names *names, int64_t emb,
                          rmp_res *res) RMP_MUST_CHECK;

typedef struct rmp_attend {
    rmp_norm norm;          /* 0 groups: there is none */
    rmp_layer qkv, project; /* 1x1; q, k and v one after the other */
    int64_t heads;
    double scale; /* of the sum */
} rmp_attend;

/* Linear, SiLU, Linear, SiLU, then the part of every residual block: fills net->embed. */
rmp_status rmp_layers_embed(const rmp_layers *layers, rmp_net *net, const rmp_layer *first,
                            const rmp_layer *second) RMP_MUST_CHECK;

/* A convolution with `pad` zeros on all sides; out_channels 0 = all. */
rmp_status rmp_layer_conv(rmp_graph *g, rmp_value x, const rmp_layer *layer, int64_t pad, int64_t out_channels,
                          rmp_value *out) RMP_MUST_CHECK;
/* 3 x 3, every second pixel; pad: zeros before, and after. */
rmp_status rmp_layer_stride(rmp_graph *g, rmp_value x, const rmp_layer *layer, int64_t before, int64_t after,
                            rmp_value *out) RMP_MUST_CHECK;
rmp_status rmp_layer_norm(rmp_graph *g, rmp_value x, const rmp_norm *norm, bool silu, rmp_value *out) RMP_MUST_CHECK;
/* The same, then scaled and shifted by numbers of `condition` from `offset` (core/graph.h), then SiLU. */
rmp_status rmp_layer_film(rmp_graph *g, rmp_value x, const rmp_norm *norm, rmp_value condition, int64_t offset,
                          rmp_value *out) RMP_MUST_CHECK;
rmp_status rmp_layer_resample(rmp_graph *g, rmp_value x, rmp_resampling resampling, const rmp_fir *fir,
                              rmp_value *out) RMP_MUST_CHECK;
/* FIR filter with a border for a 3 x 3 convolution of stride 2 without padding. */
rmp_status rmp_layer_filter(rmp_graph *g, rmp_value x, const rmp_fir *fir, rmp_value *out) RMP_MUST_CHECK;
rmp_status rmp_layer_res(rmp_graph *g, rmp_value x, const rmp_res *res, rmp_value condition,
                         rmp_value *out) RMP_MUST_CHECK;
rmp_status rmp_layer_attend(rmp_graph *g, rmp_value x, const rmp_attend *attend, rmp_value *out) RMP_MUST_CHECK;

/* Features of a time: sines and cosines of t * 10000^(-i / (half - shift)), half of each. */
void rmp_time_positional(double t, int64_t count, double shift, bool cos_first, float *features);
/* Sines, then cosines of 2 pi W log(sigma). */
void rmp_time_fourier(double sigma, const rmp_tensor *frequencies, float *features);
