/* Shape rules and refusals of the graph builder. */
#include "core/graph.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static void must(rmp_status status) { cr_assert_eq(status, RMP_OK, "%s (%s)", rmp_fail_message(), rmp_fail_place()); }

/* The call fails as a caller's mistake and the message holds the words that find it. */
static void refused(rmp_status status, const char *words)
{
    cr_expect_eq(status, RMP_ERR_ARGUMENT, "accepted: %s", words);
    cr_expect(strstr(rmp_fail_message(), words), "no '%s' in: %s", words, rmp_fail_message());
}

static void expect_shape(const rmp_graph *g, rmp_value v, int64_t h, int64_t w, int64_t c)
{
    rmp_shape s = rmp_graph_shape(g, v);
    cr_expect(s.h == h && s.w == w && s.c == c, "%s: (%lld, %lld, %lld)", rmp_op_name(rmp_graph_node(g, v)->op),
              (long long)s.h, (long long)s.w, (long long)s.c);
}

static rmp_tensor weight(int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return (rmp_tensor){.dtype = RMP_F32, .rank = rank, .dims = {a, b, c, d}};
}

static rmp_graph *graph_with_input(int64_t h, int64_t w, int64_t c, rmp_value *x)
{
    rmp_graph *g;
    must(rmp_graph_create(&g));
    must(rmp_graph_input(g, (rmp_shape){h, w, c}, x));
    return g;
}

Test(graph, inputs)
{
    rmp_value x, v, y;
    rmp_graph *g = graph_with_input(5, 7, 3, &x);
    must(rmp_graph_input(g, (rmp_shape){1, 1, 9}, &v));
    cr_expect_eq(rmp_graph_inputs(g), 2);
    cr_expect_eq(rmp_graph_input_value(g, 0), x);
    cr_expect_eq(rmp_graph_input_value(g, 1), v);
    cr_expect_eq(rmp_graph_input_value(g, 2), RMP_NONE);
    cr_expect(rmp_graph_node(g, x)->differentiable && !rmp_graph_node(g, v)->differentiable);
    refused(rmp_graph_input(g, (rmp_shape){5, 0, 3}, &y), "input: shape (5, 0, 3)");
    refused(rmp_graph_input(g, (rmp_shape){INT64_MAX, 2, 3}, &y), "input: shape");
    refused(rmp_graph_input(g, (rmp_shape){(int64_t)1 << 40, (int64_t)1 << 40, 1}, &y), "input: shape");
    cr_expect_eq(rmp_graph_inputs(g), 2);
    cr_expect_null(rmp_graph_node(g, 2));
    cr_expect_null(rmp_graph_node(g, RMP_NONE));
    cr_expect_eq(rmp_graph_shape(g, 7).h, 0);
    rmp_graph_destroy(&g);
    rmp_graph_destroy(&g);
}

Test(graph, result)
{
    rmp_value x;
    rmp_graph *g = graph_with_input(5, 7, 3, &x);
    cr_expect_eq(rmp_graph_result(g), RMP_NONE);
    refused(rmp_graph_output(g, 1), "result 1");
    refused(rmp_graph_output(g, RMP_NONE), "result -1");
    must(rmp_graph_output(g, x));
    cr_expect_eq(rmp_graph_result(g), x);
    refused(rmp_graph_output(g, x), "already");
    rmp_graph_destroy(&g);
}

