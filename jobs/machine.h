/* What the machine has: memory and processors that this process may use. */
#pragma once

#include "core/status.h"

typedef struct rmp_machine {
    int64_t memory;    /* bytes installed, or the limit of the control group if that is smaller */
    int64_t available; /* bytes that can be taken now without swapping */
    int processors;    /* that this process may run on */
    char model[96];    /* of the processor; "unknown" if the system does not say */
} rmp_machine;

/* From /proc and /sys/fs/cgroup. RMP_ERR_IO if even /proc/meminfo cannot be read. */
rmp_status rmp_machine_look(rmp_machine *out) RMP_MUST_CHECK;
