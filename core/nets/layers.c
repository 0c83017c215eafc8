#include "core/nets/layers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void rmp_layers_clear(rmp_layers *layers)
{
    rmp_weights_destroy(&layers->made);
    free(layers->embed);
    *layers = (rmp_layers){.weights = NULL};
}

rmp_status rmp_layers_tensor(rmp_layers *layers, const char *prefix, const char *suffix, int rank, const int64_t dims[],
                             const rmp_tensor **out)
{
    char name[192];
    snprintf(name, sizeof name, "%s%s", prefix, suffix);
    *out = NULL;
    if (!layers->declare) return rmp_weights_take(layers->weights, name, rank, dims, out);
    rmp_tensor tensor = {.dtype = RMP_F32, .rank = rank};
    for (int i = 0; i < rank; i++)
        tensor.dims[i] = dims[i];
    return rmp_weights_add(layers->weights, name, &tensor);
}

static rmp_status take_pair(rmp_layers *layers, const char *prefix, const char *name, const char *const suffix[2],
                            int rank, const int64_t dims[], int64_t bias, rmp_layer *out)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s", name, suffix[0]);
    RMP_TRY(rmp_layers_tensor(layers, prefix, full, rank, dims, &out->weight));
    snprintf(full, sizeof full, "%s%s", name, suffix[1]);
    return rmp_layers_tensor(layers, prefix, full, 1, &bias, &out->bias);
}

rmp_status rmp_layers_affine(rmp_layers *layers, const char *prefix, const char *name, int rank, const int64_t dims[],
                             rmp_layer *out)
{
    static const char *const suffix[2] = {".weight", ".bias"};
    return take_pair(layers, prefix, name, suffix, rank, dims, dims[0], out);
}

rmp_status rmp_layers_conv(rmp_layers *layers, const char *prefix, const char *name, int64_t out_channels,
                           int64_t in_channels, int64_t size, rmp_layer *out)
{
    return rmp_layers_affine(layers, prefix, name, 4, (int64_t[]){out_channels, in_channels, size, size}, out);
}

/* A float32 tensor of the network's own; *values is NULL if it is to have no data. */
static rmp_status make(rmp_layers *layers, int64_t rows, int64_t columns, bool data, float **values,
                       const rmp_tensor **out)
{
    typedef struct owned {
        rmp_tensor tensor;
        float values[];
    } owned;
    const rmp_tensor t = {.dtype = RMP_F32, .rank = columns > 0 ? 2 : 1, .dims = {rows, columns}};
    const size_t bytes = data ? (size_t)rmp_tensor_count(&t) * sizeof(float) : 0;
    *values = NULL;
    if (!layers->made) RMP_TRY(rmp_weights_create(&layers->made));
    owned *made = malloc(sizeof *made + bytes);
    RMP_CHECK(made, RMP_ERR_MEMORY, "out of memory for %zu bytes of weights", bytes);
    const rmp_status status = rmp_weights_adopt(layers->made, made, free);
    if (status != RMP_OK) {
        free(made);
        return status;
    }
    made->tensor = t;
    if (data) made->tensor.data = *values = made->values;
    *out = &made->tensor;
    return RMP_OK;
}

rmp_status rmp_layers_nin(rmp_layers *layers, const char *prefix, const char *name, int64_t in_channels,
                          int64_t out_channels, rmp_layer *out)
{
    static const char *const suffix[2] = {".W", ".b"};
    rmp_layer stored;
    float *values;
    *out = (rmp_layer){NULL, NULL};
    RMP_TRY(take_pair(layers, prefix, name, suffix, 2, (int64_t[]){in_channels, out_channels}, out_channels, &stored));
    if (!stored.weight || !stored.bias) return RMP_OK;
    RMP_TRY(make(layers, out_channels, in_channels, stored.weight->data != NULL, &values, &out->weight));
    for (int64_t o = 0; values && o < out_channels; o++)
        for (int64_t i = 0; i < in_channels; i++)
            values[o * in_channels + i] = (float)rmp_tensor_at(stored.weight, i * out_channels + o);
    out->bias = stored.bias;
    return RMP_OK;
}

