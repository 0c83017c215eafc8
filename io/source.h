/* Where the items of a job come from: a folder, a glob, a manifest (.csv or .jsonl with id, image, optional measurement
 * and mask), read one after another: a million items take the names of their files (folder and glob: about 64 bytes
 * each) and 48 bytes for each id at most, nothing else. */
#pragma once

#include "core/status.h"

typedef struct rmp_item {
    int64_t index;     /* 0, 1, ... in item order */
    char *id;          /* unique, safe as a file name; owned */
    char *image;       /* path of the ground truth, or NULL; owned */
    char *measurement; /* path, or NULL; owned */
    char *mask;        /* path, or NULL; owned */
} rmp_item;

void rmp_item_free(rmp_item *item);

/* Calls `add` for every item in order (files by name in byte order; manifest in its own order). `input` is a folder
 * (its own images, not those of folders in it; hidden files are left out), one image, a manifest or a glob. Paths in a
 * manifest are relative to it. Ids: from the manifest, or the file name without extension; made safe (io/item_id.h);
 * those from file names are made unique with a suffix, one that a manifest gives twice is an error. A folder whose name
 * ends like an image is an item too (it will fail as one). RMP_ERR_CONFIG if there is nothing or the manifest is wrong
 * (file and line named). `add` receives borrowed strings; its failure ends the scan and is returned. */
rmp_status rmp_source_scan(const char *input, rmp_status (*add)(void *context, const rmp_item *item),
                           void *context) RMP_MUST_CHECK;
