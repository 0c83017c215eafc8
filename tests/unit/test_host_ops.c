/* Every operation on the host device against the reference device, forward and gradient. */
#include "gpu/devices.h"
#include "tests/unit/cases.h"

#include <criterion/criterion.h>
#include <math.h>

/* Sums of up to 3721 products (a 61 x 61 kernel) in float32 and another order, and another exp: measured below 1e-6 in
 * norm; ten times that is left for other vector widths and libraries. A wrong index or a missing term is above 1e-2. */
static const double tolerance = 1e-5;

enum { BATCH_MAX = 3, THREADS = 2 };

static void must(rmp_status status, const char *what)
{
    cr_assert_eq(status, RMP_OK, "%s: %s (%s)", what, rmp_fail_message(), rmp_fail_place());
}

typedef struct result {
    float *y, *g;
    int64_t out, in;
} result;

static rmp_buffer *filled(rmp_device *dev, const float *data, int64_t n)
{
    rmp_buffer *buffer;
    must(rmp_buffer_create(dev, n, &buffer), "buffer");
    if (data) must(rmp_buffer_upload(buffer, 0, n, data), "buffer");
    return buffer;
}

/* Two forwards at different inputs, each with two VJPs: what is left of an earlier call must not matter. The last of
 * each is returned. */
static result run(rmp_device *dev, const op_case *c, int64_t batch)
{
    const rmp_graph *g = c->graph;
    rmp_plan *plan;
    rmp_buffer *input[4] = {NULL};
    int inputs = rmp_graph_inputs(g);
    result r = {.in = batch * rmp_shape_count(rmp_graph_shape(g, rmp_graph_input_value(g, 0))),
                .out = batch * rmp_shape_count(rmp_graph_shape(g, rmp_graph_result(g)))};
    r.y = malloc((size_t)r.out * sizeof *r.y);
    r.g = malloc((size_t)r.in * sizeof *r.g);
    float *v = malloc((size_t)r.out * sizeof *v);
    rmp_buffer *output = filled(dev, NULL, r.out), *gradient = filled(dev, NULL, r.in);
    must(rmp_plan_create(dev, g, &(rmp_plan_options){.batch = batch, .vjp = true}, &plan), "plan");
    for (uint64_t stream = 1; stream <= 2; stream++) {
        for (int i = 0; i < inputs; i++) {
            float *data = case_data(c, i, batch, stream);
            rmp_buffer_destroy(&input[i]);
            input[i] = filled(dev, data, batch * rmp_shape_count(rmp_graph_shape(g, rmp_graph_input_value(g, i))));
            free(data);
        }
        must(rmp_plan_forward(plan, inputs, (const rmp_buffer *const *)input, output), "forward");
        for (uint64_t again = 0; again < 2; again++) {
            for (int64_t i = 0; i < r.out; i++)
                v[i] = case_normal(900 + 2 * stream + again, i);
            rmp_buffer *cotangent = filled(dev, v, r.out);
            must(rmp_plan_vjp(plan, cotangent, gradient), "vjp");
            rmp_buffer_destroy(&cotangent);
        }
    }
    must(rmp_buffer_download(output, 0, r.out, r.y), "output");
    must(rmp_buffer_download(gradient, 0, r.in, r.g), "gradient");
    rmp_plan_destroy(&plan);
    for (int i = 0; i < inputs; i++)
        rmp_buffer_destroy(&input[i]);
    rmp_buffer_destroy(&output);
    rmp_buffer_destroy(&gradient);
    free(v);
    return r;
}

/* |a - b| / |b| of the worst image. */
static double error_of(int64_t batch, int64_t count, const float *a, const float *b)
{
    double worst = 0;
    for (int64_t n = 0; n < batch; n++) {
        double difference = 0, norm = 0;
        for (int64_t i = n * (count / batch); i < (n + 1) * (count / batch); i++) {
            double d = (double)a[i] - (double)b[i];
            difference += d * d;
            norm += (double)b[i] * (double)b[i];
        }
        double error = difference == 0 ? 0 : sqrt(difference / norm);
        if (!(error <= worst)) worst = error; /* NaN too */
    }
    return worst;
}

static void compare(rmp_device *host, rmp_device *reference, const family *f, int variant, int64_t batch)
{
    op_case c;
    cr_assert(case_build(&c, f, variant), "%s %d: %s", f->name, variant, rmp_fail_message());
    result want = run(reference, &c, batch), have = run(host, &c, batch);
    double y = error_of(batch, want.out, have.y, want.y), g = error_of(batch, want.in, have.g, want.g);
    cr_expect(y <= tolerance, "%s %d, batch %d: forward differs by %g", f->name, variant, (int)batch, y);
    cr_expect(g <= tolerance, "%s %d, batch %d: gradient differs by %g", f->name, variant, (int)batch, g);
    free(want.y), free(want.g), free(have.y), free(have.g);
    case_free(&c);
}

