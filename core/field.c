#include "core/field.h"

#include <stdlib.h>

/* Most images of a batch for which a single coefficient is spread on the stack. */
enum { STACK_IMAGES = 64 };

static int64_t image_floats(const rmp_space *space) { return rmp_shape_count(space->shape); }

static bool same_space(const rmp_field *x, const rmp_field *y)
{
    return x->space == y->space || (x->space->ops == y->space->ops && x->space->device == y->space->device &&
                                    x->space->n == y->space->n && image_floats(x->space) == image_floats(y->space));
}

static rmp_status local_create(const rmp_space *space, rmp_field **out)
{
    rmp_field *field = calloc(1, sizeof *field);
    RMP_CHECK(field != NULL, RMP_ERR_MEMORY, "no memory for a field");
    field->space = space;
    const rmp_status status = rmp_buffer_create(space->device, space->n * image_floats(space), &field->buffer);
    if (status != RMP_OK) {
        free(field);
        return status;
    }
    *out = field;
    return RMP_OK;
}

static void local_destroy(rmp_field *field)
{
    rmp_buffer_destroy(&field->buffer);
    free(field);
}

static rmp_status local_axpby(const double a[], const rmp_field *x, const double b[], rmp_field *y)
{
    rmp_device *dev = y->space->device;
    return dev->ops->axpby(dev, y->space->n, image_floats(y->space), a, x->buffer, b, y->buffer);
}

static rmp_status local_dot(const rmp_field *x, const rmp_field *y, double out[])
{
    rmp_device *dev = x->space->device;
    return dev->ops->dot(dev, x->space->n, image_floats(x->space), x->buffer, y->buffer, out);
}

static rmp_status local_normals(rmp_field *x, const rmp_key key[], uint32_t step, uint32_t purpose)
{
    rmp_device *dev = x->space->device;
    return dev->ops->normals(dev, x->space->n, image_floats(x->space), key, step, purpose, x->buffer);
}

static rmp_status local_divide(const double a[], const double b[], const rmp_field *d, rmp_field *x)
{
    rmp_device *dev = x->space->device;
    return dev->ops->divide(dev, x->space->n, image_floats(x->space), a, b, d->buffer, d->space->n, x->buffer);
}

static rmp_status local_pointwise(rmp_pointwise kind, double lo, double hi, const rmp_field *x, rmp_field *y)
{
    rmp_device *dev = y->space->device;
    return dev->ops->pointwise(dev, kind, lo, hi, y->space->n * image_floats(y->space), x->buffer, y->buffer);
}

static rmp_status local_put(rmp_field *x, int64_t image, const float *values)
{
    const int64_t len = image_floats(x->space);
    return rmp_buffer_upload(x->buffer, image * len, len, values);
}

static rmp_status local_get(const rmp_field *x, int64_t image, float *values)
{
    const int64_t len = image_floats(x->space);
    return rmp_buffer_download(x->buffer, image * len, len, values);
}

static const rmp_space_ops local_ops = {
    .create = local_create,
    .destroy = local_destroy,
    .axpby = local_axpby,
    .dot = local_dot,
    .normals = local_normals,
    .divide = local_divide,
    .pointwise = local_pointwise,
    .put = local_put,
    .get = local_get,
};

void rmp_space_local(rmp_space *space, rmp_device *device, int64_t n, rmp_shape shape)
{
    *space = (rmp_space){.ops = &local_ops, .device = device, .n = n, .shape = shape};
}

rmp_status rmp_field_create(const rmp_space *space, rmp_field **out)
{
    *out = NULL;
    RMP_CHECK(space->n >= 1 && space->shape.h >= 1 && space->shape.w >= 1 && space->shape.c >= 1, RMP_ERR_ARGUMENT,
              "a space of %lld images of %lldx%lldx%lld values", (long long)space->n, (long long)space->shape.h,
              (long long)space->shape.w, (long long)space->shape.c);
    return space->ops->create(space, out);
}

