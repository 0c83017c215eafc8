#include "core/nets/adm.h"
#include "io/formula.h"
#include "io/model.h"
#include "io/safetensors.h"
#include "tests/unit/scratch.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>

TestSuite(model, .init = scratch_setup, .fini = scratch_teardown);

static const char TINY[] = "{\"architecture\": \"adm\", \"arguments\": {\"image_size\": 16, \"in_channels\": 3, "
                           "\"model_channels\": 32, \"out_channels\": 3, \"num_res_blocks\": 1, "
                           "\"attention_resolutions\": [], \"channel_mult\": [1]%s}, \"prediction\": \"eps\", "
                           "\"schedule\": {\"kind\": \"vp_linear\", \"beta_start\": 0.0001, \"beta_end\": 0.02, "
                           "\"steps\": 1000%s}%s}";

static const char *tiny(const char *arguments, const char *schedule, const char *top)
{
    static char text[2048];
    snprintf(text, sizeof text, TINY, arguments, schedule, top);
    return text;
}

static const char *formula_path(const char *text)
{
    static char path[256];
    scratch_write(scratch_path("m.json"), text, strlen(text));
    snprintf(path, sizeof path, "formula:%s", scratch_path("m.json"));
    return path;
}

Test(model, formula_values)
{
    FILE *file = fopen(RMP_FIXTURES "/formula_test.txt", "r");
    cr_assert(file);
    char line[1024], name[512], a[64], b[64], value[64];
    int checked = 0;
    while (fgets(line, sizeof line, file)) {
        uint64_t seed, index;
        if (line[0] == '#') continue;
        cr_assert(sscanf(line, "%511s %" SCNx64 " %63s %63s %" SCNu64 " %63s", name, &seed, a, b, &index, value) == 6);
        cr_assert(rmp_formula_seed(name) == seed, "%s", name);
        const float got = rmp_formula_value(seed, index, strtod(a, NULL), strtod(b, NULL));
        cr_assert(got == strtof(value, NULL), "%s[%" PRIu64 "]", name, index);
        checked++;
    }
    fclose(file);
    cr_assert(checked > 50);
}

static json_t *load_fixture(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, RMP_FIXTURES "/%s.json", name);
    json_t *root = json_load_file(path, 0, NULL);
    cr_assert(root, "%s", path);
    return root;
}

/* Those of full size come last. */
static const char *const FIXTURES[] = {"adm_tiny_base",        "adm_tiny_conv",           "adm_tiny_pool",
                                       "adm_tiny_heads",       "adm_tiny_noss",           "adm_tiny_rect",
                                       "adm_tiny_eps",         "ncsnpp_tiny_eps",         "ncsnpp_tiny_residual",
                                       "ncsnpp_tiny_ve_cifar", "ncsnpp_tiny_ve_discrete", "ncsnpp_tiny_ve_ffhq",
                                       "ncsnpp_tiny_vp",       "ncsnpp_tiny_vp_ddpmpp",   "unet2d_tiny",
                                       "unet2d_tiny_eps",      "unet2d_tiny_heads",       "unet2d_tiny_ncsnpp",
                                       "adm_ffhq256",          "ncsnpp_ffhq256",          "unet2d_celebahq256"};
enum { FULL_SIZE = 3 };

/* The rules give the a and b of the lists that the originals' own state dictionaries made. */
Test(model, formula_rules)
{
    for (size_t k = 0; k < sizeof FIXTURES / sizeof *FIXTURES; k++) {
        json_t *root = load_fixture(FIXTURES[k]), *entry;
        const double gain = json_number_value(json_object_get(root, "gain"));
        size_t i;
        json_array_foreach(json_object_get(root, "parameters"), i, entry)
        {
            const char *name = json_string_value(json_object_get(entry, "name"));
            const json_t *shape = json_object_get(entry, "shape");
            rmp_tensor t = {.rank = (int)json_array_size(shape)};
            for (int d = 0; d < t.rank; d++)
                t.dims[d] = json_integer_value(json_array_get(shape, (size_t)d));
            double a, b;
            rmp_formula_rule(name, &t, gain, 16.0, &a, &b);
            const double want = json_number_value(json_object_get(entry, "a"));
            /* sqrt(3 / n) in another order of operations: two roundings */
            cr_assert(fabs(a - want) <= 4e-16 * want, "%s: %.17g, not %.17g", name, a, want);
            cr_assert(b == json_number_value(json_object_get(entry, "b")));
        }
        cr_assert(i > 100);
        json_decref(root);
    }
    double a, b;
    const rmp_tensor vector = {.rank = 1, .dims = {128}}, matrix = {.rank = 2, .dims = {48, 64}};
    rmp_formula_rule("all_modules.0.W", &vector, 0.5, 16.0, &a, &b);
    cr_assert(a == 16.0 && b == 0.0);
    rmp_formula_rule("all_modules.5.NIN_0.W", &matrix, 1.0, 16.0, &a, &b);
    cr_assert(a == 0.25 && b == 0.0, "W is (in, out)");
}

