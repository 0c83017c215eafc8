/* Small graphs that together use every operation in every way that devices treat differently: odd sizes, channel
 * counts that fit no vector, strides, asymmetric padding, groups. Each test program runs all of them. */
#pragma once

#include "core/device.h"
#include "core/random.h"

#include <stdlib.h>
#include <string.h>

enum { CASE_TENSORS = 32 };

typedef struct op_case {
    rmp_graph *graph;
    rmp_tensor tensor[CASE_TENSORS]; /* weights of the graph, owned */
    int tensors;
    bool failed;
    bool distinct; /* no two numbers of input 0 may be equal: see case_data */
    bool spike;    /* one number of input 0 is far larger than all others: see case_data */
} op_case;

/* Builders stop at nothing: a failure is remembered and reported once, by case_build. */
#define CASE_DO(call)                                                                                                  \
    do {                                                                                                               \
        if ((call) != RMP_OK) c->failed = true;                                                                        \
    } while (0)

static float case_normal(uint64_t stream, int64_t i)
{
    return rmp_random_normal((rmp_key){.seed = 77, .item = stream}, 0, RMP_PURPOSE_PROBE, (uint64_t)i);
}

/* Normal numbers times `scale` plus `shift`. */
static const rmp_tensor *case_tensor(op_case *c, int rank, const int64_t dims[], double scale, double shift)
{
    rmp_tensor *t = &c->tensor[c->tensors];
    *t = (rmp_tensor){.dtype = RMP_F32, .rank = rank};
    memcpy(t->dims, dims, (size_t)rank * sizeof *dims);
    int64_t count = rmp_tensor_count(t);
    float *data = malloc((size_t)count * sizeof *data);
    for (int64_t i = 0; i < count; i++)
        data[i] = (float)(shift + scale * (double)case_normal((uint64_t)(1000 + c->tensors), i));
    t->data = data;
    c->tensors++;
    return t;
}

static const rmp_tensor *case_vector(op_case *c, int64_t n, double scale, double shift)
{
    return case_tensor(c, 1, &n, scale, shift);
}

static rmp_value case_input(op_case *c, int64_t h, int64_t w, int64_t channels)
{
    rmp_value v = RMP_NONE;
    CASE_DO(rmp_graph_input(c->graph, (rmp_shape){h, w, channels}, &v));
    return v;
}

typedef struct conv_spec {
    int64_t h, w, in, out, kh, kw, stride, top, left, bottom, right, groups, keep;
    int rank;
    bool bias;
} conv_spec;

static rmp_value case_conv(op_case *c, rmp_value x, conv_spec s)
{
    rmp_value y = RMP_NONE;
    int rank = s.rank ? s.rank : 4;
    int64_t groups = s.groups ? s.groups : 1, dims[4] = {s.out, s.in / groups, s.kh, s.kw};
    double scale = 1.0 / (double)(dims[1] * s.kh * s.kw);
    rmp_conv2d conv = {.weight = case_tensor(c, rank, dims, 2 * scale, scale),
                       .bias = s.bias ? case_vector(c, s.out, 1, 0) : NULL,
                       .stride = s.stride ? s.stride : 1,
                       .pad_top = s.top,
                       .pad_left = s.left,
                       .pad_bottom = s.bottom,
                       .pad_right = s.right,
                       .groups = groups,
                       .out_channels = s.keep};
    CASE_DO(rmp_graph_conv2d(c->graph, x, &conv, &y));
    return y;
}

static rmp_value case_same_conv(op_case *c, rmp_value x, int64_t in, int64_t out)
{
    const conv_spec s = {
        .in = in, .out = out, .kh = 3, .kw = 3, .top = 1, .left = 1, .bottom = 1, .right = 1, .bias = true};
    return case_conv(c, x, s);
}

