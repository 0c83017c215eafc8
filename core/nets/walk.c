#include "core/nets/walk.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAME = 64, MAX_FULL = 128 }; /* of a convolution; with what its tensors add */

static rmp_status list_tensor(rmp_weights *list, const char *name, const char *suffix, int rank, const int64_t dims[])
{
    char full[MAX_FULL];
    rmp_tensor t = {.dtype = RMP_F32, .rank = rank};
    memcpy(t.dims, dims, (size_t)rank * sizeof *dims);
    snprintf(full, sizeof full, "%s%s", name, suffix);
    return rmp_weights_add(list, full, &t);
}

static rmp_status list_conv(rmp_weights *list, int64_t in, const char *name, const rmp_walk_conv *c)
{
    static const char *const norm[] = {".bn.weight", ".bn.bias", ".bn.running_mean", ".bn.running_var"};
    const int64_t dims[] = {c->out, in, c->kh, c->kw};
    RMP_TRY(list_tensor(list, name, c->norm ? ".conv.weight" : ".weight", 4, dims));
    if (!c->norm) return list_tensor(list, name, ".bias", 1, dims);
    for (size_t i = 0; i < sizeof norm / sizeof *norm; i++)
        RMP_TRY(list_tensor(list, name, norm[i], 1, dims));
    return RMP_OK;
}

static rmp_status take(const rmp_weights *weights, const char *name, const char *suffix, const rmp_tensor **out)
{
    char full[MAX_FULL];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    *out = rmp_weights_find(weights, full);
    RMP_CHECK(*out, RMP_ERR_ARGUMENT, "a network without tensor '%s'", full);
    return RMP_OK;
}

rmp_status rmp_walk_convolve(const rmp_walk *walk, rmp_step_value x, const char *name, const rmp_walk_conv *c,
                             rmp_step_value *out)
{
    if (walk->list) RMP_TRY(list_conv(walk->list, x.channels, name, c));
    *out = (rmp_step_value){RMP_NONE, c->out};
    if (walk->list) return RMP_OK;
    rmp_conv2d conv = {.stride = c->stride,
                       .pad_top = c->pad_h,
                       .pad_left = c->pad_w,
                       .pad_bottom = c->pad_h,
                       .pad_right = c->pad_w,
                       .groups = 1};
    rmp_value y;
    RMP_TRY(take(walk->weights, name, ".weight", &conv.weight));
    RMP_TRY(take(walk->weights, name, ".bias", &conv.bias));
    RMP_TRY(rmp_graph_conv2d(walk->graph, x.value, &conv, &y));
    return rmp_graph_leaky_relu(walk->graph, y, 0, &out->value);
}

rmp_status rmp_walk_max_pool(const rmp_walk *walk, rmp_step_value x, const rmp_max_pool *pool, rmp_step_value *out)
{
    *out = x;
    return walk->list ? RMP_OK : rmp_graph_max_pool(walk->graph, x.value, pool, &out->value);
}

rmp_status rmp_walk_mean(const rmp_walk *walk, rmp_step_value x, rmp_step_value *out)
{
    *out = x;
    if (walk->list) return RMP_OK;
    rmp_taps *h = NULL, *w = NULL;
    rmp_status status;
    const rmp_shape shape = rmp_graph_shape(walk->graph, x.value);
    RMP_TRY_GOTO(rmp_taps_mean(shape.h, 3, &h), done);
    RMP_TRY_GOTO(rmp_taps_mean(shape.w, 3, &w), done);
    status = rmp_graph_resample(walk->graph, x.value, h, w, &out->value);
done:
    rmp_taps_destroy(&h);
    rmp_taps_destroy(&w);
    return status;
}

