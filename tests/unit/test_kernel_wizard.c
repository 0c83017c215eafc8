/* The blur generator against a re-implementation with PyTorch, its tensors against the published networks' list, and
 * its files. */
#include "core/nets/kernel_wizard.h"
#include "gpu/devices.h"
#include "io/description.h"
#include "io/formula.h"
#include "io/model.h"
#include "io/model_expected.h"
#include "io/model_source.h"
#include "io/safetensors.h"
#include "jobs/model_file.h"
#include "tests/unit/fixture.h"
#include "tests/unit/scratch.h"

#include <math.h>

TestSuite(kernel_wizard, .init = scratch_setup, .fini = scratch_teardown);

static const char tiny[] = "formula:" RMP_FIXTURES "/kernel_wizard_tiny.json";
enum { H = 128, W = 256, STEP = 5 };

static rmp_model *open_tiny(void)
{
    rmp_model *model;
    expect_ok(rmp_model_open_for(RMP_MODEL_BLUR, tiny, &model));
    cr_assert(model->blur && !model->net);
    return model;
}

/* A formula's tensor (c, h, w) as (h, w, c). */
static float *formula(const char *name, rmp_shape s, double a, double b)
{
    float *out = malloc((size_t)rmp_shape_count(s) * sizeof *out);
    const uint64_t seed = rmp_formula_seed(name);
    for (int64_t i = 0; i < rmp_shape_count(s); i++)
        out[i % (s.h * s.w) * s.c + i / (s.h * s.w)] = rmp_formula_value(seed, (uint64_t)i, a, b);
    return out;
}

static rmp_buffer *filled(rmp_device *device, const float *data, int64_t count)
{
    rmp_buffer *buffer;
    expect_ok(rmp_buffer_create(device, count, &buffer));
    if (data) expect_ok(rmp_buffer_upload(buffer, 0, count, data));
    return buffer;
}

static rmp_graph *build(const rmp_kernel_wizard *net, rmp_shape image)
{
    rmp_graph *g;
    rmp_value x, code, y;
    expect_ok(rmp_graph_create(&g));
    expect_ok(rmp_graph_input(g, image, &x));
    expect_ok(rmp_graph_input(g, rmp_kernel_wizard_code_shape(net, image), &code));
    expect_ok(rmp_kernel_wizard_append(net, g, x, code, &y));
    expect_ok(rmp_graph_output(g, y));
    return g;
}

/* |(a - b) - want| / |want|, want (1, c, rows, columns) at every fifth row and column. */
static double error_of(const float *a, const float *b, const rmp_tensor *want)
{
    const int64_t c = want->dims[1], rows = want->dims[2], columns = want->dims[3];
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < rmp_tensor_count(want); i++) {
        const int64_t k = i / (rows * columns), row = i / columns % rows, column = i % columns;
        const int64_t at = (row * STEP * W + column * STEP) * c + k;
        const double value = rmp_tensor_at(want, i), d = (double)a[at] - (double)b[at] - value;
        difference += d * d;
        norm += value * value;
    }
    return sqrt(difference / norm);
}

