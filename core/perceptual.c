#include "core/perceptual.h"

#include "core/nets/inception.h"
#include "core/nets/lpips.h"
#include "core/nets/walk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct rmp_perceptual_net {
    rmp_perceptual_kind kind;
    rmp_weights *weights; /* of the file */
    rmp_weights *layers;  /* what graphs read */
};

struct rmp_perceptual {
    const rmp_perceptual_net *net;
    rmp_shape image;
    rmp_graph *graph;
    rmp_plan *plan;
    rmp_buffer *input[2], *output;
    float *colours; /* of an image with one channel */
};

static const struct {
    const char *name;
    int64_t least; /* height and width from which on every layer has a pixel */
} kinds[RMP_PERCEPTUAL_KINDS] = {[RMP_PERCEPTUAL_ALEX] = {"lpips_alex", 31},
                                 [RMP_PERCEPTUAL_VGG] = {"lpips_vgg", 16},
                                 [RMP_PERCEPTUAL_SQUEEZE] = {"lpips_squeeze", 17},
                                 [RMP_PERCEPTUAL_INCEPTION] = {"inception", 1}};

const char *rmp_perceptual_name(rmp_perceptual_kind kind)
{
    return (unsigned)kind < RMP_PERCEPTUAL_KINDS ? kinds[kind].name : "unknown";
}

rmp_status rmp_perceptual_list(rmp_perceptual_kind kind, rmp_weights *list)
{
    return kind == RMP_PERCEPTUAL_INCEPTION ? rmp_inception_list(list) : rmp_lpips_list(kind, list);
}

bool rmp_perceptual_optional(rmp_perceptual_kind kind, const char *name)
{
    return kind != RMP_PERCEPTUAL_INCEPTION &&
           (strcmp(name, "scaling_layer.shift") == 0 || strcmp(name, "scaling_layer.scale") == 0);
}

static rmp_status take_all(rmp_perceptual_kind kind, rmp_weights *weights)
{
    rmp_weights *list = NULL;
    rmp_status status = RMP_OK;
    const rmp_tensor *taken;
    RMP_TRY_GOTO(rmp_weights_create(&list), done);
    RMP_TRY_GOTO(rmp_perceptual_list(kind, list), done);
    for (int64_t i = 0; i < rmp_weights_count(list); i++) {
        const rmp_tensor *want = rmp_weights_tensor(list, i);
        RMP_TRY_GOTO(rmp_weights_take(weights, rmp_weights_name(list, i), want->rank, want->dims, &taken), done);
    }
    for (int64_t i = 0; i < rmp_weights_count(weights); i++) {
        const char *name = rmp_weights_name(weights, i);
        if (!rmp_perceptual_optional(kind, name)) continue;
        RMP_TRY_GOTO(rmp_weights_take(weights, name, 4, (const int64_t[]){1, 3, 1, 1}, &taken), done);
    }
    status = rmp_weights_verify(weights);
done:
    rmp_weights_destroy(&list);
    return status;
}

static rmp_status make_layers(rmp_perceptual_net *net)
{
    RMP_TRY(take_all(net->kind, net->weights));
    RMP_TRY(rmp_weights_create(&net->layers));
    return net->kind == RMP_PERCEPTUAL_INCEPTION ? rmp_walk_fold(net->weights, net->layers)
                                                 : rmp_lpips_layers(net->weights, net->layers);
}

rmp_status rmp_perceptual_net_create(rmp_perceptual_kind kind, rmp_weights **weights, rmp_perceptual_net **out)
{
    *out = NULL;
    rmp_perceptual_net *net = calloc(1, sizeof *net);
    rmp_status status;
    RMP_CHECK_GOTO(net, RMP_ERR_MEMORY, failed, "no memory for a network");
    *net = (rmp_perceptual_net){.kind = kind, .weights = *weights};
    *weights = NULL;
    RMP_TRY_GOTO(make_layers(net), failed);
    *out = net;
    return RMP_OK;
failed:
    rmp_weights_destroy(weights);
    rmp_perceptual_net_destroy(&net);
    return status;
}

