#include "io/file.h"
#include "io/safetensors.h"
#include "jobs/model.h"

#include <stdlib.h>
#include <string.h>

enum { SCORED_CHANNELS = 3 }; /* of a network's output: what v multiplies */

typedef struct runner { /* one compiled graph with its buffers, for one sample at a time */
    rmp_plan *plan;
    rmp_buffer *input[2];
    rmp_buffer *output, *cotangent, *gradient;
    int inputs;
} runner;

typedef struct evaluation {
    const rmp_net *net;
    int64_t n, c, h, w;
    const rmp_tensor *x, *t, *v;                /* borrowed from the input file; v may be NULL */
    rmp_graph *network, *emb_graph;             /* emb_graph: NULL if the embedding has no such value */
    runner embed, emb, body;                    /* conditioning vector, MLP output, network */
    float *features, *embedding, *y, *g;        /* whole results, N samples; NCHW */
    float *sample_in, *sample_out, *sample_cot; /* one sample; NHWC */
} evaluation;

static void runner_destroy(runner *r)
{
    rmp_plan_destroy(&r->plan);
    for (int i = 0; i < r->inputs; i++)
        rmp_buffer_destroy(&r->input[i]);
    rmp_buffer_destroy(&r->output);
    rmp_buffer_destroy(&r->cotangent);
    rmp_buffer_destroy(&r->gradient);
}

static rmp_status runner_create(rmp_device *device, const rmp_graph *graph, rmp_precision precision, bool vjp,
                                runner *r)
{
    rmp_plan_options options = {.batch = 1, .precision = precision, .vjp = vjp};
    RMP_TRY(rmp_plan_create(device, graph, &options, &r->plan));
    for (; r->inputs < rmp_graph_inputs(graph); r->inputs++) {
        rmp_shape shape = rmp_graph_shape(graph, rmp_graph_input_value(graph, r->inputs));
        RMP_TRY(rmp_buffer_create(device, rmp_shape_count(shape), &r->input[r->inputs]));
    }
    int64_t results = rmp_shape_count(rmp_graph_shape(graph, rmp_graph_result(graph)));
    RMP_TRY(rmp_buffer_create(device, results, &r->output));
    if (!vjp) return RMP_OK;
    RMP_TRY(rmp_buffer_create(device, results, &r->cotangent));
    return rmp_buffer_create(device, r->input[0]->floats, &r->gradient);
}

static rmp_status runner_forward(runner *r)
{
    return rmp_plan_forward(r->plan, r->inputs, (const rmp_buffer *const *)r->input, r->output);
}

/* The part of the embedding up to the value that the originals call emb, as a graph of its own. *out is NULL if other
 * operations than those of a time MLP lead there. */
static rmp_status emb_prefix(const rmp_net *net, rmp_graph **out)
{
    rmp_graph *g = NULL;
    rmp_status status = RMP_OK;
    *out = NULL;
    if (net->embed_emb == RMP_NONE) return RMP_OK;
    rmp_value *map = calloc((size_t)net->embed_emb + 1, sizeof *map);
    RMP_CHECK(map != NULL, RMP_ERR_MEMORY, "no memory for the embedding");
    RMP_TRY_GOTO(rmp_graph_create(&g), done);
    for (rmp_value i = 0; i <= net->embed_emb; i++) {
        const rmp_node *node = rmp_graph_node(net->embed, i);
        if (node->op == RMP_OP_INPUT) {
            RMP_TRY_GOTO(rmp_graph_input(g, node->shape, &map[i]), done);
        } else if (node->op == RMP_OP_LINEAR) {
            RMP_TRY_GOTO(
                rmp_graph_linear(g, map[node->operand[0]], node->as.linear.weight, node->as.linear.bias, &map[i]),
                done);
        } else if (node->op == RMP_OP_SILU) {
            RMP_TRY_GOTO(rmp_graph_silu(g, map[node->operand[0]], &map[i]), done);
        } else {
            goto done;
        }
    }
    RMP_TRY_GOTO(rmp_graph_output(g, map[net->embed_emb]), done);
    *out = g;
    g = NULL;
done:
    rmp_graph_destroy(&g);
    free(map);
    return status;
}

static rmp_status check_image_tensor(const char *file, const char *name, const rmp_tensor *t, int64_t n, int64_t c,
                                     int64_t h, int64_t w)
{
    char shape[128];
    RMP_CHECK(t->rank == 4 && t->dims[0] == n && t->dims[1] == c && t->dims[2] == h && t->dims[3] == w, RMP_ERR_FORMAT,
              "%s: %s has shape %s, not (%lld, %lld, %lld, %lld)", file, name,
              rmp_tensor_shape_text(t, shape, sizeof shape), (long long)n, (long long)c, (long long)h, (long long)w);
    return RMP_OK;
}

