/* The items of a job before the journal has them: how many, how large. */
#pragma once

#include "io/job.h"
#include "io/journal.h"

typedef struct rmp_inventory {
    int64_t items;
    int64_t unreadable; /* items whose size is not known: they become failed rows */
    /* Of the largest image by area that the operator takes (of all if it takes none); 0 if nothing can be read. */
    int64_t h, w;
    int32_t *size; /* (items, 2) in item order; owned; NULL if taken from a journal */
} rmp_inventory;

/* Reads the list of items and the headers of their images. `tensors`: items of a ground-truth job of D numbers each
 * instead (0: images). */
rmp_status rmp_inventory_scan(const rmp_job *job, int64_t tensors, int64_t d, rmp_inventory *out) RMP_MUST_CHECK;
/* The same from a journal that has its items. */
rmp_status rmp_inventory_recall(const rmp_job *job, rmp_journal *journal, rmp_inventory *out) RMP_MUST_CHECK;
/* Writes the items into a journal that has none, with the sizes found before. */
rmp_status rmp_inventory_record(const rmp_job *job, const rmp_inventory *inventory,
                                rmp_journal *journal) RMP_MUST_CHECK;
void rmp_inventory_free(rmp_inventory *inventory);
