#include "core/nets/inception.h"

#include "core/nets/walk.h"

#include <stdio.h>

enum { MAX_NAME = 64 };

/* One block: its branches all read x. */
typedef struct block {
    const rmp_walk *walk;
    const char *name;
    rmp_step_value x;
} block;

static const rmp_max_pool HALVE = {3, 2, 0, false}, LARGEST = {3, 1, 1, false};

static rmp_status convolve(const block *b, rmp_step_value x, const char *branch, const rmp_walk_conv *conv,
                           rmp_step_value *out)
{
    char name[MAX_NAME];
    snprintf(name, sizeof name, "%s%s%s", b->name, *branch ? "." : "", branch);
    return rmp_walk_convolve(b->walk, x, name, conv, out);
}

/* Stride 1, zeros around so that the size stays. */
static rmp_status same(const block *b, rmp_step_value x, const char *branch, int64_t out_channels, int64_t kh,
                       int64_t kw, rmp_step_value *out)
{
    return convolve(b, x, branch, &(rmp_walk_conv){out_channels, kh, kw, 1, kh / 2, kw / 2, true}, out);
}

/* 3 x 3 without padding. */
static rmp_status valid(const block *b, rmp_step_value x, const char *branch, int64_t out_channels, int64_t stride,
                        rmp_step_value *out)
{
    return convolve(b, x, branch, &(rmp_walk_conv){out_channels, 3, 3, stride, 0, 0, true}, out);
}

/* Mixed_5b to 5d. */
static rmp_status block_a(const block *b, int64_t pool_channels, rmp_step_value *out)
{
    rmp_step_value part[4], x;
    RMP_TRY(same(b, b->x, "branch1x1", 64, 1, 1, &part[0]));
    RMP_TRY(same(b, b->x, "branch5x5_1", 48, 1, 1, &x));
    RMP_TRY(same(b, x, "branch5x5_2", 64, 5, 5, &part[1]));
    RMP_TRY(same(b, b->x, "branch3x3dbl_1", 64, 1, 1, &x));
    RMP_TRY(same(b, x, "branch3x3dbl_2", 96, 3, 3, &x));
    RMP_TRY(same(b, x, "branch3x3dbl_3", 96, 3, 3, &part[2]));
    RMP_TRY(rmp_walk_mean(b->walk, b->x, &x));
    RMP_TRY(same(b, x, "branch_pool", pool_channels, 1, 1, &part[3]));
    return rmp_walk_concat(b->walk, 4, part, out);
}

/* Mixed_6a */
static rmp_status block_b(const block *b, rmp_step_value *out)
{
    rmp_step_value part[3], x;
    RMP_TRY(valid(b, b->x, "branch3x3", 384, 2, &part[0]));
    RMP_TRY(same(b, b->x, "branch3x3dbl_1", 64, 1, 1, &x));
    RMP_TRY(same(b, x, "branch3x3dbl_2", 96, 3, 3, &x));
    RMP_TRY(valid(b, x, "branch3x3dbl_3", 96, 2, &part[1]));
    RMP_TRY(rmp_walk_max_pool(b->walk, b->x, &HALVE, &part[2]));
    return rmp_walk_concat(b->walk, 3, part, out);
}

/* Mixed_6b to 6e; c: channels inside of the branches. */
static rmp_status block_c(const block *b, int64_t c, rmp_step_value *out)
{
    rmp_step_value part[4], x;
    RMP_TRY(same(b, b->x, "branch1x1", 192, 1, 1, &part[0]));
    RMP_TRY(same(b, b->x, "branch7x7_1", c, 1, 1, &x));
    RMP_TRY(same(b, x, "branch7x7_2", c, 1, 7, &x));
    RMP_TRY(same(b, x, "branch7x7_3", 192, 7, 1, &part[1]));
    RMP_TRY(same(b, b->x, "branch7x7dbl_1", c, 1, 1, &x));
    RMP_TRY(same(b, x, "branch7x7dbl_2", c, 7, 1, &x));
    RMP_TRY(same(b, x, "branch7x7dbl_3", c, 1, 7, &x));
    RMP_TRY(same(b, x, "branch7x7dbl_4", c, 7, 1, &x));
    RMP_TRY(same(b, x, "branch7x7dbl_5", 192, 1, 7, &part[2]));
    RMP_TRY(rmp_walk_mean(b->walk, b->x, &x));
    RMP_TRY(same(b, x, "branch_pool", 192, 1, 1, &part[3]));
    return rmp_walk_concat(b->walk, 4, part, out);
}

/* Mixed_7a */
static rmp_status block_d(const block *b, rmp_step_value *out)
{
    rmp_step_value part[3], x;
    RMP_TRY(same(b, b->x, "branch3x3_1", 192, 1, 1, &x));
    RMP_TRY(valid(b, x, "branch3x3_2", 320, 2, &part[0]));
    RMP_TRY(same(b, b->x, "branch7x7x3_1", 192, 1, 1, &x));
    RMP_TRY(same(b, x, "branch7x7x3_2", 192, 1, 7, &x));
    RMP_TRY(same(b, x, "branch7x7x3_3", 192, 7, 1, &x));
    RMP_TRY(valid(b, x, "branch7x7x3_4", 192, 2, &part[1]));
    RMP_TRY(rmp_walk_max_pool(b->walk, b->x, &HALVE, &part[2]));
    return rmp_walk_concat(b->walk, 3, part, out);
}

