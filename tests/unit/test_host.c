/* What the host device promises beyond right numbers: bytes that depend on neither threads nor batch, memory as
 * estimated, weights shared by plans, VJPs that may be repeated, bf16 close to fp32. */
#include "core/random.h"
#include "gpu/devices.h"
#include "gpu/host/kernels.h"
#include "gpu/host/profile.h"
#include "io/model.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const fixtures[] = {"adm_tiny_base", "adm_tiny_conv", "adm_tiny_pool",
                                       "adm_tiny_noss", "adm_tiny_rect", "adm_tiny_heads"};
enum { FIXTURES = (int)(sizeof fixtures / sizeof *fixtures), SIZE = 32 };

static void must(rmp_status status) { cr_assert_eq(status, RMP_OK, "%s (%s)", rmp_fail_message(), rmp_fail_place()); }

typedef struct result {
    int64_t floats, image; /* of y and g together: all, one image */
    float *y, *g;
} result;

static void result_free(result *r)
{
    free(r->y);
    free(r->g);
}

/* y = network(x), g = VJP of a fixed cotangent; image i of every batch is the same image. */
static result evaluate_with(rmp_device *dev, const rmp_model *model, int64_t batch, rmp_precision precision,
                            rmp_memory_policy memory)
{
    const rmp_net *net = model->net;
    rmp_graph *graph;
    rmp_plan *plan;
    rmp_buffer *x, *c, *y, *v, *g;
    int64_t in = SIZE * SIZE * net->in_channels, out = SIZE * SIZE * net->out_channels;
    must(rmp_net_build(net, SIZE, SIZE, 0, &graph));
    must(rmp_plan_create(
        dev, graph, &(rmp_plan_options){.batch = batch, .vjp = true, .precision = precision, .memory = memory}, &plan));
    must(rmp_buffer_create(dev, batch * in, &x));
    must(rmp_buffer_create(dev, batch * in, &g));
    must(rmp_buffer_create(dev, batch * net->condition, &c));
    must(rmp_buffer_create(dev, batch * out, &y));
    must(rmp_buffer_create(dev, batch * out, &v));
    rmp_key keys[8];
    for (int64_t i = 0; i < batch; i++)
        keys[i] = (rmp_key){.seed = 5, .item = (uint64_t)i};
    must(dev->ops->normals(dev, batch, in, keys, 0, RMP_PURPOSE_PROBE, x));
    must(dev->ops->normals(dev, batch, net->condition, keys, 1, RMP_PURPOSE_PROBE, c));
    must(dev->ops->normals(dev, batch, out, keys, 2, RMP_PURPOSE_PROBE, v));
    const rmp_buffer *inputs[] = {x, c};
    must(rmp_plan_forward(plan, 2, inputs, y));
    must(rmp_plan_vjp(plan, v, g));
    result r = {.floats = batch * out, .image = out};
    r.y = malloc((size_t)(batch * out) * sizeof *r.y);
    r.g = malloc((size_t)(batch * in) * sizeof *r.g);
    must(rmp_buffer_download(y, 0, batch * out, r.y));
    must(rmp_buffer_download(g, 0, batch * in, r.g));

    /* again, after the caller overwrote the result: the same bytes */
    float *again = malloc((size_t)(batch * in) * sizeof *again), *zero = calloc((size_t)(batch * out), sizeof *zero);
    must(rmp_buffer_upload(y, 0, batch * out, zero));
    must(rmp_plan_vjp(plan, v, g));
    must(rmp_buffer_download(g, 0, batch * in, again));
    cr_assert_eq(memcmp(again, r.g, (size_t)(batch * in) * sizeof *again), 0, "a repeated VJP differs");
    free(again);
    free(zero);
    rmp_plan_destroy(&plan);
    rmp_graph_destroy(&graph);
    rmp_buffer *buffers[] = {x, c, y, v, g};
    for (int i = 0; i < 5; i++)
        rmp_buffer_destroy(&buffers[i]);
    return r;
}

static result evaluate(rmp_device *dev, const rmp_model *model, int64_t batch, rmp_precision precision)
{
    return evaluate_with(dev, model, batch, precision, RMP_MEMORY_KEEP);
}

static rmp_model *open_model(const char *name)
{
    char path[512];
    rmp_model *model;
    snprintf(path, sizeof path, "formula:" RMP_FIXTURES "/%s.json", name);
    must(rmp_model_open(path, &model));
    return model;
}

