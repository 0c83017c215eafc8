#include "core/frechet.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 32,    /* vectors that are added to the outer sums at once: each sum is read and written once for them */
    COLUMNS = 256, /* of the right factor of a product that are in the cache at once */
    POLLED = 16    /* rows of a product between two polls: some milliseconds with 2048 columns */
};

struct rmp_frechet {
    int64_t dim, count;
    int64_t waiting; /* vectors in the block */
    double *origin;  /* (dim) the first vector; all sums are of differences from it */
    double *sum;     /* (dim) */
    double *outer;   /* (dim, dim), lower triangle */
    double *rows;    /* (BLOCK, dim) of the block */
    double *columns; /* (dim, BLOCK) the same, transposed */
};

rmp_status rmp_frechet_create(int64_t dim, rmp_frechet **out)
{
    *out = NULL;
    RMP_CHECK(dim > 0 && dim <= 1 << 15, RMP_ERR_ARGUMENT, "statistics of %lld features: at most 32768",
              (long long)dim);
    rmp_frechet *s = calloc(1, sizeof *s);
    if (s) {
        s->dim = dim;
        s->origin = calloc((size_t)dim, sizeof(double));
        s->sum = calloc((size_t)dim, sizeof(double));
        s->outer = calloc((size_t)(dim * dim), sizeof(double));
        s->rows = calloc((size_t)(BLOCK * dim), sizeof(double));
        s->columns = calloc((size_t)(BLOCK * dim), sizeof(double));
    }
    if (!s || !s->origin || !s->sum || !s->outer || !s->rows || !s->columns) {
        rmp_frechet_destroy(&s);
        return RMP_FAIL(RMP_ERR_MEMORY, "no memory for statistics of %lld features", (long long)dim);
    }
    *out = s;
    return RMP_OK;
}

void rmp_frechet_destroy(rmp_frechet **statistics)
{
    rmp_frechet *s = *statistics;
    if (!s) return;
    free(s->origin);
    free(s->sum);
    free(s->outer);
    free(s->rows);
    free(s->columns);
    free(s);
    *statistics = NULL;
}

int64_t rmp_frechet_count(const rmp_frechet *statistics) { return statistics->count; }

/* out (m, n) += a (m, p) b (p, n), rows of n numbers (a: stride). Every sum is taken term after term in the order of p,
 * so that where p is cut changes no bit. `lower`: of a square result only the lower triangle. Fails only if poll does.
 */
static rmp_status multiply_add(int64_t m, int64_t n, int64_t p, const double *a, int64_t stride, const double *b,
                               double *out, bool lower, const rmp_poll *poll)
{
    for (int64_t first = 0; first < n; first += COLUMNS) {
        for (int64_t i = lower ? first : 0; i < m; i++) {
            if (i % POLLED == 0) RMP_TRY(rmp_poll_now(poll));
            int64_t end = first + COLUMNS < n ? first + COLUMNS : n;
            if (lower && end > i + 1) end = i + 1;
            const int64_t width = end - first;
            double *restrict to = out + i * n + first;
            const double *by = a + i * stride, *from = b + first;
            int64_t k = 0;
            for (; k + 4 <= p; k += 4) {
                const double *b0 = from + k * n, *b1 = b0 + n, *b2 = b1 + n, *b3 = b2 + n;
                const double a0 = by[k], a1 = by[k + 1], a2 = by[k + 2], a3 = by[k + 3];
                for (int64_t j = 0; j < width; j++)
                    to[j] = to[j] + a0 * b0[j] + a1 * b1[j] + a2 * b2[j] + a3 * b3[j];
            }
            for (; k < p; k++)
                for (int64_t j = 0; j < width; j++)
                    to[j] += by[k] * from[k * n + j];
        }
    }
    return RMP_OK;
}

static void transpose(int64_t rows, int64_t columns, const double *in, int64_t stride, double *out)
{
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = 0; i < rows; i++)
            out[j * stride + i] = in[i * columns + j];
}