static rmp_status find_tensors(const char *file, const rmp_weights *in, const rmp_net *net, evaluation *e)
{
    char shape[128];
    e->net = net;
    e->x = rmp_weights_find(in, "x");
    RMP_CHECK(e->x != NULL, RMP_ERR_FORMAT, "%s: holds no tensor x (N, C, H, W)", file);
    RMP_CHECK(e->x->rank == 4 && e->x->dims[0] >= 1, RMP_ERR_FORMAT, "%s: x has shape %s, not (N, C, H, W)", file,
              rmp_tensor_shape_text(e->x, shape, sizeof shape));
    e->n = e->x->dims[0];
    e->c = e->x->dims[1];
    e->h = e->x->dims[2];
    e->w = e->x->dims[3];
    RMP_CHECK(e->c == net->in_channels, RMP_ERR_FORMAT, "%s: x has %lld channels, the network takes %lld", file,
              (long long)e->c, (long long)net->in_channels);
    RMP_CHECK(e->h > 0 && e->w > 0 && e->h % net->multiple == 0 && e->w % net->multiple == 0, RMP_ERR_FORMAT,
              "%s: x is %lld x %lld; height and width must be multiples of %lld for this network", file,
              (long long)e->h, (long long)e->w, (long long)net->multiple);
    e->t = rmp_weights_find(in, "t");
    const rmp_tensor *sigma = rmp_weights_find(in, "sigma");
    RMP_CHECK((e->t != NULL) != (sigma != NULL), RMP_ERR_FORMAT,
              "%s: must hold either t or sigma (N), the time argument as the network's original takes it", file);
    if (e->t == NULL) e->t = sigma;
    RMP_CHECK(e->t->rank == 1 && e->t->dims[0] == e->n, RMP_ERR_FORMAT, "%s: %s has shape %s, not (%lld)", file,
              sigma != NULL ? "sigma" : "t", rmp_tensor_shape_text(e->t, shape, sizeof shape), (long long)e->n);
    e->v = rmp_weights_find(in, "v");
    if (e->v == NULL) return RMP_OK;
    RMP_CHECK(net->out_channels >= SCORED_CHANNELS, RMP_ERR_FORMAT, "%s: v needs a network of 3 output channels", file);
    return check_image_tensor(file, "v", e->v, e->n, SCORED_CHANNELS, e->h, e->w);
}

static rmp_status allocate(evaluation *e)
{
    size_t n = (size_t)e->n, pixels = (size_t)(e->h * e->w);
    size_t in = pixels * (size_t)e->c, out = pixels * (size_t)e->net->out_channels;
    e->features = calloc(n * (size_t)e->net->features, sizeof(float));
    e->y = calloc(n * out, sizeof(float));
    e->g = calloc(n * in, sizeof(float));
    e->sample_in = calloc(in, sizeof(float));
    e->sample_out = calloc(out, sizeof(float));
    e->sample_cot = calloc(out, sizeof(float));
    if (e->emb_graph != NULL) e->embedding = calloc(n * (size_t)e->emb.output->floats, sizeof(float));
    bool good = e->features && e->y && e->g && e->sample_in && e->sample_out && e->sample_cot &&
                (e->emb_graph == NULL || e->embedding);
    RMP_CHECK(good, RMP_ERR_MEMORY, "no memory for %lld samples", (long long)e->n);
    return RMP_OK;
}

static void to_nhwc(const float *chw, int64_t c, int64_t stride, int64_t pixels, float *hwc)
{
    for (int64_t k = 0; k < c; k++) {
        for (int64_t p = 0; p < pixels; p++)
            hwc[p * stride + k] = chw[k * pixels + p];
    }
}

static void to_nchw(const float *hwc, int64_t c, int64_t pixels, float *chw)
{
    for (int64_t k = 0; k < c; k++) {
        for (int64_t p = 0; p < pixels; p++)
            chw[k * pixels + p] = hwc[p * c + k];
    }
}

static void scale_by(float scale, int64_t count, float *values)
{
    for (int64_t i = 0; i < count; i++)
        values[i] *= scale;
}

