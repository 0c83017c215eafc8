/* Every network against the outputs and gradients of its original, its tensors against the original's list. */
#include "gpu/devices.h"
#include "io/description.h"
#include "io/model.h"
#include "io/safetensors.h"
#include "tests/unit/fixture.h"

#include <criterion/criterion.h>
#include <math.h>

static const char *const fixtures[] = {
    "adm_tiny_base",        "adm_tiny_conv",           "adm_tiny_pool",    "adm_tiny_heads",
    "adm_tiny_noss",        "adm_tiny_rect",           "adm_tiny_eps",     "ncsnpp_tiny_ve_ffhq",
    "ncsnpp_tiny_ve_cifar", "ncsnpp_tiny_ve_discrete", "ncsnpp_tiny_vp",   "ncsnpp_tiny_vp_ddpmpp",
    "ncsnpp_tiny_residual", "ncsnpp_tiny_eps",         "unet2d_tiny",      "unet2d_tiny_heads",
    "unet2d_tiny_ncsnpp",   "unet2d_tiny_eps",         "unet2d_tiny_film", "unet2d_tiny_groups",
    "unet2d_tiny_middle",   "unet2d_tiny_plain"};
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

/* What the originals do after their last convolution. */
static void scale_samples(const subject *s, int64_t batch, int64_t count, float *values)
{
    const rmp_tensor *t = tensor(s, "t");
    for (int64_t i = 0; i < batch; i++) {
        const double scale = rmp_net_output_scale(s->model->net, rmp_tensor_at(t, i));
        for (int64_t k = 0; k < count; k++)
            values[i * count + k] = (float)(scale * (double)values[i * count + k]);
    }
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
    scale_samples(&s, batch, h * w * out, y);
    double error = sample_error(y, out, yt);
    cr_expect_leq(error, tolerance_of(tested), "%s on %s: y differs by %g", name, tested->name, error);

    /* the cotangent has the channels of the image: the others need not be computed */
    must(rmp_net_build(s.model->net, h, w, in, &image), name);
    run(dev, tested->precision, image, batch, x, condition, y, v, g);
    scale_samples(&s, batch, h * w * in, y);
    scale_samples(&s, batch, h * w * in, g);
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

Test(networks, outputs_and_gradients)
{
    for (int d = 0; d < DEVICES; d++)
        for (int i = 0; runs_here(&devices[d]) && i < FIXTURES; i++)
            compare(&devices[d], fixtures[i]);
}

/* The lists have the original's names, shapes and order. */
static void check_list(const char *name)
{
    json_t *json = fixture_json(name);
    cr_assert(json, "%s", name);
    char *text = json_dumps(json, 0);
    rmp_description description;
    must(rmp_description_parse(text, true, &description), name);
    free(text);
    const json_t *parameters = json_object_get(json, "parameters"), *parameter;
    rmp_weights *list;
    size_t i;
    must(rmp_weights_create(&list), name);
    must(description.architecture->list(&description, list), name);
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

Test(networks, names_and_shapes)
{
    for (int i = 0; i < FIXTURES; i++)
        check_list(fixtures[i]);
    check_list("adm_ffhq256");
    check_list("ncsnpp_ffhq256");
    check_list("unet2d_celebahq256");
}

/* Full size: the graph is made, and costs what published tables say. */
static void check_full_size(const char *name, int64_t parameters, int64_t multiple, double gflop)
{
    json_t *json = fixture_json(name);
    char *text = json_dumps(json, 0);
    rmp_description description;
    rmp_weights *weights;
    rmp_net *net;
    rmp_graph *graph;
    must(rmp_description_parse(text, true, &description), name);
    must(rmp_weights_create(&weights), name);
    must(description.architecture->list(&description, weights), name);
    must(description.architecture->create(&description, weights, &net), name);
    cr_expect_eq(net->parameters, parameters);
    cr_expect_eq(net->multiple, multiple);
    cr_expect_eq(net->image_size, 256);
    must(rmp_net_build(net, 256, 256, 0, &graph), name);
    cr_expect_float_eq(rmp_graph_flop(graph) / 1e9, gflop, 0.5, "%s: %g GFLOP", name, rmp_graph_flop(graph) / 1e9);
    rmp_graph_destroy(&graph);
    rmp_net_destroy(&net);
    rmp_weights_destroy(&weights);
    free(text);
    json_decref(json);
}

Test(networks, full_size)
{
    check_full_size("adm_ffhq256", 93563910, 32, 388);
    check_full_size("ncsnpp_ffhq256", 65574549, 64, 532);
    check_full_size("unet2d_celebahq256", 113673219, 32, 497);
}

typedef enum damage { REMOVE, ADD, RESHAPE } damage;

/* Creates a network from a damaged list; the message must hold all of `words`. */
static void check_damage(const char *name, damage kind, const char *target, const char *words[])
{
    json_t *json = fixture_json(name);
    char *text = json_dumps(json, 0);
    rmp_description description;
    rmp_weights *whole, *damaged;
    rmp_net *net = NULL;
    must(rmp_description_parse(text, true, &description), name);
    must(rmp_weights_create(&whole), "weights");
    must(rmp_weights_create(&damaged), "weights");
    must(description.architecture->list(&description, whole), "list");
    for (int64_t i = 0; i < rmp_weights_count(whole); i++) {
        rmp_tensor t = *rmp_weights_tensor(whole, i);
        bool hit = strcmp(rmp_weights_name(whole, i), target) == 0;
        if (hit && kind == REMOVE) continue;
        if (hit && kind == RESHAPE) t.dims[0]++;
        must(rmp_weights_add(damaged, rmp_weights_name(whole, i), &t), "copy");
    }
    if (kind == ADD) must(rmp_weights_add(damaged, target, &(rmp_tensor){.rank = 1, .dims = {3}}), target);
    cr_expect_eq(description.architecture->create(&description, damaged, &net), RMP_ERR_FORMAT);
    cr_expect_null(net);
    for (; *words; words++)
        cr_expect(strstr(rmp_fail_message(), *words), "no '%s' in: %s", *words, rmp_fail_message());
    rmp_weights_destroy(&whole);
    rmp_weights_destroy(&damaged);
    free(text);
    json_decref(json);
}

Test(networks, damaged_weights_are_named)
{
    static const struct {
        const char *fixture, *target, *shape, *wrong;
    } cases[] = {{"adm_tiny_base", "middle_block.1.qkv.weight", "(192, 64, 1)", "(193, 64, 1)"},
                 {"ncsnpp_tiny_ve_ffhq", "all_modules.8.NIN_1.W", "(64, 64)", "(65, 64)"},
                 {"unet2d_tiny", "mid_block.attentions.0.to_k.weight", "(64, 64)", "(65, 64)"}};
    const char *extra = "label_emb.weight";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *name = cases[i].fixture, *target = cases[i].target;
        check_damage(name, REMOVE, target, (const char *[]){"1 missing", target, cases[i].shape, NULL});
        check_damage(name, ADD, extra, (const char *[]){"1 unexpected", extra, NULL});
        check_damage(name, RESHAPE, target,
                     (const char *[]){"1 misshapen", target, cases[i].wrong, cases[i].shape, NULL});
    }
}
