#include "gpu/host/host.h"

#include "core/random.h"
#include "gpu/devices.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CHUNK = 4096 }; /* floats of a vector operation at a time; sums are added up in the order of chunks */

extern void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
                    double *work, const int *lwork, int *iwork, const int *liwork, int *info);

rmp_status rmp_host_charge(rmp_host *host, int64_t bytes, const char *what)
{
    int64_t limit = host->base.memory_limit;
    RMP_CHECK(limit == 0 || host->allocated + bytes <= limit, RMP_ERR_MEMORY,
              "%s needs %.1f MiB, but %.1f of the %.1f MiB that may be used are taken", what, (double)bytes / 1048576.0,
              (double)host->allocated / 1048576.0, (double)limit / 1048576.0);
    host->allocated += bytes;
    return RMP_OK;
}

rmp_status rmp_host_allocate(rmp_host *host, int64_t bytes, const char *what, void **out)
{
    *out = NULL;
    RMP_TRY(rmp_host_charge(host, bytes, what));
    /* large memory comes in large pages where the system has them; the end, less than one of them, in small ones */
    const size_t large = (size_t)2 << 20, size = bytes > 0 ? ((size_t)bytes + 63) / 64 * 64 : 64;
    void *memory;
    if (posix_memalign(&memory, size >= 2 * large ? large : 64, size) != 0) {
        host->allocated -= bytes;
        return RMP_FAIL(RMP_ERR_MEMORY, "%s needs %.1f MiB, which the system does not give", what,
                        (double)bytes / 1048576.0);
    }
    if (size >= 2 * large) (void)madvise(memory, size / large * large, MADV_HUGEPAGE);
    memset(memory, 0, size);
    *out = memory;
    return RMP_OK;
}

void rmp_host_release(rmp_host *host, int64_t bytes, void *memory)
{
    host->allocated -= bytes;
    free(memory);
}

static float *data(const rmp_buffer *buffer) { return ((const rmp_host_buffer *)buffer)->data; }

static void destroy(rmp_device *dev)
{
    rmp_host *host = (rmp_host *)dev;
    rmp_onednn_destroy(&host->dnn);
    free(host);
}

static rmp_status buffer_create(rmp_device *dev, int64_t floats, rmp_buffer **out)
{
    rmp_host_buffer *b = calloc(1, sizeof *b);
    RMP_CHECK(b, RMP_ERR_MEMORY, "no memory for a buffer");
    void *memory;
    rmp_status status = rmp_host_allocate((rmp_host *)dev, floats * (int64_t)sizeof(float), "a buffer", &memory);
    if (status != RMP_OK) {
        free(b);
        return status;
    }
    b->base = (rmp_buffer){.device = dev, .floats = floats};
    b->data = memory;
    *out = &b->base;
    return RMP_OK;
}

static void buffer_destroy(rmp_buffer *buffer)
{
    rmp_host_release((rmp_host *)buffer->device, buffer->floats * (int64_t)sizeof(float), data(buffer));
    free(buffer);
}

static rmp_status upload(rmp_buffer *dst, int64_t offset, int64_t floats, const float *src)
{
    memcpy(data(dst) + offset, src, (size_t)floats * sizeof *src);
    return RMP_OK;
}

static rmp_status download(const rmp_buffer *src, int64_t offset, int64_t floats, float *dst)
{
    memcpy(dst, data(src) + offset, (size_t)floats * sizeof *dst);
    return RMP_OK;
}

static int64_t chunks(int64_t len) { return (len + CHUNK - 1) / CHUNK; }

static int64_t chunk_length(int64_t len, int64_t chunk)
{
    int64_t left = len - chunk * CHUNK;
    return left < CHUNK ? left : CHUNK;
}

