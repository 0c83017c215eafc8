#include "core/schedule.h"

#include <math.h>
#include <stdio.h>

/* The time at which the continuous VP process of score_sde is cut off, and what its labels are multiplied by. */
static const double first_time = 1e-5, label_scale = 999.0;

static rmp_status left_over(double product)
{
    RMP_CHECK(product > 0.0, RMP_ERR_FORMAT, "schedule: its last signal is zero");
    return RMP_OK;
}

rmp_status rmp_schedule_linear(double first, double last, int64_t steps, double abar[])
{
    const double step = (last - first) / (double)(steps - 1);
    double product = 1.0;
    for (int64_t i = 0; i < steps; i++) {
        product *= 1.0 - (i + 1 < steps ? first + (double)i * step : last);
        abar[i] = product;
    }
    return left_over(product);
}

rmp_status rmp_schedule_scaled_linear(double first, double last, int64_t steps, double abar[])
{
    const double root = sqrt(first), step = (sqrt(last) - root) / (double)(steps - 1);
    double product = 1.0;
    for (int64_t i = 0; i < steps; i++) {
        const double beta = root + (double)i * step;
        product *= 1.0 - beta * beta;
        abar[i] = product;
    }
    return left_over(product);
}

rmp_status rmp_schedule_continuous(double beta_min, double beta_max, int64_t steps, double abar[])
{
    for (int64_t i = 0; i < steps; i++) {
        const double t = (double)(i + 1) / (double)steps;
        abar[i] = exp(-t * beta_min - 0.5 * t * t * (beta_max - beta_min));
    }
    return left_over(abar[steps - 1]);
}

rmp_status rmp_schedule_default(double abar[RMP_SCHEDULE_STEPS])
{
    return rmp_schedule_linear(1e-4, 0.02, RMP_SCHEDULE_STEPS, abar);
}

static double log_level(double abar) { return 0.5 * log((1.0 - abar) / abar); }

double rmp_schedule_time(const double *abar, int64_t steps, double s)
{
    const double target = log(s);
    int64_t low = 0, high = steps - 1;
    double log_low = log_level(abar[low]), log_high = log_level(abar[high]);
    if (target <= log_low) return 0.0;
    if (target >= log_high) return (double)high;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        const double log_middle = log_level(abar[middle]);
        if (log_middle <= target) {
            low = middle;
            log_low = log_middle;
        } else {
            high = middle;
            log_high = log_middle;
        }
    }
    return (double)low + (target - log_low) / (log_high - log_low);
}

rmp_status rmp_schedule_check(const rmp_schedule *schedule)
{
    const double *abar = schedule->abar;
    switch (schedule->kind) {
    case RMP_SCHEDULE_VP:
        RMP_CHECK(schedule->steps >= 2, RMP_ERR_CONFIG, "a noise schedule of %lld steps", (long long)schedule->steps);
        for (int64_t k = 0; k < schedule->steps; ++k)
            RMP_CHECK(abar[k] > 0.0 && abar[k] < 1.0 && (k == 0 || abar[k] < abar[k - 1]), RMP_ERR_CONFIG,
                      "the noise schedule does not descend from 1 to 0 at step %lld", (long long)k);
        return RMP_OK;
    case RMP_SCHEDULE_VP_CONTINUOUS:
        RMP_CHECK(schedule->beta_min > 0.0 && schedule->beta_min <= schedule->beta_max && isfinite(schedule->beta_max),
                  RMP_ERR_CONFIG, "a noise schedule with betas %g to %g", schedule->beta_min, schedule->beta_max);
        return RMP_OK;
    case RMP_SCHEDULE_VE_LABELS:
        RMP_CHECK(schedule->steps >= 2, RMP_ERR_CONFIG, "a noise schedule of %lld labels", (long long)schedule->steps);
        break;
    case RMP_SCHEDULE_VE:
    case RMP_SCHEDULE_EDM:
        break;
    }
    RMP_CHECK(schedule->sigma_min > 0.0 && schedule->sigma_min < schedule->sigma_max && isfinite(schedule->sigma_max),
              RMP_ERR_CONFIG, "a noise schedule with levels %g to %g", schedule->sigma_min, schedule->sigma_max);
    return RMP_OK;
}

bool rmp_schedule_preserves_variance(const rmp_schedule *schedule)
{
    return schedule->kind == RMP_SCHEDULE_VP || schedule->kind == RMP_SCHEDULE_VP_CONTINUOUS;
}

/* Solves log(1 + s^2) = t beta_min + t^2 (beta_max - beta_min) / 2. */
static double continuous_time(const rmp_schedule *schedule, double s)
{
    const double more = schedule->beta_max - schedule->beta_min, target = log1p(s * s);
    const double root = sqrt(schedule->beta_min * schedule->beta_min + 2.0 * more * target);
    return fmin(fmax(2.0 * target / (schedule->beta_min + root), first_time), 1.0);
}

double rmp_schedule_argument(const rmp_schedule *schedule, double s, double *told)
{
    *told = s;
    if (schedule->kind == RMP_SCHEDULE_VP) return rmp_schedule_time(schedule->abar, schedule->steps, s);
    if (schedule->kind == RMP_SCHEDULE_VP_CONTINUOUS) return label_scale * continuous_time(schedule, s);
    *told = fmin(fmax(s, schedule->sigma_min), schedule->sigma_max);
    if (schedule->kind == RMP_SCHEDULE_VE) return *told;
    if (schedule->kind == RMP_SCHEDULE_EDM) return 0.25 * log(*told);
    const double last = (double)(schedule->steps - 1), width = log(schedule->sigma_max / schedule->sigma_min);
    const double label = round(last * log(schedule->sigma_max / *told) / width);
    *told = schedule->sigma_max * exp(-width * label / last);
    return label;
}

const char *rmp_schedule_text(const rmp_schedule *schedule, char *buffer, size_t size)
{
    switch (schedule->kind) {
    case RMP_SCHEDULE_VP:
        snprintf(buffer, size, "%lld steps", (long long)schedule->steps);
        break;
    case RMP_SCHEDULE_VP_CONTINUOUS:
        snprintf(buffer, size, "continuous betas %g to %g", schedule->beta_min, schedule->beta_max);
        break;
    case RMP_SCHEDULE_VE_LABELS:
        snprintf(buffer, size, "%lld noise levels %g to %g", (long long)schedule->steps, schedule->sigma_min,
                 schedule->sigma_max);
        break;
    case RMP_SCHEDULE_VE:
    case RMP_SCHEDULE_EDM:
        snprintf(buffer, size, "noise levels %g to %g", schedule->sigma_min, schedule->sigma_max);
        break;
    }
    return buffer;
}
