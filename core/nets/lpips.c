#include "core/nets/lpips.h"

#include "core/nets/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAME = 64 };

/* Of each image's features: lpips.normalize_tensor. */
static const double EPS = 1e-10;

/* Of the input, in [-1, 1]: ImageNet's mean and deviation. */
static const double SHIFT[3] = {-.030, -.088, -.188}, SCALE[3] = {.458, .448, .450};

/* What is made of the features of one image where they are compared: themselves at unit length, or with those of the
 * other image the distance of the layer. At once, so that little is kept. */
typedef struct taps {
    const struct taps *other; /* NULL: none yet */
    rmp_step_value value[RMP_LPIPS_MAX_LAYERS];
    int count;
} taps;

static rmp_status convolve(const rmp_walk *walk, rmp_step_value *x, int slice, int index, rmp_walk_conv conv)
{
    char name[MAX_NAME];
    snprintf(name, sizeof name, "net.slice%d.%d", slice, index);
    return rmp_walk_convolve(walk, *x, name, &conv, x);
}

/* Weighted means of the squared differences of two values with unit channels. */
static rmp_status compare(const rmp_walk *walk, int layer, rmp_value a, rmp_value b, rmp_value *out)
{
    char name[MAX_NAME];
    snprintf(name, sizeof name, "lin%d.model.1.weight", layer);
    const rmp_conv2d linear = {.weight = rmp_weights_find(walk->weights, name), .stride = 1, .groups = 1};
    rmp_value y;
    RMP_TRY(rmp_graph_add(walk->graph, 1, a, -1, b, &y));
    RMP_TRY(rmp_graph_square(walk->graph, y, &y));
    RMP_TRY(rmp_graph_conv2d(walk->graph, y, &linear, &y));
    return rmp_walk_average(walk->graph, y, out);
}

static rmp_status tap(const rmp_walk *walk, taps *t, rmp_step_value x)
{
    const int layer = t->count++;
    t->value[layer] = x;
    if (walk->list) return RMP_OK;
    rmp_value *value = &t->value[layer].value;
    RMP_TRY(rmp_graph_unit_channels(walk->graph, x.value, EPS, value));
    return t->other ? compare(walk, layer, t->other->value[layer].value, *value, value) : RMP_OK;
}

/* torchvision's alexnet().features up to 11. */
static rmp_status alexnet(const rmp_walk *walk, rmp_step_value x, taps *t)
{
    static const rmp_max_pool pool = {3, 2, 0, false};
    static const struct {
        int index;
        bool pool; /* before it */
        rmp_walk_conv conv;
    } layers[] = {{0, false, {64, 11, 11, 4, 2, 2, false}},
                  {3, true, {192, 5, 5, 1, 2, 2, false}},
                  {6, true, {384, 3, 3, 1, 1, 1, false}},
                  {8, false, {256, 3, 3, 1, 1, 1, false}},
                  {10, false, {256, 3, 3, 1, 1, 1, false}}};
    for (int i = 0; i < (int)(sizeof layers / sizeof *layers); i++) {
        if (layers[i].pool) RMP_TRY(rmp_walk_max_pool(walk, x, &pool, &x));
        RMP_TRY(convolve(walk, &x, i + 1, layers[i].index, layers[i].conv));
        RMP_TRY(tap(walk, t, x));
    }
    return RMP_OK;
}

/* vgg16().features up to 29: convolutions and rectifiers count as two layers, pooling as one. */
static rmp_status vgg16(const rmp_walk *walk, rmp_step_value x, taps *t)
{
    static const rmp_max_pool pool = {2, 2, 0, false};
    static const struct {
        int convolutions;
        int64_t channels;
    } blocks[] = {{2, 64}, {2, 128}, {3, 256}, {3, 512}, {3, 512}};
    int index = 0;
    for (int i = 0; i < (int)(sizeof blocks / sizeof *blocks); i++) {
        if (i > 0) RMP_TRY(rmp_walk_max_pool(walk, x, &pool, &x));
        index += i > 0;
        for (int k = 0; k < blocks[i].convolutions; k++, index += 2)
            RMP_TRY(convolve(walk, &x, i + 1, index, (rmp_walk_conv){blocks[i].channels, 3, 3, 1, 1, 1, false}));
        RMP_TRY(tap(walk, t, x));
    }
    return RMP_OK;
}

