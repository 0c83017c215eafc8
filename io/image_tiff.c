#include "io/image_codec.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>
#include <unistd.h>

/* libtiff speaks through handlers: the first error is kept (later ones follow from it), and warnings that mean that
 * pixels were made up, which the fax and JPEG codecs give in place of errors. */
typedef struct messages {
    char error[200];
    char damage[200];
    bool missing; /* a value that a directory refers to lies behind the end of the file */
} messages;

static int on_error(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    (void)tiff, (void)module;
    messages *m = user;
    if (!m->error[0]) vsnprintf(m->error, sizeof m->error, format, args);
    return 1;
}

static int on_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    (void)tiff, (void)module;
    messages *m = user;
    char text[sizeof m->damage];
    vsnprintf(text, sizeof text, format, args);
    if (!m->damage[0] && (strstr(text, "remature") || strstr(text, "orrupt") || strstr(text, "mismatch")))
        memcpy(m->damage, text, sizeof text);
    if (strstr(text, "during reading of")) m->missing = true;
    return 1;
}

static const char *said(const messages *m) { return m->error[0] ? m->error : "no reason given"; }

typedef struct layout {
    uint32_t width, height;
    uint16_t bits, samples, format, photometric, planar, compression;
    int64_t channels; /* of the result */
    bool rgba;        /* through libtiff's own conversion to 8-bit RGB: sub-sampled YCbCr */
    const uint16_t *palette[3];
    bool palette_8bit; /* some writers store 0 ... 255 where 0 ... 65535 is meant */
} layout;

/* What one read gives: a tile, or a strip as a tile of the image's width; of one plane if planes are separate. */
typedef struct unit {
    bool tiled;
    uint32_t width, height;
    int64_t row_bytes, bytes;
    unsigned char *data;
} unit;

static rmp_status check_colors(TIFF *tiff, layout *l)
{
    uint16_t extra = 0, *kinds = NULL;
    int64_t colors = 1;
    switch (l->photometric) {
    case PHOTOMETRIC_MINISBLACK:
    case PHOTOMETRIC_MINISWHITE:
        l->channels = 1;
        break;
    case PHOTOMETRIC_PALETTE:
        l->channels = 3;
        break;
    case PHOTOMETRIC_RGB:
    case PHOTOMETRIC_YCBCR:
        l->channels = colors = 3;
        break;
    case PHOTOMETRIC_SEPARATED:
        return RMP_FAIL(RMP_ERR_FORMAT, "is a CMYK image; convert it to RGB");
    case PHOTOMETRIC_CFA:
        return RMP_FAIL(RMP_ERR_FORMAT, "is raw camera data; develop it first");
    default:
        return RMP_FAIL(RMP_ERR_FORMAT, "has photometric interpretation %d; gray, RGB, palette or YCbCr is needed",
                        l->photometric);
    }
    TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &extra, &kinds);
    for (uint16_t i = 0; i < extra; i++)
        RMP_CHECK(kinds[i] != EXTRASAMPLE_ASSOCALPHA && kinds[i] != EXTRASAMPLE_UNASSALPHA, RMP_ERR_FORMAT,
                  "has an alpha channel; remove it");
    RMP_CHECK(l->samples <= colors, RMP_ERR_FORMAT, "has %d channels where %" PRId64 " can be read; remove the others",
              l->samples, colors);
    RMP_CHECK(l->samples == colors, RMP_ERR_FORMAT, "is a colour image with %d channels", l->samples);
    return RMP_OK;
}

