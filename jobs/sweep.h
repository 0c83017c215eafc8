/* `rmp sweep`: many jobs, the cells of a sweep, as one. Their chunks go through one work queue, one cell after another
 * without a barrier between them. Private to jobs/sweep*.c but for what is marked. */
#pragma once

#include "core/poll.h"
#include "io/sweep.h"
#include "jobs/inventory.h"
#include "jobs/server.h"
#include "jobs/session.h"

enum { RMP_SWEEP_OPEN = 64 /* journals that rank 0 holds open at a time */ };

typedef struct rmp_cell { /* of a sweep, on every rank; strings owned */
    char *name;           /* rank 0 */
    char *text;           /* its job, resolved but for the batch */
    int64_t batch;
    bool recompute; /* what this rank's memory needs of activations */
    /* rank 0 */
    rmp_counts counts;
    int64_t before; /* items done when this run started */
    int64_t h, w;   /* of the largest image */
    int64_t memory; /* bytes a rank */
    int64_t cost;   /* network evaluations and gradients of an image, at most */
    bool recorded;  /* its journal has its items */
    bool reported;  /* its reports are as new as its journal */
    int64_t chunk;  /* the next one to look at */
    int64_t in_flight;
    double began; /* seconds, when its first chunk was handed out; 0: not yet */
} rmp_cell;

typedef struct rmp_open_cell { /* rank 0: one whose journal is open */
    int64_t cell;
    rmp_job *job; /* NULL: not in use */
    rmp_journal *journal;
    rmp_server server;
    uint64_t used;
} rmp_open_cell;

typedef struct rmp_known_items { /* an inventory, and what it belongs to: input, operator and network */
    char *of;
    rmp_inventory inventory;
    uint64_t used;
} rmp_known_items;
enum { RMP_KNOWN_ITEMS = 16 };

typedef struct rmp_sweeper { /* of one rank */
    rmp_session session;
    const char *dir; /* output.dir of the sweep; rank 0: in `sweep`, NULL elsewhere */
    int64_t cells;
    rmp_cell *cell; /* (cells) */
    bool restart;
    int64_t current; /* the cell that the session is at; -1: none */
    rmp_restorer *restorer;
    /* rank 0 */
    rmp_sweep *sweep;
    rmp_known_items known[RMP_KNOWN_ITEMS];
    rmp_open_cell open[RMP_SWEEP_OPEN];
    uint64_t clock;
    int64_t next;     /* the cell that chunks are taken from */
    int64_t reported; /* all before this one have their reports */
    rmp_counts counts;
    int64_t before;
    double work_left, work_done; /* by this run, in evaluated pixels: for the time that is left */
    rmp_progress *progress;
    bool interrupted;
} rmp_sweeper;

/* ---- sweep_plan.c ---- */

/* Collective. The cells of rank 0's sweep to all ranks; opens the session. */
rmp_status rmp_sweeper_share(rmp_sweeper *s, int threads) RMP_MUST_CHECK;
/* Collective. Opens every cell in turn: its files, its items, its batch and memory; what its folder holds already. A
 * cell that is not valid or does not fit is named. */
rmp_status rmp_sweeper_plan(rmp_sweeper *s) RMP_MUST_CHECK;
/* What so many items of a cell take, to compare with others: rank 0, when the cell is planned. */
double rmp_sweeper_work(const rmp_cell *cell, int64_t items);
/* The job of a cell with its batch; owned by the caller. */
rmp_status rmp_sweeper_job(const rmp_sweeper *s, int64_t cell, rmp_job **out) RMP_MUST_CHECK;
/* This rank goes on with a cell. */
rmp_status rmp_sweeper_enter(rmp_sweeper *s, int64_t cell) RMP_MUST_CHECK;
/* The items of a cell, of rank 0's session or from what is known; borrowed until the next call. */
rmp_status rmp_sweeper_items(rmp_sweeper *s, const rmp_task *task, rmp_inventory **out) RMP_MUST_CHECK;
void rmp_sweeper_free(rmp_sweeper *s);
/* "cell NAME: " in front of a failure. */
rmp_status rmp_sweeper_fail(const rmp_sweeper *s, int64_t cell, rmp_status status);

/* ---- sweep_serve.c: rank 0 ---- */

/* Forgets what the folders of the cells hold. */
rmp_status rmp_sweeper_restart(rmp_sweeper *s) RMP_MUST_CHECK;
/* The callbacks of rmp_queue_server; context is the sweeper. */
rmp_status rmp_sweeper_next(void *context, void **bytes, size_t *size);
rmp_status rmp_sweeper_result(void *context, int rank, const void *bytes, size_t size);
/* Writes the reports of cells that are done and have none yet, at most `most` of them; poll (may be NULL) is called
 * between pictures and within FID. */
rmp_status rmp_sweeper_report(rmp_sweeper *s, int64_t most, const rmp_poll *poll) RMP_MUST_CHECK;
void rmp_sweeper_close(rmp_sweeper *s);