Test(graph, conv2d_shapes)
{
    rmp_value x, y;
    rmp_graph *g = graph_with_input(9, 12, 4, &x);
    rmp_tensor w = weight(4, 6, 4, 3, 3), narrow = weight(4, 6, 2, 3, 3), flat = weight(2, 5, 4, 0, 0),
               flat3 = weight(3, 5, 4, 1, 0), bias = weight(1, 6, 0, 0, 0);
    must(rmp_graph_conv2d(g, x, &(rmp_conv2d){.weight = &w, .bias = &bias, .stride = 1, .groups = 1}, &y));
    expect_shape(g, y, 7, 10, 6);
    cr_expect_eq(rmp_graph_node(g, y)->as.conv.out_channels, 6, "0 is replaced by the number");
    cr_expect(rmp_graph_node(g, y)->differentiable);
    rmp_conv2d same = {.weight = &w,
                       .stride = 2,
                       .pad_top = 1,
                       .pad_left = 1,
                       .pad_bottom = 1,
                       .pad_right = 1,
                       .groups = 1,
                       .out_channels = 2};
    must(rmp_graph_conv2d(g, x, &same, &y));
    expect_shape(g, y, 5, 6, 2);
    must(rmp_graph_conv2d(g, x, &(rmp_conv2d){.weight = &w, .stride = 2, .pad_bottom = 1, .pad_right = 1, .groups = 1},
                          &y));
    expect_shape(g, y, 4, 6, 6);
    must(rmp_graph_conv2d(g, x, &(rmp_conv2d){.weight = &narrow, .stride = 3, .groups = 2}, &y));
    expect_shape(g, y, 3, 4, 6);
    must(rmp_graph_conv2d(g, x, &(rmp_conv2d){.weight = &flat, .stride = 1, .groups = 1}, &y));
    expect_shape(g, y, 9, 12, 5);
    must(rmp_graph_conv2d(g, x, &(rmp_conv2d){.weight = &flat3, .stride = 1, .groups = 1}, &y));
    expect_shape(g, y, 9, 12, 5);
    rmp_graph_destroy(&g);
}

Test(graph, conv2d_refusals)
{
    rmp_value x, y;
    rmp_graph *g = graph_with_input(9, 12, 4, &x);
    rmp_tensor w = weight(4, 6, 4, 3, 3), other = weight(4, 6, 5, 3, 3), half = weight(4, 6, 2, 3, 3),
               big = weight(4, 6, 4, 10, 3), flat3 = weight(3, 6, 4, 3, 0), one = weight(1, 6, 0, 0, 0),
               empty = weight(4, 6, 4, 0, 3), bias = weight(1, 5, 0, 0, 0);
    const rmp_conv2d good = {.weight = &w, .stride = 1, .groups = 1};
    rmp_conv2d c;
    refused(rmp_graph_conv2d(g, 5, &good, &y), "conv2d: operand 5 is not one of the 1");
    refused(rmp_graph_conv2d(g, RMP_NONE, &good, &y), "conv2d: operand -1");
    c = good, c.weight = NULL, refused(rmp_graph_conv2d(g, x, &c, &y), "conv2d: no weight");
    c = good, c.weight = &other, refused(rmp_graph_conv2d(g, x, &c, &y), "(6, 5, 3, 3) on 4 channels");
    c = good, c.weight = &one, refused(rmp_graph_conv2d(g, x, &c, &y), "rank 2, 3 or 4");
    c = good, c.weight = &flat3, refused(rmp_graph_conv2d(g, x, &c, &y), "is not 1x1");
    c = good, c.weight = &empty, refused(rmp_graph_conv2d(g, x, &c, &y), "is empty");
    c = good, c.weight = &big, refused(rmp_graph_conv2d(g, x, &c, &y), "10 x 3 kernel does not fit into 9 x 12");
    c = good, c.bias = &bias, refused(rmp_graph_conv2d(g, x, &c, &y), "bias (5) must be (6)");
    c = good, c.stride = 0, refused(rmp_graph_conv2d(g, x, &c, &y), "stride 0");
    c = good, c.pad_left = -1, refused(rmp_graph_conv2d(g, x, &c, &y), "padding 0, -1, 0, 0");
    c = good, c.pad_right = INT64_MAX, refused(rmp_graph_conv2d(g, x, &c, &y), "padding");
    c = good, c.groups = 3, refused(rmp_graph_conv2d(g, x, &c, &y), "3 groups");
    c = good, c.groups = 0, refused(rmp_graph_conv2d(g, x, &c, &y), "0 groups");
    c = good, c.out_channels = 7, refused(rmp_graph_conv2d(g, x, &c, &y), "7 output channels of 6");
    c = good, c.out_channels = -1, refused(rmp_graph_conv2d(g, x, &c, &y), "-1 output channels");
    c = good, c.weight = &half, c.groups = 2, c.out_channels = 2;
    refused(rmp_graph_conv2d(g, x, &c, &y), "2 output channels of 6 in 2 groups");
    cr_expect_eq(rmp_graph_size(g), 1, "what was refused left nothing behind");
    rmp_graph_destroy(&g);
}

