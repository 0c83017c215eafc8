#include "core/tensor.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(rmp_status status) { cr_assert_eq(status, RMP_OK, "%s (%s)", rmp_fail_message(), rmp_fail_place()); }

static rmp_tensor vector(rmp_dtype dtype, int64_t n, const void *data)
{
    return (rmp_tensor){.dtype = dtype, .rank = 1, .dims = {n}, .data = data};
}

/* Bit patterns and values from IEEE 754: 1, -2, the largest and smallest normal numbers, subnormals, zeros. */
Test(tensor, half_precision)
{
    const uint16_t bits[] = {0x3c00, 0xc000, 0x7bff, 0x0400, 0x03ff, 0x0001, 0x8001, 0x0000, 0x3555, 0x7c00, 0xfc00};
    const double want[] = {1,        -2, 65504,          0x1p-14,  0x1p-14 - 0x1p-24, 0x1p-24,
                           -0x1p-24, 0,  0.333251953125, INFINITY, -INFINITY};
    rmp_tensor t = vector(RMP_F16, 11, bits);
    float read[11];
    rmp_tensor_read_f32(&t, 0, 11, read);
    for (int i = 0; i < 11; i++) {
        cr_expect_eq(rmp_tensor_at(&t, i), want[i], "%04x is %g", bits[i], rmp_tensor_at(&t, i));
        cr_expect_eq((double)read[i], want[i]);
    }
    const uint16_t strange[] = {0x7e00, 0x8000};
    t = vector(RMP_F16, 2, strange);
    cr_expect(isnan(rmp_tensor_at(&t, 0)));
    cr_expect(rmp_tensor_at(&t, 1) == 0 && signbit(rmp_tensor_at(&t, 1)));
}

Test(tensor, bfloat16)
{
    const uint16_t bits[] = {0x3f80, 0xc000, 0x4049, 0x0001, 0xff80};
    const double want[] = {1, -2, 3.140625, 0x1p-133, -INFINITY};
    rmp_tensor t = vector(RMP_BF16, 5, bits);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(rmp_tensor_at(&t, i), want[i]);
}

Test(tensor, other_types)
{
    const double wide[] = {0.1, -1e300};
    const int64_t longs[] = {-7, (int64_t)1 << 40};
    const int32_t ints[] = {-7, INT32_MAX};
    const unsigned char bytes[] = {0, 255};
    rmp_tensor t = vector(RMP_F64, 2, wide);
    cr_expect_eq(rmp_tensor_at(&t, 0), 0.1);
    cr_expect_eq(rmp_tensor_at(&t, 1), -1e300);
    t = vector(RMP_I64, 2, longs);
    cr_expect_eq(rmp_tensor_at(&t, 0), -7);
    cr_expect_eq(rmp_tensor_at(&t, 1), 0x1p40);
    t = vector(RMP_I32, 2, ints);
    cr_expect_eq(rmp_tensor_at(&t, 0), -7);
    cr_expect_eq(rmp_tensor_at(&t, 1), 2147483647.0);
    t = vector(RMP_U8, 2, bytes);
    cr_expect_eq(rmp_tensor_at(&t, 1), 255);
}

/* A mapped file guarantees no alignment; the sanitizer sees a wrong access. */
Test(tensor, unaligned_data)
{
    char storage[1 + 3 * sizeof(double)];
    const double wide[] = {1.5, 2.5, 3.5};
    const float narrow[] = {1.5F, 2.5F, 3.5F};
    float read[2];
    memcpy(storage + 1, wide, sizeof wide);
    rmp_tensor t = vector(RMP_F64, 3, storage + 1);
    rmp_tensor_read_f32(&t, 1, 2, read);
    cr_expect(read[0] == 2.5F && read[1] == 3.5F);
    memcpy(storage + 1, narrow, sizeof narrow);
    t = vector(RMP_F32, 3, storage + 1);
    rmp_tensor_read_f32(&t, 1, 2, read);
    cr_expect(read[0] == 2.5F && read[1] == 3.5F);
    cr_expect_eq(rmp_tensor_at(&t, 2), 3.5);
}