/* Takes the vectors of the block into the outer sums. */
static rmp_status flush(rmp_frechet *s)
{
    transpose(s->waiting, s->dim, s->rows, BLOCK, s->columns);
    RMP_TRY(multiply_add(s->dim, s->dim, s->waiting, s->columns, BLOCK, s->rows, s->outer, true, NULL));
    s->waiting = 0;
    return RMP_OK;
}

rmp_status rmp_frechet_add(rmp_frechet *s, const float features[])
{
    for (int64_t i = 0; i < s->dim; i++)
        RMP_CHECK(isfinite(features[i]), RMP_ERR_ARGUMENT, "feature %lld of vector %lld is not finite", (long long)i,
                  (long long)s->count);
    double *row = s->rows + s->waiting++ * s->dim;
    for (int64_t i = 0; i < s->dim; i++) {
        if (s->count == 0) s->origin[i] = (double)features[i];
        row[i] = (double)features[i] - s->origin[i];
        s->sum[i] += row[i];
    }
    s->count++;
    return s->waiting == BLOCK ? flush(s) : RMP_OK;
}

rmp_status rmp_frechet_moments(rmp_frechet *s, double mean[], double covariance[])
{
    RMP_CHECK(s->count >= 2, RMP_ERR_ARGUMENT, "a covariance needs at least 2 vectors, there are %lld",
              (long long)s->count);
    const int64_t d = s->dim;
    const double n = (double)s->count;
    RMP_TRY(flush(s));
    for (int64_t i = 0; i < d; i++) {
        mean[i] = s->origin[i] + s->sum[i] / n;
        for (int64_t j = 0; j <= i; j++)
            covariance[i * d + j] = covariance[j * d + i] =
                (s->outer[i * d + j] - s->sum[i] * (s->sum[j] / n)) / (n - 1);
    }
    return RMP_OK;
}

static bool are_finite(int64_t count, const double *x)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

static rmp_status allocate(int64_t rows, int64_t columns, double **out)
{
    *out = calloc((size_t)(rows * columns) + 1, sizeof **out);
    RMP_CHECK(*out, RMP_ERR_MEMORY, "no memory for a matrix of %lld x %lld numbers", (long long)rows,
              (long long)columns);
    return RMP_OK;
}

/* Rows f (rank, d) with c = f^T f up to rounding: Cholesky with the largest remaining diagonal element as pivot, which
 * ends where what remains is rounding (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition, 10.3). */
static rmp_status factor(int64_t d, const double *c, const rmp_poll *poll, double **out, int64_t *rank)
{
    double *f = NULL, *left = NULL;
    rmp_status status;
    RMP_TRY(allocate(d, d, &f));
    RMP_TRY_GOTO(allocate(d, 1, &left), done);
    double largest = 0;
    for (int64_t i = 0; i < d; i++) {
        left[i] = c[i * d + i];
        largest = fmax(largest, left[i]);
    }
    const double least = (double)d * DBL_EPSILON * largest;
    int64_t k = 0;
    for (; k < d; k++) {
        RMP_TRY_GOTO(rmp_poll_now(poll), done);
        int64_t pivot = 0;
        for (int64_t i = 1; i < d; i++)
            if (left[i] > left[pivot]) pivot = i;
        if (!(left[pivot] > least)) break;
        const double root = sqrt(left[pivot]);
        double *row = f + k * d;
        for (int64_t i = 0; i < d; i++)
            row[i] = c[pivot * d + i];
        for (int64_t q = 0; q < k; q++) {
            const double *earlier = f + q * d, by = earlier[pivot];
            for (int64_t i = 0; i < d; i++)
                row[i] -= by * earlier[i];
        }
        for (int64_t i = 0; i < d; i++) {
            row[i] /= root;
            left[i] -= row[i] * row[i];
        }
        row[pivot] = root;
        left[pivot] = -INFINITY;
    }
    *out = f;
    *rank = k;
    f = NULL;
done:
    free(f);
    free(left);
    return status;
}

