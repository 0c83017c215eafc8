#include "tests/unit/image_pattern.h"

#include <tiffio.h>

TestSuite(image_tiff, .init = scratch_setup, .fini = scratch_teardown);

typedef struct tiff_case {
    int bits, samples, format, photometric, planar, compression, predictor;
    bool tiled;
    const char *mode;
    int fill_order;
} tiff_case;

static double float_of(uint32_t sample) { return (double)sample / 255.0 * 1.5 - 0.25; } /* beyond [0, 1] too */

static void put_sample(const tiff_case *t, unsigned char *row, int64_t i, int64_t y, int64_t x, int64_t c)
{
    if (t->format != SAMPLEFORMAT_IEEEFP) {
        const uint32_t max = t->bits == 32 ? UINT32_MAX : (1U << t->bits) - 1U;
        pack(row, i, t->bits, pattern(y, x, c, max));
    } else if (t->bits == 64) {
        const double value = float_of(pattern(y, x, c, 255));
        memcpy(row + 8 * i, &value, 8);
    } else if (t->bits == 32) {
        const float value = (float)float_of(pattern(y, x, c, 255));
        memcpy(row + 4 * i, &value, 4);
    } else { /* halves 0x3800 ... 0x3bff are 0.5 + k / 2048 */
        const uint16_t half = (uint16_t)(0x3800 + pattern(y, x, c, 1023));
        memcpy(row + 2 * i, &half, 2);
    }
}

static void fill(const tiff_case *t, unsigned char *data, size_t row_bytes, int64_t y0, int64_t x0, int64_t h,
                 int64_t w, int64_t plane)
{
    const int64_t inner = t->planar == PLANARCONFIG_SEPARATE ? 1 : t->samples;
    memset(data, 0, row_bytes * (size_t)h);
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++)
            for (int64_t c = 0; c < inner; c++)
                put_sample(t, data + row_bytes * (size_t)y, x * inner + c, y0 + y, x0 + x, inner == 1 ? plane : c);
}

static void write_tiff(const char *path, const tiff_case *t, uint32_t h, uint32_t w)
{
    TIFF *tiff = TIFFOpen(path, t->mode ? t->mode : "w");
    cr_assert(tiff);
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, w);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, h);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, t->bits);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, t->samples);
    TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, t->format);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, t->photometric);
    TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, t->planar);
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, t->compression);
    if (t->fill_order) TIFFSetField(tiff, TIFFTAG_FILLORDER, t->fill_order);
    if (t->predictor) TIFFSetField(tiff, TIFFTAG_PREDICTOR, t->predictor);
    if (t->compression == COMPRESSION_JPEG) TIFFSetField(tiff, TIFFTAG_JPEGQUALITY, 100);
    if (t->compression == COMPRESSION_JPEG && t->photometric == PHOTOMETRIC_YCBCR)
        TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    if (t->compression == COMPRESSION_WEBP) TIFFSetField(tiff, TIFFTAG_WEBP_LOSSLESS, 1);
    const uint16_t alpha = EXTRASAMPLE_UNASSALPHA;
    if (t->samples == 2 || (t->samples == 4 && t->photometric == PHOTOMETRIC_RGB))
        TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &alpha);
    if (t->photometric == PHOTOMETRIC_PALETTE) {
        static uint16_t map[3][65536];
        for (int i = 0; i < 1 << t->bits; i++)
            for (int c = 0; c < 3; c++)
                map[c][i] = (uint16_t)(i * 257 * (c + 1) + 1000);
        TIFFSetField(tiff, TIFFTAG_COLORMAP, map[0], map[1], map[2]);
    }
    const int64_t planes = t->planar == PLANARCONFIG_SEPARATE ? t->samples : 1;
    if (t->tiled) {
        TIFFSetField(tiff, TIFFTAG_TILEWIDTH, 32);
        TIFFSetField(tiff, TIFFTAG_TILELENGTH, 16);
        unsigned char *data = malloc((size_t)TIFFTileSize(tiff));
        for (int64_t plane = 0; plane < planes; plane++)
            for (uint32_t y = 0; y < h; y += 16)
                for (uint32_t x = 0; x < w; x += 32) {
                    fill(t, data, (size_t)TIFFTileRowSize(tiff), y, x, 16, 32, plane);
                    cr_assert(TIFFWriteTile(tiff, data, x, y, 0, (uint16_t)plane) > 0);
                }
        free(data);
    } else {
        TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 16);
        const size_t row = (size_t)TIFFScanlineSize(tiff);
        unsigned char *data = malloc(row * 16);
        for (int64_t plane = 0; plane < planes; plane++)
            for (uint32_t y = 0; y < h; y += 16) {
                const uint32_t rows = h - y < 16 ? h - y : 16;
                fill(t, data, row, y, 0, rows, w, plane);
                const uint32_t strip = TIFFComputeStrip(tiff, y, (uint16_t)plane);
                cr_assert(TIFFWriteEncodedStrip(tiff, strip, data, (tmsize_t)(row * rows)) > 0);
            }
        free(data);
    }
    cr_assert(TIFFFlush(tiff) == 1);
    TIFFClose(tiff);
}

