#include "jobs/result_files.h"

#include "io/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rmp_status add_file(rmp_result *result, const char *name, void *bytes, size_t size)
{
    rmp_result_file *file = &result->file[result->files];
    file->name = strdup(name);
    file->bytes = bytes;
    file->size = size;
    if (file->name == NULL) {
        free(bytes);
        file->bytes = NULL;
        return RMP_FAIL(RMP_ERR_MEMORY, "no memory for a file name");
    }
    result->files++;
    return RMP_OK;
}

rmp_status rmp_result_add_image(rmp_result *result, const rmp_image *image, rmp_image_format format, const char *folder,
                                const char *id)
{
    char name[512];
    void *bytes = NULL;
    size_t size = 0;
    snprintf(name, sizeof name, "%s/%s.%s", folder, id, rmp_image_format_extension(format));
    RMP_TRY(rmp_image_encode(image, format, &bytes, &size));
    return add_file(result, name, bytes, size);
}

/* The kernel of the job, scaled so that its largest tap is white. */
static rmp_status save_kernel(rmp_result *result, const rmp_operator *op)
{
    int64_t size;
    const float *kernel = rmp_operator_kernel(op, &size);
    if (kernel == NULL) return RMP_OK;
    rmp_image image = {{size, size, 1}, malloc((size_t)(size * size) * sizeof(float))};
    RMP_CHECK(image.values != NULL, RMP_ERR_MEMORY, "no memory for the kernel's picture");
    float largest = 0;
    for (int64_t i = 0; i < size * size; i++)
        largest = kernel[i] > largest ? kernel[i] : largest;
    for (int64_t i = 0; i < size * size; i++)
        image.values[i] = largest > 0 ? 2 * kernel[i] / largest - 1 : -1;
    const char *name = rmp_operator_name(op);
    rmp_status status = rmp_result_add_image(result, &image, RMP_PNG8, RMP_FOLDER_KERNELS, name);
    if (status == RMP_OK) status = rmp_result_add_image(result, &image, RMP_TIFF32F, RMP_FOLDER_KERNELS, name);
    rmp_image_free(&image);
    return status;
}

/* The kernel code of the job, as operator.code takes it. */
static rmp_status save_code(rmp_result *result, const rmp_operator *op)
{
    const rmp_tensor *code = rmp_operator_code(op);
    char name[128];
    rmp_weights *set = NULL;
    void *bytes = NULL;
    size_t size = 0;
    if (code == NULL) return RMP_OK;
    RMP_TRY(rmp_weights_create(&set));
    rmp_status status = rmp_weights_add(set, "code", code);
    if (status == RMP_OK) status = rmp_safetensors_encode(set, &bytes, &size);
    rmp_weights_destroy(&set);
    RMP_TRY(status);
    snprintf(name, sizeof name, "%s/%s.safetensors", RMP_FOLDER_KERNELS, rmp_operator_name(op));
    return add_file(result, name, bytes, size);
}

rmp_status rmp_result_add_drawn(rmp_result *result, const rmp_operator *op)
{
    RMP_TRY(save_kernel(result, op));
    return save_code(result, op);
}
