#include "io/image_codec.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jpeglib.h needs stdio.h and stdlib.h before it. */
#include <jerror.h>
#include <jpeglib.h>

/* A hostile progressive file can hold millions of scans of the whole image; real ones have about ten. */
enum { MAX_SCANS = 1000 };

/* The library finds the whole through its first members. */
typedef struct jpeg_state {
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct jpeg;
    jmp_buf jump;
    FILE *file;
    unsigned char *row;
    rmp_status code;
    char message[JMSG_LENGTH_MAX + 32];
} jpeg_state;

_Noreturn static void on_error(j_common_ptr jpeg)
{
    jpeg_state *state = jpeg->client_data;
    char text[JMSG_LENGTH_MAX];
    state->errors.format_message(jpeg, text);
    if (state->errors.msg_code == JERR_OUT_OF_MEMORY) state->code = RMP_ERR_MEMORY;
    if (ferror(state->file)) state->code = RMP_ERR_IO;
    snprintf(state->message, sizeof state->message, "%s", text);
    longjmp(state->jump, 1);
}

/* The library mends damage with grey and goes on; here only what loses no pixel may pass. */
static void on_message(j_common_ptr jpeg, int level)
{
    jpeg_state *state = jpeg->client_data;
    if (level >= 0) return;
    switch (state->errors.msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA:
        return;
    case JWRN_JPEG_EOF:
        snprintf(state->message, sizeof state->message, "is truncated");
        break;
    default: {
        char text[JMSG_LENGTH_MAX];
        state->errors.format_message(jpeg, text);
        snprintf(state->message, sizeof state->message, "is damaged: %s", text);
    }
    }
    if (ferror(state->file)) state->code = RMP_ERR_IO;
    longjmp(state->jump, 1);
}

static void on_output(j_common_ptr jpeg) { (void)jpeg; }

static void on_progress(j_common_ptr jpeg)
{
    jpeg_state *state = jpeg->client_data;
    if (!jpeg->is_decompressor || state->jpeg.input_scan_number <= MAX_SCANS) return;
    snprintf(state->message, sizeof state->message, "is damaged: more than %d scans", MAX_SCANS);
    longjmp(state->jump, 1);
}

static rmp_status header(jpeg_state *state, const rmp_codec_input *input, rmp_image *out)
{
    struct jpeg_decompress_struct *jpeg = &state->jpeg;
    jpeg_read_header(jpeg, TRUE);
    switch (jpeg->jpeg_color_space) {
    case JCS_GRAYSCALE:
        jpeg->out_color_space = JCS_GRAYSCALE;
        break;
    case JCS_YCbCr:
    case JCS_RGB:
        jpeg->out_color_space = JCS_RGB;
        break;
    case JCS_CMYK:
    case JCS_YCCK:
        return RMP_FAIL(RMP_ERR_FORMAT, "is a CMYK image; convert it to RGB");
    default:
        return RMP_FAIL(RMP_ERR_FORMAT, "has %d colour channels of an unknown kind", jpeg->num_components);
    }
    const rmp_shape shape = {
        .h = jpeg->image_height, .w = jpeg->image_width, .c = jpeg->out_color_space == JCS_RGB ? 3 : 1};
    /* Some component has all 8x8 blocks, and Huffman codes take a bit for each at least; arithmetic ones may take less.
     */
    return rmp_codec_allocate(input, shape, jpeg->arith_code ? 512 * 64 : 512, out);
}

static rmp_status decode(jpeg_state *state, const rmp_codec_input *input, rmp_image *out)
{
    if (setjmp(state->jump)) return RMP_FAIL(state->code, "%s", state->message);
    struct jpeg_decompress_struct *jpeg = &state->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->progress = &state->progress;
    jpeg_stdio_src(jpeg, state->file);
    RMP_TRY(header(state, input, out));
    if (input->header_only) return RMP_OK;
    const int64_t count = out->shape.w * out->shape.c;
    state->row = malloc((size_t)count);
    RMP_CHECK(state->row, RMP_ERR_MEMORY, "no memory for a row of %lld bytes", (long long)count);
    jpeg->dct_method = JDCT_ISLOW;
    jpeg_start_decompress(jpeg);
    for (int64_t y = 0; y < out->shape.h; y++) {
        JSAMPROW row = state->row;
        jpeg_read_scanlines(jpeg, &row, 1);
        float *values = out->values + y * count;
        for (int64_t i = 0; i < count; i++)
            values[i] = rmp_codec_value(row[i], 255);
    }
    jpeg_finish_decompress(jpeg); /* reads on to the end marker */
    return RMP_OK;
}

rmp_status rmp_jpeg_decode(const rmp_codec_input *input, rmp_image *out)
{
    jpeg_state *state = calloc(1, sizeof *state);
    RMP_CHECK(state, RMP_ERR_MEMORY, "no memory to read it");
    void *file = NULL;
    rmp_status status = rmp_codec_stream(input, &file);
    if (status == RMP_OK) {
        state->file = file;
        state->code = RMP_ERR_FORMAT;
        state->jpeg.err = jpeg_std_error(&state->errors);
        state->jpeg.client_data = state;
        state->errors.error_exit = on_error;
        state->errors.emit_message = on_message;
        state->errors.output_message = on_output;
        state->progress.progress_monitor = on_progress;
        status = decode(state, input, out);
        jpeg_destroy_decompress(&state->jpeg);
        fclose(state->file);
    }
    free(state->row);
    free(state);
    return status;
}
