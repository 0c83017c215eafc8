/* Log: one line an event to stderr, `[rank/size host] level subsystem: message`, for the person who watches a job.
 * Results never go here. The level comes from RMP_LOG (error, warn, info, debug; default info) at the first use. Every
 * line is one write, so that the lines of several ranks do not mix. Any thread may log. */
#pragma once

#include "core/status.h"

#include <stdio.h>

typedef enum rmp_log_level { RMP_LEVEL_ERROR, RMP_LEVEL_WARN, RMP_LEVEL_INFO, RMP_LEVEL_DEBUG } rmp_log_level;

/* Who speaks; until it is called lines have no prefix in brackets. The name is copied. */
void rmp_log_identity(int rank, int size, const char *host);

/* Overrides RMP_LOG. */
void rmp_log_set_level(rmp_log_level level);
bool rmp_log_enabled(rmp_log_level level);

/* A second place for every line (log.txt on rank 0), flushed line by line; borrowed until replaced; NULL: none. A copy
 * that cannot be written is given up with one warning on stderr: a full disk must not hide the reason on the screen. */
void rmp_log_copy(FILE *file);

/* Logs a sentence; control characters (a file name may hold any) become '?'. */
void rmp_log(rmp_log_level level, const char *subsystem, const char *fmt, ...) RMP_PRINTF(3, 4);

/* A line that stays at the bottom of a terminal (a progress bar): drawn at once and again below every later message;
 * NULL removes it. Never copied to the file. Only for a stderr that is a terminal. */
void rmp_log_bottom_line(const char *text);

/* The arguments are evaluated only if the level is on. */
#define RMP_LOG_AT(level, subsystem, ...)                                                                              \
    do {                                                                                                               \
        if (rmp_log_enabled(level)) rmp_log((level), (subsystem), __VA_ARGS__);                                        \
    } while (0)
#define RMP_LOG_ERROR(subsystem, ...) RMP_LOG_AT(RMP_LEVEL_ERROR, subsystem, __VA_ARGS__)
#define RMP_LOG_WARN(subsystem, ...)  RMP_LOG_AT(RMP_LEVEL_WARN, subsystem, __VA_ARGS__)
#define RMP_LOG_INFO(subsystem, ...)  RMP_LOG_AT(RMP_LEVEL_INFO, subsystem, __VA_ARGS__)
#define RMP_LOG_DEBUG(subsystem, ...) RMP_LOG_AT(RMP_LEVEL_DEBUG, subsystem, __VA_ARGS__)