void rmp_perceptual_net_destroy(rmp_perceptual_net **net)
{
    if (!net || !*net) return;
    rmp_weights_destroy(&(*net)->layers);
    rmp_weights_destroy(&(*net)->weights);
    free(*net);
    *net = NULL;
}

rmp_perceptual_kind rmp_perceptual_net_kind(const rmp_perceptual_net *net) { return net->kind; }
const rmp_weights *rmp_perceptual_net_weights(const rmp_perceptual_net *net) { return net->weights; }

rmp_status rmp_perceptual_graph(const rmp_perceptual_net *net, int64_t h, int64_t w, rmp_graph **out)
{
    rmp_graph *graph = NULL;
    const int64_t least = kinds[net->kind].least;
    *out = NULL;
    RMP_CHECK(h >= least && w >= least, RMP_ERR_ARGUMENT,
              "%s: an image of %lld x %lld pixels is too small: at least %lld x %lld are needed", kinds[net->kind].name,
              (long long)h, (long long)w, (long long)least, (long long)least);
    RMP_TRY(rmp_graph_create(&graph));
    rmp_status status = net->kind == RMP_PERCEPTUAL_INCEPTION ? rmp_inception_graph(net->layers, h, w, graph)
                                                              : rmp_lpips_graph(net->kind, net->layers, h, w, graph);
    if (status != RMP_OK) {
        rmp_graph_destroy(&graph);
        return rmp_fail_context(status, "%s", kinds[net->kind].name);
    }
    *out = graph;
    return RMP_OK;
}

static rmp_status compile(rmp_device *device, const rmp_perceptual_net *net, rmp_shape image, rmp_graph **graph,
                          rmp_plan **plan)
{
    const rmp_plan_options options = {.batch = 1, .precision = RMP_PRECISION_FP32};
    RMP_CHECK(image.c == 1 || image.c == 3, RMP_ERR_ARGUMENT, "%s: an image of %lld channels: 1 or 3 are needed",
              kinds[net->kind].name, (long long)image.c);
    RMP_TRY(rmp_perceptual_graph(net, image.h, image.w, graph));
    return rmp_plan_create(device, *graph, &options, plan);
}

static int64_t input_floats(const rmp_graph *graph)
{
    return rmp_shape_count(rmp_graph_shape(graph, rmp_graph_input_value(graph, 0)));
}

static int64_t output_floats(const rmp_graph *graph)
{
    return rmp_shape_count(rmp_graph_shape(graph, rmp_graph_result(graph)));
}

rmp_status rmp_perceptual_estimate(rmp_device *device, const rmp_perceptual_net *net, rmp_shape image, int64_t *bytes)
{
    rmp_graph *graph = NULL;
    rmp_plan *plan = NULL;
    const rmp_status status = compile(device, net, image, &graph, &plan);
    if (status == RMP_OK) {
        const rmp_plan_memory memory = rmp_plan_estimate(plan);
        const int64_t floats = rmp_graph_inputs(graph) * input_floats(graph) + output_floats(graph);
        *bytes = memory.arena + memory.weights + floats * (int64_t)sizeof(float);
    }
    rmp_plan_destroy(&plan);
    rmp_graph_destroy(&graph);
    return status;
}

static rmp_status fill(rmp_device *device, rmp_perceptual *p)
{
    RMP_TRY(compile(device, p->net, p->image, &p->graph, &p->plan));
    RMP_TRY(rmp_plan_allocate(p->plan));
    const int64_t floats = input_floats(p->graph);
    for (int i = 0; i < rmp_graph_inputs(p->graph); i++)
        RMP_TRY(rmp_buffer_create(device, floats, &p->input[i]));
    RMP_TRY(rmp_buffer_create(device, output_floats(p->graph), &p->output));
    if (p->image.c == 3) return RMP_OK;
    p->colours = malloc((size_t)floats * sizeof *p->colours);
    RMP_CHECK(p->colours, RMP_ERR_MEMORY, "no memory for an image of three channels");
    return RMP_OK;
}

