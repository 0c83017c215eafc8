/* Devices execute graphs. A device compiles a graph for a batch into a plan: primitives created once,
 * weights re-ordered once, one arena whose layout comes from liveness. What a plan needs is known
 * before anything is allocated. Implementations: gpu/host (oneDNN, OpenBLAS), gpu/reference (plain loops,
 * double accumulation, for tests). Core never sees their types.
 *
 * A buffer knows its device; handing a device a buffer of another one is RMP_ERR_ARGUMENT.
 * One thread at a time may use a device and what belongs to it. */
#pragma once

#include "core/graph.h"
#include "core/random.h"

typedef enum rmp_precision { RMP_PRECISION_FP32, RMP_PRECISION_BF16 } rmp_precision;

typedef struct rmp_device rmp_device;
typedef struct rmp_buffer rmp_buffer;
typedef struct rmp_plan rmp_plan;

/* What a VJP finds of its forward: everything it reads, or only the values between blocks, from which a block is
 * computed again just before its gradient. Results are the same to the byte. */
typedef enum rmp_memory_policy { RMP_MEMORY_KEEP, RMP_MEMORY_RECOMPUTE } rmp_memory_policy;

typedef struct rmp_plan_options {
    int64_t batch;            /* images per call, >= 1 */
    rmp_precision precision;  /* of convolutions; norms, sums and buffers stay float32 */
    bool vjp;                 /* rmp_plan_vjp will be called */
    rmp_memory_policy memory; /* a device may keep more than it is asked to */
} rmp_plan_options;

typedef struct rmp_plan_memory {
    int64_t arena;   /* activations, gradients, scratch of the libraries */
    int64_t weights; /* re-ordered copies that this plan adds to its device (those of several plans count once); of what
                        the processes of a machine hold together an equal part, rounded up */
    int64_t saved;   /* the other parts: weights + saved is what a process alone would take */
} rmp_plan_memory;

/* What is done to every number y of a field by itself; x is another field, lo and hi are bounds. */
typedef enum rmp_pointwise {
    RMP_POINTWISE_MULTIPLY,       /* y = x y */
    RMP_POINTWISE_CLAMP,          /* y = min(max(y, lo), hi) */
    RMP_POINTWISE_CLAMP_GRADIENT, /* y = y where lo < x < hi, else 0: the gradient of the clamp at x, as RMP_OP_CLIP's
                                   */
    RMP_POINTWISE_SQRT,           /* y = sqrt(max(y, 0)) */
    RMP_POINTWISE_SIGN            /* y = -1 where y < 0, else 1 */
} rmp_pointwise;

/* Table of one device. Implementations embed `struct rmp_device` as their first member.
 * n is the number of images, len the floats of each image, a[n], b[n] one coefficient an image. */
typedef struct rmp_device_ops {
    void (*destroy)(rmp_device *dev);

    rmp_status (*buffer_create)(rmp_device *dev, int64_t floats, rmp_buffer **out); /* zeroed */
    void (*buffer_destroy)(rmp_buffer *buffer);
    rmp_status (*upload)(rmp_buffer *dst, int64_t offset, int64_t floats, const float *src);
    rmp_status (*download)(const rmp_buffer *src, int64_t offset, int64_t floats, float *dst);

    /* y_i = a_i x_i + b_i y_i; where b_i is 0, y_i is not read (NaN does not survive). x == y allowed. */
    rmp_status (*axpby)(rmp_device *dev, int64_t n, int64_t len, const double a[], const rmp_buffer *x,
                        const double b[], rmp_buffer *y);
    /* out[i] = <x_i, y_i>, accumulated in double in an order that depends on len only. */
    rmp_status (*dot)(rmp_device *dev, int64_t n, int64_t len, const rmp_buffer *x, const rmp_buffer *y, double out[]);
    /* x_i[j] = normal(key_i, step, purpose, j), core/random.h. */
    rmp_status (*normals)(rmp_device *dev, int64_t n, int64_t len, const rmp_key key[], uint32_t step, uint32_t purpose,
                          rmp_buffer *x);
    /* x_i[j] /= a_i + b_i d_i[j]; d has n or 1 images (d_images). */
    rmp_status (*divide)(rmp_device *dev, int64_t n, int64_t len, const double a[], const double b[],
                         const rmp_buffer *d, int64_t d_images, rmp_buffer *x);
    /* `count` floats of y, as above; x is y where the kind reads no x. */
    rmp_status (*pointwise)(rmp_device *dev, rmp_pointwise kind, double lo, double hi, int64_t count,
                            const rmp_buffer *x, rmp_buffer *y);

    rmp_status (*plan)(rmp_device *dev, const rmp_graph *graph, const rmp_plan_options *options, rmp_plan **out);
    void (*plan_destroy)(rmp_plan *plan);
    void (*plan_memory)(const rmp_plan *plan, rmp_plan_memory *out);
    rmp_status (*plan_allocate)(rmp_plan *plan);
    rmp_status (*plan_forward)(rmp_plan *plan, int inputs, const rmp_buffer *const input[], rmp_buffer *output);
    rmp_status (*plan_vjp)(rmp_plan *plan, const rmp_buffer *cotangent, rmp_buffer *gradient);

    /* Eigenvalues (ascending) and eigenvectors (row k of `vectors` is eigenvector k) of a symmetric
     * row-major (n, n) matrix. All in host memory. */
    rmp_status (*symmetric_eigen)(rmp_device *dev, int64_t n, const double matrix[], double values[], double vectors[]);
} rmp_device_ops;

