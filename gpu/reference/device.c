#include "gpu/devices.h"
#include "gpu/reference/reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* LAPACK, from OpenBLAS; the last two arguments are the lengths of the strings, as gfortran passes them. */
extern void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
                   const int *lwork, int *info, size_t jobz_length, size_t uplo_length);

static void destroy(rmp_device *dev) { free(dev); }

static rmp_status buffer_create(rmp_device *dev, int64_t floats, rmp_buffer **out)
{
    ref_buffer *buffer = malloc(sizeof *buffer);
    float *data = calloc((size_t)floats, sizeof *data);
    if (!buffer || !data) {
        free(buffer);
        free(data);
        return RMP_FAIL(RMP_ERR_MEMORY, "out of memory for a buffer of %lld floats", (long long)floats);
    }
    *buffer = (ref_buffer){.base = {.device = dev, .floats = floats}, .data = data};
    *out = &buffer->base;
    return RMP_OK;
}

static void buffer_destroy(rmp_buffer *buffer)
{
    free(((ref_buffer *)buffer)->data);
    free(buffer);
}

static float *data_of(const rmp_buffer *buffer) { return ((const ref_buffer *)buffer)->data; }

static rmp_status upload(rmp_buffer *dst, int64_t offset, int64_t floats, const float *src)
{
    memcpy(data_of(dst) + offset, src, (size_t)floats * sizeof *src);
    return RMP_OK;
}

static rmp_status download(const rmp_buffer *src, int64_t offset, int64_t floats, float *dst)
{
    memcpy(dst, data_of(src) + offset, (size_t)floats * sizeof *dst);
    return RMP_OK;
}

static rmp_status check(const rmp_device *dev, int64_t n, int64_t len, const rmp_buffer *buffer)
{
    RMP_CHECK(buffer && buffer->device == dev, RMP_ERR_ARGUMENT, "reference: a buffer of another device");
    RMP_CHECK(n >= 0 && len >= 0 && (len == 0 || n <= buffer->floats / len), RMP_ERR_ARGUMENT,
              "reference: %lld images of %lld floats in a buffer of %lld", (long long)n, (long long)len,
              (long long)buffer->floats);
    return RMP_OK;
}

static rmp_status axpby(rmp_device *dev, int64_t n, int64_t len, const double a[], const rmp_buffer *x,
                        const double b[], rmp_buffer *y)
{
    RMP_TRY(check(dev, n, len, x));
    RMP_TRY(check(dev, n, len, y));
    for (int64_t i = 0; i < n; i++) {
        const float *from = data_of(x) + i * len;
        float *to = data_of(y) + i * len;
        for (int64_t j = 0; j < len; j++)
            to[j] = (float)(b[i] == 0 ? a[i] * (double)from[j] : a[i] * (double)from[j] + b[i] * (double)to[j]);
    }
    return RMP_OK;
}

static rmp_status dot(rmp_device *dev, int64_t n, int64_t len, const rmp_buffer *x, const rmp_buffer *y, double out[])
{
    RMP_TRY(check(dev, n, len, x));
    RMP_TRY(check(dev, n, len, y));
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = i * len; j < (i + 1) * len; j++)
            sum += (double)data_of(x)[j] * (double)data_of(y)[j];
        out[i] = sum;
    }
    return RMP_OK;
}

static rmp_status normals(rmp_device *dev, int64_t n, int64_t len, const rmp_key key[], uint32_t step, uint32_t purpose,
                          rmp_buffer *x)
{
    RMP_TRY(check(dev, n, len, x));
    for (int64_t i = 0; i < n; i++)
        rmp_random_normals(key[i], step, purpose, len, data_of(x) + i * len);
    return RMP_OK;
}

