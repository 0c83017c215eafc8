#include "core/random.h"

#include <stddef.h>

/* Blocks that the bulk loop makes at a time: enough to fill vector registers, small enough for the first cache. */
enum { CHUNK = 64 };

uint32_t rmp_random_u32(rmp_key key, uint32_t step, uint32_t purpose, uint64_t index)
{
    uint32_t stream[4], word[4];
    rmp_random_stream(key, step, purpose, stream);
    rmp_random_block(stream, index / 4, word);
    return word[index % 4];
}

double rmp_random_uniform(rmp_key key, uint32_t step, uint32_t purpose, uint64_t index)
{
    return ((double)rmp_random_u32(key, step, purpose, index) + 0.5) * 0x1p-32;
}

float rmp_random_normal(rmp_key key, uint32_t step, uint32_t purpose, uint64_t index)
{
    uint32_t stream[4], word[4];
    float normal[4];
    rmp_random_stream(key, step, purpose, stream);
    rmp_random_block(stream, index / 4, word);
    rmp_random_normal4(word, normal);
    return normal[index % 4];
}

/* CHUNK whole blocks from `block` on: loops of one kind each, which compilers turn into vector code. */
RMP_RANDOM_INLINE void chunk_of_normals(const uint32_t stream[4], uint64_t block, float *out)
{
    uint32_t word[4][CHUNK];
    float normal[4][CHUNK];
    for (int i = 0; i < CHUNK; ++i) {
        const uint64_t b = block + (uint64_t)i;
        word[0][i] = (uint32_t)b;
        word[1][i] = (uint32_t)(b >> 32);
        word[2][i] = stream[2];
        word[3][i] = stream[3];
    }
    for (int i = 0; i < CHUNK; ++i) {
        const uint32_t counter[4] = {word[0][i], word[1][i], word[2][i], word[3][i]};
        uint32_t made[4];
        rmp_philox(counter, stream[0], stream[1], made);
        for (int k = 0; k < 4; ++k)
            word[k][i] = made[k];
    }
    for (int pair = 0; pair < 4; pair += 2) {
        for (int i = 0; i < CHUNK; ++i) {
            const float radius = rmp_normal_radius(word[pair][i]);
            float cosine, sine;
            rmp_normal_angle(word[pair + 1][i], &cosine, &sine);
            normal[pair][i] = radius * cosine;
            normal[pair + 1][i] = radius * sine;
        }
    }
    for (int i = 0; i < CHUNK; ++i)
        for (int k = 0; k < 4; ++k)
            out[4 * i + k] = normal[k][i];
}

typedef void chunk_function(const uint32_t stream[4], uint64_t block, float *out);

static void chunk_baseline(const uint32_t stream[4], uint64_t block, float *out)
{
    chunk_of_normals(stream, block, out);
}

#if defined(__x86_64__) && defined(__GNUC__)
/* Without the FMA instructions fmaf is a call; the bits are the same. */
__attribute__((target("avx2,fma"))) static void chunk_fma(const uint32_t stream[4], uint64_t block, float *out)
{
    chunk_of_normals(stream, block, out);
}

static chunk_function *choose_chunk(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? chunk_fma : chunk_baseline;
}
#else
static chunk_function *choose_chunk(void) { return chunk_baseline; }
#endif

void rmp_random_normals_at(rmp_key key, uint32_t step, uint32_t purpose, uint64_t first, int64_t n, float *out)
{
    chunk_function *const chunk = choose_chunk();
    uint32_t stream[4], word[4];
    float normal[4];
    rmp_random_stream(key, step, purpose, stream);
    int64_t done = 0;
    while (done < n) {
        const uint64_t index = first + (uint64_t)done;
        const uint64_t lane = index % 4;
        if (lane == 0 && n - done >= 4 * CHUNK) {
            chunk(stream, index / 4, out + done);
            done += 4 * CHUNK;
            continue;
        }
        rmp_random_block(stream, index / 4, word);
        rmp_random_normal4(word, normal);
        for (uint64_t k = lane; k < 4 && done < n; ++k)
            out[done++] = normal[k];
    }
}

void rmp_random_normals(rmp_key key, uint32_t step, uint32_t purpose, int64_t n, float *out)
{
    rmp_random_normals_at(key, step, purpose, 0, n, out);
}