static rmp_status axpby(rmp_device *dev, int64_t n, int64_t len, const double a[], const rmp_buffer *x,
                        const double b[], rmp_buffer *y)
{
    const rmp_host *host = (const rmp_host *)dev;
    const float *from = data(x);
    float *to = data(y);
    int64_t per = chunks(len);
#pragma omp parallel for num_threads(host->threads) schedule(static)
    for (int64_t task = 0; task < n * per; task++) {
        int64_t i = task / per, at = i * len + task % per * CHUNK;
        host->kernels->axpby(chunk_length(len, task % per), (float)a[i], from + at, (float)b[i], to + at);
    }
    return RMP_OK;
}

static rmp_status dot(rmp_device *dev, int64_t n, int64_t len, const rmp_buffer *x, const rmp_buffer *y, double out[])
{
    const rmp_host *host = (const rmp_host *)dev;
    const float *a = data(x), *b = data(y);
    int64_t per = chunks(len);
    double *partial = calloc((size_t)(n * per) + 1, sizeof *partial);
    RMP_CHECK(partial, RMP_ERR_MEMORY, "no memory for the sums of a scalar product");
#pragma omp parallel for num_threads(host->threads) schedule(static)
    for (int64_t task = 0; task < n * per; task++) {
        int64_t at = task / per * len + task % per * CHUNK;
        partial[task] = host->kernels->dot(chunk_length(len, task % per), a + at, b + at);
    }
    for (int64_t i = 0; i < n; i++) {
        out[i] = 0;
        for (int64_t k = 0; k < per; k++)
            out[i] += partial[i * per + k];
    }
    free(partial);
    return RMP_OK;
}

static rmp_status normals(rmp_device *dev, int64_t n, int64_t len, const rmp_key key[], uint32_t step, uint32_t purpose,
                          rmp_buffer *x)
{
    const rmp_host *host = (const rmp_host *)dev;
    float *to = data(x);
    int64_t per = chunks(len);
#pragma omp parallel for num_threads(host->threads) schedule(static)
    for (int64_t task = 0; task < n * per; task++) {
        int64_t i = task / per, first = task % per * CHUNK;
        rmp_random_normals_at(key[i], step, purpose, (uint64_t)first, chunk_length(len, task % per),
                              to + i * len + first);
    }
    return RMP_OK;
}

static rmp_status divide(rmp_device *dev, int64_t n, int64_t len, const double a[], const double b[],
                         const rmp_buffer *d, int64_t d_images, rmp_buffer *x)
{
    const rmp_host *host = (const rmp_host *)dev;
    int64_t per = chunks(len);
#pragma omp parallel for num_threads(host->threads) schedule(static)
    for (int64_t task = 0; task < n * per; task++) {
        int64_t i = task / per, first = task % per * CHUNK, count = chunk_length(len, task % per);
        const float *by = data(d) + (d_images == 1 ? 0 : i) * len + first;
        float *to = data(x) + i * len + first;
        float ai = (float)a[i], bi = (float)b[i];
        for (int64_t k = 0; k < count; k++)
            to[k] /= ai + bi * by[k];
    }
    return RMP_OK;
}

static void pointwise_chunk(rmp_pointwise kind, float lo, float hi, int64_t count, const float *x, float *y)
{
    switch (kind) {
    case RMP_POINTWISE_MULTIPLY:
        for (int64_t i = 0; i < count; i++)
            y[i] *= x[i];
        break;
    case RMP_POINTWISE_CLAMP:
        for (int64_t i = 0; i < count; i++)
            y[i] = fminf(fmaxf(y[i], lo), hi);
        break;
    case RMP_POINTWISE_CLAMP_GRADIENT:
        for (int64_t i = 0; i < count; i++)
            y[i] = x[i] > lo && x[i] < hi ? y[i] : 0;
        break;
    case RMP_POINTWISE_SQRT:
        for (int64_t i = 0; i < count; i++)
            y[i] = sqrtf(fmaxf(y[i], 0));
        break;
    case RMP_POINTWISE_SIGN:
        for (int64_t i = 0; i < count; i++)
            y[i] = y[i] < 0 ? -1 : 1;
        break;
    }
}

