/* libFuzzer target: the bytes as an image; a large one is probed only. */
#include "io/image.h"
#include "tests/fuzz/fuzz_file.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *path = fuzz_file(bytes, size, ".image");
    rmp_shape shape;
    rmp_image image;
    if (rmp_image_probe(path, &shape) != RMP_OK || rmp_shape_count(shape) > 1 << 22) return 0;
    if (rmp_image_read(path, &image) != RMP_OK) return 0;
    if (image.shape.h != shape.h || image.shape.w != shape.w || image.shape.c != shape.c) abort();
    for (int64_t i = 0; i < rmp_shape_count(shape); i++)
        if (!isfinite(image.values[i])) abort();
    rmp_image_free(&image);
    return 0;
}
