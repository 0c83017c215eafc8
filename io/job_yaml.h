/* The text of a job file: libyaml gives positions and takes the overrides, libcyaml checks the structure against the
 * schema that the key table makes. Every value is kept as text here; io/job_keys.c parses them, because libcyaml's own
 * number parsing takes "20.5" for the integer 20 and "1.0x" for the number 1. Private to io/job*.c. */
#pragma once

#include "io/job_keys.h"

#include <yaml.h>

typedef struct rmp_job_yaml rmp_job_yaml;

typedef struct rmp_job_change { /* by a cell of a sweep */
    char *text;                 /* "key.sub=value", the value as YAML; null removes the key */
    const char *origin;         /* where the sweep says so, for messages: "t.yaml:14: sweep.task.sr4" */
} rmp_job_change;

typedef struct rmp_job_input { /* all borrowed */
    const char *path, *text;   /* of the file */
    size_t size;
    int overrides;
    char *const *override; /* "key.sub=value" of the command line; they go over the file */
    bool sweep;            /* the file may have a section `sweep`, which is skipped */
    int changes;           /* they go over everything */
    const rmp_job_change *change;
} rmp_job_input;

/* Reads, checks and completes a job: io/job.h. */
rmp_status rmp_job_make(const rmp_job_input *input, rmp_job **out) RMP_MUST_CHECK;
/* The text of a job file; owned by the caller. */
rmp_status rmp_job_load(const char *path, char **text, size_t *size) RMP_MUST_CHECK;
/* The real path of the folder that a file is in; owned by the caller. */
rmp_status rmp_job_folder(const char *path, char **out) RMP_MUST_CHECK;

/* Takes the text and applies overrides and changes. RMP_ERR_CONFIG names file and line, the override, or the origin of
 * the change. The input is used until the close. */
rmp_status rmp_job_yaml_open(const rmp_job_input *input, rmp_job_yaml **out) RMP_MUST_CHECK;
void rmp_job_yaml_close(rmp_job_yaml **yaml);

/* The value of a key as text, or NULL if the file does not give it; owned by `yaml`. */
const char *rmp_job_yaml_value(const rmp_job_yaml *yaml, int section, int key);

/* True if the value comes from the command line (whose paths are relative to the current folder). */
bool rmp_job_yaml_overridden(const rmp_job_yaml *yaml, int section, int key);

/* True if a change sets or removes the key. */
bool rmp_job_yaml_changed(const rmp_job_yaml *yaml, int section, int key);

/* Where a key was given, for an error: "sr4.yaml:9: solver.T", "--set solver.T=0: solver.T", or "sr4.yaml: solver.T"
 * if it was not given. */
const char *rmp_job_yaml_where(const rmp_job_yaml *yaml, int section, int key, char *buffer, size_t size);

/* The one document of a text; RMP_ERR_CONFIG names `name` and the line. */
rmp_status rmp_job_yaml_document(const char *text, size_t size, const char *name, yaml_document_t *out) RMP_MUST_CHECK;
/* NULL unless it is a scalar. */
const char *rmp_job_yaml_scalar(const yaml_node_t *node);
/* A plain null or ~. */
bool rmp_job_yaml_is_null(const yaml_node_t *node);
