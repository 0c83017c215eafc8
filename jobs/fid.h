/* FID of a finished job, on rank 0: from the features in the journal, in item order, so that its bits depend neither on
 * the number of ranks nor on interruptions. */
#pragma once

#include "core/device.h"
#include "core/perceptual.h"
#include "core/poll.h"
#include "io/journal.h"

/* Means and covariance of features, as in a .npz file of pytorch-fid (arrays mu and sigma). */
typedef struct rmp_fid_moments {
    double *mean;       /* (RMP_INCEPTION_FEATURES) */
    double *covariance; /* (RMP_INCEPTION_FEATURES, RMP_INCEPTION_FEATURES) */
} rmp_fid_moments;

/* RMP_ERR_FORMAT or RMP_ERR_IO names the file. */
rmp_status rmp_fid_read(const char *path, rmp_fid_moments *out) RMP_MUST_CHECK;
/* dir/name, atomically. */
rmp_status rmp_fid_write(const char *dir, const char *name, const rmp_fid_moments *moments) RMP_MUST_CHECK;
rmp_status rmp_fid_allocate(rmp_fid_moments *out) RMP_MUST_CHECK;
void rmp_fid_free(rmp_fid_moments *moments);
/* poll: as for rmp_frechet_distance. */
rmp_status rmp_fid_distance(rmp_device *device, const rmp_fid_moments *a, const rmp_fid_moments *b,
                            const rmp_poll *poll, double *out) RMP_MUST_CHECK;

/* Whether the statistics that a job names can be read. RMP_ERR_CONFIG if there is no such file. */
rmp_status rmp_fid_check(const char *reference) RMP_MUST_CHECK;

/* Compares all restored images with the truths, or with `reference` (may be NULL), writes fid_restored.npz and, of the
 * truths, fid_truth.npz into `dir` and the result into the journal. Does nothing where that is done already; fewer than
 * two images on a side have no FID, which is logged. Takes up to rmp_frechet_bytes. poll (may be
 * NULL) is called after every image and as rmp_frechet_distance says. */
rmp_status rmp_fid_finish(rmp_device *device, rmp_journal *journal, const char *dir, const char *reference,
                          const rmp_poll *poll) RMP_MUST_CHECK;
