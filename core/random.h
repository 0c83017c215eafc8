/* Philox4x32-10 (Salmon et al., SC 2011) and standard normal numbers from it. A number is a pure function of
 * (seed, item, step, purpose, index): no state, the same on every device, rank and thread.
 *
 * The 128-bit block that Philox makes of the counter (item, step, purpose) under the key `seed` is the key (first
 * half) and the upper half of the counter of a stream; block b of the stream holds its numbers 4 b .. 4 b + 3.
 *
 * The inline part is plain C that a CUDA compiler accepts too. Every product that is followed by a sum is written as
 * fmaf, nothing comes from a vendor's libm, and so each device and compiler gives the same bits: float arithmetic is
 * IEEE, and fmaf, sqrtf and conversions are correctly rounded everywhere. */
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__CUDACC__)
#define RMP_RANDOM_INLINE static __host__ __device__ __forceinline__
#else
#define RMP_RANDOM_INLINE static inline __attribute__((always_inline, unused))
#endif

/* What a draw is for: a part of the counter, so that no two uses share numbers. */
enum {
    RMP_PURPOSE_NOISE = 1,  /* measurement noise */
    RMP_PURPOSE_INIT = 2,   /* start of a solver */
    RMP_PURPOSE_SPREAD = 3, /* draws around a mean */
    RMP_PURPOSE_MASK = 4,
    RMP_PURPOSE_KERNEL = 5,
    RMP_PURPOSE_PROBE = 6,
    RMP_PURPOSE_CODE = 7,      /* kernel code of a network that blurs */
    RMP_PURPOSE_ANCESTRAL = 8, /* steps of a sampler */
    RMP_PURPOSE_NOISED = 9,    /* measurements that a solver brings to its noise level */
    RMP_PURPOSE_LANGEVIN = 10,
    RMP_PURPOSE_UNCERTAINTY = 11 /* probes and draws of standard deviations */
};

/* Which image of a job a random number belongs to. */
typedef struct rmp_key {
    uint64_t seed; /* of the job */
    uint64_t item; /* index of the item in the job */
} rmp_key;

/* Number `index` of a stream: 32 independent bits. */
uint32_t rmp_random_u32(rmp_key key, uint32_t step, uint32_t purpose, uint64_t index);
/* The same number mapped to the open interval (0, 1), 32 bits. */
double rmp_random_uniform(rmp_key key, uint32_t step, uint32_t purpose, uint64_t index);
/* Number `index` of the same stream as a standard normal number. */
float rmp_random_normal(rmp_key key, uint32_t step, uint32_t purpose, uint64_t index);
/* out[i] = rmp_random_normal(key, step, purpose, i), i < n: the same bits. */
void rmp_random_normals(rmp_key key, uint32_t step, uint32_t purpose, int64_t n, float *out);
/* out[i] = number first + i, for kernels that fill a part; the same bits. */
void rmp_random_normals_at(rmp_key key, uint32_t step, uint32_t purpose, uint64_t first, int64_t n, float *out);

/* One block of Philox4x32-10. */
RMP_RANDOM_INLINE void rmp_philox(const uint32_t counter[4], uint32_t key0, uint32_t key1, uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; ++round) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ key0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ key1;
        c3 = (uint32_t)p0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Key (0, 1) and upper counter half (2, 3) of a stream. */
RMP_RANDOM_INLINE void rmp_random_stream(rmp_key key, uint32_t step, uint32_t purpose, uint32_t stream[4])
{
    const uint32_t counter[4] = {(uint32_t)key.item, (uint32_t)(key.item >> 32), step, purpose};
    rmp_philox(counter, (uint32_t)key.seed, (uint32_t)(key.seed >> 32), stream);
}

RMP_RANDOM_INLINE void rmp_random_block(const uint32_t stream[4], uint64_t block, uint32_t out[4])
{
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), stream[2], stream[3]};
    rmp_philox(counter, stream[0], stream[1], out);
}

/* sqrt(-2 log u), u = (bits + 1/2) / 2^32 rounded to float. The logarithm: u = m 2^e, m in [sqrt(1/2), sqrt(2)), and a
 * minimax polynomial of degree 8 in m - 1 (coefficients: Moshier, Cephes logf); relative error below 2^-22. */
RMP_RANDOM_INLINE float rmp_normal_radius(uint32_t bits)
{
    const float u = fmaf((float)bits, 0x1p-32f, 0x1p-33f);
    uint32_t raw;
    memcpy(&raw, &u, sizeof raw);
    const uint32_t shifted = raw - 0x3F3504F3u; /* below sqrt(1/2) borrows from the exponent */
    const int32_t e = (int32_t)shifted >> 23;
    const uint32_t mantissa = (shifted & 0x007FFFFFu) + 0x3F3504F3u;
    float m;
    memcpy(&m, &mantissa, sizeof m);
    const float f = m - 1.0f, z = f * f, k = (float)e;
    float p = 7.0376836292e-2f;
    p = fmaf(p, f, -1.1514610310e-1f);
    p = fmaf(p, f, 1.1676998740e-1f);
    p = fmaf(p, f, -1.2420140846e-1f);
    p = fmaf(p, f, 1.4249322787e-1f);
    p = fmaf(p, f, -1.6668057665e-1f);
    p = fmaf(p, f, 2.0000714765e-1f);
    p = fmaf(p, f, -2.4999993993e-1f);
    p = fmaf(p, f, 3.3333331174e-1f);
    float log_u = fmaf(p * f, z, k * -2.12194440e-4f); /* ln 2 in two parts, the first exact in k * 0.693359375 */
    log_u = fmaf(-0.5f, z, log_u);
    log_u = fmaf(k, 0.693359375f, f + log_u);
    return sqrtf(fmaxf(-2.0f * log_u, 0.0f));
}

/* cos and sin of 2 pi bits / 2^32: the nearest quarter turn is taken off in integers, so that the remainder is exact,
 * then polynomials on [-pi/4, pi/4] (coefficients: Moshier, Cephes sinf, cosf); absolute error below 2^-23. */
RMP_RANDOM_INLINE void rmp_normal_angle(uint32_t bits, float *cosine, float *sine)
{
    const uint32_t quarter = (bits + 0x20000000u) >> 30;
    const int32_t rest = (int32_t)(bits - (quarter << 30));
    const float x = (float)rest * 0x1.921fb6p-30f; /* 2 pi / 2^32 */
    const float z = x * x;
    float s = -1.9515295891e-4f;
    s = fmaf(s, z, 8.3321608736e-3f);
    s = fmaf(s, z, -1.6666654611e-1f);
    s = fmaf(s * z, x, x);
    float c = 2.443315711809948e-5f;
    c = fmaf(c, z, -1.388731625493765e-3f);
    c = fmaf(c, z, 4.166664568298827e-2f);
    c = fmaf(c * z, z, fmaf(-0.5f, z, 1.0f));
    const int odd = (int)(quarter & 1u);
    const float a = odd ? s : c, b = odd ? c : s;
    *cosine = ((quarter + 1u) & 2u) ? -a : a;
    *sine = (quarter & 2u) ? -b : b;
}

/* Four normal numbers of the four words of a block (Box and Muller 1958, words in pairs). */
RMP_RANDOM_INLINE void rmp_random_normal4(const uint32_t word[4], float out[4])
{
    for (int pair = 0; pair < 4; pair += 2) {
        const float radius = rmp_normal_radius(word[pair]);
        float cosine, sine;
        rmp_normal_angle(word[pair + 1], &cosine, &sine);
        out[pair] = radius * cosine;
        out[pair + 1] = radius * sine;
    }
}
