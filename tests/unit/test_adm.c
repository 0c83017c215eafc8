/* The guided-diffusion network against the outputs and gradients of the original. */
#include "core/nets/adm.h"
#include "gpu/devices.h"
#include "io/model.h"
#include "io/safetensors.h"
#include "tests/unit/fixture.h"

#include <criterion/criterion.h>
#include <math.h>

static const char *const fixtures[] = {"adm_tiny_base", "adm_tiny_conv", "adm_tiny_pool", "adm_tiny_heads",
                                       "adm_tiny_noss", "adm_tiny_rect", "adm_tiny_eps"};
enum { FIXTURES = (int)(sizeof fixtures / sizeof *fixtures) };

/* The originals' own float32 error is at most 9e-6; another order of summation and another exp add as much. Known
 * mistakes are above 1e-3 (the epsilon of norms in adm_tiny_eps: 0.15). bf16 keeps 8 bits: 2^-9 of each operand of some
 * thirty convolutions in a row. */
static const double fp32_tolerance = 1e-4, bf16_tolerance = 2e-2;

static rmp_status reference(rmp_device **out) { return rmp_reference_create(out); }

static rmp_status host(rmp_device **out) { return rmp_host_create(2, 0, out); }

typedef struct tested_device {
    const char *name;
    rmp_status (*create)(rmp_device **out);
    rmp_precision precision;
} tested_device;

static const tested_device devices[] = {{"reference", reference, RMP_PRECISION_FP32},
                                        {"cpu", host, RMP_PRECISION_FP32},
                                        {"cpu in bf16", host, RMP_PRECISION_BF16}};
enum { DEVICES = (int)(sizeof devices / sizeof *devices) };

static double tolerance_of(const tested_device *tested)
{
    return tested->precision == RMP_PRECISION_FP32 ? fp32_tolerance : bf16_tolerance;
}

/* Elsewhere oneDNN may refuse bf16. */
static bool runs_here(const tested_device *tested)
{
#if defined(__x86_64__)
    if (tested->precision == RMP_PRECISION_BF16) return __builtin_cpu_supports("avx512bf16");
    return true;
#else
    return tested->precision == RMP_PRECISION_FP32;
#endif
}

static void must(rmp_status status, const char *what)
{
    cr_assert_eq(status, RMP_OK, "%s: %s (%s)", what, rmp_fail_message(), rmp_fail_place());
}

typedef struct subject {
    const char *name;
    rmp_model *model; /* with the formula weights of the fixtures */
    rmp_weights *tensors;
} subject;

static void subject_open(subject *s, const char *name)
{
    char path[512];
    *s = (subject){.name = name};
    snprintf(path, sizeof path, "formula:" RMP_FIXTURES "/%s.json", name);
    must(rmp_model_open(path, &s->model), name);
    snprintf(path, sizeof path, RMP_FIXTURES "/%s.safetensors", name);
    must(rmp_safetensors_open(path, NULL, NULL, &s->tensors), name);
}

static void subject_close(subject *s)
{
    rmp_model_close(&s->model);
    rmp_weights_destroy(&s->tensors);
}

static const rmp_tensor *tensor(const subject *s, const char *name)
{
    const rmp_tensor *t = rmp_weights_find(s->tensors, name);
    cr_assert(t, "%s has no %s", s->name, name);
    return t;
}

static rmp_buffer *filled(rmp_device *dev, const float *data, int64_t count)
{
    rmp_buffer *buffer;
    must(rmp_buffer_create(dev, count, &buffer), "buffer");
    if (data) must(rmp_buffer_upload(buffer, 0, count, data), "buffer");
    return buffer;
}

/* Runs a graph on host arrays; v and g are NULL without a VJP. */
static void run(rmp_device *dev, rmp_precision precision, const rmp_graph *graph, int64_t batch, const float *x,
                const rmp_buffer *condition, float *y, const float *v, float *g)
{
    rmp_plan *plan;
    int64_t in = batch * rmp_shape_count(rmp_graph_shape(graph, rmp_graph_input_value(graph, 0)));
    int64_t out = batch * rmp_shape_count(rmp_graph_shape(graph, rmp_graph_result(graph)));
    rmp_buffer *input = filled(dev, x, in), *output = filled(dev, NULL, out);
    must(rmp_plan_create(dev, graph, &(rmp_plan_options){.batch = batch, .precision = precision, .vjp = v != NULL},
                         &plan),
         "plan");
    const rmp_buffer *inputs[] = {input, condition};
    must(rmp_plan_forward(plan, rmp_graph_inputs(graph), inputs, output), "forward");
    must(rmp_buffer_download(output, 0, out, y), "output");
    if (v) {
        rmp_buffer *cotangent = filled(dev, v, out), *gradient = filled(dev, NULL, in);
        must(rmp_plan_vjp(plan, cotangent, gradient), "vjp");
        must(rmp_buffer_download(gradient, 0, in, g), "gradient");
        rmp_buffer_destroy(&cotangent);
        rmp_buffer_destroy(&gradient);
    }
    rmp_plan_destroy(&plan);
    rmp_buffer_destroy(&input);
    rmp_buffer_destroy(&output);
}

