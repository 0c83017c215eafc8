/* Shipped files: models, sample data, example jobs. They are found relative to the executable, so that the program runs
 * from any folder: PREFIX/bin/rmp -> PREFIX/share/rmp, BUILD/rmp -> the source tree's jobs/. */
#pragma once

#include "core/status.h"

/* Folder that holds models/, data/ and examples/; owned by the caller. RMP_ERR_CONFIG names the places tried. */
rmp_status rmp_paths_shipped(char **out) RMP_MUST_CHECK;

/* The file of a model: a path stays as it is; a bare word is models/NAME.safetensors among the shipped ones, and
 * RMP_ERR_CONFIG lists those there are. Owned by the caller. */
rmp_status rmp_paths_model(const char *model, char **out) RMP_MUST_CHECK;
