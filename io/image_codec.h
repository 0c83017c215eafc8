/* Inside io/image*.c only: one reader and one encoder per library. Messages lack the file's name; io/image.c adds it.
 */
#pragma once

#include "io/image.h"

typedef struct rmp_codec_input {
    int fd; /* at position 0; borrowed: readers duplicate what their library closes */
    const char *path;
    int64_t size;     /* of the file in bytes */
    bool header_only; /* fill shape, decode nothing */
} rmp_codec_input;

rmp_status rmp_png_decode(const rmp_codec_input *input, rmp_image *out) RMP_MUST_CHECK;
rmp_status rmp_jpeg_decode(const rmp_codec_input *input, rmp_image *out) RMP_MUST_CHECK;
rmp_status rmp_tiff_decode(const rmp_codec_input *input, rmp_image *out) RMP_MUST_CHECK;

/* A second stream on the same open file, at its start; the caller closes it. */
rmp_status rmp_codec_stream(const rmp_codec_input *input, void **file) RMP_MUST_CHECK;

/* Checks a declared size against the file's, sets out->shape and, unless header_only, allocates out->values.
 * pixels_per_byte: the best that the compression can do. */
rmp_status rmp_codec_allocate(const rmp_codec_input *input, rmp_shape shape, int64_t pixels_per_byte,
                              rmp_image *out) RMP_MUST_CHECK;

/* Samples 0 ... max as values of [-1, 1]. */
static inline float rmp_codec_value(uint32_t sample, uint32_t max)
{
    return (float)((2.0 * (double)sample - (double)max) / (double)max);
}

/* The inverse; the argument is finite. */
uint32_t rmp_codec_sample(float value, uint32_t max);

/* Growing memory that encoders write to. */
typedef struct rmp_codec_buffer {
    unsigned char *bytes;
    size_t size, capacity, position;
} rmp_codec_buffer;

/* False if there is no memory. Writes at `position`, filling a gap with zeros. */
bool rmp_codec_buffer_write(rmp_codec_buffer *buffer, const void *bytes, size_t size);

rmp_status rmp_png_encode(const rmp_image *image, uint32_t max, rmp_codec_buffer *out) RMP_MUST_CHECK;
/* max = 0: float. */
rmp_status rmp_tiff_encode(const rmp_image *image, uint32_t max, rmp_codec_buffer *out) RMP_MUST_CHECK;
