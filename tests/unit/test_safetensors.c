#include "io/safetensors.h"
#include "tests/unit/scratch.h"

#include <dirent.h>

TestSuite(safetensors, .init = scratch_setup, .fini = scratch_teardown);

/* A file from its header text and `data_size` bytes 0, 1, 2, ...; returns its path. */
static const char *make(const char *header, size_t data_size)
{
    const char *path = scratch_path("a.safetensors");
    const uint64_t length = strlen(header);
    FILE *file = fopen(path, "wb");
    cr_assert(file && fwrite(&length, 8, 1, file) == 1 && fwrite(header, 1, length, file) == length);
    for (size_t i = 0; i < data_size; i++)
        fputc((int)(i & 255), file);
    cr_assert(fclose(file) == 0);
    return path;
}

static rmp_status open_close(const char *path)
{
    rmp_weights *weights = NULL;
    char *metadata = NULL;
    const rmp_status status = rmp_safetensors_open(path, "rmp", &metadata, &weights);
    cr_assert((status == RMP_OK) == (weights != NULL));
    cr_assert(status == RMP_OK || !metadata);
    free(metadata);
    rmp_weights_destroy(&weights);
    return status;
}

Test(safetensors, reads)
{
    const char *path = make("{\"__metadata__\":{\"format\":\"pt\",\"rmp\":\"hello\"},"
                            "\"b\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[8,16]},"
                            "\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
                            "\"none\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[16,16]},"
                            "\"c\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[16,19]}}   ",
                            19);
    rmp_weights *weights;
    char *metadata;
    expect_ok(rmp_safetensors_open(path, "rmp", &metadata, &weights));
    cr_assert(strcmp(metadata, "hello") == 0);
    cr_assert(rmp_weights_count(weights) == 4);
    const rmp_tensor *a = rmp_weights_find(weights, "a"), *b = rmp_weights_find(weights, "b"),
                     *c = rmp_weights_find(weights, "c"), *none = rmp_weights_find(weights, "none");
    cr_assert(a && a->rank == 0 && a->dtype == RMP_I64 && rmp_tensor_at(a, 0) == (double)0x0706050403020100);
    cr_assert(b && b->rank == 2 && b->dims[0] == 2 && b->dims[1] == 1);
    const unsigned char bytes[4] = {12, 13, 14, 15};
    float second;
    memcpy(&second, bytes, 4);
    cr_assert(rmp_tensor_at(b, 1) == (double)second);
    cr_assert(c && rmp_tensor_at(c, 2) == 18.0);
    cr_assert(none && rmp_tensor_count(none) == 0);
    /* Data starts at an odd place here: it must be usable through typed pointers all the same. */
    cr_assert((uintptr_t)a->data % 8 == 0 && (uintptr_t)b->data % 4 == 0);
    free(metadata);
    rmp_weights_destroy(&weights);
    expect_ok(rmp_safetensors_open(path, "other", &metadata, &weights));
    cr_assert(!metadata);
    rmp_weights_destroy(&weights);
    expect_ok(rmp_safetensors_open(path, NULL, NULL, &weights));
    rmp_weights_destroy(&weights);
    expect_ok(open_close(make("{}", 0)));
}

