/* One item on a rank: what is read for it, in the form that operators and priors take. */
#pragma once

#include "io/source.h"
#include "jobs/task.h"

typedef struct rmp_sample {
    rmp_image truth;    /* as read; values NULL if only a measurement is given */
    rmp_image measured; /* as read; values NULL if it is made from the truth */
    float *mask;        /* (h, w) of the measurement, 1 = measured, of the item or the job; NULL: none given */
    rmp_shape shape;    /* of the image on the prior's channels */
    int64_t channels;   /* of the picture: gray ones are repeated on a prior of three channels */
} rmp_sample;

/* RMP_ERR_FORMAT, RMP_ERR_IO or RMP_ERR_CONFIG: this item cannot be worked on, the message is the reason. */
rmp_status rmp_sample_read(const rmp_task *task, const rmp_item *item, rmp_sample *out) RMP_MUST_CHECK;
void rmp_sample_free(rmp_sample *sample);

/* (pixels, from) to (pixels, to) channels: equal, or one repeated. */
void rmp_channels_repeat(const float *in, int64_t pixels, int64_t from, int64_t to, float *out);
/* (pixels, from) to (pixels, to) channels: equal, or the mean. */
void rmp_channels_mean(const float *in, int64_t pixels, int64_t from, int64_t to, float *out);

/* A measurement as it is, of its first channels at most; out->values is owned by the caller. */
rmp_status rmp_measurement_numbers(const float *y, rmp_shape measured, int64_t channels, rmp_image *out) RMP_MUST_CHECK;

/* Magnitudes as a picture of their own size: log(1 + y), black at 0 and white at the picture's largest; to look at
 * only.
 */
rmp_status rmp_magnitude_picture(const float *y, rmp_shape measured, int64_t channels, rmp_image *out) RMP_MUST_CHECK;

/* A measurement as a picture of the image's size: enlarged for super-resolution, else as it is. `y` has the shape
 * `measured`; out->values is owned by the caller; out has the picture's channels, of which y's first ones are taken, or
 * y's only one. */
rmp_status rmp_measurement_picture(const float *y, rmp_shape measured, rmp_shape image, int64_t channels,
                                   rmp_image *out) RMP_MUST_CHECK;