Test(graph, group_norm)
{
    rmp_value x, film, deep, y;
    rmp_graph *g = graph_with_input(5, 7, 6, &x);
    rmp_tensor v = weight(1, 6, 0, 0, 0), other = weight(1, 5, 0, 0, 0);
    must(rmp_graph_input(g, (rmp_shape){1, 1, 20}, &film));
    rmp_group_norm n, good = {.gamma = &v, .beta = &v, .groups = 3, .eps = 1e-5, .film = RMP_NONE};
    must(rmp_graph_group_norm(g, x, &good, &y));
    expect_shape(g, y, 5, 7, 6);
    cr_expect_eq(rmp_graph_node(g, y)->operands, 1);
    n = good, n.film = film, n.film_offset = 8;
    must(rmp_graph_group_norm(g, x, &n, &y));
    cr_expect(rmp_graph_node(g, y)->operands == 2 && rmp_graph_node(g, y)->operand[1] == film);
    n.film_offset = 9, refused(rmp_graph_group_norm(g, x, &n, &y), "film (1, 1, 20) from 9 for 6 channels");
    n.film_offset = -1, refused(rmp_graph_group_norm(g, x, &n, &y), "from -1");
    n = good, n.film = x, refused(rmp_graph_group_norm(g, x, &n, &y), "film 0 depends on input 0");
    must(rmp_graph_input(g, (rmp_shape){2, 1, 20}, &deep));
    n = good, n.film = deep, refused(rmp_graph_group_norm(g, x, &n, &y), "film (2, 1, 20)");
    n = good, n.film = 99, refused(rmp_graph_group_norm(g, x, &n, &y), "operand 99");
    n = good, n.groups = 4, refused(rmp_graph_group_norm(g, x, &n, &y), "4 groups do not divide 6");
    n = good, n.groups = 0, refused(rmp_graph_group_norm(g, x, &n, &y), "0 groups");
    n = good, n.eps = 0, refused(rmp_graph_group_norm(g, x, &n, &y), "eps 0");
    n = good, n.gamma = &other, refused(rmp_graph_group_norm(g, x, &n, &y), "gamma (5) must be (6)");
    n = good, n.beta = NULL, refused(rmp_graph_group_norm(g, x, &n, &y), "no beta");
    refused(rmp_graph_group_norm(g, 77, &good, &y), "group_norm: operand 77");
    rmp_graph_destroy(&g);
}

