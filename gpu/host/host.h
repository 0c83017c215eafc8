/* Inside of the host device: slots, steps and plans. A plan is a list of steps on slots. A slot is a piece of memory
 * that is written once; when it is first and last used decides where in the arena it lies. Lowering (lower*.c) turns a
 * graph into steps, layout.c places the slots, run.c executes. */
#pragma once

#include "core/device.h"
#include "gpu/host/kernels.h"
#include "gpu/host/onednn.h"
#include "gpu/share.h"

typedef struct rmp_host_weight rmp_host_weight; /* a re-ordered weight, shared by plans */

typedef struct rmp_host {
    rmp_device base;
    const rmp_kernels *kernels;
    rmp_onednn *dnn;
    int threads;
    int64_t allocated; /* bytes of buffers, arenas and weights; of shared weights this rank's part */
    rmp_share *share;  /* borrowed; NULL: none */
    rmp_host_weight *weights;
} rmp_host;

typedef struct rmp_host_buffer {
    rmp_buffer base;
    float *data;
} rmp_host_buffer;

/* 64-byte aligned, counted against the device's limit, zeroed. */
rmp_status rmp_host_allocate(rmp_host *host, int64_t bytes, const char *what, void **out) RMP_MUST_CHECK;
void rmp_host_release(rmp_host *host, int64_t bytes, void *memory);
/* Counts bytes that are allocated elsewhere against the limit; taken back by host->allocated -= bytes. */
rmp_status rmp_host_charge(rmp_host *host, int64_t bytes, const char *what) RMP_MUST_CHECK;

/* ---- slots and steps --------------------------------------------------------------------------------------------- */

typedef int32_t rmp_slot; /* RMP_NONE = no slot */

typedef enum rmp_place {
    RMP_IN_ARENA,
    RMP_IN_INPUT,     /* the caller's input `external` */
    RMP_IN_OUTPUT,    /* the caller's result buffer */
    RMP_IN_COTANGENT, /* of the VJP */
    RMP_IN_GRADIENT
} rmp_place;

typedef struct rmp_slot_info {
    rmp_place place;
    bool kept; /* from the forward of one image to its VJP, while other images are at work */
    int external;
    int64_t bytes;
    int first, last; /* steps; forward steps are numbered before backward ones */
    int64_t offset;
} rmp_slot_info;

typedef enum rmp_step_kind {
    RMP_STEP_WINO,
    RMP_STEP_CONV,
    RMP_STEP_DEPTHWISE,
    RMP_STEP_LINEAR,
    RMP_STEP_ATTENTION,
    RMP_STEP_ATTENTION_BACKWARD,
    RMP_STEP_SUMS,   /* channel sums of a value */
    RMP_STEP_REDUCE, /* sums of pieces -> sums of images, in double */
    RMP_STEP_COEFFICIENTS,
    RMP_STEP_COEFFICIENTS_BACKWARD,
    RMP_STEP_APPLY,
    RMP_STEP_BACKWARD1,
    RMP_STEP_BACKWARD2,
    RMP_STEP_ADD,    /* out = a x + b y */
    RMP_STEP_AFFINE, /* out = a x + b */
    RMP_STEP_CHANNEL_BIAS,
    RMP_STEP_SILU,
    RMP_STEP_SILU_BACKWARD,
    RMP_STEP_MULTIPLY,
    RMP_STEP_CLIP,
    RMP_STEP_CLIP_BACKWARD,
    RMP_STEP_LEAKY_RELU,
    RMP_STEP_LEAKY_RELU_BACKWARD,
    RMP_STEP_TANH,
    RMP_STEP_TANH_BACKWARD,
    RMP_STEP_SHUFFLE,  /* channels to pixels, or back: the shapes tell */
    RMP_STEP_CHANNELS, /* copy channels between tensors (concatenation and its gradient) */
    RMP_STEP_POOL,     /* block means or sums */
    RMP_STEP_SPREAD,   /* each pixel to a block, times a factor */
    RMP_STEP_TAPS_H,
    RMP_STEP_TAPS_W,
    RMP_STEP_BF16,
    RMP_STEP_MAX_POOL,
    RMP_STEP_MAX_POOL_BACKWARD,
    RMP_STEP_UNIT_CHANNELS,
    RMP_STEP_UNIT_CHANNELS_BACKWARD,
    RMP_STEP_SQUARE,
    RMP_STEP_SQUARE_BACKWARD,
    RMP_STEP_POWER,
    RMP_STEP_POWER_BACKWARD,
    RMP_STEP_FFT_MAGNITUDE,
    RMP_STEP_FFT_MAGNITUDE_BACKWARD,
    RMP_STEP_KINDS
} rmp_step_kind;

