/* LPIPS and the features of FID against the packages `lpips` and `pytorch-fid`, on every device: fixtures of
 * tests/fixtures/perceptual.py. */
#include "gpu/devices.h"
#include "io/formula.h"
#include "io/perceptual.h"
#include "io/safetensors.h"
#include "tests/unit/fixture.h"

#include <criterion/criterion.h>
#include <math.h>

/* Ours is float32 throughout, the fixtures are float64. Measured: 3.2e-7 at most, of a layer's part of the distance
 * 4.7e-6, of differences of features 1.8e-5
 * (they are 2 % of the features). What mistakes change (tests/fixtures/perceptual.py --mutate), of the distance: LPIPS
 * without its scaling 2e-2, with the other ceil_mode 7e-3 (VGG: 7.5e-5), with an epsilon of 1e-12 or 1e-8, or under the
 * root, 0.29 and more in lpips_alex_eps, whose features are as small as the epsilon. Of the features of Inception:
 * means that count the padding 4e-2, a mean for the last maximum 0.11, resizing with aligned corners 8e-3 or with
 * antialiasing 1e-2, an epsilon of 1e-5 in the batch normalisations 1e-2. */
static const double tolerance = 3e-6, layer_tolerance = 3e-5, difference_tolerance = 1e-4;

static const char *const lpips[] = {"lpips_alex", "lpips_vgg", "lpips_squeeze", "lpips_alex_eps"};
enum { LPIPS = (int)(sizeof lpips / sizeof *lpips) };

static void must(rmp_status status, const char *what)
{
    cr_assert_eq(status, RMP_OK, "%s: %s (%s)", what, rmp_fail_message(), rmp_fail_place());
}

static void refused(rmp_status status, rmp_status want, const char *words)
{
    cr_expect(status == want && strstr(rmp_fail_message(), words), "status %d, '%s' lacks '%s'", (int)status,
              rmp_fail_message(), words);
}

static rmp_perceptual_net *open_formula(const char *name)
{
    char path[512];
    rmp_perceptual_net *net = NULL;
    snprintf(path, sizeof path, "formula:" RMP_FIXTURES "/%s.json", name);
    must(rmp_perceptual_open(path, &net), name);
    return net;
}

static float *image_of(const char *name, rmp_shape s)
{
    float *image = malloc((size_t)rmp_shape_count(s) * sizeof *image);
    for (int64_t i = 0; i < rmp_shape_count(s); i++)
        image[i] = rmp_formula_value(rmp_formula_seed(name), (uint64_t)i, 1, 0);
    return image;
}

static int64_t integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* What we list is what the package's state dict has, in its order, and the formula is the generator's. */
Test(perceptual, tensors_are_those_of_the_packages)
{
    static const char *const names[] = {"lpips_alex", "lpips_vgg", "lpips_squeeze", "lpips_alex_eps", "inception"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        json_t *root = fixture_json(names[k]), *entry;
        rmp_perceptual_net *net = open_formula(names[k]);
        const rmp_weights *weights = rmp_perceptual_net_weights(net);
        size_t i;
        cr_assert_str_eq(rmp_perceptual_name(rmp_perceptual_net_kind(net)),
                         json_string_value(json_object_get(root, "architecture")));
        json_array_foreach(json_object_get(root, "parameters"), i, entry)
        {
            const char *name = json_string_value(json_object_get(entry, "name"));
            const rmp_tensor want = fixture_shape(entry), *have = rmp_weights_tensor(weights, (int64_t)i);
            char wanted[128], had[128];
            cr_assert_str_eq(rmp_weights_name(weights, (int64_t)i), name);
            cr_assert_str_eq(rmp_tensor_shape_text(have, had, sizeof had),
                             rmp_tensor_shape_text(&want, wanted, sizeof wanted), "%s", name);
            const float value =
                rmp_formula_value(rmp_formula_seed(name), 2, json_number_value(json_object_get(entry, "a")),
                                  json_number_value(json_object_get(entry, "b")));
            if (rmp_tensor_count(have) > 2) /* one rounding more or less in a */
                cr_assert_float_eq(rmp_tensor_at(have, 2), (double)value, 1e-6 * fabs((double)value), "%s", name);
        }
        cr_assert_eq(rmp_weights_count(weights), (int64_t)i);
        rmp_perceptual_close(&net);
        json_decref(root);
    }
}

