/* `rmp model eval`: the tensors of a fixture in, the same function out. */
#include "gpu/devices.h"
#include "io/safetensors.h"
#include "jobs/model.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The fixtures' own float32 errors are below 1e-5 and real mistakes far above 1e-3 (their README). */
static const double TOLERANCE = 1e-4;

static rmp_model *open_formula(const char *fixture)
{
    char path[512];
    rmp_model *model;
    snprintf(path, sizeof path, "formula:%s/%s.json", RMP_FIXTURES, fixture);
    cr_assert_eq(rmp_model_open(path, &model), RMP_OK, "%s", rmp_fail_message());
    return model;
}

static double worst_sample(const rmp_weights *mine, const rmp_weights *theirs, const char *name, const char *exact)
{
    const rmp_tensor *a = rmp_weights_find(mine, name), *b = rmp_weights_find(theirs, exact);
    cr_assert(a != NULL && b != NULL, "%s", name);
    cr_assert_eq(rmp_tensor_count(a), rmp_tensor_count(b), "%s", name);
    const int64_t length = rmp_tensor_count(a) / a->dims[0];
    double worst = 0;
    for (int64_t n = 0; n < a->dims[0]; n++) {
        double difference = 0, norm = 0;
        for (int64_t i = n * length; i < (n + 1) * length; i++) {
            difference += pow(rmp_tensor_at(a, i) - rmp_tensor_at(b, i), 2);
            norm += pow(rmp_tensor_at(b, i), 2);
        }
        worst = fmax(worst, sqrt(difference / norm));
    }
    return worst;
}

static void compare(const char *fixture)
{
    char in[512], out[512];
    rmp_device *device;
    rmp_weights *mine, *theirs;
    rmp_model *model = open_formula(fixture);
    snprintf(in, sizeof in, "%s/%s.safetensors", RMP_FIXTURES, fixture);
    snprintf(out, sizeof out, "%s/out.safetensors", scratch);
    cr_assert_eq(rmp_reference_create(&device), RMP_OK);
    cr_assert_eq(rmp_model_evaluate(model, device, RMP_PRECISION_FP32, in, out), RMP_OK, "%s", rmp_fail_message());
    cr_assert_eq(rmp_safetensors_open(in, NULL, NULL, &theirs), RMP_OK);
    cr_assert_eq(rmp_safetensors_open(out, NULL, NULL, &mine), RMP_OK);
    /* Features at t near 1000 differ by up to 3e-5 absolute: the originals multiply in float32. */
    static const char *const names[][2] = {{"emb_in", "emb_in"}, {"emb", "emb"}, {"y", "y64"}, {"g", "g64"}};
    for (int i = 0; i < 4; i++) {
        const double error = worst_sample(mine, theirs, names[i][0], names[i][1]);
        cr_assert(error < TOLERANCE, "%s of %s: %g", names[i][0], fixture, error);
    }
    rmp_weights_destroy(&mine);
    rmp_weights_destroy(&theirs);
    rmp_device_destroy(&device);
    rmp_model_close(&model);
}

Test(evaluate, six_output_channels_of_which_three_are_scored, .init = scratch_setup, .fini = scratch_teardown)
{
    compare("adm_tiny_eps");
}

Test(evaluate, images_that_are_not_square, .init = scratch_setup, .fini = scratch_teardown)
{
    compare("adm_tiny_rect");
}

/* By the noise level that is the time argument, and by that of a label. */
Test(evaluate, outputs_divided_by_the_noise_level, .init = scratch_setup, .fini = scratch_teardown)
{
    compare("ncsnpp_tiny_eps");
    compare("ncsnpp_tiny_ve_discrete");
    compare("unet2d_tiny_ncsnpp");
}

/* Evaluates a file with these tensors; NULL data is zeros. */
static void refuses(int tensors, const char *const name[], const rmp_tensor tensor[], const char *mention)
{
    char in[128], out[128];
    rmp_device *device;
    rmp_weights *set;
    rmp_model *model = open_formula("adm_tiny_eps");
    cr_assert_eq(rmp_weights_create(&set), RMP_OK);
    for (int i = 0; i < tensors; i++)
        cr_assert_eq(rmp_weights_add(set, name[i], &tensor[i]), RMP_OK);
    cr_assert_eq(rmp_safetensors_write(scratch, "in.safetensors", set, NULL, NULL), RMP_OK, "%s", rmp_fail_message());
    rmp_weights_destroy(&set);
    snprintf(in, sizeof in, "%s/in.safetensors", scratch);
    snprintf(out, sizeof out, "%s/out.safetensors", scratch);
    cr_assert_eq(rmp_reference_create(&device), RMP_OK);
    cr_assert_eq(rmp_model_evaluate(model, device, RMP_PRECISION_FP32, in, out), RMP_ERR_FORMAT);
    cr_assert(strstr(rmp_fail_message(), mention) != NULL, "'%s' does not mention '%s'", rmp_fail_message(), mention);
    cr_assert_eq(access(out, F_OK), -1, "an output in spite of the error");
    rmp_device_destroy(&device);
    rmp_model_close(&model);
}

Test(evaluate, mistakes_are_named, .init = scratch_setup, .fini = scratch_teardown)
{
    static const float zeros[4 * 18 * 16];
    static const char *const names[] = {"x", "t", "v"};
    const rmp_tensor x = {RMP_F32, 4, {1, 3, 16, 16}, zeros}, t = {RMP_F32, 1, {1}, zeros};
    const rmp_tensor odd = {RMP_F32, 4, {1, 3, 18 + 1, 16}, zeros}, four = {RMP_F32, 4, {1, 4, 16, 16}, zeros};
    const rmp_tensor flat = {RMP_F32, 3, {3, 16, 16}, zeros}, two = {RMP_F32, 1, {2}, zeros};
    refuses(1, names, (rmp_tensor[]){x}, "either t or sigma");
    refuses(1, &names[1], (rmp_tensor[]){t}, "no tensor x");
    refuses(2, names, (rmp_tensor[]){flat, t}, "(3, 16, 16)");
    refuses(2, names, (rmp_tensor[]){four, t}, "4 channels");
    refuses(2, names, (rmp_tensor[]){odd, t}, "19 x 16; height and width must be multiples of");
    refuses(2, names, (rmp_tensor[]){x, two}, "t has shape (2), not (1)");
    refuses(3, names, (rmp_tensor[]){x, t, four}, "v has shape (1, 4, 16, 16), not (1, 3, 16, 16)");
    refuses(3, (const char *const[]){"x", "t", "sigma"}, (rmp_tensor[]){x, t, t}, "either t or sigma");
}

Test(evaluate, description_of_a_model)
{
    char *text = NULL;
    size_t size = 0;
    rmp_device *device;
    rmp_model *model = open_formula("adm_tiny_base");
    cr_assert_eq(rmp_reference_create(&device), RMP_OK);
    FILE *f = open_memstream(&text, &size);
    cr_assert_eq(rmp_model_describe(model, "m", device, 0, 0, f), RMP_OK, "%s", rmp_fail_message());
    fclose(f);
    static const char *const expected[] = {"parameters          828358\n", "num_head_channels        16\n",
                                           "at 32x32\n", "memory forward+VJP"};
    for (int i = 0; i < 4; i++)
        cr_assert(strstr(text, expected[i]) != NULL, "no '%s' in:\n%s", expected[i], text);
    free(text);
    f = tmpfile();
    cr_assert_eq(rmp_model_describe(model, "m", device, 33, 32, f), RMP_ERR_CONFIG);
    fclose(f);
    rmp_device_destroy(&device);
    rmp_model_close(&model);
}