static void expect_tiff(const tiff_case *t, int64_t h, int64_t w)
{
    static int quiet;
    if (!quiet++) TIFFSetWarningHandler(NULL); /* of the writer: legacy codecs are what is tested */
    const char *path = scratch_path("a.tif");
    rmp_image image;
    write_tiff(path, t, (uint32_t)h, (uint32_t)w);
    expect_ok(rmp_image_read(path, &image));
    const rmp_shape shape = {h, w, t->samples};
    const double sign = t->photometric == PHOTOMETRIC_MINISWHITE ? -1.0 : 1.0;
    if (t->format != SAMPLEFORMAT_IEEEFP) {
        expect_pattern(&image, shape, t->bits == 32 ? UINT32_MAX : (1U << t->bits) - 1U, sign, 0.0);
    } else {
        cr_assert(image.shape.h == h && image.shape.w == w && image.shape.c == t->samples);
        for (int64_t i = 0; i < h * w * t->samples; i++) {
            const int64_t y = i / (w * t->samples), x = i / t->samples % w, c = i % t->samples;
            double want = float_of(pattern(y, x, c, 255));
            if (t->bits == 32) want = (double)(float)want;
            if (t->bits == 16) want = 0.5 + pattern(y, x, c, 1023) / 2048.0;
            cr_assert((double)image.values[i] == sign * (double)(float)(2.0 * want - 1.0));
        }
    }
    rmp_image_free(&image);
}

static const int UINT = SAMPLEFORMAT_UINT, FLOAT = SAMPLEFORMAT_IEEEFP;

Test(image_tiff, layouts)
{
    static const int bits[] = {1, 2, 4, 8, 16, 32};
    for (int photometric = 0; photometric < 3; photometric++) /* min-is-white, min-is-black, RGB */
        for (size_t b = 0; b < 6; b++)
            for (int planar = 1; planar <= 2; planar++)
                for (int tiled = 0; tiled < 2; tiled++) {
                    tiff_case t = {
                        bits[b], photometric == 2 ? 3 : 1, UINT, photometric, planar, COMPRESSION_NONE, 0, tiled, NULL,
                        0};
                    expect_tiff(&t, 37, 70);
                }
}

Test(image_tiff, floats)
{
    for (int bits = 16; bits <= 64; bits *= 2)
        for (int planar = 1; planar <= 2; planar++)
            for (int tiled = 0; tiled < 2; tiled++)
                for (int samples = 1; samples <= 3; samples += 2) {
                    tiff_case t = {bits,   samples,
                                   FLOAT,  samples == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK,
                                   planar, COMPRESSION_NONE,
                                   0,      tiled,
                                   NULL,   0};
                    expect_tiff(&t, 20, 35);
                    t.compression = COMPRESSION_ADOBE_DEFLATE;
                    t.predictor = PREDICTOR_FLOATINGPOINT;
                    expect_tiff(&t, 20, 35);
                }
}