static void check_pair(rmp_device *device, const char *fixture, const rmp_perceptual_net *net, const json_t *pair)
{
    const rmp_shape shape = {integer(pair, "h"), integer(pair, "w"), 3};
    const json_t *names = json_object_get(pair, "images"), *wanted = json_object_get(pair, "layers");
    float *a = image_of(json_string_value(json_array_get(names, 0)), shape);
    float *b = image_of(json_string_value(json_array_get(names, 1)), shape);
    double have[RMP_LPIPS_MAX_LAYERS], distance;
    const double want = json_number_value(json_object_get(pair, "distance"));
    int layers = 0;
    rmp_perceptual *p = NULL;
    must(rmp_perceptual_create(device, net, shape, &p), fixture);
    for (int again = 0; again < 2; again++) { /* what an earlier call left must not matter */
        must(rmp_perceptual_distance(p, a, b, &distance), fixture);
        cr_expect_leq(fabs(distance - want), tolerance * want, "%s %s, %d x %d: %.9g, not %.9g (%.1e)", device->kind,
                      fixture, (int)shape.h, (int)shape.w, distance, want, fabs(distance / want - 1));
        must(rmp_perceptual_distance(p, b, a, &distance), fixture);
        cr_expect_leq(fabs(distance - want), tolerance * want, "%s %s: the distance is symmetric", device->kind,
                      fixture);
    }
    must(rmp_perceptual_distances(p, a, b, have, &layers), fixture);
    cr_assert_eq((size_t)layers, json_array_size(wanted));
    for (int i = 0; i < layers; i++) {
        const double layer = json_number_value(json_array_get(wanted, (size_t)i));
        cr_expect_leq(fabs(have[i] - layer), layer_tolerance * layer + 1e-16,
                      "%s %s, %d x %d, layer %d: %.9g, not %.9g", device->kind, fixture, (int)shape.h, (int)shape.w, i,
                      have[i], layer);
    }
    must(rmp_perceptual_distance(p, a, a, &distance), fixture);
    cr_expect_eq(distance, 0.0, "%s %s: an image is at no distance from itself", device->kind, fixture);
    rmp_perceptual_destroy(&p);
    free(a);
    free(b);
}

/* The pairs from `first` on: the last is the smallest. */
static void check_lpips(rmp_device *device, size_t first)
{
    for (int k = 0; k < LPIPS; k++) {
        json_t *root = fixture_json(lpips[k]), *pair;
        rmp_perceptual_net *net = open_formula(lpips[k]);
        size_t i;
        json_array_foreach(json_object_get(root, "pairs"), i, pair)
        {
            if (i >= first) check_pair(device, lpips[k], net, pair);
        }
        cr_assert_gt(i, first);
        rmp_perceptual_close(&net);
        json_decref(root);
    }
    rmp_device_destroy(&device);
}

Test(perceptual, lpips_on_the_host)
{
    rmp_device *device = NULL;
    must(rmp_host_create(2, 0, &device), "device");
    check_lpips(device, 0);
}

Test(perceptual, lpips_on_the_reference)
{
    rmp_device *device = NULL;
    must(rmp_reference_create(&device), "device");
    check_lpips(device, 2); /* the others take seconds */
}

