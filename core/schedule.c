#include "core/schedule.h"

rmp_status rmp_schedule_linear(double first, double last, int64_t steps, double abar[])
{
    const double step = (last - first) / (double)(steps - 1);
    double product = 1.0;
    for (int64_t i = 0; i < steps; i++) {
        product *= 1.0 - (i + 1 < steps ? first + (double)i * step : last);
        abar[i] = product;
    }
    RMP_CHECK(product > 0.0, RMP_ERR_FORMAT, "schedule: its last signal is zero");
    return RMP_OK;
}

rmp_status rmp_schedule_default(double abar[RMP_SCHEDULE_STEPS])
{
    return rmp_schedule_linear(1e-4, 0.02, RMP_SCHEDULE_STEPS, abar);
}