rmp_status rmp_perceptual_create(rmp_device *device, const rmp_perceptual_net *net, rmp_shape image,
                                 rmp_perceptual **out)
{
    *out = NULL;
    rmp_perceptual *p = calloc(1, sizeof *p);
    RMP_CHECK(p, RMP_ERR_MEMORY, "no memory for a metric");
    p->net = net;
    p->image = image;
    const rmp_status status = fill(device, p);
    if (status != RMP_OK)
        rmp_perceptual_destroy(&p);
    else
        *out = p;
    return status;
}

void rmp_perceptual_destroy(rmp_perceptual **perceptual)
{
    if (!perceptual || !*perceptual) return;
    rmp_perceptual *p = *perceptual;
    rmp_plan_destroy(&p->plan);
    rmp_graph_destroy(&p->graph);
    rmp_buffer_destroy(&p->input[0]);
    rmp_buffer_destroy(&p->input[1]);
    rmp_buffer_destroy(&p->output);
    free(p->colours);
    free(p);
    *perceptual = NULL;
}

static rmp_status upload(rmp_perceptual *p, int input, const float *image)
{
    const int64_t pixels = p->image.h * p->image.w;
    const char *name = kinds[p->net->kind].name;
    for (int64_t i = 0; i < pixels * p->image.c; i++)
        RMP_CHECK(isfinite(image[i]), RMP_ERR_ARGUMENT, "%s: an image has numbers that are not finite", name);
    for (int64_t i = 0; p->colours && i < 3 * pixels; i++)
        p->colours[i] = image[i / 3];
    return rmp_buffer_upload(p->input[input], 0, 3 * pixels, p->colours ? p->colours : image);
}

rmp_status rmp_perceptual_distances(rmp_perceptual *p, const float *a, const float *b, double out[RMP_LPIPS_MAX_LAYERS],
                                    int *layers)
{
    float parts[RMP_LPIPS_MAX_LAYERS];
    RMP_CHECK(p->net->kind != RMP_PERCEPTUAL_INCEPTION, RMP_ERR_ARGUMENT, "inception: gives features, no distance");
    RMP_TRY(upload(p, 0, a));
    RMP_TRY(upload(p, 1, b));
    RMP_TRY(rmp_plan_forward(p->plan, 2, (const rmp_buffer *const *)p->input, p->output));
    *layers = (int)output_floats(p->graph);
    RMP_TRY(rmp_buffer_download(p->output, 0, *layers, parts));
    for (int i = 0; i < *layers; i++)
        out[i] = (double)parts[i];
    return RMP_OK;
}

rmp_status rmp_perceptual_distance(rmp_perceptual *p, const float *a, const float *b, double *out)
{
    double parts[RMP_LPIPS_MAX_LAYERS];
    int layers = 0;
    RMP_TRY(rmp_perceptual_distances(p, a, b, parts, &layers));
    *out = 0;
    for (int i = 0; i < layers; i++)
        *out += parts[i];
    return RMP_OK;
}

rmp_status rmp_perceptual_features(rmp_perceptual *p, const float *image, float features[RMP_INCEPTION_FEATURES])
{
    RMP_CHECK(p->net->kind == RMP_PERCEPTUAL_INCEPTION, RMP_ERR_ARGUMENT, "%s: gives a distance, no features",
              kinds[p->net->kind].name);
    RMP_TRY(upload(p, 0, image));
    RMP_TRY(rmp_plan_forward(p->plan, 1, (const rmp_buffer *const *)p->input, p->output));
    return rmp_buffer_download(p->output, 0, RMP_INCEPTION_FEATURES, features);
}