/* d LPIPS / d image 0 of one pair; the caller frees. */
static float *gradient_of(rmp_device *device, const rmp_graph *graph, rmp_memory_policy memory, rmp_shape shape)
{
    const int64_t floats = rmp_shape_count(shape);
    const rmp_plan_options options = {.batch = 1, .vjp = true, .memory = memory};
    rmp_buffer *input[2] = {NULL}, *output = NULL, *cotangent = NULL, *gradient = NULL;
    rmp_plan *plan = NULL;
    static const float ones[RMP_LPIPS_MAX_LAYERS] = {1, 1, 1, 1, 1, 1, 1};
    float *out = malloc((size_t)floats * sizeof *out);
    for (int i = 0; i < 2; i++) {
        float *image = image_of(i ? "b" : "a", shape);
        must(rmp_buffer_create(device, floats, &input[i]), "input");
        must(rmp_buffer_upload(input[i], 0, floats, image), "input");
        free(image);
    }
    must(rmp_buffer_create(device, RMP_LPIPS_MAX_LAYERS, &output), "output");
    must(rmp_buffer_create(device, RMP_LPIPS_MAX_LAYERS, &cotangent), "cotangent");
    must(rmp_buffer_upload(cotangent, 0, RMP_LPIPS_MAX_LAYERS, ones), "cotangent");
    must(rmp_buffer_create(device, floats, &gradient), "gradient");
    must(rmp_plan_create(device, graph, &options, &plan), "plan");
    must(rmp_plan_forward(plan, 2, (const rmp_buffer *const *)input, output), "forward");
    must(rmp_plan_vjp(plan, cotangent, gradient), "vjp");
    must(rmp_buffer_download(gradient, 0, floats, out), "gradient");
    rmp_plan_destroy(&plan);
    rmp_buffer_destroy(&input[0]);
    rmp_buffer_destroy(&input[1]);
    rmp_buffer_destroy(&output);
    rmp_buffer_destroy(&cotangent);
    rmp_buffer_destroy(&gradient);
    return out;
}

/* The graphs are differentiable as they stand: the same gradient on both devices, and to the byte where blocks are
 * computed again. A rectifier or a maximum that is decided otherwise in float32 would move it by far more. */
Test(perceptual, gradients)
{
    static const char *const names[] = {"lpips_alex", "lpips_squeeze"};
    const rmp_shape shape = {33, 31, 3};
    rmp_device *host = NULL, *reference = NULL;
    must(rmp_host_create(2, 0, &host), "host");
    must(rmp_reference_create(&reference), "reference");
    for (size_t k = 0; k < 2; k++) {
        rmp_perceptual_net *net = open_formula(names[k]);
        rmp_graph *graph = NULL;
        double difference = 0, norm = 0;
        must(rmp_perceptual_graph(net, shape.h, shape.w, &graph), "graph");
        float *keep = gradient_of(host, graph, RMP_MEMORY_KEEP, shape);
        float *again = gradient_of(host, graph, RMP_MEMORY_RECOMPUTE, shape);
        float *want = gradient_of(reference, graph, RMP_MEMORY_KEEP, shape);
        cr_expect_eq(memcmp(keep, again, (size_t)rmp_shape_count(shape) * sizeof *keep), 0, "%s", names[k]);
        for (int64_t i = 0; i < rmp_shape_count(shape); i++) {
            difference += ((double)keep[i] - (double)want[i]) * ((double)keep[i] - (double)want[i]);
            norm += (double)want[i] * (double)want[i];
        }
        cr_expect(norm > 0 && sqrt(difference / norm) < 1e-5, "%s: gradients differ by %g", names[k],
                  sqrt(difference / norm));
        free(keep), free(again), free(want);
        rmp_graph_destroy(&graph);
        rmp_perceptual_close(&net);
    }
    rmp_device_destroy(&host);
    rmp_device_destroy(&reference);
}

