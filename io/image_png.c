#include "io/image_codec.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a longjmp out of libpng must find again; lives in the frame of the caller of the function with the setjmp. */
typedef struct png_state {
    png_structp png;
    png_infop info;
    FILE *file;
    unsigned char *rows; /* one row, or all of them if interlaced */
    rmp_status code;
    char message[160];
} png_state;

_Noreturn static void on_error(png_structp png, png_const_charp message)
{
    png_state *state = png_get_error_ptr(png);
    snprintf(state->message, sizeof state->message, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void on_read(png_structp png, png_bytep data, size_t size)
{
    png_state *state = png_get_io_ptr(png);
    if (fread(data, 1, size, state->file) == size) return;
    if (ferror(state->file)) {
        state->code = RMP_ERR_IO;
        png_error(png, "cannot be read");
    }
    png_error(png, "is truncated");
}

static rmp_status header(png_state *state, const rmp_codec_input *input, rmp_image *out)
{
    png_read_info(state->png, state->info);
    const int color = png_get_color_type(state->png, state->info);
    RMP_CHECK(!(color & PNG_COLOR_MASK_ALPHA) && !png_get_valid(state->png, state->info, PNG_INFO_tRNS), RMP_ERR_FORMAT,
              "has an alpha channel; remove it");
    const rmp_shape shape = {.h = png_get_image_height(state->png, state->info),
                             .w = png_get_image_width(state->png, state->info),
                             .c = color & PNG_COLOR_MASK_COLOR ? 3 : 1};
    /* Deflate reaches 1032:1 at best; eight 1-bit pixels are a byte. */
    return rmp_codec_allocate(input, shape, 8 * 1032, out);
}

static void convert_row(const unsigned char *row, int depth, int64_t count, float *out)
{
    if (depth == 16)
        for (int64_t i = 0; i < count; i++)
            out[i] = rmp_codec_value((uint32_t)row[2 * i] << 8 | row[2 * i + 1], 65535);
    else
        for (int64_t i = 0; i < count; i++)
            out[i] = rmp_codec_value(row[i], 255);
}

static rmp_status pixels(png_state *state, rmp_image *out)
{
    png_set_expand(state->png); /* palette to RGB, 1, 2 and 4 bits to 8 */
    const int passes = png_set_interlace_handling(state->png);
    png_read_update_info(state->png, state->info);
    const int depth = png_get_bit_depth(state->png, state->info);
    const size_t row_bytes = png_get_rowbytes(state->png, state->info);
    const int64_t count = out->shape.w * out->shape.c;
    RMP_CHECK(row_bytes == (size_t)count * (depth == 16 ? 2 : 1), RMP_ERR_INTERNAL, "row of %zu bytes", row_bytes);
    const size_t kept = passes > 1 ? (size_t)out->shape.h : 1;
    state->rows = malloc(row_bytes * kept);
    RMP_CHECK(state->rows, RMP_ERR_MEMORY, "no memory for %zu rows of %zu bytes", kept, row_bytes);
    for (int pass = 0; pass + 1 < passes; pass++)
        for (int64_t y = 0; y < out->shape.h; y++)
            png_read_row(state->png, state->rows + row_bytes * (size_t)y, NULL);
    for (int64_t y = 0; y < out->shape.h; y++) {
        unsigned char *row = state->rows + (passes > 1 ? row_bytes * (size_t)y : 0);
        png_read_row(state->png, row, NULL);
        convert_row(row, depth, count, out->values + y * count);
    }
    png_read_end(state->png, NULL); /* a file without its end is truncated too */
    return RMP_OK;
}

static rmp_status decode(png_state *state, const rmp_codec_input *input, rmp_image *out)
{
    if (setjmp(png_jmpbuf(state->png))) return RMP_FAIL(state->code, "%s", state->message);
    png_set_read_fn(state->png, state, on_read);
    png_set_user_limits(state->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* rmp_codec_allocate has the limits */
    RMP_TRY(header(state, input, out));
    return input->header_only ? RMP_OK : pixels(state, out);
}

rmp_status rmp_png_decode(const rmp_codec_input *input, rmp_image *out)
{
    png_state state = {.code = RMP_ERR_FORMAT};
    void *file = NULL;
    RMP_TRY(rmp_codec_stream(input, &file));
    state.file = file;
    rmp_status status = RMP_ERR_MEMORY;
    state.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, on_error, on_warning);
    if (state.png) state.info = png_create_info_struct(state.png);
    if (state.info)
        status = decode(&state, input, out);
    else
        status = RMP_FAIL(RMP_ERR_MEMORY, "no memory to read it");
    png_destroy_read_struct(&state.png, &state.info, NULL);
    free(state.rows);
    fclose(state.file);
    return status;
}

static void on_write(png_structp png, png_bytep data, size_t size)
{
    if (!rmp_codec_buffer_write(png_get_io_ptr(png), data, size)) png_error(png, "no memory to encode a PNG");
}

static void on_flush(png_structp png) { (void)png; }

static rmp_status encode(png_state *state, const rmp_image *image, uint32_t max, rmp_codec_buffer *out)
{
    if (setjmp(png_jmpbuf(state->png))) return RMP_FAIL(RMP_ERR_MEMORY, "%s", state->message);
    const int64_t count = image->shape.w * image->shape.c;
    const int depth = max > 255 ? 16 : 8;
    png_set_write_fn(state->png, out, on_write, on_flush);
    png_set_user_limits(state->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_IHDR(state->png, state->info, (png_uint_32)image->shape.w, (png_uint_32)image->shape.h, depth,
                 image->shape.c == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(state->png, state->info);
    for (int64_t y = 0; y < image->shape.h; y++) {
        const float *values = image->values + y * count;
        for (int64_t i = 0; i < count; i++) {
            const uint32_t sample = rmp_codec_sample(values[i], max);
            if (depth == 16) {
                state->rows[2 * i] = (unsigned char)(sample >> 8);
                state->rows[2 * i + 1] = (unsigned char)(sample & 255);
            } else {
                state->rows[i] = (unsigned char)sample;
            }
        }
        png_write_row(state->png, state->rows);
    }
    png_write_end(state->png, NULL);
    return RMP_OK;
}

rmp_status rmp_png_encode(const rmp_image *image, uint32_t max, rmp_codec_buffer *out)
{
    png_state state = {.code = RMP_ERR_MEMORY};
    state.rows = malloc((size_t)(image->shape.w * image->shape.c) * 2);
    state.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &state, on_error, on_warning);
    if (state.png) state.info = png_create_info_struct(state.png);
    rmp_status status;
    if (state.info && state.rows)
        status = encode(&state, image, max, out);
    else
        status = RMP_FAIL(RMP_ERR_MEMORY, "no memory to encode a PNG");
    png_destroy_write_struct(&state.png, &state.info);
    free(state.rows);
    return status;
}
