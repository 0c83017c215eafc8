/* Vectors of one instruction set: RMP_WIDTH floats, GCC and clang vector types. Only for gpu/host/isa/kernels.c, which
 * is compiled with RMP_ISA and RMP_WIDTH for each set. */
#pragma once

#include "gpu/host/kernels.h"

#include <math.h>
#include <string.h>

#ifndef RMP_ISA
#define RMP_ISA   generic
#define RMP_WIDTH 4
#endif

#define W           RMP_WIDTH
#define NAME_(a, b) a##b
#define NAME(a, b)  NAME_(a, b)
#define TEXT_(a)    #a
#define TEXT(a)     TEXT_(a)

typedef float vf __attribute__((vector_size(4 * W)));
typedef int32_t vi __attribute__((vector_size(4 * W)));
typedef float vfu __attribute__((vector_size(4 * W), aligned(4), may_alias));

static inline vf load(const float *p) { return *(const vfu *)p; }
static inline void store(float *p, vf v) { *(vfu *)p = v; }
static inline vf splat(float x) { return x - (vf){0}; }

static inline vf choose(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }

/* exp(x) to about 1e-7 relative, x clamped to where the result is a normal number. */
static inline vf vexp(vf x)
{
    const vf magic = splat(12582912.0F); /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    x = choose(x < splat(-87.0F), splat(-87.0F), x);
    x = choose(x > splat(88.0F), splat(88.0F), x);
    vf t = x * splat(1.44269504088896341F) + magic;
    vf n = t - magic;
    vf r = x - n * splat(0.693145751953125F);
    r = r - n * splat(1.42860682030941723212e-6F);
    vf p = splat(1.9875691500e-4F);
    p = p * r + splat(1.3981999507e-3F);
    p = p * r + splat(8.3334519073e-3F);
    p = p * r + splat(4.1665795894e-2F);
    p = p * r + splat(1.6666665459e-1F);
    p = p * r + splat(5.0000001201e-1F);
    p = p * r * r + r + splat(1.0F);
    vi bits = ((vi)t << 23) + (vi)p;
    return (vf)bits;
}

static inline vf sigmoid(vf x) { return splat(1.0F) / (splat(1.0F) + vexp(-x)); }
static inline vf silu(vf x) { return x / (splat(1.0F) + vexp(-x)); }
static inline vf silu_slope(vf x)
{
    vf s = sigmoid(x);
    return s * (splat(1.0F) + x * (splat(1.0F) - s));
}

/* n < W floats: the rest of the vector is zero / not written. */
static inline vf load_some(const float *p, int64_t n)
{
    float t[W] = {0};
    memcpy(t, p, (size_t)n * sizeof *t);
    return load(t);
}
static inline void store_some(float *p, vf v, int64_t n)
{
    float t[W];
    store(t, v);
    memcpy(p, t, (size_t)n * sizeof *t);
}
static inline vf load_n(const float *p, int64_t n) { return n >= W ? load(p) : load_some(p, n); }
static inline void store_n(float *p, vf v, int64_t n)
{
    if (n >= W) {
        store(p, v);
    } else {
        store_some(p, v, n);
    }
}

static int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }
static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
