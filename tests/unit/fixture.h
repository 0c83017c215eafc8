/* Parity fixtures of tests/fixtures: NAME.json (arguments, names and shapes of the parameters) and
 * NAME.safetensors (inputs and outputs of the original). */
#pragma once

#include "core/tensor.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline json_t *fixture_json(const char *name)
{
    char path[512];
    json_error_t error;
    snprintf(path, sizeof path, RMP_FIXTURES "/%s.json", name);
    json_t *json = json_load_file(path, 0, &error);
    if (!json) fprintf(stderr, "%s:%d: %s\n", path, error.line, error.text);
    return json;
}

/* The shape of entry `parameter` of the JSON's list. */
static inline rmp_tensor fixture_shape(const json_t *parameter)
{
    const json_t *value;
    size_t i;
    rmp_tensor t = {.dtype = RMP_F32};
    json_array_foreach(json_object_get(parameter, "shape"), i, value) t.dims[t.rank++] = json_integer_value(value);
    return t;
}

/* max over samples of |a - b| / |b|; b is (n, c, h, w), a is (n, h, w, ca) with ca <= c. */
static inline double sample_error(const float *a, int64_t ca, const rmp_tensor *b)
{
    int64_t n = b->dims[0], c = b->dims[1], h = b->dims[2], w = b->dims[3];
    double worst = 0;
    for (int64_t s = 0; s < n; s++) {
        double difference = 0, norm = 0;
        for (int64_t k = 0; k < ca; k++)
            for (int64_t p = 0; p < h * w; p++) {
                double want = rmp_tensor_at(b, (s * c + k) * h * w + p);
                double d = (double)a[(s * h * w + p) * ca + k] - want;
                difference += d * d;
                norm += want * want;
            }
        double error = norm > 0 ? difference / norm : HUGE_VAL;
        if (!(error <= worst)) worst = error; /* NaN too */
    }
    return sqrt(worst);
}

/* (n, c, h, w) to (n, h, w, c); the caller frees. */
static inline float *to_nhwc(const rmp_tensor *t)
{
    int64_t n = t->dims[0], c = t->dims[1], pixels = t->dims[2] * t->dims[3];
    float *out = malloc((size_t)(n * c * pixels) * sizeof *out);
    for (int64_t s = 0; out && s < n; s++)
        for (int64_t k = 0; k < c; k++)
            for (int64_t p = 0; p < pixels; p++)
                out[(s * pixels + p) * c + k] = (float)rmp_tensor_at(t, (s * c + k) * pixels + p);
    return out;
}