Test(host_ops, every_operation)
{
    rmp_device *host, *reference;
    must(rmp_host_create(THREADS, 0, &host), "host");
    must(rmp_reference_create(&reference), "reference");
    for (int f = 0; f < FAMILIES; f++)
        for (int variant = 0; variant < families[f].variants; variant++)
            for (int64_t batch = 1; batch <= BATCH_MAX; batch += 2)
                compare(host, reference, &families[f], variant, batch);
    rmp_device_destroy(&host);
    rmp_device_destroy(&reference);
}

/* The same numbers in a vector of 3 images of `len` floats on both devices. */
static void compare_vectors(rmp_device *host, rmp_device *reference, int64_t len)
{
    rmp_device *dev[2] = {reference, host};
    const double a[] = {2, -0.5, 1}, b[] = {0.25, 0, -3}, positive[] = {3, 4, 5};
    float *data = malloc((size_t)(3 * len) * sizeof *data), *have[2], *divided[2], *drawn[2], *pointwise[2];
    const rmp_key keys[] = {{1, 2}, {1, 9}, {3, 2}};
    double dots[2][6];
    for (int d = 0; d < 2; d++) {
        have[d] = malloc((size_t)(3 * len) * sizeof(float));
        divided[d] = malloc((size_t)(3 * len) * sizeof(float));
        drawn[d] = malloc((size_t)(3 * len) * sizeof(float));
        pointwise[d] = malloc((size_t)(15 * len) * sizeof(float));
        for (int64_t i = 0; i < 3 * len; i++)
            data[i] = case_normal(31, i);
        rmp_buffer *x = filled(dev[d], data, 3 * len);
        for (int64_t i = 0; i < 3 * len; i++) /* what b = 0 must not read */
            data[i] = i / len == 1 ? NAN : case_normal(32, i);
        rmp_buffer *y = filled(dev[d], data, 3 * len), *z = filled(dev[d], NULL, 3 * len);
        must(dev[d]->ops->axpby(dev[d], 3, len, a, x, b, y), "axpby");
        must(rmp_buffer_download(y, 0, 3 * len, have[d]), "download");
        must(dev[d]->ops->normals(dev[d], 3, len, keys, 7, RMP_PURPOSE_NOISE, z), "normals");
        must(rmp_buffer_download(z, 0, 3 * len, drawn[d]), "download");
        must(dev[d]->ops->dot(dev[d], 3, len, x, z, dots[d]), "dot");
        must(dev[d]->ops->dot(dev[d], 3, len, z, z, dots[d] + 3), "dot");
        must(dev[d]->ops->axpby(dev[d], 3, len, (const double[]){0, 0, 0}, x, positive, x), "scale");
        for (int64_t i = 0; i < 3 * len; i++)
            data[i] = (float)fabs((double)case_normal(33, i));
        must(rmp_buffer_upload(z, 0, 3 * len, data), "upload");
        must(dev[d]->ops->divide(dev[d], 3, len, positive, positive, z, 3, x), "divide");
        must(dev[d]->ops->divide(dev[d], 3, len, positive, positive, z, 1, x), "divide");
        must(rmp_buffer_download(x, 0, 3 * len, divided[d]), "download");
        for (int kind = RMP_POINTWISE_MULTIPLY; kind <= RMP_POINTWISE_SIGN; kind++) {
            must(rmp_buffer_upload(z, 0, 3 * len, data), "upload");
            must(rmp_buffer_upload(y, 0, 3 * len, drawn[d]), "upload");
            must(dev[d]->ops->pointwise(dev[d], (rmp_pointwise)kind, -0.5, 0.75, 3 * len, z, y), "pointwise");
            must(rmp_buffer_download(y, 0, 3 * len, pointwise[d] + kind * 3 * len), "download");
        }
        rmp_buffer_destroy(&x);
        rmp_buffer_destroy(&y);
        rmp_buffer_destroy(&z);
    }
    cr_expect_leq(error_of(5, 15 * len, pointwise[1], pointwise[0]), 5e-7, "pointwise of %d", (int)len);
    /* one rounding to float32 each, in double or in float arithmetic */
    cr_expect_leq(error_of(3, 3 * len, have[1], have[0]), 5e-7, "axpby of %d", (int)len);
    cr_expect_leq(error_of(3, 3 * len, divided[1], divided[0]), 5e-7, "divide of %d", (int)len);
    cr_expect_eq(memcmp(drawn[0], drawn[1], (size_t)(3 * len) * sizeof(float)), 0, "normals must be the same bits");
    for (int i = 0; i < 6; i++)
        cr_expect_float_eq(dots[1][i], dots[0][i], 1e-13 * (double)len, "dot of %d: %.17g, not %.17g", (int)len,
                           dots[1][i], dots[0][i]); /* double sums of terms of size 1 */
    for (int d = 0; d < 2; d++)
        free(have[d]), free(divided[d]), free(drawn[d]), free(pointwise[d]);
    free(data);
}

Test(host_ops, vectors)
{
    rmp_device *host, *reference;
    must(rmp_host_create(THREADS, 0, &host), "host");
    must(rmp_reference_create(&reference), "reference");
    const int64_t lengths[] = {1, 3, 17, 4096, 70001};
    for (int i = 0; i < 5; i++)
        compare_vectors(host, reference, lengths[i]);
    rmp_device_destroy(&host);
    rmp_device_destroy(&reference);
}
