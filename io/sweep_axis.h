/* Axes of a sweep while it is read: from YAML to checked, normalised changes, then names. Private to io/sweep*.c. */
#pragma once

#include "io/sweep.h"

typedef struct rmp_sweep_place { /* where a value stands */
    const char *origin;          /* for messages */
    const char *folder;          /* where relative paths start */
} rmp_sweep_place;

/* Section and key of "solver.T"; NULL if there is no such key. */
const rmp_job_key *rmp_sweep_key(const char *path, const rmp_job_section **section);

/* Adds "key=value" to a point; the value is accepted by the key and written in its one form, paths absolute. */
rmp_status rmp_sweep_add_change(rmp_sweep_point *point, const char *key, yaml_document_t *document, yaml_node_t *value,
                                const rmp_sweep_place *place) RMP_MUST_CHECK;

/* Room for `points` of them, all empty, in an axis that is zero. */
rmp_status rmp_sweep_axis_create(rmp_sweep_axis *axis, const char *name, int points) RMP_MUST_CHECK;
void rmp_sweep_axis_free(rmp_sweep_axis *axis);

/* True if each axis that an exception speaks of has points which it names. */
bool rmp_sweep_exception_matters(const rmp_sweep *sweep, int exception);

/* When all axes are there: labels of values, parts of names, numbers, cells; RMP_ERR_CONFIG if two values of an axis
 * are the same, two axes set one key or no cell is left. */
rmp_status rmp_sweep_finish_axes(rmp_sweep *sweep) RMP_MUST_CHECK;