rmp_status rmp_walk_concat(const rmp_walk *walk, int parts, const rmp_step_value part[], rmp_step_value *out)
{
    enum { MOST = 8 };
    rmp_value value[MOST];
    RMP_CHECK(parts <= MOST, RMP_ERR_ARGUMENT, "a concatenation of %d parts", parts);
    *out = (rmp_step_value){RMP_NONE, 0};
    for (int i = 0; i < parts; i++) {
        value[i] = part[i].value;
        out->channels += part[i].channels;
    }
    return walk->list ? RMP_OK : rmp_graph_concat(walk->graph, parts, value, &out->value);
}

rmp_status rmp_walk_average(rmp_graph *graph, rmp_value x, rmp_value *out)
{
    rmp_taps *h = NULL, *w = NULL;
    rmp_status status;
    const rmp_shape shape = rmp_graph_shape(graph, x);
    RMP_TRY_GOTO(rmp_taps_mean_all(shape.h, &h), done);
    RMP_TRY_GOTO(rmp_taps_mean_all(shape.w, &w), done);
    status = rmp_graph_resample(graph, x, h, w, out);
done:
    rmp_taps_destroy(&h);
    rmp_taps_destroy(&w);
    return status;
}

/* A float tensor owned by the set, to be filled. */
static rmp_status add_made(rmp_weights *set, const char *name, const char *suffix, const rmp_tensor *shape,
                           float **values)
{
    char full[MAX_FULL];
    rmp_tensor t = *shape;
    *values = malloc((size_t)rmp_tensor_count(shape) * sizeof **values);
    RMP_CHECK(*values, RMP_ERR_MEMORY, "no memory for the weights of %s", name);
    const rmp_status status = rmp_weights_adopt(set, *values, free);
    if (status != RMP_OK) {
        free(*values);
        return status;
    }
    t.dtype = RMP_F32;
    t.data = *values;
    snprintf(full, sizeof full, "%s%s", name, suffix);
    return rmp_weights_add(set, full, &t);
}

static rmp_status fold(const rmp_weights *weights, const char *name, const rmp_tensor *weight, rmp_weights *folded)
{
    const rmp_tensor *gain, *bias, *mean, *variance;
    float *w, *b;
    RMP_TRY(take(weights, name, ".bn.weight", &gain));
    RMP_TRY(take(weights, name, ".bn.bias", &bias));
    RMP_TRY(take(weights, name, ".bn.running_mean", &mean));
    RMP_TRY(take(weights, name, ".bn.running_var", &variance));
    RMP_TRY(add_made(folded, name, ".weight", weight, &w));
    RMP_TRY(add_made(folded, name, ".bias", bias, &b));
    const int64_t channels = weight->dims[0], row = rmp_tensor_count(weight) / channels;
    for (int64_t o = 0; o < channels; o++) {
        const double v = rmp_tensor_at(variance, o);
        RMP_CHECK(v >= 0, RMP_ERR_FORMAT, "tensor '%s.bn.running_var' has a variance of %g", name, v);
        const double scale = rmp_tensor_at(gain, o) / sqrt(v + RMP_WALK_EPS);
        b[o] = (float)(rmp_tensor_at(bias, o) - rmp_tensor_at(mean, o) * scale);
        for (int64_t i = o * row; i < (o + 1) * row; i++)
            w[i] = (float)(rmp_tensor_at(weight, i) * scale);
    }
    return RMP_OK;
}

rmp_status rmp_walk_fold(const rmp_weights *weights, rmp_weights *folded)
{
    static const char suffix[] = ".conv.weight";
    for (int64_t i = 0; i < rmp_weights_count(weights); i++) {
        const char *full = rmp_weights_name(weights, i);
        char name[MAX_NAME];
        const size_t length = strlen(full), tail = strlen(suffix);
        if (length <= tail || length >= sizeof name || strcmp(full + length - tail, suffix) != 0) continue;
        memcpy(name, full, length - tail);
        name[length - tail] = '\0';
        RMP_TRY(fold(weights, name, rmp_weights_tensor(weights, i), folded));
    }
    return RMP_OK;
}
