/* Solvers: (prior, operator, noise level, y, configuration, keys) -> (x, statistics). VE-RMP and VP-RMP of
 * arXiv 2410.05646 (METHOD.md sections 3 to 5), and what they are compared with (core/solvers). A solver sees images
 * only as fields. */
#pragma once

#include "core/likelihood.h"

typedef enum rmp_solver_kind {
    RMP_SOLVER_VE_RMP,
    RMP_SOLVER_VP_RMP,
    RMP_SOLVER_DPS,
    RMP_SOLVER_DPS_MEAN,
    RMP_SOLVER_MCG,
    RMP_SOLVER_DDRM,
    RMP_SOLVER_RED_DIFF,
    RMP_SOLVER_DIFFPIR,
    RMP_SOLVER_DAPS,
    RMP_SOLVER_POSTERIOR_SAMPLES
} rmp_solver_kind;

typedef enum rmp_spread { RMP_SPREAD_AUTO, RMP_SPREAD_NONE, RMP_SPREAD_CONDITIONAL, RMP_SPREAD_MARGINAL } rmp_spread;
/* The precision of q_k, the Gaussian that an update moves: what it is a priori, 1 / v_k, or learned from the curvature
 * of the log-density (a diagonal). */
typedef enum rmp_lambda { RMP_LAMBDA_FIXED, RMP_LAMBDA_LEARNED } rmp_lambda;
typedef enum rmp_init { RMP_INIT_NOISE, RMP_INIT_ZERO } rmp_init;
typedef enum rmp_final { RMP_FINAL_DENOISE, RMP_FINAL_MEAN } rmp_final;

typedef enum rmp_mcg_variant { RMP_MCG_PUBLISHED, RMP_MCG_DPS_REPO } rmp_mcg_variant;

typedef struct rmp_solver_config {
    rmp_solver_kind kind;
    rmp_likelihood_kind likelihood;
    int64_t T, T_in;             /* noise levels, inner iterations */
    double sigma_min, sigma_max; /* ve_rmp: s_0, s_T; vp_rmp: its schedule up to sigma_max */
    double s1;                   /* step of the mean update */
    rmp_lambda lambda;
    double s2;             /* learned: step of the precision update */
    int64_t probes;        /* learned: Hutchinson probes a draw, each a VJP and one for each CG iteration */
    double gamma;          /* weight of the likelihood score */
    double zeta;           /* step of the likelihood `dps` and of the solvers dps and dps_mean; below 0 (not for these):
                              0.7 sqrt(numbers of an image) / (T T_in) */
    int64_t cg_iterations; /* `moment`: at most */
    double cg_tolerance;   /* relative residual at which CG stops */
    bool cg_warm;          /* start along the solution of the update before; cg_iterations at least 2 */
    bool cg_precondition;  /* by the matrix of `pigdm`, where the operator has a spectrum */
    rmp_spread spread;     /* AUTO: none for analytic priors, marginal for networks */
    int64_t samples; /* draws an update with spread, in antithetic pairs that may span updates. A final denoising draws
                        too */
    /* ZERO is right with spread: the draws bring the noise that a level expects. A start that is noise itself comes on
     * top of it, the denoiser meets more than it is told of and leaves the rest in the result. */
    rmp_init init;
    rmp_final final;
    rmp_mcg_variant mcg_variant;
    double eta, eta_b;      /* ddrm: shares of fresh noise, of the measurement */
    double regularization;  /* red_diff, diffpir: lambda */
    double fresh_noise;     /* diffpir: share of the noise that a step draws anew */
    double lr;              /* red_diff: step of Adam; daps: first step of Langevin */
    int64_t ode_steps;      /* daps: evaluations a level */
    int64_t langevin_steps; /* daps: at each level */
    double tau;             /* daps: noise level of the measurement, as the solver sees it */
    /* All but ve_rmp: cumulative products of the network's schedule, steps of them, descending; borrowed */
    const double *abar;
    int64_t abar_steps;
} rmp_solver_config;

/* Defaults of ve_rmp that work on the shipped prior; see README for the measurements behind them. */
void rmp_solver_defaults(rmp_solver_config *config);
/* Defaults of a solver: as published, but for RMP. */
void rmp_solver_defaults_of(rmp_solver_kind kind, rmp_solver_config *config);
/* The published step zeta of DPS for an operator. */
double rmp_solver_dps_zeta(const rmp_operator_config *op);
/* The published lambda and fresh noise of DiffPIR for an operator, into the configuration. */
void rmp_solver_diffpir_weights(const rmp_operator_config *op, rmp_solver_config *config);

/* Of one image; what it needed itself, whatever its companions in the batch needed. */
typedef struct rmp_solver_stats {
    int64_t evaluations; /* denoiser evaluations */
    int64_t vjps;
    int64_t cg_iterations;
    double residual; /* ||y - A x|| / sqrt(M) at the end, M without missing pixels */
    bool diverged;
    char reason[160]; /* of the divergence */
} rmp_solver_stats;

typedef struct rmp_problem {
    rmp_prior *prior; /* borrowed, as all below */
    rmp_operator *op;
    const rmp_field *y; /* measurements, range of the operator */
    rmp_noise noise;
    const rmp_key *key; /* (n) */
    const bool *active; /* (n) or NULL: images that are not active are left zero and cost no decisions */
    /* Called after every network evaluation and every step of Langevin with the share done, so that the caller can
     * serve others; may be NULL. A status other than RMP_OK ends the solve with it. */
    rmp_status (*progress)(void *context, double share);
    void *progress_context;
} rmp_problem;

/* RMP_ERR_CONFIG with the key named if the configuration makes no sense. */
rmp_status rmp_solver_check(const rmp_solver_config *config) RMP_MUST_CHECK;

/* Whether the solver, with its likelihood, takes operators that are not linear. */
bool rmp_solver_takes_nonlinear(const rmp_solver_config *config);

/* RMP_ERR_CONFIG with the key named if the solver cannot do with such an operator. */
rmp_status rmp_solver_check_operator(const rmp_solver_config *config, const rmp_operator_config *op) RMP_MUST_CHECK;

/* x: image space, overwritten. stats: (n). Checks the configuration first.
 * An image diverges when its state is not finite, when its root mean square exceeds 1000 max(1, noise level), or when
 * its result fits the measurement twice as badly as an image of zeros does. It is reported in its statistics and
 * leaves zeros; the others go on, and their bytes do not depend on it. */
rmp_status rmp_solve(const rmp_solver_config *config, const rmp_problem *problem, rmp_field *x,
                     rmp_solver_stats stats[]) RMP_MUST_CHECK;

/* Network evaluations and gradients of an image, together, at most. */
int64_t rmp_solver_cost(const rmp_solver_config *config);

/* Fields that rmp_solve will take, in floats for each image (image and measurement sizes given). */
int64_t rmp_solver_floats(const rmp_solver_config *config, const rmp_noise *noise, int64_t image, int64_t measured);
