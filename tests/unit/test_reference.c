/* The reference device: values of the operations that no network fixture covers, vectors, eigenvalues, and what the
 * checked face of every device refuses. */
#include "gpu/devices.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void must(rmp_status status) { cr_assert_eq(status, RMP_OK, "%s (%s)", rmp_fail_message(), rmp_fail_place()); }

static void refused(rmp_status status, const char *words)
{
    cr_expect_eq(status, RMP_ERR_ARGUMENT, "accepted: %s", words);
    cr_expect(strstr(rmp_fail_message(), words), "no '%s' in: %s", words, rmp_fail_message());
}

static rmp_device *device(void)
{
    rmp_device *dev;
    must(rmp_reference_create(&dev));
    return dev;
}

static rmp_buffer *filled(rmp_device *dev, int64_t n, const float *data)
{
    rmp_buffer *buffer;
    must(rmp_buffer_create(dev, n, &buffer));
    if (data) must(rmp_buffer_upload(buffer, 0, n, data));
    return buffer;
}

/* One image through a graph of up to two inputs; the result goes to y. */
static void run(const rmp_graph *g, const float *x, const float *second, float *y)
{
    rmp_device *dev = device();
    rmp_plan *plan;
    int inputs = rmp_graph_inputs(g);
    int64_t out = rmp_shape_count(rmp_graph_shape(g, rmp_graph_result(g)));
    rmp_buffer *input[2] = {NULL, NULL}, *output = filled(dev, out, NULL);
    for (int i = 0; i < inputs; i++)
        input[i] = filled(dev, rmp_shape_count(rmp_graph_shape(g, rmp_graph_input_value(g, i))), i ? second : x);
    must(rmp_plan_create(dev, g, &(rmp_plan_options){.batch = 1}, &plan));
    must(rmp_plan_forward(plan, inputs, (const rmp_buffer *const *)input, output));
    must(rmp_buffer_download(output, 0, out, y));
    rmp_plan_destroy(&plan);
    for (int i = 0; i < inputs; i++)
        rmp_buffer_destroy(&input[i]);
    rmp_buffer_destroy(&output);
    rmp_device_destroy(&dev);
}

static rmp_graph *graph(int64_t h, int64_t w, int64_t c, rmp_value *x)
{
    rmp_graph *g;
    must(rmp_graph_create(&g));
    must(rmp_graph_input(g, (rmp_shape){h, w, c}, x));
    return g;
}

static void expect(const float *have, const double *want, int n)
{
    for (int i = 0; i < n; i++)
        cr_expect_float_eq((double)have[i], want[i], 1e-6, "number %d is %g, not %g", i, (double)have[i], want[i]);
}

/* 2 x 3 pixels, two groups of one channel each, 1 x 2 kernel, padded left only: by hand. */
Test(reference, grouped_padded_convolution)
{
    const float x[] = {1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60}, w[] = {1, 2, -1, 0.5F}, b[] = {0.5F, 0};
    const double want[] = {2.5, 5, 5.5, 0, 8.5, -5, 8.5, 20, 14.5, -15, 17.5, -20};
    rmp_tensor weight = {.dtype = RMP_F32, .rank = 4, .dims = {2, 1, 1, 2}, .data = w},
               bias = {.dtype = RMP_F32, .rank = 1, .dims = {2}, .data = b};
    rmp_value v, y;
    rmp_graph *g = graph(2, 3, 2, &v);
    must(rmp_graph_conv2d(
        g, v, &(rmp_conv2d){.weight = &weight, .bias = &bias, .stride = 1, .pad_left = 1, .groups = 2}, &y));
    must(rmp_graph_output(g, y));
    float have[12];
    run(g, x, NULL, have);
    expect(have, want, 12);
    rmp_graph_destroy(&g);
}

/* Stride 2 with padding at the end only reads pixels 0 1 2 and 2 3 and a zero. */
Test(reference, strided_convolution_padded_at_the_end)
{
    const float x[] = {1, 2, 3, 4}, w[] = {1, 10, 100};
    rmp_tensor weight = {.dtype = RMP_F32, .rank = 4, .dims = {1, 1, 1, 3}, .data = w};
    rmp_value v, y;
    rmp_graph *g = graph(1, 4, 1, &v);
    must(rmp_graph_conv2d(g, v, &(rmp_conv2d){.weight = &weight, .stride = 2, .pad_right = 1, .groups = 1}, &y));
    must(rmp_graph_output(g, y));
    float have[2];
    run(g, x, NULL, have);
    expect(have, (double[]){321, 43}, 2);
    rmp_graph_destroy(&g);
}