/* The part of `embed` up to emb, as a graph of its own. */
static void copy_time_mlp(const rmp_net *net, rmp_graph **out)
{
    must(rmp_graph_create(out), "graph");
    for (rmp_value v = 0; v <= net->embed_emb; v++) {
        const rmp_node *node = rmp_graph_node(net->embed, v);
        rmp_value copy = RMP_NONE;
        if (node->op == RMP_OP_INPUT)
            must(rmp_graph_input(*out, node->shape, &copy), "input");
        else if (node->op == RMP_OP_LINEAR)
            must(rmp_graph_linear(*out, node->operand[0], node->as.linear.weight, node->as.linear.bias, &copy),
                 "linear");
        else
            must(rmp_graph_silu(*out, node->operand[0], &copy), "silu");
        cr_assert_eq(copy, v);
    }
    must(rmp_graph_output(*out, net->embed_emb), "emb");
}

/* A (n, d) tensor as (n, d, 1, 1). */
static rmp_tensor as_image(const rmp_tensor *t)
{
    rmp_tensor out = *t;
    out.rank = 4;
    out.dims[2] = out.dims[3] = 1;
    return out;
}

/* Features and emb are compared, the conditioning vector is returned. */
static rmp_buffer *embed(const tested_device *tested, rmp_device *dev, const subject *s, int64_t batch)
{
    const rmp_net *net = s->model->net;
    const rmp_tensor *t = tensor(s, "t");
    rmp_tensor features_want = as_image(tensor(s, "emb_in")), emb_want = as_image(tensor(s, "emb"));
    float *features = malloc((size_t)(batch * net->features) * sizeof *features);
    float *emb = malloc((size_t)(batch * emb_want.dims[1]) * sizeof *emb);
    float *condition = malloc((size_t)(batch * net->condition) * sizeof *condition);
    for (int64_t i = 0; i < batch; i++)
        net->ops->time_features(net, rmp_tensor_at(t, i), features + i * net->features);
    double error = sample_error(features, net->features, &features_want);
    cr_expect_leq(error, tolerance_of(tested), "%s on %s: features differ by %g", s->name, tested->name, error);

    rmp_graph *mlp;
    copy_time_mlp(net, &mlp);
    run(dev, tested->precision, mlp, batch, features, NULL, emb, NULL, NULL);
    error = sample_error(emb, emb_want.dims[1], &emb_want);
    cr_expect_leq(error, tolerance_of(tested), "%s on %s: emb differs by %g", s->name, tested->name, error);
    run(dev, tested->precision, net->embed, batch, features, NULL, condition, NULL, NULL);
    rmp_buffer *out = filled(dev, condition, batch * net->condition);
    rmp_graph_destroy(&mlp);
    free(features);
    free(emb);
    free(condition);
    return out;
}

static void compare(const tested_device *tested, const char *name)
{
    subject s;
    rmp_device *dev;
    subject_open(&s, name);
    must(tested->create(&dev), tested->name);
    const rmp_tensor *xt = tensor(&s, "x"), *yt = tensor(&s, "y64"), *gt = tensor(&s, "g64");
    int64_t batch = xt->dims[0], h = xt->dims[2], w = xt->dims[3], in = xt->dims[1], out = yt->dims[1];
    float *x = to_nhwc(xt), *v = to_nhwc(tensor(&s, "v"));
    float *y = malloc((size_t)(batch * h * w * out) * sizeof *y), *g = malloc((size_t)(batch * h * w * in) * sizeof *g);
    rmp_buffer *condition = embed(tested, dev, &s, batch);

    rmp_graph *all, *image;
    must(rmp_net_build(s.model->net, h, w, 0, &all), name);
    run(dev, tested->precision, all, batch, x, condition, y, NULL, NULL);
    double error = sample_error(y, out, yt);
    cr_expect_leq(error, tolerance_of(tested), "%s on %s: y differs by %g", name, tested->name, error);

    /* the cotangent has the channels of the image: the others need not be computed */
    must(rmp_net_build(s.model->net, h, w, in, &image), name);
    run(dev, tested->precision, image, batch, x, condition, y, v, g);
    error = sample_error(y, in, yt);
    cr_expect_leq(error, tolerance_of(tested), "%s on %s: the first channels of y differ by %g", name, tested->name,
                  error);
    error = sample_error(g, in, gt);
    cr_expect_leq(error, tolerance_of(tested), "%s on %s: g differs by %g", name, tested->name, error);

    rmp_graph_destroy(&all);
    rmp_graph_destroy(&image);
    rmp_buffer_destroy(&condition);
    rmp_device_destroy(&dev);
    free(x), free(v), free(y), free(g);
    subject_close(&s);
}