static rmp_status check_samples(const layout *l)
{
    const uint16_t bits = l->bits;
    switch (l->format) {
    case SAMPLEFORMAT_UINT:
    case SAMPLEFORMAT_VOID:
        RMP_CHECK(bits == 1 || bits == 2 || bits == 4 || bits == 8 || bits == 16 || bits == 32, RMP_ERR_FORMAT,
                  "has samples of %d bits; 1, 2, 4, 8, 16 or 32 are expected", bits);
        break;
    case SAMPLEFORMAT_IEEEFP:
        RMP_CHECK(bits == 16 || bits == 32 || bits == 64, RMP_ERR_FORMAT,
                  "has floating-point samples of %d bits; 16, 32 or 64 are expected", bits);
        break;
    case SAMPLEFORMAT_INT:
        return RMP_FAIL(RMP_ERR_FORMAT, "has signed integer samples; unsigned or floating-point ones are expected");
    default:
        return RMP_FAIL(RMP_ERR_FORMAT, "has complex samples; unsigned or floating-point ones are expected");
    }
    const bool integer = l->format != SAMPLEFORMAT_IEEEFP;
    if (l->photometric == PHOTOMETRIC_PALETTE)
        RMP_CHECK(integer && bits <= 16, RMP_ERR_FORMAT, "has a palette with samples of %d bits", bits);
    if (l->photometric == PHOTOMETRIC_YCBCR)
        RMP_CHECK(integer && bits == 8, RMP_ERR_FORMAT, "is a YCbCr image with samples of %d bits; 8 are expected",
                  bits);
    return RMP_OK;
}

static rmp_status find_palette(TIFF *tiff, layout *l)
{
    uint16_t *map[3] = {NULL, NULL, NULL};
    RMP_CHECK(TIFFGetField(tiff, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2]) && map[0] && map[1] && map[2],
              RMP_ERR_FORMAT, "has no colour map for its palette");
    l->palette_8bit = true;
    for (int c = 0; c < 3; c++) {
        l->palette[c] = map[c];
        for (uint32_t i = 0; i < UINT32_C(1) << l->bits; i++)
            l->palette_8bit = l->palette_8bit && map[c][i] < 256;
    }
    return RMP_OK;
}

static rmp_status read_layout(TIFF *tiff, layout *l)
{
    memset(l, 0, sizeof *l);
    TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &l->width);
    TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &l->height);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &l->bits);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &l->samples);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &l->format);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &l->planar);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &l->compression);
    if (!TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &l->photometric)) /* older writers leave it out */
        l->photometric = l->samples < 3 ? PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB;
    RMP_CHECK(TIFFIsCODECConfigured(l->compression), RMP_ERR_FORMAT, "has compression %d, which libtiff cannot read",
              l->compression);
    RMP_TRY(check_colors(tiff, l));
    RMP_TRY(check_samples(l));
    if (l->photometric == PHOTOMETRIC_PALETTE) RMP_TRY(find_palette(tiff, l));
    if (l->photometric == PHOTOMETRIC_YCBCR) {
        if (l->compression == COMPRESSION_JPEG && l->planar == PLANARCONFIG_CONTIG)
            TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        else
            l->rgba = true;
    }
    return RMP_OK;
}

/* Element i of a row, as a value of [-1, 1], black -1 (for a palette: the index, unscaled). */
static float sample_value(const layout *l, const unsigned char *row, int64_t i)
{
    if (l->format == SAMPLEFORMAT_IEEEFP) {
        double value;
        if (l->bits == 64) {
            memcpy(&value, row + 8 * i, sizeof value);
        } else if (l->bits == 32) {
            float single;
            memcpy(&single, row + 4 * i, sizeof single);
            value = (double)single;
        } else {
            uint16_t half;
            memcpy(&half, row + 2 * i, sizeof half);
            const int exponent = half >> 10 & 31, mantissa = half & 1023;
            if (exponent == 31)
                value = mantissa ? (double)NAN : (double)INFINITY;
            else
                value = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
            if (half & 0x8000) value = -value;
        }
        return (float)(2.0 * value - 1.0);
    }
    uint32_t sample = 0;
    if (l->bits == 8) {
        sample = row[i];
    } else if (l->bits == 16) {
        uint16_t two;
        memcpy(&two, row + 2 * i, sizeof two);
        sample = two;
    } else if (l->bits == 32) {
        memcpy(&sample, row + 4 * i, sizeof sample);
    } else { /* 1, 2, 4 bits, first sample in the high bits */
        const int64_t bit = i * l->bits;
        sample = (uint32_t)(row[bit >> 3] >> (8 - l->bits - (bit & 7))) & ((1U << l->bits) - 1U);
    }
    if (l->photometric == PHOTOMETRIC_PALETTE) return (float)sample;
    return rmp_codec_value(sample, UINT32_MAX >> (32 - l->bits));
}