Test(host, threads_do_not_change_a_byte)
{
    for (int i = 0; i < FIXTURES; i++) {
        rmp_model *model = open_model(fixtures[i]);
        result one = {0};
        for (int threads = 1; threads <= 4; threads++) {
            rmp_device *dev;
            must(rmp_host_create(threads, 0, &dev));
            result r = evaluate(dev, model, 2, RMP_PRECISION_FP32);
            if (threads == 1) {
                one = r;
            } else {
                cr_expect_eq(memcmp(one.y, r.y, (size_t)r.floats * sizeof(float)), 0, "%s: y, %d threads", fixtures[i],
                             threads);
                cr_expect_eq(memcmp(one.g, r.g, (size_t)(2 * SIZE * SIZE * 3) * sizeof(float)), 0, "%s: g, %d threads",
                             fixtures[i], threads);
                result_free(&r);
            }
            rmp_device_destroy(&dev);
        }
        result_free(&one);
        rmp_model_close(&model);
    }
}

Test(host, batches_do_not_change_a_byte)
{
    rmp_device *dev;
    must(rmp_host_create(2, 0, &dev));
    for (int i = 0; i < FIXTURES; i++) {
        rmp_model *model = open_model(fixtures[i]);
        result one = evaluate(dev, model, 1, RMP_PRECISION_FP32);
        for (int64_t batch = 2; batch <= 5; batch += 3) {
            result r = evaluate(dev, model, batch, RMP_PRECISION_FP32);
            cr_expect_eq(memcmp(one.y, r.y, (size_t)r.image * sizeof(float)), 0, "%s: y, batch %d", fixtures[i],
                         (int)batch);
            cr_expect_eq(memcmp(one.g, r.g, (size_t)(SIZE * SIZE * 3) * sizeof(float)), 0, "%s: g, batch %d",
                         fixtures[i], (int)batch);
            result_free(&r);
        }
        result_free(&one);
        rmp_model_close(&model);
    }
    rmp_device_destroy(&dev);
}

static bool has_bf16(rmp_device *dev, const rmp_model *model)
{
    rmp_graph *graph;
    rmp_plan *plan = NULL;
    must(rmp_net_build(model->net, SIZE, SIZE, 0, &graph));
    rmp_status status =
        rmp_plan_create(dev, graph, &(rmp_plan_options){.batch = 1, .precision = RMP_PRECISION_BF16}, &plan);
    if (status != RMP_OK) cr_assert(strstr(rmp_fail_message(), "precision fp32"), "%s", rmp_fail_message());
    rmp_plan_destroy(&plan);
    rmp_graph_destroy(&graph);
    return status == RMP_OK;
}

Test(host, recomputing_does_not_change_a_byte)
{
    rmp_device *dev;
    must(rmp_host_create(2, 0, &dev));
    for (int i = 0; i < FIXTURES; i++) {
        rmp_model *model = open_model(fixtures[i]);
        for (int64_t batch = 1; batch <= 3; batch += 2) {
            for (int p = 0; p < 2; p++) {
                rmp_precision precision = p == 0 ? RMP_PRECISION_FP32 : RMP_PRECISION_BF16;
                if (p == 1 && !has_bf16(dev, model)) continue;
                result keep = evaluate_with(dev, model, batch, precision, RMP_MEMORY_KEEP);
                result again = evaluate_with(dev, model, batch, precision, RMP_MEMORY_RECOMPUTE);
                cr_expect_eq(memcmp(keep.y, again.y, (size_t)keep.floats * sizeof(float)), 0, "%s: y", fixtures[i]);
                cr_expect_eq(memcmp(keep.g, again.g, (size_t)(batch * SIZE * SIZE * 3) * sizeof(float)), 0,
                             "%s: g, batch %d", fixtures[i], (int)batch);
                result_free(&keep);
                result_free(&again);
            }
        }
        rmp_model_close(&model);
    }
    rmp_device_destroy(&dev);
}

static double relative(const float *a, const float *b, int64_t n)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)b[i];
        difference += d * d;
        norm += (double)b[i] * (double)b[i];
    }
    return sqrt(difference / norm);
}