/* Sum of the singular values of a (m, n), m <= n. */
static rmp_status sum_singular_values(rmp_device *dev, int64_t m, int64_t n, const double *a, const rmp_poll *poll,
                                      double *out)
{
    double *turned = NULL, *gram = NULL, *vectors = NULL, *values = NULL;
    rmp_status status;
    *out = 0;
    if (m == 0) return RMP_OK;
    RMP_TRY(allocate(n, m, &turned));
    RMP_TRY_GOTO(allocate(m, m, &gram), done);
    RMP_TRY_GOTO(allocate(m, 1, &values), done);
    transpose(m, n, a, m, turned);
    RMP_TRY_GOTO(multiply_add(m, m, n, a, n, turned, gram, true, poll), done);
    free(turned);
    turned = NULL;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = i + 1; j < m; j++)
            gram[i * m + j] = gram[j * m + i];
    RMP_TRY_GOTO(allocate(m, m, &vectors), done);
    /* One call of LAPACK, which cannot be polled: with 2048 rows several seconds on one core, so that polls stand right
     * before and after it. Whoever waits must allow a silence of that length. */
    RMP_TRY_GOTO(rmp_poll_now(poll), done);
    RMP_TRY_GOTO(rmp_device_symmetric_eigen(dev, m, gram, values, vectors), done);
    RMP_TRY_GOTO(rmp_poll_now(poll), done);
    for (int64_t i = 0; i < m; i++)
        *out += sqrt(fmax(values[i], 0));
done:
    free(turned);
    free(gram);
    free(vectors);
    free(values);
    return status;
}

/* tr (c_a c_b)^(1/2). */
static rmp_status trace_of_root(rmp_device *dev, int64_t d, const double *c_a, const double *c_b, const rmp_poll *poll,
                                double *out)
{
    double *a = NULL, *b = NULL, *turned = NULL, *product = NULL;
    int64_t m, n;
    rmp_status status;
    RMP_TRY(factor(d, c_a, poll, &a, &m));
    RMP_TRY_GOTO(factor(d, c_b, poll, &b, &n), done);
    if (m > n) {
        double *wider = a;
        const int64_t more = m;
        a = b;
        b = wider;
        m = n;
        n = more;
    }
    RMP_TRY_GOTO(allocate(d, n, &turned), done);
    RMP_TRY_GOTO(allocate(m, n, &product), done);
    transpose(n, d, b, n, turned);
    RMP_TRY_GOTO(multiply_add(m, n, d, a, d, turned, product, false, poll), done);
    free(a);
    free(b);
    free(turned);
    a = b = turned = NULL;
    status = sum_singular_values(dev, m, n, product, poll, out);
done:
    free(a);
    free(b);
    free(turned);
    free(product);
    return status;
}

rmp_status rmp_frechet_distance(rmp_device *dev, int64_t dim, const double mean_a[], const double covariance_a[],
                                const double mean_b[], const double covariance_b[], const rmp_poll *poll, double *out)
{
    double squares = 0, traces = 0, root;
    RMP_CHECK(are_finite(dim, mean_a) && are_finite(dim, mean_b) && are_finite(dim * dim, covariance_a) &&
                  are_finite(dim * dim, covariance_b),
              RMP_ERR_ARGUMENT, "the mean or covariance of features is not finite");
    for (int64_t i = 0; i < dim; i++) {
        const double difference = mean_a[i] - mean_b[i];
        squares += difference * difference;
        traces += covariance_a[i * dim + i] + covariance_b[i * dim + i];
    }
    RMP_TRY(trace_of_root(dev, dim, covariance_a, covariance_b, poll, &root));
    *out = fmax(squares + traces - 2 * root, 0); /* equal sets: rounding may leave it below */
    return RMP_OK;
}

int64_t rmp_frechet_bytes(int64_t dim)
{
    /* Statistics and moments of both sets; two factors, one of them turned, and the product; those are gone where the
     * eigenvectors come, which take as much with their work space. */
    return (2 + 2 + 4) * dim * dim * (int64_t)sizeof(double) + 4 * (BLOCK + 3) * dim * (int64_t)sizeof(double);
}