static const conv_spec conv_specs[] = {
    {5, 7, 3, 5, 3, 3, 1, 1, 1, 1, 1, 1, 0, 4, true},         /* odd everything */
    {1, 1, 4, 6, 3, 3, 1, 1, 1, 1, 1, 1, 0, 4, true},         /* one pixel */
    {1, 1, 3, 2, 1, 1, 1, 0, 0, 0, 0, 1, 0, 2, false},        /* one pixel, weight of rank 2 */
    {6, 5, 7, 33, 1, 1, 1, 0, 0, 0, 0, 1, 0, 3, true},        /* 1x1, weight of rank 3 */
    {5, 7, 9, 11, 3, 3, 2, 1, 1, 1, 1, 1, 0, 4, true},        /* stride 2, the last column is read by one tap */
    {8, 6, 8, 16, 3, 3, 2, 0, 0, 1, 1, 1, 0, 4, true},        /* padded right and bottom only */
    {7, 9, 2, 3, 2, 4, 3, 2, 1, 0, 3, 1, 0, 4, false},        /* even kernel, stride 3, four different pads */
    {6, 6, 6, 4, 3, 3, 1, 1, 1, 1, 1, 2, 0, 4, true},         /* two groups */
    {5, 4, 9, 9, 5, 5, 1, 2, 2, 2, 2, 3, 0, 4, false},        /* three groups, kernel larger than the image */
    {9, 12, 3, 3, 61, 61, 1, 30, 30, 30, 30, 3, 0, 4, false}, /* a blur kernel a channel */
    {5, 6, 16, 6, 3, 3, 1, 1, 1, 1, 1, 1, 3, 4, true},        /* the first three channels of six */
    {10, 9, 32, 64, 3, 3, 1, 1, 1, 1, 1, 1, 0, 4, true},      /* what networks have */
    {8, 8, 1, 1, 8, 8, 1, 0, 0, 0, 0, 1, 0, 4, true},         /* to one pixel */
    {4, 6, 64, 24, 3, 3, 2, 1, 1, 1, 1, 1, 0, 4, true},
    {23, 26, 3, 8, 11, 11, 4, 2, 2, 2, 2, 1, 0, 4, true}, /* AlexNet's first */
    {5, 9, 16, 8, 1, 7, 1, 0, 3, 0, 3, 1, 0, 4, true},    /* Inception's factors of 7 x 7 */
    {9, 5, 16, 8, 7, 1, 1, 3, 0, 3, 0, 1, 0, 4, true},
    {7, 6, 12, 9, 5, 5, 1, 2, 2, 2, 2, 1, 0, 4, true},
};
enum { CONV_SPECS = (int)(sizeof conv_specs / sizeof *conv_specs) };

static rmp_value build_conv(op_case *c, int variant)
{
    const conv_spec *s = &conv_specs[variant];
    return case_conv(c, case_input(c, s->h, s->w, s->in), *s);
}

typedef struct norm_spec {
    int64_t h, w, c, groups;
    double eps;
    int64_t film; /* -1 = none, else the offset */
    bool silu;
} norm_spec;

static rmp_value case_norm(op_case *c, rmp_value x, rmp_value film, norm_spec s)
{
    rmp_value y = RMP_NONE;
    rmp_group_norm norm = {.gamma = case_vector(c, s.c, 0.3, 1),
                           .beta = case_vector(c, s.c, 0.3, 0),
                           .groups = s.groups,
                           .eps = s.eps,
                           .film = film,
                           .film_offset = film == RMP_NONE ? 0 : s.film,
                           .silu = s.silu};
    CASE_DO(rmp_graph_group_norm(c->graph, x, &norm, &y));
    return y;
}

