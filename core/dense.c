#include "core/dense.h"

#include <math.h>

double rmp_dense_dot(int64_t n, const double *x, const double *y)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i)
        sum += x[i] * y[i];
    return sum;
}

void rmp_dense_apply(int64_t m, int64_t n, const double *a, const double *x, double *out)
{
    for (int64_t i = 0; i < m; ++i)
        out[i] = rmp_dense_dot(n, a + i * n, x);
}

void rmp_dense_apply_transposed(int64_t m, int64_t n, const double *a, const double *x, double *out)
{
    for (int64_t j = 0; j < n; ++j)
        out[j] = 0.0;
    for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j)
            out[j] += a[i * n + j] * x[i];
}

rmp_status rmp_dense_cholesky(int64_t n, double *a)
{
    for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j <= i; ++j) {
            const double rest = a[i * n + j] - rmp_dense_dot(j, a + i * n, a + j * n);
            if (i == j) {
                RMP_CHECK(rest > 0.0, RMP_ERR_ARGUMENT, "a matrix of %lld rows is not positive definite", (long long)n);
                a[i * n + i] = sqrt(rest);
            } else {
                a[i * n + j] = rest / a[j * n + j];
            }
        }
    return RMP_OK;
}

void rmp_dense_cholesky_solve(int64_t n, const double *l, double *x)
{
    for (int64_t i = 0; i < n; ++i)
        x[i] = (x[i] - rmp_dense_dot(i, l + i * n, x)) / l[i * n + i];
    for (int64_t i = n - 1; i >= 0; --i) {
        double sum = x[i];
        for (int64_t j = i + 1; j < n; ++j)
            sum -= l[j * n + i] * x[j];
        x[i] = sum / l[i * n + i];
    }
}

double rmp_dense_cholesky_log_det(int64_t n, const double *l)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i)
        sum += 2.0 * log(l[i * n + i]);
    return sum;
}
