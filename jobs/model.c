#include "jobs/model.h"

#include "gpu/devices.h"
#include "jobs/command.h"
#include "jobs/model_file.h"
#include "jobs/model_metric.h"
#include "jobs/options.h"
#include "jobs/paths.h"

#include <stdlib.h>
#include <string.h>

typedef struct model_options {
    const char *input, *output, *device, *precision, *architecture;
    int64_t threads;
    rmp_size size;
    rmp_text_list settings;
    bool half;
} model_options;

static const char *const devices[] = {"auto", "cpu", "cuda", "reference", NULL};
static const char *const precisions[] = {"fp32", "bf16", NULL};

#define AT(field) offsetof(model_options, field)

static const rmp_option eval_options[] = {
    {"input", "FILE", "safetensors: x (N,C,H,W), t or sigma (N), optionally v (N,3,H,W)", RMP_OPTION_TEXT, AT(input), 0,
     0, NULL, true},
    {"output", "FILE", "safetensors: y, emb_in, emb and, with v, g = d<y[:,:3],v>/dx", RMP_OPTION_TEXT, AT(output), 0,
     0, NULL, true},
    {"device", "KIND", "auto (default), cpu, cuda, reference", RMP_OPTION_WORD, AT(device), 0, 0, devices, false},
    {"precision", "P", "fp32 (default) or bf16", RMP_OPTION_WORD, AT(precision), 0, 0, precisions, false},
    {"threads", "N", "of this process; default: OMP_NUM_THREADS, else all cores", RMP_OPTION_INTEGER, AT(threads), 1,
     4096, NULL, false},
};
static const rmp_option info_options[] = {
    {"size", "HxW", "image size; default: the one it was trained for", RMP_OPTION_SIZE, AT(size), 1, 65536, NULL,
     false},
    {"device", "KIND", "whose memory is estimated: auto (default), cpu, cuda, reference", RMP_OPTION_WORD, AT(device),
     0, 0, devices, false},
};
static const char *const architectures[] = {"adm", "ncsnpp", "unet2d", "kernel_wizard", NULL};

/* --half last: of convert only */
static const rmp_option file_options[] = {
    {"arch", "NAME", "adm, ncsnpp, unet2d or kernel_wizard: what it must be; default: told by the tensors' names",
     RMP_OPTION_WORD, AT(architecture), 0, 0, architectures, false},
    {"set", "KEY=VALUE", "an argument of the network, e.g. num_head_channels=64, model.fir=true", RMP_OPTION_LIST,
     AT(settings), 0, 0, NULL, false},
    {"half", NULL, "matrices and kernels as float16", RMP_OPTION_FLAG, AT(half), 0, 0, NULL, false},
};
static const rmp_command commands[] = {
    {"model check", "FILE [--arch NAME] [--set KEY=VALUE]...",
     "Says what a weight file (.safetensors, .pt, .pth, .bin, a folder of diffusers) is, which network it\n"
     "holds and whether it fits: lists every missing, misshapen or unexpected tensor.",
     "rmp model check ffhq_10m.pt", file_options, 2, 1, 1},
    {"model convert", "IN [LINEAR] OUT.safetensors [--half] [--arch NAME] [--set KEY=VALUE]...",
     "Writes the same network as .safetensors with its description inside: nothing has to be said or found\n"
     "out about it again. LINEAR: the linear layers of LPIPS, where IN is a classifier of torchvision.",
     "rmp model convert checkpoint_48.pth ncsnpp.safetensors --half", file_options, 3, 2, 3},
    {"model eval", "MODEL --input IN.safetensors --output OUT.safetensors",
     "Runs a network by itself, outside any solver. MODEL is a weight file, formula:CONFIG.json,\n"
     "or the name of a shipped model.",
     "rmp model eval photo64 --input in.safetensors --output out.safetensors", eval_options, 5, 1, 1},
    {"model info", "MODEL [--size HxW]",
     "Prints architecture, arguments, parameters, GFLOP of an evaluation and memory of a network.",
     "rmp model info photo64 --size 256x256", info_options, 2, 1, 1},
};

rmp_status rmp_model_open_named(const char *name, rmp_model **out)
{
    return rmp_model_open_named_for(RMP_MODEL_SCORE, name, out);
}

