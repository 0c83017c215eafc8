#include "gpu/host/profile.h"

#include "gpu/host/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static rmp_status host_plan(const rmp_plan *plan, const rmp_host_plan **out)
{
    RMP_CHECK(strcmp(plan->device->kind, "cpu") == 0, RMP_ERR_ARGUMENT, "only plans of the cpu device have a profile");
    *out = (const rmp_host_plan *)plan;
    return RMP_OK;
}

static bool is_convolution(const rmp_step *s)
{
    return s->kind == RMP_STEP_WINO || s->kind == RMP_STEP_CONV || s->kind == RMP_STEP_DEPTHWISE;
}

rmp_status rmp_host_plan_profile(const rmp_plan *plan, rmp_host_profile *out)
{
    const rmp_host_plan *p = NULL;
    RMP_TRY(host_plan(plan, &p));
    *out = (rmp_host_profile){.arena = p->arena ? p->arena_bytes : 0};
    for (int i = 0; i < p->steps; i++) {
        const rmp_step *s = &p->step[i];
        double conv = is_convolution(s) ? s->seconds : 0.0;
        if (i < p->forward_steps) {
            out->forward += s->seconds;
            out->forward_conv += conv;
        } else {
            out->backward += s->seconds;
            out->backward_conv += conv;
        }
    }
    return RMP_OK;
}

void rmp_host_plan_profile_reset(rmp_plan *plan)
{
    rmp_host_plan *p = (rmp_host_plan *)plan;
    for (int i = 0; i < p->steps; i++)
        p->step[i].seconds = 0;
}

static const char *kind_name(rmp_step_kind kind)
{
    static const char *const names[RMP_STEP_KINDS] = {"convolution 3x3",
                                                      "convolution",
                                                      "depthwise",
                                                      "linear",
                                                      "attention",
                                                      "attention vjp",
                                                      "channel sums",
                                                      "reduce",
                                                      "coefficients",
                                                      "coefficients vjp",
                                                      "normalise",
                                                      "normalise vjp 1",
                                                      "normalise vjp 2",
                                                      "add",
                                                      "affine",
                                                      "channel bias",
                                                      "silu",
                                                      "silu vjp",
                                                      "multiply",
                                                      "clip",
                                                      "clip vjp",
                                                      "leaky relu",
                                                      "leaky relu vjp",
                                                      "tanh",
                                                      "tanh vjp",
                                                      "pixel shuffle",
                                                      "channels",
                                                      "pool",
                                                      "spread",
                                                      "taps h",
                                                      "taps w",
                                                      "bf16",
                                                      "max pool",
                                                      "max pool vjp",
                                                      "unit channels",
                                                      "unit channels vjp",
                                                      "square",
                                                      "square vjp",
                                                      "power",
                                                      "power vjp",
                                                      "fft magnitude",
                                                      "fft magnitude vjp"};
    return names[kind];
}

rmp_status rmp_host_plan_profile_print(const rmp_plan *plan, void (*line)(void *context, const char *text),
                                       void *context)
{
    const rmp_host_plan *p = NULL;
    RMP_TRY(host_plan(plan, &p));
    for (int i = 0; i < p->steps; i++) {
        const rmp_step *s = &p->step[i];
        char text[160];
        snprintf(text, sizeof text, "%s %-16s %4lldx%-4lldx%-4lld -> %4lldx%-4lldx%-4lld %9.3f ms",
                 i < p->forward_steps ? "forward" : "vjp    ", kind_name(s->kind), (long long)s->in.h,
                 (long long)s->in.w, (long long)s->in.c, (long long)s->out.h, (long long)s->out.w, (long long)s->out.c,
                 s->seconds * 1e3);
        line(context, text);
    }
    return RMP_OK;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

rmp_status rmp_host_convolution_peak(rmp_device *device, rmp_precision precision, int repeat, double *gflops)
{
    enum { SIZE = 128, CHANNELS = 256 };
    RMP_CHECK(strcmp(device->kind, "cpu") == 0, RMP_ERR_ARGUMENT, "only the cpu device has this measurement");
    rmp_host *host = (rmp_host *)device;
    bool bf16 = precision == RMP_PRECISION_BF16;
    rmp_onednn_shape shape = {.n = 1,
                              .ih = SIZE,
                              .iw = SIZE,
                              .ic = CHANNELS,
                              .oh = SIZE,
                              .ow = SIZE,
                              .oc = CHANNELS,
                              .kh = 3,
                              .kw = 3,
                              .groups = 1,
                              .stride = 1,
                              .pad_top = 1,
                              .pad_left = 1,
                              .pad_bottom = 1,
                              .pad_right = 1,
                              .source = bf16 ? RMP_ONEDNN_BF16 : RMP_ONEDNN_F32};
    rmp_onednn_conv *conv = NULL;
    void *x = NULL, *y = NULL, *w = NULL, *scratch = NULL;
    int64_t image = (int64_t)SIZE * SIZE * CHANNELS * 4, weights = 0, temp = 0;
    rmp_status status;
    RMP_TRY(rmp_onednn_conv_create(host->dnn, &shape, &conv));
    weights = rmp_onednn_conv_weight_bytes(conv);
    temp = rmp_onednn_conv_scratch(conv);
    RMP_TRY_GOTO(rmp_host_allocate(host, image, "the benchmark's image", &x), end);
    RMP_TRY_GOTO(rmp_host_allocate(host, image, "the benchmark's result", &y), end);
    RMP_TRY_GOTO(rmp_host_allocate(host, weights, "the benchmark's weights", &w), end);
    RMP_TRY_GOTO(rmp_host_allocate(host, temp, "the benchmark's scratch", &scratch), end);
    *gflops = 0;
    for (int i = 0; i <= repeat; i++) { /* the first is not counted: it fills caches */
        double start = now();
        RMP_TRY_GOTO(rmp_onednn_conv_run(conv, x, w, NULL, NULL, y, scratch), end);
        double rate = 2e-9 * SIZE * SIZE * CHANNELS * CHANNELS * 9.0 / (now() - start);
        if (i > 0 && rate > *gflops) *gflops = rate;
    }
end:
    if (x) rmp_host_release(host, image, x);
    if (y) rmp_host_release(host, image, y);
    if (w) rmp_host_release(host, weights, w);
    if (scratch) rmp_host_release(host, temp, scratch);
    rmp_onednn_conv_destroy(&conv);
    return status;
}
