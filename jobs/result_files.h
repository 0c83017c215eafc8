/* Files of a result: pictures of items, and what the job drew for all of them. */
#pragma once

#include "core/operator.h"
#include "io/image.h"
#include "jobs/message.h"

/* FOLDER/ID.EXTENSION; the result has room for it. */
rmp_status rmp_result_add_image(rmp_result *result, const rmp_image *image, rmp_image_format format, const char *folder,
                                const char *id) RMP_MUST_CHECK;

/* The operator's kernel, scaled so that its largest tap is white (PNG, float TIFF), and its kernel code, as
 * operator.code takes it; nothing if it has none. */
rmp_status rmp_result_add_drawn(rmp_result *result, const rmp_operator *op) RMP_MUST_CHECK;
