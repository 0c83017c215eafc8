/* Self-attention over the positions of an image, one head and one block of queries at a time: the matrix of all pairs
 * is never held, only `block` rows of it for each thread. */
#include "gpu/host/host.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

enum { BLOCK_FLOATS = 128 * 1024 }; /* of one block of rows: stays in the second-level cache */

static int64_t block_rows(const rmp_attention *a)
{
    int64_t rows = BLOCK_FLOATS / a->positions;
    if (rows < 8) rows = 8;
    return rows < a->positions ? rows : a->positions;
}

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
        int64_t count = a->positions - first < rows ? a->positions - first : rows, q, k, v;
        offsets(a, head, &q, &k, &v);
        const float *base = qkv + image * a->positions * row;
        float *p = scratch + rmp_host_thread() * each;
        probabilities(kernels, a, base + q, base + k, first, count, p);
        product(false, false, count, d, a->positions, 1.0F, p, a->positions, base + v, row, 0.0F,
                out + (image * a->positions + first) * a->c + head * d, a->c);
    }
}

void rmp_attention_backward(const rmp_kernels *kernels, int threads, const rmp_attention *a, const float *qkv,
                            const float *g, float *dqkv, float *scratch)
{
    int64_t rows = block_rows(a), d = a->c / a->heads, row = 3 * a->c, n = a->positions;
    int64_t each = rmp_attention_scratch(a, 1, true);
    float scale = 1.0F / sqrtf((float)d);
    /* Gradients of k and v are sums over all queries: a head is one task, so that their order is fixed. */
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t task = 0; task < a->n * a->heads; task++) {
        int64_t image = task / a->heads, head = task % a->heads, q, k, v;
        offsets(a, head, &q, &k, &v);
        const float *base = qkv + image * n * row, *gh = g + image * n * a->c + head * d;
        float *dbase = dqkv + image * n * row;
        float *p = scratch + rmp_host_thread() * each, *dp = p + rows * n;
        for (int64_t first = 0; first < n; first += rows) {
            int64_t count = n - first < rows ? n - first : rows;
            float beta = first == 0 ? 0.0F : 1.0F;
            probabilities(kernels, a, base + q, base + k, first, count, p);
            product(true, false, n, d, count, 1.0F, p, n, gh + first * a->c, a->c, beta, dbase + v, row);
            product(false, true, count, n, d, 1.0F, gh + first * a->c, a->c, base + v, row, 0.0F, dp, n);
            for (int64_t i = 0; i < count; i++) {
                float *pi = p + i * n, *di = dp + i * n;
                float mean = (float)kernels->dot(n, pi, di);
                for (int64_t j = 0; j < n; j++)
                    di[j] = pi[j] * (di[j] - mean);
            }
            product(false, false, count, d, n, scale, dp, n, base + k, row, 0.0F, dbase + q + first * row, row);
            product(true, false, n, d, count, scale, dp, n, base + q + first * row, row, beta, dbase + k, row);
        }
    }
}
