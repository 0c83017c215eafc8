/* How many images a rank works on at once. */
#pragma once

#include "jobs/inventory.h"
#include "jobs/task.h"
#include "mpi/world.h"

/* Bytes that this rank may take: the job's, or four fifths of what is available, shared among the ranks of its
 * machine. */
rmp_status rmp_budget_bytes(const rmp_job *job, const rmp_world *world, int64_t *out) RMP_MUST_CHECK;

/* Collective. The batch: the job's, or - where that is auto - the largest up to 8 that fits into the memory of every
 * rank, leaves enough chunks for many ranks and is still worth it (small images). It depends on the items and the
 * memory, never on the number of ranks: weights that ranks of a machine hold together count in full, unless not even
 * one image would fit then. *memory: what it takes on this rank. RMP_ERR_MEMORY if it does not fit on some rank. */
rmp_status rmp_budget_batch(rmp_task *task, rmp_world *world, const rmp_inventory *inventory, int64_t budget,
                            int64_t *batch, rmp_task_memory *memory) RMP_MUST_CHECK;

/* "1.5 GiB" in a buffer of the caller. */
const char *rmp_bytes_text(int64_t bytes, char *buffer, size_t size);
