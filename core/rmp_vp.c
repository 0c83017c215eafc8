/* RMP in variance-preserving coordinates, on the network's own schedule: METHOD.md section 4. */
#include "core/levels.h"

#include <math.h>
#include <stdlib.h>

void rmp_levels_vp(int64_t T, const double *abar, rmp_level levels[])
{
    for (int64_t i = 0; i < T; ++i) {
        const double a = abar[i] / abar[i + 1], b = 1.0 - a, here = abar[i + 1];
        const double v = b * (1.0 - here) / (1.0 - abar[i]);
        levels[i] = (rmp_level){
            .s = sqrt((1.0 - here) / here),
            .scale = 1.0 / sqrt(here),
            .start = 1.0 / sqrt(a),
            .next = v * sqrt(a) / b,
            .denoised = v * sqrt(here) / (1.0 - here),
            .score = v / sqrt(here), /* gradient with respect to x_vp = sqrt(abar) x */
            .conditional = sqrt(v),
            .marginal = sqrt(1.0 - here),
            .dps = 1.0 / sqrt(here),
        };
    }
}

int64_t rmp_schedule_top(const rmp_solver_config *config)
{
    int64_t top = config->abar_steps - 1;
    const double sigma = config->sigma_max;
    while (top > 0 && (1.0 - config->abar[top]) > sigma * sigma * config->abar[top])
        top--;
    return top;
}

/* T + 1 steps of the schedule, evenly spaced from the highest one to its first. */
rmp_status rmp_levels_create_vp(const rmp_solver_config *config, rmp_level levels[], double *top)
{
    const int64_t T = config->T, last = rmp_schedule_top(config);
    double *abar = malloc((size_t)(T + 1) * sizeof *abar);
    RMP_CHECK(abar != NULL, RMP_ERR_MEMORY, "no memory for %lld noise levels", (long long)T);
    for (int64_t i = 0; i <= T; ++i)
        abar[i] = config->abar[(last * (T - i) + T / 2) / T];
    rmp_levels_vp(T, abar, levels);
    *top = sqrt(1.0 - abar[0]);
    free(abar);
    return RMP_OK;
}