rmp_status rmp_model_open_named_for(rmp_model_use use, const char *name, rmp_model **out)
{
    char *path;
    *out = NULL;
    RMP_TRY(rmp_paths_model(name, &path));
    rmp_status status = rmp_model_open_for(use, path, out);
    free(path);
    return status == RMP_ERR_IO ? RMP_ERR_CONFIG : status; /* no such file: a mistake, not a failing system */
}

static double mib(int64_t bytes) { return (double)bytes / 1048576.0; }

static rmp_status print_memory(rmp_device *device, const rmp_graph *graph, bool vjp, FILE *out)
{
    rmp_plan_options options = {.batch = 1, .precision = RMP_PRECISION_FP32, .vjp = vjp};
    rmp_plan *plan = NULL;
    RMP_TRY(rmp_plan_create(device, graph, &options, &plan));
    rmp_plan_memory memory = rmp_plan_estimate(plan);
    rmp_plan_destroy(&plan);
    fprintf(out, "memory %-12s %.1f MiB an image, %.1f MiB weights (%s, fp32)\n", vjp ? "forward+VJP" : "forward",
            mib(memory.arena), mib(memory.weights), device->kind);
    return RMP_OK;
}

/* A network that blurs, at a size that its code divides; 0: at which it was trained. */
static rmp_status describe_blur(const rmp_model *model, const char *name, rmp_device *device, int64_t h, int64_t w,
                                FILE *out)
{
    const rmp_kernel_wizard_config *arguments = rmp_kernel_wizard_arguments(model->blur);
    rmp_graph *graph = NULL;
    rmp_value x, code, y;
    rmp_status status = RMP_OK;
    if (h == 0) h = w = 2 * RMP_KERNEL_WIZARD_MULTIPLE;
    RMP_CHECK(h % RMP_KERNEL_WIZARD_MULTIPLE == 0 && w % RMP_KERNEL_WIZARD_MULTIPLE == 0, RMP_ERR_CONFIG,
              "%lldx%lld: height and width must be multiples of %d for this network (jobs pad other sizes)",
              (long long)h, (long long)w, (int)RMP_KERNEL_WIZARD_MULTIPLE);
    const rmp_shape image = {h, w, arguments->input_nc}, shape = rmp_kernel_wizard_code_shape(model->blur, image);
    fprintf(out, "model               %s\narchitecture        kernel_wizard\n", name);
    fprintf(out, "parameters          %lld\n", (long long)rmp_kernel_wizard_parameters(model->blur));
    fprintf(out, "channels            %lld in and out\n", (long long)arguments->input_nc);
    fprintf(out, "use                 operator.network of nonlinear_blur\narguments\n");
    rmp_model_print_arguments(model->description, out);
    RMP_TRY_GOTO(rmp_graph_create(&graph), done);
    RMP_TRY_GOTO(rmp_graph_input(graph, image, &x), done);
    RMP_TRY_GOTO(rmp_graph_input(graph, shape, &code), done);
    RMP_TRY_GOTO(rmp_kernel_wizard_append(model->blur, graph, x, code, &y), done);
    RMP_TRY_GOTO(rmp_graph_output(graph, y), done);
    fprintf(out, "at %lldx%lld\ncode                (%lld, %lld, %lld)\n", (long long)h, (long long)w,
            (long long)shape.c, (long long)shape.h, (long long)shape.w);
    fprintf(out, "GFLOP               %.2f an evaluation\n", rmp_graph_flop(graph) * 1e-9);
    RMP_TRY_GOTO(print_memory(device, graph, false, out), done);
    status = print_memory(device, graph, true, out);
done:
    rmp_graph_destroy(&graph);
    return status;
}

