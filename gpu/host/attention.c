/* Self-attention over the positions of an image: the matrix of all pairs is never held, only blocks of its rows, one
 * for each thread. */
#include "gpu/host/host.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

enum {
    BLOCK_ROWS = 64, /* fewer make products that mostly copy the keys; more leave threads without work */
    KEY_TILE = 128   /* of the sums over queries; a fixed number, so that threads change no result */
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t block_rows(const rmp_attention *a) { return least(BLOCK_ROWS, a->positions); }

int64_t rmp_attention_scratch(const rmp_attention *a, int threads, bool backward)
{
    return threads * block_rows(a) * a->positions * (backward ? 2 : 1);
}

/* Channel of the first of q, k, v of a head. */
static void offsets(const rmp_attention *a, int64_t head, int64_t *q, int64_t *k, int64_t *v)
{
    int64_t d = a->c / a->heads;
    bool per_head = a->order == RMP_QKV_PER_HEAD;
    *q = per_head ? head * 3 * d : head * d;
    *k = *q + (per_head ? d : a->c);
    *v = *k + (per_head ? d : a->c);
}

static void product(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                    int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
                (blasint)m, (blasint)n, (blasint)k, alpha, a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

/* Rows [first, first + rows) of softmax(q k^T / sqrt(d)). */
static void probabilities(const rmp_kernels *kernels, const rmp_attention *a, const float *q, const float *k,
                          int64_t first, int64_t rows, float *p)
{
    int64_t d = a->c / a->heads, row = 3 * a->c;
    product(false, true, rows, a->positions, d, 1.0F, q + first * row, row, k, row, 0.0F, p, a->positions);
    float scale = 1.0F / sqrtf((float)d);
    for (int64_t i = 0; i < rows; i++)
        kernels->softmax(a->positions, scale, p + i * a->positions);
}

void rmp_attention_forward(const rmp_kernels *kernels, int threads, const rmp_attention *a, const float *qkv,
                           float *out, float *scratch)
{
    int64_t rows = block_rows(a), blocks = (a->positions + rows - 1) / rows, d = a->c / a->heads, row = 3 * a->c;
    int64_t each = rmp_attention_scratch(a, 1, false);
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t task = 0; task < a->n * a->heads * blocks; task++) {
        int64_t image = task / (a->heads * blocks), head = task / blocks % a->heads, first = task % blocks * rows;
        int64_t count = least(rows, a->positions - first), q, k, v;
        offsets(a, head, &q, &k, &v);
        const float *base = qkv + image * a->positions * row;
        float *p = scratch + rmp_host_thread() * each;
        probabilities(kernels, a, base + q, base + k, first, count, p);
        product(false, false, count, d, a->positions, 1.0F, p, a->positions, base + v, row, 0.0F,
                out + (image * a->positions + first) * a->c + head * d, a->c);
    }
}

/* The tensors of one head of one image; rows of q, k, v and their gradients are 3 c apart, those of g c. */
typedef struct head_view {
    const float *q, *k, *v, *g;
    float *dq, *dk, *dv;
} head_view;

static head_view view_head(const rmp_attention *a, int64_t pair, const float *qkv, const float *g, float *dqkv)
{
    int64_t image = pair / a->heads, head = pair % a->heads, q, k, v;
    offsets(a, head, &q, &k, &v);
    const float *base = qkv + image * a->positions * 3 * a->c;
    float *dbase = dqkv + image * a->positions * 3 * a->c;
    return (head_view){.q = base + q,
                       .k = base + k,
                       .v = base + v,
                       .g = g + image * a->positions * a->c + head * (a->c / a->heads),
                       .dq = dbase + q,
                       .dk = dbase + k,
                       .dv = dbase + v};
}

/* Probabilities p of queries [first, first + count), the gradient ds of their scores, and from it that of q. */
static void backward_rows(const rmp_kernels *kernels, const rmp_attention *a, const head_view *h, int64_t first,
                          int64_t count, float *p, float *ds)
{
    int64_t d = a->c / a->heads, row = 3 * a->c, n = a->positions;
    probabilities(kernels, a, h->q, h->k, first, count, p);
    product(false, true, count, n, d, 1.0F, h->g + first * a->c, a->c, h->v, row, 0.0F, ds, n);
    for (int64_t i = 0; i < count; i++) {
        float *pi = p + i * n, *di = ds + i * n;
        float mean = (float)kernels->dot(n, pi, di);
        for (int64_t j = 0; j < n; j++)
            di[j] = pi[j] * (di[j] - mean);
    }
    product(false, false, count, d, n, 1.0F / sqrtf((float)d), ds, n, h->k, row, 0.0F, h->dq + first * row, row);
}

/* What these queries add to the gradients of k and v of keys [key, key + keys). */
static void backward_keys(const rmp_attention *a, const head_view *h, int64_t first, int64_t count, int64_t key,
                          int64_t keys, const float *p, const float *ds)
{
    int64_t d = a->c / a->heads, row = 3 * a->c, n = a->positions;
    float beta = first == 0 ? 0.0F : 1.0F, scale = 1.0F / sqrtf((float)d);
    product(true, false, keys, d, count, 1.0F, p + key, n, h->g + first * a->c, a->c, beta, h->dv + key * row, row);
    product(true, false, keys, d, count, scale, ds + key, n, h->q + first * row, row, beta, h->dk + key * row, row);
}

/* A round takes `side` blocks of queries of `pairs` heads, as many as there are threads: first the threads share these
 * blocks, then the keys whose gradients are sums over them. Every sum is over the blocks in ascending order and every
 * product has the same size whatever the number of threads, and so the result does. */
void rmp_attention_backward(const rmp_kernels *kernels, int threads, const rmp_attention *a, const float *qkv,
                            const float *g, float *dqkv, float *scratch)
{
    const int64_t rows = block_rows(a), n = a->positions, blocks = (n + rows - 1) / rows;
    const int64_t tiles = (n + KEY_TILE - 1) / KEY_TILE, all = a->n * a->heads;
    const int64_t side = least(blocks, threads), pairs = least(all, threads / side);
    const int64_t half = rows * n, each = 2 * half, rounds = (blocks + side - 1) / side;
#pragma omp parallel num_threads(threads)
    for (int64_t round = 0; round < (all + pairs - 1) / pairs * rounds; round++) {
        const int64_t pair = round / rounds * pairs, block = round % rounds * side;
        const int64_t now = least(pairs, all - pair), some = least(side, blocks - block);
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < now * some; task++) {
            const head_view h = view_head(a, pair + task / some, qkv, g, dqkv);
            const int64_t first = (block + task % some) * rows;
            float *p = scratch + task * each;
            backward_rows(kernels, a, &h, first, least(rows, n - first), p, p + half);
        }
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < now * tiles; task++) {
            const head_view h = view_head(a, pair + task / tiles, qkv, g, dqkv);
            const int64_t key = task % tiles * KEY_TILE;
            for (int64_t i = 0; i < some; i++) {
                const int64_t first = (block + i) * rows;
                const float *p = scratch + (task / tiles * some + i) * each;
                backward_keys(a, &h, first, least(rows, n - first), key, least(KEY_TILE, n - key), p, p + half);
            }
        }
    }
}
