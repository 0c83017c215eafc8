#include "core/nets/adm.h"
#include "io/file.h"
#include "io/halve.h"
#include "io/infer.h"
#include "io/model_expected.h"
#include "io/model_source.h"
#include "io/safetensors.h"
#include "tests/unit/scratch.h"

#include <jansson.h>
#include <math.h>
#include <sys/stat.h>

TestSuite(model_source, .init = scratch_setup, .fini = scratch_teardown);

/* Shapes alone: what a network is inferred from. */
static rmp_weights *shapes(const char *fixture)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.json", RMP_FIXTURES, fixture);
    json_t *root = json_load_file(path, 0, NULL), *parameter, *dim;
    cr_assert(root, "%s", path);
    rmp_weights *weights;
    size_t i, k;
    expect_ok(rmp_weights_create(&weights));
    json_array_foreach(json_object_get(root, "parameters"), i, parameter)
    {
        rmp_tensor t = {.dtype = RMP_F32};
        json_array_foreach(json_object_get(parameter, "shape"), k, dim) t.dims[t.rank++] = json_integer_value(dim);
        expect_ok(rmp_weights_add(weights, json_string_value(json_object_get(parameter, "name")), &t));
    }
    json_decref(root);
    return weights;
}

static json_t *fixture_arguments(const char *fixture)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.json", RMP_FIXTURES, fixture);
    json_t *root = json_load_file(path, 0, NULL);
    json_t *arguments = json_incref(json_object_get(root, "arguments"));
    cr_assert(arguments, "%s", path);
    json_decref(root);
    return arguments;
}

/* Every key that was inferred has the value that the fixture was made with, or what the constructor takes for it. */
static void expect_same(const char *fixture, const json_t *inferred, const json_t *made)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)inferred, key, value)
    {
        const json_t *wanted = json_object_get(made, key);
        if (json_is_object(value))
            expect_same(fixture, value, wanted);
        else if (!wanted)
            cr_assert((json_is_boolean(value) && json_is_true(value) == (strcmp(key, "conv_resample") == 0)), "%s: %s",
                      fixture, key);
        else if (json_is_number(value))
            cr_assert(json_number_value(value) == json_number_value(wanted), "%s: %s", fixture, key);
        else
            cr_assert(json_equal(value, wanted), "%s: %s", fixture, key);
    }
}

static void expect_inferred(const char *fixture, const char *architecture, const char *given,
                            rmp_status (*infer)(const rmp_infer *, json_t **))
{
    rmp_weights *weights = shapes(fixture);
    json_t *settings = json_loads(given, 0, NULL), *made = fixture_arguments(fixture), *description = NULL;
    const rmp_infer from = {weights, settings};
    const char *name = rmp_infer_architecture(weights);
    cr_assert(name && strcmp(name, architecture) == 0, "%s", fixture);
    expect_ok(infer(&from, &description));
    json_t *arguments = json_object_get(description, "arguments");
    expect_same(fixture, arguments, made);
    /* With what was given it is a description, and the tensors are those of that network. */
    const char *key;
    json_t *value;
    json_object_foreach(settings, key, value) if (!json_is_object(value))
        cr_assert(json_object_set(arguments, key, value) == 0);
    char *text = json_dumps(description, 0);
    rmp_model_fit fit;
    expect_ok(rmp_model_expected(weights, text, NULL, NULL, &fit));
    cr_assert(fit.missing == 0 && fit.misshapen == 0 && fit.unexpected == 0, "%s", fixture);
    free(text);
    json_decref(description);
    json_decref(settings);
    json_decref(made);
    rmp_weights_destroy(&weights);
}

Test(model_source, infers_adm)
{
    expect_inferred("adm_ffhq256", "adm", "{}", rmp_infer_adm);
    expect_inferred("adm_tiny_base", "adm", "{\"image_size\": 32, \"num_head_channels\": 16}", rmp_infer_adm);
    expect_inferred("adm_tiny_conv", "adm", "{\"image_size\": 16, \"num_head_channels\": 32}", rmp_infer_adm);
    expect_inferred("adm_tiny_pool", "adm", "{\"image_size\": 16, \"num_head_channels\": 32}", rmp_infer_adm);
    expect_inferred("adm_tiny_heads", "adm", "{\"image_size\": 16, \"num_heads\": 4}", rmp_infer_adm);
    expect_inferred("adm_tiny_noss", "adm", "{\"image_size\": 16, \"num_head_channels\": 32}", rmp_infer_adm);
}