static rmp_status divide(rmp_device *dev, int64_t n, int64_t len, const double a[], const double b[],
                         const rmp_buffer *d, int64_t d_images, rmp_buffer *x)
{
    RMP_CHECK(d_images == n || d_images == 1, RMP_ERR_ARGUMENT, "reference: %lld divisors for %lld images",
              (long long)d_images, (long long)n);
    RMP_TRY(check(dev, d_images, len, d));
    RMP_TRY(check(dev, n, len, x));
    for (int64_t i = 0; i < n; i++) {
        const float *by = data_of(d) + (d_images == 1 ? 0 : i * len);
        float *to = data_of(x) + i * len;
        for (int64_t j = 0; j < len; j++)
            to[j] = (float)((double)to[j] / (a[i] + b[i] * (double)by[j]));
    }
    return RMP_OK;
}

static rmp_status pointwise(rmp_device *dev, rmp_pointwise kind, double lo, double hi, int64_t count,
                            const rmp_buffer *x, rmp_buffer *y)
{
    RMP_TRY(check(dev, 1, count, x));
    RMP_TRY(check(dev, 1, count, y));
    for (int64_t i = 0; i < count; i++) {
        const double from = (double)data_of(x)[i];
        float *to = data_of(y) + i;
        switch (kind) {
        case RMP_POINTWISE_MULTIPLY:
            *to = (float)((double)*to * from);
            break;
        case RMP_POINTWISE_CLAMP:
            *to = (float)fmin(fmax((double)*to, lo), hi);
            break;
        case RMP_POINTWISE_CLAMP_GRADIENT:
            if (!(from > lo && from < hi)) *to = 0;
            break;
        case RMP_POINTWISE_SQRT:
            *to = (float)sqrt(fmax((double)*to, 0));
            break;
        case RMP_POINTWISE_SIGN:
            *to = *to < 0 ? -1 : 1;
            break;
        }
    }
    return RMP_OK;
}

static rmp_status symmetric_eigen(rmp_device *dev, int64_t n, const double matrix[], double values[], double vectors[])
{
    (void)dev;
    const int order = (int)n, query = -1;
    int info = 0;
    double best = 0;
    /* symmetric: row- or column-major is the same; LAPACK's eigenvector columns are our rows */
    memcpy(vectors, matrix, (size_t)(n * n) * sizeof *vectors);
    dsyev_("V", "U", &order, vectors, &order, values, &best, &query, &info, 1, 1);
    RMP_CHECK(info == 0, RMP_ERR_DEVICE, "LAPACK dsyev refused a matrix of %d rows (info %d)", order, info);
    const int length = (int)best;
    double *work = malloc((size_t)length * sizeof *work);
    RMP_CHECK(work, RMP_ERR_MEMORY, "out of memory for eigenvalues of %d rows", order);
    dsyev_("V", "U", &order, vectors, &order, values, work, &length, &info, 1, 1);
    free(work);
    RMP_CHECK(info == 0, RMP_ERR_DEVICE, "LAPACK dsyev did not converge for a matrix of %d rows (info %d)", order,
              info);
    return RMP_OK;
}

static const rmp_device_ops reference_ops = {
    .destroy = destroy,
    .buffer_create = buffer_create,
    .buffer_destroy = buffer_destroy,
    .upload = upload,
    .download = download,
    .axpby = axpby,
    .dot = dot,
    .normals = normals,
    .divide = divide,
    .pointwise = pointwise,
    .plan = ref_plan_create,
    .plan_destroy = ref_plan_destroy,
    .plan_memory = ref_plan_memory,
    .plan_allocate = ref_plan_allocate,
    .plan_forward = ref_plan_forward,
    .plan_vjp = ref_plan_vjp,
    .symmetric_eigen = symmetric_eigen,
};

rmp_status rmp_reference_create(rmp_device **out)
{
    *out = NULL;
    rmp_device *dev = calloc(1, sizeof *dev);
    RMP_CHECK(dev, RMP_ERR_MEMORY, "out of memory for the reference device");
    dev->ops = &reference_ops;
    dev->kind = "reference";
    snprintf(dev->description, sizeof dev->description, "reference: plain loops, double accumulation, one thread");
    *out = dev;
    return RMP_OK;
}