/* `count` pixels of one row of a unit; `plane` counts only if planes are separate. */
static void convert_row(const layout *l, const unsigned char *row, int64_t count, int64_t plane, float *out)
{
    const int64_t channels = l->channels;
    if (l->photometric == PHOTOMETRIC_PALETTE) {
        const uint32_t max = l->palette_8bit ? 255 : 65535;
        for (int64_t x = 0; x < count; x++) {
            const uint32_t index = (uint32_t)sample_value(l, row, x);
            for (int c = 0; c < 3; c++)
                out[3 * x + c] = rmp_codec_value(l->palette[c][index], max);
        }
    } else if (l->planar == PLANARCONFIG_SEPARATE) {
        for (int64_t x = 0; x < count; x++)
            out[x * channels + plane] = sample_value(l, row, x);
    } else {
        for (int64_t i = 0; i < count * channels; i++)
            out[i] = sample_value(l, row, i);
    }
    if (l->photometric == PHOTOMETRIC_MINISWHITE)
        for (int64_t x = 0; x < count; x++)
            out[x] = -out[x];
}

static rmp_status check_read(TIFF *tiff, const rmp_codec_input *input, const messages *m, uint32_t index, bool ok)
{
    if (ok && !m->damage[0]) return RMP_OK;
    const uint64_t size = (uint64_t)input->size;
    const uint64_t begin = TIFFGetStrileOffset(tiff, index), bytes = TIFFGetStrileByteCount(tiff, index);
    RMP_CHECK(begin < size && bytes <= size - begin, RMP_ERR_FORMAT,
              "is truncated: its pixels end behind the end of the file");
    return RMP_FAIL(RMP_ERR_FORMAT, "is damaged: %s", m->damage[0] ? m->damage : said(m));
}

static rmp_status read_unit(TIFF *tiff, const rmp_codec_input *input, const messages *m, const layout *l, const unit *u,
                            uint32_t x, uint32_t y, uint16_t plane, rmp_image *out)
{
    const uint32_t rows = l->height - y < u->height ? l->height - y : u->height;
    const uint32_t columns = l->width - x < u->width ? l->width - x : u->width;
    uint32_t index;
    tmsize_t got;
    if (u->tiled) {
        index = TIFFComputeTile(tiff, x, y, 0, plane);
        got = TIFFReadEncodedTile(tiff, index, u->data, u->bytes);
    } else {
        index = TIFFComputeStrip(tiff, y, plane);
        got = TIFFReadEncodedStrip(tiff, index, u->data, u->bytes);
    }
    RMP_TRY(check_read(tiff, input, m, index, got >= (tmsize_t)rows * u->row_bytes));
    for (uint32_t r = 0; r < rows; r++) {
        float *values = out->values + ((int64_t)(y + r) * l->width + x) * l->channels;
        convert_row(l, u->data + (int64_t)r * u->row_bytes, columns, plane, values);
    }
    return RMP_OK;
}

