/* Descriptions of NCSN++ and diffusers networks: what follows from them, what they refuse, other names of tensors. */
#include "io/description.h"
#include "io/model.h"
#include "io/safetensors.h"
#include "tests/unit/fixture.h"
#include "tests/unit/scratch.h"

#include <math.h>

TestSuite(description, .init = scratch_setup, .fini = scratch_teardown);

/* A fixture's architecture and arguments, with other keys behind them; the caller frees. */
static json_t *described(const char *fixture, const char *architecture, const char *more)
{
    json_t *all = fixture_json(fixture), *out = json_loads(more, 0, NULL);
    cr_assert(all && out, "%s: %s", fixture, more);
    json_object_set_new(out, "architecture", json_string(architecture));
    json_object_set(out, "arguments", json_object_get(all, "arguments"));
    json_decref(all);
    return out;
}

static rmp_status parse(json_t *json, rmp_description *out)
{
    char *text = json_dumps(json, 0);
    const rmp_status status = rmp_description_parse(text, false, out);
    free(text);
    json_decref(json);
    return status;
}

Test(description, what_follows_from_arguments)
{
    static const struct {
        const char *fixture;
        rmp_prediction prediction;
        rmp_schedule_kind kind;
        double low, sigma_max;
    } cases[] = {{"ncsnpp_tiny_ve_ffhq", RMP_PREDICTION_SCORE, RMP_SCHEDULE_VE, 0.0, 348.0},
                 {"ncsnpp_tiny_ve_discrete", RMP_PREDICTION_SCORE, RMP_SCHEDULE_VE_LABELS, 0.0, 50.0},
                 {"ncsnpp_tiny_vp", RMP_PREDICTION_EPS, RMP_SCHEDULE_VP_CONTINUOUS, -1.0, 50.0},
                 {"unet2d_tiny", RMP_PREDICTION_EPS, RMP_SCHEDULE_VP, -1.0, 0.0},
                 {"unet2d_tiny_ncsnpp", RMP_PREDICTION_SCORE, RMP_SCHEDULE_VE, 0.0, 1348.0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[512];
        rmp_model *model;
        snprintf(path, sizeof path, "formula:" RMP_FIXTURES "/%s.json", cases[i].fixture);
        expect_ok(rmp_model_open(path, &model));
        const rmp_diffusion *d = &model->diffusion;
        cr_expect(d->prediction == cases[i].prediction && d->schedule.kind == cases[i].kind, "%s", cases[i].fixture);
        cr_expect(d->range[0] == cases[i].low && d->range[1] == 1.0, "%s", cases[i].fixture);
        cr_expect(d->schedule.sigma_max == cases[i].sigma_max, "%s", cases[i].fixture);
        for (int64_t k = 1; k < model->steps; k++)
            cr_assert(model->abar[k] < model->abar[k - 1] && model->abar[k] > 0.0);
        rmp_model_close(&model);
    }
}

Test(description, schedules)
{
    rmp_description d;
    double *abar;
    int64_t steps;
    expect_ok(parse(described("unet2d_tiny", "unet2d",
                              "{\"prediction\": \"eps\", \"schedule\": {\"kind\": \"scaled_linear\", \"beta_start\": "
                              "0.0015, \"beta_end\": 0.0195, \"steps\": 1000}}"),
                    &d));
    expect_ok(rmp_description_abar(&d, &abar, &steps));
    double product = 1.0;
    for (int i = 0; i < 1000; i++) {
        const double root = sqrt(0.0015) + (sqrt(0.0195) - sqrt(0.0015)) * i / 999.0;
        product *= 1.0 - root * root;
        cr_assert(fabs(abar[i] - product) < 1e-12 * product);
    }
    free(abar);
    expect_ok(parse(
        described("ncsnpp_tiny_vp", "ncsnpp", "{\"prediction\": \"eps\", \"schedule\": {\"kind\": \"vp_continuous\"}}"),
        &d));
    expect_ok(rmp_description_abar(&d, &abar, &steps));
    cr_expect(steps == 1000 && d.diffusion.schedule.beta_min == 0.1 && d.diffusion.schedule.beta_max == 20.0);
    cr_expect(fabs(abar[999] - exp(-10.05)) < 1e-12);
    free(abar);
    expect_ok(parse(described("ncsnpp_tiny_ve_discrete", "ncsnpp",
                              "{\"prediction\": \"score\", \"schedule\": {\"kind\": \"ve\", \"sigma_min\": 0.02, "
                              "\"sigma_max\": 90, \"steps\": 232}, \"range\": [0, 255]}"),
                    &d));
    cr_expect(d.diffusion.schedule.kind == RMP_SCHEDULE_VE_LABELS && d.diffusion.schedule.steps == 232);
    cr_expect(d.diffusion.schedule.sigma_max == 90.0 && d.diffusion.range[1] == 255.0);
    expect_ok(parse(described("ncsnpp_tiny_ve_discrete", "ncsnpp",
                              "{\"prediction\": \"score\", \"schedule\": {\"kind\": \"ve\", \"labels\": false, "
                              "\"sigma_min\": 0.02, \"sigma_max\": 90}}"),
                    &d));
    cr_expect(d.diffusion.schedule.kind == RMP_SCHEDULE_VE);
    expect_ok(parse(described("unet2d_tiny", "unet2d", "{\"preconditioning\": \"edm\", \"sigma_data\": 0.25}"), &d));
    cr_expect(d.diffusion.prediction == RMP_PREDICTION_EDM && d.diffusion.sigma_data == 0.25);
    cr_expect(d.diffusion.schedule.kind == RMP_SCHEDULE_EDM && d.diffusion.schedule.sigma_max == 80.0);
    expect_ok(parse(described("unet2d_tiny", "unet2d",
                              "{\"prediction\": \"edm\", \"schedule\": {\"kind\": \"edm\", \"sigma_max\": 50}}"),
                    &d));
    cr_expect(d.diffusion.schedule.sigma_min == 0.002 && d.diffusion.schedule.sigma_max == 50.0);
}

Test(description, contradictions)
{
    static const char vp[] = "{\"kind\": \"vp_linear\", \"beta_start\": 1e-4, \"beta_end\": 0.02, \"steps\": 1000}";
    static const struct {
        const char *prediction, *schedule, *word, *other;
    } cases[] = {
        {"\"prediction\": \"v\"", vp, "prediction", "'v'"},
        {"\"preconditioning\": \"vp\"", NULL, "preconditioning", "'vp'"},
        {"\"preconditioning\": \"edm\", \"prediction\": \"eps\"", NULL, "'eps'", "preconditioning"},
        {"\"preconditioning\": \"edm\"", vp, "edm", "schedule"},
        {"\"prediction\": \"eps\"", "{\"kind\": \"edm\"}", "edm", "schedule"},
        {"\"prediction\": \"eps\"", NULL, "'schedule'", "missing"},
        {"\"sigma_data\": 0.5", vp, "'prediction'", "missing"},
        {"\"preconditioning\": \"edm\", \"sigma_data\": 0", NULL, "sigma_data", "positive"},
        {"\"prediction\": \"eps\", \"sigma_data\": 0.5", vp, "sigma_data", "edm"},
        {"\"prediction\": \"score\"", "{\"kind\": \"ve\", \"sigma_min\": 1}", "'sigma_max'", "missing"},
        {"\"prediction\": \"score\"", "{\"kind\": \"ve\", \"sigma_min\": 1, \"sigma_max\": 0.5}", "schedule", "0.5"},
        {"\"prediction\": \"score\"", "{\"kind\": \"ve\", \"sigma_min\": 1, \"sigma_max\": 2, \"beta_min\": 1}",
         "schedule", "'beta_min'"},
        {"\"prediction\": \"eps\"", "{\"kind\": \"vp_continuous\", \"beta_min\": 0}", "schedule", "betas"},
        {"\"prediction\": \"eps\"", "{\"kind\": \"vp_continuous\", \"labels\": true}", "schedule", "'labels'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        rmp_description d;
        snprintf(text, sizeof text, "{%s%s%s}", cases[i].prediction, cases[i].schedule ? ", \"schedule\": " : "",
                 cases[i].schedule ? cases[i].schedule : "");
        expect_failure(parse(described("unet2d_tiny", "unet2d", text), &d), RMP_ERR_FORMAT, cases[i].word,
                       cases[i].other);
    }
}

/* One argument of a fixture replaced ("section.key" or "key"); then the network is listed. */
static void refused(const char *fixture, const char *architecture, const char *key, const char *value,
                    rmp_status wanted, const char *word)
{
    json_t *json = described(fixture, architecture, "{\"preconditioning\": \"edm\"}");
    json_t *arguments = json_deep_copy(json_object_get(json, "arguments")), *section = arguments;
    json_object_set_new(json, "arguments", arguments);
    const char *dot = strchr(key, '.'), *last = dot ? dot + 1 : key;
    char name[32];
    if (dot) {
        snprintf(name, sizeof name, "%.*s", (int)(dot - key), key);
        section = json_object_get(arguments, name);
    }
    cr_assert(section);
    json_object_set_new(section, last, json_loads(value, JSON_DECODE_ANY, NULL));
    rmp_description d;
    rmp_weights *list;
    expect_ok(rmp_weights_create(&list));
    rmp_status status = parse(json, &d);
    if (status == RMP_OK) status = d.architecture->list(&d, list);
    cr_expect(status == wanted, "%s = %s: status %s: %s", key, value, rmp_status_name(status), rmp_fail_message());
    cr_expect(strstr(rmp_fail_message(), word), "%s = %s: '%s' lacks '%s'", key, value, rmp_fail_message(), word);
    rmp_weights_destroy(&list);
}

Test(description, arguments_of_ncsnpp)
{
    static const struct {
        const char *key, *value;
        rmp_status status;
        const char *word;
    } cases[] = {{"model.colour", "1", RMP_ERR_FORMAT, "'colour'"},
                 {"data.colour", "1", RMP_ERR_FORMAT, "'colour'"},
                 {"colour", "1", RMP_ERR_FORMAT, "'colour'"},
                 {"model.nonlinearity", "\"elu\"", RMP_ERR_FORMAT, "'elu'"},
                 {"model.progressive_combine", "\"cat\"", RMP_ERR_FORMAT, "'cat'"},
                 {"model.conditional", "false", RMP_ERR_FORMAT, "conditional"},
                 {"model.name", "\"ddpm\"", RMP_ERR_FORMAT, "name: 'ddpm'"},
                 {"model.normalization", "\"InstanceNorm++\"", RMP_ERR_FORMAT, "normalization"},
                 {"model.attention_type", "\"linear\"", RMP_ERR_FORMAT, "attention_type"},
                 {"model.num_heads", "4", RMP_ERR_FORMAT, "num_heads"},
                 {"model.embedding_type", "\"learned\"", RMP_ERR_FORMAT, "embedding_type"},
                 {"model.progressive_input", "\"cat\"", RMP_ERR_FORMAT, "progressive_input"},
                 {"model.num_classes", "10", RMP_ERR_FORMAT, "'num_classes'"},
                 {"training.sde", "\"subvpsde\"", RMP_ERR_FORMAT, "training.sde: 'subvpsde'"},
                 {"training.sde", "\"vpsde\"", RMP_ERR_FORMAT, "training.sde: vpsde"},
                 {"training.continuous", "false", RMP_ERR_FORMAT, "training.continuous: false"},
                 {"training.continuous", "1", RMP_ERR_FORMAT, "training.continuous"},
                 {"training", "[]", RMP_ERR_FORMAT, "training"},
                 /* what a whole configuration of score_sde has besides */
                 {"model.name", "\"ncsnpp\"", RMP_OK, ""},
                 {"model.attention_type", "\"ddpm\"", RMP_OK, ""},
                 {"model.conv_size", "3", RMP_OK, ""},
                 {"model.ema_rate", "0.999", RMP_OK, ""},
                 {"training.sde", "\"vesde\"", RMP_OK, ""},
                 {"training.n_iters", "2400001", RMP_OK, ""},
                 {"sampling", "{\"snr\": 0.075}", RMP_OK, ""},
                 {"optim", "{\"lr\": 2e-4}", RMP_OK, ""},
                 {"model.resblock_type", "\"vgg\"", RMP_ERR_FORMAT, "ddpm, biggan"},
                 {"model.progressive", "true", RMP_ERR_FORMAT, "output_skip"},
                 {"model.fir_kernel", "[1]", RMP_ERR_FORMAT, "fir_kernel"},
                 {"model.fir", "1", RMP_ERR_FORMAT, "fir"},
                 {"model.nf", "0", RMP_ERR_FORMAT, "nf"},
                 {"model.dropout", "-1", RMP_ERR_FORMAT, "dropout"},
                 {"model.nf", "2", RMP_ERR_CONFIG, "nf"},
                 {"model.nf", "36", RMP_ERR_CONFIG, "groups"},
                 {"model.ch_mult", "[]", RMP_ERR_CONFIG, "ch_mult"},
                 {"model.sigma_max", "0.001", RMP_ERR_CONFIG, "sigma_max"},
                 {"model.num_res_blocks", "65", RMP_ERR_CONFIG, "num_res_blocks"},
                 {"model.resblock_type", "\"ddpm\"", RMP_ERR_CONFIG, "cannot run"},
                 {"model.progressive", "\"residual\"", RMP_ERR_CONFIG, "cannot run"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused("ncsnpp_tiny_ve_ffhq", "ncsnpp", cases[i].key, cases[i].value, cases[i].status, cases[i].word);
    refused("ncsnpp_tiny_vp", "ncsnpp", "training.sde", "\"vesde\"", RMP_ERR_FORMAT, "training.sde: vesde");
    refused("ncsnpp_tiny_vp", "ncsnpp", "training.sde", "\"vpsde\"", RMP_OK, "");
    refused("ncsnpp_tiny_ve_discrete", "ncsnpp", "training.continuous", "true", RMP_ERR_FORMAT, "training.continuous");
}

/* A network of score_sde that was trained on the steps of DDPM needs their schedule. */
Test(description, discrete_vp_of_score_sde)
{
    static const struct {
        const char *schedule;
        rmp_status status;
    } cases[] = {{"{\"kind\": \"vp_continuous\"}", RMP_ERR_FORMAT},
                 {"{\"kind\": \"vp_linear\", \"beta_start\": 0.0001, \"beta_end\": 0.02, \"steps\": 1000}", RMP_OK}};
    for (size_t i = 0; i < 2; i++) {
        char more[256];
        rmp_description d;
        snprintf(more, sizeof more, "{\"prediction\": \"eps\", \"schedule\": %s}", cases[i].schedule);
        json_t *json = described("ncsnpp_tiny_vp", "ncsnpp", more);
        json_t *arguments = json_deep_copy(json_object_get(json, "arguments"));
        json_object_set_new(json, "arguments", arguments);
        json_object_set_new(json_object_get(arguments, "training"), "continuous", json_false());
        const rmp_status status = parse(json, &d);
        cr_expect(status == cases[i].status, "%s: %s", cases[i].schedule, rmp_fail_message());
        if (status != RMP_OK) cr_expect(strstr(rmp_fail_message(), "training.continuous"), "%s", rmp_fail_message());
    }
}

Test(description, arguments_of_adm)
{
    static const struct {
        const char *key, *value;
        rmp_status status;
        const char *word;
    } cases[] = {{"colour", "1", RMP_ERR_FORMAT, "'colour'"},
                 {"num_classes", "1000", RMP_ERR_FORMAT, "num_classes"},
                 {"dims", "3", RMP_ERR_FORMAT, "dims"},
                 {"class_cond", "true", RMP_ERR_FORMAT, "class_cond"},
                 {"learn_sigma", "false", RMP_ERR_FORMAT, "learn_sigma: false means 3 out_channels"},
                 {"learn_sigma", "1", RMP_ERR_FORMAT, "learn_sigma"},
                 {"predict_xstart", "true", RMP_ERR_FORMAT, "predict_xstart"},
                 {"rescale_timesteps", "true", RMP_ERR_FORMAT, "rescale_timesteps"},
                 {"num_channels", "128", RMP_ERR_FORMAT, "model_channels"},
                 {"diffusion_steps", "1000", RMP_ERR_FORMAT, "schedule.steps"},
                 {"noise_schedule", "\"cosine\"", RMP_ERR_FORMAT, "schedule.kind"},
                 {"timestep_respacing", "\"250\"", RMP_ERR_FORMAT, "'timestep_respacing'"},
                 {"use_fp16", "1", RMP_ERR_FORMAT, "use_fp16"},
                 {"use_checkpoint", "\"yes\"", RMP_ERR_FORMAT, "use_checkpoint"},
                 {"dropout", "2", RMP_ERR_FORMAT, "dropout"},
                 {"num_heads", "0.5", RMP_ERR_FORMAT, "num_heads"},
                 {"use_scale_shift_norm", "1", RMP_ERR_FORMAT, "use_scale_shift_norm"},
                 {"num_classes", "null", RMP_OK, ""},
                 {"dims", "2", RMP_OK, ""},
                 {"class_cond", "false", RMP_OK, ""},
                 {"learn_sigma", "true", RMP_OK, ""},
                 {"use_kl", "false", RMP_OK, ""},
                 {"rescale_timesteps", "false", RMP_OK, ""},
                 {"use_fp16", "true", RMP_OK, ""},
                 {"use_checkpoint", "true", RMP_OK, ""},
                 {"dropout", "0.1", RMP_OK, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused("adm_tiny_base", "adm", cases[i].key, cases[i].value, cases[i].status, cases[i].word);
}

Test(description, arguments_of_unet2d)
{
    static const struct {
        const char *key, *value;
        rmp_status status;
        const char *word;
    } cases[] = {
        {"colour", "1", RMP_ERR_FORMAT, "'colour'"},
        {"act_fn", "\"gelu\"", RMP_ERR_FORMAT, "'gelu'"},
        {"resnet_time_scale_shift", "\"spatial\"", RMP_ERR_FORMAT, "resnet_time_scale_shift"},
        {"class_embed_type", "\"timestep\"", RMP_ERR_FORMAT, "class_embed_type"},
        {"num_class_embeds", "10", RMP_ERR_FORMAT, "num_class_embeds"},
        {"downsample_type", "\"resnet\"", RMP_ERR_FORMAT, "downsample_type"},
        {"upsample_type", "\"resnet\"", RMP_ERR_FORMAT, "upsample_type"},
        {"time_embedding_type", "\"learned\"", RMP_ERR_FORMAT, "time_embedding_type"},
        {"mid_block_type", "\"UNetMidBlock2DCrossAttn\"", RMP_ERR_FORMAT, "mid_block_type"},
        {"time_embedding_dim", "0", RMP_ERR_FORMAT, "time_embedding_dim"},
        {"time_embedding_dim", "1048577", RMP_ERR_FORMAT, "time_embedding_dim"},
        {"attn_norm_num_groups", "24", RMP_ERR_CONFIG, "groups"},
        {"add_attention", "1", RMP_ERR_FORMAT, "add_attention"},
        {"center_input_sample", "null", RMP_ERR_FORMAT, "center_input_sample"},
        {"flip_sin_to_cos", "0", RMP_ERR_FORMAT, "flip_sin_to_cos"},
        {"mid_block_scale_factor", "0", RMP_ERR_CONFIG, "mid_block_scale_factor"},
        {"mid_block_scale_factor", "null", RMP_ERR_FORMAT, "mid_block_scale_factor"},
        {"dropout", "-1", RMP_ERR_FORMAT, "dropout"},
        {"up_block_types", "[\"AttnUpBlock2D\", \"KUpBlock2D\", \"UpBlock2D\"]", RMP_ERR_FORMAT, "'KUpBlock2D'"},
        /* what today's diffusers and its EMAModel write besides */
        {"mid_block_type", "\"UNetMidBlock2D\"", RMP_OK, ""},
        {"mid_block_type", "null", RMP_OK, ""},
        {"time_embedding_dim", "null", RMP_OK, ""},
        {"time_embedding_dim", "96", RMP_OK, ""},
        {"resnet_time_scale_shift", "\"scale_shift\"", RMP_OK, ""},
        {"attn_norm_num_groups", "null", RMP_OK, ""},
        {"num_train_timesteps", "1000", RMP_OK, ""},
        {"class_embed_type", "null", RMP_OK, ""},
        {"act_fn", "\"swish\"", RMP_OK, ""},
        {"update_after_step", "0", RMP_OK, ""},
        {"down_block_types", "[\"DownBlock2D\"]", RMP_ERR_FORMAT, "same number"},
        {"down_block_types", "[\"ResnetDownsampleBlock2D\"]", RMP_ERR_FORMAT, "AttnSkipDownBlock2D"},
        {"down_block_types", "\"DownBlock2D\"", RMP_ERR_FORMAT, "list"},
        {"norm_num_groups", "null", RMP_ERR_CONFIG, "norm_num_groups"},
        {"norm_num_groups", "24", RMP_ERR_CONFIG, "groups"},
        {"attention_head_dim", "24", RMP_ERR_CONFIG, "attention_head_dim"},
        {"downsample_padding", "2", RMP_ERR_CONFIG, "downsample_padding"},
        {"norm_eps", "0", RMP_ERR_CONFIG, "norm_eps"},
        {"freq_shift", "16", RMP_ERR_CONFIG, "freq_shift"},
        {"up_block_types", "[\"SkipUpBlock2D\", \"UpBlock2D\", \"UpBlock2D\"]", RMP_OK, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused("unet2d_tiny", "unet2d", cases[i].key, cases[i].value, cases[i].status, cases[i].word);
    refused("unet2d_tiny_ncsnpp", "unet2d", "in_channels", "4", RMP_ERR_CONFIG, "in_channels");
}

typedef void (*rename_name)(const char *name, char *out, size_t size);

/* The formula weights of a fixture as a file under other names, with one more tensor, opened again. */
static rmp_status open_renamed(const char *fixture, const char *architecture, rename_name rename, const char *extra,
                               const rmp_tensor *tensor, rmp_model **out)
{
    char path[512];
    rmp_model *model;
    rmp_weights *copy;
    snprintf(path, sizeof path, "formula:" RMP_FIXTURES "/%s.json", fixture);
    expect_ok(rmp_model_open(path, &model));
    expect_ok(rmp_weights_create(&copy));
    for (int64_t i = 0; i < rmp_weights_count(model->weights); i++) {
        rename(rmp_weights_name(model->weights, i), path, sizeof path);
        expect_ok(rmp_weights_add(copy, path, rmp_weights_tensor(model->weights, i)));
    }
    if (extra) expect_ok(rmp_weights_add(copy, extra, tensor));
    json_t *json = described(fixture, architecture, "{\"preconditioning\": \"edm\"}");
    char *text = json_dumps(json, 0);
    expect_ok(rmp_safetensors_write(scratch, "net.safetensors", copy, "rmp", text));
    free(text);
    json_decref(json);
    rmp_weights_destroy(&copy);
    rmp_model_close(&model);
    return rmp_model_open(scratch_path("net.safetensors"), out);
}

static void parallel(const char *name, char *out, size_t size) { snprintf(out, size, "module.%s", name); }

static void same(const char *name, char *out, size_t size) { snprintf(out, size, "%s", name); }

/* Names of diffusers before 0.17. */
static void old_diffusers(const char *name, char *out, size_t size)
{
    static const char *const names[][2] = {
        {".to_q.", ".query."}, {".to_k.", ".key."}, {".to_v.", ".value."}, {".to_out.0.", ".proj_attn."}};
    snprintf(out, size, "%s", name);
    for (int i = 0; i < 4; i++) {
        const char *found = strstr(name, names[i][0]);
        if (!found) continue;
        snprintf(out, size, "%.*s%s%s", (int)(found - name), name, names[i][1], found + strlen(names[i][0]));
    }
}

Test(description, other_names)
{
    rmp_model *model;
    float *numbers = calloc(2000, sizeof *numbers);
    const rmp_tensor sigmas = {RMP_F32, 1, {2000}, numbers}, few = {RMP_F32, 1, {20}, numbers};
    const rmp_tensor frequencies = {RMP_F32, 1, {32}, numbers};
    const char *ve = "ncsnpp_tiny_ve_ffhq";
    /* as score_sde saves them, with its buffer */
    expect_ok(open_renamed(ve, "ncsnpp", parallel, "module.sigmas", &sigmas, &model));
    cr_expect(model->net->parameters == 1268777);
    rmp_model_close(&model);
    expect_failure(open_renamed(ve, "ncsnpp", parallel, "sigmas", &sigmas, &model), RMP_ERR_FORMAT, "unexpected",
                   "module.all_modules");
    expect_failure(open_renamed(ve, "ncsnpp", same, "sigmas", &few, &model), RMP_ERR_FORMAT, "misshapen", "sigmas");
    expect_ok(open_renamed("unet2d_tiny", "unet2d", old_diffusers, NULL, NULL, &model));
    rmp_model_close(&model);
    expect_ok(open_renamed("unet2d_tiny_ncsnpp", "unet2d", old_diffusers, "time_proj.W", &frequencies, &model));
    cr_expect(model->net->parameters == 1268777);
    rmp_model_close(&model);
    expect_failure(open_renamed("unet2d_tiny", "unet2d", same, "time_proj.W", &frequencies, &model), RMP_ERR_FORMAT,
                   "unexpected", "time_proj.W");
    free(numbers);
}
