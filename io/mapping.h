/* A whole file in memory, read-only, without reading it: the system brings in what is looked at, and several processes
 * of a machine share it. */
#pragma once

#include "core/status.h"

typedef struct rmp_mapping {
    const unsigned char *bytes;
    size_t size;
} rmp_mapping;

/* RMP_ERR_IO if the system refuses, RMP_ERR_FORMAT if it is no regular file or empty; the path is in the message. */
rmp_status rmp_mapping_open(const char *path, rmp_mapping **out) RMP_MUST_CHECK;

/* Accepts NULL. Of this type so that rmp_weights_adopt takes it. */
void rmp_mapping_release(void *mapping);