static void compare(rmp_device *device)
{
    const rmp_shape image = {H, W, 3};
    const int64_t count = rmp_shape_count(image);
    rmp_model *model = open_tiny();
    rmp_graph *g = build(model->blur, image);
    const rmp_shape code_shape = rmp_kernel_wizard_code_shape(model->blur, image);
    cr_assert(code_shape.h == 1 && code_shape.w == 2 && code_shape.c == 32);
    float *x = formula("input.x", image, 0.5, 0.5), *v = formula("input.v", image, 1, 0);
    float *code = formula("input.code", code_shape, 1.7, 0), *have = malloc((size_t)count * sizeof *have);
    rmp_buffer *inputs[] = {filled(device, x, count), filled(device, code, rmp_shape_count(code_shape))};
    rmp_buffer *cotangent = filled(device, v, count), *out = filled(device, NULL, count);
    rmp_plan *plan;
    rmp_weights *wanted;
    expect_ok(rmp_safetensors_open(RMP_FIXTURES "/kernel_wizard_tiny.safetensors", NULL, NULL, &wanted));
    expect_ok(rmp_plan_create(device, g, &(rmp_plan_options){.batch = 1, .vjp = true}, &plan));
    expect_ok(rmp_plan_forward(plan, 2, (const rmp_buffer *const *)inputs, out));
    expect_ok(rmp_buffer_download(out, 0, count, have));
    /* float32 through some twenty layers: PyTorch's own differs by 4e-7 and 5e-7; a code of the other sign changes
     * 0.05. With larger weights single activations fall within rounding of their corner and take its other slope. */
    double error = error_of(have, x, rmp_weights_find(wanted, "d64"));
    cr_expect(error <= 1e-4, "%s: y - x differs by %g", device->kind, error);
    expect_ok(rmp_plan_vjp(plan, cotangent, out));
    expect_ok(rmp_buffer_download(out, 0, count, have));
    error = error_of(have, v, rmp_weights_find(wanted, "g64"));
    cr_expect(error <= 1e-4, "%s: g - v differs by %g", device->kind, error);
    rmp_plan_destroy(&plan);
    for (int i = 0; i < 2; i++)
        rmp_buffer_destroy(&inputs[i]);
    rmp_buffer_destroy(&cotangent);
    rmp_buffer_destroy(&out);
    rmp_weights_destroy(&wanted);
    rmp_graph_destroy(&g);
    rmp_model_close(&model);
    free(x), free(v), free(code), free(have);
}

Test(kernel_wizard, output_and_gradient)
{
    rmp_device *reference, *host;
    expect_ok(rmp_reference_create(&reference));
    expect_ok(rmp_host_create(2, 0, &host));
    compare(reference);
    compare(host);
    rmp_device_destroy(&reference);
    rmp_device_destroy(&host);
}

static void check_list(const char *fixture)
{
    json_t *json = fixture_json(fixture);
    cr_assert(json);
    char *text = json_dumps(json, 0);
    rmp_description d;
    rmp_weights *list;
    const json_t *parameters = json_object_get(json, "parameters"), *parameter;
    size_t i;
    expect_ok(rmp_description_parse(text, true, &d));
    expect_ok(rmp_weights_create(&list));
    expect_ok(d.architecture->list(&d, list));
    cr_assert_eq(rmp_weights_count(list), (int64_t)json_array_size(parameters));
    json_array_foreach(parameters, i, parameter)
    {
        char want_text[128], have_text[128];
        const rmp_tensor want = fixture_shape(parameter), *have = rmp_weights_tensor(list, (int64_t)i);
        cr_expect_str_eq(rmp_weights_name(list, (int64_t)i), json_string_value(json_object_get(parameter, "name")));
        cr_expect_str_eq(rmp_tensor_shape_text(have, have_text, sizeof have_text),
                         rmp_tensor_shape_text(&want, want_text, sizeof want_text));
    }
    cr_expect_eq(rmp_weights_parameters(list), json_integer_value(json_object_get(json, "parameter_count")));
    rmp_weights_destroy(&list);
    free(text);
    json_decref(json);
}

Test(kernel_wizard, names_and_shapes)
{
    check_list("kernel_wizard_tiny");
    check_list("kernel_wizard_gopro");
}

/* The published size, without numbers: the graph is made, 256 x 256 pixels have a code of 2 x 2. */
Test(kernel_wizard, full_size)
{
    rmp_kernel_wizard_config config;
    rmp_weights *weights;
    rmp_kernel_wizard *net;
    rmp_kernel_wizard_defaults(&config);
    expect_ok(rmp_weights_create(&weights));
    expect_ok(rmp_kernel_wizard_list(&config, weights));
    expect_ok(
        rmp_weights_add(weights, "kernel_extractor.model.1.weight", &(rmp_tensor){.rank = 4, .dims = {64, 128, 7, 7}}));
    expect_ok(rmp_kernel_wizard_create(&config, weights, &net));
    cr_expect_eq(rmp_kernel_wizard_parameters(net), 23662531);
    const rmp_shape code = rmp_kernel_wizard_code_shape(net, (rmp_shape){256, 256, 3});
    cr_expect(code.h == 2 && code.w == 2 && code.c == 512);
    rmp_graph *g = build(net, (rmp_shape){256, 256, 3});
    rmp_graph_destroy(&g);
    rmp_kernel_wizard_destroy(&net);
    rmp_weights_destroy(&weights);
}