rmp_status rmp_layers_join(rmp_layers *layers, int count, const rmp_layer part[], rmp_layer *out)
{
    int64_t rows = 0;
    bool data = true;
    float *weight, *bias;
    *out = (rmp_layer){NULL, NULL};
    for (int i = 0; i < count; i++) {
        if (!part[i].weight || !part[i].bias) return RMP_OK;
        data = data && part[i].weight->data && part[i].bias->data;
        rows += part[i].weight->dims[0];
    }
    const int64_t columns = part[0].weight->dims[1];
    RMP_TRY(make(layers, rows, columns, data, &weight, &out->weight));
    RMP_TRY(make(layers, rows, 0, data, &bias, &out->bias));
    for (int i = 0; data && i < count; i++) {
        const int64_t n = part[i].weight->dims[0];
        rmp_tensor_read_f32(part[i].weight, 0, n * columns, weight);
        rmp_tensor_read_f32(part[i].bias, 0, n, bias);
        weight += n * columns;
        bias += n;
    }
    return RMP_OK;
}

rmp_status rmp_layers_norm(rmp_layers *layers, const char *prefix, const char *name, int64_t channels, int64_t groups,
                           double eps, rmp_norm *out)
{
    RMP_CHECK(groups >= 1 && channels % groups == 0, RMP_ERR_CONFIG, "%s%s: %lld groups do not divide %lld channels",
              prefix, name, (long long)groups, (long long)channels);
    out->groups = groups;
    out->eps = eps;
    return rmp_layers_affine(layers, prefix, name, 1, &channels, &out->layer);
}

rmp_status rmp_layers_embedding(rmp_layers *layers, const char *prefix, const char *name, int64_t numbers, int64_t emb,
                                int64_t *offset)
{
    if (layers->embed_count == layers->embed_capacity) {
        const int capacity = layers->embed_capacity ? 2 * layers->embed_capacity : 64;
        rmp_layer *embed = realloc(layers->embed, (size_t)capacity * sizeof *embed);
        RMP_CHECK(embed, RMP_ERR_MEMORY, "out of memory for a network of %d blocks", capacity);
        layers->embed = embed;
        layers->embed_capacity = capacity;
    }
    *offset = layers->condition;
    layers->condition += numbers;
    rmp_layer *layer = &layers->embed[layers->embed_count++];
    return rmp_layers_affine(layers, prefix, name, 2, (int64_t[]){numbers, emb}, layer);
}

rmp_status rmp_layers_res(rmp_layers *layers, const char *prefix, const rmp_res_names *names, int64_t emb, rmp_res *res)
{
    RMP_TRY(rmp_layers_norm(layers, prefix, names->norm_in, res->in, res->groups_in, res->eps, &res->norm_in));
    RMP_TRY(rmp_layers_conv(layers, prefix, names->conv, res->out, res->in, 3, &res->conv));
    RMP_TRY(rmp_layers_embedding(layers, prefix, names->embed, (res->film ? 2 : 1) * res->out, emb, &res->offset));
    RMP_TRY(rmp_layers_norm(layers, prefix, names->norm_out, res->out, res->groups_out, res->eps, &res->norm_out));
    RMP_TRY(rmp_layers_conv(layers, prefix, names->last, res->out, res->out, 3, &res->last));
    if (!res->shortcut) return RMP_OK;
    if (names->nin) return rmp_layers_nin(layers, prefix, names->skip, res->in, res->out, &res->skip);
    return rmp_layers_conv(layers, prefix, names->skip, res->out, res->in, 1, &res->skip);
}

