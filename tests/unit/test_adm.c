/* What is particular to the guided-diffusion network. */
#include "core/nets/adm.h"
#include "tests/unit/fixture.h"

#include <criterion/criterion.h>
#include <math.h>

static void must(rmp_status status, const char *what)
{
    cr_assert_eq(status, RMP_OK, "%s: %s (%s)", what, rmp_fail_message(), rmp_fail_place());
}

static int64_t json_integer_or(const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static rmp_adm_config fixture_config(const json_t *fixture)
{
    const json_t *arguments = json_object_get(fixture, "arguments"), *value;
    size_t i;
    rmp_adm_config c;
    rmp_adm_defaults(&c);
    c.image_size = json_integer_or(arguments, "image_size", 0);
    c.in_channels = json_integer_or(arguments, "in_channels", 0);
    c.model_channels = json_integer_or(arguments, "model_channels", 0);
    c.out_channels = json_integer_or(arguments, "out_channels", 0);
    c.num_res_blocks = json_integer_or(arguments, "num_res_blocks", 0);
    c.num_heads = json_integer_or(arguments, "num_heads", c.num_heads);
    c.num_head_channels = json_integer_or(arguments, "num_head_channels", c.num_head_channels);
    c.num_heads_upsample = json_integer_or(arguments, "num_heads_upsample", c.num_heads_upsample);
    if (json_object_get(arguments, "conv_resample"))
        c.conv_resample = json_is_true(json_object_get(arguments, "conv_resample"));
    c.use_scale_shift_norm = json_is_true(json_object_get(arguments, "use_scale_shift_norm"));
    c.resblock_updown = json_is_true(json_object_get(arguments, "resblock_updown"));
    c.use_new_attention_order = json_is_true(json_object_get(arguments, "use_new_attention_order"));
    json_array_foreach(json_object_get(arguments, "attention_resolutions"), i, value)
        c.attention_resolutions[c.attention_count++] = json_integer_value(value);
    json_array_foreach(json_object_get(arguments, "channel_mult"), i, value) c.channel_mult[c.levels++] =
        json_integer_value(value);
    return c;
}

/* Sizes and channels that a network does not have are refused. */
Test(adm, impossible_sizes)
{
    json_t *json = fixture_json("adm_ffhq256");
    rmp_adm_config config = fixture_config(json);
    rmp_weights *weights;
    rmp_net *net;
    rmp_graph *graph;
    must(rmp_weights_create(&weights), "weights");
    must(rmp_adm_list(&config, weights), "list");
    must(rmp_adm_create(&config, weights, &net), "create");
    must(rmp_net_build(net, 256, 256, 0, &graph), "build");
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
