#include "jobs/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static rmp_status read_mask(const rmp_task *task, const rmp_item *item, rmp_sample *out)
{
    const rmp_operator_config *masked = rmp_operator_config_mask(&task->op);
    const bool own = item->mask != NULL, given = own || task->mask.values != NULL;
    RMP_CHECK(!own || masked != NULL, RMP_ERR_CONFIG, "a mask is given, but the operator takes none");
    if (masked == NULL) return RMP_OK;
    RMP_CHECK(given || masked->kind != RMP_OPERATOR_INPAINT_MASK, RMP_ERR_CONFIG,
              "inpaint_mask: no mask (operator.mask, or the column mask of a manifest)");
    RMP_CHECK(given || out->measured.values == NULL, RMP_ERR_CONFIG,
              "a measurement with missing pixels needs its mask (column mask of the manifest)");
    if (!given) return RMP_OK;
    rmp_image read = {{0, 0, 0}, NULL};
    rmp_shape measured;
    RMP_TRY(rmp_operator_measured_shape(&task->op, out->shape, &measured));
    if (own) RMP_TRY(rmp_image_read(item->mask, &read));
    const rmp_image *image = own ? &read : &task->mask;
    const int64_t pixels = measured.h * measured.w, c = image->shape.c;
    rmp_status status = RMP_OK;
    RMP_CHECK_GOTO(image->shape.h == measured.h && image->shape.w == measured.w, RMP_ERR_FORMAT, done,
                   "the mask is %lld x %lld, the %s %lld x %lld", (long long)image->shape.h, (long long)image->shape.w,
                   task->op.kind == RMP_OPERATOR_COMPOSE ? "measurement" : "image", (long long)measured.h,
                   (long long)measured.w);
    out->mask = malloc((size_t)pixels * sizeof(float));
    RMP_CHECK_GOTO(out->mask != NULL, RMP_ERR_MEMORY, done, "no memory for a mask");
    for (int64_t i = 0; i < pixels; i++)
        out->mask[i] = image->values[i * c] > 0 ? 1.0f : 0.0f;
done:
    rmp_image_free(&read);
    return status;
}

static rmp_status check_channels(const rmp_task *task, const rmp_image *image, rmp_sample *out)
{
    out->channels = image->shape.c;
    RMP_CHECK(image->shape.c == task->channels || (image->shape.c == 1 && task->channels == 3), RMP_ERR_FORMAT,
              "it has %lld channels, the network takes %lld", (long long)image->shape.c, (long long)task->channels);
    return RMP_OK;
}

/* Measurements have the image's channels, unless the operator mixes them: then the image's are the prior's. */
static rmp_status read_measurement(const rmp_task *task, const char *path, rmp_sample *out)
{
    const int64_t channels = rmp_operator_config_channels(&task->op, task->channels);
    RMP_TRY(rmp_image_read(path, &out->measured));
    if (channels == task->channels) {
        RMP_TRY(check_channels(task, &out->measured, out));
    } else {
        RMP_CHECK(out->measured.shape.c == channels, RMP_ERR_FORMAT,
                  "the measurement has %lld channels, the operator measures %lld", (long long)out->measured.shape.c,
                  (long long)channels);
        out->channels = task->channels;
    }
    rmp_shape measured = out->measured.shape;
    measured.c = channels;
    return rmp_operator_image_shape(&task->op, measured, &out->shape);
}

static rmp_status crop(const rmp_job *job, const rmp_item *item, rmp_image *image)
{
    if (job->input.crop_h == 0) return RMP_OK;
    RMP_CHECK(item->measurement == NULL, RMP_ERR_CONFIG, "input.crop: a measurement that is given cannot be cropped");
    const rmp_status status = rmp_image_crop(image, job->input.crop_h, job->input.crop_w);
    return status != RMP_OK ? rmp_fail_context(status, "input.crop") : RMP_OK;
}