static rmp_status find_unit(TIFF *tiff, const rmp_codec_input *input, const layout *l, unit *u)
{
    u->tiled = TIFFIsTiled(tiff);
    if (u->tiled) {
        TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &u->width);
        TIFFGetField(tiff, TIFFTAG_TILELENGTH, &u->height);
        u->row_bytes = TIFFTileRowSize(tiff);
        u->bytes = TIFFTileSize(tiff);
    } else {
        TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &u->height);
        if (u->height > l->height) u->height = l->height;
        u->width = l->width;
        u->row_bytes = TIFFScanlineSize(tiff);
        u->bytes = TIFFStripSize(tiff);
    }
    const int64_t samples = l->planar == PLANARCONFIG_SEPARATE ? 1 : l->samples;
    RMP_CHECK(u->width > 0 && u->height > 0 && u->bytes > 0 && u->row_bytes >= (u->width * samples * l->bits + 7) / 8 &&
                  u->bytes / u->row_bytes >= u->height,
              RMP_ERR_FORMAT, "is damaged: strips or tiles of %" PRId64 " bytes", u->bytes);
    RMP_CHECK(!u->tiled || u->bytes <= INT64_C(1) << 30, RMP_ERR_FORMAT, "has tiles of %" PRId64 " bytes, over 1 GiB",
              u->bytes);
    if (l->compression == COMPRESSION_NONE) {
        const int64_t planes = l->samples / samples;
        const int64_t row = (l->width * samples * l->bits + 7) / 8;
        RMP_CHECK(l->height <= input->size / row / planes, RMP_ERR_FORMAT,
                  "is truncated: its pixels need %" PRId64 " bytes and the file has %" PRId64, row * planes * l->height,
                  input->size);
    }
    return RMP_OK;
}

static rmp_status read_units(TIFF *tiff, const rmp_codec_input *input, const messages *m, const layout *l,
                             rmp_image *out)
{
    unit u = {0};
    RMP_TRY(find_unit(tiff, input, l, &u));
    u.data = calloc(1, (size_t)u.bytes);
    RMP_CHECK(u.data, RMP_ERR_MEMORY, "no memory for a strip or tile of %" PRId64 " bytes", u.bytes);
    const uint16_t planes = l->planar == PLANARCONFIG_SEPARATE ? l->samples : 1;
    rmp_status status = RMP_OK;
    /* 64-bit: the last step may leave the range of the 32-bit sizes. */
    for (uint16_t plane = 0; plane < planes; plane++)
        for (uint64_t y = 0; y < l->height; y += u.height)
            for (uint64_t x = 0; x < l->width; x += u.width)
                RMP_TRY_GOTO(read_unit(tiff, input, m, l, &u, (uint32_t)x, (uint32_t)y, plane, out), done);
    const int64_t count = rmp_shape_count(out->shape);
    if (l->format == SAMPLEFORMAT_IEEEFP)
        for (int64_t i = 0; i < count; i++)
            RMP_CHECK_GOTO(isfinite(out->values[i]), RMP_ERR_FORMAT, done, "has pixels that are not finite numbers");
done:
    free(u.data);
    return status;
}

/* The best that a compression can do on pixels of one bit. */
static int64_t pixels_per_byte(uint16_t compression)
{
    switch (compression) {
    case COMPRESSION_NONE:
        return 8;
    case COMPRESSION_PACKBITS: /* 128 bytes in two */
        return 8 * 64;
    case COMPRESSION_LZW: /* a code of 9 bits or more for at most 4096 bytes */
        return 8 * 4096;
    case COMPRESSION_DEFLATE:
    case COMPRESSION_ADOBE_DEFLATE:
        return 8 * 1032;
    case COMPRESSION_JPEG:
    case COMPRESSION_OJPEG: /* a bit for an 8x8 block */
        return 512;
    default: /* fax and JBIG code a blank row in a bit or less, Zstandard 128 KiB in four bytes */
        return INT64_C(1) << 20;
    }
}

