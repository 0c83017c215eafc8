/* Directed graphs of tensor operations: the one form in which networks and measurement operators are
 * written. A graph describes one image; the batch is bound when a device compiles it to a plan
 * (core/device.h). Values are NHWC float32, shape (h, w, c) an image; a vector is (1, 1, c).
 *
 * A builder adds operations in topological order; each call checks shapes and returns the new value.
 * Every operation documents its gradient: g is the cotangent of the result. Gradients flow to input 0
 * only ("the image"); other inputs (conditioning vectors, masks) are constants of the VJP.
 * Weights are borrowed: they must outlive the graph and every plan compiled from it. */
#pragma once

#include "core/taps.h"
#include "core/tensor.h"

typedef int32_t rmp_value; /* index of a node; RMP_NONE where an operand is optional */
#define RMP_NONE ((rmp_value)-1)

typedef struct rmp_shape {
    int64_t h, w, c;
} rmp_shape;

static inline int64_t rmp_shape_count(rmp_shape s) { return s.h * s.w * s.c; }

typedef enum rmp_op {
    RMP_OP_INPUT,
    RMP_OP_CONV2D,
    RMP_OP_GROUP_NORM,
    RMP_OP_SILU,
    RMP_OP_ADD,
    RMP_OP_AFFINE,
    RMP_OP_CHANNEL_BIAS,
    RMP_OP_CONCAT,
    RMP_OP_AVG_POOL,
    RMP_OP_UPSAMPLE,
    RMP_OP_RESAMPLE,
    RMP_OP_ATTENTION,
    RMP_OP_LINEAR,
    RMP_OP_MULTIPLY,
    RMP_OP_CLIP,
    RMP_OP_LEAKY_RELU,
    RMP_OP_TANH,
    RMP_OP_PIXEL_SHUFFLE,
    RMP_OP_MAX_POOL,
    RMP_OP_UNIT_CHANNELS,
    RMP_OP_SQUARE,
    RMP_OP_POWER,
    RMP_OP_FFT_MAGNITUDE,
    RMP_OP_COUNT
} rmp_op;

typedef struct rmp_conv2d {
    const rmp_tensor *weight; /* (c_out, c_in / groups, kh, kw), or (c_out, c_in[, 1]) for 1x1 */
    const rmp_tensor *bias;   /* (c_out) or NULL */
    int64_t stride;           /* both directions */
    int64_t pad_top, pad_left, pad_bottom, pad_right; /* zeros */
    int64_t groups;
    int64_t out_channels; /* the first out_channels of weight are used; 0 = all (a node holds the number) */
} rmp_conv2d;

typedef struct rmp_group_norm {
    const rmp_tensor *gamma, *beta; /* (c) each */
    int64_t groups;
    double eps;
    rmp_value film; /* RMP_NONE, or a vector: scale = film[film_offset + k], shift = film[film_offset + c + k] */
    int64_t film_offset;
    bool silu;
} rmp_group_norm;

typedef struct rmp_max_pool {
    int64_t kernel, stride, pad; /* both directions; pad on all sides, at most kernel / 2, never the maximum */
    bool ceil;                   /* a last window may hang over the padded image, if it begins before its end */
} rmp_max_pool;

typedef enum rmp_attention_order {
    RMP_QKV_PER_HEAD, /* channel = head * 3d + {0, d, 2d} + i   (guided-diffusion QKVAttentionLegacy) */
    RMP_QKV_BLOCKS    /* channel = {0, C, 2C} + head * d + i    (use_new_attention_order, NCSN++, diffusers) */
} rmp_attention_order;

/* One node, as devices read it. Operands that are not used are RMP_NONE / zero. */
typedef struct rmp_node {
    rmp_op op;
    rmp_shape shape; /* of the result */
    int operands;
    const rmp_value *operand; /* owned by the graph */
    bool differentiable;      /* depends on input 0 */
    union {
        int64_t input; /* RMP_OP_INPUT: its number */
        rmp_conv2d conv;
        rmp_group_norm norm;
        struct {
            double a, b;
        } lin; /* ADD: a x + b y; AFFINE: a x + b; CLIP: [a, b]; LEAKY_RELU: slope a; POWER: exponent a */
        struct {
            int64_t offset;
        } bias;         /* CHANNEL_BIAS */
        int64_t factor; /* AVG_POOL, UPSAMPLE, PIXEL_SHUFFLE */
        struct {
            const rmp_taps *h, *w; /* owned by the graph; NULL = identity */
        } resample;
        struct {
            int64_t heads;
            rmp_attention_order order;
        } attention;
        struct {
            const rmp_tensor *weight, *bias;
        } linear;
        rmp_max_pool pool; /* MAX_POOL */
        double eps;        /* UNIT_CHANNELS */
    } as;
} rmp_node;

