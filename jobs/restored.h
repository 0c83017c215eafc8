/* restored.safetensors of a ground-truth job: x (N, D), float32, NaN for items that failed. */
#pragma once

#include "io/journal.h"

/* Streamed from the journal, one item at a time. */
rmp_status rmp_restored_write(rmp_journal *journal, const char *dir, int64_t items, int64_t d) RMP_MUST_CHECK;
