/* Names of items: safe as file names, text in any report, and different from each other. */
#pragma once

#include "core/status.h"

enum { RMP_ITEM_ID_MAX = 200 }; /* bytes: leaves room for extensions and the names of temporary files */

/* The ids given out so far, as 64-bit hashes: 16 to 48 bytes an item, whatever the names. Two different ids with one
 * hash (once in 10^7 jobs of a million items) count as the same. */
typedef struct rmp_item_ids rmp_item_ids;

rmp_status rmp_item_ids_create(rmp_item_ids **out) RMP_MUST_CHECK;
void rmp_item_ids_destroy(rmp_item_ids **ids);

/* The id of a wish, in a buffer of RMP_ITEM_ID_MAX + 1 bytes: separators, control characters, bytes that are not UTF-8
 * and a first dot become '_', long ones are cut, nothing becomes "item". If it is taken: with `suffix` -2, -3, ... is
 * added; without, *taken is set. */
rmp_status rmp_item_ids_add(rmp_item_ids *ids, const char *wish, bool suffix, char *id, bool *taken) RMP_MUST_CHECK;

/* The same for a file: from its name without folder and extension, always with a suffix. */
rmp_status rmp_item_ids_add_file(rmp_item_ids *ids, const char *path, char *id) RMP_MUST_CHECK;