static rmp_status read_images(const rmp_task *task, const rmp_item *item, rmp_sample *out)
{
    const bool mixed = rmp_operator_config_channels(&task->op, task->channels) != task->channels;
    if (item->measurement != NULL) RMP_TRY(read_measurement(task, item->measurement, out));
    if (item->image == NULL) return RMP_OK;
    RMP_TRY(rmp_image_read(item->image, &out->truth));
    RMP_TRY(crop(task->job, item, &out->truth));
    RMP_TRY(check_channels(task, &out->truth, out));
    const rmp_shape s = {out->truth.shape.h, out->truth.shape.w, task->channels};
    if (out->measured.values != NULL) {
        RMP_CHECK(mixed || out->measured.shape.c == out->truth.shape.c, RMP_ERR_FORMAT,
                  "image and measurement have different numbers of channels");
        rmp_shape expected;
        RMP_TRY(rmp_operator_measured_shape(&task->op, s, &expected));
        RMP_CHECK(expected.h == out->measured.shape.h && expected.w == out->measured.shape.w, RMP_ERR_FORMAT,
                  "the measurement is %lld x %lld; of this image (%lld x %lld) it would be %lld x %lld",
                  (long long)out->measured.shape.h, (long long)out->measured.shape.w, (long long)s.h, (long long)s.w,
                  (long long)expected.h, (long long)expected.w);
    }
    out->shape = s;
    return RMP_OK;
}

static rmp_status read_tensor(const rmp_tensor *t, int64_t item, rmp_image *out)
{
    if (t == NULL) return RMP_OK;
    out->shape = (rmp_shape){1, 1, t->dims[1]};
    out->values = malloc((size_t)t->dims[1] * sizeof(float));
    RMP_CHECK(out->values != NULL, RMP_ERR_MEMORY, "no memory for item %lld", (long long)item);
    rmp_tensor_read_f32(t, item * t->dims[1], t->dims[1], out->values);
    return RMP_OK;
}

static rmp_status read_all(const rmp_task *task, const rmp_item *item, rmp_sample *out)
{
    if (task->tensors != NULL) {
        out->shape = (rmp_shape){1, 1, task->channels};
        out->channels = task->channels;
        RMP_TRY(read_tensor(task->x, item->index, &out->truth));
        return read_tensor(task->y, item->index, &out->measured);
    }
    RMP_TRY(read_images(task, item, out));
    return read_mask(task, item, out);
}

rmp_status rmp_sample_read(const rmp_task *task, const rmp_item *item, rmp_sample *out)
{
    memset(out, 0, sizeof *out);
    rmp_status status = read_all(task, item, out);
    if (status != RMP_OK) rmp_sample_free(out);
    return status;
}

void rmp_sample_free(rmp_sample *sample)
{
    rmp_image_free(&sample->truth);
    rmp_image_free(&sample->measured);
    free(sample->mask);
    memset(sample, 0, sizeof *sample);
}

void rmp_channels_repeat(const float *in, int64_t pixels, int64_t from, int64_t to, float *out)
{
    for (int64_t p = 0; p < pixels; p++) {
        for (int64_t k = 0; k < to; k++)
            out[p * to + k] = in[p * from + (from == to ? k : 0)];
    }
}

void rmp_channels_mean(const float *in, int64_t pixels, int64_t from, int64_t to, float *out)
{
    if (from == to) {
        memcpy(out, in, (size_t)(pixels * to) * sizeof(float));
        return;
    }
    for (int64_t p = 0; p < pixels; p++) {
        double sum = 0;
        for (int64_t k = 0; k < from; k++)
            sum += (double)in[p * from + k];
        out[p] = (float)(sum / (double)from);
    }
}