void rmp_field_destroy(rmp_field **field)
{
    if (field == NULL || *field == NULL) return;
    (*field)->space->ops->destroy(*field);
    *field = NULL;
}

rmp_status rmp_field_axpby(const double a[], const rmp_field *x, const double b[], rmp_field *y)
{
    RMP_CHECK(same_space(x, y), RMP_ERR_ARGUMENT, "a sum of fields of different spaces");
    return y->space->ops->axpby(a, x, b, y);
}

rmp_status rmp_field_axpby1(double a, const rmp_field *x, double b, rmp_field *y)
{
    const int64_t n = y->space->n;
    double stack[2 * STACK_IMAGES];
    double *coefficients = n <= STACK_IMAGES ? stack : malloc((size_t)(2 * n) * sizeof *coefficients);
    RMP_CHECK(coefficients != NULL, RMP_ERR_MEMORY, "no memory for %lld coefficients", (long long)n);
    for (int64_t i = 0; i < n; ++i) {
        coefficients[i] = a;
        coefficients[n + i] = b;
    }
    const rmp_status status = rmp_field_axpby(coefficients, x, coefficients + n, y);
    if (coefficients != stack) free(coefficients);
    return status;
}

rmp_status rmp_field_copy(const rmp_field *x, rmp_field *y) { return rmp_field_axpby1(1.0, x, 0.0, y); }

rmp_status rmp_field_dot(const rmp_field *x, const rmp_field *y, double out[])
{
    RMP_CHECK(same_space(x, y), RMP_ERR_ARGUMENT, "a product of fields of different spaces");
    return x->space->ops->dot(x, y, out);
}

rmp_status rmp_field_normals(rmp_field *x, const rmp_key key[], uint32_t step, uint32_t purpose)
{
    return x->space->ops->normals(x, key, step, purpose);
}

rmp_status rmp_field_divide(const double a[], const double b[], const rmp_field *d, rmp_field *x)
{
    RMP_CHECK(d->space->device == x->space->device && (d->space->n == x->space->n || d->space->n == 1) &&
                  image_floats(d->space) == image_floats(x->space),
              RMP_ERR_ARGUMENT, "a quotient of fields of different spaces");
    return x->space->ops->divide(a, b, d, x);
}

static rmp_status pointwise(rmp_pointwise kind, double lo, double hi, const rmp_field *x, rmp_field *y)
{
    RMP_CHECK(same_space(x, y), RMP_ERR_ARGUMENT, "an elementwise operation on fields of different spaces");
    return y->space->ops->pointwise(kind, lo, hi, x, y);
}

rmp_status rmp_field_multiply(const rmp_field *x, rmp_field *y)
{
    return pointwise(RMP_POINTWISE_MULTIPLY, 0.0, 0.0, x, y);
}

rmp_status rmp_field_clamp(double lo, double hi, rmp_field *y) { return pointwise(RMP_POINTWISE_CLAMP, lo, hi, y, y); }

rmp_status rmp_field_clamp_gradient(double lo, double hi, const rmp_field *x, rmp_field *y)
{
    return pointwise(RMP_POINTWISE_CLAMP_GRADIENT, lo, hi, x, y);
}

rmp_status rmp_field_sqrt(rmp_field *y) { return pointwise(RMP_POINTWISE_SQRT, 0.0, 0.0, y, y); }

rmp_status rmp_field_sign(rmp_field *y) { return pointwise(RMP_POINTWISE_SIGN, 0.0, 0.0, y, y); }

rmp_status rmp_field_put(rmp_field *x, int64_t image, const float *values)
{
    RMP_CHECK(image >= 0 && image < x->space->n, RMP_ERR_ARGUMENT, "image %lld of %lld", (long long)image,
              (long long)x->space->n);
    return x->space->ops->put(x, image, values);
}

rmp_status rmp_field_get(const rmp_field *x, int64_t image, float *values)
{
    RMP_CHECK(image >= 0 && image < x->space->n, RMP_ERR_ARGUMENT, "image %lld of %lld", (long long)image,
              (long long)x->space->n);
    return x->space->ops->get(x, image, values);
}