Test(kernel_wizard, refusals)
{
    rmp_model *model = open_tiny();
    const rmp_kernel_wizard_config bad[] = {
        {3, 4, 1, 2, 512}, {3, 0, 1, 2, 0}, {0, 4, 1, 2, 32}, {3, 4, 65, 2, 32}, {3, 4, 1, -1, 32}};
    const char *const words[] = {"kernel_dim 512", "nf 0", "input_nc 0", "front_RBs 65", "back_RBs -1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rmp_kernel_wizard *net;
        expect_failure(rmp_kernel_wizard_create(&bad[i], model->weights, &net), RMP_ERR_CONFIG, "kernel_wizard",
                       words[i]);
        cr_expect_null(net);
    }
    const struct {
        rmp_shape image, code;
        const char *words;
    } shapes[] = {{{128, 192, 3}, {1, 1, 32}, "128 x 192 pixels are no multiple of 128"},
                  {{128, 256, 1}, {1, 2, 32}, "3 input channels, not 1"},
                  {{128, 256, 3}, {2, 1, 32}, "the code is 2x1x32, not 1x2x32"}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        rmp_graph *g;
        rmp_value x, code, y;
        expect_ok(rmp_graph_create(&g));
        expect_ok(rmp_graph_input(g, shapes[i].image, &x));
        expect_ok(rmp_graph_input(g, shapes[i].code, &code));
        expect_failure(rmp_kernel_wizard_append(model->blur, g, x, code, &y), RMP_ERR_ARGUMENT, "kernel_wizard",
                       shapes[i].words);
        rmp_graph_destroy(&g);
    }
    rmp_model_close(&model);
}

typedef enum damage { NONE, REMOVE, ADD, RESHAPE } damage;

/* The tiny network's tensors with the other half's, as a file without description; `what` happens to `name`. */
static const char *write_file(damage what, const char *name)
{
    static const char other[] = "kernel_extractor.model.1.weight";
    static const float values[6] = {0};
    rmp_model *model = open_tiny();
    rmp_weights *set;
    expect_ok(rmp_weights_create(&set));
    for (int64_t i = 0; i < rmp_weights_count(model->weights); i++) {
        rmp_tensor t = *rmp_weights_tensor(model->weights, i);
        const bool hit = strcmp(rmp_weights_name(model->weights, i), name) == 0;
        if (hit && what == REMOVE) continue;
        if (hit && what == RESHAPE) t.dims[0]--;
        expect_ok(rmp_weights_add(set, rmp_weights_name(model->weights, i), &t));
    }
    expect_ok(rmp_weights_add(set, other, &(rmp_tensor){.dtype = RMP_F32, .rank = 2, .dims = {2, 3}, .data = values}));
    if (what == ADD)
        expect_ok(rmp_weights_add(set, name, &(rmp_tensor){.dtype = RMP_F32, .rank = 1, .dims = {3}, .data = values}));
    expect_ok(rmp_safetensors_write(scratch, "wizard.safetensors", set, NULL, NULL));
    rmp_weights_destroy(&set);
    rmp_model_close(&model);
    return scratch_path("wizard.safetensors");
}

/* Arguments from names and shapes; the other half is passed over, but counted by nobody. */
Test(kernel_wizard, files_are_recognised)
{
    const char *path = write_file(NONE, "");
    rmp_model *model, *other;
    rmp_model_source source;
    rmp_model_fit fit;
    expect_ok(rmp_model_open_for(RMP_MODEL_BLUR, path, &model));
    const rmp_kernel_wizard_config *c = rmp_kernel_wizard_arguments(model->blur);
    cr_expect(c->input_nc == 3 && c->nf == 4 && c->front_RBs == 1 && c->back_RBs == 2 && c->kernel_dim == 32);
    cr_expect_eq(rmp_kernel_wizard_parameters(model->blur), 132199);
    rmp_model_close(&model);
    expect_ok(rmp_model_open_for(RMP_MODEL_ANY, path, &model));
    rmp_model_close(&model);
    expect_ok(rmp_model_source_open(path, NULL, NULL, 0, &source));
    expect_ok(rmp_model_expected(source.weights, source.description, NULL, NULL, &fit));
    cr_expect_str_eq(fit.architecture, "kernel_wizard");
    cr_expect_eq(fit.passed_over, 1);
    cr_expect(fit.parameters == 132199 && fit.missing + fit.misshapen + fit.unexpected + fit.not_finite == 0);
    rmp_model_source_close(&source);
    expect_failure(rmp_model_open(path, &other), RMP_ERR_FORMAT, "wizard.safetensors", "not a score network");
    expect_failure(rmp_model_open_for(RMP_MODEL_BLUR, "formula:" RMP_FIXTURES "/adm_tiny_base.json", &other),
                   RMP_ERR_FORMAT, "adm_tiny_base.json", "score network 'adm'");
}

