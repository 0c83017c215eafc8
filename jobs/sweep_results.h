/* What the cells of a sweep came to: one row a cell, one column a figure, from the journals of their folders. Tables,
 * charts and the report of a sweep are made of it. */
#pragma once

#include "io/sweep.h"
#include "jobs/summary.h"

#include <stdio.h>

enum { RMP_SWEEP_COLUMNS = RMP_FIGURES + 1 };

typedef struct rmp_sweep_column {
    char name[32];
    int better; /* 1: larger is better, -1: smaller, 0: neither */
    int digits; /* after the point, for people */
} rmp_sweep_column;

typedef struct rmp_sweep_row { /* of a cell; strings owned */
    char *name, *dir;
    int place[RMP_SWEEP_AXES];
    int group; /* cells of one group restore the same, and may be compared */
    rmp_counts counts;
    double value[RMP_SWEEP_COLUMNS]; /* means over its items, NaN where they do not apply */
    double seconds;                  /* of an item */
    bool comparable; /* it has results of as many items as any of its group: means of fewer would be of easier ones */
} rmp_sweep_row;

typedef struct rmp_sweep_extremes { /* of a column among the cells of a group */
    int64_t best;                   /* cell; -1: none, or the column knows no better */
    double worst;
} rmp_sweep_extremes;

typedef struct rmp_sweep_results {
    const rmp_sweep *sweep; /* borrowed */
    int64_t cells;
    rmp_sweep_row *row; /* (cells) */
    int columns;        /* those that apply to some cell; the last is `cost` */
    rmp_sweep_column column[RMP_SWEEP_COLUMNS];
    int main; /* the figure that settings are chosen by; -1: nothing is known yet */
    int cost; /* evaluations and gradients of the network together; -1 like `main` */
    int groups;
    rmp_sweep_extremes (*extremes)[RMP_SWEEP_COLUMNS]; /* (groups) */
} rmp_sweep_results;

/* Reads the journals of all cells; one that has none yet has no items. `beat` (may be NULL) is called now and then. */
rmp_status rmp_sweep_results_collect(const rmp_sweep *sweep, rmp_status (*beat)(void *context), void *context,
                                     rmp_sweep_results **out) RMP_MUST_CHECK;
void rmp_sweep_results_free(rmp_sweep_results **results);

/* Whether the means of a cell leave items out, those that failed: they are of other images than those of a complete
 * cell. Tables mark it. */
bool rmp_sweep_is_partial(const rmp_sweep_row *row);

/* The best cell of a group by a column, -1 if there is none or the column knows no better. */
int64_t rmp_sweep_best(const rmp_sweep_results *results, int group, int column);
/* True if a value is as good as the best of the cell's group and the group has worse ones. */
bool rmp_sweep_is_best(const rmp_sweep_results *results, int64_t cell, int column);
/* "operator sr4, noise.sigma 0.1": what the cells of a group restore; empty if there is one group. */
void rmp_sweep_group_text(const rmp_sweep_results *results, int group, char *text, size_t size);

/* sweep.csv (no times: the same bytes on any number of ranks) and sweep_timings.csv in DIR. */
rmp_status rmp_sweep_write_csv(const rmp_sweep_results *results) RMP_MUST_CHECK;
/* summary.json; facts as for rmp_summary_write. */
rmp_status rmp_sweep_write_json(const rmp_sweep_results *results, const rmp_run_facts *facts) RMP_MUST_CHECK;
/* report.html. */
rmp_status rmp_sweep_write_html(const rmp_sweep_results *results) RMP_MUST_CHECK;
/* The table for people, bounded: the best cells are always in it. */
rmp_status rmp_sweep_print(FILE *out, const rmp_sweep_results *results) RMP_MUST_CHECK;