typedef struct rmp_step_parts {
    int count;
    rmp_slot slot[RMP_MAX_PARTS];
    int64_t c[RMP_MAX_PARTS];
} rmp_step_parts;

/* One step. Which fields count depends on the kind; shapes are of one image. */
typedef struct rmp_step {
    rmp_step_kind kind;
    rmp_value node; /* that it belongs to */
    rmp_shape in, out;
    rmp_step_parts x; /* inputs; of a normalisation its parts */
    rmp_slot y;       /* a second input: right operand, mask, cotangent, d of a normalisation */
    rmp_slot result;
    rmp_slot addend[RMP_MAX_PARTS];  /* added to the result(s) */
    rmp_slot results[RMP_MAX_PARTS]; /* BACKWARD2: gradients of the parts */
    rmp_slot a, b, r;                /* coefficients of a normalisation (n, channels) */
    rmp_slot stats;                  /* (n, groups, 2) double: mean, 1 / deviation */
    rmp_slot sums;                   /* pieces */
    rmp_slot scratch;
    rmp_slot film;               /* also the vector of CHANNEL_BIAS and image bias of a convolution */
    int64_t offset, film_length; /* channel offset in film / in a concatenation */
    int64_t pieces;              /* of one image, for SUMS, REDUCE and BACKWARD1 */
    int64_t piece_width;         /* channels of a row of sums: at least the channels */
    rmp_host_weight *weight, *bias;
    const rmp_taps *taps;
    rmp_wino wino; /* pointers are filled when it runs */
    rmp_slot finish_x[RMP_MAX_PARTS], finish_a, finish_b;
    rmp_onednn_conv *conv;
    rmp_resize resize;
    bool accumulates;         /* the result is added to in place */
    bool silu, bf16, squares; /* squares: REDUCE of x and x^2 */
    double alpha, beta;
    double seconds; /* spent so far, when profiling */
} rmp_step;

struct rmp_host_plan;
typedef struct rmp_host_plan {
    rmp_plan base;
    rmp_slot_info *slot;
    int slots, slot_room;
    rmp_step *step;
    int steps, step_room, forward_steps;
    rmp_host_weight **weight; /* each once */
    int weights, weight_room;
    int64_t new_weight_bytes;   /* that this plan brought to the device; of shared weights this rank's part */
    int64_t saved_weight_bytes; /* the other ranks' parts of them */
    rmp_taps **transposed;      /* owned: maps of RESAMPLE for the VJP */
    int transposed_count;
    int64_t n;          /* images that a step works on: the batch, or 1 where it is worked off image by image */
    int64_t kept_bytes; /* of n images, between forward and VJP; at the start of the arena, once for every n images */
    int64_t arena_bytes;
    char *arena;
    int64_t image; /* first of the n images at work */
    /* bound during a call */
    const float *input[8];
    float *output, *gradient;
    const float *cotangent;
} rmp_host_plan;

/* ---- weights (weights.c) -------------------------------------------------------------------------------------------
 */

typedef enum rmp_weight_form {
    RMP_WEIGHT_PLAIN,           /* float32 */
    RMP_WEIGHT_WINO,            /* packed for a 3x3 convolution */
    RMP_WEIGHT_WINO_TRANSPOSED, /* for its transpose */
    RMP_WEIGHT_CONV,            /* as oneDNN wants it */
    RMP_WEIGHT_CONV_TRANSPOSED  /* channels exchanged, kernel flipped, as oneDNN wants it */
} rmp_weight_form;

typedef struct rmp_weight_request {
    const rmp_tensor *tensor;
    rmp_weight_form form;
    int64_t oc, ic, kh, kw, groups; /* of the forward convolution; the first oc rows of the tensor are used */
    int64_t ic_first, ic_count;     /* CONV forms: a slice of the input channels (1x1 over a concatenation) */
    const rmp_onednn_conv *conv;    /* CONV forms: whose layout; must outlive the weight's filling */
} rmp_weight_request;

/* Finds or makes the entry; counts it once for the plan. Memory is taken by rmp_host_weights_fill. */
rmp_status rmp_host_weight_get(rmp_host_plan *plan, const rmp_weight_request *request,
                               rmp_host_weight **out) RMP_MUST_CHECK;
rmp_status rmp_host_weights_fill(rmp_host_plan *plan) RMP_MUST_CHECK;
void rmp_host_weights_drop(rmp_host_plan *plan);
const void *rmp_host_weight_data(const rmp_host_weight *weight);

