#include "jobs/picture.h"

#include <criterion/criterion.h>

static int64_t inked(const rmp_image *sheet, int64_t y0, int64_t y1, int64_t x0, int64_t x1)
{
    int64_t count = 0;
    for (int64_t y = y0; y < y1; y++)
        for (int64_t x = x0; x < x1; x++)
            count += sheet->values[(y * sheet->shape.w + x) * 3] < 0;
    return count;
}

Test(picture, shrinking_takes_means)
{
    float values[] = {0, 1, -1, 1, 1, 0, 1, 1}; /* 2 x 4, gray */
    rmp_image in = {.shape = {2, 4, 1}, .values = values}, out;
    cr_assert_eq(rmp_picture_shrink(&in, 2, &out), RMP_OK);
    cr_assert_eq(out.shape.h, 1);
    cr_assert_eq(out.shape.w, 2);
    cr_assert_eq(out.shape.c, 3);
    for (int c = 0; c < 3; c++) {
        cr_assert_eq(out.values[c], 0.5F);
        cr_assert_eq(out.values[3 + c], 0.5F);
    }
    rmp_image_free(&out);
}

Test(picture, nothing_grows_when_shrunk_and_nothing_vanishes)
{
    float values[900] = {0};
    rmp_image in = {.shape = {1, 300, 3}, .values = values}, out;
    cr_assert_eq(rmp_picture_shrink(&in, 400, &out), RMP_OK);
    cr_assert_eq(out.shape.w, 300);
    rmp_image_free(&out);
    cr_assert_eq(rmp_picture_shrink(&in, 10, &out), RMP_OK);
    cr_assert_eq(out.shape.w, 10);
    cr_assert_eq(out.shape.h, 1, "one pixel high, not none");
    rmp_image_free(&out);
}

Test(picture, drawn_centred_and_pixelated)
{
    float values[] = {-1, -0.5F}; /* 1 x 2, gray */
    rmp_image in = {.shape = {1, 2, 1}, .values = values}, sheet;
    cr_assert_eq(rmp_picture_create(10, 12, 1, &sheet), RMP_OK);
    rmp_picture_draw(&sheet, (rmp_box){1, 2, 8}, &in);
    for (int64_t y = 0; y < 10; y++)
        for (int64_t x = 0; x < 12; x++) {
            bool inside = y >= 3 && y < 7 && x >= 2 && x < 10;
            float expected = !inside ? 1 : x < 6 ? -1 : -0.5F;
            cr_assert_eq(sheet.values[(y * 12 + x) * 3 + 1], expected, "at %d, %d", (int)y, (int)x);
        }
    rmp_image_free(&sheet);
}

Test(picture, text_stays_in_its_width)
{
    rmp_image sheet;
    cr_assert_eq(rmp_picture_create(RMP_GLYPH_H, 60, 1, &sheet), RMP_OK);
    rmp_picture_text(&sheet, 0, 0, 20, "WWWWWWWW", -1);
    cr_assert_gt(inked(&sheet, 0, RMP_GLYPH_H, 12, 17), 0, "the third letter fits");
    cr_assert_eq(inked(&sheet, 0, RMP_GLYPH_H, 17, 60), 0, "the fourth does not");
    rmp_image_free(&sheet);
}

/* A glyph that is missing or a copy of another would make captions wrong. */
Test(picture, letters_differ)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,-+_/:%()>=?";
    rmp_image sheet;
    enum { COUNT = sizeof letters - 1, W = COUNT * RMP_GLYPH_W };
    cr_assert_eq(rmp_picture_create(RMP_GLYPH_H, W, 1, &sheet), RMP_OK);
    rmp_picture_text(&sheet, 0, 0, W, letters, -1);
    for (int a = 0; a < COUNT; a++)
        for (int b = 0; b < a; b++) {
            bool same = true;
            for (int y = 0; y < RMP_GLYPH_H && same; y++)
                for (int x = 0; x < RMP_GLYPH_W && same; x++)
                    same = sheet.values[(y * W + a * RMP_GLYPH_W + x) * 3] ==
                           sheet.values[(y * W + b * RMP_GLYPH_W + x) * 3];
            cr_assert(!same, "%c and %c", letters[a], letters[b]);
        }
    rmp_image_free(&sheet);
}
