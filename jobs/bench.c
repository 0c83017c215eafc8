/* `rmp bench`: what the device does with a network, measured against a convolution peak in the same process. */
#include "gpu/devices.h"
#include "gpu/host/profile.h"
#include "jobs/command.h"
#include "jobs/model.h"
#include "jobs/options.h"

#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct bench_options {
    const char *precision;
    int64_t threads, batch, repeat;
    rmp_size size;
    bool steps;
} bench_options;

#define AT(field) offsetof(bench_options, field)

static const char *const precisions[] = {"fp32", "bf16", NULL};
static const rmp_option net_options[] = {
    {"size", "HxW", "image size (default: 256x256)", RMP_OPTION_SIZE, AT(size), 1, 65536, NULL, false},
    {"batch", "N", "images a call (default: 1)", RMP_OPTION_INTEGER, AT(batch), 1, 4096, NULL, false},
    {"repeat", "N", "timed calls, the fastest counts (default: 5)", RMP_OPTION_INTEGER, AT(repeat), 1, 1000, NULL,
     false},
    {"precision", "P", "fp32 (default) or bf16", RMP_OPTION_WORD, AT(precision), 0, 0, precisions, false},
    {"threads", "N", "default: OMP_NUM_THREADS, else all cores", RMP_OPTION_INTEGER, AT(threads), 1, 4096, NULL, false},
    {"steps", NULL, "also one line for every step of the plan", RMP_OPTION_FLAG, AT(steps), 0, 0, NULL, false},
};
static const rmp_option memory_options[] = {
    {"size", "HxW", "image size (default: 256x256)", RMP_OPTION_SIZE, AT(size), 1, 65536, NULL, false},
    {"batch", "N", "largest batch; 1, 2, 4, ... are tried (default: 8)", RMP_OPTION_INTEGER, AT(batch), 1, 4096, NULL,
     false},
    {"repeat", "N", "timed calls, the fastest counts (default: 1)", RMP_OPTION_INTEGER, AT(repeat), 1, 1000, NULL,
     false},
    {"precision", "P", "fp32 (default) or bf16", RMP_OPTION_WORD, AT(precision), 0, 0, precisions, false},
    {"threads", "N", "default: OMP_NUM_THREADS, else all cores", RMP_OPTION_INTEGER, AT(threads), 1, 4096, NULL, false},
};
static const rmp_command commands[] = {
    {"bench net", "[MODEL] [options]",
     "Times a network on the cpu device, forward and VJP, beside the peak of a large 3x3 convolution\n"
     "through oneDNN in the same process. GFLOP count a direct convolution, so that Winograd may\n"
     "exceed the peak. MODEL as in rmp model eval; default: the shipped prior.",
     "rmp bench net formula:jobs/models/adm_ffhq256.json --size 256x256", net_options,
     (int)(sizeof net_options / sizeof *net_options), 0, 1},
    {"bench memory", "[MODEL] [options]",
     "Memory and time of forward and VJP for batches and both memory policies: keep (everything the\n"
     "VJP reads) and recompute (values between blocks; images one after another).",
     "rmp bench memory formula:jobs/models/adm_ffhq256.json --batch 8", memory_options,
     (int)(sizeof memory_options / sizeof *memory_options), 0, 1},
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct subject {
    rmp_graph *graph;
    rmp_plan *plan;
    rmp_buffer *x, *condition, *y, *g;
    int64_t batch;
} subject;

static void subject_free(subject *s)
{
    rmp_plan_destroy(&s->plan);
    rmp_graph_destroy(&s->graph);
    rmp_buffer_destroy(&s->x);
    rmp_buffer_destroy(&s->condition);
    rmp_buffer_destroy(&s->y);
    rmp_buffer_destroy(&s->g);
}

static rmp_status subject_create(rmp_device *device, const rmp_model *model, const bench_options *o, bool vjp,
                                 rmp_memory_policy policy, subject *s)
{
    const rmp_net *net = model->net;
    RMP_TRY(rmp_net_build(net, o->size.h, o->size.w, 0, &s->graph));
    rmp_plan_options options = {.batch = o->batch,
                                .precision =
                                    strcmp(o->precision, "bf16") == 0 ? RMP_PRECISION_BF16 : RMP_PRECISION_FP32,
                                .vjp = vjp,
                                .memory = policy};
    RMP_TRY(rmp_plan_create(device, s->graph, &options, &s->plan));
    int64_t pixels = o->batch * o->size.h * o->size.w;
    s->batch = o->batch;
    RMP_TRY(rmp_buffer_create(device, pixels * net->in_channels, &s->x));
    RMP_TRY(rmp_buffer_create(device, pixels * net->in_channels, &s->g));
    RMP_TRY(rmp_buffer_create(device, pixels * net->out_channels, &s->y));
    RMP_TRY(rmp_buffer_create(device, o->batch * net->condition, &s->condition));
    rmp_key key = {.seed = 1, .item = 0};
    RMP_TRY(device->ops->normals(device, 1, pixels * net->in_channels, &key, 0, RMP_PURPOSE_PROBE, s->x));
    return device->ops->normals(device, 1, o->batch * net->condition, &key, 1, RMP_PURPOSE_PROBE, s->condition);
}

/* Fastest of `repeat` calls after one that is not counted; the profile of the last call stays in the plan. */
static rmp_status time_plan(subject *s, int64_t repeat, bool vjp, double *forward, double *backward)
{
    const rmp_buffer *input[] = {s->x, s->condition};
    *forward = *backward = INFINITY;
    for (int64_t i = 0; i <= repeat; i++) {
        rmp_host_plan_profile_reset(s->plan);
        double start = now();
        RMP_TRY(rmp_plan_forward(s->plan, 2, input, s->y));
        double middle = now();
        if (vjp) RMP_TRY(rmp_plan_vjp(s->plan, s->y, s->g));
        double end = now();
        if (i == 0) continue;
        if (middle - start < *forward) *forward = middle - start;
        if (end - middle < *backward) *backward = end - middle;
    }
    return RMP_OK;
}

static double mib(int64_t bytes) { return (double)bytes / 1048576.0; }

static void print_line(void *context, const char *text)
{
    (void)context;
    printf("  %s\n", text);
}

/* Resident memory of this process. */
static int64_t resident_bytes(void)
{
    char line[128] = "", *rest = line; /* pages: total, resident, ... */
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0;
    bool read = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    if (read) (void)strtoll(line, &rest, 10);
    return (int64_t)strtoll(rest, NULL, 10) * sysconf(_SC_PAGESIZE);
}

/* The highest resident memory since peak_restart(); since the start where the kernel cannot forget it. */
static int64_t peak_bytes(void)
{
    static const char key[] = "VmHWM:";
    int64_t kib = 0;
    char line[128];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && kib == 0 && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, sizeof key - 1) == 0) kib = strtoll(line + sizeof key - 1, NULL, 10);
    }
    if (f) fclose(f);
    return kib * 1024;
}

