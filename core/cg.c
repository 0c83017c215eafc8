#include "core/cg.h"

#include <math.h>
#include <stdlib.h>

enum { PLAIN_FIELDS = 2, WARM_FIELDS = 3 };

/* One number an image each. */
enum { RG, NEXT, ALPHA, RR, SMALLEST, FIRST, CURVATURE, TURN, KEEP, ONE, SCALARS };

struct rmp_cg {
    const rmp_space *space;
    rmp_cg_options options;
    bool warm;        /* this solve */
    rmp_field *p, *q; /* direction, M p */
    rmp_field *g;     /* C r */
    /* warm: the solution of the last solve, the start of this one (a direction) and M times it */
    rmp_field *last, *start, *image;
    double *scalar;        /* (SCALARS, n) */
    double *start_length;  /* (n) <start, M start>; 0: this image has no start of its own */
    bool *active, *warmed; /* (n) warmed: `last` is a solution */
};

static double *scalars(const rmp_cg *cg, int which) { return cg->scalar + which * cg->space->n; }

int64_t rmp_cg_fields(const rmp_cg_options *options)
{
    return PLAIN_FIELDS + options->precondition + (options->warm ? WARM_FIELDS : 0);
}

static rmp_status allocate(rmp_cg *cg)
{
    const size_t n = (size_t)cg->space->n;
    cg->scalar = calloc(SCALARS * n, sizeof *cg->scalar);
    cg->start_length = calloc(n, sizeof *cg->start_length);
    cg->active = calloc(n, sizeof *cg->active);
    cg->warmed = calloc(n, sizeof *cg->warmed);
    RMP_CHECK(cg->scalar != NULL && cg->start_length != NULL && cg->active != NULL && cg->warmed != NULL,
              RMP_ERR_MEMORY, "no memory for conjugate gradients");
    RMP_TRY(rmp_field_create(cg->space, &cg->p));
    RMP_TRY(rmp_field_create(cg->space, &cg->q));
    if (cg->options.precondition) RMP_TRY(rmp_field_create(cg->space, &cg->g));
    if (!cg->options.warm) return RMP_OK;
    RMP_TRY(rmp_field_create(cg->space, &cg->last));
    RMP_TRY(rmp_field_create(cg->space, &cg->start));
    return rmp_field_create(cg->space, &cg->image);
}

rmp_status rmp_cg_create(const rmp_space *space, const rmp_cg_options *options, rmp_cg **out)
{
    *out = NULL;
    rmp_cg *cg = calloc(1, sizeof *cg);
    RMP_CHECK(cg != NULL, RMP_ERR_MEMORY, "no memory for conjugate gradients");
    cg->space = space;
    cg->options = *options;
    const rmp_status status = allocate(cg);
    if (status != RMP_OK) {
        rmp_cg_destroy(&cg);
        return status;
    }
    *out = cg;
    return RMP_OK;
}

void rmp_cg_destroy(rmp_cg **cg)
{
    if (cg == NULL || *cg == NULL) return;
    rmp_cg *c = *cg;
    rmp_field_destroy(&c->p);
    rmp_field_destroy(&c->q);
    rmp_field_destroy(&c->g);
    rmp_field_destroy(&c->last);
    rmp_field_destroy(&c->start);
    rmp_field_destroy(&c->image);
    free(c->scalar);
    free(c->start_length);
    free(c->active);
    free(c->warmed);
    free(c);
    *cg = NULL;
}

static void fill(double *a, int64_t n, double value)
{
    for (int64_t i = 0; i < n; ++i)
        a[i] = value;
}

static bool any(const bool flag[], int64_t n)
{
    for (int64_t i = 0; i < n; ++i)
        if (flag[i]) return true;
    return false;
}

/* *g = C r. */
static rmp_status precondition(rmp_cg *cg, const rmp_cg_system *system, const rmp_field *r, const rmp_field **g)
{
    *g = r;
    if (system->precondition == NULL) return RMP_OK;
    *g = cg->g;
    return system->precondition(system->context, r, cg->g);
}

/* The first directions: what the last solve found, or C r. */
static rmp_status begin(rmp_cg *cg, const rmp_cg_system *system, const rmp_field *r, const bool alive[])
{
    const int64_t n = cg->space->n;
    double *rr = scalars(cg, RR), *fresh = scalars(cg, KEEP), *known = scalars(cg, TURN);
    const rmp_field *g = NULL;
    RMP_TRY(rmp_field_dot(r, r, rr));
    RMP_TRY(precondition(cg, system, r, &g));
    RMP_TRY(rmp_field_dot(r, g, scalars(cg, RG)));
    for (int64_t i = 0; i < n; ++i) {
        scalars(cg, SMALLEST)[i] = scalars(cg, FIRST)[i] = rr[i];
        cg->active[i] = alive[i] && rr[i] > 0.0 && isfinite(rr[i]);
        known[i] = cg->warm && cg->warmed[i] ? 1.0 : 0.0;
        fresh[i] = 1.0 - known[i];
        cg->start_length[i] = 0.0;
    }
    if (!cg->warm || !any(cg->warmed, n)) return rmp_field_copy(g, cg->p);
    RMP_TRY(rmp_field_copy(cg->last, cg->p));
    return rmp_field_axpby(fresh, g, known, cg->p);
}

