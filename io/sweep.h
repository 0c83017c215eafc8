/* Sweeps: a job file with a section `sweep` of axes, each a list of values of one key or of named variants that set
 * several keys. Every combination is a cell, a complete job; the last axis varies fastest. `except` lists combinations
 * of variants that are no cells. Reading names file, line and axis in every error. */
#pragma once

#include "io/job_yaml.h"

enum { RMP_SWEEP_AXES = 8, RMP_SWEEP_CELLS = 10000, RMP_SWEEP_NAME = 200 /* bytes of the name of a cell */ };
enum { RMP_SWEEP_EXCEPTIONS = 64 };

typedef struct rmp_sweep_point { /* one place on an axis; strings owned */
    char *label;                 /* the value, or the name of the variant */
    char *part;                  /* what it adds to the names of cells: "T=10", "sr4" */
    double number;               /* the value, NaN if it is none */
    char *origin;                /* "t.yaml:14: sweep.task.sr4" */
    int changes;
    rmp_job_change *change;
    uint64_t excepted; /* bit e: exception e names it */
} rmp_sweep_point;

typedef struct rmp_sweep_axis {
    char *name;   /* the key, or what the user called it; owned */
    bool named;   /* of variants */
    bool numeric; /* all values are numbers */
    bool problem; /* it changes what is restored (input, operator, noise, seed), not only how */
    int points;
    rmp_sweep_point *point;
    uint64_t excepted; /* bit e: exception e speaks of this axis; a cell is left out where all such axes are at points
                          that it names */
} rmp_sweep_axis;

typedef struct rmp_sweep {
    char *path, *text; /* of the file; owned */
    size_t size;
    int overrides;
    char **override; /* owned copies */
    int axes;
    rmp_sweep_axis axis[RMP_SWEEP_AXES];
    int exceptions;
    int64_t cells;
    int *kept;  /* (cells) which of all combinations they are; NULL: all of them; owned */
    char *base; /* the keys that the file and the overrides give, paths absolute, as YAML; owned */
    char *dir;  /* output.dir, absolute; owned */
} rmp_sweep;

/* True if the text has a section `sweep`. */
bool rmp_sweep_is_one(const char *text, size_t size);

/* overrides: of --set, over all cells; grids: "axis=value,value" of --grid: another axis over that key, other values of
 * the axis that has that name, or a choice among its variants. A file without a section `sweep` needs grids. */
rmp_status rmp_sweep_read(const char *path, int overrides, char *const override[], int grids, char *const grid[],
                          rmp_sweep **out) RMP_MUST_CHECK;
void rmp_sweep_free(rmp_sweep **sweep);

/* The sweep as YAML with absolute paths, whose cells are the same and have the same names; owned by the caller. */
rmp_status rmp_sweep_text(const rmp_sweep *sweep, char **out) RMP_MUST_CHECK;

/* The places of a cell on the axes. */
void rmp_sweep_places(const rmp_sweep *sweep, int64_t cell, int place[RMP_SWEEP_AXES]);
/* The cell at these places; -1 if it is left out. */
int64_t rmp_sweep_cell_at(const rmp_sweep *sweep, const int place[RMP_SWEEP_AXES]);
/* "T=10.sr4": safe as the name of a folder and different for every cell. */
void rmp_sweep_name(const rmp_sweep *sweep, int64_t cell, char name[RMP_SWEEP_NAME + 1]);

/* The job of a cell; its output.dir is cells/NAME in that of the sweep. Keys of the file that mean nothing for kinds
 * which the cell itself chooses are left out. RMP_ERR_CONFIG names the cell. */
rmp_status rmp_sweep_job(const rmp_sweep *sweep, int64_t cell, rmp_job **out) RMP_MUST_CHECK;