/* The network's own list is the original's, in its order, and the weights are those of the formula. */
Test(model, formula_networks)
{
    for (size_t k = 0; k + FULL_SIZE < sizeof FIXTURES / sizeof *FIXTURES; k++) { /* they take seconds */
        json_t *root = load_fixture(FIXTURES[k]), *entry;
        char path[512];
        rmp_model *model;
        size_t i;
        snprintf(path, sizeof path, "formula:" RMP_FIXTURES "/%s.json", FIXTURES[k]);
        expect_ok(rmp_model_open(path, &model));
        cr_assert(model->net->parameters == json_integer_value(json_object_get(root, "parameter_count")));
        json_array_foreach(json_object_get(root, "parameters"), i, entry)
        {
            const char *name = json_string_value(json_object_get(entry, "name"));
            cr_assert(strcmp(rmp_weights_name(model->weights, (int64_t)i), name) == 0);
            const rmp_tensor *t = rmp_weights_tensor(model->weights, (int64_t)i);
            const float want =
                rmp_formula_value(rmp_formula_seed(name), 3, json_number_value(json_object_get(entry, "a")),
                                  json_number_value(json_object_get(entry, "b")));
            cr_assert(rmp_tensor_count(t) < 4 || fabs(rmp_tensor_at(t, 3) - (double)want) <= 1e-7 * fabs((double)want));
        }
        cr_assert((int64_t)i == rmp_weights_count(model->weights));
        cr_assert(model->steps == 1000);
        rmp_model_close(&model);
        json_decref(root);
    }
}

Test(model, schedule)
{
    rmp_model *model;
    expect_ok(rmp_model_open(formula_path(tiny("", "", "")), &model));
    cr_assert(model->steps == 1000 && model->diffusion.range[0] == -1.0 && model->diffusion.range[1] == 1.0);
    double product = 1.0;
    for (int i = 0; i < 1000; i++) {
        product *= 1.0 - (1e-4 + (0.02 - 1e-4) * i / 999.0);
        cr_assert(fabs(model->abar[i] - product) < 1e-12 * product);
        cr_assert(i == 0 || model->abar[i] < model->abar[i - 1]);
    }
    /* As published for this schedule: the last signal level. */
    cr_assert(fabs(model->abar[999] - 4.0358e-5) < 1e-8);
    rmp_model_close(&model);
    rmp_model_close(&model);
}

Test(model, arguments_that_do_not_matter)
{
    rmp_model *model;
    expect_ok(rmp_model_open(formula_path(tiny(", \"dropout\": 0.1, \"use_checkpoint\": true, \"use_fp16\": false, "
                                               "\"dims\": 2, \"num_classes\": null, \"num_heads\": 4",
                                               "", ", \"range\": [0, 1], \"gain\": 0.5")),
                             &model));
    cr_assert(model->diffusion.range[0] == 0.0 && model->diffusion.range[1] == 1.0);
    rmp_model_close(&model);
}

Test(model, description_errors)
{
    static const struct {
        const char *arguments, *schedule, *top, *word, *other;
    } cases[] = {
        {", \"colour\": 1", "", "", "arguments", "'colour'"},
        {", \"num_heads\": \"four\"", "", "", "num_heads", "integer"},
        {", \"num_heads\": 1.5", "", "", "num_heads", "integer"},
        {", \"resblock_updown\": 1", "", "", "resblock_updown", "true or false"},
        {", \"dims\": 3", "", "", "dims", "only 2"},
        {", \"num_classes\": 1000", "", "", "num_classes", "null"},
        {", \"dropout\": 2", "", "", "dropout", "0 to 1"},
        {", \"num_heads\": 1, \"num_heads\": 2", "", "", "duplicate", "num_heads"},
        {"", ", \"shape\": 1", "", "schedule", "'shape'"},
        {"", "", ", \"precision\": 1", "description", "'precision'"},
        {"", "", ", \"range\": [1, -1]", "range", "ascend"},
        {"", "", ", \"range\": [1]", "range", "two numbers"},
        {"", "", ", \"range\": [0, true]", "range", "number"},
    };
    rmp_model *model;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = formula_path(tiny(cases[i].arguments, cases[i].schedule, cases[i].top));
        expect_failure(rmp_model_open(path, &model), RMP_ERR_FORMAT, "m.json", cases[i].word);
        expect_failure(rmp_model_open(path, &model), RMP_ERR_FORMAT, "m.json", cases[i].other);
        cr_assert(!model);
    }
    static const char *const replaced[][4] = {
        {"\"adm\"", "\"vgg\"", "architecture", "'vgg'"},
        {"\"eps\"", "\"noise\"", "prediction", "'noise'"},
        {"vp_linear", "cosine", "schedule", "'cosine'"},
        {"\"steps\": 1000", "\"steps\": 0", "steps", "10000"},
        {"\"steps\": 1000", "\"stops\": 1000", "schedule", "'steps'"},
        {"0.0001", "-1", "schedule", "beta_start"},
        {"0.02", "1.5", "schedule", "beta_end"},
        {"0.02", "\"x\"", "beta_end", "number"},
        {"\"image_size\"", "\"size\"", "arguments", "'image_size'"},
        {"\"channel_mult\": [1]", "\"channel_mult\": []", "channel_mult", "at least one"},
        {"\"channel_mult\": [1]", "\"channel_mult\": [0.5]", "channel_mult", "integer"},
        {"\"attention_resolutions\": []", "\"attention_resolutions\": 16", "attention_resolutions", "list"},
        {"\"architecture\": \"adm\",", "", "'architecture'", "missing"},
        {"{\"architecture\"", "[{\"architecture\"", "description", "line"},
    };
    for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++) {
        char text[2048];
        const char *whole = tiny("", "", ""), *at = strstr(whole, replaced[i][0]);
        cr_assert(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - whole), whole, replaced[i][1], at + strlen(replaced[i][0]));
        const char *path = formula_path(text);
        expect_failure(rmp_model_open(path, &model), RMP_ERR_FORMAT, "m.json", replaced[i][2]);
        expect_failure(rmp_model_open(path, &model), RMP_ERR_FORMAT, "m.json", replaced[i][3]);
    }
    expect_failure(rmp_model_open("formula:/none.json", &model), RMP_ERR_IO, "/none.json", "No such file");
}

