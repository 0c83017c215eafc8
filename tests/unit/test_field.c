#include "tests/unit/fields.h"

static const rmp_shape SHAPE = {5, 7, 3};

Test(field, combines_each_image_with_its_own_coefficients)
{
    rmp_device *device = reference_device();
    rmp_space space;
    rmp_space_local(&space, device, 2, SHAPE);
    rmp_field *x = random_field(&space, 0), *y = random_field(&space, 1);
    float *a = values_of(x), *b = values_of(y);
    OK(rmp_field_axpby((double[]){2.0, 0.0}, x, (double[]){-1.0, 3.0}, y));
    float *c = values_of(y);
    for (int64_t i = 0; i < 105; ++i) {
        cr_assert(eq(flt, c[i], 2.0f * a[i] - b[i]));
        cr_assert(eq(flt, c[105 + i], 3.0f * b[105 + i]));
    }
    free(a);
    free(b);
    free(c);
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    rmp_device_destroy(&device);
}

/* A failed image must not poison what is written over it. */
Test(field, does_not_read_what_it_overwrites)
{
    rmp_device *device = reference_device();
    rmp_space space;
    rmp_space_local(&space, device, 2, SHAPE);
    rmp_field *x = random_field(&space, 0), *y = new_field(&space);
    float poison[105];
    for (int i = 0; i < 105; ++i)
        poison[i] = NAN;
    OK(rmp_field_put(y, 1, poison));
    OK(rmp_field_axpby1(1.0, x, 0.0, y));
    cr_assert(same_bytes(x, y));
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    rmp_device_destroy(&device);
}

Test(field, elementwise)
{
    rmp_device *device = reference_device();
    rmp_space space, other;
    rmp_space_local(&space, device, 1, (rmp_shape){1, 1, 4});
    rmp_space_local(&other, device, 1, (rmp_shape){1, 1, 3});
    rmp_field *x = new_field(&space), *y = new_field(&space), *z = new_field(&other);
    const float first[4] = {-2.0f, 0.25f, 1.0f, 4.0f}, second[4] = {3.0f, -4.0f, 0.5f, 9.0f};
    const float expected[5][4] = {{-6.0f, -1.0f, 0.5f, 36.0f},
                                  {1.0f, -1.0f, 0.5f, 1.0f},
                                  {0.0f, -4.0f, 0.0f, 0.0f},
                                  {sqrtf(3.0f), 0.0f, sqrtf(0.5f), 3.0f},
                                  {1.0f, -1.0f, 1.0f, 1.0f}};
    OK(rmp_field_put(x, 0, first));
    for (int k = 0; k < 5; ++k) {
        OK(rmp_field_put(y, 0, second));
        if (k == 0) OK(rmp_field_multiply(x, y));
        if (k == 1) OK(rmp_field_clamp(-1.0, 1.0, y));
        if (k == 2) OK(rmp_field_clamp_gradient(-1.0, 1.0, x, y)); /* none at a bound */
        if (k == 3) OK(rmp_field_sqrt(y));
        if (k == 4) OK(rmp_field_sign(y));
        float *values = values_of(y);
        for (int i = 0; i < 4; ++i)
            cr_assert(lt(flt, fabsf(values[i] - expected[k][i]), 1e-6f), "%d %d", k, i);
        free(values);
    }
    FAILS(rmp_field_multiply(z, y), RMP_ERR_ARGUMENT);
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    rmp_field_destroy(&z);
    rmp_device_destroy(&device);
}

Test(field, dot_and_divide)
{
    rmp_device *device = reference_device();
    rmp_space space, single;
    rmp_space_local(&space, device, 2, SHAPE);
    rmp_space_local(&single, device, 1, SHAPE);
    rmp_field *x = random_field(&space, 0), *y = random_field(&space, 1), *d = new_field(&single);
    float *a = values_of(x), *b = values_of(y), divisor[105];
    double expected[2] = {0.0, 0.0}, dot[2];
    for (int i = 0; i < 210; ++i)
        expected[i / 105] += (double)a[i] * (double)b[i];
    OK(rmp_field_dot(x, y, dot));
    for (int i = 0; i < 2; ++i)
        cr_assert(lt(dbl, fabs(dot[i] - expected[i]), 1e-10));
    for (int i = 0; i < 105; ++i)
        divisor[i] = (float)i;
    OK(rmp_field_put(d, 0, divisor));
    OK(rmp_field_divide((double[]){1.0, 2.0}, (double[]){0.5, 4.0}, d, x));
    float *q = values_of(x);
    for (int i = 0; i < 105; ++i) {
        cr_assert(lt(flt, fabsf(q[i] * (1.0f + 0.5f * (float)i) - a[i]), 1e-6f));
        cr_assert(lt(flt, fabsf(q[105 + i] * (2.0f + 4.0f * (float)i) - a[105 + i]), 1e-6f));
    }
    free(a);
    free(b);
    free(q);
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    rmp_field_destroy(&d);
    rmp_device_destroy(&device);
}

/* An item has its numbers wherever it stands in a batch. */
Test(field, normals_belong_to_items)
{
    rmp_device *device = reference_device();
    rmp_space space, single;
    rmp_space_local(&space, device, 3, SHAPE);
    rmp_space_local(&single, device, 1, SHAPE);
    rmp_field *batch = new_field(&space), *alone = new_field(&single);
    OK(rmp_field_normals(batch, keys(5, 10), 4, RMP_PURPOSE_NOISE));
    OK(rmp_field_normals(alone, keys(5, 12), 4, RMP_PURPOSE_NOISE));
    float *a = values_of(batch), *b = values_of(alone);
    cr_assert(eq(int, memcmp(a + 210, b, 105 * sizeof *b), 0));
    cr_assert(eq(flt, b[17], rmp_random_normal((rmp_key){5, 12}, 4, RMP_PURPOSE_NOISE, 17)));
    free(a);
    free(b);
    rmp_field_destroy(&batch);
    rmp_field_destroy(&alone);
    rmp_device_destroy(&device);
}

Test(field, refuses_other_spaces)
{
    rmp_device *device = reference_device(), *other_device = reference_device();
    rmp_space space, small, other;
    rmp_space_local(&space, device, 2, SHAPE);
    rmp_space_local(&small, device, 2, (rmp_shape){5, 7, 1});
    rmp_space_local(&other, other_device, 2, SHAPE);
    rmp_field *x = new_field(&space), *y = new_field(&small), *z = new_field(&other);
    double dot[2];
    float values[105] = {0};
    FAILS(rmp_field_copy(x, y), RMP_ERR_ARGUMENT);
    FAILS(rmp_field_copy(x, z), RMP_ERR_ARGUMENT);
    FAILS(rmp_field_dot(x, y, dot), RMP_ERR_ARGUMENT);
    FAILS(rmp_field_divide((double[]){1, 1}, (double[]){1, 1}, y, x), RMP_ERR_ARGUMENT);
    FAILS(rmp_field_put(x, 2, values), RMP_ERR_ARGUMENT);
    FAILS(rmp_field_get(x, -1, values), RMP_ERR_ARGUMENT);
    rmp_space_local(&small, device, 0, SHAPE);
    rmp_field *none = NULL;
    FAILS(rmp_field_create(&small, &none), RMP_ERR_ARGUMENT);
    rmp_space_local(&small, device, 2, (rmp_shape){5, 7, 1});
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    rmp_field_destroy(&z);
    rmp_device_destroy(&device);
    rmp_device_destroy(&other_device);
}