Test(host, bf16_is_close_to_fp32)
{
    rmp_device *dev;
    must(rmp_host_create(2, 0, &dev));
    for (int i = 0; i < FIXTURES; i++) {
        rmp_model *model = open_model(fixtures[i]);
        if (!has_bf16(dev, model)) { /* not in this processor */
            rmp_model_close(&model);
            continue;
        }
        result want = evaluate(dev, model, 2, RMP_PRECISION_FP32), have = evaluate(dev, model, 2, RMP_PRECISION_BF16);
        double y = relative(have.y, want.y, want.floats), g = relative(have.g, want.g, 2 * SIZE * SIZE * 3);
        /* 8 bits of mantissa are 2e-3 a rounding, averaged over channels: the bound of the fixtures */
        cr_expect_lt(y, 2e-2, "%s: y differs by %g", fixtures[i], y);
        cr_expect_lt(g, 2e-2, "%s: g differs by %g", fixtures[i], g);
        cr_expect_gt(y, 1e-5, "%s: bf16 was not used", fixtures[i]);
        result_free(&want);
        result_free(&have);
        rmp_model_close(&model);
    }
    rmp_device_destroy(&dev);
}

Test(host, memory_is_what_was_estimated_and_limited)
{
    rmp_device *dev;
    rmp_model *model = open_model("adm_tiny_base");
    rmp_graph *graph;
    rmp_plan *plan;
    must(rmp_net_build(model->net, SIZE, SIZE, 0, &graph));
    must(rmp_host_create(2, 0, &dev));
    must(rmp_plan_create(dev, graph, &(rmp_plan_options){.batch = 2, .vjp = true}, &plan));
    rmp_plan_memory memory = rmp_plan_estimate(plan);
    must(rmp_plan_allocate(plan));
    rmp_host_profile profile;
    must(rmp_host_plan_profile(plan, &profile));
    cr_assert_eq(profile.arena, memory.arena);
    cr_assert_gt(memory.arena, 2 * SIZE * SIZE * 32 * 4);
    cr_assert_gt(memory.weights, 0);

    rmp_plan *second; /* the same weights for another batch: shared */
    must(rmp_plan_create(dev, graph, &(rmp_plan_options){.batch = 1, .vjp = true}, &second));
    cr_assert_eq(rmp_plan_estimate(second).weights, 0);
    rmp_plan_destroy(&plan);
    must(rmp_plan_allocate(second));
    rmp_plan_destroy(&second);
    rmp_device_destroy(&dev);

    must(rmp_host_create(2, memory.arena + memory.weights, &dev));
    must(rmp_plan_create(dev, graph, &(rmp_plan_options){.batch = 2, .vjp = true}, &plan));
    must(rmp_plan_allocate(plan));
    rmp_plan_destroy(&plan);
    rmp_device_destroy(&dev);

    must(rmp_host_create(2, memory.arena + memory.weights - 1, &dev));
    must(rmp_plan_create(dev, graph, &(rmp_plan_options){.batch = 2, .vjp = true}, &plan));
    cr_assert_eq(rmp_plan_allocate(plan), RMP_ERR_MEMORY);
    cr_assert(strstr(rmp_fail_message(), "MiB"), "%s", rmp_fail_message());
    rmp_plan_destroy(&plan);
    rmp_device_destroy(&dev);
    rmp_graph_destroy(&graph);
    rmp_model_close(&model);
}

/* A mean of a thousand deviations: what float32 sums of squares would lose entirely. */
Test(host, norms_survive_large_means)
{
    enum { H = 24, C = 32 };
    float one[C], zero[C] = {0}, *x = malloc(sizeof(float) * H * H * C), *y = malloc(sizeof(float) * H * H * C);
    rmp_random_normals((rmp_key){.seed = 9, .item = 0}, 0, RMP_PURPOSE_PROBE, (int64_t)H * H * C, x);
    for (int i = 0; i < C; i++)
        one[i] = 1.0F;
    for (int i = 0; i < H * H * C; i++)
        x[i] += 1000.0F;
    rmp_tensor gamma = {.dtype = RMP_F32, .rank = 1, .dims = {C}, .data = one}, beta = gamma;
    beta.data = zero;
    rmp_device *dev;
    rmp_graph *graph;
    rmp_plan *plan;
    rmp_buffer *in, *out;
    rmp_value v, normed;
    must(rmp_host_create(2, 0, &dev));
    must(rmp_graph_create(&graph));
    must(rmp_graph_input(graph, (rmp_shape){H, H, C}, &v));
    rmp_group_norm norm = {.gamma = &gamma, .beta = &beta, .groups = 4, .eps = 1e-5, .film = RMP_NONE};
    must(rmp_graph_group_norm(graph, v, &norm, &normed));
    must(rmp_graph_output(graph, normed));
    must(rmp_plan_create(dev, graph, &(rmp_plan_options){.batch = 1}, &plan));
    must(rmp_buffer_create(dev, (int64_t)H * H * C, &in));
    must(rmp_buffer_create(dev, (int64_t)H * H * C, &out));
    must(rmp_buffer_upload(in, 0, (int64_t)H * H * C, x));
    const rmp_buffer *inputs[] = {in};
    must(rmp_plan_forward(plan, 1, inputs, out));
    must(rmp_buffer_download(out, 0, (int64_t)H * H * C, y));
    double difference = 0;
    for (int g = 0; g < 4; g++) {
        double mean = 0, variance = 0, count = (double)H * H * C / 4;
        for (int i = 0; i < H * H * C / 4; i++)
            mean += (double)x[i / 8 * C + g * 8 + i % 8] / count;
        for (int i = 0; i < H * H * C / 4; i++) {
            double d = (double)x[i / 8 * C + g * 8 + i % 8] - mean;
            variance += d * d / count;
        }
        for (int i = 0; i < H * H * C / 4; i++) {
            int at = i / 8 * C + g * 8 + i % 8;
            double d = (double)y[at] - ((double)x[at] - mean) / sqrt(variance + 1e-5);
            difference += d * d;
        }
    }
    /* a x + b in float32 with |a x| = 1000 rounds by 3e-5 */
    cr_assert_lt(sqrt(difference / (H * H * C)), 1e-4, "%g", sqrt(difference / (H * H * C)));
    rmp_plan_destroy(&plan);
    rmp_graph_destroy(&graph);
    rmp_buffer_destroy(&in);
    rmp_buffer_destroy(&out);
    rmp_device_destroy(&dev);
    free(x);
    free(y);
}

