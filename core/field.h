/* Fields: images as solvers see them. A field is an element of a space (n images of one shape, on one
 * device, or - later - one image spread over ranks); solvers combine fields only through the operations
 * below and never see a pixel, a rank or a file. Coefficients are one per image, so that each image of a
 * batch has its own step sizes and a failed one can be frozen with zeros. */
#pragma once

#include "core/device.h"

typedef struct rmp_space rmp_space;
typedef struct rmp_field rmp_field;

typedef struct rmp_space_ops {
    rmp_status (*create)(const rmp_space *space, rmp_field **out); /* zero */
    void (*destroy)(rmp_field *field);
    rmp_status (*axpby)(const double a[], const rmp_field *x, const double b[], rmp_field *y);
    rmp_status (*dot)(const rmp_field *x, const rmp_field *y, double out[]);
    rmp_status (*normals)(rmp_field *x, const rmp_key key[], uint32_t step, uint32_t purpose);
    rmp_status (*divide)(const double a[], const double b[], const rmp_field *d, rmp_field *x);
    rmp_status (*pointwise)(rmp_pointwise kind, double lo, double hi, const rmp_field *x, rmp_field *y);
    rmp_status (*put)(rmp_field *x, int64_t image, const float *values);
    rmp_status (*get)(const rmp_field *x, int64_t image, float *values);
} rmp_space_ops;

struct rmp_space {
    const rmp_space_ops *ops;
    rmp_device *device; /* borrowed */
    int64_t n;          /* images */
    rmp_shape shape;    /* of one image; a vector of D numbers is (1, 1, D) */
};

struct rmp_field {
    const rmp_space *space; /* borrowed: must outlive the field */
    rmp_buffer *buffer;     /* owned; local spaces */
};

/* n images in the memory of one device. */
void rmp_space_local(rmp_space *space, rmp_device *device, int64_t n, rmp_shape shape);

rmp_status rmp_field_create(const rmp_space *space, rmp_field **out) RMP_MUST_CHECK; /* zero */
void rmp_field_destroy(rmp_field **field);

/* y_i = a_i x_i + b_i y_i; y is not read where b_i = 0. */
rmp_status rmp_field_axpby(const double a[], const rmp_field *x, const double b[], rmp_field *y) RMP_MUST_CHECK;
/* The same with one coefficient for all images. */
rmp_status rmp_field_axpby1(double a, const rmp_field *x, double b, rmp_field *y) RMP_MUST_CHECK;
rmp_status rmp_field_copy(const rmp_field *x, rmp_field *y) RMP_MUST_CHECK;
/* out[i] = <x_i, y_i>. */
rmp_status rmp_field_dot(const rmp_field *x, const rmp_field *y, double out[]) RMP_MUST_CHECK;
/* Standard normal numbers; the same for an item whatever its place in a batch or its rank. */
rmp_status rmp_field_normals(rmp_field *x, const rmp_key key[], uint32_t step, uint32_t purpose) RMP_MUST_CHECK;
/* x_i /= a_i + b_i d_i elementwise; d has as many images as x, or one. */
rmp_status rmp_field_divide(const double a[], const double b[], const rmp_field *d, rmp_field *x) RMP_MUST_CHECK;
/* y = x y elementwise. */
rmp_status rmp_field_multiply(const rmp_field *x, rmp_field *y) RMP_MUST_CHECK;
/* y = min(max(y, lo), hi); a NaN may become a bound. */
rmp_status rmp_field_clamp(double lo, double hi, rmp_field *y) RMP_MUST_CHECK;
/* y = 0 where x is not between lo and hi: the transposed Jacobian of the clamp at x, applied to y. */
rmp_status rmp_field_clamp_gradient(double lo, double hi, const rmp_field *x, rmp_field *y) RMP_MUST_CHECK;
/* y = sqrt(max(y, 0)) */
rmp_status rmp_field_sqrt(rmp_field *y) RMP_MUST_CHECK;
/* y = -1 where y < 0, else 1: of normal numbers it makes Rademacher's. */
rmp_status rmp_field_sign(rmp_field *y) RMP_MUST_CHECK;
/* One image from and to host memory, (h, w, c) row-major. */
rmp_status rmp_field_put(rmp_field *x, int64_t image, const float *values) RMP_MUST_CHECK;
rmp_status rmp_field_get(const rmp_field *x, int64_t image, float *values) RMP_MUST_CHECK;
