#include "tests/unit/image_pattern.h"

#include <jpeglib.h>
#include <png.h>
#include <sys/stat.h>

TestSuite(image, .init = scratch_setup, .fini = scratch_teardown);

/* --- PNG --- */

static void write_png(const char *path, int64_t h, int64_t w, int depth, int color, int interlace, bool trns)
{
    FILE *file = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    cr_assert(file && png && info && !setjmp(png_jmpbuf(png)));
    png_init_io(png, file);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, depth, color, interlace, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_set_gAMA_fixed(png, info, 100000); /* must be ignored */
    if (color == PNG_COLOR_TYPE_PALETTE) {
        png_color palette[256];
        for (int i = 0; i < 256; i++)
            palette[i] = (png_color){(png_byte)i, (png_byte)(255 - i), (png_byte)(i * 3)};
        png_set_PLTE(png, info, palette, 1 << depth);
    }
    if (trns) {
        png_byte alpha[2] = {0, 255};
        png_color_16 key = {0};
        png_set_tRNS(png, info, alpha, 2, &key);
    }
    png_write_info(png, info);
    if (depth == 16) png_set_swap(png);
    const int64_t channels = png_get_channels(png, info);
    const int passes = interlace ? png_set_interlace_handling(png) : 1;
    unsigned char *row = malloc((size_t)(w * channels * 2));
    for (int pass = 0; pass < passes; pass++)
        for (int64_t y = 0; y < h; y++) {
            memset(row, 0, (size_t)(w * channels * 2));
            for (int64_t i = 0; i < w * channels; i++)
                pack(row, i, depth, pattern(y, i / channels, i % channels, (1U << depth) - 1U));
            png_write_row(png, row);
        }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(row);
    fclose(file);
}

