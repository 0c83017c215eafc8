/* What a restored picture is worth: the scores of its row. */
#pragma once

#include "io/journal.h"
#include "jobs/sample.h"
#include "jobs/scorer.h"

typedef struct rmp_score_options {
    rmp_scorer *scorer;  /* LPIPS and features, as far as it has networks; NULL: none */
    bool truth_features; /* those of the truth too */
    /* Called after each evaluation of a network, which may take long; ends the scoring if it fails. May be NULL. */
    rmp_status (*tick)(void *context);
    void *context;
} rmp_score_options;

/* Fills the scores and features of `row`. `restored` has the truth's shape; `picture` is the measurement as a picture
 * of that size, its values NULL where it is none. Without a truth only features are computed. LPIPS and features are
 * those of restored and picture after rounding to 8 bits, of the truth as it was read. A picture that a network cannot
 * take (too small) has no such score, which is logged. */
rmp_status rmp_score(const rmp_score_options *options, const char *id, const rmp_image *truth,
                     const rmp_image *restored, const rmp_image *picture, rmp_row *row) RMP_MUST_CHECK;
