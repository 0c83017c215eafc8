/* rmp model check and rmp model convert: files that people have, looked at and brought into the form of this program.
 */
#pragma once

#include "jobs/options.h"

/* Prints what a file is, where its description comes from, and every tensor that does not fit. RMP_ERR_FORMAT if one
 * does not. architecture: NULL if not given; settings: "KEY=VALUE". */
rmp_status rmp_model_check(const char *path, const char *architecture, const rmp_text_list *settings,
                           FILE *out) RMP_MUST_CHECK;

/* Writes the same network as .safetensors with its description in the metadata, atomically; half: see io/halve.h, not
 * for networks of metrics. linear: NULL, or the linear layers of LPIPS that go with the classifier `path`
 * (io/perceptual.h). Nothing is written unless the network can be made from it. */
rmp_status rmp_model_convert(const char *path, const char *linear, const char *output, const char *architecture,
                             const rmp_text_list *settings, bool half, FILE *out) RMP_MUST_CHECK;

/* The "arguments" of a description, one a line; sections indented. */
void rmp_model_print_arguments(const char *description, FILE *out);