Test(image, png_depths)
{
    const char *path = scratch_path("a.dat"); /* the type is told by content */
    static const int cases[][3] = {{1, PNG_COLOR_TYPE_GRAY, 1},  {2, PNG_COLOR_TYPE_GRAY, 1},
                                   {4, PNG_COLOR_TYPE_GRAY, 1},  {8, PNG_COLOR_TYPE_GRAY, 1},
                                   {16, PNG_COLOR_TYPE_GRAY, 1}, {8, PNG_COLOR_TYPE_RGB, 3},
                                   {16, PNG_COLOR_TYPE_RGB, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int interlace = 0; interlace < 2; interlace++) {
            rmp_image image;
            rmp_shape probed;
            const rmp_shape shape = {13, 21, cases[i][2]};
            write_png(path, shape.h, shape.w, cases[i][0], cases[i][1], interlace, false);
            expect_ok(rmp_image_read(path, &image));
            expect_pattern(&image, shape, (1U << cases[i][0]) - 1U, 1.0, 0.0);
            rmp_image_free(&image);
            expect_ok(rmp_image_probe(path, &probed));
            cr_assert(probed.h == shape.h && probed.w == shape.w && probed.c == shape.c);
        }
}

Test(image, png_palette)
{
    const char *path = scratch_path("a.png");
    for (int depth = 1; depth <= 8; depth *= 2) {
        rmp_image image;
        write_png(path, 9, 10, depth, PNG_COLOR_TYPE_PALETTE, 0, false);
        expect_ok(rmp_image_read(path, &image));
        cr_assert(image.shape.c == 3);
        for (int64_t i = 0; i < 90; i++) {
            const uint32_t index = pattern(i / 10, i % 10, 0, (1U << depth) - 1U);
            const uint32_t want[3] = {index, 255 - index, index * 3 & 255};
            for (int c = 0; c < 3; c++)
                cr_assert(image.values[3 * i + c] == (float)((2.0 * want[c] - 255.0) / 255.0));
        }
        rmp_image_free(&image);
    }
}

Test(image, png_refused)
{
    rmp_image image;
    rmp_shape shape;
    const char *path = scratch_path("a.png");
    write_png(path, 4, 5, 8, PNG_COLOR_TYPE_RGBA, 0, false);
    expect_failure(rmp_image_read(path, &image), RMP_ERR_FORMAT, path, "alpha");
    expect_failure(rmp_image_probe(path, &shape), RMP_ERR_FORMAT, path, "alpha");
    write_png(path, 4, 5, 16, PNG_COLOR_TYPE_GRAY_ALPHA, 0, false);
    expect_failure(rmp_image_read(path, &image), RMP_ERR_FORMAT, path, "alpha");
    write_png(path, 4, 5, 8, PNG_COLOR_TYPE_PALETTE, 0, true);
    expect_failure(rmp_image_read(path, &image), RMP_ERR_FORMAT, path, "alpha");
    write_png(path, 4, 5, 8, PNG_COLOR_TYPE_GRAY, 0, true);
    expect_failure(rmp_image_read(path, &image), RMP_ERR_FORMAT, path, "alpha");
}

/* 30000 x 30000 pixels declared in a hundred bytes: refused before memory is taken. */
Test(image, png_bomb)
{
    rmp_image image;
    size_t size;
    const char *path = scratch_path("a.png");
    write_png(path, 2, 2, 8, PNG_COLOR_TYPE_GRAY, 0, false);
    char *bytes = scratch_read(path, &size);
    unsigned char ihdr[17] = "IHDR\0\0\x75\x30\0\0\x75\x30\x08\0\0\0\0";
    uint32_t crc = 0xffffffffU;
    for (size_t i = 0; i < sizeof ihdr; i++) {
        crc ^= ihdr[i];
        for (int k = 0; k < 8; k++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320U : crc >> 1;
    }
    crc = ~crc;
    memcpy(bytes + 12, ihdr, sizeof ihdr);
    for (int i = 0; i < 4; i++)
        bytes[29 + i] = (char)(crc >> (24 - 8 * i) & 255);
    scratch_write(path, bytes, size);
    free(bytes);
    expect_failure(rmp_image_read(path, &image), RMP_ERR_FORMAT, path, "30000 x 30000");
}

Test(image, png_damage)
{
    const char *path = scratch_path("a.png");
    write_png(path, 7, 5, 8, PNG_COLOR_TYPE_RGB, 0, false);
    expect_truncations(path, 1);
    try_damage(path, 1);
    write_png(path, 17, 15, 16, PNG_COLOR_TYPE_GRAY, 1, false);
    expect_truncations(path, 7);
    try_damage(path, 3);
}

/* --- JPEG --- */

static void write_jpeg(const char *path, int64_t h, int64_t w, J_COLOR_SPACE space, int channels, bool progressive)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(path, "wb");
    unsigned char *row = malloc((size_t)(w * channels));
    cr_assert(file && row);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = (JDIMENSION)w;
    jpeg.image_height = (JDIMENSION)h;
    jpeg.input_components = channels;
    jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    if (progressive) jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (int64_t y = 0; y < h; y++) {
        for (int64_t i = 0; i < w * channels; i++) /* smooth: chroma is sub-sampled */
            row[i] = (unsigned char)(100 + 2 * y + (i / channels) * (i % channels));
        JSAMPROW rows = row;
        jpeg_write_scanlines(&jpeg, &rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(file);
    free(row);
}

Test(image, jpeg)
{
    const char *path = scratch_path("a.jpg");
    for (int color = 0; color < 2; color++)
        for (int progressive = 0; progressive < 2; progressive++) {
            const int64_t channels = color ? 3 : 1;
            rmp_image image;
            rmp_shape shape;
            write_jpeg(path, 20, 27, color ? JCS_RGB : JCS_GRAYSCALE, (int)channels, progressive);
            expect_ok(rmp_image_read(path, &image));
            cr_assert(image.shape.h == 20 && image.shape.w == 27 && image.shape.c == channels);
            for (int64_t i = 0; i < 20 * 27 * channels; i++) {
                const int64_t y = i / (27 * channels), x = i / channels % 27;
                const double want = (double)(100 + 2 * y + x * (i % channels)) / 127.5 - 1.0;
                /* JPEG at quality 100 with halved chroma loses a few of 255 grey values on a ramp */
                cr_assert(fabs((double)image.values[i] - want) < 8.0 / 127.5);
            }
            rmp_image_free(&image);
            expect_ok(rmp_image_probe(path, &shape));
            cr_assert(shape.h == 20 && shape.w == 27 && shape.c == channels);
            expect_truncations(path, 5);
            try_damage(path, 3);
        }
}

Test(image, jpeg_cmyk)
{
    rmp_image image;
    const char *path = scratch_path("a.jpg");
    write_jpeg(path, 8, 8, JCS_CMYK, 4, false);
    expect_failure(rmp_image_read(path, &image), RMP_ERR_FORMAT, path, "CMYK");
}

/* --- all --- */

Test(image, not_images)
{
    rmp_image image;
    const char *path = scratch_path("a.png");
    expect_failure(rmp_image_read(path, &image), RMP_ERR_IO, path, "No such file");
    scratch_write(path, "", 0);
    expect_failure(rmp_image_read(path, &image), RMP_ERR_FORMAT, path, "is empty");
    scratch_write(path, "GIF89a", 6);
    expect_failure(rmp_image_read(path, &image), RMP_ERR_FORMAT, path, "not a PNG, JPEG or TIFF");
    if (geteuid() != 0) { /* root may read everything */
        cr_assert(chmod(path, 0) == 0);
        expect_failure(rmp_image_read(path, &image), RMP_ERR_IO, path, "Permission denied");
    }
    cr_assert(mkdir(scratch_path("b.png"), 0777) == 0);
    expect_failure(rmp_image_read(scratch_path("b.png"), &image), RMP_ERR_FORMAT, "b.png", "is a folder");
    cr_assert(mkfifo(scratch_path("c.png"), 0600) == 0);
    expect_failure(rmp_image_read(scratch_path("c.png"), &image), RMP_ERR_FORMAT, "c.png", "regular");
}

Test(image, names)
{
    cr_assert(rmp_image_name_matches("a.png") && rmp_image_name_matches("x/y.TIFF") &&
              rmp_image_name_matches("a.JpEg"));
    cr_assert(!rmp_image_name_matches("a.gif") && !rmp_image_name_matches(".png") &&
              !rmp_image_name_matches("x.png/y"));
    rmp_image_format format;
    for (int f = RMP_PNG8; f <= RMP_TIFF32F; f++) {
        expect_ok(rmp_image_format_parse(rmp_image_format_name((rmp_image_format)f), &format));
        cr_assert(format == (rmp_image_format)f);
    }
    expect_failure(rmp_image_format_parse("jpeg", &format), RMP_ERR_CONFIG, "jpeg", "png16");
}

static void encode_to(const rmp_image *image, rmp_image_format format, const char *path)
{
    void *bytes, *again;
    size_t size, size_again;
    expect_ok(rmp_image_encode(image, format, &bytes, &size));
    expect_ok(rmp_image_encode(image, format, &again, &size_again));
    cr_assert(size == size_again && memcmp(bytes, again, size) == 0, "not the same bytes again");
    scratch_write(path, bytes, size);
    free(bytes);
    free(again);
}

Test(image, round_trips)
{
    for (int f = RMP_PNG8; f <= RMP_TIFF32F; f++)
        for (int64_t channels = 1; channels <= 3; channels += 2) {
            const rmp_image_format format = (rmp_image_format)f;
            const uint32_t max = format == RMP_PNG8 || format == RMP_TIFF8 ? 255 : 65535;
            rmp_image image = {.shape = {300, 301, channels}}, back; /* several strips */
            image.values = malloc((size_t)rmp_shape_count(image.shape) * sizeof(float));
            for (int64_t i = 0; i < rmp_shape_count(image.shape); i++)
                image.values[i] = expected(i / channels / 301, i / channels % 301, i % channels, max);
            const char *path = scratch_path("out");
            encode_to(&image, format, path);
            expect_ok(rmp_image_read(path, &back));
            /* Float files hold (x + 1) / 2: half a unit in the last place of 1. */
            expect_pattern(&back, image.shape, max, 1.0, format == RMP_TIFF32F ? 0x1p-24 : 0.0);
            rmp_image_free(&back);
            rmp_image_free(&image);
        }
}

Test(image, encode_limits)
{
    float values[4] = {-3.0F, 3.0F, 0.0F, 0.9999F};
    const rmp_image image = {{1, 4, 1}, values};
    rmp_image back;
    void *bytes;
    size_t size;
    encode_to(&image, RMP_PNG8, scratch_path("a"));
    expect_ok(rmp_image_read(scratch_path("a"), &back));
    cr_assert(back.values[0] == -1.0F && back.values[1] == 1.0F && back.values[3] == 1.0F);
    cr_assert(back.values[2] == (float)(1.0 / 255.0)); /* 127.5 rounds up */
    rmp_image_free(&back);
    encode_to(&image, RMP_TIFF32F, scratch_path("a"));
    expect_ok(rmp_image_read(scratch_path("a"), &back));
    cr_assert(back.values[0] == -3.0F && back.values[1] == 3.0F, "float files clamp nothing");
    rmp_image_free(&back);
    values[2] = NAN;
    expect_failure(rmp_image_encode(&image, RMP_TIFF32F, &bytes, &size), RMP_ERR_ARGUMENT, "not finite", "");
    const rmp_image two = {{1, 2, 2}, values};
    expect_failure(rmp_image_encode(&two, RMP_PNG8, &bytes, &size), RMP_ERR_ARGUMENT, "2 channels", "");
}

Test(image, the_middle_is_cut_out)
{
    rmp_image image = {{4, 5, 2}, malloc(40 * sizeof(float))};
    cr_assert(image.values != NULL);
    for (int i = 0; i < 40; i++)
        image.values[i] = (float)i;
    cr_assert_eq(rmp_image_crop(&image, 5, 3), RMP_ERR_FORMAT);
    cr_assert(strstr(rmp_fail_message(), "it is 4 x 5, smaller than 5 x 3") != NULL, "%s", rmp_fail_message());
    cr_assert_eq(rmp_image_crop(&image, 2, 2), RMP_OK);
    cr_assert(image.shape.h == 2 && image.shape.w == 2 && image.shape.c == 2);
    const float expected[8] = {12, 13, 14, 15, 22, 23, 24, 25}; /* rows 1 and 2, columns 1 and 2 of 5 */
    for (int i = 0; i < 8; i++)
        cr_assert(image.values[i] == expected[i], "%d: %g", i, (double)image.values[i]);
    rmp_image_free(&image);
}
