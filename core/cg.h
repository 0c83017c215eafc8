/* Conjugate gradients for M z = r, one system an image, for matrices that a network makes: nearly symmetric and nearly
 * positive. Hestenes & Stiefel 1952; the start along a direction that is known to be good is that of deflated conjugate
 * gradients with one vector (Saad, Yeung, Erhel, Guyomarc'h 2000).
 *
 * The guard: an image stops at a curvature that is not positive (in the first iteration after a step of a length that
 * the caller knows to be safe), and before a step that would make its residual `growth` times the smallest one so far.
 * What was reached until then is the result. */
#pragma once

#include "core/field.h"

typedef struct rmp_cg rmp_cg;

typedef struct rmp_cg_options {
    bool warm;         /* keep the solution and start the next solve along it */
    bool precondition; /* systems will have `precondition` */
} rmp_cg_options;

typedef struct rmp_cg_system {
    void *context;
    /* out = M p; active: images that the result is used of. */
    rmp_status (*apply)(void *context, const rmp_field *p, const bool active[], rmp_field *out);
    /* g = C r, C symmetric and positive, near the inverse of M; NULL: the identity. */
    rmp_status (*precondition)(void *context, const rmp_field *r, rmp_field *g);
    /* The curvature <p, N p> > 0 of a matrix N that M does not exceed, for the p of the last apply; NULL: no step. */
    rmp_status (*safe_curvature)(void *context, const rmp_field *p, double out[]);
    /* A step of alpha[i] along the p of the last apply is taken: for sums that go along with z; may be NULL. */
    rmp_status (*step)(void *context, const double alpha[], bool first);
    int64_t iterations; /* at most; at least one is made */
    double growth;      /* >= 1: of a symmetric positive matrix the residual may rise for a while */
    bool apart;         /* neither starts warm nor leaves anything to start from */
    double tolerance;   /* stops at |r| <= tolerance |r at the start| */
} rmp_cg_system;

/* space: of z and r; borrowed. */
rmp_status rmp_cg_create(const rmp_space *space, const rmp_cg_options *options, rmp_cg **out) RMP_MUST_CHECK;
void rmp_cg_destroy(rmp_cg **cg);
/* Fields that create makes. */
int64_t rmp_cg_fields(const rmp_cg_options *options);

/* r: right-hand side, becomes the residual r - M z, that of a refused step being taken back. alive[i] false: image i is
 * left out, its z is 0. z: overwritten; NULL unless options.solution. iterations: (n) or NULL, those that each image
 * needed are added. */
rmp_status rmp_cg_solve(rmp_cg *cg, const rmp_cg_system *system, rmp_field *r, const bool alive[], rmp_field *z,
                        int64_t iterations[]) RMP_MUST_CHECK;
