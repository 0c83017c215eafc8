/* Small dense linear algebra in double, row-major, for analytic priors and ground truth. */
#pragma once

#include "core/status.h"

/* out (m) = a (m, n) x. */
void rmp_dense_apply(int64_t m, int64_t n, const double *a, const double *x, double *out);
/* out (n) = a (m, n)^T x. */
void rmp_dense_apply_transposed(int64_t m, int64_t n, const double *a, const double *x, double *out);
double rmp_dense_dot(int64_t n, const double *x, const double *y);

/* a (n, n) symmetric -> its lower Cholesky factor, in place (the upper part is left as it was).
 * RMP_ERR_ARGUMENT if it is not positive definite. */
rmp_status rmp_dense_cholesky(int64_t n, double *a) RMP_MUST_CHECK;
/* x <- (L L^T)^-1 x. */
void rmp_dense_cholesky_solve(int64_t n, const double *l, double *x);
/* log det (L L^T). */
double rmp_dense_cholesky_log_det(int64_t n, const double *l);