typedef struct rmp_graph rmp_graph;

rmp_status rmp_graph_create(rmp_graph **out) RMP_MUST_CHECK;
void rmp_graph_destroy(rmp_graph **graph);

/* Inputs are numbered 0, 1, ... in the order of these calls. Input 0 is the one gradients flow to. */
rmp_status rmp_graph_input(rmp_graph *g, rmp_shape shape, rmp_value *out) RMP_MUST_CHECK;

/* y = W * x + bias, cross-correlation as in every network library.   g_x = W^T * g. */
rmp_status rmp_graph_conv2d(rmp_graph *g, rmp_value x, const rmp_conv2d *conv, rmp_value *out) RMP_MUST_CHECK;

/* xhat = (x - mean) / sqrt(var + eps), mean and var over (h, w, c / groups) of one image;
 * z = (xhat gamma + beta)(1 + scale) + shift;  y = silu ? silu(z) : z.
 * With d = g silu'(z) gamma (1 + scale):  g_x = (d - mean(d) - xhat mean(d xhat)) / sqrt(var + eps). */
rmp_status rmp_graph_group_norm(rmp_graph *g, rmp_value x, const rmp_group_norm *norm, rmp_value *out) RMP_MUST_CHECK;

/* y = x sigmoid(x).   g_x = g sigmoid(x) (1 + x (1 - sigmoid(x))). */
rmp_status rmp_graph_silu(rmp_graph *g, rmp_value x, rmp_value *out) RMP_MUST_CHECK;

/* a x + b y, equal shapes.   g_x = a g, g_y = b g. */
rmp_status rmp_graph_add(rmp_graph *g, double a, rmp_value x, double b, rmp_value y, rmp_value *out) RMP_MUST_CHECK;

/* a x + b.   g_x = a g. */
rmp_status rmp_graph_affine(rmp_graph *g, double a, rmp_value x, double b, rmp_value *out) RMP_MUST_CHECK;

/* x[., ., k] + v[offset + k]; v is a vector that does not depend on input 0.   g_x = g. */
rmp_status rmp_graph_channel_bias(rmp_graph *g, rmp_value x, rmp_value v, int64_t offset,
                                  rmp_value *out) RMP_MUST_CHECK;

/* Channels of all parts one after another; equal h and w.   Gradient: the slices of g. */
rmp_status rmp_graph_concat(rmp_graph *g, int parts, const rmp_value part[], rmp_value *out) RMP_MUST_CHECK;

/* Mean over factor x factor blocks; h and w are multiples of it.   g_x = g / factor^2 over each block. */
rmp_status rmp_graph_avg_pool(rmp_graph *g, rmp_value x, int64_t factor, rmp_value *out) RMP_MUST_CHECK;

/* Nearest: each pixel becomes factor x factor.   g_x = sum of g over each block. */
rmp_status rmp_graph_upsample(rmp_graph *g, rmp_value x, int64_t factor, rmp_value *out) RMP_MUST_CHECK;

/* Separable linear map of rows and columns: y = (Th (x) Tw) x, each a sparse matrix (core/taps.h), NULL
 * for the identity. Covers bicubic and box reduction, separable blur, FIR, reflection padding, cropping,
 * changes of basis. The graph copies the taps.   g_x = (Th^T (x) Tw^T) g. */
rmp_status rmp_graph_resample(rmp_graph *g, rmp_value x, const rmp_taps *h, const rmp_taps *w,
                              rmp_value *out) RMP_MUST_CHECK;

/* Multi-head self-attention over the h*w positions. qkv has 3 C channels in the given order, the result C;
 * d = C / heads;  y = softmax(q k^T / sqrt(d)) v per head.   With P the softmax and dP = g v^T:
 * g_v = P^T g, dS = P (dP - rowsum(P dP)), g_q = dS k / sqrt(d), g_k = dS^T q / sqrt(d). */
rmp_status rmp_graph_attention(rmp_graph *g, rmp_value qkv, int64_t heads, rmp_attention_order order,
                               rmp_value *out) RMP_MUST_CHECK;