Test(graph, elements)
{
    rmp_value x, v, m, y;
    rmp_graph *g = graph_with_input(5, 7, 6, &x);
    must(rmp_graph_input(g, (rmp_shape){1, 1, 9}, &v));
    must(rmp_graph_input(g, (rmp_shape){5, 7, 1}, &m));
    must(rmp_graph_silu(g, x, &y));
    expect_shape(g, y, 5, 7, 6);
    refused(rmp_graph_silu(g, 50, &y), "silu: operand 50");
    must(rmp_graph_affine(g, 2, x, 1, &y));
    expect_shape(g, y, 5, 7, 6);
    refused(rmp_graph_affine(g, (double)NAN, x, 1, &y), "affine: coefficients");
    refused(rmp_graph_affine(g, 1, -2, 1, &y), "affine: operand -2");
    must(rmp_graph_clip(g, x, -1, 1, &y));
    expect_shape(g, y, 5, 7, 6);
    refused(rmp_graph_clip(g, x, 1, 1, &y), "clip: empty range [1, 1]");
    refused(rmp_graph_clip(g, x, (double)NAN, 1, &y), "clip: empty range");
    must(rmp_graph_leaky_relu(g, x, 0.2, &y));
    expect_shape(g, y, 5, 7, 6);
    refused(rmp_graph_leaky_relu(g, x, -0.1, &y), "leaky_relu: slope -0.1");
    refused(rmp_graph_leaky_relu(g, x, 1, &y), "leaky_relu: slope 1");
    refused(rmp_graph_leaky_relu(g, x, (double)NAN, &y), "leaky_relu: slope");
    refused(rmp_graph_leaky_relu(g, 60, 0, &y), "leaky_relu: operand 60");
    must(rmp_graph_tanh(g, x, &y));
    expect_shape(g, y, 5, 7, 6);
    refused(rmp_graph_tanh(g, -7, &y), "tanh: operand -7");
    must(rmp_graph_add(g, 1, x, 1, y, &y));
    cr_expect_eq(rmp_graph_node(g, y)->operands, 2);
    refused(rmp_graph_add(g, 1, x, 1, m, &y), "add: shapes (5, 7, 6) and (5, 7, 1) differ");
    refused(rmp_graph_add(g, 1, x, 1, 70, &y), "add: operand 70");
    refused(rmp_graph_add(g, (double)INFINITY, x, 1, x, &y), "add: coefficients");
    must(rmp_graph_channel_bias(g, x, v, 3, &y));
    expect_shape(g, y, 5, 7, 6);
    cr_expect_eq(rmp_graph_node(g, y)->operand[1], v);
    refused(rmp_graph_channel_bias(g, x, v, 4, &y), "vector (1, 1, 9) from 4 for 6 channels");
    refused(rmp_graph_channel_bias(g, x, m, 0, &y), "vector (5, 7, 1)");
    refused(rmp_graph_channel_bias(g, x, x, 0, &y), "vector 0 depends on input 0");
    must(rmp_graph_multiply(g, x, m, &y));
    expect_shape(g, y, 5, 7, 6);
    cr_expect_eq(rmp_graph_node(g, y)->operand[1], m);
    refused(rmp_graph_multiply(g, x, v, &y), "mask (1, 1, 9) on (5, 7, 6)");
    refused(rmp_graph_multiply(g, x, y, &y), "depends on input 0");
    must(rmp_graph_unit_channels(g, x, 1e-10, &y));
    expect_shape(g, y, 5, 7, 6);
    refused(rmp_graph_unit_channels(g, x, 0, &y), "unit_channels: eps 0");
    refused(rmp_graph_unit_channels(g, 91, 1, &y), "unit_channels: operand 91");
    must(rmp_graph_square(g, x, &y));
    expect_shape(g, y, 5, 7, 6);
    refused(rmp_graph_square(g, 91, &y), "square: operand 91");
    must(rmp_graph_power(g, x, 2.2, &y));
    expect_shape(g, y, 5, 7, 6);
    refused(rmp_graph_power(g, x, 0, &y), "power: exponent 0");
    refused(rmp_graph_power(g, x, (double)NAN, &y), "power: exponent nan");
    refused(rmp_graph_power(g, 91, 1, &y), "power: operand 91");
    must(rmp_graph_fft_magnitude(g, x, 2, 3, &y));
    expect_shape(g, y, 9, 13, 6);
    refused(rmp_graph_fft_magnitude(g, x, -1, 0, &y), "fft_magnitude: padding -1 and 0");
    refused(rmp_graph_fft_magnitude(g, 91, 0, 0, &y), "fft_magnitude: operand 91");
    rmp_graph_destroy(&g);
}

Test(graph, concat)
{
    rmp_value x, a, b, y;
    rmp_graph *g = graph_with_input(5, 7, 6, &x);
    must(rmp_graph_input(g, (rmp_shape){5, 7, 2}, &a));
    must(rmp_graph_input(g, (rmp_shape){5, 8, 2}, &b));
    must(rmp_graph_concat(g, 2, (rmp_value[]){a, a}, &y));
    cr_expect_not(rmp_graph_node(g, y)->differentiable, "no part depends on input 0");
    must(rmp_graph_concat(g, 3, (rmp_value[]){a, x, a}, &y));
    expect_shape(g, y, 5, 7, 10);
    cr_expect(rmp_graph_node(g, y)->differentiable && rmp_graph_node(g, y)->operands == 3);
    must(rmp_graph_concat(g, 1, &x, &y));
    refused(rmp_graph_concat(g, 2, (rmp_value[]){x, b}, &y), "part 1 is (5, 8, 2), part 0 is (5, 7, 6)");
    refused(rmp_graph_concat(g, 2, (rmp_value[]){x, 44}, &y), "concat: operand 44");
    refused(rmp_graph_concat(g, 0, &x, &y), "concat: 0 parts");
    rmp_graph_destroy(&g);
}

