/* Score networks. A network is two graphs made from a weight file: `embed`, the part that depends on the
 * noise level only (run once per level, its result is cached), and one graph per image size. No numerics
 * here: devices run the graphs. */
#pragma once

#include "core/graph.h"

typedef enum rmp_prediction { RMP_PREDICTION_EPS, RMP_PREDICTION_SCORE, RMP_PREDICTION_EDM } rmp_prediction;

typedef struct rmp_net rmp_net;

typedef struct rmp_net_ops {
    void (*destroy)(rmp_net *net);
    /* Appends the network to a graph: x (h, w, in_channels), h and w multiples of net->multiple; condition
     * (1, 1, net->condition). The first out_channels channels of the network's output are computed; 0 = all.
     * *out is (h, w, out_channels). */
    rmp_status (*build)(const rmp_net *net, rmp_graph *graph, rmp_value x, rmp_value condition, int64_t out_channels,
                        rmp_value *out);
    /* features (net->features floats) of the time argument as the original's forward takes it. */
    void (*time_features)(const rmp_net *net, double t, float *features);
    /* What the original multiplies its output by at that time argument, outside of the graph; NULL = 1. */
    double (*output_scale)(const rmp_net *net, double t);
} rmp_net_ops;

struct rmp_net {
    const rmp_net_ops *ops;
    const char *architecture; /* "adm", ... */
    int64_t in_channels, out_channels;
    int64_t multiple;   /* sizes must be multiples of this */
    int64_t image_size; /* that it was trained for */
    int64_t features;   /* length of the time features */
    bool takes_sigma;   /* the time argument is a noise level, whose logarithm is embedded */
    int64_t condition;  /* length of the conditioning vector */
    int64_t parameters;
    rmp_graph *embed;    /* input (1, 1, features), result (1, 1, condition); owned */
    rmp_value embed_emb; /* value of `embed` that the originals call emb (output of the time MLP) */
};

void rmp_net_destroy(rmp_net **net);

/* Appends the network to a graph that may do more (pad, crop): see build above. */
rmp_status rmp_net_append(const rmp_net *net, rmp_graph *graph, rmp_value x, rmp_value condition, int64_t out_channels,
                          rmp_value *out) RMP_MUST_CHECK;

/* See output_scale above. */
double rmp_net_output_scale(const rmp_net *net, double t);

/* The network alone, as a finished graph of one size: inputs (h, w, in_channels) and the conditioning vector, result
 * (h, w, out_channels). The caller destroys it. */
rmp_status rmp_net_build(const rmp_net *net, int64_t h, int64_t w, int64_t out_channels,
                         rmp_graph **out) RMP_MUST_CHECK;