Test(model_source, infers_ncsnpp)
{
    expect_inferred("ncsnpp_tiny_ve_ffhq", "ncsnpp",
                    "{\"model\": {\"sigma_max\": 348, \"num_scales\": 2000}, \"data\": {\"image_size\": 16}}",
                    rmp_infer_ncsnpp);
    expect_inferred("ncsnpp_tiny_ve_cifar", "ncsnpp",
                    "{\"model\": {\"sigma_max\": 50, \"num_scales\": 1000}, \"data\": {\"image_size\": 16}}",
                    rmp_infer_ncsnpp);
    expect_inferred("ncsnpp_tiny_vp_ddpmpp", "ncsnpp", "{\"model\": {\"scale_by_sigma\": false, \"fir\": false}}",
                    rmp_infer_ncsnpp);
}

/* The noise levels are in the buffer, as doubles of exp(log()). */
Test(model_source, noise_levels)
{
    rmp_weights *weights = shapes("ncsnpp_tiny_ve_ffhq");
    const double sigmas[3] = {exp(log(348.0)), 1.0, exp(log(0.01))};
    const rmp_tensor t = {.dtype = RMP_F64, .rank = 1, .dims = {3}, .data = sigmas};
    expect_ok(rmp_weights_add(weights, "sigmas", &t));
    json_t *none = json_object(), *description = NULL;
    const rmp_infer from = {weights, none};
    expect_ok(rmp_infer_ncsnpp(&from, &description));
    const json_t *schedule = json_object_get(description, "schedule");
    cr_assert(json_number_value(json_object_get(schedule, "sigma_max")) == 348.0);
    cr_assert(json_number_value(json_object_get(schedule, "sigma_min")) == 0.01);
    cr_assert(json_integer_value(json_object_get(schedule, "steps")) == 3);
    json_decref(description);
    json_decref(none);
    rmp_weights_destroy(&weights);
}

Test(model_source, says_what_is_missing)
{
    static const struct {
        const char *fixture, *given, *word;
        rmp_status (*infer)(const rmp_infer *, json_t **);
    } cases[] = {{"adm_tiny_base", "{\"image_size\": 32}", "num_head_channels", rmp_infer_adm},
                 {"adm_tiny_base", "{\"num_heads\": 2}", "image_size", rmp_infer_adm},
                 {"ncsnpp_tiny_ve_ffhq", "{}", "model.sigma_max", rmp_infer_ncsnpp},
                 {"ncsnpp_tiny_vp_ddpmpp", "{}", "model.scale_by_sigma", rmp_infer_ncsnpp},
                 {"adm_tiny_base", "{}", "config.json", rmp_infer_unet2d},
                 {"adm_tiny_base", "{}", "all_modules.", rmp_infer_ncsnpp},
                 {"ncsnpp_tiny_ve_ffhq", "{}", "time_embed", rmp_infer_adm}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rmp_weights *weights = shapes(cases[i].fixture);
        json_t *given = json_loads(cases[i].given, 0, NULL), *description = NULL;
        const rmp_infer from = {weights, given};
        expect_failure(cases[i].infer(&from, &description), RMP_ERR_FORMAT, cases[i].word, "");
        cr_assert(!description);
        json_decref(given);
        rmp_weights_destroy(&weights);
    }
}

typedef struct mismatches {
    int count;
    char text[8192];
} mismatches;

static void collect(void *context, const char *kind, const char *name, const rmp_tensor *have, const rmp_tensor *want)
{
    mismatches *m = context;
    cr_assert(strcmp(kind, "missing") == 0     ? !have && want
              : strcmp(kind, "misshapen") != 0 ? have && !want
                                               : have && want);
    const size_t used = strlen(m->text);
    snprintf(m->text + used, sizeof m->text - used, "%s %s;", kind, name);
    m->count++;
}