/* Every instruction set of this build that this processor has, against sums in double. */
Test(host, winograd_of_every_instruction_set)
{
    const rmp_kernels *sets[3];
    int count = rmp_kernels_usable(sets);
    cr_assert_geq(count, 1);
    const int64_t sizes[][4] = {{1, 1, 3, 5}, {5, 7, 32, 32}, {9, 4, 17, 40}, {16, 13, 96, 6}, {30, 40, 8, 130}};
    for (int s = 0; s < count; s++) {
        const rmp_kernels *k = sets[s];
        for (int i = 0; i < 5; i++) {
            int64_t h = sizes[i][0], w = sizes[i][1], ic = sizes[i][2], oc = sizes[i][3];
            rmp_wino job = {.n = 1, .h = h, .w = w, .ic = ic, .oc = oc};
            k->wino_plan(&job);
            size_t align = 64, bytes = (size_t)(job.scratch * 4 + 64) / align * align;
            float *x = malloc((size_t)(h * w * ic) * 4), *y = malloc((size_t)(h * w * oc) * 4);
            float *g = malloc((size_t)(oc * ic * 9) * 4), *scratch = aligned_alloc(align, bytes);
            float *u = calloc((size_t)k->wino_pack_floats(ic, oc), 4);
            rmp_key key = {.seed = 3, .item = (uint64_t)i};
            rmp_random_normals(key, 0, RMP_PURPOSE_PROBE, h * w * ic, x);
            rmp_random_normals(key, 1, RMP_PURPOSE_PROBE, oc * ic * 9, g);
            k->wino_pack(ic, oc, 0, oc, false, g, u);
            job.source.x = (rmp_parts){.count = 1, .channels = ic, .part = {{x, ic}}};
            job.source.h = h;
            job.source.w = w;
            job.weights = u;
            job.result = y;
            for (int64_t p = 0; p < job.units * job.splits; p++)
                k->wino_unit(&job, p / job.splits, p % job.splits, scratch);
            double difference = 0, norm = 0;
            for (int64_t p = 0; p < h * w * oc; p++) {
                int64_t o = p % oc, px = p / oc % w, py = p / oc / w;
                double sum = 0;
                for (int64_t c = 0; c < ic; c++) {
                    for (int64_t r = 0; r < 9; r++) {
                        int64_t yy = py + r / 3 - 1, xx = px + r % 3 - 1;
                        if (yy < 0 || xx < 0 || yy >= h || xx >= w) continue;
                        sum += (double)x[(yy * w + xx) * ic + c] * (double)g[(o * ic + c) * 9 + r];
                    }
                }
                difference += (sum - (double)y[p]) * (sum - (double)y[p]);
                norm += sum * sum;
            }
            /* F(4x4, 3x3) with these points: 1e-6 to 2e-6; a wrong tap is 1e-1 */
            cr_expect_lt(sqrt(difference / norm), 5e-6, "%s, case %d: error %g", k->name, i, sqrt(difference / norm));
            free(x);
            free(y);
            free(g);
            free(u);
            free(scratch);
        }
    }
}
