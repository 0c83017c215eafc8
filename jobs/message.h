/* What travels through the work queue of a job: chunks of items to the ranks, finished rows and files back. Bytes of
 * one machine type; every length is checked when they are read. */
#pragma once

#include "io/journal.h"

/* Where files go below the output folder. Names of items hold no '/': what stands in another folder cannot meet them.
 */
#define RMP_FOLDER_IMAGES       "images"
#define RMP_FOLDER_UNCERTAINTY  "uncertainty"
#define RMP_FOLDER_MEASUREMENTS "measurements"
#define RMP_FOLDER_MASKS        "measurements/masks"
#define RMP_FOLDER_KERNELS      "measurements/kernels"

typedef struct rmp_result_file {
    char *name;  /* relative to the output folder, in one of these: "images/a.png"; owned */
    void *bytes; /* owned */
    size_t size;
} rmp_result_file;

typedef struct rmp_result {
    bool interrupted; /* the rank was told to stop: nothing in here is finished */
    int64_t cell;     /* of a sweep that the chunk belongs to; 0 for a job by itself */
    int64_t count, files;
    rmp_row *row;          /* (count) owned with what they point to, tensors too */
    rmp_result_file *file; /* (files) owned */
} rmp_result;

/* Room for `count` rows and `files` files; all zero. */
rmp_status rmp_result_create(int64_t count, int64_t files, rmp_result *out) RMP_MUST_CHECK;
void rmp_result_free(rmp_result *result);

/* *bytes is owned by the caller. */
rmp_status rmp_result_pack(const rmp_result *result, void **bytes, size_t *size) RMP_MUST_CHECK;
rmp_status rmp_result_unpack(const void *bytes, size_t size, rmp_result *out) RMP_MUST_CHECK;

/* Items of one chunk of a cell. unpack: *items (count) is owned by the caller; rmp_items_free. */
rmp_status rmp_items_pack(const rmp_item items[], int64_t count, int64_t cell, void **bytes,
                          size_t *size) RMP_MUST_CHECK;
rmp_status rmp_items_unpack(const void *bytes, size_t size, rmp_item **items, int64_t *count,
                            int64_t *cell) RMP_MUST_CHECK;
void rmp_items_free(rmp_item *items, int64_t count);
