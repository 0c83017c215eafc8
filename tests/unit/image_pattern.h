/* Pixels with a known value at every place, and what every image reader must survive. */
#pragma once

#include "io/image.h"
#include "tests/unit/scratch.h"

#include <math.h>

/* A repeatable pattern with every value of the type, rough enough that each codec has work. */
static inline uint32_t pattern(int64_t y, int64_t x, int64_t c, uint32_t max)
{
    const uint32_t mixed = (uint32_t)(y * 7919 + x * 104729 + c * 1299709 + (y * x) % 13) * 2654435761U;
    return (uint32_t)(((uint64_t)(mixed >> 16) * ((uint64_t)max + 1)) >> 16);
}

static inline float expected(int64_t y, int64_t x, int64_t c, uint32_t max)
{
    return (float)((2.0 * (double)pattern(y, x, c, max) - (double)max) / (double)max);
}

static inline void expect_pattern(const rmp_image *image, rmp_shape shape, uint32_t max, double sign, double tolerance)
{
    cr_assert(image->shape.h == shape.h && image->shape.w == shape.w && image->shape.c == shape.c);
    for (int64_t y = 0; y < shape.h; y++)
        for (int64_t x = 0; x < shape.w; x++)
            for (int64_t c = 0; c < shape.c; c++) {
                const double got = (double)image->values[(y * shape.w + x) * shape.c + c];
                const double want = sign * (double)expected(y, x, c, max);
                cr_assert(fabs(got - want) <= tolerance, "(%d, %d, %d): %g, not %g", (int)y, (int)x, (int)c, got, want);
            }
}

/* Fails with a message that names the file; never a crash, never a success with made-up pixels. */
static inline void expect_truncations(const char *path, size_t step)
{
    size_t size;
    char *bytes = scratch_read(path, &size);
    const char *cut = scratch_path("cut");
    for (size_t length = 0; length < size; length += length + step < size || length + 1 >= size ? step : 1) {
        rmp_image image;
        scratch_write(cut, bytes, length);
        const rmp_status status = rmp_image_read(cut, &image);
        cr_assert(status == RMP_ERR_FORMAT, "%s cut to %zu of %zu bytes: %s", path, length, size,
                  status == RMP_OK ? "read" : rmp_fail_message());
        cr_assert(strstr(rmp_fail_message(), cut), "%s", rmp_fail_message());
        cr_assert(!image.values);
    }
    free(bytes);
}

/* Every byte changed in turn: any answer but a crash or a hang; what the sanitizers are for. */
static inline void try_damage(const char *path, size_t step)
{
    size_t size;
    char *bytes = scratch_read(path, &size);
    const char *bad = scratch_path("bad");
    for (size_t i = 0; i < size; i += step)
        for (int kind = 0; kind < 2; kind++) {
            rmp_image image;
            const char kept = bytes[i];
            bytes[i] = (char)(kind ? 0xff : kept ^ 0x41);
            scratch_write(bad, bytes, size);
            if (rmp_image_read(bad, &image) == RMP_OK)
                rmp_image_free(&image);
            else
                cr_assert(strstr(rmp_fail_message(), bad), "%s", rmp_fail_message());
            bytes[i] = kept;
        }
    free(bytes);
}

static inline void pack(unsigned char *row, int64_t i, int bits, uint32_t sample)
{
    if (bits < 8) {
        const int shift = (int)(8 - bits - (i * bits) % 8);
        row[i * bits / 8] = (unsigned char)(row[i * bits / 8] | sample << shift);
    } else if (bits == 8) {
        row[i] = (unsigned char)sample;
    } else if (bits == 16) {
        const uint16_t two = (uint16_t)sample;
        memcpy(row + 2 * i, &two, 2);
    } else {
        memcpy(row + 4 * i, &sample, 4);
    }
}
