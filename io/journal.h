/* results.sqlite: the list of items, what is done, and the metrics: the one source of what is done (JOBS.md). Used by
 * rank 0 only. Holds a lock on the output folder from open to close. */
#pragma once

#include "io/source.h"

typedef struct rmp_journal rmp_journal;

typedef struct rmp_row { /* one finished item; NaN where a number does not apply */
    int64_t item;        /* index */
    bool failed;
    char *reason; /* why, if failed; else NULL; must not depend on the rank (metrics.csv is the same on any number) */
    char *output; /* path of the restored image relative to the output folder, or NULL */
    int64_t height, width, channels;
    double psnr, ssim;             /* against the ground truth, before rounding */
    double psnr_8bit, ssim_8bit;   /* after rounding to 8 bits */
    double psnr_input, ssim_input; /* of the measurement, brought to the image's size (METHOD.md section 8) */
    double lpips, lpips_input;     /* both after rounding to 8 bits */
    int lpips_network;             /* 1 + rmp_perceptual_kind of what computed them; 0: none */
    double residual;               /* ||y - A x|| / sqrt(M) */
    double distance;               /* ground-truth tensors: ||x - x0|| / ||x0|| */
    double distance_mean;          /* analytic priors: ||x - m|| / ||m||, m = E[x0 | y] in closed form */
    double std;                    /* root of the mean estimated posterior variance of a value, where asked for */
    double coverage;               /* share of values of the ground truth within two standard deviations of x */
    int64_t evaluations, vjps, cg_iterations;
    int64_t std_evaluations; /* evaluations and VJPs for the standard deviations, not among those above */
    const float *tensor;     /* ground-truth tensor jobs: the restored vector, else NULL */
    const float *tensor_std; /* its standard deviations, or NULL; as long */
    int64_t tensor_length;
    const float *features;       /* for FID: of the restored image, else NULL; rmp_journal_visit leaves them out */
    const float *truth_features; /* of the ground truth, where the job needs them */
    int64_t feature_length;      /* of each of the two */
    double seconds;              /* of this item's share of its batch */
    double started;              /* Unix time */
    int rank;
    char *host;
} rmp_row;

typedef enum rmp_journal_mode { RMP_JOURNAL_RESUME, RMP_JOURNAL_RESTART } rmp_journal_mode;

/* Opens or makes DIR/results.sqlite. `job` is the resolved job as text: a folder that holds another job's results is
 * RMP_ERR_CONFIG (the message says which key differs and names --restart), except for the keys that may differ
 * (rmp_job_may_continue), which take their new values; a folder in use by a living process is RMP_ERR_BUSY. RESTART
 * empties the journal and removes the outputs it named. A damaged database is RMP_ERR_FORMAT. */
rmp_status rmp_journal_open(const char *dir, const char *job, rmp_journal_mode mode, rmp_journal **out) RMP_MUST_CHECK;
void rmp_journal_close(rmp_journal **journal);

/* Read-only, without the lock: for reports and status. */
rmp_status rmp_journal_open_readonly(const char *dir, rmp_journal **out) RMP_MUST_CHECK;
/* The resolved job's text; owned by the journal. */
const char *rmp_journal_job(const rmp_journal *journal);

/* The item list is written once, in one transaction: begin, add ..., commit. `have` is false until then. */
rmp_status rmp_journal_have_items(rmp_journal *journal, bool *have) RMP_MUST_CHECK;
rmp_status rmp_journal_items_begin(rmp_journal *journal) RMP_MUST_CHECK;
rmp_status rmp_journal_items_add(rmp_journal *journal, const rmp_item *item, int64_t height,
                                 int64_t width) RMP_MUST_CHECK; /* 0 x 0: not readable */
rmp_status rmp_journal_items_commit(rmp_journal *journal) RMP_MUST_CHECK;

typedef struct rmp_counts {
    int64_t items, done, failed; /* done includes failed */
} rmp_counts;
rmp_status rmp_journal_counts(rmp_journal *journal, rmp_counts *out) RMP_MUST_CHECK;

/* The distinct sizes of the items and how many items have each, largest area first: for the memory estimate. */
rmp_status rmp_journal_sizes(rmp_journal *journal,
                             rmp_status (*size)(void *context, int64_t height, int64_t width, int64_t items),
                             void *context) RMP_MUST_CHECK;