static rmp_status run_sample(evaluation *e, int64_t i, float *scratch)
{
    const rmp_net *net = e->net;
    int64_t pixels = e->h * e->w, in = pixels * e->c, out = pixels * net->out_channels;
    const double time = rmp_tensor_at(e->t, i);
    const float scale = (float)rmp_net_output_scale(net, time);
    float *features = e->features + i * net->features;
    net->ops->time_features(net, time, features);
    RMP_TRY(rmp_buffer_upload(e->embed.input[0], 0, net->features, features));
    RMP_TRY(runner_forward(&e->embed));
    if (e->emb_graph != NULL) {
        int64_t length = e->emb.output->floats;
        RMP_TRY(rmp_buffer_upload(e->emb.input[0], 0, net->features, features));
        RMP_TRY(runner_forward(&e->emb));
        RMP_TRY(rmp_buffer_download(e->emb.output, 0, length, e->embedding + i * length));
    }
    rmp_tensor_read_f32(e->x, i * in, in, scratch);
    to_nhwc(scratch, e->c, e->c, pixels, e->sample_in);
    RMP_TRY(rmp_buffer_upload(e->body.input[0], 0, in, e->sample_in));
    const rmp_buffer *inputs[2] = {e->body.input[0], e->embed.output};
    RMP_TRY(rmp_plan_forward(e->body.plan, e->body.inputs, inputs, e->body.output));
    RMP_TRY(rmp_buffer_download(e->body.output, 0, out, e->sample_out));
    to_nchw(e->sample_out, net->out_channels, pixels, e->y + i * out);
    scale_by(scale, out, e->y + i * out);
    if (e->v == NULL) return RMP_OK;
    rmp_tensor_read_f32(e->v, i * SCORED_CHANNELS * pixels, SCORED_CHANNELS * pixels, scratch);
    to_nhwc(scratch, SCORED_CHANNELS, net->out_channels, pixels, e->sample_cot);
    RMP_TRY(rmp_buffer_upload(e->body.cotangent, 0, out, e->sample_cot));
    RMP_TRY(rmp_plan_vjp(e->body.plan, e->body.cotangent, e->body.gradient));
    RMP_TRY(rmp_buffer_download(e->body.gradient, 0, in, e->sample_in));
    to_nchw(e->sample_in, e->c, pixels, e->g + i * in);
    scale_by(scale, in, e->g + i * in);
    return RMP_OK;
}

static rmp_status write_results(const evaluation *e, const char *output)
{
    rmp_weights *set = NULL;
    char *folder = NULL;
    rmp_status status;
    const char *slash = strrchr(output, '/');
    RMP_TRY_GOTO(rmp_weights_create(&set), done);
    const rmp_tensor features = {RMP_F32, 2, {e->n, e->net->features}, e->features};
    const rmp_tensor y = {RMP_F32, 4, {e->n, e->net->out_channels, e->h, e->w}, e->y};
    const rmp_tensor g = {RMP_F32, 4, {e->n, e->c, e->h, e->w}, e->g};
    RMP_TRY_GOTO(rmp_weights_add(set, "emb_in", &features), done);
    if (e->emb_graph != NULL) {
        const rmp_tensor emb = {RMP_F32, 2, {e->n, e->emb.output->floats}, e->embedding};
        RMP_TRY_GOTO(rmp_weights_add(set, "emb", &emb), done);
    }
    RMP_TRY_GOTO(rmp_weights_add(set, "y", &y), done);
    if (e->v != NULL) RMP_TRY_GOTO(rmp_weights_add(set, "g", &g), done);
    RMP_TRY_GOTO(rmp_path_folder(output, &folder), done);
    status = rmp_safetensors_write(folder, slash != NULL ? slash + 1 : output, set, NULL, NULL);
done:
    free(folder);
    rmp_weights_destroy(&set);
    return status;
}

static rmp_status evaluate(evaluation *e, rmp_device *device, rmp_precision precision)
{
    RMP_TRY(rmp_net_build(e->net, e->h, e->w, 0, &e->network));
    RMP_TRY(emb_prefix(e->net, &e->emb_graph));
    RMP_TRY(runner_create(device, e->net->embed, RMP_PRECISION_FP32, false, &e->embed));
    if (e->emb_graph != NULL) {
        RMP_TRY(runner_create(device, e->emb_graph, RMP_PRECISION_FP32, false, &e->emb));
    }
    RMP_TRY(runner_create(device, e->network, precision, e->v != NULL, &e->body));
    RMP_TRY(allocate(e));
    int64_t larger = e->c > SCORED_CHANNELS ? e->c : SCORED_CHANNELS;
    float *scratch = calloc((size_t)(larger * e->h * e->w), sizeof *scratch);
    RMP_CHECK(scratch != NULL, RMP_ERR_MEMORY, "no memory for a sample");
    rmp_status status = RMP_OK;
    for (int64_t i = 0; status == RMP_OK && i < e->n; i++) {
        status = run_sample(e, i, scratch);
        if (status != RMP_OK) status = rmp_fail_context(status, "sample %lld", (long long)i);
    }
    free(scratch);
    return status;
}

rmp_status rmp_model_evaluate(const rmp_model *model, rmp_device *device, rmp_precision precision, const char *input,
                              const char *output)
{
    evaluation e;
    rmp_weights *in = NULL;
    memset(&e, 0, sizeof e);
    RMP_TRY(rmp_safetensors_open(input, NULL, NULL, &in));
    rmp_status status = find_tensors(input, in, model->net, &e);
    if (status == RMP_OK) status = evaluate(&e, device, precision);
    if (status == RMP_OK) status = write_results(&e, output);
    runner_destroy(&e.body);
    runner_destroy(&e.emb);
    runner_destroy(&e.embed);
    rmp_graph_destroy(&e.emb_graph);
    rmp_graph_destroy(&e.network);
    rmp_weights_destroy(&in);
    free(e.features);
    free(e.embedding);
    free(e.y);
    free(e.g);
    free(e.sample_in);
    free(e.sample_out);
    free(e.sample_cot);
    return status;
}