struct rmp_device {
    const rmp_device_ops *ops;
    const char *kind;      /* "cpu", "reference", "cuda" */
    char description[160]; /* for logs and summaries: processor, threads, libraries */
    int64_t memory_limit;  /* bytes that plans and buffers of this device may take together; 0 = no limit */
};

struct rmp_buffer { /* first member of every device's buffer */
    rmp_device *device;
    int64_t floats;
};

struct rmp_plan { /* first member of every device's plan */
    rmp_device *device;
    const rmp_graph *graph; /* borrowed: must outlive the plan */
    rmp_plan_options options;
    bool allocated;
    bool forward_done; /* a VJP belongs to the last forward */
};

void rmp_device_destroy(rmp_device **dev);

rmp_status rmp_buffer_create(rmp_device *dev, int64_t floats, rmp_buffer **out) RMP_MUST_CHECK;
void rmp_buffer_destroy(rmp_buffer **buffer);
rmp_status rmp_buffer_upload(rmp_buffer *dst, int64_t offset, int64_t floats, const float *src) RMP_MUST_CHECK;
rmp_status rmp_buffer_download(const rmp_buffer *src, int64_t offset, int64_t floats, float *dst) RMP_MUST_CHECK;

/* Compiles; allocates nothing large. The graph is borrowed. RMP_ERR_ARGUMENT for an operation that the
 * device does not support (none on cpu and reference). */
rmp_status rmp_plan_create(rmp_device *dev, const rmp_graph *graph, const rmp_plan_options *options,
                           rmp_plan **out) RMP_MUST_CHECK;
void rmp_plan_destroy(rmp_plan **plan);

/* What rmp_plan_allocate will take. */
rmp_plan_memory rmp_plan_estimate(const rmp_plan *plan);

/* Allocates the arena and re-orders the weights. RMP_ERR_MEMORY beyond the device's limit. Idempotent;
 * the first forward calls it if the owner did not. */
rmp_status rmp_plan_allocate(rmp_plan *plan) RMP_MUST_CHECK;

/* Inputs: batch x (h, w, c) floats each (at least), in the order of the graph's inputs; output likewise, and none of
 * the inputs. RMP_ERR_ARGUMENT for buffers of another device or too small. */
rmp_status rmp_plan_forward(rmp_plan *plan, int inputs, const rmp_buffer *const input[],
                            rmp_buffer *output) RMP_MUST_CHECK;

/* gradient = (d output / d input 0)^T cotangent at the input of the last forward, whose input buffers must
 * be unchanged. May be called any number of times. gradient != cotangent. RMP_ERR_ARGUMENT without options.vjp or a
 * forward before. */
rmp_status rmp_plan_vjp(rmp_plan *plan, const rmp_buffer *cotangent, rmp_buffer *gradient) RMP_MUST_CHECK;

rmp_status rmp_device_symmetric_eigen(rmp_device *dev, int64_t n, const double matrix[], double values[],
                                      double vectors[]) RMP_MUST_CHECK;