static void peak_restart(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (!f) return;
    fputs("5", f); /* proc(5): sets VmHWM to what is resident now */
    fclose(f);
}

static rmp_status bench(rmp_device *device, const rmp_model *model, const bench_options *o, double peak, bool vjp)
{
    subject s = {0};
    rmp_host_profile profile;
    double forward, backward;
    rmp_plan_memory memory;
    int64_t before = 0, taken = 0;
    rmp_status status;
    RMP_TRY_GOTO(subject_create(device, model, o, vjp, RMP_MEMORY_KEEP, &s), end);
    memory = rmp_plan_estimate(s.plan);
    before = resident_bytes();
    RMP_TRY_GOTO(rmp_plan_allocate(s.plan), end);
    taken = resident_bytes() - before;
    RMP_TRY_GOTO(time_plan(&s, o->repeat, vjp, &forward, &backward), end);
    RMP_TRY_GOTO(rmp_host_plan_profile(s.plan, &profile), end);
    double gflop = rmp_graph_flop(s.graph) * (double)o->batch * 1e-9;
    if (!vjp) {
        printf("forward        %9.2f ms   %7.1f GFLOP/s   %5.1f %% of the peak   %4.1f %% in convolutions\n",
               forward * 1e3, gflop / forward, 100 * gflop / forward / peak,
               100 * profile.forward_conv / profile.forward);
    } else {
        printf("VJP            %9.2f ms   %7.1f GFLOP/s   %5.1f %% of the peak   %4.1f %% in convolutions\n",
               backward * 1e3, gflop / backward, 100 * gflop / backward / peak,
               100 * profile.backward_conv / profile.backward);
        printf("VJP / forward  %9.2f      (forward that keeps what the VJP reads: %.2f ms)\n", backward / forward,
               forward * 1e3);
    }
    printf("memory         arena %.1f MiB, weights %.1f MiB estimated; resident memory grew by %.1f MiB\n",
           mib(memory.arena), mib(memory.weights), mib(taken));
    if (o->steps) RMP_TRY_GOTO(rmp_host_plan_profile_print(s.plan, print_line, NULL), end);
end:
    subject_free(&s);
    return status;
}

