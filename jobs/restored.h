/* restored.safetensors of a ground-truth job: x (N, D) and, where they were estimated, the posterior standard
 * deviations std (N, D); float32, NaN for items that failed. */
#pragma once

#include "io/journal.h"

/* Streamed from the journal, one item at a time; std: with the deviations. */
rmp_status rmp_restored_write(rmp_journal *journal, const char *dir, int64_t items, int64_t d, bool std) RMP_MUST_CHECK;