Test(reference, resample_multiplies_by_both_matrices)
{
    const double rows[] = {1, 2, 0, -1}, columns[] = {0.5, 0, 1, 0, 3, 0, 1, 1, 1}; /* (2, 2), (3, 3) */
    const float x[] = {1, 2, 3, 4, 5, 6};
    rmp_taps *h, *w;
    rmp_value v, y;
    double want[6] = {0};
    float have[6];
    must(rmp_taps_from_dense(2, 2, rows, &h));
    must(rmp_taps_from_dense(3, 3, columns, &w));
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int a = 0; a < 2; a++)
                for (int b = 0; b < 3; b++)
                    want[i * 3 + j] += rows[i * 2 + a] * columns[j * 3 + b] * (double)x[a * 3 + b];
    rmp_graph *g = graph(2, 3, 1, &v);
    must(rmp_graph_resample(g, v, h, w, &y));
    must(rmp_graph_output(g, y));
    rmp_taps_destroy(&h); /* the graph has its own */
    rmp_taps_destroy(&w);
    run(g, x, NULL, have);
    expect(have, want, 6);
    rmp_graph_destroy(&g);
}

Test(reference, multiply_clip_bias_linear)
{
    const float x[] = {1, -2, 3, -4}, mask[] = {0, 2}, bias[] = {9, 10, 20}, w[] = {1, 1, 1, 1, 1, 0, 0, -1};
    float have[4];
    rmp_value v, m, y;
    rmp_graph *g = graph(1, 2, 2, &v);
    must(rmp_graph_input(g, (rmp_shape){1, 2, 1}, &m));
    must(rmp_graph_multiply(g, v, m, &y));
    must(rmp_graph_output(g, y));
    run(g, x, mask, have);
    expect(have, (double[]){0, 0, 6, -8}, 4);
    rmp_graph_destroy(&g);

    g = graph(1, 2, 2, &v);
    must(rmp_graph_clip(g, v, -2.5, 1.5, &y));
    must(rmp_graph_output(g, y));
    run(g, x, NULL, have);
    expect(have, (double[]){1, -2, 1.5, -2.5}, 4);
    run(g, (const float[]){1, NAN, 3, 4}, NULL, have);
    cr_expect(isnan(have[1]), "clip must not hide what went wrong");
    rmp_graph_destroy(&g);

    g = graph(1, 2, 2, &v);
    must(rmp_graph_input(g, (rmp_shape){1, 1, 3}, &m));
    must(rmp_graph_channel_bias(g, v, m, 1, &y));
    must(rmp_graph_output(g, y));
    run(g, x, bias, have);
    expect(have, (double[]){11, 18, 13, 16}, 4);
    rmp_graph_destroy(&g);

    rmp_tensor weight = {.dtype = RMP_F32, .rank = 2, .dims = {2, 4}, .data = w};
    g = graph(1, 2, 2, &v);
    must(rmp_graph_linear(g, v, &weight, NULL, &y));
    must(rmp_graph_output(g, y));
    run(g, x, NULL, have);
    expect(have, (double[]){-2, 5}, 2);
    rmp_graph_destroy(&g);
}

Test(reference, relu_tanh_pixel_shuffle)
{
    const float x[] = {1, -2, 0.5F, -4, 10, 11, 12, 13};
    float have[8];
    rmp_value v, y;
    rmp_graph *g = graph(1, 2, 2, &v);
    must(rmp_graph_leaky_relu(g, v, 0.25, &y));
    must(rmp_graph_output(g, y));
    run(g, x, NULL, have);
    expect(have, (double[]){1, -0.5, 0.5, -1}, 4);
    run(g, (const float[]){1, NAN, 3, 4}, NULL, have);
    cr_expect(isnan(have[1]), "leaky_relu must not hide what went wrong");
    rmp_graph_destroy(&g);

    g = graph(1, 2, 2, &v);
    must(rmp_graph_tanh(g, v, &y));
    must(rmp_graph_output(g, y));
    run(g, x, NULL, have);
    expect(have, (double[]){0.761594156, -0.964027580, 0.462117157, -0.999329300}, 4);
    rmp_graph_destroy(&g);

    /* channels 0 to 3 of a pixel are the upper left, upper right, lower left, lower right of four */
    g = graph(1, 2, 4, &v);
    must(rmp_graph_pixel_shuffle(g, v, 2, &y));
    must(rmp_graph_output(g, y));
    run(g, x, NULL, have);
    expect(have, (double[]){1, -2, 10, 11, 0.5, -4, 12, 13}, 8);
    rmp_graph_destroy(&g);

    /* of two channels, the first has the first four */
    g = graph(1, 1, 8, &v);
    must(rmp_graph_pixel_shuffle(g, v, 2, &y));
    must(rmp_graph_output(g, y));
    run(g, x, NULL, have);
    expect(have, (double[]){1, 10, -2, 11, 0.5, 12, -4, 13}, 8);
    rmp_graph_destroy(&g);
}

