/* What tests of core/ share: the reference device, fields from numbers and back. Every function asserts. */
#pragma once

#include "core/field.h"
#include "gpu/devices.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OK(call)          cr_assert(eq(int, (call), RMP_OK), "%s", rmp_fail_message())
#define FAILS(call, code) cr_assert(eq(int, (call), (code)), "%s", rmp_fail_message())

enum { MOST_IMAGES = 256 };

static inline rmp_device *reference_device(void)
{
    rmp_device *device = NULL;
    OK(rmp_reference_create(&device));
    return device;
}

static inline rmp_field *new_field(const rmp_space *space)
{
    rmp_field *x = NULL;
    OK(rmp_field_create(space, &x));
    return x;
}

/* Keys of items first, first + 1, ... */
static inline const rmp_key *keys(uint64_t seed, uint64_t first)
{
    static rmp_key key[MOST_IMAGES];
    for (uint64_t i = 0; i < MOST_IMAGES; ++i)
        key[i] = (rmp_key){seed, first + i};
    return key;
}

static inline rmp_field *random_field(const rmp_space *space, uint32_t step)
{
    rmp_field *x = new_field(space);
    OK(rmp_field_normals(x, keys(99, 0), step, RMP_PURPOSE_PROBE));
    return x;
}

static inline int64_t floats_of(const rmp_space *space) { return space->n * rmp_shape_count(space->shape); }

/* All images one after another; the caller frees. */
static inline float *values_of(const rmp_field *x)
{
    const int64_t len = rmp_shape_count(x->space->shape);
    float *values = malloc((size_t)(x->space->n * len) * sizeof *values);
    cr_assert(values != NULL);
    for (int64_t i = 0; i < x->space->n; ++i)
        OK(rmp_field_get(x, i, values + i * len));
    return values;
}

/* |x - y| / |y|. */
static inline double relative_error(const rmp_field *x, const rmp_field *y)
{
    float *a = values_of(x), *b = values_of(y);
    double difference = 0.0, norm = 0.0;
    for (int64_t i = 0; i < floats_of(x->space); ++i) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    free(a);
    free(b);
    return sqrt(difference / norm);
}

static inline bool same_bytes(const rmp_field *x, const rmp_field *y)
{
    float *a = values_of(x), *b = values_of(y);
    const bool same = memcmp(a, b, (size_t)floats_of(x->space) * sizeof *a) == 0;
    free(a);
    free(b);
    return same;
}