/* Converted, the same network without the other half, whose description is inside. */
Test(kernel_wizard, conversion_leaves_out_what_is_not_used)
{
    rmp_model *model;
    char *description, *text = NULL;
    size_t size;
    rmp_weights *converted;
    FILE *out = open_memstream(&text, &size);
    expect_ok(rmp_model_convert(write_file(NONE, ""), NULL, scratch_path("small.safetensors"), NULL,
                                &(rmp_text_list){.count = 0}, false, out));
    fclose(out);
    cr_expect(strstr(text, "passed over         1 "), "%s", text);
    expect_ok(rmp_safetensors_open(scratch_path("small.safetensors"), "rmp", &description, &converted));
    cr_assert(description && strstr(description, "kernel_wizard"));
    cr_expect_eq(rmp_weights_parameters(converted), 132199);
    cr_expect_null(rmp_weights_find(converted, "kernel_extractor.model.1.weight"));
    expect_ok(rmp_model_open_for(RMP_MODEL_BLUR, scratch_path("small.safetensors"), &model));
    rmp_model_close(&model);
    rmp_weights_destroy(&converted);
    free(description);
    free(text);
}

Test(kernel_wizard, damaged_files_are_named)
{
    static const char up[] = "adapter.model.submodule.up.1.weight";
    rmp_model *model;
    const struct {
        damage what;
        const char *name, *words;
    } cases[] = {{REMOVE, up, "1 missing"},
                 {RESHAPE, up, "1 misshapen"},
                 {ADD, "recon_trunk.99.bias", "1 unexpected"},
                 {ADD, "adapter.model.up.1.double_conv.0.weight", "enlarges by interpolation"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = write_file(cases[i].what, cases[i].name);
        expect_failure(rmp_model_open_for(RMP_MODEL_BLUR, path, &model), RMP_ERR_FORMAT, "wizard.safetensors",
                       cases[i].words);
        if (i < 3) cr_expect(strstr(rmp_fail_message(), cases[i].name), "%s", rmp_fail_message());
    }
}

Test(kernel_wizard, descriptions)
{
    const struct {
        const char *text, *words;
    } cases[] = {
        {"{\"architecture\": \"kernel_wizard\", \"arguments\": {\"nf\": 4, \"front_RBs\": 1}}", "back_RBs"},
        {"{\"architecture\": \"kernel_wizard\", \"arguments\": {\"nf\": 4, \"front_RBs\": 1, \"back_RBs\": 2, \"x\": "
         "1}}",
         "'x'"},
        {"{\"architecture\": \"kernel_wizard\", \"arguments\": {\"nf\": 4, \"front_RBs\": 1, \"back_RBs\": 2, "
         "\"Adapter\": {\"norm\": \"batch\"}}}",
         "Adapter.norm"},
        {"{\"architecture\": \"kernel_wizard\", \"arguments\": {\"nf\": 4, \"front_RBs\": 1, \"back_RBs\": 2}, "
         "\"prediction\": \"eps\"}",
         "prediction"},
    };
    rmp_description d;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_failure(rmp_description_parse(cases[i].text, false, &d), RMP_ERR_FORMAT, cases[i].words, "");
    /* the original's own options */
    expect_ok(
        rmp_description_parse("{\"architecture\": \"kernel_wizard\", \"arguments\": {\"pretrained\": \"a.pth\", "
                              "\"input_nc\": 3, \"nf\": 64, \"front_RBs\": 10, \"back_RBs\": 20, \"N_frames\": 1, "
                              "\"kernel_dim\": 512, \"use_vae\": true, \"KernelExtractor\": {\"norm\": \"none\"}, "
                              "\"Adapter\": {\"norm\": \"none\", \"use_dropout\": false}}}",
                              false, &d));
    cr_expect_eq(d.config.kernel_wizard.kernel_dim, 512);
}