Test(reference, max_pool_unit_channels_square)
{
    const float x[] = {1, -2, 0.5F, -4, -5, 3};
    float have[6];
    rmp_value v, y;
    rmp_graph *g = graph(2, 3, 1, &v); /* 1 -2 .5 | -4 -5 3 */
    must(rmp_graph_max_pool(g, v, &(rmp_max_pool){2, 2, 0, true}, &y));
    must(rmp_graph_output(g, y));
    run(g, x, NULL, have);
    expect(have, (double[]){1, 3}, 2);
    run(g, (const float[]){1, -2, NAN, 7, -5, 3}, NULL, have);
    cr_expect(have[0] == 7 && isnan(have[1]), "max_pool must not hide what went wrong");
    rmp_graph_destroy(&g);

    g = graph(2, 3, 1, &v); /* padding is never the maximum */
    must(rmp_graph_max_pool(g, v, &(rmp_max_pool){3, 2, 1, false}, &y));
    must(rmp_graph_output(g, y));
    run(g, (const float[]){-1, -2, -3, -4, -5, -6}, NULL, have);
    expect(have, (double[]){-1, -2}, 2);
    rmp_graph_destroy(&g);

    g = graph(1, 3, 2, &v);
    must(rmp_graph_unit_channels(g, v, 0.5, &y));
    must(rmp_graph_output(g, y));
    run(g, (const float[]){3, -4, 0, 0, 0, 1.5F}, NULL, have);
    expect(have, (double[]){3 / 5.5, -4 / 5.5, 0, 0, 0, 0.75}, 6);
    rmp_graph_destroy(&g);

    g = graph(1, 3, 1, &v);
    must(rmp_graph_square(g, v, &y));
    must(rmp_graph_output(g, y));
    run(g, x, NULL, have);
    expect(have, (double[]){1, 4, 0.25}, 3);
    rmp_graph_destroy(&g);
}

/* Values that can be told without a transform; the sum of all squares is that of the image (Parseval). */
Test(reference, power_and_fft_magnitude)
{
    const float x[] = {1, -2, 0.5F, 4};
    float have[30];
    rmp_value v, y;
    rmp_graph *g = graph(2, 2, 1, &v);
    must(rmp_graph_power(g, v, 1.5, &y));
    must(rmp_graph_output(g, y));
    run(g, x, NULL, have);
    expect(have, (double[]){1, 0, 0.353553391, 8}, 4);
    run(g, (const float[]){1, NAN, 3, 4}, NULL, have);
    cr_expect(isnan(have[1]), "power must not hide what went wrong");
    rmp_graph_destroy(&g);

    g = graph(1, 4, 1, &v); /* frequencies -2, -1, 0, 1: -4.5, 0.5 +- 6i, 3.5 over 2 */
    must(rmp_graph_fft_magnitude(g, v, 0, 0, &y));
    must(rmp_graph_output(g, y));
    run(g, x, NULL, have);
    expect(have, (double[]){0.25, 3.01039864, 1.75, 3.01039864}, 4);
    rmp_graph_destroy(&g);

    g = graph(2, 2, 1, &v); /* 6 x 4, frequency 0 in the middle: the sum of the image over the root of 24 */
    must(rmp_graph_fft_magnitude(g, v, 2, 1, &y));
    must(rmp_graph_output(g, y));
    cr_assert(rmp_shape_count(rmp_graph_shape(g, y)) == 24);
    run(g, x, NULL, have);
    double sum = 0;
    for (int i = 0; i < 24; i++)
        sum += (double)have[i] * (double)have[i];
    cr_expect_float_eq(sum, 21.25, 1e-5, "%g: Parseval", sum);
    cr_expect_float_eq(have[3 * 4 + 2], 3.5 / sqrt(24), 1e-6, "%g", (double)have[3 * 4 + 2]);
    rmp_graph_destroy(&g);
}

