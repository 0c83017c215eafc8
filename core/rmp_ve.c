/* RMP in variance-exploding coordinates: METHOD.md section 3. */
#include "core/levels.h"

#include <math.h>
#include <stdlib.h>

void rmp_levels_ve(int64_t T, const double *sigma, rmp_level levels[])
{
    for (int64_t i = 0; i < T; ++i) {
        const double above = sigma[i] * sigma[i], s = sigma[i + 1], dv = above - s * s, v = s * s * dv / above;
        levels[i] = (rmp_level){
            .s = s,
            .scale = 1.0,
            .start = 1.0,
            .next = v / dv,
            .denoised = v / (s * s),
            .score = v,
            .conditional = sqrt(v),
            .marginal = s,
            .dps = 1.0 + s * s, /* DPS steps in variance-preserving coordinates: its step in these */
        };
    }
}

rmp_status rmp_levels_create_ve(const rmp_solver_config *config, rmp_level levels[], double *top)
{
    const int64_t T = config->T;
    double *sigma = malloc((size_t)(T + 1) * sizeof *sigma);
    RMP_CHECK(sigma != NULL, RMP_ERR_MEMORY, "no memory for %lld noise levels", (long long)T);
    for (int64_t i = 0; i <= T; ++i)
        sigma[i] = config->sigma_max * pow(config->sigma_min / config->sigma_max, (double)i / (double)T);
    rmp_levels_ve(T, sigma, levels);
    *top = sigma[0];
    free(sigma);
    return RMP_OK;
}
