/* Magnitudes of Fourier transforms at the sizes of images: the host device against the reference, the corner at zero,
 * and bytes that threads do not change. */
#include "core/random.h"
#include "gpu/devices.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void must(rmp_status status) { cr_assert_eq(status, RMP_OK, "%s (%s)", rmp_fail_message(), rmp_fail_place()); }

typedef struct result {
    float *y, *g;
    int64_t in, out;
} result;

static rmp_buffer *filled(rmp_device *dev, int64_t n, uint64_t stream)
{
    rmp_buffer *buffer = NULL;
    must(rmp_buffer_create(dev, n, &buffer));
    if (stream == 0) return buffer;
    float *values = malloc((size_t)n * sizeof *values);
    rmp_random_normals((rmp_key){5, stream}, 0, RMP_PURPOSE_PROBE, n, values);
    must(rmp_buffer_upload(buffer, 0, n, values));
    free(values);
    return buffer;
}

/* stream 0: an image of zeros. */
static result run(rmp_device *dev, rmp_shape shape, int64_t pad_h, int64_t pad_w, int64_t batch, uint64_t stream)
{
    rmp_graph *g = NULL;
    rmp_plan *plan = NULL;
    rmp_value x, y;
    must(rmp_graph_create(&g));
    must(rmp_graph_input(g, shape, &x));
    must(rmp_graph_fft_magnitude(g, x, pad_h, pad_w, &y));
    must(rmp_graph_output(g, y));
    result r = {.in = batch * rmp_shape_count(shape), .out = batch * rmp_shape_count(rmp_graph_shape(g, y))};
    r.y = malloc((size_t)r.out * sizeof *r.y);
    r.g = malloc((size_t)r.in * sizeof *r.g);
    must(rmp_plan_create(dev, g, &(rmp_plan_options){.batch = batch, .vjp = true}, &plan));
    rmp_buffer *image = filled(dev, r.in, stream), *output = filled(dev, r.out, 0);
    rmp_buffer *cotangent = filled(dev, r.out, 99), *gradient = filled(dev, r.in, 0);
    must(rmp_plan_forward(plan, 1, (const rmp_buffer *const[]){image}, output));
    must(rmp_plan_vjp(plan, cotangent, gradient));
    must(rmp_buffer_download(output, 0, r.out, r.y));
    must(rmp_buffer_download(gradient, 0, r.in, r.g));
    rmp_buffer_destroy(&image);
    rmp_buffer_destroy(&output);
    rmp_buffer_destroy(&cotangent);
    rmp_buffer_destroy(&gradient);
    rmp_plan_destroy(&plan);
    rmp_graph_destroy(&g);
    return r;
}

static void release(result *r)
{
    free(r->y);
    free(r->g);
}

static double error_of(int64_t n, const float *a, const float *b)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    return sqrt(difference / norm);
}

/* A power of two, primes, a side of one. */
Test(fourier, host_and_reference)
{
    const rmp_shape shape[] = {{64, 32, 3}, {37, 53, 1}, {1, 96, 2}};
    const int64_t pad[][2] = {{16, 8}, {9, 13}, {0, 24}};
    rmp_device *host = NULL, *reference = NULL;
    must(rmp_host_create(2, 0, &host));
    must(rmp_reference_create(&reference));
    for (int i = 0; i < 3; i++) {
        result want = run(reference, shape[i], pad[i][0], pad[i][1], 2, 1);
        result have = run(host, shape[i], pad[i][0], pad[i][1], 2, 1);
        /* float32 sums of 100 terms: 3e-7 measured */
        cr_expect_leq(error_of(want.out, have.y, want.y), 2e-6, "%d: %g", i, error_of(want.out, have.y, want.y));
        /* the phase of small magnitudes is less certain: those of 1e-3 among ones of 1 */
        cr_expect_leq(error_of(want.in, have.g, want.g), 1e-4, "%d: %g", i, error_of(want.in, have.g, want.g));
        release(&want);
        release(&have);
    }
    rmp_device_destroy(&host);
    rmp_device_destroy(&reference);
}

/* At zero the magnitude has a corner: the gradient is zero there, and no number is lost. */
Test(fourier, zero)
{
    rmp_device *dev[2] = {NULL, NULL};
    must(rmp_host_create(1, 0, &dev[0]));
    must(rmp_reference_create(&dev[1]));
    for (int d = 0; d < 2; d++) {
        result r = run(dev[d], (rmp_shape){8, 6, 2}, 2, 2, 1, 0);
        for (int64_t i = 0; i < r.out; i++)
            cr_assert(r.y[i] == 0.0F);
        for (int64_t i = 0; i < r.in; i++)
            cr_assert(r.g[i] == 0.0F);
        release(&r);
        rmp_device_destroy(&dev[d]);
    }
}

Test(fourier, threads_change_no_byte)
{
    rmp_device *one = NULL, *three = NULL;
    must(rmp_host_create(1, 0, &one));
    must(rmp_host_create(3, 0, &three));
    result a = run(one, (rmp_shape){64, 48, 3}, 16, 12, 3, 1), b = run(three, (rmp_shape){64, 48, 3}, 16, 12, 3, 1);
    cr_assert_eq(memcmp(a.y, b.y, (size_t)a.out * sizeof *a.y), 0);
    cr_assert_eq(memcmp(a.g, b.g, (size_t)a.in * sizeof *a.g), 0);
    release(&a);
    release(&b);
    rmp_device_destroy(&one);
    rmp_device_destroy(&three);
}
