/* What every fuzz target here needs: the bytes as a file. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The path of a file of this process that holds these bytes; `suffix` as ".csv". */
static inline const char *fuzz_file(const uint8_t *bytes, size_t size, const char *suffix)
{
    static char path[64];
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, sizeof path, "%s/rmp_fuzz_%ld%s", folder, (long)getpid(), suffix);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) abort();
    return path;
}