Test(model_source, lists_every_mismatch)
{
    static const char description[] =
        "{\"architecture\": \"adm\", \"arguments\": {\"image_size\": 32, \"in_channels\": 3, \"model_channels\": 32, "
        "\"out_channels\": 3, \"num_res_blocks\": 1, \"attention_resolutions\": [2], \"channel_mult\": [1, 2], "
        "\"num_head_channels\": 16, \"use_scale_shift_norm\": true, \"resblock_updown\": true}, \"prediction\": "
        "\"eps\", \"schedule\": {\"kind\": \"vp_linear\", \"beta_start\": 0.0001, \"beta_end\": 0.02, \"steps\": "
        "1000}}";
    rmp_weights *weights = shapes("adm_tiny_base"); /* has 6 output channels */
    const int64_t needed = rmp_weights_count(weights);
    const rmp_tensor t = {.dtype = RMP_F32, .rank = 1, .dims = {3}};
    expect_ok(rmp_weights_add(weights, "one", &t));
    expect_ok(rmp_weights_add(weights, "two", &t));
    rmp_model_fit fit;
    mismatches found = {0};
    expect_ok(rmp_model_expected(weights, description, collect, &found, &fit));
    cr_assert(fit.misshapen == 2 && fit.missing == 0 && fit.unexpected == 2 && found.count == 4, "%s", found.text);
    cr_assert(strcmp(found.text, "misshapen out.2.weight;misshapen out.2.bias;unexpected one;unexpected two;") == 0,
              "%s", found.text);
    rmp_weights_destroy(&weights);
    expect_ok(rmp_weights_create(&weights));
    expect_ok(rmp_model_expected(weights, description, NULL, NULL, &fit));
    cr_assert(fit.missing == needed && fit.misshapen == 0 && fit.unexpected == 0);
    /* A right shape, but its last number is too large for float32; the other one has none such. */
    const double large[6] = {[5] = 1e39}, plain[32 * 3 * 3 * 3] = {1.0};
    const rmp_tensor bias = {.dtype = RMP_F64, .rank = 1, .dims = {3}, .data = large + 3};
    const rmp_tensor kernel = {.dtype = RMP_F64, .rank = 4, .dims = {32, 3, 3, 3}, .data = plain};
    found = (mismatches){0};
    expect_ok(rmp_weights_add(weights, "out.2.bias", &bias));
    expect_ok(rmp_weights_add(weights, "input_blocks.0.0.weight", &kernel));
    expect_ok(rmp_model_expected(weights, description, collect, &found, &fit));
    cr_assert(fit.not_finite == 1 && fit.missing == needed - 2 && strstr(found.text, "not finite out.2.bias;"), "%s",
              found.text);
    rmp_weights_destroy(&weights);
}

static const char CONFIG[] =
    "{\"_class_name\": \"UNet2DModel\", \"_diffusers_version\": \"0.1\", \"sample_size\": 16, "
    "\"in_channels\": 3, \"out_channels\": 3, \"layers_per_block\": 1, "
    "\"block_out_channels\": [32, 64, 64], \"down_block_types\": [\"DownBlock2D\", "
    "\"AttnDownBlock2D\", \"DownBlock2D\"], \"up_block_types\": [\"UpBlock2D\", "
    "\"AttnUpBlock2D\", \"UpBlock2D\"], \"downsample_padding\": 0, \"attention_head_dim\": null}";

static void write_text(const char *path, const char *text) { scratch_write(path, text, strlen(text)); }

/* The names that tell the architecture are enough for where the description comes from. */
static void write_weights(const char *folder)
{
    const float zero[4] = {0};
    const rmp_tensor t = {.dtype = RMP_F32, .rank = 1, .dims = {4}, .data = zero};
    rmp_weights *weights;
    expect_ok(rmp_weights_create(&weights));
    expect_ok(rmp_weights_add(weights, "conv_in.weight", &t));
    expect_ok(rmp_weights_add(weights, "time_embedding.linear_1.weight", &t));
    expect_ok(rmp_safetensors_write(folder, "diffusion_pytorch_model.safetensors", weights, NULL, NULL));
    rmp_weights_destroy(&weights);
}

static json_t *describe(const char *path)
{
    rmp_model_source source;
    expect_ok(rmp_model_source_open(path, NULL, NULL, 0, &source));
    cr_assert(strcmp(source.origin, "config.json of diffusers") == 0 && !source.inferred);
    json_t *root = json_loads(source.description, 0, NULL);
    rmp_model_source_close(&source);
    return root;
}

