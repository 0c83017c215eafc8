/* The text of a job file: libyaml gives positions and takes the overrides, libcyaml checks the structure against the
 * schema that the key table makes. Every value is kept as text here; io/job_keys.c parses them, because libcyaml's own
 * number parsing takes "20.5" for the integer 20 and "1.0x" for the number 1. Private to io/job*.c. */
#pragma once

#include "io/job_keys.h"

typedef struct rmp_job_yaml rmp_job_yaml;

/* Takes the text of the file `path` and applies the overrides. RMP_ERR_CONFIG names file and line, or the override. */
rmp_status rmp_job_yaml_open(const char *path, const char *text, size_t size, int overrides, char *const override[],
                             rmp_job_yaml **out) RMP_MUST_CHECK;
void rmp_job_yaml_close(rmp_job_yaml **yaml);

/* The value of a key as text, or NULL if the file does not give it; owned by `yaml`. */
const char *rmp_job_yaml_value(const rmp_job_yaml *yaml, int section, int key);

/* True if the value comes from the command line (whose paths are relative to the current folder). */
bool rmp_job_yaml_overridden(const rmp_job_yaml *yaml, int section, int key);

/* Where a key was given, for an error: "sr4.yaml:9: solver.T", "--set solver.T=0: solver.T", or "sr4.yaml: solver.T"
 * if it was not given. */
const char *rmp_job_yaml_where(const rmp_job_yaml *yaml, int section, int key, char *buffer, size_t size);
