/* Manifests: a list of items in a file, .csv (RFC 4180, with a header) or .jsonl (a JSON object a line), with the
 * columns id, image, measurement and mask, of which image or measurement is needed. Read one item after another. */
#pragma once

#include "io/source.h"

/* True for names that end in .csv or .jsonl. */
bool rmp_manifest_name_matches(const char *path);

/* Calls `add` for every item, as rmp_source_scan does. RMP_ERR_CONFIG names file, line and column. */
rmp_status rmp_manifest_scan(const char *path, rmp_status (*add)(void *context, const rmp_item *item),
                             void *context) RMP_MUST_CHECK;
