/* What summary.json of a job and that of a sweep say of the run alike. NULL without memory: the setters of jansson take
 * it for a value that could not be made and return -1, and so pass a lack of memory on. */
#pragma once

#include "jobs/summary.h"

#include <jansson.h>

/* null where the value is not finite. */
json_t *rmp_run_real(double value);
/* Bytes that are not UTF-8 are replaced. */
json_t *rmp_run_text(const char *text);

/* The summary.json of an earlier run, or NULL: it is only asked for what cannot be known any more. most: bytes. */
json_t *rmp_run_former(const char *dir, size_t most);
/* facts NULL: what `before`, a summary.json or NULL, says, else null. */
json_t *rmp_run_hardware(const rmp_run_facts *facts, const json_t *before);
json_t *rmp_run_last(const rmp_run_facts *facts, const json_t *before);
