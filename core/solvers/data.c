#include "core/solvers/data.h"

rmp_status rmp_data_create(const rmp_problem *problem, rmp_data *out)
{
    const rmp_space *range = rmp_operator_range(problem->op);
    *out = (rmp_data){.op = problem->op};
    RMP_TRY(rmp_field_create(range, &out->y));
    RMP_TRY(rmp_field_create(range, &out->r));
    RMP_TRY(rmp_field_copy(problem->y, out->y));
    return rmp_operator_mask_measurement(out->op, out->y);
}

void rmp_data_destroy(rmp_data *d)
{
    rmp_field_destroy(&d->y);
    rmp_field_destroy(&d->r);
}

rmp_status rmp_data_residual(rmp_data *d, const rmp_field *x)
{
    RMP_TRY(rmp_operator_forward(d->op, x, d->r));
    return rmp_field_axpby1(1.0, d->y, -1.0, d->r);
}

rmp_status rmp_data_descent(rmp_data *d, const rmp_field *x, rmp_field *out)
{
    RMP_TRY(rmp_data_residual(d, x));
    return rmp_operator_vjp(d->op, d->r, out);
}
