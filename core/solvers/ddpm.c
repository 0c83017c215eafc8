#include "core/solvers/ddpm.h"

#include <math.h>
#include <stdlib.h>

rmp_status rmp_ddpm_check(const rmp_solver_config *c) { return rmp_solver_check_schedule(c, c->T); }

/* Step number i of T, from the image up. */
static int64_t position(const rmp_solver_config *c, rmp_ddpm_spacing spacing, int64_t i)
{
    const int64_t last = c->abar_steps - 1;
    if (c->T == 1) return 0;
    if (spacing == RMP_DDPM_QUADRATIC && 2 * c->T <= c->abar_steps) {
        const double down = sqrt((double)(c->T - 1 - i) / (double)(c->T - 1)) * (double)c->abar_steps;
        return last - (int64_t)fmin(down, (double)last);
    }
    return (int64_t)nearbyint((double)i * ((double)last / (double)(c->T - 1)));
}

rmp_status rmp_ddpm_steps_create(const rmp_solver_config *c, rmp_ddpm_spacing spacing, rmp_ddpm_step **out)
{
    rmp_ddpm_step *steps = *out = calloc((size_t)c->T, sizeof *steps);
    RMP_CHECK(steps != NULL, RMP_ERR_MEMORY, "no memory for %lld steps", (long long)c->T);
    double previous = 1.0;
    for (int64_t i = 0; i < c->T; ++i) {
        const double abar = c->abar[position(c, spacing, i)], alpha = abar / previous;
        steps[c->T - 1 - i] = (rmp_ddpm_step){
            .abar = abar,
            .previous = previous,
            .s = sqrt((1.0 - abar) / abar),
            .scale = 1.0 / sqrt(abar),
            .from_denoised = (1.0 - alpha) * sqrt(previous) / (1.0 - abar),
            .from_state = (1.0 - previous) * sqrt(alpha) / (1.0 - abar),
            .deviation = sqrt((1.0 - alpha) * (1.0 - previous) / (1.0 - abar)),
        };
        previous = abar;
    }
    return RMP_OK;
}

rmp_status rmp_ddpm_create(rmp_solve_state *base, rmp_ddpm_spacing spacing, rmp_ddpm *out)
{
    const rmp_space *space = base->problem->prior->space;
    *out = (rmp_ddpm){.base = base};
    RMP_TRY(rmp_ddpm_steps_create(base->config, spacing, &out->steps));
    RMP_TRY(rmp_field_create(space, &out->state));
    RMP_TRY(rmp_field_create(space, &out->at));
    RMP_TRY(rmp_field_create(space, &out->denoised));
    return rmp_field_create(space, &out->score);
}

void rmp_ddpm_destroy(rmp_ddpm *d)
{
    rmp_field_destroy(&d->state);
    rmp_field_destroy(&d->at);
    rmp_field_destroy(&d->denoised);
    rmp_field_destroy(&d->score);
    free(d->steps);
}

rmp_status rmp_ddpm_start(rmp_ddpm *d, int64_t run)
{
    RMP_TRY(rmp_field_normals(d->state, d->base->problem->key, (uint32_t)run, RMP_PURPOSE_INIT));
    return rmp_solve_axpby(d->base, 0.0, d->state, 1.0, d->state);
}

static rmp_status evaluate(rmp_ddpm *d, const rmp_ddpm_step *step)
{
    rmp_solve_state *q = d->base;
    RMP_TRY(rmp_field_axpby1(step->scale, d->state, 0.0, d->at));
    RMP_TRY(rmp_solve_denoise(q, d->at, step->s, d->denoised));
    return rmp_solve_watch(q, d->denoised, 1.0, step->s); /* clipping would hide what is not finite */
}

static rmp_status clip(rmp_ddpm *d) { return d->base->clips ? rmp_field_clamp(-1.0, 1.0, d->denoised) : RMP_OK; }

rmp_status rmp_ddpm_denoise(rmp_ddpm *d, const rmp_ddpm_step *step)
{
    RMP_TRY(evaluate(d, step));
    return clip(d);
}

rmp_status rmp_ddpm_predict(rmp_ddpm *d, const rmp_ddpm_step *step)
{
    rmp_solve_state *q = d->base;
    RMP_TRY(evaluate(d, step));
    RMP_TRY(rmp_likelihood_score(q->likelihood, d->at, step->s, d->denoised, q->alive, d->score));
    return clip(d);
}

rmp_status rmp_ddpm_draw(rmp_ddpm *d, const rmp_ddpm_step *step, int64_t index)
{
    rmp_solve_state *q = d->base;
    RMP_TRY(rmp_solve_axpby(q, step->from_denoised, d->denoised, step->from_state, d->state));
    if (step->previous >= 1.0) return RMP_OK;
    RMP_TRY(rmp_field_normals(d->at, q->problem->key, (uint32_t)index, RMP_PURPOSE_ANCESTRAL));
    return rmp_solve_axpby(q, step->deviation, d->at, 1.0, d->state);
}