Test(safetensors, every_kind_of_damage)
{
#define T(name, dtype, shape, offsets)                                                                                 \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
    static const struct {
        const char *header;
        size_t data;
        const char *word, *other;
    } cases[] = {
        {"", 4, "header", ""},
        {"[]", 0, "object", ""},
        {"{", 0, "header", ""},
        {"{} x", 0, "header", ""},
        {"{\"w\":7}", 0, "'w'", "description"},
        {"{\"w\":{}}", 0, "'w'", "dtype"},
        {"{\"w\":{\"dtype\":\"F32\"}}", 0, "'w'", "shape"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "'w'", "data_offsets"},
        {"{\"w\":{\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "'w'", "dtype"},
        {"{" T("w", "F8_E4M3", "[4]", "[0,4]") "}", 4, "'w'", "F8_E4M3"},
        {"{" T("w", "f32", "[1]", "[0,4]") "}", 4, "'w'", "f32"},
        {"{" T("w", "F32", "1", "[0,4]") "}", 4, "'w'", "shape"},
        {"{" T("w", "F32", "[1.0]", "[0,4]") "}", 4, "'w'", "dimension 0"},
        {"{" T("w", "F32", "[1,-1]", "[0,4]") "}", 4, "'w'", "dimension 1"},
        {"{" T("w", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "'w'", "9 dimensions"},
        {"{" T("w", "F32", "[4294967296,4294967296]", "[0,4]") "}", 4, "'w'", "impossible"},
        {"{" T("w", "F32", "[4294967296,4294967296,0]", "[0,0]") "}", 0, "'w'", "impossible"},
        {"{" T("w", "F32", "[9223372036854775807]", "[0,4]") "}", 4, "'w'", "impossible"},
        {"{" T("w", "F32", "[99999999999999999999]", "[0,4]") "}", 4, "header", ""},
        {"{" T("w", "F32", "[1]", "[0]") "}", 4, "'w'", "data_offsets"},
        {"{" T("w", "F32", "[1]", "[0,4,4]") "}", 4, "'w'", "data_offsets"},
        {"{" T("w", "F32", "[1]", "[4,0]") "}", 4, "'w'", "data_offsets 4, 0"},
        {"{" T("w", "F32", "[1]", "[-4,0]") "}", 4, "'w'", "data_offsets -4"},
        {"{" T("w", "F32", "[1]", "[0,5]") "}", 5, "'w'", "5 bytes where"},
        {"{" T("w", "F32", "[2]", "[0,4]") "}", 4, "'w'", "needs 8"},
        {"{" T("w", "F32", "[2]", "[0,8]") "}", 7, "truncated", "'w'"},
        {"{" T("w", "F32", "[2]", "[0,9223372036854775807]") "}", 8, "truncated", "'w'"},
        {"{" T("v", "F32", "[1]", "[0,4]") "," T("w", "F32", "[1]", "[2,6]") "}", 6, "'v' and 'w'", "overlap"},
        {"{" T("v", "F32", "[1]", "[0,4]") "," T("w", "F32", "[1]", "[0,4]") "}", 4, "'v' and 'w'", "overlap"},
        {"{" T("v", "F32", "[1]", "[0,4]") "," T("w", "F32", "[1]", "[5,9]") "}", 9, "'w'", "1 bytes before"},
        {"{" T("w", "F32", "[1]", "[0,4]") "}", 7, "3 bytes at its end", ""},
        {"{" T("w", "F32", "[1]", "[0,4]") "," T("w", "F32", "[1]", "[4,8]") "}", 8, "header", "duplicate"},
        {"{\"__metadata__\":[]}", 0, "__metadata__", ""},
        {"{\"__metadata__\":{\"rmp\":7}}", 0, "__metadata__", "'rmp'"},
        {"{\"__metadata__\":{\"rmp\":\"x\",\"other\":null}}", 0, "__metadata__", "'other'"},
        {"{\"\\u0000\":{}}", 0, "header", ""},
        {"{\"\xff\":{}}", 0, "header", ""},
    };
#undef T
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = make(cases[i].header, cases[i].data);
        expect_failure(open_close(path), RMP_ERR_FORMAT, path, cases[i].word);
        expect_failure(open_close(path), RMP_ERR_FORMAT, path, cases[i].other);
    }
}

Test(safetensors, deep_nesting)
{
    static char header[200000];
    memset(header, '[', sizeof header - 1);
    memcpy(header, "{\"a\":", 5);
    expect_failure(open_close(make(header, 0)), RMP_ERR_FORMAT, "a.safetensors", "header");
}

Test(safetensors, not_weights)
{
    const char *path = scratch_path("x.pt");
    rmp_weights *weights;
    expect_failure(rmp_safetensors_open(scratch_path("none"), NULL, NULL, &weights), RMP_ERR_IO, "none",
                   "No such file");
    expect_failure(rmp_safetensors_open(scratch, NULL, NULL, &weights), RMP_ERR_FORMAT, scratch, "folder");
    scratch_write(path, "", 0);
    expect_failure(open_close(path), RMP_ERR_FORMAT, path, "empty");
    scratch_write(path, "PK\3\4..............", 18);
    expect_failure(open_close(path), RMP_ERR_FORMAT, path, "zip");
    scratch_write(path, "\x80\2}q\1(X\4\0\0\0", 12); /* a bare pickle */
    expect_failure(open_close(path), RMP_ERR_FORMAT, path, "not a .safetensors");
    scratch_write(path, "\1\xe1\xf5\5\0\0\0\0{}", 10); /* 100,000,001 */
    expect_failure(open_close(path), RMP_ERR_FORMAT, path, "100000001");
}

static void write_small(const char *name)
{
    static const float values[6] = {1.0F, -2.0F, 3.5F, 0.0F, 1e-30F, 7.0F};
    static const double wide[2] = {1.0 / 3.0, -1.0};
    static const uint16_t half[3] = {0x3c00, 0xc000, 0x3555};
    rmp_weights *weights;
    expect_ok(rmp_weights_create(&weights));
    const rmp_tensor h = {RMP_F16, 1, {3}, half}, f = {RMP_F32, 2, {2, 3}, values}, d = {RMP_F64, 1, {2}, wide};
    expect_ok(rmp_weights_add(weights, "half.\xc3\xa9", &h));
    expect_ok(rmp_weights_add(weights, "single", &f));
    expect_ok(rmp_weights_add(weights, "wide", &d));
    expect_ok(rmp_safetensors_write(scratch, name, weights, "rmp", "{\"a\": \"quoted\"}"));
    rmp_weights_destroy(&weights);
}

Test(safetensors, round_trip)
{
    write_small("a");
    rmp_weights *weights;
    char *metadata;
    expect_ok(rmp_safetensors_open(scratch_path("a"), "rmp", &metadata, &weights));
    cr_assert(strcmp(metadata, "{\"a\": \"quoted\"}") == 0);
    cr_assert(strcmp(rmp_weights_name(weights, 0), "wide") == 0, "widest first");
    const rmp_tensor *h = rmp_weights_find(weights, "half.\xc3\xa9"), *f = rmp_weights_find(weights, "single"),
                     *d = rmp_weights_find(weights, "wide");
    cr_assert(h && h->dtype == RMP_F16 && h->dims[0] == 3 && rmp_tensor_at(h, 1) == -2.0);
    cr_assert(f && f->rank == 2 && f->dims[1] == 3 && rmp_tensor_at(f, 4) == (double)1e-30F);
    cr_assert(d && rmp_tensor_at(d, 0) == 1.0 / 3.0);
    free(metadata);
    rmp_weights_destroy(&weights);
    size_t size, again;
    char *first = scratch_read(scratch_path("a"), &size);
    write_small("b");
    char *second = scratch_read(scratch_path("b"), &again);
    cr_assert(size == again && memcmp(first, second, size) == 0);
    free(first);
    free(second);
}

Test(safetensors, write_errors)
{
    rmp_weights *weights;
    const float value = 1.0F;
    const rmp_tensor t = {RMP_F32, 1, {1}, &value};
    expect_ok(rmp_weights_create(&weights));
    expect_failure(rmp_safetensors_write(scratch_path("none"), "a", weights, NULL, NULL), RMP_ERR_IO, "none/a",
                   "No such");
    expect_failure(rmp_safetensors_write(scratch, "a", weights, "rmp", "\xff"), RMP_ERR_ARGUMENT, "metadata", "UTF-8");
    expect_ok(rmp_weights_add(weights, "bad\xff", &t));
    expect_failure(rmp_safetensors_write(scratch, "a", weights, NULL, NULL), RMP_ERR_ARGUMENT, "bad", "UTF-8");
    cr_assert(access(scratch_path("a"), F_OK) != 0);
    rmp_weights_destroy(&weights);
}

Test(safetensors, truncated_at_every_byte)
{
    write_small("a");
    size_t size;
    char *bytes = scratch_read(scratch_path("a"), &size);
    for (size_t length = 0; length < size; length++) {
        scratch_write(scratch_path("cut"), bytes, length);
        expect_failure(open_close(scratch_path("cut")), RMP_ERR_FORMAT, "cut", "");
    }
    free(bytes);
}

Test(safetensors, every_byte_damaged)
{
    write_small("a");
    size_t size;
    char *bytes = scratch_read(scratch_path("a"), &size);
    for (size_t i = 0; i < size; i++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] = (char)(bytes[i] ^ 1 << bit);
            scratch_write(scratch_path("bad"), bytes, size);
            const rmp_status status = open_close(scratch_path("bad"));
            cr_assert(status == RMP_OK || (status == RMP_ERR_FORMAT && strstr(rmp_fail_message(), "bad")));
            bytes[i] = (char)(bytes[i] ^ 1 << bit);
        }
    free(bytes);
}

/* What the fuzzer (tests/fuzz) found worth keeping: none is a weight file, none may crash. */
Test(safetensors, hostile_files)
{
    DIR *dir = opendir(RMP_FIXTURES "/hostile");
    cr_assert(dir);
    int tried = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!strstr(entry->d_name, ".safetensors")) continue;
        char path[1024];
        snprintf(path, sizeof path, RMP_FIXTURES "/hostile/%s", entry->d_name);
        expect_failure(open_close(path), RMP_ERR_FORMAT, entry->d_name, "");
        tried++;
    }
    closedir(dir);
    cr_assert(tried > 0);
}