static rmp_status pointwise(rmp_device *dev, rmp_pointwise kind, double lo, double hi, int64_t count,
                            const rmp_buffer *x, rmp_buffer *y)
{
    const rmp_host *host = (const rmp_host *)dev;
    const float *from = data(x);
    float *to = data(y);
#pragma omp parallel for num_threads(host->threads) schedule(static)
    for (int64_t chunk = 0; chunk < chunks(count); chunk++)
        pointwise_chunk(kind, (float)lo, (float)hi, chunk_length(count, chunk), from + chunk * CHUNK,
                        to + chunk * CHUNK);
    return RMP_OK;
}

static rmp_status symmetric_eigen(rmp_device *dev, int64_t n, const double matrix[], double values[], double vectors[])
{
    (void)dev;
    RMP_CHECK(n > 0 && n <= 20000, RMP_ERR_ARGUMENT, "eigenvectors of a %lld x %lld matrix: at most 20000",
              (long long)n, (long long)n);
    int order = (int)n, work_size = -1, integer_size = -1, info = 0, integer_wanted = 0;
    double wanted = 0;
    memcpy(vectors, matrix, (size_t)(n * n) * sizeof *vectors);
    dsyevd_("V", "U", &order, vectors, &order, values, &wanted, &work_size, &integer_wanted, &integer_size, &info);
    work_size = (int)wanted;
    integer_size = integer_wanted;
    double *work = malloc((size_t)work_size * sizeof *work);
    int *integers = malloc((size_t)integer_size * sizeof *integers);
    bool ready = work && integers;
    /* column-major eigenvectors in columns are row-major eigenvectors in rows */
    if (ready) dsyevd_("V", "U", &order, vectors, &order, values, work, &work_size, integers, &integer_size, &info);
    free(work);
    free(integers);
    RMP_CHECK(ready, RMP_ERR_MEMORY, "no memory for the eigenvectors of a %lld x %lld matrix", (long long)n,
              (long long)n);
    RMP_CHECK(info == 0, RMP_ERR_DEVICE, "LAPACK dsyevd failed (%d)", info);
    return RMP_OK;
}

static const rmp_device_ops ops = {
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
    .plan = rmp_host_plan_create,
    .plan_destroy = rmp_host_plan_destroy,
    .plan_memory = rmp_host_plan_memory,
    .plan_allocate = rmp_host_plan_allocate,
    .plan_forward = rmp_host_plan_forward,
    .plan_vjp = rmp_host_plan_vjp,
    .symmetric_eigen = symmetric_eigen,
};

static void processor_name(char *out, size_t size)
{
    snprintf(out, size, "CPU");
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f) return;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(out, size, "%.60s", colon[1] == ' ' ? colon + 2 : colon + 1);
        break;
    }
    fclose(f);
}

rmp_status rmp_host_create(int threads, int64_t memory_limit, rmp_device **out)
{
    *out = NULL;
    rmp_host *host = calloc(1, sizeof *host);
    RMP_CHECK(host, RMP_ERR_MEMORY, "no memory for the host device");
    host->kernels = rmp_kernels_choose();
    host->threads = threads > 0 ? threads : omp_get_max_threads();
    omp_set_num_threads(host->threads);
    openblas_set_num_threads(1); /* this program's threads call it, each for itself */
    rmp_status status = rmp_onednn_create(&host->dnn);
    if (status != RMP_OK) {
        free(host);
        return status;
    }
    host->base = (rmp_device){.ops = &ops, .kind = "cpu", .memory_limit = memory_limit};
    char processor[80];
    processor_name(processor, sizeof processor);
    snprintf(host->base.description, sizeof host->base.description, "%s, %d thread%s, %s kernels, %s", processor,
             host->threads, host->threads == 1 ? "" : "s", host->kernels->name, rmp_onednn_version());
    *out = &host->base;
    return RMP_OK;
}

void rmp_host_use_share(rmp_device *device, rmp_share *share) { ((rmp_host *)device)->share = share; }
