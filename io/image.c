#include "io/image.h"

#include "io/file.h"
#include "io/image_codec.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const int64_t MAX_PIXELS = INT64_C(1) << 31;

static const struct {
    const char *name, *extension;
} FORMATS[] = {[RMP_PNG8] = {"png8", "png"},
               [RMP_PNG16] = {"png16", "png"},
               [RMP_TIFF8] = {"tiff8", "tiff"},
               [RMP_TIFF16] = {"tiff16", "tiff"},
               [RMP_TIFF32F] = {"tiff32f", "tiff"}};

rmp_status rmp_image_format_parse(const char *word, rmp_image_format *out)
{
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++)
        if (strcmp(word, FORMATS[i].name) == 0) {
            *out = (rmp_image_format)i;
            return RMP_OK;
        }
    return RMP_FAIL(RMP_ERR_CONFIG, "'%s' is not an image format (png8, png16, tiff8, tiff16, tiff32f)", word);
}

const char *rmp_image_format_name(rmp_image_format format) { return FORMATS[format].name; }

const char *rmp_image_format_extension(rmp_image_format format) { return FORMATS[format].extension; }

bool rmp_image_name_matches(const char *path)
{
    static const char *const extensions[] = {".png", ".jpg", ".jpeg", ".tif", ".tiff"};
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    if (!dot || dot == name) return false;
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (strcasecmp(dot, extensions[i]) == 0) return true;
    return false;
}

rmp_status rmp_codec_stream(const rmp_codec_input *input, void **file)
{
    *file = NULL;
    const int fd = dup(input->fd);
    RMP_CHECK(fd >= 0, RMP_ERR_IO, "cannot be opened: %s", strerror(errno));
    FILE *stream = lseek(fd, 0, SEEK_SET) == 0 ? fdopen(fd, "rb") : NULL;
    if (!stream) {
        const int error = errno;
        close(fd);
        return RMP_FAIL(RMP_ERR_IO, "cannot be read: %s", strerror(error));
    }
    *file = stream;
    return RMP_OK;
}

rmp_status rmp_codec_allocate(const rmp_codec_input *input, rmp_shape shape, int64_t pixels_per_byte, rmp_image *out)
{
    RMP_CHECK(shape.h > 0 && shape.w > 0, RMP_ERR_FORMAT, "declares %" PRId64 " x %" PRId64 " pixels", shape.w,
              shape.h);
    RMP_CHECK(shape.h <= MAX_PIXELS / shape.w, RMP_ERR_FORMAT,
              "declares %" PRId64 " x %" PRId64 " pixels; 2^31 pixels are the limit", shape.w, shape.h);
    /* Refused before memory is taken: no such number of pixels can be in so few bytes. */
    RMP_CHECK(shape.h * shape.w / pixels_per_byte <= input->size, RMP_ERR_FORMAT,
              "is truncated or damaged: %" PRId64 " x %" PRId64 " pixels cannot be in %" PRId64 " bytes", shape.w,
              shape.h, input->size);
    out->shape = shape;
    if (input->header_only) return RMP_OK;
    const size_t bytes = (size_t)rmp_shape_count(shape) * sizeof(float);
    out->values = malloc(bytes);
    RMP_CHECK(out->values, RMP_ERR_MEMORY, "no memory for its %" PRId64 " x %" PRId64 " pixels (%zu MiB)", shape.w,
              shape.h, bytes >> 20);
    return RMP_OK;
}

static rmp_status decode(const rmp_codec_input *input, rmp_image *out)
{
    unsigned char magic[4] = {0};
    const ssize_t got = pread(input->fd, magic, sizeof magic, 0);
    RMP_CHECK(got >= 0, RMP_ERR_IO, "cannot be read: %s", strerror(errno));
    if (memcmp(magic, "\x89PNG", 4) == 0) return rmp_png_decode(input, out);
    if (memcmp(magic, "\xff\xd8\xff", 3) == 0) return rmp_jpeg_decode(input, out);
    if (memcmp(magic, "II*\0", 4) == 0 || memcmp(magic, "MM\0*", 4) == 0 || memcmp(magic, "II+\0", 4) == 0 ||
        memcmp(magic, "MM\0+", 4) == 0)
        return rmp_tiff_decode(input, out);
    return RMP_FAIL(RMP_ERR_FORMAT, "is not a PNG, JPEG or TIFF image");
}