static rmp_status fill_embed(const rmp_layers *layers, rmp_net *net, const rmp_layer *first, const rmp_layer *second,
                             rmp_value part[])
{
    rmp_graph *g = net->embed;
    rmp_value h;
    RMP_TRY(rmp_graph_input(g, (rmp_shape){1, 1, net->features}, &h));
    RMP_TRY(rmp_graph_linear(g, h, first->weight, first->bias, &h));
    RMP_TRY(rmp_graph_silu(g, h, &h));
    RMP_TRY(rmp_graph_linear(g, h, second->weight, second->bias, &net->embed_emb));
    RMP_TRY(rmp_graph_silu(g, net->embed_emb, &h));
    for (int i = 0; i < layers->embed_count; i++)
        RMP_TRY(rmp_graph_linear(g, h, layers->embed[i].weight, layers->embed[i].bias, &part[i]));
    RMP_TRY(rmp_graph_concat(g, layers->embed_count, part, &h));
    return rmp_graph_output(g, h);
}

rmp_status rmp_layers_embed(const rmp_layers *layers, rmp_net *net, const rmp_layer *first, const rmp_layer *second)
{
    RMP_TRY(rmp_graph_create(&net->embed));
    rmp_value *part = malloc(((size_t)layers->embed_count + 1) * sizeof *part);
    RMP_CHECK(part, RMP_ERR_MEMORY, "out of memory for a network of %d blocks", layers->embed_count);
    const rmp_status status = fill_embed(layers, net, first, second, part);
    free(part);
    return status;
}

rmp_status rmp_layer_conv(rmp_graph *g, rmp_value x, const rmp_layer *layer, int64_t pad, int64_t out_channels,
                          rmp_value *out)
{
    const rmp_conv2d c = {.weight = layer->weight,
                          .bias = layer->bias,
                          .stride = 1,
                          .pad_top = pad,
                          .pad_left = pad,
                          .pad_bottom = pad,
                          .pad_right = pad,
                          .groups = 1,
                          .out_channels = out_channels};
    return rmp_graph_conv2d(g, x, &c, out);
}

rmp_status rmp_layer_stride(rmp_graph *g, rmp_value x, const rmp_layer *layer, int64_t before, int64_t after,
                            rmp_value *out)
{
    const rmp_conv2d c = {.weight = layer->weight,
                          .bias = layer->bias,
                          .stride = 2,
                          .pad_top = before,
                          .pad_left = before,
                          .pad_bottom = after,
                          .pad_right = after,
                          .groups = 1};
    return rmp_graph_conv2d(g, x, &c, out);
}

rmp_status rmp_layer_norm(rmp_graph *g, rmp_value x, const rmp_norm *norm, bool silu, rmp_value *out)
{
    const rmp_group_norm n = {.gamma = norm->layer.weight,
                              .beta = norm->layer.bias,
                              .groups = norm->groups,
                              .eps = norm->eps,
                              .film = RMP_NONE,
                              .silu = silu};
    return rmp_graph_group_norm(g, x, &n, out);
}

rmp_status rmp_layer_film(rmp_graph *g, rmp_value x, const rmp_norm *norm, rmp_value condition, int64_t offset,
                          rmp_value *out)
{
    const rmp_group_norm n = {.gamma = norm->layer.weight,
                              .beta = norm->layer.bias,
                              .groups = norm->groups,
                              .eps = norm->eps,
                              .film = condition,
                              .film_offset = offset,
                              .silu = true};
    return rmp_graph_group_norm(g, x, &n, out);
}

typedef struct filter {
    int64_t up, down, before, after;
} filter;

static rmp_status fir(rmp_graph *g, rmp_value x, const rmp_fir *kernel, const filter *f, rmp_value *out)
{
    const rmp_shape shape = rmp_graph_shape(g, x);
    const double gain = (double)f->up; /* in each direction */
    rmp_taps *rows = NULL, *columns = NULL;
    rmp_status status;
    RMP_TRY_GOTO(rmp_taps_fir(shape.h, kernel->taps, kernel->kernel, gain, f->up, f->down, f->before, f->after, &rows),
                 done);
    RMP_TRY_GOTO(
        rmp_taps_fir(shape.w, kernel->taps, kernel->kernel, gain, f->up, f->down, f->before, f->after, &columns), done);
    status = rmp_graph_resample(g, x, rows, columns, out);
done:
    rmp_taps_destroy(&rows);
    rmp_taps_destroy(&columns);
    return status;
}

