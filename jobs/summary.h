/* What a finished folder of results says in numbers: summary.json for programs, the table at the end of a job for the
 * person who started it, and the figures that report.html shows. Everything is derived from the journal in item order
 * (read-only, no lock), so that it does not depend on the number of ranks, and no memory grows with the number of
 * items. */
#pragma once

#include "io/journal.h"

#include <stdio.h>

/* What the journal does not know: the circumstances of the run that ends now. Strings are borrowed. */
typedef struct rmp_run_facts {
    const char *device;    /* rmp_device.description of rank 0 */
    const char *precision; /* "fp32", "bf16": what is really used */
    int ranks, threads;    /* threads of one rank */
    int64_t items;         /* done in this run */
    double elapsed;        /* seconds from start to end of this run (a resumed job has earlier ones too) */
} rmp_run_facts;

typedef enum rmp_figure {
    RMP_FIGURE_PSNR,       /* dB */
    RMP_FIGURE_SSIM,       /* 0..1 */
    RMP_FIGURE_PSNR_8BIT,  /* dB, as an 8-bit file holds the image */
    RMP_FIGURE_SSIM_8BIT,  /* 0..1 */
    RMP_FIGURE_PSNR_INPUT, /* dB, of the measurement */
    RMP_FIGURE_SSIM_INPUT, /* 0..1 */
    RMP_FIGURE_LPIPS,      /* as an 8-bit file holds the image; 0 for equal images */
    RMP_FIGURE_LPIPS_INPUT,
    RMP_FIGURE_FID,           /* of all images together: every statistic is that one value, n the restored images */
    RMP_FIGURE_GAIN,          /* dB, psnr - psnr_input */
    RMP_FIGURE_RESIDUAL,      /* ||y - A x|| / sqrt(M) */
    RMP_FIGURE_DISTANCE,      /* ||x - x0|| / ||x0||, tensor jobs */
    RMP_FIGURE_DISTANCE_MEAN, /* the same to the exact posterior mean, analytic priors */
    RMP_FIGURE_STD,           /* posterior standard deviation of a value, estimated */
    RMP_FIGURE_COVERAGE,      /* share of the ground truth within two of them */
    RMP_FIGURE_EVALUATIONS,
    RMP_FIGURE_VJPS,
    RMP_FIGURE_CG_ITERATIONS,
    RMP_FIGURE_STD_EVALUATIONS, /* evaluations and VJPs for the standard deviations */
    RMP_FIGURE_SECONDS,         /* of an item's share of its batch; the only figure that is not the same in every run */
    RMP_FIGURES
} rmp_figure;

/* "psnr", "gain", ...: the column of the journal and the key in summary.json. */
const char *rmp_figure_name(rmp_figure figure);

enum { RMP_MAX_REASONS = 20, RMP_HISTOGRAM_BINS = 24, RMP_MAX_RANKS_SHOWN = 64 };

typedef struct rmp_reason {
    char *text; /* the item's own paths are replaced by "FILE", so that the same mistake counts as one; owned */
    int64_t items;
} rmp_reason;

typedef struct rmp_rank_share {
    int rank;
    char host[64];
    int64_t items;
    double seconds; /* of work */
} rmp_rank_share;

typedef struct rmp_summary {
    rmp_counts counts;
    rmp_statistics figure[RMP_FIGURES];
    int reasons; /* most frequent first, ties in order of appearance */
    rmp_reason reason[RMP_MAX_REASONS];
    int64_t other_failures; /* failed items whose reason is not among them */
    rmp_figure charted;     /* what the histogram shows: GAIN, else DISTANCE_MEAN, else DISTANCE, else RESIDUAL */
    double chart_low, chart_high;
    int64_t chart[RMP_HISTOGRAM_BINS];
    int shares; /* ranks in ascending order; those beyond RMP_MAX_RANKS_SHOWN are left out */
    rmp_rank_share share[RMP_MAX_RANKS_SHOWN];
    double first_started; /* Unix time; NaN if nothing is done */
    int lpips_network;    /* as in rmp_row; 0: none */
    rmp_journal_fid fid;  /* images 0: none */
    char *job;            /* the resolved job's text; owned */
} rmp_summary;

/* Reads DIR/results.sqlite. RMP_ERR_IO or RMP_ERR_FORMAT if there is none or it is damaged. */
rmp_status rmp_summary_collect(const char *dir, rmp_summary *out) RMP_MUST_CHECK;
void rmp_summary_free(rmp_summary *summary);

/* DIR/summary.json, atomically. Objects in fixed order: "items", "figures", "lpips" and "fid" (what was computed, and
 * how; null where it was not), "failures", "job" (the resolved job), "versions"; then "hardware" and "timing", the only
 * two that differ between runs of one job on one build. `facts` NULL (rmp report), or of a run that did no items:
 * "hardware" and "timing.last_run" are taken over from the summary.json that is there, or null. */
rmp_status rmp_summary_write(const char *dir, const rmp_run_facts *facts) RMP_MUST_CHECK;

/* The table at the end of a job, one line a folder: task, items, failed, PSNR input -> restored (gain), SSIM, seconds
 * an image, evaluations and VJPs an image. For tensor jobs the distances instead of PSNR and SSIM; standard deviation
 * and coverage where they were estimated. */
rmp_status rmp_summary_print(FILE *out, int dirs, char *const dir[]) RMP_MUST_CHECK;
