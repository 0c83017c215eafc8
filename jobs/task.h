/* What a job needs on every rank, opened once: the network or analytic prior, the files of the operator, the solver's
 * configuration. Independent of image sizes; what depends on them is made by jobs/restorer.h. */
#pragma once

#include "core/schedule.h"
#include "io/job.h"
#include "jobs/network.h"
#include "jobs/scorer.h"

typedef struct rmp_task {
    const rmp_job *job;                            /* borrowed */
    rmp_device *device;                            /* borrowed */
    rmp_network *network;                          /* network priors, else NULL; a holder of it */
    const rmp_model *model;                        /* its own; NULL with it */
    rmp_model *blur;                               /* of operator.network; else NULL */
    rmp_weights *prior_set, *matrix_set, *tensors; /* files of ground-truth jobs, else NULL */
    rmp_weights *code_set;                         /* of operator.code; else NULL */
    const rmp_tensor *x, *y;                       /* of `tensors`: (N, D), (N, M); at least one */
    rmp_operator_config op;                        /* complete: kernel, matrix, network and code are set */
    rmp_solver_config solver;
    rmp_memory_policy memory;        /* of the network's plans: changes no byte of a result */
    double abar[RMP_SCHEDULE_STEPS]; /* of vp_rmp with an analytic prior */
    rmp_tensor matrix;
    float *kernel;    /* of operator.kernel_image, normalised; else NULL */
    rmp_image mask;   /* of operator.mask; values NULL if none */
    int64_t channels; /* that the prior works on; ground-truth jobs: D */
    rmp_noise noise;
    rmp_scorer_nets *metrics; /* a holder of them; NULL if no metric needs a network */
} rmp_task;

/* RMP_ERR_CONFIG or RMP_ERR_FORMAT names the file and what is wrong with it. */
rmp_status rmp_task_open(const rmp_job *job, rmp_device *device, rmp_task **out) RMP_MUST_CHECK;
/* The same for the next job of a sweep: networks of the former task (may be NULL) are used again if the job names the
 * same ones. The tasks may be closed in any order. */
rmp_status rmp_task_open_next(const rmp_job *job, rmp_device *device, const rmp_task *former,
                              rmp_task **out) RMP_MUST_CHECK;
void rmp_task_close(rmp_task **task);

/* Items of a ground-truth job. */
int64_t rmp_task_tensor_items(const rmp_task *task);

/* A prior for images of a space (borrowed: must outlive it). */
rmp_status rmp_task_prior(const rmp_task *task, const rmp_space *space, rmp_prior **out) RMP_MUST_CHECK;

/* Network evaluations and gradients for an image of this size, together, at most: its restoration and its
 * uncertainty. */
int64_t rmp_task_cost(const rmp_task *task, int64_t h, int64_t w);

typedef struct rmp_task_memory { /* bytes of one rank */
    int64_t prior;               /* activations, gradients, scratch, weights as the device keeps them */
    int64_t op;                  /* plans, masks, spectra */
    int64_t fields;              /* of the solver */
    int64_t images;              /* pictures on their way in and out */
    int64_t metrics;             /* networks that score, or what FID takes when all items are done, the larger */
    int64_t total;
    int64_t saved; /* more that the prior would take if this rank held no weights together with others */
} rmp_task_memory;

/* What a batch of n images of one size takes; allocates nothing large. */
rmp_status rmp_task_estimate(const rmp_task *task, int64_t n, int64_t h, int64_t w,
                             rmp_task_memory *out) RMP_MUST_CHECK;