/* Lengths of the step along p. */
static rmp_status lengths(rmp_cg *cg, const rmp_cg_system *system, const rmp_field *r, bool first)
{
    const int64_t n = cg->space->n;
    double *alpha = scalars(cg, ALPHA), *curvature = scalars(cg, CURVATURE), *along = scalars(cg, NEXT);
    double *safe = scalars(cg, TURN);
    RMP_TRY(rmp_field_dot(cg->p, cg->q, curvature));
    fill(safe, n, 0.0);
    if (first) {
        RMP_TRY(rmp_field_dot(cg->p, r, along));
        if (system->safe_curvature != NULL) RMP_TRY(system->safe_curvature(system->context, cg->p, safe));
    }
    for (int64_t i = 0; i < n; ++i) {
        alpha[i] = 0.0;
        if (!cg->active[i]) continue;
        const double numerator = first ? along[i] : scalars(cg, RG)[i];
        if (first && cg->warm && cg->warmed[i]) cg->start_length[i] = curvature[i];
        if (curvature[i] > 0.0) {
            alpha[i] = numerator / curvature[i];
        } else {
            cg->active[i] = false;
            if (safe[i] > 0.0) alpha[i] = numerator / safe[i];
        }
        if (!isfinite(alpha[i])) {
            alpha[i] = 0.0;
            cg->active[i] = false;
        }
    }
    return RMP_OK;
}

/* r <- r - alpha q; steps that the guard does not take get alpha 0 and leave r what it was, up to rounding. */
static rmp_status descend(rmp_cg *cg, const rmp_cg_system *system, rmp_field *r, bool first)
{
    const int64_t n = cg->space->n;
    double *alpha = scalars(cg, ALPHA), *rr = scalars(cg, RR), *minus = scalars(cg, TURN), *one = scalars(cg, ONE);
    double *smallest = scalars(cg, SMALLEST);
    for (int64_t i = 0; i < n; ++i)
        minus[i] = -alpha[i];
    fill(one, n, 1.0);
    RMP_TRY(rmp_field_axpby(minus, cg->q, one, r));
    RMP_TRY(rmp_field_dot(r, r, rr));
    bool refused = false;
    double *back = minus;
    for (int64_t i = 0; i < n; ++i) {
        back[i] = 0.0;
        if (!first && cg->active[i] && !(rr[i] <= system->growth * system->growth * smallest[i])) {
            refused = true;
            back[i] = alpha[i];
            alpha[i] = 0.0;
            cg->active[i] = false;
        }
        smallest[i] = fmin(smallest[i], rr[i]);
        if (!(rr[i] > system->tolerance * system->tolerance * scalars(cg, FIRST)[i])) cg->active[i] = false;
    }
    return refused ? rmp_field_axpby(back, cg->q, one, r) : RMP_OK;
}

/* The next direction: C r, made conjugate to the last one and to the start. */
static rmp_status turn(rmp_cg *cg, const rmp_cg_system *system, const rmp_field *r, bool first)
{
    const int64_t n = cg->space->n;
    double *rg = scalars(cg, RG), *next = scalars(cg, NEXT), *beta = scalars(cg, TURN), *one = scalars(cg, ONE);
    double *off = scalars(cg, KEEP);
    const rmp_field *g = NULL;
    RMP_TRY(precondition(cg, system, r, &g));
    RMP_TRY(rmp_field_dot(r, g, next));
    const bool warm = cg->warm && any(cg->warmed, n);
    if (warm && first) {
        RMP_TRY(rmp_field_copy(cg->p, cg->start));
        RMP_TRY(rmp_field_copy(cg->q, cg->image));
    }
    for (int64_t i = 0; i < n; ++i) {
        /* Along a start of its own the residual is not what the direction was made of. */
        const bool anew = first && cg->start_length[i] != 0.0;
        beta[i] = cg->active[i] && !anew ? next[i] / rg[i] : 0.0;
        rg[i] = next[i];
    }
    fill(one, n, 1.0);
    RMP_TRY(rmp_field_axpby(one, g, beta, cg->p));
    if (!warm) return RMP_OK;
    RMP_TRY(rmp_field_dot(g, cg->image, off));
    for (int64_t i = 0; i < n; ++i)
        off[i] = cg->active[i] && cg->start_length[i] > 0.0 ? -off[i] / cg->start_length[i] : 0.0;
    return rmp_field_axpby(off, cg->start, one, cg->p);
}

rmp_status rmp_cg_solve(rmp_cg *cg, const rmp_cg_system *system, rmp_field *r, const bool alive[], rmp_field *z,
                        int64_t iterations[])
{
    const int64_t n = cg->space->n;
    double *keep = scalars(cg, KEEP), *alpha = scalars(cg, ALPHA);
    cg->warm = cg->options.warm && !system->apart;
    RMP_TRY(begin(cg, system, r, alive));
    for (int64_t it = 0; it == 0 || (it < system->iterations && any(cg->active, n)); ++it) {
        const bool first = it == 0;
        RMP_TRY(system->apply(system->context, cg->p, cg->active, cg->q));
        for (int64_t i = 0; i < n && iterations != NULL; ++i)
            iterations[i] += cg->active[i];
        RMP_TRY(lengths(cg, system, r, first));
        RMP_TRY(descend(cg, system, r, first));
        if (system->step != NULL) RMP_TRY(system->step(system->context, alpha, first));
        fill(keep, n, first ? 0.0 : 1.0);
        if (z != NULL) RMP_TRY(rmp_field_axpby(alpha, cg->p, keep, z));
        /* `last` is what the start is made of: it is not needed any more. */
        if (cg->warm) RMP_TRY(rmp_field_axpby(alpha, cg->p, keep, cg->last));
        RMP_TRY(turn(cg, system, r, first));
    }
    for (int64_t i = 0; i < n && cg->warm; ++i)
        cg->warmed[i] = alive[i];
    return RMP_OK;
}