/* |a - b| / |b| of one row of features. */
static double row_error(const float *a, const double *b)
{
    double difference = 0, norm = 0;
    for (int i = 0; i < RMP_INCEPTION_FEATURES; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return sqrt(difference / norm);
}

/* The first `count` images of the fixture; their differences too, in which what all images share cannot hide. */
static void check_features(rmp_device *device, size_t count)
{
    static float have[3][RMP_INCEPTION_FEATURES];
    static double want[3][RMP_INCEPTION_FEATURES];
    json_t *root = fixture_json("inception"), *list = json_object_get(root, "images");
    rmp_perceptual_net *net = open_formula("inception");
    rmp_weights *fixture = NULL;
    must(rmp_safetensors_open(RMP_FIXTURES "/inception.safetensors", NULL, NULL, &fixture), "fixture");
    cr_assert_leq(count, json_array_size(list));
    for (size_t k = 0; k < count; k++) {
        const json_t *entry = json_array_get(list, k);
        const rmp_shape shape = {integer(entry, "h"), integer(entry, "w"), 3};
        float *image = image_of(json_string_value(json_object_get(entry, "name")), shape);
        rmp_perceptual *p = NULL;
        must(rmp_perceptual_create(device, net, shape, &p), "inception");
        must(rmp_perceptual_features(p, image, have[k]), "inception");
        rmp_perceptual_destroy(&p);
        free(image);
        for (int i = 0; i < RMP_INCEPTION_FEATURES; i++)
            want[k][i] = rmp_tensor_at(rmp_weights_find(fixture, "features"), (int64_t)k * RMP_INCEPTION_FEATURES + i);
        double error = row_error(have[k], want[k]);
        cr_expect_leq(error, tolerance, "%s, image %zu: %g", device->kind, k, error);
        for (int i = 0; k > 0 && i < RMP_INCEPTION_FEATURES; i++) {
            have[k][i] -= have[0][i];
            want[k][i] -= want[0][i];
        }
        error = k > 0 ? row_error(have[k], want[k]) : 0;
        cr_expect_leq(error, difference_tolerance, "%s, image %zu less image 0: %g", device->kind, k, error);
    }
    rmp_weights_destroy(&fixture);
    rmp_perceptual_close(&net);
    json_decref(root);
    rmp_device_destroy(&device);
}

Test(perceptual, features_on_the_host)
{
    rmp_device *device = NULL;
    must(rmp_host_create(2, 0, &device), "device");
    check_features(device, 3);
}

Test(perceptual, features_on_the_reference)
{
    rmp_device *device = NULL;
    must(rmp_reference_create(&device), "device");
    check_features(device, 1); /* seconds each */
}

/* ---- sizes and misuse -------------------------------------------------------------------------------------------- */

Test(perceptual, images_of_one_channel_are_repeated)
{
    const rmp_shape grey = {40, 33, 1}, colour = {40, 33, 3};
    rmp_perceptual_net *net = open_formula("lpips_alex");
    rmp_device *device = NULL;
    rmp_perceptual *one = NULL, *three = NULL;
    float *a = image_of("a", grey), *b = image_of("b", grey), *colours[2];
    double have, want;
    must(rmp_host_create(1, 0, &device), "device");
    must(rmp_perceptual_create(device, net, grey, &one), "grey");
    must(rmp_perceptual_create(device, net, colour, &three), "colour");
    for (int k = 0; k < 2; k++) {
        colours[k] = malloc((size_t)rmp_shape_count(colour) * sizeof(float));
        for (int64_t i = 0; i < rmp_shape_count(colour); i++)
            colours[k][i] = (k ? b : a)[i / 3];
    }
    must(rmp_perceptual_distance(one, a, b, &have), "grey");
    must(rmp_perceptual_distance(three, colours[0], colours[1], &want), "colour");
    cr_expect(have == want && have > 0, "%g, not %g", have, want);
    rmp_perceptual_destroy(&one);
    rmp_perceptual_destroy(&three);
    rmp_perceptual_close(&net);
    rmp_device_destroy(&device);
    free(a), free(b), free(colours[0]), free(colours[1]);
}

/* The least sizes are those from which on the packages work: 31, 16 and 17 are in the fixtures. */
Test(perceptual, small_images_are_refused)
{
    static const struct {
        const char *name, *words;
        int64_t h, w;
    } cases[] = {{"lpips_alex", "lpips_alex: an image of 30 x 64 pixels is too small: at least 31 x 31", 30, 64},
                 {"lpips_vgg", "64 x 15 pixels is too small: at least 16 x 16", 64, 15},
                 {"lpips_squeeze", "16 x 17 pixels is too small: at least 17 x 17", 16, 17},
                 {"inception", "0 x 17 pixels is too small: at least 1 x 1", 0, 17}};
    rmp_device *device = NULL;
    must(rmp_host_create(1, 0, &device), "device");
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        rmp_perceptual_net *net = open_formula(cases[k].name);
        rmp_perceptual *p = NULL;
        int64_t bytes = 0;
        refused(rmp_perceptual_create(device, net, (rmp_shape){cases[k].h, cases[k].w, 3}, &p), RMP_ERR_ARGUMENT,
                cases[k].words);
        cr_expect_null(p);
        refused(rmp_perceptual_create(device, net, (rmp_shape){64, 64, 4}, &p), RMP_ERR_ARGUMENT, "4 channels");
        refused(rmp_perceptual_estimate(device, net, (rmp_shape){cases[k].h, cases[k].w, 3}, &bytes), RMP_ERR_ARGUMENT,
                "too small");
        rmp_perceptual_close(&net);
    }
    rmp_device_destroy(&device);
}

