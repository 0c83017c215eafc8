/* Inside of the reference device: the plan and its per-image kernels. Nothing is fused, reused or kept
 * between calls but the values themselves, so that each kernel reads like its formula in core/graph.h. */
#pragma once

#include "core/device.h"

typedef struct ref_buffer {
    rmp_buffer base;
    float *data;
} ref_buffer;

/* Weights of one operation as doubles. Convolutions are laid out for the innermost loop. */
typedef struct ref_weights {
    double *forward;  /* conv: (kh, kw, groups, c_in / groups, c_out / groups); linear: (out, in); norm: gamma */
    double *backward; /* conv: (kh, kw, groups, c_out / groups, c_in / groups); NULL without VJP */
    double *bias;     /* (c) or NULL; norm: beta */
} ref_weights;

typedef struct ref_plan {
    rmp_plan base;
    int32_t count; /* values up to the result */
    int64_t arena_bytes, weight_bytes, scratch_doubles;
    void *arena; /* scratch first, then values and gradients */
    double *weight_arena;
    double *scratch;
    float **value; /* (batch, h, w, c) of each node */
    float **grad;  /* likewise; NULL where no gradient flows */
    ref_weights *weights;
} ref_plan;

static inline float *ref_value(const ref_plan *plan, rmp_value v, int64_t image)
{
    return plan->value[v] + image * rmp_shape_count(rmp_graph_shape(plan->base.graph, v));
}

static inline float *ref_grad(const ref_plan *plan, rmp_value v, int64_t image)
{
    return plan->grad[v] ? plan->grad[v] + image * rmp_shape_count(rmp_graph_shape(plan->base.graph, v)) : NULL;
}

rmp_status ref_plan_create(rmp_device *dev, const rmp_graph *graph, const rmp_plan_options *options, rmp_plan **out);
void ref_plan_destroy(rmp_plan *plan);
void ref_plan_memory(const rmp_plan *plan, rmp_plan_memory *out);
rmp_status ref_plan_allocate(rmp_plan *plan);
rmp_status ref_plan_forward(rmp_plan *plan, int inputs, const rmp_buffer *const input[], rmp_buffer *output);
rmp_status ref_plan_vjp(rmp_plan *plan, const rmp_buffer *cotangent, rmp_buffer *gradient);

/* Doubles of scratch that the kernels of one node use. */
int64_t ref_scratch_doubles(const rmp_graph *graph, const rmp_node *node);

/* Computes one value of one image. */
void ref_forward(const ref_plan *plan, rmp_value v, int64_t image);
/* Adds to the gradients of its operands what comes through this value. */
void ref_backward(const ref_plan *plan, rmp_value v, int64_t image);

/* x sigmoid(x) and its derivative. */
double ref_silu(double x);
double ref_silu_slope(double x);

/* small (h, w, c), big (h f, w f, c). Sum over each block of `big`, or each number of `small` spread over its block;
 * times `scale`, stored or added. */
void ref_sum_blocks(rmp_shape small, int64_t f, double scale, const float *big, bool add, float *small_out);
void ref_spread_blocks(rmp_shape small, int64_t f, double scale, const float *from, bool add, float *big_out);

/* The kernels that fill files of their own. */
void ref_conv_forward(const ref_plan *plan, rmp_value v, int64_t image);
void ref_conv_backward(const ref_plan *plan, rmp_value v, int64_t image);
void ref_norm_forward(const ref_plan *plan, rmp_value v, int64_t image);
void ref_norm_backward(const ref_plan *plan, rmp_value v, int64_t image);
void ref_resample_forward(const ref_plan *plan, rmp_value v, int64_t image);
void ref_resample_backward(const ref_plan *plan, rmp_value v, int64_t image);
void ref_attention_forward(const ref_plan *plan, rmp_value v, int64_t image);
void ref_attention_backward(const ref_plan *plan, rmp_value v, int64_t image);
void ref_max_pool_forward(const ref_plan *plan, rmp_value v, int64_t image);
void ref_max_pool_backward(const ref_plan *plan, rmp_value v, int64_t image);
void ref_unit_channels_forward(const ref_plan *plan, rmp_value v, int64_t image);
void ref_unit_channels_backward(const ref_plan *plan, rmp_value v, int64_t image);
/* Doubles of scratch for transforms. */
int64_t ref_fft_doubles(rmp_shape in, rmp_shape out);
void ref_fft_magnitude_forward(const ref_plan *plan, rmp_value v, int64_t image);
void ref_fft_magnitude_backward(const ref_plan *plan, rmp_value v, int64_t image);