Test(graph, sizes)
{
    rmp_value x, y;
    rmp_taps *rows, *columns;
    rmp_graph *g = graph_with_input(6, 12, 3, &x);
    must(rmp_graph_avg_pool(g, x, 3, &y));
    expect_shape(g, y, 2, 4, 3);
    refused(rmp_graph_avg_pool(g, x, 4, &y), "avg_pool: 6 x 12 pixels are no multiple of 4");
    refused(rmp_graph_avg_pool(g, x, 0, &y), "avg_pool: factor 0");
    must(rmp_graph_upsample(g, x, 3, &y));
    expect_shape(g, y, 18, 36, 3);
    refused(rmp_graph_upsample(g, x, -2, &y), "upsample: factor -2");
    must(rmp_graph_pixel_shuffle(g, x, 1, &y));
    expect_shape(g, y, 6, 12, 3);
    refused(rmp_graph_pixel_shuffle(g, x, 2, &y), "pixel_shuffle: 3 channels are no multiple of 2 x 2");
    refused(rmp_graph_pixel_shuffle(g, x, 0, &y), "pixel_shuffle: factor 0");
    refused(rmp_graph_pixel_shuffle(g, 91, 2, &y), "pixel_shuffle: operand 91");
    must(rmp_graph_concat(g, 4, (rmp_value[]){x, x, x, x}, &y));
    must(rmp_graph_pixel_shuffle(g, y, 2, &y));
    expect_shape(g, y, 12, 24, 3);
    must(rmp_taps_box_down(6, 2, &rows));
    must(rmp_taps_reflect_pad(12, 5, 6, &columns));
    must(rmp_graph_resample(g, x, rows, columns, &y));
    expect_shape(g, y, 3, 23, 3);
    cr_expect_neq(rmp_graph_node(g, y)->as.resample.h, rows, "the graph has its own copy");
    must(rmp_graph_resample(g, x, NULL, columns, &y));
    expect_shape(g, y, 6, 23, 3);
    must(rmp_graph_resample(g, x, NULL, NULL, &y));
    expect_shape(g, y, 6, 12, 3);
    refused(rmp_graph_resample(g, x, columns, NULL, &y), "taps of 12 rows on 6");
    refused(rmp_graph_resample(g, x, NULL, rows, &y), "taps of 6 columns on 12");
    rmp_taps_destroy(&rows);
    rmp_taps_destroy(&columns);
    rmp_graph_destroy(&g);
}

Test(graph, attention_and_linear)
{
    rmp_value x, y;
    rmp_tensor w = weight(2, 7, 90, 0, 0), narrow = weight(2, 7, 80, 0, 0), cube = weight(3, 7, 90, 1, 0),
               bias = weight(1, 7, 0, 0, 0);
    rmp_graph *g = graph_with_input(2, 5, 9, &x);
    must(rmp_graph_attention(g, x, 3, RMP_QKV_BLOCKS, &y));
    expect_shape(g, y, 2, 5, 3);
    refused(rmp_graph_attention(g, x, 2, RMP_QKV_BLOCKS, &y), "9 channels are not 3 times 2 heads");
    refused(rmp_graph_attention(g, x, 0, RMP_QKV_BLOCKS, &y), "0 heads");
    refused(rmp_graph_attention(g, x, 1, (rmp_attention_order)7, &y), "order 7");
    must(rmp_graph_linear(g, x, &w, &bias, &y));
    expect_shape(g, y, 1, 1, 7);
    must(rmp_graph_linear(g, x, &w, NULL, &y));
    refused(rmp_graph_linear(g, x, &narrow, NULL, &y), "weight (7, 80) on 90 numbers");
    refused(rmp_graph_linear(g, x, &cube, NULL, &y), "weight (7, 90, 1)");
    refused(rmp_graph_linear(g, x, NULL, NULL, &y), "linear: no weight");
    refused(rmp_graph_linear(g, x, &w, &w, &y), "bias (7, 90) must be (7)");
    rmp_graph_destroy(&g);
}