static const norm_spec norm_specs[] = {
    {5, 7, 64, 32, 1e-5, -1, false}, {5, 7, 64, 32, 1e-5, -1, true},  {3, 5, 96, 32, 1e-6, 0, true},
    {4, 4, 32, 32, 1e-5, 5, false},  {1, 1, 15, 3, 1e-2, -1, true},   {6, 3, 6, 1, 1e-5, 3, true},
    {2, 9, 10, 5, 0.5, -1, false},   {13, 11, 33, 11, 1e-5, 7, true},
};
enum { NORM_SPECS = (int)(sizeof norm_specs / sizeof *norm_specs) };

static rmp_value build_norm(op_case *c, int variant)
{
    norm_spec s = norm_specs[variant];
    rmp_value x = case_input(c, s.h, s.w, s.c), film = RMP_NONE;
    if (s.film >= 0) film = case_input(c, 1, 1, s.film + 2 * s.c + 3);
    return case_norm(c, x, film, s);
}

static rmp_value build_element(op_case *c, int variant)
{
    rmp_graph *g = c->graph;
    rmp_value x = case_input(c, 5, 7, 3), y = RMP_NONE;
    switch (variant) {
    case 0:
        CASE_DO(rmp_graph_silu(g, x, &y));
        break;
    case 1:
        CASE_DO(rmp_graph_affine(g, -1.5, x, 0.25, &y));
        break;
    case 2: /* the second operand is constant */
        CASE_DO(rmp_graph_add(g, 0.5, x, -2, case_input(c, 5, 7, 3), &y));
        break;
    case 3: /* the first operand is constant */
        CASE_DO(rmp_graph_add(g, 0.5, case_input(c, 5, 7, 3), -2, x, &y));
        break;
    case 4: /* twice the same */
        CASE_DO(rmp_graph_add(g, 0.75, x, 0.5, x, &y));
        break;
    case 5:
        CASE_DO(rmp_graph_channel_bias(g, x, case_input(c, 1, 1, 9), 4, &y));
        break;
    case 6:
        CASE_DO(rmp_graph_multiply(g, x, case_input(c, 5, 7, 3), &y));
        break;
    case 7: /* one mask for all channels */
        CASE_DO(rmp_graph_multiply(g, x, case_input(c, 5, 7, 1), &y));
        break;
    case 8:
        CASE_DO(rmp_graph_clip(g, x, -0.5, 0.75, &y));
        break;
    case 9:
        CASE_DO(rmp_graph_leaky_relu(g, x, 0.2, &y));
        break;
    case 10: /* ReLU */
        CASE_DO(rmp_graph_leaky_relu(g, x, 0, &y));
        break;
    case 11:
        CASE_DO(rmp_graph_tanh(g, x, &y));
        break;
    case 12:
        CASE_DO(rmp_graph_square(g, x, &y));
        break;
    case 13: /* exponents above and below 1 where their fifth derivatives are small */
    case 14:
        CASE_DO(rmp_graph_affine(g, 0.0625, x, 1.5, &y));
        CASE_DO(rmp_graph_power(g, y, variant == 13 ? 2.2 : 0.45, &y));
        break;
    case 15: /* zero below zero */
        CASE_DO(rmp_graph_power(g, x, 3, &y));
        break;
    default: /* the result is the input */
        y = x;
    }
    return y;
}
enum { ELEMENT_VARIANTS = 17 };

static rmp_value build_shuffle(op_case *c, int variant)
{
    rmp_value x = case_input(c, 3, 5, variant ? 27 : 20), y = RMP_NONE;
    CASE_DO(rmp_graph_pixel_shuffle(c->graph, x, variant ? 3 : 2, &y));
    return y;
}

static rmp_value build_concat(op_case *c, int variant)
{
    rmp_value x = case_input(c, 3, 5, 4), part[3] = {x, x, x}, y = RMP_NONE;
    part[1] = case_same_conv(c, x, 4, 7);
    if (variant == 0)
        part[2] = case_input(c, 3, 5, 2); /* constant */
    else
        CASE_DO(rmp_graph_silu(c->graph, part[1], &part[2]));
    CASE_DO(rmp_graph_concat(c->graph, 3, part, &y));
    return y;
}