static rmp_status open_and_decode(const char *path, bool header_only, rmp_image *out)
{
    memset(out, 0, sizeof *out);
    rmp_codec_input input = {.path = path, .header_only = header_only};
    RMP_TRY(rmp_file_open(path, &input.fd, &input.size));
    rmp_status status = input.size > 0 ? decode(&input, out) : RMP_FAIL(RMP_ERR_FORMAT, "is empty");
    close(input.fd);
    if (status != RMP_OK) {
        rmp_image_free(out);
        return rmp_fail_context(status, "%s", path);
    }
    return RMP_OK;
}

rmp_status rmp_image_probe(const char *path, rmp_shape *out)
{
    rmp_image image;
    *out = (rmp_shape){0, 0, 0};
    RMP_TRY(open_and_decode(path, true, &image));
    *out = image.shape;
    return RMP_OK;
}

rmp_status rmp_image_read(const char *path, rmp_image *out) { return open_and_decode(path, false, out); }

void rmp_image_free(rmp_image *image)
{
    free(image->values);
    memset(image, 0, sizeof *image);
}

uint32_t rmp_codec_sample(float value, uint32_t max)
{
    const double scaled = ((double)value + 1.0) * 0.5 * (double)max;
    if (scaled <= 0.0) return 0;
    return scaled >= (double)max ? max : (uint32_t)(scaled + 0.5);
}

bool rmp_codec_buffer_write(rmp_codec_buffer *buffer, const void *bytes, size_t size)
{
    if (size > SIZE_MAX / 4 || buffer->position > SIZE_MAX / 4) return false;
    const size_t end = buffer->position + size;
    if (end > buffer->capacity) {
        const size_t doubled = buffer->capacity < SIZE_MAX / 4 ? buffer->capacity * 2 : end;
        const size_t capacity = end > doubled ? end + 4096 : doubled;
        unsigned char *grown = realloc(buffer->bytes, capacity);
        if (!grown) return false;
        buffer->bytes = grown;
        buffer->capacity = capacity;
    }
    if (buffer->position > buffer->size) memset(buffer->bytes + buffer->size, 0, buffer->position - buffer->size);
    memcpy(buffer->bytes + buffer->position, bytes, size);
    buffer->position = end;
    if (end > buffer->size) buffer->size = end;
    return true;
}

rmp_status rmp_image_encode(const rmp_image *image, rmp_image_format format, void **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    const rmp_shape shape = image->shape;
    RMP_CHECK(shape.h > 0 && shape.w > 0 && (shape.c == 1 || shape.c == 3), RMP_ERR_ARGUMENT,
              "an image of %" PRId64 " x %" PRId64 " pixels and %" PRId64 " channels cannot be encoded", shape.w,
              shape.h, shape.c);
    RMP_CHECK(shape.h <= MAX_PIXELS / shape.w, RMP_ERR_ARGUMENT, "an image of more than 2^31 pixels cannot be encoded");
    const int64_t count = rmp_shape_count(shape);
    for (int64_t i = 0; i < count; i++)
        RMP_CHECK(isfinite(image->values[i]), RMP_ERR_ARGUMENT, "an image with values that are not finite");
    rmp_codec_buffer buffer = {0};
    rmp_status status = RMP_OK;
    switch (format) {
    case RMP_PNG8:
        status = rmp_png_encode(image, 255, &buffer);
        break;
    case RMP_PNG16:
        status = rmp_png_encode(image, 65535, &buffer);
        break;
    case RMP_TIFF8:
        status = rmp_tiff_encode(image, 255, &buffer);
        break;
    case RMP_TIFF16:
        status = rmp_tiff_encode(image, 65535, &buffer);
        break;
    case RMP_TIFF32F:
        status = rmp_tiff_encode(image, 0, &buffer);
        break;
    }
    if (status != RMP_OK) {
        free(buffer.bytes);
        return status;
    }
    *bytes = buffer.bytes;
    *size = buffer.size;
    return RMP_OK;
}

rmp_status rmp_image_crop(rmp_image *image, int64_t h, int64_t w)
{
    const rmp_shape s = image->shape;
    RMP_CHECK(h >= 1 && w >= 1 && h <= s.h && w <= s.w, RMP_ERR_FORMAT, "it is %lld x %lld, smaller than %lld x %lld",
              (long long)s.h, (long long)s.w, (long long)h, (long long)w);
    const int64_t top = (s.h - h) / 2, left = (s.w - w) / 2;
    for (int64_t i = 0; i < h; i++) {
        memmove(image->values + i * w * s.c, image->values + ((top + i) * s.w + left) * s.c,
                (size_t)(w * s.c) * sizeof *image->values);
    }
    image->shape.h = h;
    image->shape.w = w;
    return RMP_OK;
}
