#include "jobs/progress.h"

#include "core/log.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const double BAR_SECONDS = 0.1, LINE_SECONDS = 60;
enum { BAR_CELLS = 24, BAR_LEAST = 8, LINE_SIZE = 256, WIDTH_DEFAULT = 80 };

struct rmp_progress {
    rmp_progress_state state;
    bool terminal;
    double start, next;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int percent(const rmp_progress_state *state)
{
    /* Rounded down: 100% means all. */
    return state->items > 0 ? (int)(100.0 * (double)state->done / (double)state->items) : 100;
}

/* Items a second of this run; 0: not known yet. */
static double rate(const rmp_progress_state *state)
{
    int64_t done = state->done - state->before;
    return done > 0 && state->elapsed > 0 ? (double)done / state->elapsed : 0;
}

static const char *duration(double seconds, char text[32])
{
    if (seconds > 99999 * 3600.0) return "ages"; /* more than a clock should show */
    int64_t s = (int64_t)(seconds + 0.5);
    if (s < 3600)
        snprintf(text, 32, "%" PRId64 ":%02d", s / 60, (int)(s % 60));
    else
        snprintf(text, 32, "%" PRId64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
    return text;
}

/* "2.1 items/s" or, for slow ones, "40 s/item"; empty while not known. */
static void pace(const rmp_progress_state *state, const char *before, char *text, size_t size)
{
    double items = rate(state);
    char eta[32];
    text[0] = '\0';
    if (items <= 0) return;
    double left = state->work_done > 0 ? fmax(state->work_left, 0) * state->elapsed / state->work_done
                                       : (double)(state->items - state->done) / items;
    int at = items >= 1 ? snprintf(text, size, "%s%.1f items/s", before, items)
                        : snprintf(text, size, "%s%.*f s/item", before, items > 0.1 ? 1 : 0, 1 / items);
    if (at > 0 && (size_t)at < size && state->done < state->items)
        snprintf(text + at, size - (size_t)at, "%sETA %s", before, duration(left, eta));
}

void rmp_progress_bar(const rmp_progress_state *state, int width, char *text, size_t size)
{
    char numbers[LINE_SIZE], how_fast[96], failures[48] = "";
    pace(state, "  ", how_fast, sizeof how_fast);
    if (state->failed > 0) snprintf(failures, sizeof failures, "  %" PRId64 " failed", state->failed);
    snprintf(numbers, sizeof numbers, "%3d%% %" PRId64 "/%" PRId64 "%s%s", percent(state), state->done, state->items,
             how_fast, failures);
    int room = width - (int)strlen(numbers) - 3;
    int cells = room < BAR_CELLS ? room : BAR_CELLS;
    char bar[BAR_CELLS + 4] = "";
    if (cells >= BAR_LEAST) {
        int full = state->items > 0 ? (int)((double)cells * (double)state->done / (double)state->items) : cells;
        bar[0] = '[';
        for (int i = 0; i < cells; i++)
            bar[1 + i] = i < full ? '#' : '-';
        memcpy(bar + 1 + cells, "] ", 3);
    }
    snprintf(text, size, "%s%s", bar, numbers);
    if (width >= 0 && strlen(text) > (size_t)width) text[width] = '\0';
}

void rmp_progress_line(const rmp_progress_state *state, char *text, size_t size)
{
    char how_fast[96], failures[48] = "";
    pace(state, ", ", how_fast, sizeof how_fast);
    if (state->failed > 0) snprintf(failures, sizeof failures, ", %" PRId64 " failed", state->failed);
    snprintf(text, size, "%" PRId64 " of %" PRId64 " items (%d%%)%s%s", state->done, state->items, percent(state),
             how_fast, failures);
}

static void draw(rmp_progress *progress)
{
    char text[LINE_SIZE];
    if (!progress->terminal) {
        rmp_progress_line(&progress->state, text, sizeof text);
        RMP_LOG_INFO("progress", "%s", text);
        return;
    }
    struct winsize window;
    int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : WIDTH_DEFAULT;
    rmp_progress_bar(&progress->state, width - 1, text, sizeof text); /* the last column would wrap */
    rmp_log_bottom_line(text);
}

rmp_status rmp_progress_start(int64_t items, int64_t done, int64_t failed, rmp_progress **out)
{
    *out = malloc(sizeof **out);
    RMP_CHECK(*out, RMP_ERR_MEMORY, "no memory for the progress");
    **out = (rmp_progress){.state = {.items = items, .before = done, .done = done, .failed = failed},
                           .terminal = isatty(STDERR_FILENO) != 0,
                           .start = now()};
    (*out)->next = (*out)->start + ((*out)->terminal ? 0 : LINE_SECONDS);
    return RMP_OK;
}

void rmp_progress_update(rmp_progress *progress, int64_t done, int64_t failed)
{
    double time = now();
    progress->state.done = done;
    progress->state.failed = failed;
    if (time < progress->next) return;
    progress->state.elapsed = time - progress->start;
    progress->next = time + (progress->terminal ? BAR_SECONDS : LINE_SECONDS);
    draw(progress);
}

void rmp_progress_weigh(rmp_progress *progress, double work_done, double work_left)
{
    progress->state.work_done = work_done;
    progress->state.work_left = work_left;
}

void rmp_progress_stop(rmp_progress **progress)
{
    if (!progress || !*progress) return;
    rmp_progress *old = *progress;
    *progress = NULL;
    if (old->terminal) rmp_log_bottom_line(NULL);
    old->terminal = false;
    old->state.elapsed = now() - old->start;
    draw(old);
    free(old);
}