Test(image_tiff, byte_orders)
{
    static const char *const modes[] = {"wl", "wb", "w8l", "w8b"}; /* classic, BigTIFF */
    for (size_t m = 0; m < 2 * sizeof modes / sizeof *modes; m++)
        for (int bits = 1; bits <= 32; bits *= 2) {
            const tiff_case t = {bits,
                                 1,
                                 UINT,
                                 PHOTOMETRIC_MINISBLACK,
                                 PLANARCONFIG_CONTIG,
                                 COMPRESSION_NONE,
                                 0,
                                 false,
                                 modes[m / 2],
                                 m % 2 ? FILLORDER_LSB2MSB : FILLORDER_MSB2LSB};
            expect_tiff(&t, 18, 33);
        }
    const tiff_case t = {32, 3, FLOAT, PHOTOMETRIC_RGB, PLANARCONFIG_CONTIG, COMPRESSION_LZW, 0, true, "w8b", 0};
    expect_tiff(&t, 18, 33);
}

/* The floating-point predictor stores the same bytes in both byte orders; libtiff's encoder gets big-endian wrong, so
 * the strips of a little-endian file are copied as they are. */
Test(image_tiff, big_endian_predictor)
{
    const tiff_case t = {32, 3, FLOAT, PHOTOMETRIC_RGB, 1, COMPRESSION_ADOBE_DEFLATE, 3, false, "wl", 0};
    rmp_image little, big;
    write_tiff(scratch_path("a.tif"), &t, 16, 35);
    expect_ok(rmp_image_read(scratch_path("a.tif"), &little));
    TIFF *from = TIFFOpen(scratch_path("a.tif"), "r");
    char data[1 << 14];
    const tmsize_t size = TIFFReadRawStrip(from, 0, data, sizeof data);
    cr_assert(size > 0);
    TIFFClose(from);
    TIFF *to = TIFFOpen(scratch_path("b.tif"), "wb");
    TIFFSetField(to, TIFFTAG_IMAGEWIDTH, 35);
    TIFFSetField(to, TIFFTAG_IMAGELENGTH, 16);
    TIFFSetField(to, TIFFTAG_BITSPERSAMPLE, 32);
    TIFFSetField(to, TIFFTAG_SAMPLESPERPIXEL, 3);
    TIFFSetField(to, TIFFTAG_SAMPLEFORMAT, FLOAT);
    TIFFSetField(to, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
    TIFFSetField(to, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
    TIFFSetField(to, TIFFTAG_PREDICTOR, 3);
    TIFFSetField(to, TIFFTAG_ROWSPERSTRIP, 16);
    cr_assert(TIFFWriteRawStrip(to, 0, data, size) == size);
    TIFFClose(to);
    expect_ok(rmp_image_read(scratch_path("b.tif"), &big));
    for (int64_t i = 0; i < rmp_shape_count(little.shape); i++)
        cr_assert(little.values[i] == big.values[i]);
    rmp_image_free(&little);
    rmp_image_free(&big);
}

/* Lossless codecs give back what was written; which ones are built in is libtiff's affair. */
Test(image_tiff, compressions)
{
    static const int codecs[] = {COMPRESSION_LZW,  COMPRESSION_ADOBE_DEFLATE, COMPRESSION_DEFLATE, COMPRESSION_PACKBITS,
                                 COMPRESSION_LZMA, COMPRESSION_ZSTD,          COMPRESSION_LERC,    COMPRESSION_WEBP};
    int tried = 0;
    for (size_t k = 0; k < sizeof codecs / sizeof *codecs; k++) {
        if (!TIFFIsCODECConfigured((uint16_t)codecs[k])) continue;
        tried++;
        const bool predicts =
            codecs[k] != COMPRESSION_PACKBITS && codecs[k] != COMPRESSION_LERC && codecs[k] != COMPRESSION_WEBP;
        for (int bits = 8; bits <= (codecs[k] == COMPRESSION_WEBP ? 8 : 16); bits *= 2)
            for (int tiled = 0; tiled < 2; tiled++)
                for (int predictor = 0; predictor <= (predicts ? 2 : 0); predictor += 2) {
                    const tiff_case t = {bits,  3,    UINT, PHOTOMETRIC_RGB, PLANARCONFIG_CONTIG, codecs[k], predictor,
                                         tiled, NULL, 0};
                    expect_tiff(&t, 37, 70);
                    if (bits == 8 && !predictor) {
                        expect_truncations(scratch_path("a.tif"), 997);
                        try_damage(scratch_path("a.tif"), 1499);
                    }
                }
    }
    cr_assert(tried >= 4);
    static const int fax[] = {COMPRESSION_CCITTRLE, COMPRESSION_CCITTFAX3, COMPRESSION_CCITTFAX4, COMPRESSION_JBIG};
    for (size_t k = 0; k < sizeof fax / sizeof *fax; k++) {
        if (!TIFFIsCODECConfigured((uint16_t)fax[k])) continue;
        for (int photometric = 0; photometric < 2; photometric++) {
            const tiff_case t = {1, 1, UINT, photometric, PLANARCONFIG_CONTIG, fax[k], 0, false, NULL, 0};
            expect_tiff(&t, fax[k] == COMPRESSION_JBIG ? 16 : 37, 70); /* libtiff writes one strip of JBIG */
            expect_truncations(scratch_path("a.tif"), 61);
            try_damage(scratch_path("a.tif"), 17);
        }
    }
}

Test(image_tiff, jpeg)
{
    if (!TIFFIsCODECConfigured(COMPRESSION_JPEG)) cr_skip_test("libtiff has no JPEG");
    for (int tiled = 0; tiled < 2; tiled++)
        for (int photometric = PHOTOMETRIC_RGB; photometric <= PHOTOMETRIC_YCBCR;
             photometric += PHOTOMETRIC_YCBCR - PHOTOMETRIC_RGB) {
            const tiff_case t = {8, 3, UINT, photometric, PLANARCONFIG_CONTIG, COMPRESSION_JPEG, 0, tiled, NULL, 0};
            const char *path = scratch_path("a.tif");
            rmp_image image;
            write_tiff(path, &t, 32, 64);
            expect_ok(rmp_image_read(path, &image));
            cr_assert(image.shape.h == 32 && image.shape.w == 64 && image.shape.c == 3);
            /* Noise with halved chroma cannot come back; RGB at quality 100 comes back within its rounding. */
            if (photometric == PHOTOMETRIC_RGB) expect_pattern(&image, image.shape, 255, 1.0, 4.0 / 127.5);
            rmp_image_free(&image);
            expect_truncations(path, 401);
            try_damage(path, 307);
        }
}

/* Uncompressed YCbCr of one colour, sub-sampled 2 x 2: (Y 150, Cb 128, Cr 128) is the gray 150. */
Test(image_tiff, ycbcr)
{
    const char *path = scratch_path("a.tif");
    TIFF *tiff = TIFFOpen(path, "w");
    unsigned char data[(16 * 16) * 3 / 2];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = i % 6 < 4 ? 150 : 128;
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, 16);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, 16);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 3);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_YCBCR);
    TIFFSetField(tiff, TIFFTAG_YCBCRSUBSAMPLING, 2, 2);
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_LZW);
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 16);
    cr_assert(TIFFWriteEncodedStrip(tiff, 0, data, sizeof data) > 0);
    TIFFClose(tiff);
    rmp_image image;
    expect_ok(rmp_image_read(path, &image));
    for (int64_t i = 0; i < 16 * 16 * 3; i++)
        cr_assert(fabs((double)image.values[i] - (150.0 / 127.5 - 1.0)) < 1.5 / 127.5); /* one grey value */
    rmp_image_free(&image);
    expect_truncations(path, 7);
    try_damage(path, 3);
}