static rmp_value build_blocks(op_case *c, int variant)
{
    static const int64_t factor[] = {2, 3, 2, 3, 1};
    rmp_value x = case_input(c, 6, 12, 5), y = RMP_NONE;
    if (variant < 2)
        CASE_DO(rmp_graph_avg_pool(c->graph, x, factor[variant], &y));
    else
        CASE_DO(rmp_graph_upsample(c->graph, x, factor[variant], &y));
    return y;
}

static rmp_value build_resample(op_case *c, int variant)
{
    const int64_t h = 9, w = 14;
    const double fir[] = {1, 3, 3, 1};
    rmp_taps *rows = NULL, *columns = NULL;
    rmp_value x = case_input(c, h, w, 3), y = RMP_NONE;
    switch (variant) {
    case 0:
        CASE_DO(rmp_taps_bicubic_down(h, 4, &rows));
        CASE_DO(rmp_taps_bicubic_down(w, 4, &columns));
        break;
    case 1:
        CASE_DO(rmp_taps_gaussian(h, 61, 3, &rows));
        CASE_DO(rmp_taps_gaussian(w, 61, 3, &columns));
        break;
    case 2: /* rows alone */
        CASE_DO(rmp_taps_fir(h, 4, fir, 2, 2, 1, 2, 1, &rows));
        break;
    case 3: /* columns alone */
        CASE_DO(rmp_taps_box_down(w, 4, &columns));
        break;
    case 4:
        CASE_DO(rmp_taps_reflect_pad(h, 12, 3, &rows));
        CASE_DO(rmp_taps_crop(w, 2, 7, &columns));
        break;
    case 5:
        CASE_DO(rmp_taps_mean(h, 3, &rows));
        CASE_DO(rmp_taps_mean_all(w, &columns));
        break;
    case 6:
        CASE_DO(rmp_taps_linear(h, 21, &rows));
        CASE_DO(rmp_taps_linear(w, 5, &columns));
        break;
    default: /* the identity */
        break;
    }
    CASE_DO(rmp_graph_resample(c->graph, x, rows, columns, &y));
    rmp_taps_destroy(&rows);
    rmp_taps_destroy(&columns);
    return y;
}

/* Maximum pooling: windows that touch, overlap, hang over, are padded. */
static rmp_value build_max_pool(op_case *c, int variant)
{
    static const rmp_max_pool pool[] = {{2, 2, 0, false}, {3, 2, 0, false}, {3, 2, 0, true},
                                        {3, 1, 1, false}, {2, 3, 1, true},  {5, 4, 2, true}};
    const rmp_shape shape[] = {{6, 5, 3}, {7, 9, 2}, {6, 8, 3}, {4, 5, 70}, {5, 7, 3}, {3, 9, 2}};
    rmp_value y = RMP_NONE;
    c->distinct = true;
    CASE_DO(rmp_graph_max_pool(c->graph, case_input(c, shape[variant].h, shape[variant].w, shape[variant].c),
                               &pool[variant], &y));
    return y;
}

/* Magnitudes of Fourier transforms: without padding, padded, odd sides, one row. */
static rmp_value build_fft(op_case *c, int variant)
{
    static const int64_t pad[][2] = {{0, 0}, {3, 1}, {0, 4}, {1, 0}};
    const rmp_shape shape[] = {{6, 5, 3}, {7, 9, 2}, {1, 6, 1}, {8, 3, 4}};
    rmp_value y = RMP_NONE;
    c->spike = true;
    CASE_DO(rmp_graph_fft_magnitude(c->graph, case_input(c, shape[variant].h, shape[variant].w, shape[variant].c),
                                    pad[variant][0], pad[variant][1], &y));
    return y;
}