/* squeezenet1_1().features up to 12. */
static rmp_status squeezenet(const rmp_walk *walk, rmp_step_value x, taps *t)
{
    static const rmp_max_pool pool = {3, 2, 0, true};
    static const struct {
        int slice, index;
        bool pool, tap; /* pool: before it; tap: after it */
        int64_t squeeze, expand;
    } fires[] = {{2, 3, true, false, 16, 64},   {2, 4, false, true, 16, 64},  {3, 6, true, false, 32, 128},
                 {3, 7, false, true, 32, 128},  {4, 9, true, true, 48, 192},  {5, 10, false, true, 48, 192},
                 {6, 11, false, true, 64, 256}, {7, 12, false, true, 64, 256}};
    RMP_TRY(convolve(walk, &x, 1, 0, (rmp_walk_conv){64, 3, 3, 2, 0, 0, false}));
    RMP_TRY(tap(walk, t, x));
    for (int i = 0; i < (int)(sizeof fires / sizeof *fires); i++) {
        char name[MAX_NAME];
        rmp_step_value squeezed, part[2];
        const int64_t expand = fires[i].expand;
        if (fires[i].pool) RMP_TRY(rmp_walk_max_pool(walk, x, &pool, &x));
        snprintf(name, sizeof name, "net.slice%d.%d.squeeze", fires[i].slice, fires[i].index);
        RMP_TRY(rmp_walk_convolve(walk, x, name, &(rmp_walk_conv){fires[i].squeeze, 1, 1, 1, 0, 0, false}, &squeezed));
        snprintf(name, sizeof name, "net.slice%d.%d.expand1x1", fires[i].slice, fires[i].index);
        RMP_TRY(rmp_walk_convolve(walk, squeezed, name, &(rmp_walk_conv){expand, 1, 1, 1, 0, 0, false}, &part[0]));
        snprintf(name, sizeof name, "net.slice%d.%d.expand3x3", fires[i].slice, fires[i].index);
        RMP_TRY(rmp_walk_convolve(walk, squeezed, name, &(rmp_walk_conv){expand, 3, 3, 1, 1, 1, false}, &part[1]));
        RMP_TRY(rmp_walk_concat(walk, 2, part, &x));
        if (fires[i].tap) RMP_TRY(tap(walk, t, x));
    }
    return RMP_OK;
}

static rmp_status features(rmp_perceptual_kind kind, const rmp_walk *walk, rmp_value x, taps *t)
{
    const rmp_step_value in = {x, 3};
    if (kind == RMP_PERCEPTUAL_ALEX) return alexnet(walk, in, t);
    return kind == RMP_PERCEPTUAL_VGG ? vgg16(walk, in, t) : squeezenet(walk, in, t);
}

rmp_status rmp_lpips_list(rmp_perceptual_kind kind, rmp_weights *list)
{
    const rmp_walk walk = {.list = list};
    taps t = {.other = NULL};
    RMP_TRY(features(kind, &walk, RMP_NONE, &t));
    for (int i = 0; i < t.count; i++) {
        char name[MAX_NAME];
        const rmp_tensor linear = {.dtype = RMP_F32, .rank = 4, .dims = {1, t.value[i].channels, 1, 1}};
        snprintf(name, sizeof name, "lin%d.model.1.weight", i);
        RMP_TRY(rmp_weights_add(list, name, &linear));
    }
    return RMP_OK;
}

rmp_status rmp_lpips_layers(const rmp_weights *file, rmp_weights *layers)
{
    const rmp_tensor *shift = rmp_weights_find(file, "scaling_layer.shift");
    const rmp_tensor *scale = rmp_weights_find(file, "scaling_layer.scale");
    for (int64_t i = 0; i < rmp_weights_count(file); i++)
        RMP_TRY(rmp_weights_add(layers, rmp_weights_name(file, i), rmp_weights_tensor(file, i)));
    float *values = malloc(6 * sizeof *values);
    RMP_CHECK(values, RMP_ERR_MEMORY, "no memory for a scaling layer");
    const rmp_status status = rmp_weights_adopt(layers, values, free);
    if (status != RMP_OK) {
        free(values);
        return status;
    }
    for (int c = 0; c < 3; c++) {
        const double by = scale ? rmp_tensor_at(scale, c) : SCALE[c], less = shift ? rmp_tensor_at(shift, c) : SHIFT[c];
        RMP_CHECK(by > 0, RMP_ERR_FORMAT, "tensor 'scaling_layer.scale' has %g", by);
        values[c] = (float)(1 / by);
        values[3 + c] = (float)(-less / by);
    }
    const rmp_tensor weight = {.dtype = RMP_F32, .rank = 4, .dims = {3, 1, 1, 1}, .data = values};
    const rmp_tensor bias = {.dtype = RMP_F32, .rank = 1, .dims = {3}, .data = values + 3};
    RMP_TRY(rmp_weights_add(layers, "scaling.weight", &weight));
    return rmp_weights_add(layers, "scaling.bias", &bias);
}

/* One image. */
static rmp_status side(rmp_perceptual_kind kind, const rmp_walk *walk, int64_t h, int64_t w, taps *t)
{
    const rmp_conv2d scaling = {.weight = rmp_weights_find(walk->weights, "scaling.weight"),
                                .bias = rmp_weights_find(walk->weights, "scaling.bias"),
                                .stride = 1,
                                .groups = 3};
    rmp_value x;
    RMP_TRY(rmp_graph_input(walk->graph, (rmp_shape){h, w, 3}, &x));
    RMP_TRY(rmp_graph_conv2d(walk->graph, x, &scaling, &x));
    return features(kind, walk, x, t);
}

rmp_status rmp_lpips_graph(rmp_perceptual_kind kind, const rmp_weights *layers, int64_t h, int64_t w, rmp_graph *graph)
{
    const rmp_walk walk = {.graph = graph, .weights = layers};
    taps a = {.other = NULL}, b = {.other = &a};
    rmp_value part[RMP_LPIPS_MAX_LAYERS], all;
    RMP_TRY(side(kind, &walk, h, w, &a));
    RMP_TRY(side(kind, &walk, h, w, &b));
    for (int i = 0; i < b.count; i++)
        part[i] = b.value[i].value;
    RMP_TRY(rmp_graph_concat(graph, b.count, part, &all));
    return rmp_graph_output(graph, all);
}
