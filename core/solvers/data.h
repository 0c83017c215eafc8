/* The misfit of a measurement and its gradient, for solvers that take them without the network. */
#pragma once

#include "core/solve.h"

typedef struct rmp_data {
    rmp_operator *op;
    rmp_field *y; /* measurement, missing pixels zero */
    rmp_field *r; /* range: the residual */
} rmp_data;

enum { RMP_DATA_FIELDS = 2 };

/* problem: borrowed. Destroy also after a failure. */
rmp_status rmp_data_create(const rmp_problem *problem, rmp_data *out) RMP_MUST_CHECK;
void rmp_data_destroy(rmp_data *data);

/* r = y - A(x). */
rmp_status rmp_data_residual(rmp_data *data, const rmp_field *x) RMP_MUST_CHECK;
/* out = (dA/dx)^T (y - A(x)), which leads down. */
rmp_status rmp_data_descent(rmp_data *data, const rmp_field *x, rmp_field *out) RMP_MUST_CHECK;