/* Channels at unit length, and the distance of two images that LPIPS makes of them. */
static rmp_value build_unit(op_case *c, int variant)
{
    static const double eps[] = {1e-10, 0.5, 2, 1e-10};
    const rmp_shape shape[] = {{3, 5, 16}, {2, 7, 33}, {1, 1, 3}, {4, 6, 20}};
    const rmp_shape s = shape[variant];
    rmp_value x = case_input(c, s.h, s.w, s.c), other = RMP_NONE, y = RMP_NONE, sum[2] = {RMP_NONE, RMP_NONE};
    CASE_DO(rmp_graph_unit_channels(c->graph, x, eps[variant], &y));
    if (variant < 3) return y;
    rmp_taps *rows = NULL, *columns = NULL;
    CASE_DO(rmp_taps_mean_all(s.h, &rows));
    CASE_DO(rmp_taps_mean_all(s.w, &columns));
    CASE_DO(rmp_graph_unit_channels(c->graph, case_input(c, s.h, s.w, s.c), eps[variant], &other));
    CASE_DO(rmp_graph_add(c->graph, 1, y, -1, other, &y));
    CASE_DO(rmp_graph_square(c->graph, y, &y));
    for (int i = 0; i < 2; i++) {
        sum[i] = case_conv(c, y, (conv_spec){.in = s.c, .out = 1, .kh = 1, .kw = 1});
        CASE_DO(rmp_graph_resample(c->graph, sum[i], rows, columns, &sum[i]));
    }
    CASE_DO(rmp_graph_concat(c->graph, 2, sum, &y));
    rmp_taps_destroy(&rows);
    rmp_taps_destroy(&columns);
    return y;
}

typedef struct attention_spec {
    int64_t h, w, c, heads;
    rmp_attention_order order;
} attention_spec;

static const attention_spec attention_specs[] = {
    {5, 7, 10, 2, RMP_QKV_PER_HEAD}, {5, 7, 10, 2, RMP_QKV_BLOCKS}, {4, 4, 64, 1, RMP_QKV_PER_HEAD},
    {1, 1, 6, 3, RMP_QKV_BLOCKS},    {3, 8, 33, 3, RMP_QKV_BLOCKS}, {8, 8, 32, 4, RMP_QKV_PER_HEAD},
};
enum { ATTENTION_SPECS = (int)(sizeof attention_specs / sizeof *attention_specs) };

static rmp_value build_attention(op_case *c, int variant)
{
    attention_spec s = attention_specs[variant];
    rmp_value y = RMP_NONE;
    CASE_DO(rmp_graph_attention(c->graph, case_input(c, s.h, s.w, 3 * s.c), s.heads, s.order, &y));
    return y;
}

static rmp_value build_linear(op_case *c, int variant)
{
    rmp_value x = variant ? case_input(c, 3, 2, 5) : case_input(c, 1, 1, 37), y = RMP_NONE;
    int64_t dims[2] = {variant ? 7 : 130, variant ? 30 : 37};
    const rmp_tensor *weight = case_tensor(c, 2, dims, 0.2, 0);
    CASE_DO(rmp_graph_linear(c->graph, x, weight, variant ? NULL : case_vector(c, dims[0], 1, 0), &y));
    return y;
}

