/* What long work calls now and then, so that whoever waits for this thread is served. It knows nothing of the work. */
#pragma once

#include "core/status.h"

#include <stddef.h>

typedef struct rmp_poll {
    rmp_status (*call)(void *context); /* cheap; a status other than RMP_OK ends the work with it */
    void *context;
} rmp_poll;

/* poll may be NULL: nobody waits. */
static inline rmp_status rmp_poll_now(const rmp_poll *poll)
{
    return poll != NULL ? poll->call(poll->context) : RMP_OK;
}