/* Sizes as torch's max_pool2d has them. */
Test(graph, max_pool)
{
    const struct {
        int64_t kernel, stride, pad, h, w; /* of 9 x 14 pixels */
        bool ceil;
    } good[] = {{2, 2, 0, 4, 7, false}, {2, 2, 0, 5, 7, true},  {3, 2, 0, 4, 6, false}, {3, 2, 0, 4, 7, true},
                {3, 1, 1, 9, 14, true}, {3, 4, 1, 3, 4, false}, {2, 4, 1, 3, 4, true},  {9, 1, 0, 1, 6, false}};
    rmp_value x, y;
    rmp_graph *g = graph_with_input(9, 14, 3, &x);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const rmp_max_pool pool = {good[i].kernel, good[i].stride, good[i].pad, good[i].ceil};
        must(rmp_graph_max_pool(g, x, &pool, &y));
        expect_shape(g, y, good[i].h, good[i].w, 3);
    }
    cr_expect_eq(rmp_graph_node(g, y)->as.pool.kernel, 9);
    refused(rmp_graph_max_pool(g, x, &(rmp_max_pool){10, 1, 0, false}, &y), "a window of 10 does not fit into 9 x 14");
    refused(rmp_graph_max_pool(g, x, &(rmp_max_pool){3, 1, 2, false}, &y), "max_pool: kernel 3, stride 1, pad 2");
    refused(rmp_graph_max_pool(g, x, &(rmp_max_pool){0, 1, 0, false}, &y), "kernel 0");
    refused(rmp_graph_max_pool(g, x, &(rmp_max_pool){3, 0, 0, false}, &y), "stride 0");
    refused(rmp_graph_max_pool(g, x, &(rmp_max_pool){3, 1, -1, false}, &y), "pad -1");
    refused(rmp_graph_max_pool(g, 91, &(rmp_max_pool){3, 1, 1, false}, &y), "max_pool: operand 91");
    rmp_graph_destroy(&g);
    /* a window that hangs over is one, a window that begins behind the image is none */
    g = graph_with_input(2, 1, 1, &x);
    must(rmp_graph_max_pool(g, x, &(rmp_max_pool){1, 2, 0, true}, &y));
    expect_shape(g, y, 1, 1, 1);
    refused(rmp_graph_max_pool(g, x, &(rmp_max_pool){3, 2, 0, true}, &y), "a window of 3 does not fit into 2 x 1");
    rmp_graph_destroy(&g);
}

/* 2 per multiply-add, counted by hand. */
Test(graph, flop)
{
    rmp_value x, y;
    rmp_tensor w = weight(4, 6, 2, 3, 3), matrix = weight(2, 10, 24, 0, 0);
    rmp_graph *g = graph_with_input(4, 4, 4, &x);
    must(
        rmp_graph_conv2d(g, x, &(rmp_conv2d){.weight = &w, .stride = 2, .pad_top = 1, .pad_left = 1, .groups = 2}, &y));
    double want = 2.0 * (2 * 2 * 6) * (2 * 9);
    cr_expect_float_eq(rmp_graph_flop(g), want, 1e-9);
    must(rmp_graph_attention(g, y, 2, RMP_QKV_BLOCKS, &x)); /* 4 positions, 2 channels: q k^T and P v */
    want += 2 * 2.0 * 4 * 4 * 2;
    cr_expect_float_eq(rmp_graph_flop(g), want, 1e-9);
    must(rmp_graph_linear(g, y, &matrix, NULL, &x));
    want += 2.0 * 10 * 24;
    cr_expect_float_eq(rmp_graph_flop(g), want, 1e-9);
    must(rmp_graph_silu(g, x, &x));
    cr_expect_float_eq(rmp_graph_flop(g), want, 1e-9);
    rmp_graph_destroy(&g);
}

Test(graph, names)
{
    for (int op = 0; op < RMP_OP_COUNT; op++)
        cr_expect(rmp_op_name((rmp_op)op) && strlen(rmp_op_name((rmp_op)op)) > 2);
    cr_expect_str_eq(rmp_op_name(RMP_OP_CHANNEL_BIAS), "channel_bias");
    cr_expect_str_eq(rmp_op_name(RMP_OP_COUNT), "unknown");
}