Test(adm, outputs_and_gradients)
{
    for (int d = 0; d < DEVICES; d++)
        for (int i = 0; runs_here(&devices[d]) && i < FIXTURES; i++)
            compare(&devices[d], fixtures[i]);
}

/* rmp_adm_list gives the original's names, shapes and order. */
static void check_list(const char *name)
{
    json_t *json = fixture_json(name);
    cr_assert(json, "%s", name);
    rmp_adm_config config = fixture_config(json);
    const json_t *parameters = json_object_get(json, "parameters"), *parameter;
    rmp_weights *list;
    size_t i;
    must(rmp_weights_create(&list), name);
    must(rmp_adm_list(&config, list), name);
    cr_assert_eq(rmp_weights_count(list), (int64_t)json_array_size(parameters), "%s: %lld tensors", name,
                 (long long)rmp_weights_count(list));
    json_array_foreach(parameters, i, parameter)
    {
        char want_text[128], have_text[128];
        rmp_tensor want = fixture_shape(parameter);
        const rmp_tensor *have = rmp_weights_tensor(list, (int64_t)i);
        cr_expect_str_eq(rmp_weights_name(list, (int64_t)i), json_string_value(json_object_get(parameter, "name")));
        cr_expect_str_eq(rmp_tensor_shape_text(have, have_text, sizeof have_text),
                         rmp_tensor_shape_text(&want, want_text, sizeof want_text));
    }
    cr_expect_eq(rmp_weights_parameters(list), json_integer_value(json_object_get(json, "parameter_count")));
    rmp_weights_destroy(&list);
    json_decref(json);
}

Test(adm, names_and_shapes)
{
    for (int i = 0; i < FIXTURES; i++)
        check_list(fixtures[i]);
    check_list("adm_ffhq256");
}

/* Full size: the graph is made, and costs what published tables say (388 GFLOP at 256 x 256, three digits). */
Test(adm, ffhq256)
{
    json_t *json = fixture_json("adm_ffhq256");
    rmp_adm_config config = fixture_config(json);
    rmp_weights *weights;
    rmp_net *net;
    rmp_graph *graph;
    must(rmp_weights_create(&weights), "weights");
    must(rmp_adm_list(&config, weights), "list");
    must(rmp_adm_create(&config, weights, &net), "create");
    cr_expect_eq(net->parameters, 93563910);
    cr_expect_eq(net->multiple, 32);
    cr_expect_eq(net->image_size, 256);
    must(rmp_net_build(net, 256, 256, 0, &graph), "build");
    cr_expect_float_eq(rmp_graph_flop(graph) / 1e9, 388, 0.5, "%g GFLOP", rmp_graph_flop(graph) / 1e9);
    cr_expect_eq(rmp_graph_shape(graph, rmp_graph_result(graph)).c, 6);
    rmp_graph_destroy(&graph);
    cr_expect_eq(rmp_net_build(net, 256, 250, 0, &graph), RMP_ERR_ARGUMENT);
    cr_expect(strstr(rmp_fail_message(), "256 x 250") && strstr(rmp_fail_message(), "32"), "%s", rmp_fail_message());
    cr_expect_eq(rmp_net_build(net, 256, 256, 7, &graph), RMP_ERR_ARGUMENT);
    cr_expect_eq(rmp_net_build(net, 256, 256, -1, &graph), RMP_ERR_ARGUMENT);
    rmp_net_destroy(&net);
    rmp_weights_destroy(&weights);
    json_decref(json);
}

typedef enum damage { REMOVE, ADD, RESHAPE } damage;

