/* Progress of a job on rank 0's stderr: a bar on a terminal, a line a minute in a batch log. Items done, rate, time
 * left, failures. */
#pragma once

#include "core/status.h"

typedef struct rmp_progress rmp_progress;

typedef struct rmp_progress_state {
    int64_t items;        /* of the job */
    int64_t before;       /* done when this run started: they do not count for the rate */
    int64_t done, failed; /* now, `before` included; done includes failed */
    double elapsed;       /* seconds since this run started */
    /* What this run has done and what is left, in any unit: by them the time left is estimated, where items do not cost
     * alike. Both 0: by items. */
    double work_done, work_left;
} rmp_progress_state;

/* "[########------------]  40% 16/40  2.1 items/s  ETA 0:11  1 failed", at most `width` characters. */
void rmp_progress_bar(const rmp_progress_state *state, int width, char *text, size_t size);
/* "16 of 40 items (40%), 2.1 items/s, ETA 0:11, 1 failed". */
void rmp_progress_line(const rmp_progress_state *state, char *text, size_t size);

/* Starts to show; asks whether stderr is a terminal. */
rmp_status rmp_progress_start(int64_t items, int64_t done, int64_t failed, rmp_progress **out) RMP_MUST_CHECK;
/* The counts now; draws at most ten times a second (bar) or once a minute (lines). Cheap: call it as often as you like,
 * also with unchanged counts, so that a watcher sees the time go on. */
void rmp_progress_update(rmp_progress *progress, int64_t done, int64_t failed);
/* Items do not cost alike: what this run has done, what is left. */
void rmp_progress_weigh(rmp_progress *progress, double work_done, double work_left);
/* Removes the bar, logs the final counts and frees; NULL is fine. */
void rmp_progress_stop(rmp_progress **progress);
