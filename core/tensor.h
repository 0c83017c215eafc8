/* Named, read-only tensors in host memory: what a weight file holds. A tensor keeps the type that it
 * has on disk, so that a memory-mapped file of any size costs no copy; devices convert while they
 * re-order. Core does not know where the bytes come from (io/safetensors.h, tests, formulas). */
#pragma once

#include "core/status.h"

enum { RMP_MAX_RANK = 8 };

typedef enum rmp_dtype { RMP_F32, RMP_F16, RMP_BF16, RMP_F64, RMP_I64, RMP_I32, RMP_U8 } rmp_dtype;

typedef struct rmp_tensor {
    rmp_dtype dtype;
    int rank;
    int64_t dims[RMP_MAX_RANK]; /* row-major */
    const void *data;           /* borrowed */
} rmp_tensor;

/* Bytes of one element. */
size_t rmp_dtype_size(rmp_dtype dtype);
const char *rmp_dtype_name(rmp_dtype dtype);
int64_t rmp_tensor_count(const rmp_tensor *t);

/* Element i (flat, row-major) as a double. */
double rmp_tensor_at(const rmp_tensor *t, int64_t i);

/* Elements [begin, begin + count) as float32. */
void rmp_tensor_read_f32(const rmp_tensor *t, int64_t begin, int64_t count, float *out);

/* "(512, 128, 3, 3)" in a buffer of the caller. */
const char *rmp_tensor_shape_text(const rmp_tensor *t, char *buffer, size_t size);

/* A set of named tensors, filled by a loader, read by a network builder.
 * Looking a tensor up marks it used: what a builder never asked for is an unexpected tensor. */
typedef struct rmp_weights rmp_weights;

rmp_status rmp_weights_create(rmp_weights **out) RMP_MUST_CHECK;
void rmp_weights_destroy(rmp_weights **weights);

/* Adds one tensor; the name is copied, the data is borrowed (see _adopt). A name may appear once. */
rmp_status rmp_weights_add(rmp_weights *weights, const char *name, const rmp_tensor *tensor) RMP_MUST_CHECK;

/* Gives the set something to release when it is destroyed (a mapping, an allocation). */
rmp_status rmp_weights_adopt(rmp_weights *weights, void *resource, void (*release)(void *)) RMP_MUST_CHECK;

int64_t rmp_weights_count(const rmp_weights *weights);
const char *rmp_weights_name(const rmp_weights *weights, int64_t i);
/* i-th tensor in the order of addition; does not mark it used. */
const rmp_tensor *rmp_weights_tensor(const rmp_weights *weights, int64_t i);
/* Number of elements of all tensors. */
int64_t rmp_weights_parameters(const rmp_weights *weights);

/* The tensor of that name or NULL; marks nothing. */
const rmp_tensor *rmp_weights_find(const rmp_weights *weights, const char *name);

/* Takes `name` with exactly these dimensions and marks it used. If it is missing or misshapen, that is
 * noted in the set, *out is NULL and the call still succeeds, so that a builder can go on and
 * rmp_weights_verify can list everything that is wrong. */
rmp_status rmp_weights_take(rmp_weights *weights, const char *name, int rank, const int64_t dims[],
                            const rmp_tensor **out) RMP_MUST_CHECK;

/* RMP_ERR_FORMAT unless everything taken was there and everything there was taken: the message names
 * the first missing, misshapen and unexpected tensors and how many there are of each. */
rmp_status rmp_weights_verify(const rmp_weights *weights) RMP_MUST_CHECK;