/* Rows of length `in` and stride 1 pixel become rows of length `out`. */
static void apply_rows(const rmp_taps *taps, const float *in, int64_t rows, int64_t c, float *out)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *from = in + r * taps->in * c;
        float *to = out + r * taps->out * c;
        for (int64_t i = 0; i < taps->out; i++) {
            for (int64_t k = 0; k < c; k++) {
                double sum = 0;
                for (int64_t t = taps->start[i]; t < taps->start[i + 1]; t++) {
                    sum += (double)taps->weight[t] * (double)from[taps->index[t] * c + k];
                }
                to[i * c + k] = (float)sum;
            }
        }
    }
}

static rmp_status enlarge(const float *in, rmp_shape from, rmp_shape to, float *out)
{
    rmp_taps *h = NULL, *w = NULL;
    rmp_status status;
    float *wide = malloc((size_t)(from.h * to.w * from.c) * sizeof *wide);
    RMP_CHECK_GOTO(wide != NULL, RMP_ERR_MEMORY, done, "no memory to enlarge a measurement");
    RMP_TRY_GOTO(rmp_taps_bicubic_up(from.w, to.w, &w), done);
    RMP_TRY_GOTO(rmp_taps_bicubic_up(from.h, to.h, &h), done);
    apply_rows(w, in, from.h, from.c, wide);
    /* The columns of an image are the rows of one image of a single, very wide pixel a row. */
    apply_rows(h, wide, 1, to.w * from.c, out);
done:
    rmp_taps_destroy(&h);
    rmp_taps_destroy(&w);
    free(wide);
    return status;
}

rmp_status rmp_measurement_numbers(const float *y, rmp_shape measured, int64_t channels, rmp_image *out)
{
    const int64_t pixels = measured.h * measured.w, c = channels < measured.c ? channels : measured.c;
    *out = (rmp_image){{measured.h, measured.w, c}, malloc((size_t)(pixels * c) * sizeof(float))};
    RMP_CHECK(out->values != NULL, RMP_ERR_MEMORY, "no memory for a picture");
    for (int64_t p = 0; p < pixels; p++) {
        for (int64_t k = 0; k < c; k++)
            out->values[p * c + k] = y[p * measured.c + k];
    }
    return RMP_OK;
}

rmp_status rmp_magnitude_picture(const float *y, rmp_shape measured, int64_t channels, rmp_image *out)
{
    RMP_TRY(rmp_measurement_numbers(y, measured, channels, out));
    const int64_t count = rmp_shape_count(out->shape);
    double largest = 0.0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, (double)out->values[i]);
    const double scale = largest > 0.0 ? 2.0 / log1p(largest) : 0.0;
    for (int64_t i = 0; i < count; i++)
        out->values[i] = (float)(scale * log1p(fmax((double)out->values[i], 0.0)) - 1.0);
    return RMP_OK;
}

rmp_status rmp_measurement_picture(const float *y, rmp_shape measured, rmp_shape image, int64_t channels,
                                   rmp_image *out)
{
    const int64_t pixels = measured.h * measured.w;
    const rmp_shape small = {measured.h, measured.w, channels};
    float *first = malloc((size_t)(pixels * channels) * sizeof *first);
    rmp_status status = RMP_OK;
    out->shape = (rmp_shape){image.h, image.w, channels};
    out->values = malloc((size_t)rmp_shape_count(out->shape) * sizeof(float));
    RMP_CHECK_GOTO(first != NULL && out->values != NULL, RMP_ERR_MEMORY, done, "no memory for a picture");
    for (int64_t p = 0; p < pixels; p++) {
        for (int64_t k = 0; k < channels; k++)
            first[p * channels + k] = y[p * measured.c + (k < measured.c ? k : 0)];
    }
    if (measured.h == image.h && measured.w == image.w) {
        memcpy(out->values, first, (size_t)(pixels * channels) * sizeof(float));
    } else {
        status = enlarge(first, small, image, out->values);
    }
done:
    free(first);
    if (status != RMP_OK) rmp_image_free(out);
    return status;
}