rmp_status rmp_model_describe(const rmp_model *model, const char *name, rmp_device *device, int64_t h, int64_t w,
                              FILE *out)
{
    static const char *const predictions[] = {"eps", "score", "edm"};
    if (model->blur) return describe_blur(model, name, device, h, w, out);
    const rmp_net *net = model->net;
    const rmp_diffusion *diffusion = &model->diffusion;
    rmp_graph *graph = NULL;
    char schedule[128];
    if (h == 0) h = w = net->image_size;
    RMP_CHECK(h % net->multiple == 0 && w % net->multiple == 0, RMP_ERR_CONFIG,
              "%lldx%lld: height and width must be multiples of %lld for this network (jobs pad other sizes)",
              (long long)h, (long long)w, (long long)net->multiple);
    fprintf(out, "model               %s\narchitecture        %s\n", name, net->architecture);
    fprintf(out, "parameters          %lld\n", (long long)net->parameters);
    fprintf(out, "channels            %lld in, %lld out\n", (long long)net->in_channels, (long long)net->out_channels);
    fprintf(out, "prediction          %s, %s, data in [%g, %g]\n", predictions[diffusion->prediction],
            rmp_schedule_text(&diffusion->schedule, schedule, sizeof schedule), diffusion->range[0],
            diffusion->range[1]);
    fprintf(out, "trained at          %lld x %lld; sizes in multiples of %lld (jobs pad and crop)\n",
            (long long)net->image_size, (long long)net->image_size, (long long)net->multiple);
    fprintf(out, "arguments\n");
    rmp_model_print_arguments(model->description, out);
    RMP_TRY(rmp_net_build(net, h, w, 0, &graph));
    fprintf(out, "at %lldx%lld\n", (long long)h, (long long)w);
    fprintf(out, "GFLOP               %.2f an evaluation\n", rmp_graph_flop(graph) * 1e-9);
    rmp_status status = print_memory(device, graph, false, out);
    if (status == RMP_OK) status = print_memory(device, graph, true, out);
    rmp_graph_destroy(&graph);
    return status;
}

/* *metric: it is a network that metrics use, and was described. */
static rmp_status info_of_metric(const char *name, const model_options *o, bool *metric)
{
    rmp_perceptual_net *net = NULL;
    rmp_device *device = NULL;
    rmp_device_request request = {.kind = o->device, .threads = (int)o->threads};
    char *path;
    RMP_TRY(rmp_paths_model(name, &path));
    *metric = rmp_perceptual_probe(path);
    rmp_status status = *metric ? rmp_perceptual_open(path, &net) : RMP_OK;
    if (net) status = rmp_device_create(&request, &device);
    if (device) status = rmp_model_metric_describe(net, name, device, o->size.h, o->size.w, stdout);
    rmp_device_destroy(&device);
    rmp_perceptual_close(&net);
    free(path);
    return status;
}

static rmp_status run(const rmp_command *command, int count, char *const arguments[], const model_options *o)
{
    const rmp_command *const check = &commands[0], *const convert = &commands[1], *const eval = &commands[2];
    const char *name = arguments[0];
    if (command == check) return rmp_model_check(name, o->architecture, &o->settings, stdout);
    if (command == convert) {
        const bool two = count == 3;
        return rmp_model_convert(name, two ? arguments[1] : NULL, arguments[count - 1], o->architecture, &o->settings,
                                 o->half, stdout);
    }
    bool metric = false;
    if (command != eval) RMP_TRY(info_of_metric(name, o, &metric));
    if (metric) return RMP_OK;
    rmp_model *model = NULL;
    rmp_device *device = NULL;
    rmp_status status;
    rmp_device_request request = {.kind = o->device, .threads = (int)o->threads};
    RMP_TRY_GOTO(rmp_model_open_named_for(command == eval ? RMP_MODEL_SCORE : RMP_MODEL_ANY, name, &model), done);
    RMP_TRY_GOTO(rmp_device_create(&request, &device), done);
    if (command == eval) {
        rmp_precision precision = strcmp(o->precision, "bf16") == 0 ? RMP_PRECISION_BF16 : RMP_PRECISION_FP32;
        status = rmp_model_evaluate(model, device, precision, o->input, o->output);
    } else {
        status = rmp_model_describe(model, name, device, o->size.h, o->size.w, stdout);
    }
done:
    rmp_device_destroy(&device);
    rmp_model_close(&model);
    return status;
}

rmp_status rmp_model_command(int argc, char *argv[], rmp_invocation *invocation)
{
    (void)invocation;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const rmp_command *command = &commands[i];
        if (argc < 2 || strcmp(argv[1], command->name + strlen("model ")) != 0) continue;
        model_options o = {.device = "auto", .precision = "fp32"};
        char *arguments[3];
        int count;
        bool help;
        RMP_TRY(rmp_command_parse(command, argc - 1, argv + 1, &o, arguments, &count, &help));
        if (!help) return run(command, count, arguments, &o);
        rmp_command_help(command, stdout);
        return RMP_OK;
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
            if (i > 0) printf("\n");
            rmp_command_help(&commands[i], stdout);
        }
        return RMP_OK;
    }
    return RMP_FAIL(RMP_ERR_CONFIG, "rmp model: expected check, convert, info or eval; rmp model --help explains");
}