/* The weights of a tiny formula network as a file, with or without its description inside. */
static void write_weights(const char *name, const char *description, const char *without, bool extra)
{
    char *metadata = description ? strdup(description) : NULL; /* it is in the buffer of tiny() */
    rmp_model *model;
    rmp_weights *copy;
    const float zero = 0.0F;
    const rmp_tensor one = {RMP_F32, 1, {1}, &zero};
    expect_ok(rmp_model_open(formula_path(tiny("", "", "")), &model));
    expect_ok(rmp_weights_create(&copy));
    for (int64_t i = 0; i < rmp_weights_count(model->weights); i++)
        if (!without || strcmp(rmp_weights_name(model->weights, i), without) != 0)
            expect_ok(
                rmp_weights_add(copy, rmp_weights_name(model->weights, i), rmp_weights_tensor(model->weights, i)));
    if (extra) expect_ok(rmp_weights_add(copy, "label_emb.weight", &one));
    expect_ok(rmp_safetensors_write(scratch, name, copy, metadata ? "rmp" : NULL, metadata));
    free(metadata);
    rmp_weights_destroy(&copy);
    rmp_model_close(&model);
}

Test(model, files)
{
    rmp_model *model;
    const char *path = scratch_path("net.safetensors");
    const char *json = scratch_path("net.json");
    write_weights("net.safetensors", tiny("", "", ""), NULL, false);
    scratch_write(json, "not even JSON", 13); /* the file's own metadata wins */
    expect_ok(rmp_model_open(path, &model));
    cr_assert(strstr(model->description, "vp_linear"));
    rmp_model_close(&model);
    write_weights("net.safetensors", NULL, NULL, false);
    expect_failure(rmp_model_open(path, &model), RMP_ERR_FORMAT, "net.json", "line 1");
    const char *text = tiny("", "", ", \"range\": [0, 1]");
    scratch_write(json, text, strlen(text));
    expect_ok(rmp_model_open(path, &model));
    cr_assert(model->diffusion.range[0] == 0.0);
    rmp_model_close(&model);
    cr_assert(remove(json) == 0);
    expect_failure(rmp_model_open(path, &model), RMP_ERR_FORMAT, "net.safetensors", "net.json");
    text = tiny("", "", ", \"gain\": 1"); /* belongs to formulas */
    scratch_write(json, text, strlen(text));
    expect_failure(rmp_model_open(path, &model), RMP_ERR_FORMAT, "net.json", "'gain'");
}

Test(model, wrong_tensors)
{
    rmp_model *model;
    const char *path = scratch_path("net.safetensors");
    write_weights("net.safetensors", tiny("", "", ""), "out.2.bias", false);
    expect_failure(rmp_model_open(path, &model), RMP_ERR_FORMAT, "net.safetensors", "out.2.bias");
    write_weights("net.safetensors", tiny("", "", ""), NULL, true);
    expect_failure(rmp_model_open(path, &model), RMP_ERR_FORMAT, "net.safetensors", "label_emb.weight");
    write_weights("net.safetensors", tiny(", \"use_scale_shift_norm\": true", "", ""), NULL, false);
    expect_failure(rmp_model_open(path, &model), RMP_ERR_FORMAT, "net.safetensors", "emb_layers");
    expect_failure(rmp_model_open(scratch_path("none"), &model), RMP_ERR_IO, "none", "No such file");
}

Test(model, shipped, .init = NULL, .fini = NULL)
{
    rmp_model *model;
    expect_ok(rmp_model_open(RMP_SOURCE "/jobs/models/photo64.safetensors", &model));
    cr_assert(model->net->parameters == 3640035 && model->net->multiple == 8 && model->net->image_size == 64);
    cr_assert(model->steps == 1000 && model->net->out_channels == 3);
    rmp_model_close(&model);
}
