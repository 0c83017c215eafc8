#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[2048];
static _Thread_local char place[128];

const char *rmp_status_name(rmp_status code)
{
    switch (code) {
    case RMP_OK:
        return "ok";
    case RMP_ERR_ARGUMENT:
        return "argument";
    case RMP_ERR_CONFIG:
        return "configuration";
    case RMP_ERR_FORMAT:
        return "format";
    case RMP_ERR_IO:
        return "input/output";
    case RMP_ERR_MEMORY:
        return "memory";
    case RMP_ERR_DEVICE:
        return "device";
    case RMP_ERR_COMM:
        return "communication";
    case RMP_ERR_DIVERGED:
        return "diverged";
    case RMP_ERR_BUSY:
        return "busy";
    case RMP_ERR_INTERNAL:
        return "internal";
    }
    return "unknown";
}

rmp_status rmp_fail(rmp_status code, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    snprintf(place, sizeof place, "%s:%d", file, line);
    return code;
}

rmp_status rmp_fail_context(rmp_status code, const char *fmt, ...)
{
    char context[512];
    char joined[sizeof message];
    va_list args;
    va_start(args, fmt);
    vsnprintf(context, sizeof context, fmt, args);
    va_end(args);
    snprintf(joined, sizeof joined, "%.*s: %.*s", (int)sizeof context - 1, context,
             (int)(sizeof joined - sizeof context - 3), message);
    memcpy(message, joined, sizeof message);
    return code;
}

const char *rmp_fail_message(void) { return message; }

const char *rmp_fail_place(void) { return place; }

void rmp_fail_clear(void)
{
    message[0] = '\0';
    place[0] = '\0';
}
