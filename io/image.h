/* Image files. In memory an image is float32 (h, w, c), c = 1 or 3, values in [-1, 1]: black -1, white 1 of the
 * file's integer type. Float TIFF holds [0, 1] (values outside are kept). */
#pragma once

#include "core/graph.h"

typedef struct rmp_image {
    rmp_shape shape;
    float *values; /* owned, malloc */
} rmp_image;

typedef enum rmp_image_format { RMP_PNG8, RMP_PNG16, RMP_TIFF8, RMP_TIFF16, RMP_TIFF32F } rmp_image_format;

/* "png8", ...; RMP_ERR_CONFIG for another word. */
rmp_status rmp_image_format_parse(const char *word, rmp_image_format *out) RMP_MUST_CHECK;
const char *rmp_image_format_name(rmp_image_format format);
const char *rmp_image_format_extension(rmp_image_format format); /* "png", "tiff" */

/* True if the file name ends like an image that can be read (.png .jpg .jpeg .tif .tiff, any case). */
bool rmp_image_name_matches(const char *path);

/* Size from the header alone; the rest of the file may still be damaged. */
rmp_status rmp_image_probe(const char *path, rmp_shape *out) RMP_MUST_CHECK;

/* PNG (1 to 16 bits, palette, gray, RGB), JPEG (gray, YCbCr), TIFF (first image of classic and BigTIFF; strips and
 * tiles, planes together or separate, 1 to 32-bit integers and 16 to 64-bit floats, gray, RGB, palette, YCbCr, every
 * compression libtiff has). The type is told by content, not name. Gamma, profiles and orientation are ignored: pixels
 * are taken as they are stored. Errors (RMP_ERR_FORMAT, RMP_ERR_IO) name the file and what is wrong: truncated, alpha,
 * CMYK, not an image, a folder, ...; truncated files are never read in part. */
rmp_status rmp_image_read(const char *path, rmp_image *out) RMP_MUST_CHECK;

/* Cuts the middle h x w pixels out, in place; the odd pixel is cut off on the right and below. RMP_ERR_FORMAT if the
 * image is smaller. */
rmp_status rmp_image_crop(rmp_image *image, int64_t h, int64_t w) RMP_MUST_CHECK;
void rmp_image_free(rmp_image *image);

/* Encodes in memory; *bytes is owned by the caller (free). Values are clamped to [-1, 1] and rounded to nearest for
 * integer formats; the result depends on values and format only (no dates). */
rmp_status rmp_image_encode(const rmp_image *image, rmp_image_format format, void **bytes, size_t *size) RMP_MUST_CHECK;
