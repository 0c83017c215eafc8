/* The lock on an output folder: one job at a time writes there. */
#pragma once

#include "core/status.h"

/* Takes DIR/.lock without waiting; *lock is a descriptor for rmp_folder_unlock, -1 on failure. RMP_ERR_BUSY if a living
 * process has it (the message says which). It ends with the process, so that a killed job leaves nothing to clean up.
 */
rmp_status rmp_folder_lock(const char *dir, int *lock) RMP_MUST_CHECK;
/* Does nothing for -1. */
void rmp_folder_unlock(int *lock);