/* The patterns that devices fuse, as networks have them. */
static rmp_value build_network(op_case *c, int variant)
{
    rmp_graph *g = c->graph;
    rmp_value x = case_input(c, 6, 10, 32), h = x, skip = x, y = RMP_NONE;
    const norm_spec inner = {6, 10, 32, 32, 1e-5, -1, true}, wide = {6, 10, 64, 32, 1e-5, 2, true};
    switch (variant) {
    case 0: /* residual block with FiLM and a 1x1 skip */
        h = case_same_conv(c, case_norm(c, x, RMP_NONE, inner), 32, 64);
        h = case_norm(c, h, case_input(c, 1, 1, 140), wide);
        skip = case_conv(c, x, (conv_spec){.in = 32, .out = 64, .kh = 1, .kw = 1, .bias = true});
        h = case_same_conv(c, h, 64, 64);
        CASE_DO(rmp_graph_add(g, 1, h, 1, skip, &y));
        break;
    case 1: /* up */
        h = case_norm(c, x, RMP_NONE, inner);
        CASE_DO(rmp_graph_upsample(g, h, 2, &h));
        CASE_DO(rmp_graph_upsample(g, x, 2, &skip));
        h = case_same_conv(c, h, 32, 32);
        CASE_DO(rmp_graph_channel_bias(g, h, case_input(c, 1, 1, 40), 3, &h));
        CASE_DO(rmp_graph_add(g, 0.5, h, 0.5, skip, &y));
        break;
    case 2: /* down */
        h = case_norm(c, x, RMP_NONE, inner);
        CASE_DO(rmp_graph_avg_pool(g, h, 2, &h));
        CASE_DO(rmp_graph_avg_pool(g, x, 2, &skip));
        h = case_same_conv(c, h, 32, 32);
        CASE_DO(rmp_graph_add(g, 1, h, 1, skip, &y));
        break;
    case 3: /* attention */
        h = case_norm(c, x, RMP_NONE, (norm_spec){6, 10, 32, 32, 1e-5, -1, false});
        h = case_conv(c, h, (conv_spec){.in = 32, .out = 96, .kh = 1, .kw = 1, .rank = 3, .bias = true});
        CASE_DO(rmp_graph_attention(g, h, 2, RMP_QKV_PER_HEAD, &h));
        h = case_conv(c, h, (conv_spec){.in = 32, .out = 32, .kh = 1, .kw = 1, .rank = 3, .bias = true});
        CASE_DO(rmp_graph_add(g, 1, h, 1, x, &y));
        break;
    case 4: /* concatenation read by a norm and by a 1x1 skip; x is used three times */
        h = case_same_conv(c, x, 32, 32);
        CASE_DO(rmp_graph_concat(g, 2, (rmp_value[]){h, x}, &h));
        skip = case_conv(c, h, (conv_spec){.in = 64, .out = 32, .kh = 1, .kw = 1, .bias = true});
        h = case_norm(c, h, RMP_NONE, (norm_spec){6, 10, 64, 32, 1e-5, -1, true});
        h = case_same_conv(c, h, 64, 32);
        CASE_DO(rmp_graph_add(g, 1, h, 1, skip, &h));
        CASE_DO(rmp_graph_add(g, 1, h, -1, x, &y));
        break;
    case 5: /* a convolution whose result both a sum and a norm read */
        h = case_same_conv(c, x, 32, 32);
        CASE_DO(rmp_graph_add(g, 1, h, 1, x, &skip));
        h = case_norm(c, h, RMP_NONE, inner);
        CASE_DO(rmp_graph_add(g, 1, h, 1, skip, &y));
        break;
    case 6: /* a concatenation of a value with itself, as in a UNet without a middle */
        h = case_same_conv(c, x, 32, 32);
        CASE_DO(rmp_graph_concat(g, 2, (rmp_value[]){h, h}, &h));
        skip = case_conv(c, h, (conv_spec){.in = 64, .out = 32, .kh = 1, .kw = 1, .bias = true});
        h = case_norm(c, h, RMP_NONE, (norm_spec){6, 10, 64, 32, 1e-5, -1, true});
        h = case_same_conv(c, h, 64, 32);
        CASE_DO(rmp_graph_add(g, 1, h, 1, skip, &y));
        break;
    default: /* the sum of one convolution with itself, and a part that depends on no image */
        h = case_same_conv(c, x, 32, 32);
        CASE_DO(rmp_graph_add(g, 1, h, 1, h, &h));
        skip = case_same_conv(c, case_input(c, 6, 10, 5), 5, 32);
        CASE_DO(rmp_graph_silu(g, skip, &skip));
        CASE_DO(rmp_graph_add(g, 1, h, 1, skip, &y));
    }
    return y;
}
enum { NETWORK_VARIANTS = 8 };

