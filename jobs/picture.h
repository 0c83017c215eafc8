/* Pictures for people: scaled, placed side by side and labelled. Scores and results never pass through here. */
#pragma once

#include "io/image.h"

typedef struct rmp_box { /* a square, in pixels */
    int64_t y, x, side;
} rmp_box;

enum { RMP_GLYPH_H = 7, RMP_GLYPH_W = 6 }; /* with the gap to the next one */

/* A picture of h x w x 3 in one gray value. RMP_ERR_MEMORY. */
rmp_status rmp_picture_create(int64_t h, int64_t w, float gray, rmp_image *out) RMP_MUST_CHECK;

/* Draws `in` (c = 1 or 3) into `box` of `sheet` (c = 3), centred, as large as it fits without distortion: means of
 * pixels where it shrinks, repeated pixels where it grows. The box must lie inside the sheet. */
void rmp_picture_draw(rmp_image *sheet, rmp_box box, const rmp_image *in);

/* Writes one line of built-in 5 x 7 letters; what is wider than `width` pixels is cut. Lower case is shown as upper
 * case, a character without a glyph as a dot. */
void rmp_picture_text(rmp_image *sheet, int64_t y, int64_t x, int64_t width, const char *text, float gray);

/* A copy of `in` that is at most max_side pixels high and wide. RMP_ERR_MEMORY. */
rmp_status rmp_picture_shrink(const rmp_image *in, int64_t max_side, rmp_image *out) RMP_MUST_CHECK;