rmp_status rmp_layer_resample(rmp_graph *g, rmp_value x, rmp_resampling resampling, const rmp_fir *kernel,
                              rmp_value *out)
{
    const bool nearest = !kernel || kernel->taps == 0;
    const int64_t more = nearest ? 0 : kernel->taps - 2; /* than a kernel of 2 taps needs */
    switch (resampling) {
    case RMP_HALVE:
        if (nearest) return rmp_graph_avg_pool(g, x, 2, out);
        return fir(g, x, kernel, &(filter){1, 2, (more + 1) / 2, more / 2}, out);
    case RMP_DOUBLE:
        if (nearest) return rmp_graph_upsample(g, x, 2, out);
        return fir(g, x, kernel, &(filter){2, 1, (more + 1) / 2 + 1, more / 2}, out);
    case RMP_SAME_SIZE:
        break;
    }
    *out = x;
    return RMP_OK;
}

rmp_status rmp_layer_filter(rmp_graph *g, rmp_value x, const rmp_fir *kernel, rmp_value *out)
{
    const int64_t more = kernel->taps; /* taps - 2, and 2 for the convolution */
    return fir(g, x, kernel, &(filter){1, 1, (more + 1) / 2, more / 2}, out);
}

/* The skip comes before the last convolution, so that a device can add the one to the other as it is made. */
rmp_status rmp_layer_res(rmp_graph *g, rmp_value x, const rmp_res *res, rmp_value condition, rmp_value *out)
{
    rmp_value h;
    RMP_TRY(rmp_layer_norm(g, x, &res->norm_in, true, &h));
    RMP_TRY(rmp_layer_resample(g, h, res->resampling, res->fir, &h));
    RMP_TRY(rmp_layer_resample(g, x, res->resampling, res->fir, &x));
    RMP_TRY(rmp_layer_conv(g, h, &res->conv, 1, 0, &h));
    if (res->film) {
        RMP_TRY(rmp_layer_film(g, h, &res->norm_out, condition, res->offset, &h));
    } else {
        RMP_TRY(rmp_graph_channel_bias(g, h, condition, res->offset, &h));
        RMP_TRY(rmp_layer_norm(g, h, &res->norm_out, true, &h));
    }
    if (res->shortcut) RMP_TRY(rmp_layer_conv(g, x, &res->skip, 0, 0, &x));
    RMP_TRY(rmp_layer_conv(g, h, &res->last, 1, 0, &h));
    return rmp_graph_add(g, res->scale, h, res->scale, x, out);
}

rmp_status rmp_layer_attend(rmp_graph *g, rmp_value x, const rmp_attend *attend, rmp_value *out)
{
    rmp_value h = x;
    if (attend->norm.groups > 0) RMP_TRY(rmp_layer_norm(g, x, &attend->norm, false, &h));
    RMP_TRY(rmp_layer_conv(g, h, &attend->qkv, 0, 0, &h));
    RMP_TRY(rmp_graph_attention(g, h, attend->heads, RMP_QKV_BLOCKS, &h));
    RMP_TRY(rmp_layer_conv(g, h, &attend->project, 0, 0, &h));
    return rmp_graph_add(g, attend->scale, h, attend->scale, x, out);
}

void rmp_time_positional(double t, int64_t count, double shift, bool cos_first, float *features)
{
    const int64_t half = count / 2;
    float *sines = cos_first ? features + half : features, *cosines = cos_first ? features : features + half;
    for (int64_t i = 0; i < half; i++) {
        const double angle = t * exp(-log(10000.0) * (double)i / ((double)half - shift));
        sines[i] = (float)sin(angle);
        cosines[i] = (float)cos(angle);
    }
    if (count % 2) features[count - 1] = 0;
}

void rmp_time_fourier(double sigma, const rmp_tensor *frequencies, float *features)
{
    const double two_pi = 6.283185307179586477;
    const int64_t count = rmp_tensor_count(frequencies);
    for (int64_t i = 0; i < count; i++) {
        const double angle = two_pi * rmp_tensor_at(frequencies, i) * log(sigma);
        features[i] = (float)sin(angle);
        features[count + i] = (float)cos(angle);
    }
}