Test(perceptual, misuse)
{
    static float image[40 * 40 * 3], features[RMP_INCEPTION_FEATURES];
    rmp_perceptual_net *alex = open_formula("lpips_alex"), *inception = open_formula("inception");
    rmp_device *device = NULL;
    rmp_perceptual *distance = NULL, *feature = NULL;
    double out;
    must(rmp_host_create(1, 0, &device), "device");
    must(rmp_perceptual_create(device, alex, (rmp_shape){40, 40, 3}, &distance), "alex");
    must(rmp_perceptual_create(device, inception, (rmp_shape){40, 40, 3}, &feature), "inception");
    refused(rmp_perceptual_features(distance, image, features), RMP_ERR_ARGUMENT, "lpips_alex: gives a distance");
    refused(rmp_perceptual_distance(feature, image, image, &out), RMP_ERR_ARGUMENT, "inception: gives features");
    image[17] = NAN;
    refused(rmp_perceptual_distance(distance, image, image, &out), RMP_ERR_ARGUMENT, "not finite");
    refused(rmp_perceptual_features(feature, image, features), RMP_ERR_ARGUMENT, "not finite");
    rmp_perceptual_destroy(&distance);
    rmp_perceptual_destroy(&feature);
    rmp_perceptual_destroy(&feature);
    rmp_perceptual_close(&alex);
    rmp_perceptual_close(&inception);
    rmp_device_destroy(&device);
}

/* With a limit just below the estimate it is refused, with the estimate it is made. */
Test(perceptual, estimate_is_what_is_taken)
{
    const rmp_shape shape = {64, 48, 3};
    rmp_perceptual_net *net = open_formula("lpips_squeeze");
    int64_t bytes = 0;
    rmp_device *device = NULL;
    must(rmp_host_create(1, 0, &device), "device");
    must(rmp_perceptual_estimate(device, net, shape, &bytes), "estimate");
    cr_assert_gt(bytes, 1 << 20);
    rmp_device_destroy(&device);
    for (int less = 0; less <= 1; less++) {
        rmp_perceptual *p = NULL;
        must(rmp_host_create(1, bytes - less * 4096, &device), "device");
        const rmp_status status = rmp_perceptual_create(device, net, shape, &p);
        cr_expect_eq(status, less ? RMP_ERR_MEMORY : RMP_OK, "%s", rmp_fail_message());
        rmp_perceptual_destroy(&p);
        rmp_device_destroy(&device);
    }
    rmp_perceptual_close(&net);
}
