#include "core/noise.h"

#include "core/poisson.h"

#include <math.h>
#include <stdlib.h>

const double rmp_noise_smallest = 1e-3;

/* Added to a count where its variance is estimated from it: Anscombe's 3/8 keeps dark pixels from being taken for
 * certain. */
static const double COUNT_OFFSET = 0.375;

static double copies_of(const rmp_noise *noise) { return noise->copies > 1.0 ? noise->copies : 1.0; }

rmp_status rmp_noise_check(const rmp_noise *noise)
{
    RMP_CHECK((int)noise->kind >= 0 && noise->kind <= RMP_NOISE_NONE, RMP_ERR_CONFIG, "noise.kind: number %d is none",
              (int)noise->kind);
    RMP_CHECK(noise->kind != RMP_NOISE_GAUSSIAN || (noise->sigma >= 0.0 && isfinite(noise->sigma)), RMP_ERR_CONFIG,
              "noise.sigma: %g is not a standard deviation", noise->sigma);
    RMP_CHECK(noise->kind != RMP_NOISE_POISSON || (noise->gain > 0.0 && isfinite(noise->gain)), RMP_ERR_CONFIG,
              "noise.gain: %g is not a number of counts", noise->gain);
    return RMP_OK;
}

static rmp_status add_gaussian(double sigma, const rmp_key key[], rmp_field *y)
{
    rmp_field *noise = NULL;
    if (sigma <= 0.0) return RMP_OK;
    RMP_TRY(rmp_field_create(y->space, &noise));
    rmp_status status = rmp_field_normals(noise, key, 0, RMP_PURPOSE_NOISE);
    if (status == RMP_OK) status = rmp_field_axpby1(sigma, noise, 1.0, y);
    rmp_field_destroy(&noise);
    return status;
}

/* Counts, and back to the scale of images. Darker than black there is no light. */
static rmp_status add_poisson(double gain, const rmp_key key[], rmp_field *y)
{
    const int64_t count = rmp_shape_count(y->space->shape);
    float *values = malloc((size_t)count * sizeof *values);
    double *counts = malloc((size_t)count * sizeof *counts);
    rmp_status status = RMP_OK;
    RMP_CHECK_GOTO(values != NULL && counts != NULL, RMP_ERR_MEMORY, done, "no memory for a measurement");
    for (int64_t i = 0; i < y->space->n; ++i) {
        RMP_TRY_GOTO(rmp_field_get(y, i, values), done);
        for (int64_t j = 0; j < count; ++j)
            counts[j] = 0.5 * gain * ((double)values[j] + 1.0);
        rmp_random_poissons(key[i], 0, RMP_PURPOSE_NOISE, count, counts);
        for (int64_t j = 0; j < count; ++j)
            values[j] = (float)(2.0 * counts[j] / gain - 1.0);
        RMP_TRY_GOTO(rmp_field_put(y, i, values), done);
    }
done:
    free(values);
    free(counts);
    return status;
}

rmp_status rmp_noise_add(const rmp_noise *noise, const rmp_key key[], rmp_field *y)
{
    RMP_TRY(rmp_noise_check(noise));
    switch (noise->kind) {
    case RMP_NOISE_GAUSSIAN:
        return add_gaussian(noise->sigma, key, y);
    case RMP_NOISE_POISSON:
        return add_poisson(noise->gain, key, y);
    case RMP_NOISE_NONE:
        break;
    }
    return RMP_OK;
}

double rmp_noise_sigma(const rmp_noise *noise)
{
    double sigma = 0.0;
    if (noise->kind == RMP_NOISE_GAUSSIAN) sigma = noise->sigma;
    if (noise->kind == RMP_NOISE_POISSON) sigma = sqrt(2.0 / noise->gain);
    return fmax(sigma * sqrt(copies_of(noise)), rmp_noise_smallest);
}

bool rmp_noise_is_uniform(const rmp_noise *noise) { return noise->kind != RMP_NOISE_POISSON; }

static double variance_of(const rmp_noise *noise, double y)
{
    if (rmp_noise_is_uniform(noise)) {
        const double sigma = rmp_noise_sigma(noise);
        return sigma * sigma;
    }
    const double count = fmax(0.5 * noise->gain * (y + 1.0), 0.0) + COUNT_OFFSET;
    return fmax(4.0 * count / (noise->gain * noise->gain) * copies_of(noise), rmp_noise_smallest * rmp_noise_smallest);
}

rmp_status rmp_noise_variance(const rmp_noise *noise, const rmp_field *y, bool inverse, rmp_field *out)
{
    const int64_t count = rmp_shape_count(y->space->shape);
    float *values = malloc((size_t)count * sizeof *values);
    RMP_CHECK(values != NULL, RMP_ERR_MEMORY, "no memory for a measurement");
    rmp_status status = RMP_OK;
    for (int64_t i = 0; i < y->space->n && status == RMP_OK; ++i) {
        status = rmp_field_get(y, i, values);
        for (int64_t j = 0; j < count && status == RMP_OK; ++j) {
            const double variance = variance_of(noise, (double)values[j]);
            values[j] = (float)(inverse ? 1.0 / variance : variance);
        }
        if (status == RMP_OK) status = rmp_field_put(out, i, values);
    }
    free(values);
    return status;
}