Test(tensor, types_and_shapes)
{
    const struct {
        rmp_dtype dtype;
        size_t size;
        const char *name;
    } types[] = {{RMP_F32, 4, "F32"}, {RMP_F16, 2, "F16"}, {RMP_BF16, 2, "BF16"}, {RMP_F64, 8, "F64"},
                 {RMP_I64, 8, "I64"}, {RMP_I32, 4, "I32"}, {RMP_U8, 1, "U8"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        cr_expect_eq(rmp_dtype_size(types[i].dtype), types[i].size);
        cr_expect_str_eq(rmp_dtype_name(types[i].dtype), types[i].name);
    }
    char text[64], small[8];
    rmp_tensor t = {.dtype = RMP_F32, .rank = 4, .dims = {512, 128, 3, 3}};
    cr_expect_str_eq(rmp_tensor_shape_text(&t, text, sizeof text), "(512, 128, 3, 3)");
    cr_expect_eq(rmp_tensor_count(&t), 512 * 128 * 9);
    cr_expect_eq(strlen(rmp_tensor_shape_text(&t, small, sizeof small)), 7);
    t.rank = 0;
    cr_expect_str_eq(rmp_tensor_shape_text(&t, text, sizeof text), "()");
    cr_expect_eq(rmp_tensor_count(&t), 1);
}

static void add(rmp_weights *w, const char *name, int64_t n)
{
    rmp_tensor t = vector(RMP_F32, n, NULL);
    must(rmp_weights_add(w, name, &t));
}

static int released;

static void release(void *object)
{
    released++;
    free(object);
}

Test(weights, many_are_found_again)
{
    rmp_weights *w;
    char name[32];
    must(rmp_weights_create(&w));
    cr_expect_null(rmp_weights_find(w, "t0"));
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "t%d", i);
        add(w, name, i + 1);
    }
    cr_expect_eq(rmp_weights_count(w), 1000);
    cr_expect_eq(rmp_weights_parameters(w), 500500);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "t%d", i);
        const rmp_tensor *t = rmp_weights_find(w, name);
        cr_assert_not_null(t);
        cr_expect_eq(t->dims[0], i + 1);
        cr_expect_str_eq(rmp_weights_name(w, i), name);
        cr_expect_eq(rmp_weights_tensor(w, i), t);
    }
    cr_expect_null(rmp_weights_find(w, "t1000"));
    void *object = malloc(8);
    must(rmp_weights_adopt(w, object, release));
    rmp_weights_destroy(&w);
    cr_expect_eq(released, 1);
    cr_expect_null(w);
    rmp_weights_destroy(&w);
}

Test(weights, a_name_appears_once)
{
    rmp_weights *w;
    must(rmp_weights_create(&w));
    add(w, "a.weight", 3);
    rmp_tensor t = vector(RMP_F32, 3, NULL);
    cr_expect_eq(rmp_weights_add(w, "a.weight", &t), RMP_ERR_FORMAT);
    cr_expect(strstr(rmp_fail_message(), "a.weight"), "%s", rmp_fail_message());
    t.rank = RMP_MAX_RANK + 1;
    cr_expect_eq(rmp_weights_add(w, "deep", &t), RMP_ERR_FORMAT);
    cr_expect_eq(rmp_weights_count(w), 1);
    rmp_weights_destroy(&w);
}

Test(weights, what_is_wrong_is_counted_and_named)
{
    rmp_weights *w;
    const rmp_tensor *t;
    must(rmp_weights_create(&w));
    add(w, "good", 3);
    add(w, "short", 2);
    add(w, "flat", 6);
    add(w, "extra", 9);
    must(rmp_weights_take(w, "good", 1, (int64_t[]){3}, &t));
    cr_expect_eq(t, rmp_weights_find(w, "good"));
    must(rmp_weights_take(w, "short", 1, (int64_t[]){4}, &t));
    cr_expect_null(t);
    must(rmp_weights_take(w, "flat", 2, (int64_t[]){2, 3}, &t));
    cr_expect_null(t);
    must(rmp_weights_take(w, "gone", 2, (int64_t[]){5, 7}, &t));
    cr_expect_null(t);
    must(rmp_weights_take(w, "gone too", 1, (int64_t[]){1}, &t));
    cr_expect_eq(rmp_weights_verify(w), RMP_ERR_FORMAT);
    const char *words[] = {"2 missing",    "'gone' (5, 7)", "2 misshapen", "'short' is (2), not (4)",
                           "1 unexpected", "'extra'"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        cr_expect(strstr(rmp_fail_message(), words[i]), "no %s in: %s", words[i], rmp_fail_message());
    rmp_weights_destroy(&w);
}

Test(weights, complete)
{
    rmp_weights *w;
    const rmp_tensor *t;
    must(rmp_weights_create(&w));
    add(w, "a", 3);
    must(rmp_weights_take(w, "a", 1, (int64_t[]){3}, &t));
    must(rmp_weights_verify(w));
    cr_expect_eq(rmp_weights_take(w, "a", RMP_MAX_RANK + 1, (int64_t[]){3}, &t), RMP_ERR_ARGUMENT);
    rmp_weights_destroy(&w);
}