/* Creates adm_tiny_base from a damaged list; the message must hold all of `words`. */
static void check_damage(damage kind, const char *target, const char *words[])
{
    json_t *json = fixture_json("adm_tiny_base");
    rmp_adm_config config = fixture_config(json);
    rmp_weights *whole, *damaged;
    rmp_net *net = NULL;
    must(rmp_weights_create(&whole), "weights");
    must(rmp_weights_create(&damaged), "weights");
    must(rmp_adm_list(&config, whole), "list");
    for (int64_t i = 0; i < rmp_weights_count(whole); i++) {
        const char *name = rmp_weights_name(whole, i);
        rmp_tensor t = *rmp_weights_tensor(whole, i);
        bool hit = strcmp(name, target) == 0;
        if (hit && kind == REMOVE) continue;
        if (hit && kind == RESHAPE) t.dims[0]++;
        must(rmp_weights_add(damaged, name, &t), name);
    }
    if (kind == ADD) must(rmp_weights_add(damaged, target, &(rmp_tensor){.rank = 1, .dims = {3}}), target);
    cr_expect_eq(rmp_adm_create(&config, damaged, &net), RMP_ERR_FORMAT);
    cr_expect_null(net);
    for (; *words; words++)
        cr_expect(strstr(rmp_fail_message(), *words), "no '%s' in: %s", *words, rmp_fail_message());
    rmp_weights_destroy(&whole);
    rmp_weights_destroy(&damaged);
    json_decref(json);
}

Test(adm, damaged_weights_are_named)
{
    const char *qkv = "middle_block.1.qkv.weight", *extra = "label_emb.weight";
    check_damage(REMOVE, qkv, (const char *[]){"1 missing", qkv, "(192, 64, 1)", NULL});
    check_damage(ADD, extra, (const char *[]){"1 unexpected", extra, NULL});
    check_damage(RESHAPE, qkv, (const char *[]){"1 misshapen", qkv, "(193, 64, 1)", "(192, 64, 1)", NULL});
}

static void refused(rmp_adm_config config, const char *word)
{
    rmp_weights *list;
    must(rmp_weights_create(&list), "weights");
    cr_expect_eq(rmp_adm_list(&config, list), RMP_ERR_CONFIG, "%s was accepted", word);
    cr_expect(strstr(rmp_fail_message(), word), "no '%s' in: %s", word, rmp_fail_message());
    rmp_weights_destroy(&list);
}

Test(adm, impossible_arguments)
{
    json_t *json = fixture_json("adm_tiny_base");
    const rmp_adm_config good = fixture_config(json);
    rmp_adm_config c;
    c = good, c.levels = 0, refused(c, "channel_mult");
    c = good, c.levels = RMP_ADM_MAX_LEVELS + 1, refused(c, "channel_mult");
    c = good, c.channel_mult[1] = -2, refused(c, "channel_mult");
    c = good, c.channel_mult[1] = INT64_MAX, refused(c, "channel_mult");
    c = good, c.model_channels = 48, refused(c, "32 groups");
    c = good, c.model_channels = 0, refused(c, "model_channels");
    c = good, c.in_channels = 0, refused(c, "in_channels");
    c = good, c.out_channels = 0, refused(c, "out_channels");
    c = good, c.image_size = 0, refused(c, "image_size");
    c = good, c.num_res_blocks = -1, refused(c, "num_res_blocks");
    c = good, c.num_head_channels = 24, refused(c, "num_head_channels");
    c = good, c.num_head_channels = 0, refused(c, "num_head_channels");
    c = good, c.num_head_channels = -1, c.num_heads = 5, refused(c, "heads");
    c = good, c.num_head_channels = -1, c.num_heads = 0, refused(c, "num_heads");
    c = good, c.num_heads_upsample = 0, refused(c, "num_heads_upsample");
    c = good, c.attention_count = RMP_ADM_MAX_LEVELS + 1, refused(c, "attention_resolutions");
    json_decref(json);
}

/* The original pads the features of an odd width with a zero, and takes levels without blocks. */
Test(adm, unusual_arguments)
{
    json_t *json = fixture_json("adm_tiny_conv");
    rmp_adm_config config = fixture_config(json);
    config.num_res_blocks = 0;
    config.model_channels = 33;
    config.levels = 2;
    config.channel_mult[0] = 32;
    config.channel_mult[1] = 64;
    config.num_head_channels = 33;
    rmp_weights *weights;
    rmp_net *net;
    rmp_graph *graph;
    float features[33];
    must(rmp_weights_create(&weights), "weights");
    must(rmp_adm_list(&config, weights), "list");
    must(rmp_adm_create(&config, weights, &net), "create");
    cr_assert_eq(net->features, 33);
    net->ops->time_features(net, 2.5, features);
    cr_expect_float_eq((double)features[0], cos(2.5), 1e-7);
    cr_expect_float_eq((double)features[15], cos(2.5 * pow(10000, -15.0 / 16)), 1e-7);
    cr_expect_float_eq((double)features[16], sin(2.5), 1e-7);
    cr_expect_eq(features[32], 0);
    must(rmp_net_build(net, 4, 6, 0, &graph), "build");
    cr_expect_eq(rmp_graph_shape(graph, rmp_graph_result(graph)).w, 6);
    rmp_graph_destroy(&graph);
    rmp_net_destroy(&net);
    rmp_weights_destroy(&weights);
    json_decref(json);
}
