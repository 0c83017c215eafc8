/* What solvers have in common: images that are alive, counted network evaluations, progress, the watch for divergence
 * and the judgement at the end. Private to the solvers; core/solver.h is for everybody. */
#pragma once

#include "core/levels.h"

typedef struct rmp_solve_state rmp_solve_state;

typedef struct rmp_solver_extent {
    int64_t steps; /* rmp_solve_step_done is called after each */
    int64_t ticks; /* of a step, at most */
    int64_t cost;  /* of the whole: network evaluations and gradients of an image, at most */
} rmp_solver_extent;

typedef struct rmp_solver_class {
    const char *name;
    /* Clips what a network denoises to [-1, 1], as its authors do; analytic priors know no such range. */
    bool clips;
    /* RMP_ERR_CONFIG with the key named; what all solvers need is checked already. */
    rmp_status (*check)(const rmp_solver_config *config);
    /* RMP_ERR_CONFIG if this is no operator for the solver; NULL: its likelihood knows. */
    rmp_status (*check_operator)(const rmp_solver_config *config, const rmp_operator_config *op);
    /* The likelihood that the solver wants prepared. It is there for all, for misfits at least. */
    rmp_likelihood_kind (*likelihood)(const rmp_solver_config *config);
    /* Whether a result must explain the measurement, or be an image: else it is a divergence. */
    bool (*explains)(const rmp_solver_config *config);
    /* Fields that run creates, in floats for each image, without those of the likelihood. */
    int64_t (*floats)(const rmp_solver_config *config, int64_t image, int64_t measured);
    rmp_solver_extent (*extent)(const rmp_solver_config *config);
    /* Leaves the result in x. */
    rmp_status (*run)(rmp_solve_state *q, rmp_field *x);
} rmp_solver_class;

/* RMP_ERR_CONFIG unless abar is a schedule of at least `least` steps that descends within (0, 1). */
rmp_status rmp_solver_check_schedule(const rmp_solver_config *config, int64_t least) RMP_MUST_CHECK;

/* `likelihood` and `explains` of more than one solver, whatever the configuration. */
rmp_likelihood_kind rmp_solver_likelihood_none(const rmp_solver_config *config);
rmp_likelihood_kind rmp_solver_likelihood_dps(const rmp_solver_config *config);
bool rmp_solver_explains_always(const rmp_solver_config *config);
/* `extent`: T steps of an evaluation; of an evaluation and a gradient. */
rmp_solver_extent rmp_solver_evaluates(const rmp_solver_config *config);
rmp_solver_extent rmp_solver_differentiates(const rmp_solver_config *config);

extern const rmp_solver_class rmp_solver_ve_rmp, rmp_solver_vp_rmp;
/* core/solvers */
extern const rmp_solver_class rmp_solver_dps, rmp_solver_dps_mean, rmp_solver_mcg, rmp_solver_ddrm, rmp_solver_red_diff,
    rmp_solver_diffpir, rmp_solver_daps, rmp_solver_posterior_samples;

struct rmp_solve_state {
    const rmp_solver_config *config;
    const rmp_problem *problem;
    rmp_solver_stats *stats;
    const rmp_level *levels; /* of RMP, if the caller has them; else NULL */
    double top;              /* with them */
    bool clips;              /* denoised images */
    int64_t n;               /* images */
    rmp_likelihood *likelihood;
    double *scalar; /* (RMP_SOLVE_SCALARS, n), for coefficients; the functions below overwrite the first three */
    bool *alive;    /* (n) */
    float *zeros;   /* one image */
    rmp_solver_extent extent;
    int64_t steps_done, ticks; /* progress: ticks of the present step */
};

enum { RMP_SOLVE_SCALARS = 8 };
double *rmp_solve_scalars(const rmp_solve_state *q, int which);

/* y = a x + b y for images that are alive; the others become 0. */
rmp_status rmp_solve_axpby(const rmp_solve_state *q, double a, const rmp_field *x, double b,
                           rmp_field *y) RMP_MUST_CHECK;

/* D and J^T of the prior, counted for images that are alive, with progress. */
rmp_status rmp_solve_denoise(rmp_solve_state *q, const rmp_field *x, double s, rmp_field *out) RMP_MUST_CHECK;
rmp_status rmp_solve_vjp(rmp_solve_state *q, const rmp_field *v, rmp_field *out) RMP_MUST_CHECK;
/* To be called after every network evaluation (the two above do) and what takes as long. */
rmp_status rmp_solve_tick(void *solve) RMP_MUST_CHECK;
void rmp_solve_step_done(rmp_solve_state *q);

/* Takes image i for diverged: "diverged: WHAT value WHERE level". */
void rmp_solve_diverged(rmp_solve_state *q, int64_t i, const char *what, double value, const char *where, double level);
/* Drops images whose state scale x is not finite or far too large for noise level s; zeros those that are not alive. */
rmp_status rmp_solve_watch(rmp_solve_state *q, rmp_field *x, double scale, double s) RMP_MUST_CHECK;