Test(reference, vectors)
{
    rmp_device *dev = device();
    const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 1, 2, 2, NAN, NAN};
    float have[6];
    double dots[3];
    rmp_buffer *x = filled(dev, 6, a), *y = filled(dev, 6, b), *z = filled(dev, 6, NULL);
    must(rmp_buffer_download(z, 0, 6, have));
    expect(have, (double[]){0, 0, 0, 0, 0, 0}, 6);
    must(dev->ops->axpby(dev, 3, 2, (double[]){2, -1, 0.5}, x, (double[]){1, 0.5, 0}, y));
    must(rmp_buffer_download(y, 0, 6, have));
    expect(have, (double[]){3, 5, -2, -3, 2.5, 3}, 6);
    must(dev->ops->axpby(dev, 3, 2, (double[]){1, 1, 1}, y, (double[]){1, 2, 0}, y));
    must(rmp_buffer_download(y, 2, 2, have));
    expect(have, (double[]){-6, -9}, 2);
    must(dev->ops->dot(dev, 3, 2, x, x, dots));
    cr_expect(dots[0] == 5 && dots[1] == 25 && dots[2] == 61);
    must(dev->ops->divide(dev, 2, 3, (double[]){1, 0}, (double[]){1, 2}, x, 1, x)); /* one divisor for both */
    must(rmp_buffer_download(x, 0, 3, have));
    expect(have, (double[]){0.5, 2. / 3, 0.75}, 3);
    refused(dev->ops->divide(dev, 3, 2, dots, dots, x, 2, x), "2 divisors for 3 images");
    refused(dev->ops->dot(dev, 4, 2, x, x, dots), "4 images of 2 floats in a buffer of 6");

    const rmp_key keys[] = {{5, 7}, {5, 8}};
    must(dev->ops->normals(dev, 2, 3, keys, 4, RMP_PURPOSE_SPREAD, z));
    must(rmp_buffer_download(z, 0, 6, have));
    for (int i = 0; i < 6; i++)
        cr_expect_eq(have[i], rmp_random_normal(keys[i / 3], 4, RMP_PURPOSE_SPREAD, (uint64_t)(i % 3)));
    rmp_buffer_destroy(&x);
    rmp_buffer_destroy(&y);
    rmp_buffer_destroy(&z);
    rmp_device_destroy(&dev);
}

Test(reference, symmetric_eigen)
{
    enum { N = 17 };
    rmp_device *dev = device();
    double matrix[N * N], values[N], vectors[N * N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j <= i; j++)
            matrix[i * N + j] = matrix[j * N + i] =
                (double)rmp_random_normal((rmp_key){1, 1}, 0, RMP_PURPOSE_PROBE, (uint64_t)(i * N + j));
    must(rmp_device_symmetric_eigen(dev, N, matrix, values, vectors));
    for (int k = 0; k < N; k++) {
        cr_expect(k == 0 || values[k - 1] <= values[k], "ascending");
        for (int i = 0; i < N; i++) {
            double image = 0, product = 0;
            for (int j = 0; j < N; j++) {
                image += matrix[i * N + j] * vectors[k * N + j];
                product += vectors[i * N + j] * vectors[k * N + j];
            }
            cr_expect_float_eq(image, values[k] * vectors[k * N + i], 1e-12);
            cr_expect_float_eq(product, i == k, 1e-12);
        }
    }
    refused(rmp_device_symmetric_eigen(dev, 0, matrix, values, vectors), "a matrix of 0 rows");
    refused(rmp_device_symmetric_eigen(dev, 2, NULL, values, vectors), "no device or arrays");
    rmp_device_destroy(&dev);
}

Test(devices, buffers_are_checked)
{
    rmp_device *dev = device();
    rmp_buffer *b;
    float data[4] = {0};
    refused(rmp_buffer_create(dev, 0, &b), "buffer: 0 floats");
    refused(rmp_buffer_create(NULL, 4, &b), "no device");
    b = filled(dev, 4, data);
    refused(rmp_buffer_upload(b, 2, 3, data), "floats 2 to 5 of 4");
    refused(rmp_buffer_upload(b, -1, 1, data), "floats -1 to 0 of 4");
    refused(rmp_buffer_download(b, 5, 0, data), "floats 5 to 5 of 4");
    refused(rmp_buffer_download(b, 0, 4, NULL), "nothing to copy");
    must(rmp_buffer_upload(b, 4, 0, NULL));
    rmp_buffer_destroy(&b);
    rmp_buffer_destroy(&b);
    rmp_device_destroy(&dev);
    rmp_device_destroy(&dev);
}