Test(model_source, folders_of_diffusers)
{
    rmp_model_source source;
    expect_failure(rmp_model_source_open(scratch, NULL, NULL, 0, &source), RMP_ERR_FORMAT, scratch,
                   "diffusion_pytorch_model");
    write_text(scratch_path("diffusion_pytorch_model.safetensors.index.json"), "{}");
    expect_failure(rmp_model_source_open(scratch, NULL, NULL, 0, &source), RMP_ERR_FORMAT, "index.json", "split");
    /* The files side by side. */
    write_weights(scratch);
    write_text(scratch_path("config.json"), CONFIG);
    json_t *root = describe(scratch);
    cr_assert(json_number_value(json_object_get(json_object_get(root, "schedule"), "beta_end")) == 0.02);
    cr_assert(strcmp(json_string_value(json_object_get(root, "architecture")), "unet2d") == 0);
    json_decref(root);
    write_text(scratch_path("scheduler_config.json"),
               "{\"_class_name\": \"DDPMScheduler\", \"beta_start\": 0.001, \"beta_end\": 0.01, \"beta_schedule\": "
               "\"scaled_linear\", \"num_train_timesteps\": 500}");
    root = describe(scratch_path("diffusion_pytorch_model.safetensors"));
    const json_t *schedule = json_object_get(root, "schedule");
    cr_assert(strcmp(json_string_value(json_object_get(schedule, "kind")), "scaled_linear") == 0);
    cr_assert(json_number_value(json_object_get(schedule, "beta_start")) == 0.001);
    cr_assert(json_integer_value(json_object_get(schedule, "steps")) == 500);
    json_decref(root);
    /* unet/ and scheduler/ of a pipeline. */
    cr_assert(mkdir(scratch_path("p"), 0700) == 0 && mkdir(scratch_path("p/unet"), 0700) == 0 &&
              mkdir(scratch_path("p/scheduler"), 0700) == 0);
    write_weights(scratch_path("p/unet"));
    write_text(scratch_path("p/unet/config.json"), CONFIG);
    write_text(scratch_path("p/scheduler/scheduler_config.json"), "{\"beta_end\": 0.015}");
    root = describe(scratch_path("p"));
    cr_assert(json_number_value(json_object_get(json_object_get(root, "schedule"), "beta_end")) == 0.015);
    json_decref(root);
    static const struct {
        const char *name, *text, *word, *other;
    } cases[] = {
        {"p/scheduler/scheduler_config.json", "{", "scheduler_config.json", "line 1"},
        {"p/scheduler/scheduler_config.json", "{\"prediction_type\": \"v_prediction\"}", "v_prediction", "p/unet"},
        {"p/scheduler/scheduler_config.json", "{\"beta_schedule\": \"sigmoid\"}", "sigmoid", "p/unet"},
        {"p/scheduler/scheduler_config.json", "{\"_class_name\": \"CMStochasticIterativeScheduler\"}",
         "'CMStochasticIterativeScheduler'", "DDPMScheduler"},
        {"p/scheduler/scheduler_config.json", "{\"_class_name\": 3}", "scheduler: of class '?'", "DDPMScheduler"},
        {"p/scheduler/scheduler_config.json", "{\"trained_betas\": [0.1, 0.2]}", "trained_betas", "p/unet"},
        {"p/scheduler/scheduler_config.json", "{\"rescale_betas_zero_snr\": true}", "rescale_betas_zero_snr", "false"},
        {"p/scheduler/scheduler_config.json", "{\"use_flow_sigmas\": true}", "use_flow_sigmas", "false"},
        {"p/unet/config.json", "{\"_class_name\": \"UNet2DConditionModel\"}", "UNet2DConditionModel", "config.json"},
        {"p/unet/config.json", "[]", "object", "config.json"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(scratch_path(cases[i].name), cases[i].text);
        expect_failure(rmp_model_source_open(scratch_path("p"), NULL, NULL, 0, &source), RMP_ERR_FORMAT, cases[i].word,
                       cases[i].other);
        cr_assert(!source.weights && !source.description && !source.path);
    }
}

Test(model_source, settings_and_names)
{
    char *const settings[] = {"image_size=64", "model.fir=true", "word=residual"}, *const bad[] = {"image_size"};
    rmp_model_source source;
    char path[512];
    snprintf(path, sizeof path, "%s/torch/linear.pt", RMP_FIXTURES);
    expect_failure(rmp_model_source_open(path, NULL, NULL, 0, &source), RMP_ERR_FORMAT, "linear.pt", "'weight'");
    expect_failure(rmp_model_source_open(path, "adm", NULL, 0, &source), RMP_ERR_FORMAT, "linear.pt", "time_embed");
    write_text(scratch_path("a.json"), "{\"architecture\": \"adm\", \"arguments\": {\"image_size\": 32}}");
    size_t size;
    char *bytes = scratch_read(path, &size);
    scratch_write(scratch_path("a.pth"), bytes, size);
    free(bytes);
    expect_ok(rmp_model_source_open(scratch_path("a.pth"), "adm", settings, 3, &source));
    cr_assert(strstr(source.description, "\"image_size\":64") &&
                  strstr(source.description, "\"model\":{\"fir\":true}") &&
                  strstr(source.description, "\"word\":\"residual\""),
              "%s", source.description);
    rmp_model_source_close(&source);
    expect_failure(rmp_model_source_open(scratch_path("a.pth"), "ncsnpp", NULL, 0, &source), RMP_ERR_FORMAT, "'adm'",
                   "a.json");
    expect_failure(rmp_model_source_open(scratch_path("a.pth"), NULL, bad, 1, &source), RMP_ERR_CONFIG, "image_size",
                   "KEY=VALUE");
}

Test(model_source, half)
{
    /* Every float16 comes back from itself; what lies between goes to the nearest, ties to even. */
    for (unsigned bits = 0; bits < 0x7c00u; bits++) {
        const uint16_t half = (uint16_t)bits;
        const rmp_tensor t = {.dtype = RMP_F16, .rank = 0, .data = &half};
        const float value = (float)rmp_tensor_at(&t, 0);
        cr_assert(rmp_half_bits(value) == half && rmp_half_bits(-value) == (half | 0x8000u), "%04x", bits);
        const uint16_t next = (uint16_t)(bits + 1);
        const rmp_tensor above = {.dtype = RMP_F16, .rank = 0, .data = &next};
        if (next == 0x7c00u) break;
        const float middle = (float)((rmp_tensor_at(&t, 0) + rmp_tensor_at(&above, 0)) / 2);
        cr_assert(rmp_half_bits(middle) == (bits % 2 ? next : half), "%04x", bits);
        cr_assert(rmp_half_bits(nextafterf(middle, 1e9F)) == next && rmp_half_bits(nextafterf(middle, 0)) == half);
    }
    cr_assert(rmp_half_bits(65520.0F) == 0x7c00u && rmp_half_bits(-1e9F) == 0xfc00u);
    const float values[6] = {1, -2, 0.5F, 3, 4, 5};
    const float large = 1e6F;
    rmp_weights *weights, *halved = NULL;
    expect_ok(rmp_weights_create(&weights));
    expect_ok(rmp_weights_add(weights, "m", &(rmp_tensor){.rank = 2, .dims = {2, 3}, .data = values}));
    expect_ok(rmp_weights_add(weights, "v", &(rmp_tensor){.rank = 1, .dims = {6}, .data = values}));
    expect_ok(rmp_weights_halve(weights, &halved));
    const rmp_tensor *m = rmp_weights_find(halved, "m");
    cr_assert(m->dtype == RMP_F16 && rmp_weights_find(halved, "v")->dtype == RMP_F32);
    for (int i = 0; i < 6; i++)
        cr_assert(rmp_tensor_at(m, i) == (double)values[i]);
    rmp_weights_destroy(&halved);
    expect_ok(rmp_weights_add(weights, "big", &(rmp_tensor){.rank = 2, .dims = {1, 1}, .data = &large}));
    expect_failure(rmp_weights_halve(weights, &halved), RMP_ERR_FORMAT, "'big'", "float16");
    cr_assert(!halved);
    rmp_weights_destroy(&weights);
}