/* Chunk k is the items [k * chunk, (k + 1) * chunk). Finds the first chunk >= *k that has an item which is not done,
 * sets *k and fills items (chunk long; free each) and *count with all its items; *count = 0 when nothing is left. */
rmp_status rmp_journal_next_chunk(rmp_journal *journal, int64_t chunk, int64_t *k, rmp_item items[],
                                  int64_t *count) RMP_MUST_CHECK;

/* All rows of a chunk in one transaction, durable on return. A row that exists already is replaced. */
rmp_status rmp_journal_commit(rmp_journal *journal, int64_t n, const rmp_row rows[]) RMP_MUST_CHECK;

/* Calls `visit` for every done item in item order; item and row are borrowed during the call. */
rmp_status rmp_journal_visit(rmp_journal *journal,
                             rmp_status (*visit)(void *context, const rmp_item *item, const rmp_row *row),
                             void *context) RMP_MUST_CHECK;

/* Calls `visit` for every item that has features and has not failed, in item order, one at a time; `truth` may be NULL.
 * RMP_ERR_FORMAT if there are not `length` numbers. */
typedef rmp_status rmp_journal_feature_visit(void *context, const float *restored, const float *truth);
rmp_status rmp_journal_features(rmp_journal *journal, int64_t length, rmp_journal_feature_visit *visit,
                                void *context) RMP_MUST_CHECK;

/* FID of all items that are done. The next rmp_journal_commit removes it. */
typedef struct rmp_journal_fid {
    double value;
    int64_t images, truths; /* compared; truths 0: statistics from a file, of which that is not known */
} rmp_journal_fid;
rmp_status rmp_journal_put_fid(rmp_journal *journal, const rmp_journal_fid *fid) RMP_MUST_CHECK;
/* images 0: there is none. */
rmp_status rmp_journal_get_fid(rmp_journal *journal, rmp_journal_fid *out) RMP_MUST_CHECK;

/* A number of all done items that have not failed, for summaries. Computed in the database: takes no memory that grows
 * with the items. Columns: psnr ssim psnr_8bit ssim_8bit psnr_input ssim_input lpips lpips_input gain
 * (psnr - psnr_input) gain_8bit residual distance distance_mean std coverage evaluations vjps cg_iterations
 * std_evaluations seconds height width; and fid, one value of all n images, without a
 * histogram. Values that do not apply or are not finite (PSNR of equal images) are left out; n counts the others; all
 * numbers are NaN if n is 0. std divides by n; quartiles interpolate linearly between neighbours. RMP_ERR_ARGUMENT for
 * another column. */
typedef struct rmp_statistics {
    int64_t n;
    double mean, std, min, q25, median, q75, max;
} rmp_statistics;
rmp_status rmp_journal_statistics(rmp_journal *journal, const char *column, rmp_statistics *out) RMP_MUST_CHECK;

/* How many items fall into each of `bins` equal parts of [low, high] (values at `high` count in the last). */
rmp_status rmp_journal_histogram(rmp_journal *journal, const char *column, double low, double high, int64_t bins,
                                 int64_t counts[]) RMP_MUST_CHECK;

/* Visits up to `limit` done items: worst, middle or best first by gain (psnr - psnr_input; psnr where no input could be
 * scored; minus distance_mean or distance for ground-truth tensors; minus residual where nothing else is known), equal
 * ones in item order; MEDIAN: those around the middle, from worse to better. FAILED: failed items in item order. The
 * other orders leave failed items out. */
typedef enum rmp_ranking { RMP_RANK_WORST, RMP_RANK_MEDIAN, RMP_RANK_BEST, RMP_RANK_FAILED } rmp_ranking;
rmp_status rmp_journal_ranked(rmp_journal *journal, rmp_ranking order, int64_t limit,
                              rmp_status (*visit)(void *context, const rmp_item *item, const rmp_row *row),
                              void *context) RMP_MUST_CHECK;

void rmp_row_free(rmp_row *row); /* reason, output, host */

/* metrics.csv and timings.csv, atomically, in item order (JOBS.md): one row a done item. Numbers with %.6f (PSNR, SSIM)
 * or %.9g; the same bytes for the same rows. NaN is an empty cell; text is quoted where RFC 4180 wants it. */
rmp_status rmp_journal_export(rmp_journal *journal, const char *dir) RMP_MUST_CHECK;