Test(image_tiff, palette)
{
    for (int bits = 1; bits <= 16; bits *= 2) {
        const tiff_case t = {bits,  1,    UINT, PHOTOMETRIC_PALETTE, PLANARCONFIG_CONTIG, COMPRESSION_LZW, 0,
                             false, NULL, 0};
        const char *path = scratch_path("a.tif");
        rmp_image image;
        write_tiff(path, &t, 12, 19);
        expect_ok(rmp_image_read(path, &image));
        cr_assert(image.shape.c == 3);
        for (int64_t i = 0; i < 12 * 19 * 3; i++) {
            const uint32_t index = pattern(i / 3 / 19, i / 3 % 19, 0, (1U << bits) - 1U);
            const uint16_t want = (uint16_t)(index * 257 * (uint32_t)(i % 3 + 1) + 1000);
            cr_assert(image.values[i] == (float)((2.0 * want - 65535.0) / 65535.0));
        }
        rmp_image_free(&image);
        try_damage(path, bits < 16 ? 5 : 9973); /* the colour map is 384 KiB */
    }
}

Test(image_tiff, refused)
{
    const char *path = scratch_path("a.tif");
    const struct {
        tiff_case t;
        const char *word;
    } cases[] = {
        {{8, 4, UINT, PHOTOMETRIC_RGB, 1, COMPRESSION_LZW, 0, false, NULL, 0}, "alpha"},
        {{8, 2, UINT, PHOTOMETRIC_MINISBLACK, 1, COMPRESSION_LZW, 0, true, NULL, 0}, "alpha"},
        {{8, 4, UINT, PHOTOMETRIC_SEPARATED, 1, COMPRESSION_LZW, 0, false, NULL, 0}, "CMYK"},
        {{8, 5, UINT, PHOTOMETRIC_RGB, 1, COMPRESSION_LZW, 0, false, NULL, 0}, "5 channels"},
        {{8, 3, UINT, PHOTOMETRIC_CIELAB, 1, COMPRESSION_LZW, 0, false, NULL, 0}, "photometric"},
        {{16, 1, SAMPLEFORMAT_INT, PHOTOMETRIC_MINISBLACK, 1, COMPRESSION_LZW, 0, false, NULL, 0}, "signed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rmp_image image;
        rmp_shape shape;
        write_tiff(path, &cases[i].t, 16, 16);
        expect_failure(rmp_image_read(path, &image), RMP_ERR_FORMAT, path, cases[i].word);
        expect_failure(rmp_image_probe(path, &shape), RMP_ERR_FORMAT, path, cases[i].word);
    }
    rmp_image image;
    TIFF *tiff = TIFFOpen(path, "w");
    const float nan[4] = {0.5F, NAN, 0.0F, 1.0F};
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, 4);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, 1);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 32);
    TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_IEEEFP);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    cr_assert(TIFFWriteEncodedStrip(tiff, 0, (void *)(uintptr_t)nan, sizeof nan) > 0);
    TIFFClose(tiff);
    expect_failure(rmp_image_read(path, &image), RMP_ERR_FORMAT, path, "finite");
}

Test(image_tiff, damage)
{
    const char *path = scratch_path("a.tif");
    for (int tiled = 0; tiled < 2; tiled++) {
        const tiff_case t = {8, 1, UINT, PHOTOMETRIC_MINISBLACK, 1, COMPRESSION_NONE, 0, tiled, NULL, 0};
        write_tiff(path, &t, 16, 20);
        expect_truncations(path, 1);
        try_damage(path, 1);
    }
}