static rmp_status read_rgba(TIFF *tiff, const messages *m, const layout *l, rmp_image *out)
{
    const int64_t count = (int64_t)l->width * l->height;
    uint32_t *raster = malloc((size_t)count * sizeof *raster);
    RMP_CHECK(raster, RMP_ERR_MEMORY, "no memory for %" PRId64 " pixels", count);
    uint16_t orientation = ORIENTATION_TOPLEFT; /* asked for as stored: rows stay in the order of the file */
    TIFFGetFieldDefaulted(tiff, TIFFTAG_ORIENTATION, &orientation);
    const bool ok = TIFFReadRGBAImageOriented(tiff, l->width, l->height, raster, orientation, 1) && !m->damage[0];
    for (int64_t i = 0; ok && i < count; i++) {
        out->values[3 * i] = rmp_codec_value(TIFFGetR(raster[i]), 255);
        out->values[3 * i + 1] = rmp_codec_value(TIFFGetG(raster[i]), 255);
        out->values[3 * i + 2] = rmp_codec_value(TIFFGetB(raster[i]), 255);
    }
    free(raster);
    RMP_CHECK(ok, RMP_ERR_FORMAT, "is truncated or damaged: %s", m->damage[0] ? m->damage : said(m));
    return RMP_OK;
}

/* libtiff goes on without the values and the link that follow a directory; a file that lacks them is truncated. */
static rmp_status check_directory(TIFF *tiff, const rmp_codec_input *input, const messages *m)
{
    const bool swap = TIFFIsByteSwapped(tiff), big = TIFFIsBigTIFF(tiff);
    const uint64_t begin = TIFFCurrentDirOffset(tiff);
    uint64_t entries = 0;
    if (big) {
        RMP_CHECK(pread(input->fd, &entries, 8, (off_t)begin) == 8, RMP_ERR_FORMAT, "is truncated");
        if (swap) TIFFSwabLong8(&entries);
    } else {
        uint16_t count = 0;
        RMP_CHECK(pread(input->fd, &count, 2, (off_t)begin) == 2, RMP_ERR_FORMAT, "is truncated");
        if (swap) TIFFSwabShort(&count);
        entries = count;
    }
    const uint64_t end = begin + (big ? 8 + 20 * entries + 8 : 2 + 12 * entries + 4); /* libtiff checked the count */
    RMP_CHECK(end <= (uint64_t)input->size && !m->missing, RMP_ERR_FORMAT,
              "is truncated: its directory ends behind the end of the file");
    return RMP_OK;
}

static TIFFOpenOptions *make_options(messages *m)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options) return NULL;
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, m);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, m);
    return options;
}

rmp_status rmp_tiff_decode(const rmp_codec_input *input, rmp_image *out)
{
    messages m = {{0}, {0}, false};
    layout l;
    const int fd = dup(input->fd);
    TIFFOpenOptions *options = fd >= 0 ? make_options(&m) : NULL;
    /* "m": no mapping, so that a file that shrinks is an error and not a signal. */
    TIFF *tiff = options ? TIFFFdOpenExt(fd, input->path, "rm", options) : NULL;
    TIFFOpenOptionsFree(options);
    if (!tiff) {
        if (fd >= 0) close(fd);
        RMP_CHECK(options, RMP_ERR_MEMORY, "no memory or file descriptor to read it");
        return RMP_FAIL(RMP_ERR_FORMAT, "is truncated or damaged: %s", said(&m));
    }
    rmp_status status = check_directory(tiff, input, &m);
    if (status == RMP_OK) status = read_layout(tiff, &l);
    if (status == RMP_OK) {
        const rmp_shape shape = {.h = l.height, .w = l.width, .c = l.channels};
        status = rmp_codec_allocate(input, shape, pixels_per_byte(l.compression), out);
    }
    memset(&m, 0, sizeof m); /* what was said about unknown tags is no damage to pixels */
    if (status == RMP_OK && !input->header_only)
        status = l.rgba ? read_rgba(tiff, &m, &l, out) : read_units(tiff, input, &m, &l, out);
    TIFFClose(tiff);
    return status;
}

static tmsize_t memory_read(thandle_t handle, void *bytes, tmsize_t size)
{
    rmp_codec_buffer *b = handle;
    const size_t rest = b->position < b->size ? b->size - b->position : 0;
    const size_t count = (size_t)size < rest ? (size_t)size : rest;
    if (count > 0) memcpy(bytes, b->bytes + b->position, count);
    b->position += count;
    return (tmsize_t)count;
}

