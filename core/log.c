#include "core/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, BOTTOM_MAX_BYTES = 512 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int current_level = -1; /* not read yet */
static char prefix[192];
static FILE *copy;
static char bottom[BOTTOM_MAX_BYTES];

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void rmp_log_identity(int rank, int size, const char *host)
{
    pthread_mutex_lock(&lock);
    snprintf(prefix, sizeof prefix, "[%d/%d %s] ", rank, size, host);
    pthread_mutex_unlock(&lock);
}

void rmp_log_set_level(rmp_log_level level) { __atomic_store_n(&current_level, (int)level, __ATOMIC_RELAXED); }

bool rmp_log_enabled(rmp_log_level level)
{
    int current = __atomic_load_n(&current_level, __ATOMIC_RELAXED);
    if (current < 0) {
        current = RMP_LEVEL_INFO;
        const char *name = getenv("RMP_LOG");
        for (int i = 0; name && i < 4; i++)
            if (strcmp(name, level_names[i]) == 0) current = i;
        __atomic_store_n(&current_level, current, __ATOMIC_RELAXED);
    }
    return (int)level <= current;
}

void rmp_log_copy(FILE *file)
{
    pthread_mutex_lock(&lock);
    copy = file;
    pthread_mutex_unlock(&lock);
}

/* stderr may be a pipe that is full or closed; nobody could be told, so failures are left alone. */
static void write_stderr(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDERR_FILENO, text, size);
        if (written < 0 && errno != EINTR) return;
        if (written > 0) {
            text += written;
            size -= (size_t)written;
        }
    }
}

/* Draws the message over the bottom line, and that again below. */
static void write_line(const char *line, size_t length)
{
    if (!bottom[0]) {
        write_stderr(line, length);
        return;
    }
    char all[LINE_MAX_BYTES + BOTTOM_MAX_BYTES + 16];
    int size = snprintf(all, sizeof all, "\r\033[K%s%s", line, bottom);
    write_stderr(all, (size_t)size);
}

void rmp_log(rmp_log_level level, const char *subsystem, const char *fmt, ...)
{
    if (!rmp_log_enabled(level)) return;
    char line[LINE_MAX_BYTES];
    pthread_mutex_lock(&lock);
    int head = snprintf(line, sizeof line, "%s%s %s: ", prefix, level_names[level], subsystem);
    size_t room = sizeof line - (size_t)head - 1; /* one for the newline */
    va_list args;
    va_start(args, fmt);
    int wanted = vsnprintf(line + head, room, fmt, args);
    va_end(args);
    size_t length = (size_t)head;
    if (wanted > 0) length += (size_t)wanted < room ? (size_t)wanted : room - 1;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) line[i] = '?';
    line[length++] = '\n';
    line[length] = '\0';
    write_line(line, length);

    if (copy && (fwrite(line, 1, length, copy) != length || fflush(copy) != 0)) {
        copy = NULL;
        int size = snprintf(line, sizeof line, "%swarn log: the copy of the log cannot be written and ends here: %s\n",
                            prefix, strerror(errno));
        write_line(line, (size_t)size);
    }
    pthread_mutex_unlock(&lock);
}

void rmp_log_bottom_line(const char *text)
{
    pthread_mutex_lock(&lock);
    char all[BOTTOM_MAX_BYTES + 16];
    if (text || bottom[0]) {
        snprintf(bottom, sizeof bottom, "%s", text ? text : "");
        int size = snprintf(all, sizeof all, "\r\033[K%s", bottom);
        write_stderr(all, (size_t)size);
    }
    pthread_mutex_unlock(&lock);
}
