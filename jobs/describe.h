/* A resolved job (YAML text) as programs and people want it: as a JSON object and as words. */
#pragma once

#include "core/status.h"

#include <jansson.h>

/* YAML to JSON: plain scalars become numbers, booleans or null where they look like one, quoted ones stay texts; the
 * order of keys is kept. *out is a new reference. RMP_ERR_FORMAT if the text is not YAML, or uses anchors. */
rmp_status rmp_describe_json(const char *yaml, json_t **out) RMP_MUST_CHECK;

/* "super-resolution x4", "inpainting 70% (random)", ...: what was undone; never NULL. */
void rmp_describe_task(const json_t *job, char *text, size_t size);
/* "gaussian noise 0.05 on [-1,1]; ve_rmp, moment, T 20 x 1; photo64.safetensors": how. */
void rmp_describe_method(const json_t *job, char *text, size_t size);

/* "operator.kind" of the job as a text, or `otherwise`. Borrowed from the job. */
const char *rmp_describe_word(const json_t *job, const char *key, const char *otherwise);
