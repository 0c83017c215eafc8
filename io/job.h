/* Job files (JOBS.md): YAML, schema-checked, every default written out. */
#pragma once

#include "core/device.h"
#include "core/operator.h"
#include "core/solver.h"
#include "core/uncertainty.h"
#include "io/image.h"

typedef enum rmp_prior_kind { RMP_PRIOR_NETWORK, RMP_PRIOR_GAUSSIAN, RMP_PRIOR_MIXTURE } rmp_prior_kind;
typedef enum rmp_device_kind { RMP_DEVICE_AUTO, RMP_DEVICE_CPU, RMP_DEVICE_CUDA, RMP_DEVICE_REFERENCE } rmp_device_kind;

/* Who writes the restored images: rank 0, or each rank its own (parallel file systems). */
typedef enum rmp_job_writer { RMP_WRITER_ROOT, RMP_WRITER_RANKS } rmp_job_writer;

typedef enum rmp_activations { RMP_ACTIVATIONS_AUTO, RMP_ACTIVATIONS_KEEP, RMP_ACTIVATIONS_RECOMPUTE } rmp_activations;

typedef struct rmp_job {
    char *path;   /* of the job file; owned, like every string here */
    char *folder; /* it is in: relative paths start here */
    struct {
        char *images; /* absolute after resolving; NULL if tensors */
        char *tensors;
        int64_t crop_h, crop_w; /* of the middle of every picture; 0: all of it */
    } input;
    struct {
        rmp_prior_kind kind;
        char *model, *file;
    } prior;
    struct {
        rmp_operator_config
            config;        /* kernel, matrix, network and code are filled by the program from the files below */
        char *file;        /* matrix */
        char *kernel_file; /* motion_blur: image; NULL = drawn */
        char *mask_file;   /* inpaint_mask: image; NULL = from the manifest */
        char *network;     /* nonlinear_blur: weight file */
        char *code_file;   /* nonlinear_blur: tensor `code`; NULL = drawn */
        char *parts;       /* compose: as text */
        rmp_operator_config part[RMP_OPERATOR_MOST_PARTS]; /* and as config.part points to them */
    } op;
    struct {
        rmp_noise_kind kind;
        double sigma; /* as written, on `range` */
        double range[2];
        double gain; /* poisson: counts at white */
    } noise;
    rmp_solver_config solver;
    uint64_t seed;
    rmp_device_kind device;
    rmp_precision precision;
    rmp_activations activations; /* what a gradient finds of its forward pass: core/device.h, rmp_memory_policy */
    int64_t batch;               /* 0 = auto */
    int64_t memory;              /* bytes a rank may take; 0 = auto: its share of what is available */
    struct {
        char *lpips;         /* weights; NULL: not asked for */
        char *fid;           /* weights of Inception-v3, likewise */
        char *fid_reference; /* statistics to compare with; NULL: the ground truths of the job */
    } metrics;
    rmp_uncertainty_config uncertainty;
    double timeout; /* seconds without a sign of life after which a rank counts as lost */
    struct {
        char *dir;
        rmp_image_format format;
        bool measurements;
        rmp_job_writer writer;
    } output;
} rmp_job;

/* Reads, checks and completes a job. overrides: "key.sub=value" texts from --set. Errors (RMP_ERR_CONFIG) name file,
 * line or key and the accepted values. Paths become absolute: those in the file
 * start at its folder, those of overrides at the current one. A bare word as prior.model names a shipped model and
 * stays. */
rmp_status rmp_job_read(const char *path, int overrides, char *const override[], rmp_job **out) RMP_MUST_CHECK;
/* The same from text in memory, e.g. that of rmp_job_text; `name` stands for the file in errors, and relative paths
 * start at the folder that it names. */
rmp_status rmp_job_parse(const char *text, size_t size, const char *name, rmp_job **out) RMP_MUST_CHECK;
void rmp_job_free(rmp_job **job);

/* The resolved job as YAML with every default, the same text for the same job; owned by the caller. Reading it gives
 * the same job. */
rmp_status rmp_job_text(const rmp_job *job, char **out) RMP_MUST_CHECK;

/* Whether the results of one resolved job (its text) may be continued by another: true if they differ only in keys that
 * change no byte of the results (activations, memory, timeout, output.writer) or in output.dir, for the folder may have
 * been moved. Else `why` says which key had which value and has which one now. */
bool rmp_job_may_continue(const char *before, const char *now, char *why, size_t size);

/* The noise on the [-1, 1] scale. */
rmp_noise rmp_job_noise(const rmp_job *job);