/* A mask and a matrix: what measurement operators are made of. */
static rmp_value build_operator(op_case *c, int variant)
{
    rmp_value x = case_input(c, 8, 8, 3), y = RMP_NONE;
    rmp_taps *taps = NULL;
    CASE_DO(rmp_taps_reflect_pad(8, 3, 3, &taps));
    CASE_DO(rmp_graph_resample(c->graph, x, taps, taps, &y));
    rmp_taps_destroy(&taps);
    y = case_conv(c, y, (conv_spec){.in = 3, .out = 3, .kh = 7, .kw = 7, .groups = 3});
    if (variant) CASE_DO(rmp_graph_multiply(c->graph, y, case_input(c, 8, 8, 1), &y));
    return y;
}

typedef struct family {
    const char *name;
    rmp_value (*build)(op_case *c, int variant);
    int variants;
} family;

static const family families[] = {
    {"conv2d", build_conv, CONV_SPECS},
    {"group_norm", build_norm, NORM_SPECS},
    {"element", build_element, ELEMENT_VARIANTS},
    {"pixel_shuffle", build_shuffle, 2},
    {"concat", build_concat, 2},
    {"blocks", build_blocks, 5},
    {"resample", build_resample, 8},
    {"max_pool", build_max_pool, 6},
    {"unit_channels", build_unit, 4},
    {"fft_magnitude", build_fft, 4},
    {"attention", build_attention, ATTENTION_SPECS},
    {"linear", build_linear, 2},
    {"network", build_network, NETWORK_VARIANTS},
    {"operator", build_operator, 2},
};
enum { FAMILIES = (int)(sizeof families / sizeof *families) };

/* False if the graph could not be built: rmp_fail_message says why. */
static bool case_build(op_case *c, const family *f, int variant)
{
    *c = (op_case){0};
    CASE_DO(rmp_graph_create(&c->graph));
    if (c->failed) return false;
    rmp_value y = f->build(c, variant);
    CASE_DO(rmp_graph_output(c->graph, y));
    return !c->failed;
}

static void case_free(op_case *c)
{
    rmp_graph_destroy(&c->graph);
    for (int i = 0; i < c->tensors; i++)
        free((void *)c->tensor[i].data);
}

/* A number per channel of each image, off the corner, so large that no other makes its transform's magnitude small,
 * where the magnitude has a corner. */
static void case_spike(const op_case *c, int64_t batch, float *data)
{
    const rmp_shape s = rmp_graph_shape(c->graph, rmp_graph_input_value(c->graph, 0));
    for (int64_t image = 0; image < batch; image++)
        for (int64_t k = 0; k < s.c; k++)
            data[((image * s.h + s.h / 2) * s.w + s.w - 1) * s.c + k] = 16;
}

/* Input `input` of the case for a batch. On a grid of (k + 1/2) / 8, so that no finite difference of half a grid step
 * crosses a corner of clip or leaky_relu. Distinct ones are another permutation of such a grid in each stream, so that
 * it changes no maximum either. */
static float *case_data(const op_case *c, int input, int64_t batch, uint64_t stream)
{
    int64_t count = batch * rmp_shape_count(rmp_graph_shape(c->graph, rmp_graph_input_value(c->graph, input)));
    float *data = malloc((size_t)count * sizeof *data);
    for (int64_t i = 0; i < count; i++)
        data[i] = (floorf(case_normal(stream * 64 + (uint64_t)input, i) * 8) + 0.5f) / 8;
    for (int64_t i = 0; c->distinct && input == 0 && i < count; i++) /* 1009 is prime and divides no count here */
        data[i] = ((float)((i * 1009 + 17 * (int64_t)stream) % count - count / 2) + 0.5f) / 8;
    if (c->spike && input == 0) case_spike(c, batch, data);
    return data;
}
