/* What the forward and the backward half of lowering share. Internal to gpu/host/lower*.c. */
#pragma once

#include "gpu/host/host.h"

typedef enum rmp_gradient_state {
    RMP_GRADIENT_NONE,
    RMP_GRADIENT_SLOT,
    RMP_GRADIENT_NORM /* p d + q + r x, not made: the convolution behind it gathers it */
} rmp_gradient_state;

typedef struct rmp_value_info {
    bool live, virtual_concat, wants_sums;
    int uses;
    rmp_value user;   /* the last consumer */
    rmp_value chain;  /* of a convolution: last node that it computes (bias, residual); of that node: the convolution */
    rmp_value addend; /* of a chain's last node: the residual */
    rmp_value bias;   /* of a chain's last node: the CHANNEL_BIAS in it */
    rmp_slot slot, bf16, sums;
    /* normalisations */
    rmp_value target; /* the norm itself, or the resampling behind it that is done with it */
    rmp_value norm;   /* of a target: the norm */
    rmp_resize resize;
    bool gathered; /* the convolution behind reads through the norm */
    rmp_slot a, b, stats;
    rmp_slot d, back_sums, q, r; /* of its gradient */
    int64_t back_pieces, back_width;
    /* gradient of the value */
    rmp_gradient_state gradient;
    rmp_slot g;
    rmp_value gradient_norm; /* NORM: whose d, q, r */
} rmp_value_info;

typedef struct rmp_lowering {
    rmp_host_plan *plan;
    rmp_host *host;
    const rmp_graph *graph;
    int64_t n;
    bool bf16;
    rmp_value_info *v;
} rmp_lowering;

/* New slot of so many bytes an image / in all. */
rmp_status rmp_lower_slot(rmp_lowering *l, int64_t bytes, rmp_slot *out) RMP_MUST_CHECK;
rmp_status rmp_lower_value_slot(rmp_lowering *l, rmp_shape shape, rmp_slot *out) RMP_MUST_CHECK;
/* A step with every slot RMP_NONE. */
rmp_step rmp_lower_step(rmp_step_kind kind, rmp_value node, rmp_shape in, rmp_shape out);
/* Appends it and extends the lives of its slots. */
rmp_status rmp_lower_emit(rmp_lowering *l, const rmp_step *step) RMP_MUST_CHECK;

/* lower_match.c: uses, virtual concatenations, normalisations with their resampling and gathering, chains. */
void rmp_lower_match(rmp_lowering *l);
/* Convolutions of a bf16 plan that are done in bf16: those of one pixel or few channels cost
 * little and lose much. */
bool rmp_lower_is_bf16(const rmp_lowering *l, rmp_value v);
bool rmp_lower_is_wino(const rmp_lowering *l, rmp_value v);
bool rmp_lower_is_depthwise(const rmp_lowering *l, rmp_value v);
/* The values whose channels make up v: itself, or the parts of a concatenation that is not made. */
void rmp_lower_parts(const rmp_lowering *l, rmp_value v, int *count, rmp_value part[RMP_MAX_PARTS]);
void rmp_lower_step_parts(const rmp_lowering *l, rmp_value v, rmp_step_parts *out);
/* Slot with the bf16 copy of a slot's values. */
rmp_status rmp_lower_bf16(rmp_lowering *l, rmp_value node, rmp_shape shape, rmp_slot from,
                          rmp_slot *out) RMP_MUST_CHECK;
/* sums of pieces -> (n, 2, channels) double */
rmp_status rmp_lower_reduce(rmp_lowering *l, rmp_value node, rmp_shape shape, rmp_slot sums, int64_t pieces,
                            int64_t width, bool squares, rmp_slot *out) RMP_MUST_CHECK;
/* out = a x + b y on slots of that shape. */
rmp_status rmp_lower_add(rmp_lowering *l, rmp_value node, rmp_shape shape, double a, rmp_slot x, double b, rmp_slot y,
                         rmp_slot *out) RMP_MUST_CHECK;
rmp_status rmp_lower_affine(rmp_lowering *l, rmp_value node, rmp_shape shape, double a, rmp_slot x, double b,
                            rmp_slot *out) RMP_MUST_CHECK;
/* One separable map; `transposed` makes the VJP's. */
rmp_status rmp_lower_resample(rmp_lowering *l, rmp_value node, bool transposed, rmp_slot x,
                              rmp_slot *out) RMP_MUST_CHECK;
/* oneDNN convolution of one slot; a slice of the input channels. addend may be RMP_NONE. accumulate_into: a slot whose
 * values are added to in place, or RMP_NONE for a new one. */
typedef struct rmp_lower_conv {
    rmp_value node;
    bool transposed;
    int64_t ic_first, ic_count;
    rmp_slot x;      /* float32; converted if the plan is bf16 */
    rmp_slot x_bf16; /* or RMP_NONE */
    rmp_slot addend, accumulate_into;
    bool bias;
} rmp_lower_conv;
rmp_status rmp_lower_conv_emit(rmp_lowering *l, const rmp_lower_conv *c, rmp_slot *out) RMP_MUST_CHECK;

/* Steps of one node, unless its value has a slot. */
rmp_status rmp_lower_forward(rmp_lowering *l, rmp_value v) RMP_MUST_CHECK;

/* lower_recompute.c: cuts the graph into blocks. `again` gives values that are not kept between blocks new slots and
 * appends the steps that compute them: call it for the blocks from the last to the first, before the gradients of their
 * nodes. */
typedef struct rmp_lower_blocks {
    int32_t *block; /* of every node, ascending */
    bool *kept;     /* values that another block reads */
} rmp_lower_blocks;
rmp_status rmp_lower_blocks_find(const rmp_lowering *l, rmp_lower_blocks *out) RMP_MUST_CHECK;
void rmp_lower_blocks_free(rmp_lower_blocks *blocks);
rmp_status rmp_lower_again(rmp_lowering *l, const rmp_lower_blocks *blocks, int32_t block) RMP_MUST_CHECK;

/* lower_vjp.c: appends the backward steps; *out = slot of the gradient of input 0 (RMP_NONE: zero). */
rmp_status rmp_lower_backward(rmp_lowering *l, rmp_slot *out) RMP_MUST_CHECK;
