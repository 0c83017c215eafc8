/* A folder for the files of one test, removed at its end. */
#pragma once

#include "core/status.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch[64];

static inline void scratch_remove(const char *path)
{
    DIR *dir = opendir(path); /* nothing here makes links to folders */
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char *inner = malloc(strlen(path) + strlen(entry->d_name) + 2);
        cr_assert(inner);
        sprintf(inner, "%s/%s", path, entry->d_name);
        scratch_remove(inner);
        free(inner);
    }
    if (dir) closedir(dir);
    cr_assert(remove(path) == 0, "%s is left", path);
}

static inline void scratch_setup(void)
{
    /* In memory where that is possible: these tests write thousands of small files. */
    snprintf(scratch, sizeof scratch, "%s/rmp_test_XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    cr_assert(mkdtemp(scratch));
}

static inline void scratch_teardown(void) { scratch_remove(scratch); }

/* SCRATCH/name in one of a few static buffers. */
static inline const char *scratch_path(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

static inline void scratch_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    cr_assert(file);
    cr_assert(fwrite(bytes, 1, size, file) == size);
    cr_assert(fclose(file) == 0);
}

static inline char *scratch_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    cr_assert(file, "%s", path);
    cr_assert(fseek(file, 0, SEEK_END) == 0);
    const long length = ftell(file);
    cr_assert(length >= 0);
    rewind(file);
    char *bytes = malloc((size_t)length + 1);
    cr_assert(bytes);
    cr_assert(fread(bytes, 1, (size_t)length, file) == (size_t)length);
    fclose(file);
    bytes[length] = '\0';
    *size = (size_t)length;
    return bytes;
}

/* The failure is of this kind and its message has every one of the words. */
static inline void expect_failure(rmp_status got, rmp_status wanted, const char *word, const char *other)
{
    const char *message = rmp_fail_message();
    cr_assert(got == wanted, "status %s, expected %s: %s", rmp_status_name(got), rmp_status_name(wanted), message);
    cr_assert(strstr(message, word), "'%s' lacks '%s'", message, word);
    cr_assert(strstr(message, other), "'%s' lacks '%s'", message, other);
}

static inline void expect_ok(rmp_status got) { cr_assert(got == RMP_OK, "%s", rmp_fail_message()); }