static tmsize_t memory_write(thandle_t handle, void *bytes, tmsize_t size)
{
    return rmp_codec_buffer_write(handle, bytes, (size_t)size) ? size : -1;
}

static toff_t memory_seek(thandle_t handle, toff_t offset, int whence)
{
    rmp_codec_buffer *b = handle;
    const toff_t base = whence == SEEK_CUR ? b->position : whence == SEEK_END ? b->size : 0;
    b->position = (size_t)(base + offset);
    return b->position;
}

static int memory_close(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t memory_size(thandle_t handle) { return ((rmp_codec_buffer *)handle)->size; }

static bool write_tags(TIFF *tiff, rmp_shape shape, uint32_t max)
{
    const int bits = max == 0 ? 32 : max > 255 ? 16 : 8;
    /* Strips of about 256 KiB: enough for the compressor, little for a reader of a part. */
    const int64_t rows = (INT64_C(1) << 18) / (shape.w * shape.c * bits / 8);
    return TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, (uint32_t)shape.w) &&
           TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, (uint32_t)shape.h) &&
           TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, bits) &&
           TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, (int)shape.c) &&
           TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, max == 0 ? SAMPLEFORMAT_IEEEFP : SAMPLEFORMAT_UINT) &&
           TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, shape.c == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK) &&
           TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) &&
           TIFFSetField(tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT) &&
           TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE) &&
           TIFFSetField(tiff, TIFFTAG_PREDICTOR, max == 0 ? PREDICTOR_FLOATINGPOINT : PREDICTOR_HORIZONTAL) &&
           TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP,
                        (uint32_t)(rows < 1         ? 1
                                   : rows < shape.h ? rows
                                                    : shape.h));
}

static bool write_rows(TIFF *tiff, const rmp_image *image, uint32_t max, unsigned char *row)
{
    const int64_t count = image->shape.w * image->shape.c;
    for (int64_t y = 0; y < image->shape.h; y++) {
        const float *values = image->values + y * count;
        for (int64_t i = 0; i < count; i++) {
            if (max == 0) {
                const float value = (float)(((double)values[i] + 1.0) * 0.5);
                memcpy(row + 4 * i, &value, sizeof value);
            } else if (max > 255) {
                const uint16_t sample = (uint16_t)rmp_codec_sample(values[i], max);
                memcpy(row + 2 * i, &sample, sizeof sample);
            } else {
                row[i] = (unsigned char)rmp_codec_sample(values[i], max);
            }
        }
        if (TIFFWriteScanline(tiff, row, (uint32_t)y, 0) != 1) return false;
    }
    return true;
}

rmp_status rmp_tiff_encode(const rmp_image *image, uint32_t max, rmp_codec_buffer *out)
{
    messages m = {{0}, {0}, false};
    const int64_t bytes = rmp_shape_count(image->shape) * (int64_t)sizeof(float);
    unsigned char *row = malloc((size_t)(image->shape.w * image->shape.c) * sizeof(float));
    TIFFOpenOptions *options = make_options(&m);
    /* Little-endian everywhere; BigTIFF where offsets of 32 bits might not reach. */
    TIFF *tiff = NULL;
    if (row && options)
        tiff = TIFFClientOpenExt("memory", bytes > INT64_C(2000000000) ? "w8l" : "wl", out, memory_read, memory_write,
                                 memory_seek, memory_close, memory_size, NULL, NULL, options);
    const bool opened = tiff != NULL;
    bool ok = opened && write_tags(tiff, image->shape, max) && write_rows(tiff, image, max, row);
    if (opened) {
        ok = TIFFFlush(tiff) == 1 && ok;
        TIFFClose(tiff);
    }
    if (options) TIFFOpenOptionsFree(options);
    free(row);
    RMP_CHECK(ok, RMP_ERR_MEMORY, "a TIFF cannot be encoded: %s", said(&m));
    return RMP_OK;
}