static rmp_status bench_net(const char *name, const bench_options *o)
{
    rmp_model *model = NULL;
    rmp_device *device = NULL;
    rmp_graph *graph = NULL;
    double peak;
    rmp_status status;
    rmp_device_request request = {.kind = "cpu", .threads = (int)o->threads};
    rmp_precision precision = strcmp(o->precision, "bf16") == 0 ? RMP_PRECISION_BF16 : RMP_PRECISION_FP32;
    RMP_TRY_GOTO(rmp_model_open_named(name, &model), end);
    RMP_TRY_GOTO(rmp_device_create(&request, &device), end);
    RMP_CHECK_GOTO(o->size.h % model->net->multiple == 0 && o->size.w % model->net->multiple == 0, RMP_ERR_CONFIG, end,
                   "--size %lldx%lld: both must be multiples of %lld for this network", (long long)o->size.h,
                   (long long)o->size.w, (long long)model->net->multiple);
    RMP_TRY_GOTO(rmp_net_build(model->net, o->size.h, o->size.w, 0, &graph), end);
    printf("network        %s, %.1f M parameters, %lldx%lld, batch %lld, %s, %.1f GFLOP a forward\n", name,
           (double)model->net->parameters * 1e-6, (long long)o->size.h, (long long)o->size.w, (long long)o->batch,
           o->precision, rmp_graph_flop(graph) * (double)o->batch * 1e-9);
    printf("device         %s\n", device->description);
    RMP_TRY_GOTO(rmp_host_convolution_peak(device, precision, (int)o->repeat, &peak), end);
    printf("peak           %9.1f GFLOP/s: 3x3 convolution, 256 channels, 128x128, oneDNN\n", peak);
    RMP_TRY_GOTO(bench(device, model, o, peak, false), end);
    RMP_TRY_GOTO(bench(device, model, o, peak, true), end);
end:
    rmp_graph_destroy(&graph);
    rmp_device_destroy(&device);
    rmp_model_close(&model);
    return status;
}

/* One row of the table: forward and VJP of a batch under a policy. */
static rmp_status memory_row(rmp_device *device, const rmp_model *model, const bench_options *o,
                             rmp_memory_policy policy, double *reference)
{
    subject s = {0};
    double forward, backward;
    rmp_plan_memory memory;
    malloc_trim(0); /* what the row before has freed */
    peak_restart();
    int64_t before = resident_bytes();
    rmp_status status;
    RMP_TRY_GOTO(subject_create(device, model, o, true, policy, &s), end);
    memory = rmp_plan_estimate(s.plan);
    RMP_TRY_GOTO(rmp_plan_allocate(s.plan), end);
    RMP_TRY_GOTO(time_plan(&s, o->repeat, true, &forward, &backward), end);
    if (policy == RMP_MEMORY_KEEP) *reference = forward + backward;
    printf("%5lld  %-9s %10.1f %12.1f %9.1f %13.1f %13.1f %10.2f\n", (long long)o->batch,
           policy == RMP_MEMORY_KEEP ? "keep" : "recompute", mib(memory.arena), mib(memory.weights),
           mib(memory.arena + memory.weights), mib(peak_bytes() - before), (forward + backward) * 1e3,
           (forward + backward) / *reference);
    fflush(stdout); /* rows take minutes */
end:
    subject_free(&s);
    return status;
}

static rmp_status bench_memory(const char *name, const bench_options *o)
{
    rmp_model *model = NULL;
    rmp_device *device = NULL;
    rmp_status status;
    rmp_device_request request = {.kind = "cpu", .threads = (int)o->threads};
    bench_options row = *o;
    double reference = 0;
    RMP_TRY_GOTO(rmp_model_open_named(name, &model), end);
    RMP_TRY_GOTO(rmp_device_create(&request, &device), end);
    printf("network        %s, %lldx%lld, %s, forward and VJP\n", name, (long long)o->size.h, (long long)o->size.w,
           o->precision);
    printf("device         %s\n", device->description);
    printf("%5s  %-9s %10s %12s %9s %13s %13s %10s\n", "batch", "policy", "arena MiB", "weights MiB", "estimate",
           "measured peak", "milliseconds", "to keep");
    for (row.batch = 1; row.batch <= o->batch; row.batch *= 2) {
        RMP_TRY_GOTO(memory_row(device, model, &row, RMP_MEMORY_KEEP, &reference), end);
        RMP_TRY_GOTO(memory_row(device, model, &row, RMP_MEMORY_RECOMPUTE, &reference), end);
    }
end:
    rmp_device_destroy(&device);
    rmp_model_close(&model);
    return status;
}

rmp_status rmp_bench_command(int argc, char *argv[], rmp_invocation *invocation)
{
    (void)invocation;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (argc < 2 || strcmp(argv[1], commands[i].name + strlen("bench ")) != 0) continue;
        bench_options o = {.precision = "fp32", .batch = i == 0 ? 1 : 8, .repeat = i == 0 ? 5 : 1, .size = {256, 256}};
        char *arguments[1] = {(char *)(uintptr_t) "photo64"};
        int count;
        bool help;
        RMP_TRY(rmp_command_parse(&commands[i], argc - 1, argv + 1, &o, arguments, &count, &help));
        if (!help) return i == 0 ? bench_net(arguments[0], &o) : bench_memory(arguments[0], &o);
        rmp_command_help(&commands[i], stdout);
        return RMP_OK;
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
            if (i > 0) printf("\n");
            rmp_command_help(&commands[i], stdout);
        }
        return RMP_OK;
    }
    return RMP_FAIL(RMP_ERR_CONFIG, "rmp bench: expected net or memory; rmp bench --help explains");
}