/* W x + bias on the flattened (h, w, c) value; W (out, h*w*c); the result is a vector.   g_x = W^T g. */
rmp_status rmp_graph_linear(rmp_graph *g, rmp_value x, const rmp_tensor *weight, const rmp_tensor *bias,
                            rmp_value *out) RMP_MUST_CHECK;

/* x m; m has the shape of x or (h, w, 1) and does not depend on input 0.   g_x = g m. */
rmp_status rmp_graph_multiply(rmp_graph *g, rmp_value x, rmp_value m, rmp_value *out) RMP_MUST_CHECK;

/* min(max(x, lo), hi).   g_x = g where lo < x < hi, else 0. */
rmp_status rmp_graph_clip(rmp_graph *g, rmp_value x, double lo, double hi, rmp_value *out) RMP_MUST_CHECK;

/* x > 0 ? x : slope x, 0 <= slope < 1; slope 0 is ReLU.   g_x = x > 0 ? g : slope g. */
rmp_status rmp_graph_leaky_relu(rmp_graph *g, rmp_value x, double slope, rmp_value *out) RMP_MUST_CHECK;

/* tanh(x).   g_x = g (1 - tanh(x)^2). */
rmp_status rmp_graph_tanh(rmp_graph *g, rmp_value x, rmp_value *out) RMP_MUST_CHECK;

/* Channels to pixels (Shi et al. 2016): y[i f + a, j f + b, k] = x[i, j, k f^2 + a f + b], f = factor; the number of
 * channels is a multiple of f^2.   g_x: the same numbers of g, back at their places. */
rmp_status rmp_graph_pixel_shuffle(rmp_graph *g, rmp_value x, int64_t factor, rmp_value *out) RMP_MUST_CHECK;

/* Largest number of each window, by channel.   g_x = sum of g over the windows whose largest number x is; of equal ones
 * the first in reading order counts. */
rmp_status rmp_graph_max_pool(rmp_graph *g, rmp_value x, const rmp_max_pool *pool, rmp_value *out) RMP_MUST_CHECK;

/* Each pixel's channels at unit length: y = x / (n + eps) with n = sqrt(sum_c x^2), eps > 0.
 * g_x = g / (n + eps) - x <x, g> / (n (n + eps)^2), the second term 0 where n is 0. */
rmp_status rmp_graph_unit_channels(rmp_graph *g, rmp_value x, double eps, rmp_value *out) RMP_MUST_CHECK;

/* x^2.   g_x = 2 x g. */
rmp_status rmp_graph_square(rmp_graph *g, rmp_value x, rmp_value *out) RMP_MUST_CHECK;

/* x^exponent where x > 0, else 0; exponent > 0.   g_x = g exponent x^(exponent - 1) where x > 0, else 0. With an
 * exponent below 1 that grows without bound towards 0: clip x from below where that can happen. */
rmp_status rmp_graph_power(rmp_graph *g, rmp_value x, double exponent, rmp_value *out) RMP_MUST_CHECK;

/* Magnitude of the discrete Fourier transform of each channel, with pad_h zeros above and below and pad_w left and
 * right: y[k] = |sum_n P x[n] exp(-2 pi i <k, n>)| / sqrt(H W), H x W = (h + 2 pad_h) x (w + 2 pad_w) the size of the
 * result, whose place (floor(H / 2), floor(W / 2)) holds the frequency 0.
 * g_x = Re P^T F^H (g F P x / |F P x|), where F P x is 0 with 0 for the quotient. */
rmp_status rmp_graph_fft_magnitude(rmp_graph *g, rmp_value x, int64_t pad_h, int64_t pad_w,
                                   rmp_value *out) RMP_MUST_CHECK;

/* Declares the one result of the graph, once. */
rmp_status rmp_graph_output(rmp_graph *g, rmp_value value) RMP_MUST_CHECK;

int32_t rmp_graph_size(const rmp_graph *g);
int rmp_graph_inputs(const rmp_graph *g);
rmp_value rmp_graph_input_value(const rmp_graph *g, int input);
rmp_value rmp_graph_result(const rmp_graph *g);
const rmp_node *rmp_graph_node(const rmp_graph *g, rmp_value value);
rmp_shape rmp_graph_shape(const rmp_graph *g, rmp_value value);
const char *rmp_op_name(rmp_op op);

/* Floating-point operations of one forward pass of one image: 2 per multiply-add of convolutions,
 * linear maps and attention products, as published tables count. */
double rmp_graph_flop(const rmp_graph *g);
