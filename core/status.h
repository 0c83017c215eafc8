/* Errors: every fallible function of this program returns an rmp_status. The first failure records
 * its code, its place and a sentence for the user in a trail that belongs to the thread; each level
 * on the way up may add what it was doing. The program that a person started prints the trail. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum rmp_status {
    RMP_OK = 0,
    RMP_ERR_ARGUMENT, /* a caller's mistake: wrong shape, wrong device, NULL */
    RMP_ERR_CONFIG,   /* a user's mistake: job file, command line (exit 2) */
    RMP_ERR_FORMAT,   /* a file that is not what it should be (model, image, manifest) */
    RMP_ERR_IO,       /* the operating system refused: open, read, write, fsync, rename */
    RMP_ERR_MEMORY,   /* not enough memory, or more than was allowed */
    RMP_ERR_DEVICE,   /* a device or its library failed */
    RMP_ERR_COMM,     /* MPI or NCCL failed, or a peer did not answer in time */
    RMP_ERR_DIVERGED, /* a solver's state became non-finite or exploded */
    RMP_ERR_BUSY,     /* another job holds this output folder */
    RMP_ERR_INTERNAL  /* cannot happen */
} rmp_status;

#define RMP_MUST_CHECK        __attribute__((warn_unused_result))
#define RMP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Name of a code ("configuration", "memory", ...). Static storage. */
const char *rmp_status_name(rmp_status code);

/* Starts a new trail with one sentence; returns `code`, so that it can be returned in one line. */
rmp_status rmp_fail(rmp_status code, const char *file, int line, const char *fmt, ...) RMP_PRINTF(4, 5);

/* Adds what the caller was doing in front of the sentence ("photos/a.png: truncated"). Returns `code`. */
rmp_status rmp_fail_context(rmp_status code, const char *fmt, ...) RMP_PRINTF(2, 3);

/* The sentence of this thread's last failure ("" if none). Valid until the next failure or clear. */
const char *rmp_fail_message(void);

/* "core/graph.c:120" of this thread's last failure. */
const char *rmp_fail_place(void);

void rmp_fail_clear(void);

#ifdef __clang_analyzer__ /* so that it knows that a failure is never RMP_OK */
#define RMP_FAIL(code, ...) ((void)rmp_fail((code), __FILE__, __LINE__, __VA_ARGS__), (code))
#else
#define RMP_FAIL(code, ...) rmp_fail((code), __FILE__, __LINE__, __VA_ARGS__)
#endif

#define RMP_TRY(call)                                                                                                  \
    do {                                                                                                               \
        rmp_status rmp_try_status_ = (call);                                                                           \
        if (rmp_try_status_ != RMP_OK) return rmp_try_status_;                                                         \
    } while (0)

/* Needs a variable `rmp_status status` in scope, which the code at `label` returns. */
#define RMP_TRY_GOTO(call, label)                                                                                      \
    do {                                                                                                               \
        status = (call);                                                                                               \
        if (status != RMP_OK) goto label;                                                                              \
    } while (0)

/* What a user or a file can get wrong. Always on. */
#define RMP_CHECK(cond, code, ...)                                                                                     \
    do {                                                                                                               \
        if (!(cond)) return RMP_FAIL((code), __VA_ARGS__);                                                             \
    } while (0)

#define RMP_CHECK_GOTO(cond, code, label, ...)                                                                         \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            status = RMP_FAIL((code), __VA_ARGS__);                                                                    \
            goto label;                                                                                                \
        }                                                                                                              \
    } while (0)
