/* Attention of many positions on the host device: its memory, its numbers, and that threads and batches change no
 * byte of them. */
#include "core/random.h"
#include "gpu/devices.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Two sums of up to 4087 products in float32, forward, and three, VJP; measured below 2e-6 in norm. A wrong index or a
 * block that is left out is above 1e-2. */
static const double tolerance = 1e-5;

typedef struct problem {
    int64_t h, w, heads, width, batch; /* width: channels of a head */
    rmp_attention_order order;
} problem;

static void must(rmp_status status) { cr_assert_eq(status, RMP_OK, "%s (%s)", rmp_fail_message(), rmp_fail_place()); }

static rmp_graph *build(const problem *p)
{
    rmp_graph *g;
    rmp_value x, y;
    must(rmp_graph_create(&g));
    must(rmp_graph_input(g, (rmp_shape){p->h, p->w, 3 * p->heads * p->width}, &x));
    must(rmp_graph_attention(g, x, p->heads, p->order, &y));
    must(rmp_graph_output(g, y));
    return g;
}

static int64_t arena(int threads, const problem *p, bool vjp, rmp_memory_policy policy)
{
    rmp_device *dev;
    rmp_plan *plan;
    rmp_graph *graph = build(p);
    must(rmp_host_create(threads, 0, &dev));
    must(rmp_plan_create(dev, graph, &(rmp_plan_options){.batch = p->batch, .vjp = vjp, .memory = policy}, &plan));
    const int64_t bytes = rmp_plan_estimate(plan).arena;
    rmp_plan_destroy(&plan);
    rmp_graph_destroy(&graph);
    rmp_device_destroy(&dev);
    return bytes;
}

/* Scratch: what is left of the arena when all values are taken away (q, k, v, result, and with a VJP their
 * gradients); it must be a block of 64 rows of the matrix for every thread, two with a VJP. */
Test(attention, scratch_is_blocks_of_rows)
{
    enum { THREADS = 4, SLACK = 1 << 16 };
    const int64_t sides[] = {64, 128};
    for (int i = 0; i < 2; i++)
        for (int vjp = 0; vjp < 2; vjp++)
            for (int64_t batch = 1; batch <= 8; batch += 7) {
                const problem p = {.h = sides[i], .w = sides[i], .heads = 4, .width = 16, .batch = batch};
                const int64_t length = p.h * p.w, values = batch * length * 4 * p.heads * p.width * (vjp ? 2 : 1) * 4;
                const int64_t rows = THREADS * 64 * length * (vjp ? 2 : 1) * 4, matrix = length * length * 4;
                const int64_t have = arena(THREADS, &p, vjp, RMP_MEMORY_KEEP);
                cr_expect_leq(have, values + rows + SLACK, "%d x %d, vjp %d, batch %d: %ld bytes", (int)p.h, (int)p.w,
                              vjp, (int)batch, (long)have);
                cr_expect_lt(have - values, batch * p.heads * matrix / 7);
                if (vjp) cr_expect_leq(arena(THREADS, &p, true, RMP_MEMORY_RECOMPUTE), have);
            }
}

typedef struct result {
    int64_t out, in;
    float *y, *g;
} result;

static void result_free(result *r)
{
    free(r->y);
    free(r->g);
}

static float *normals(int64_t images, int64_t count, uint32_t step)
{
    float *data = malloc((size_t)(images * count) * sizeof *data);
    cr_assert(data != NULL);
    for (int64_t i = 0; i < images * count; i++)
        data[i] = rmp_random_normal((rmp_key){.seed = 3, .item = (uint64_t)(i / count)}, step, RMP_PURPOSE_PROBE,
                                    (uint64_t)(i % count));
    return data;
}

static rmp_buffer *filled(rmp_device *dev, const float *data, int64_t n)
{
    rmp_buffer *buffer;
    must(rmp_buffer_create(dev, n, &buffer));
    if (data) must(rmp_buffer_upload(buffer, 0, n, data));
    return buffer;
}