/* Mixed_7b and 7c; the last one pools by maximum, a slip of the original that is part of what FID measures. */
static rmp_status block_e(const block *b, bool maximum, rmp_step_value *out)
{
    rmp_step_value part[6], x;
    RMP_TRY(same(b, b->x, "branch1x1", 320, 1, 1, &part[0]));
    RMP_TRY(same(b, b->x, "branch3x3_1", 384, 1, 1, &x));
    RMP_TRY(same(b, x, "branch3x3_2a", 384, 1, 3, &part[1]));
    RMP_TRY(same(b, x, "branch3x3_2b", 384, 3, 1, &part[2]));
    RMP_TRY(same(b, b->x, "branch3x3dbl_1", 448, 1, 1, &x));
    RMP_TRY(same(b, x, "branch3x3dbl_2", 384, 3, 3, &x));
    RMP_TRY(same(b, x, "branch3x3dbl_3a", 384, 1, 3, &part[3]));
    RMP_TRY(same(b, x, "branch3x3dbl_3b", 384, 3, 1, &part[4]));
    if (maximum)
        RMP_TRY(rmp_walk_max_pool(b->walk, b->x, &LARGEST, &x));
    else
        RMP_TRY(rmp_walk_mean(b->walk, b->x, &x));
    RMP_TRY(same(b, x, "branch_pool", 192, 1, 1, &part[5]));
    return rmp_walk_concat(b->walk, 6, part, out);
}

static rmp_status stem(const rmp_walk *walk, rmp_step_value *x)
{
    RMP_TRY(valid(&(block){walk, "Conv2d_1a_3x3", *x}, *x, "", 32, 2, x));
    RMP_TRY(valid(&(block){walk, "Conv2d_2a_3x3", *x}, *x, "", 32, 1, x));
    RMP_TRY(same(&(block){walk, "Conv2d_2b_3x3", *x}, *x, "", 64, 3, 3, x));
    RMP_TRY(rmp_walk_max_pool(walk, *x, &HALVE, x));
    RMP_TRY(same(&(block){walk, "Conv2d_3b_1x1", *x}, *x, "", 80, 1, 1, x));
    RMP_TRY(valid(&(block){walk, "Conv2d_4a_3x3", *x}, *x, "", 192, 1, x));
    return rmp_walk_max_pool(walk, *x, &HALVE, x);
}

static rmp_status network(const rmp_walk *walk, rmp_value image, rmp_step_value *out)
{
    static const struct {
        const char *name;
        int64_t channels;
    } a[] = {{"Mixed_5b", 32}, {"Mixed_5c", 64}, {"Mixed_5d", 64}},
      c[] = {{"Mixed_6b", 128}, {"Mixed_6c", 160}, {"Mixed_6d", 160}, {"Mixed_6e", 192}};
    rmp_step_value x = {image, 3};
    RMP_TRY(stem(walk, &x));
    for (size_t i = 0; i < sizeof a / sizeof *a; i++)
        RMP_TRY(block_a(&(block){walk, a[i].name, x}, a[i].channels, &x));
    RMP_TRY(block_b(&(block){walk, "Mixed_6a", x}, &x));
    for (size_t i = 0; i < sizeof c / sizeof *c; i++)
        RMP_TRY(block_c(&(block){walk, c[i].name, x}, c[i].channels, &x));
    RMP_TRY(block_d(&(block){walk, "Mixed_7a", x}, &x));
    RMP_TRY(block_e(&(block){walk, "Mixed_7b", x}, false, &x));
    return block_e(&(block){walk, "Mixed_7c", x}, true, out);
}

rmp_status rmp_inception_list(rmp_weights *list)
{
    const rmp_walk walk = {.list = list};
    rmp_step_value out;
    return network(&walk, RMP_NONE, &out);
}

/* Bilinear, centre-aligned, no antialiasing; an image of that size stays as it is. */
static rmp_status resize(rmp_graph *graph, rmp_value x, int64_t h, int64_t w, rmp_value *out)
{
    rmp_taps *rows = NULL, *columns = NULL;
    rmp_status status;
    if (h != RMP_INCEPTION_SIZE) RMP_TRY_GOTO(rmp_taps_linear(h, RMP_INCEPTION_SIZE, &rows), done);
    if (w != RMP_INCEPTION_SIZE) RMP_TRY_GOTO(rmp_taps_linear(w, RMP_INCEPTION_SIZE, &columns), done);
    status = rmp_graph_resample(graph, x, rows, columns, out);
done:
    rmp_taps_destroy(&rows);
    rmp_taps_destroy(&columns);
    return status;
}

rmp_status rmp_inception_graph(const rmp_weights *layers, int64_t h, int64_t w, rmp_graph *graph)
{
    const rmp_walk walk = {.graph = graph, .weights = layers};
    rmp_value x;
    rmp_step_value last;
    RMP_TRY(rmp_graph_input(graph, (rmp_shape){h, w, 3}, &x));
    RMP_TRY(resize(graph, x, h, w, &x));
    RMP_TRY(network(&walk, x, &last));
    RMP_TRY(rmp_walk_average(graph, last.value, &x));
    return rmp_graph_output(graph, x);
}
