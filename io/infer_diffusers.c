#include "core/log.h"
#include "io/infer.h"

#include <string.h>

enum { KNOWN_UNET2D = 113673219 }; /* google/ddpm-(ema-)celebahq-256, -church-256, -bedroom-256 */

static double number_or(const json_t *object, const char *key, double otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

static json_int_t integer_or(const json_t *object, const char *key, json_int_t otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* Samplers for a network of DDPM's kind, whose configuration has its betas. Others (consistency models, flow matching,
 * EDM) go with networks whose output means something else. */
static const char *const beta_schedulers[] = {"DDPMScheduler",
                                              "DDPMParallelScheduler",
                                              "DDIMScheduler",
                                              "DDIMParallelScheduler",
                                              "PNDMScheduler",
                                              "LMSDiscreteScheduler",
                                              "EulerDiscreteScheduler",
                                              "EulerAncestralDiscreteScheduler",
                                              "DPMSolverMultistepScheduler",
                                              "DPMSolverSinglestepScheduler",
                                              "DEISMultistepScheduler",
                                              "UniPCMultistepScheduler"};

/* An old file may name no class. */
static rmp_status check_scheduler(const json_t *scheduler, const char *const classes[], size_t count)
{
    const json_t *named = json_object_get(scheduler, "_class_name");
    const char *class = json_string_value(named);
    for (size_t i = 0; class && i < count; i++)
        if (strcmp(class, classes[i]) == 0) return RMP_OK;
    RMP_CHECK(!named, RMP_ERR_FORMAT,
              "scheduler: of class '%.60s', from which the noise that this network was trained on is not known; %s and "
              "those like it are read",
              class ? class : "?", classes[0]);
    return RMP_OK;
}

static rmp_status ve_schedule(const json_t *scheduler, json_t **schedule)
{
    static const char *const ve_schedulers[] = {"ScoreSdeVeScheduler"};
    RMP_CHECK(scheduler, RMP_ERR_FORMAT,
              "the noise levels of this network are in a scheduler_config.json, which is not beside it");
    RMP_TRY(check_scheduler(scheduler, ve_schedulers, 1));
    *schedule = json_pack("{s:s, s:f, s:f, s:I}", "kind", "ve", "sigma_min", number_or(scheduler, "sigma_min", 0.01),
                          "sigma_max", number_or(scheduler, "sigma_max", 1348.0), "steps",
                          integer_or(scheduler, "num_train_timesteps", 2000));
    return RMP_OK;
}

/* The defaults are those of diffusers' DDPMScheduler. */
static rmp_status vp_schedule(const json_t *scheduler, json_t **schedule)
{
    static const char *const off[] = {"rescale_betas_zero_snr", "use_flow_sigmas"}; /* other noise */
    const json_t *spacing = json_object_get(scheduler, "beta_schedule");
    const json_t *prediction = json_object_get(scheduler, "prediction_type");
    const json_t *betas = json_object_get(scheduler, "trained_betas");
    const char *kind = spacing ? json_string_value(spacing) : "linear";
    const char *predicts = prediction ? json_string_value(prediction) : "epsilon";
    RMP_CHECK(kind && (strcmp(kind, "linear") == 0 || strcmp(kind, "scaled_linear") == 0), RMP_ERR_FORMAT,
              "scheduler: beta_schedule '%s'; linear and scaled_linear are supported", kind ? kind : "?");
    RMP_CHECK(predicts && strcmp(predicts, "epsilon") == 0, RMP_ERR_FORMAT,
              "scheduler: prediction_type '%s'; epsilon is supported", predicts ? predicts : "?");
    RMP_CHECK(!betas || json_is_null(betas), RMP_ERR_FORMAT, "scheduler: trained_betas are not supported");
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        const json_t *value = json_object_get(scheduler, off[i]);
        RMP_CHECK(!value || json_is_false(value), RMP_ERR_FORMAT, "scheduler: %s: only false is supported", off[i]);
    }
    RMP_TRY(check_scheduler(scheduler, beta_schedulers, sizeof beta_schedulers / sizeof *beta_schedulers));
    if (!scheduler) RMP_LOG_WARN("model", "no scheduler_config.json beside config.json: the noise of DDPM is assumed");
    *schedule =
        json_pack("{s:s, s:f, s:f, s:I}", "kind", strcmp(kind, "linear") == 0 ? "vp_linear" : kind, "beta_start",
                  number_or(scheduler, "beta_start", 1e-4), "beta_end", number_or(scheduler, "beta_end", 0.02), "steps",
                  integer_or(scheduler, "num_train_timesteps", 1000));
    return RMP_OK;
}

rmp_status rmp_infer_diffusers(json_t *config, const json_t *scheduler, json_t **description)
{
    const char *class = json_string_value(json_object_get(config, "_class_name"));
    const char *embedding = json_string_value(json_object_get(config, "time_embedding_type"));
    const bool ve = embedding && strcmp(embedding, "fourier") == 0;
    json_t *schedule = NULL;
    *description = NULL;
    RMP_CHECK(class && strcmp(class, "UNet2DModel") == 0, RMP_ERR_FORMAT,
              "is the configuration of class '%.60s'; UNet2DModel is supported", class ? class : "?");
    RMP_TRY(ve ? ve_schedule(scheduler, &schedule) : vp_schedule(scheduler, &schedule));
    *description = json_pack("{s:s, s:O, s:s, s:o}", "architecture", "unet2d", "arguments", config, "prediction",
                             ve ? "score" : "eps", "schedule", schedule);
    RMP_CHECK(*description, RMP_ERR_MEMORY, "no memory for a description");
    return RMP_OK;
}

rmp_status rmp_infer_unet2d(const rmp_infer *from, json_t **description)
{
    *description = NULL;
    RMP_CHECK(rmp_weights_parameters(from->weights) == KNOWN_UNET2D, RMP_ERR_FORMAT,
              "is a network of diffusers, whose tensors do not determine its arguments: its config.json must be "
              "beside it");
    json_t *config =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:[i, i, i, i, i, i], s:[s, s, s, s, s, s], s:[s, s, s, s, s, s]}",
                  "_class_name", "UNet2DModel", "sample_size", 256, "in_channels", 3, "out_channels", 3,
                  "layers_per_block", 2, "block_out_channels", 128, 128, 256, 256, 512, 512, "down_block_types",
                  "DownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D",
                  "up_block_types", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D");
    RMP_CHECK(config, RMP_ERR_MEMORY, "no memory for a description");
    int failed = json_object_set_new(config, "downsample_padding", json_integer(0));
    failed |= json_object_set_new(config, "flip_sin_to_cos", json_false());
    failed |= json_object_set_new(config, "freq_shift", json_integer(1));
    failed |= json_object_set_new(config, "norm_eps", json_real(1e-6));
    failed |= json_object_set_new(config, "attention_head_dim", json_null());
    const rmp_status status = failed ? RMP_FAIL(RMP_ERR_MEMORY, "no memory for a description")
                                     : rmp_infer_diffusers(config, NULL, description);
    json_decref(config);
    return status;
}
