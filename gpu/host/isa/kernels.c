/* Compiled several times, with RMP_ISA naming the instruction set and RMP_WIDTH the floats of its vectors. */
#include "gpu/host/isa/norm.h"
#include "gpu/host/isa/vector.h"
#include "gpu/host/isa/wino.h"

static void axpby(int64_t n, float a, const float *x, float b, float *y)
{
    if (b == 0.0F) {
        for (int64_t i = 0; i < n; i++)
            y[i] = a * x[i];
    } else {
        for (int64_t i = 0; i < n; i++)
            y[i] = a * x[i] + b * y[i];
    }
}

static void add(int64_t n, float a, const float *x, float b, const float *y, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = a * x[i] + b * y[i];
}

static double dot(int64_t n, const float *x, const float *y)
{
    double s[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (int j = 0; j < 8; j++)
            s[j] += (double)x[i + j] * (double)y[i + j];
    }
    for (; i < n; i++)
        s[0] += (double)x[i] * (double)y[i];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

static void silu_array(int64_t n, const float *x, float *y)
{
    for (int64_t i = 0; i < n; i += W)
        store_n(y + i, silu(load_n(x + i, n - i)), n - i);
}

static void silu_backward(int64_t n, const float *x, const float *g, float *dx)
{
    for (int64_t i = 0; i < n; i += W) {
        store_n(dx + i, load_n(g + i, n - i) * silu_slope(load_n(x + i, n - i)), n - i);
    }
}

static void softmax(int64_t n, float scale, float *x)
{
    float top = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        top = x[i] > top ? x[i] : top;
    vf sums = {0};
    for (int64_t i = 0; i < n; i += W) {
        int64_t m = n - i;
        vf e = vexp(splat(scale) * (load_n(x + i, m) - splat(top)));
        store_n(x + i, e, m);
        sums += load_n(x + i, m);
    }
    float lanes[W], sum = 0;
    store(lanes, sums);
    for (int i = 0; i < W; i++)
        sum += lanes[i];
    float inverse = 1.0F / sum;
    for (int64_t i = 0; i < n; i++)
        x[i] *= inverse;
}

extern const rmp_kernels NAME(rmp_kernels_, RMP_ISA);
const rmp_kernels NAME(rmp_kernels_, RMP_ISA) = {
    .name = TEXT(RMP_ISA),
    .width = W,
    .wino_plan = wino_plan,
    .wino_pack_floats = pack_floats,
    .wino_pack = wino_pack,
    .wino_unit = wino_unit,
    .norm_sums = norm_sums,
    .norm_apply = norm_apply,
    .norm_backward1 = norm_backward1,
    .norm_backward2 = norm_backward2,
    .axpby = axpby,
    .add = add,
    .dot = dot,
    .silu = silu_array,
    .silu_backward = silu_backward,
    .to_bf16 = to_bf16,
    .softmax = softmax,
};