/* y = 3 x, batch 2. */
static rmp_graph *tripled(void)
{
    rmp_value x, y;
    rmp_graph *g = graph(1, 2, 1, &x);
    must(rmp_graph_affine(g, 3, x, 0, &y));
    must(rmp_graph_output(g, y));
    return g;
}

Test(devices, plans_are_checked)
{
    rmp_device *dev = device(), *other = device();
    rmp_graph *g = tripled(), *open;
    rmp_plan *plan;
    rmp_value x;
    must(rmp_graph_create(&open));
    rmp_plan_options options = {.batch = 2, .vjp = true}, none = {.batch = 0};
    refused(rmp_plan_create(dev, g, &none, &plan), "batch of 0");
    refused(rmp_plan_create(dev, NULL, &options, &plan), "no device, graph");
    refused(rmp_plan_create(dev, open, &options, &plan), "0 inputs and no result");
    must(rmp_graph_input(open, (rmp_shape){1, 1, 1}, &x));
    must(rmp_graph_input(open, (rmp_shape){1, 1, 1}, &x));
    must(rmp_graph_output(open, x));
    refused(rmp_plan_create(dev, open, &options, &plan), "does not depend on input 0");

    must(rmp_plan_create(dev, g, &options, &plan));
    rmp_buffer *in = filled(dev, 4, (const float[]){1, 2, 3, 4}), *out = filled(dev, 4, NULL),
               *small = filled(dev, 3, NULL), *foreign = filled(other, 4, NULL);
    const rmp_buffer *inputs[] = {in, in}, *small_input[] = {small}, *foreign_input[] = {foreign}, *nothing[] = {NULL};
    refused(rmp_plan_vjp(plan, in, out), "needs a forward");
    refused(rmp_plan_forward(plan, 2, inputs, out), "2 inputs given, the graph has 1");
    refused(rmp_plan_forward(plan, 1, small_input, out), "the input has 3 floats, 4 needed");
    refused(rmp_plan_forward(plan, 1, inputs, small), "the output has 3 floats, 4 needed");
    refused(rmp_plan_forward(plan, 1, foreign_input, out), "another device");
    refused(rmp_plan_forward(plan, 1, nothing, out), "no input");
    refused(rmp_plan_forward(plan, 1, inputs, in), "input 0 is the output");
    refused(rmp_plan_forward(NULL, 1, inputs, out), "plan: none");
    must(rmp_plan_forward(plan, 1, inputs, out));
    float have[4];
    must(rmp_buffer_download(out, 0, 4, have));
    expect(have, (double[]){3, 6, 9, 12}, 4);
    refused(rmp_plan_vjp(plan, in, in), "the cotangent is the gradient");
    refused(rmp_plan_vjp(plan, small, out), "the cotangent has 3 floats");
    refused(rmp_plan_vjp(plan, in, foreign), "another device");
    must(rmp_plan_vjp(plan, in, out));
    must(rmp_buffer_download(out, 0, 4, have));
    expect(have, (double[]){3, 6, 9, 12}, 4);
    rmp_plan_destroy(&plan);

    options.vjp = false;
    must(rmp_plan_create(dev, g, &options, &plan));
    must(rmp_plan_forward(plan, 1, inputs, out));
    refused(rmp_plan_vjp(plan, in, out), "not compiled for gradients");
    rmp_plan_destroy(&plan);
    options.precision = RMP_PRECISION_BF16;
    refused(rmp_plan_create(dev, g, &options, &plan), "only fp32");
    rmp_buffer_destroy(&in);
    rmp_buffer_destroy(&out);
    rmp_buffer_destroy(&small);
    rmp_buffer_destroy(&foreign);
    rmp_graph_destroy(&g);
    rmp_graph_destroy(&open);
    rmp_device_destroy(&dev);
    rmp_device_destroy(&other);
}

/* Two values and their gradients of 2 images of 2 floats. */
Test(devices, estimate_is_what_is_allocated)
{
    rmp_device *dev = device();
    rmp_graph *g = tripled();
    rmp_plan *plan;
    must(rmp_plan_create(dev, g, &(rmp_plan_options){.batch = 2, .vjp = true}, &plan));
    cr_expect_not(plan->allocated);
    cr_expect_eq(rmp_plan_estimate(plan).arena, 2 * 2 * 2 * 2 * (int64_t)sizeof(float));
    cr_expect_eq(rmp_plan_estimate(plan).weights, 0);
    must(rmp_plan_allocate(plan));
    must(rmp_plan_allocate(plan));
    cr_expect(plan->allocated);
    rmp_plan_destroy(&plan);
    rmp_graph_destroy(&g);
    rmp_device_destroy(&dev);
}
