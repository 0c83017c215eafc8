/* The items of a job before the journal has them: how many, how large. */
#pragma once

#include "io/journal.h"
#include "jobs/task.h"

typedef struct rmp_inventory {
    int64_t items;
    int64_t unreadable; /* items whose size is not known: they become failed rows */
    /* Of the image that needs the most memory (by its area, padded for the network) among those that the operator
     * takes, or among all if it takes none; 0 if nothing can be read. */
    int64_t h, w;
    int32_t *size; /* (items, 2) in item order; owned; NULL if taken from a journal */
} rmp_inventory;

/* RMP_ERR_CONFIG if the folder of input.images is one that the job writes pictures to: they would replace the input, or
 * be inputs of its next start. */
rmp_status rmp_inventory_check_apart(const rmp_job *job) RMP_MUST_CHECK;
/* Reads the list of items and the headers of their images; of a ground-truth job each item is 1 x D. */
rmp_status rmp_inventory_scan(const rmp_task *task, rmp_inventory *out) RMP_MUST_CHECK;
/* The same from a journal that has its items. */
rmp_status rmp_inventory_recall(const rmp_task *task, rmp_journal *journal, rmp_inventory *out) RMP_MUST_CHECK;
/* Writes the items into a journal that has none, with the sizes found before. */
rmp_status rmp_inventory_record(const rmp_job *job, const rmp_inventory *inventory,
                                rmp_journal *journal) RMP_MUST_CHECK;
void rmp_inventory_free(rmp_inventory *inventory);