/* Takes the device. */
static result run(rmp_device *dev, const problem *p)
{
    const int64_t out = p->h * p->w * p->heads * p->width;
    rmp_graph *graph = build(p);
    rmp_plan *plan;
    result r = {.out = out * p->batch, .in = 3 * out * p->batch};
    r.y = malloc((size_t)r.out * sizeof *r.y);
    r.g = malloc((size_t)r.in * sizeof *r.g);
    float *data = normals(p->batch, 3 * out, 0), *cotangent = normals(p->batch, out, 1);
    rmp_buffer *x = filled(dev, data, r.in), *v = filled(dev, cotangent, r.out), *y = filled(dev, NULL, r.out),
               *g = filled(dev, NULL, r.in);
    must(rmp_plan_create(dev, graph, &(rmp_plan_options){.batch = p->batch, .vjp = true}, &plan));
    must(rmp_plan_forward(plan, 1, (const rmp_buffer *[]){x}, y));
    must(rmp_plan_vjp(plan, v, g));
    must(rmp_buffer_download(y, 0, r.out, r.y));
    must(rmp_buffer_download(g, 0, r.in, r.g));
    rmp_plan_destroy(&plan);
    rmp_graph_destroy(&graph);
    rmp_buffer *buffers[] = {x, v, y, g};
    for (int i = 0; i < 4; i++)
        rmp_buffer_destroy(&buffers[i]);
    rmp_device_destroy(&dev);
    free(data);
    free(cotangent);
    return r;
}

static result on_host(int threads, const problem *p)
{
    rmp_device *dev;
    must(rmp_host_create(threads, 0, &dev));
    return run(dev, p);
}

/* |have - want| / |want| */
static double error_of(int64_t count, const float *have, const float *want)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += pow((double)have[i] - (double)want[i], 2);
        norm += pow((double)want[i], 2);
    }
    return sqrt(difference / norm);
}

/* q, k and v apart: the gradient of v is the largest and would hide the others. */
static void compare_gradients(const problem *p, const result *have, const result *want)
{
    const int64_t part = p->heads * p->width, positions = want->in / (3 * part);
    float *a = malloc((size_t)want->out * sizeof *a), *b = malloc((size_t)want->out * sizeof *b);
    for (int i = 0; i < 3; i++) {
        for (int64_t j = 0; j < positions; j++)
            for (int64_t c = 0; c < part; c++) {
                const int64_t per_head = c / p->width * 3 * p->width + i * p->width + c % p->width;
                const int64_t from = j * 3 * part + (p->order == RMP_QKV_BLOCKS ? i * part + c : per_head);
                a[j * part + c] = have->g[from];
                b[j * part + c] = want->g[from];
            }
        const double error = error_of(want->out, a, b);
        cr_expect_lt(error, tolerance, "gradient of %c: %g", "qkv"[i], error);
    }
    free(a);
    free(b);
}

Test(attention, long_sequences_as_on_the_reference_device, .timeout = 300)
{
    static const problem problems[] = {
        {.h = 61, .w = 67, .heads = 1, .width = 5, .batch = 1, .order = RMP_QKV_BLOCKS},
        {.h = 61, .w = 67, .heads = 2, .width = 3, .batch = 1, .order = RMP_QKV_PER_HEAD},
        {.h = 13, .w = 17, .heads = 1, .width = 512, .batch = 1, .order = RMP_QKV_BLOCKS},
        {.h = 11, .w = 13, .heads = 3, .width = 8, .batch = 3, .order = RMP_QKV_PER_HEAD},
        {.h = 1, .w = 1, .heads = 2, .width = 8, .batch = 2, .order = RMP_QKV_BLOCKS},
    };
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        rmp_device *reference;
        must(rmp_reference_create(&reference));
        result want = run(reference, &problems[i]), have = on_host(2, &problems[i]);
        const double error = error_of(want.out, have.y, want.y);
        cr_expect_lt(error, tolerance, "problem %d: %g", (int)i, error);
        if (problems[i].h > 1) compare_gradients(&problems[i], &have, &want); /* one position: those of q, k are 0 */
        result_free(&want);
        result_free(&have);
    }
}

Test(attention, threads_and_batches_change_no_byte, .timeout = 300)
{
    static const problem problems[] = {
        {.h = 41, .w = 43, .heads = 1, .width = 16, .batch = 1, .order = RMP_QKV_BLOCKS},
        {.h = 9, .w = 23, .heads = 3, .width = 16, .batch = 3, .order = RMP_QKV_PER_HEAD},
    };
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        const problem *p = &problems[i];
        result one = on_host(1, p);
        for (int threads = 2; threads <= 7; threads++) {
            result r = on_host(threads, p);
            cr_expect_eq(memcmp(one.y, r.y, (size_t)r.out * sizeof *r.y), 0, "%d threads: y", threads);
            cr_expect_eq(memcmp(one.g, r.g, (size_t)r.in * sizeof *r.g), 0, "%d threads: gradient", threads);
            result_free(&r);
        }
        problem first = *p;
        first.batch = 1;
        result r = on_host(5, &first);
        cr_expect_eq(memcmp(one.y, r.y, (size_t)r.out * sizeof *r.y), 0, "first image alone: y");
        cr_expect_eq(memcmp(one.g, r.g, (size_t)r.in * sizeof *r.g), 0, "first image alone: gradient");
        result_free(&r);
        result_free(&one);
    }
}