/* ---- the parts of a plan -------------------------------------------------------------------------------------------
 */

/* lower.c, lower_vjp.c: fills slots and steps. */
rmp_status rmp_host_lower(rmp_host_plan *plan) RMP_MUST_CHECK;
/* lower_live.c: drops steps whose results nobody reads, finds the lives of slots. */
rmp_status rmp_host_live(rmp_host_plan *plan) RMP_MUST_CHECK;
/* layout.c: offsets of the slots in the arena. */
rmp_status rmp_host_layout(rmp_host_plan *plan) RMP_MUST_CHECK;
/* run.c: executes steps [first, last). */
rmp_status rmp_host_run(rmp_host_plan *plan, int first, int last) RMP_MUST_CHECK;

/* plan.c */
rmp_status rmp_host_transposed_taps(rmp_host_plan *plan, const rmp_taps *taps, const rmp_taps **out) RMP_MUST_CHECK;
rmp_status rmp_host_plan_create(rmp_device *dev, const rmp_graph *graph, const rmp_plan_options *options,
                                rmp_plan **out) RMP_MUST_CHECK;
void rmp_host_plan_destroy(rmp_plan *plan);
void rmp_host_plan_memory(const rmp_plan *plan, rmp_plan_memory *out);
rmp_status rmp_host_plan_allocate(rmp_plan *plan) RMP_MUST_CHECK;
rmp_status rmp_host_plan_forward(rmp_plan *plan, int inputs, const rmp_buffer *const input[],
                                 rmp_buffer *output) RMP_MUST_CHECK;
rmp_status rmp_host_plan_vjp(rmp_plan *plan, const rmp_buffer *cotangent, rmp_buffer *gradient) RMP_MUST_CHECK;

/* Number of the calling thread in the running team. */
int64_t rmp_host_thread(void);

/* ---- loops over whole tensors (threads inside) ----------------------------------------------------------------------
 */

/* attention.c: qkv (n, positions, 3 c); scratch of `rmp_attention_scratch` floats. */
typedef struct rmp_attention {
    int64_t n, positions, c, heads;
    rmp_attention_order order;
} rmp_attention;
int64_t rmp_attention_scratch(const rmp_attention *a, int threads, bool backward);
void rmp_attention_forward(const rmp_kernels *k, int threads, const rmp_attention *a, const float *qkv, float *out,
                           float *scratch);
void rmp_attention_backward(const rmp_kernels *k, int threads, const rmp_attention *a, const float *qkv, const float *g,
                            float *dqkv, float *scratch);

/* resample.c: one direction of a separable map on (n, h, w, c). */
void rmp_host_taps_h(const rmp_taps *taps, int64_t n, int64_t w, int64_t c, const float *x, float *out);
void rmp_host_taps_w(const rmp_taps *taps, int64_t n, int64_t h, int64_t c, const float *x, float *out);
/* features.c: maximum pooling on (n, in.h, in.w, c) and channels at unit length on `pixels` pixels; with g the VJP. */
void rmp_host_max_pool(const rmp_max_pool *pool, int64_t n, rmp_shape in, rmp_shape out, const float *x, float *y);
void rmp_host_max_pool_backward(const rmp_max_pool *pool, int64_t n, rmp_shape in, rmp_shape out, const float *x,
                                const float *g, float *gx);
void rmp_host_unit_channels(int64_t pixels, int64_t c, double eps, const float *x, float *y);
void rmp_host_unit_channels_backward(int64_t pixels, int64_t c, double eps, const float *x, const float *g, float *gx);

/* fourier.c: magnitudes of Fourier transforms of n images `in`, padded to `out`; with g the VJP. Scratch of
 * `rmp_host_fft_scratch` floats. */
int64_t rmp_host_fft_scratch(rmp_shape in, rmp_shape out, int threads);
void rmp_host_fft_magnitude(int threads, int64_t n, rmp_shape in, rmp_shape out, const float *x, float *y,
                            float *scratch);
void rmp_host_fft_magnitude_backward(int threads, int64_t n, rmp_shape in, rmp_shape out, const float *x,
                                     const float *g, float *gx, float *scratch);

/* Depthwise convolution (groups = channels) with few non-zero taps: weight (c, kh, kw); `transposed` gives the VJP. */
typedef struct rmp_depthwise {
    int64_t n, c, kh, kw, stride, pad_top, pad_left;
    rmp_shape in, out; /* of the forward convolution */
} rmp_depthwise;
void rmp_host_depthwise(const rmp_depthwise *d, const float *weight, const float *bias, bool transposed, const float *x,
                        float *out);
