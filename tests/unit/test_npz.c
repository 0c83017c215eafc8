/* Arrays of NumPy: what NumPy wrote (tests/fixtures/npz), what is written here, and damage. */
#include "io/npz.h"
#include "tests/unit/scratch.h"

#include <math.h>

TestSuite(npz, .init = scratch_setup, .fini = scratch_teardown, .timeout = 120);

enum { N = 40 };
static double mu[N], sigma[N * N];

static rmp_status read_pair(const char *path)
{
    const rmp_npz_array arrays[] = {{"mu", 1, {N, 0}, mu}, {"sigma", 2, {N, N}, sigma}};
    memset(mu, 0, sizeof mu);
    memset(sigma, 0, sizeof sigma);
    return rmp_npz_read(path, 2, arrays);
}

/* The numbers of tests/fixtures/npz/make.py: exact in float32 too. */
static void expect_numbers(void)
{
    for (int64_t i = 0; i < N; i++) {
        cr_assert(mu[i] == (double)i / 8 - 1);
        for (int64_t j = 0; j < N; j++)
            cr_assert(sigma[i * N + j] == (double)(3 * i + j) / 16);
    }
}

Test(npz, files_of_numpy_are_read)
{
    static const char *const files[] = {"stored", "deflated", "float32_fortran"};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        char path[512];
        snprintf(path, sizeof path, RMP_FIXTURES "/npz/%s.npz", files[f]);
        expect_ok(read_pair(path));
        expect_numbers();
    }
}

static rmp_status read_one(const char *path, const char *name, int rank, int64_t rows, int64_t columns)
{
    const rmp_npz_array array = {name, rank, {rows, columns}, sigma};
    return rmp_npz_read(path, 1, &array);
}

Test(npz, wrong_arrays_are_named)
{
    const char *stored = RMP_FIXTURES "/npz/stored.npz", *refused = RMP_FIXTURES "/npz/refused.npz";
    expect_failure(read_one(stored, "mean", 1, N, 0), RMP_ERR_FORMAT, "stored.npz", "no array mean");
    expect_failure(read_one(stored, "mu", 1, N + 1, 0), RMP_ERR_FORMAT, "array mu", "shape is (40,), not (41,)");
    expect_failure(read_one(stored, "mu", 2, N, 1), RMP_ERR_FORMAT, "array mu", "shape is (40,), not (40, 1)");
    expect_failure(read_one(stored, "sigma", 1, N * N, 0), RMP_ERR_FORMAT, "array sigma", "is (40, 40), not (1600,)");
    expect_failure(read_one(refused, "mu", 1, N, 0), RMP_ERR_FORMAT, "refused.npz", "array mu: is of type '<i8'");
    expect_failure(read_one(refused, "sigma", 2, N, N), RMP_ERR_FORMAT, "array sigma", "'>f8'");
    expect_failure(read_one(refused, "cube", 2, 2, 4), RMP_ERR_FORMAT, "array cube", "more than two dimensions");
    expect_failure(read_one(scratch_path("none.npz"), "mu", 1, N, 0), RMP_ERR_IO, "none.npz", "No such file");
    scratch_write(scratch_path("text.npz"), "no archive", 10);
    expect_failure(read_one(scratch_path("text.npz"), "mu", 1, N, 0), RMP_ERR_FORMAT, "text.npz", "zip");
}

static void fill(void)
{
    for (int64_t i = 0; i < N; i++) {
        mu[i] = (double)i / 8 - 1;
        for (int64_t j = 0; j < N; j++)
            sigma[i * N + j] = (double)(3 * i + j) / 16;
    }
}

Test(npz, what_is_written_is_read_and_always_the_same)
{
    const rmp_npz_array arrays[] = {{"mu", 1, {N, 0}, mu}, {"sigma", 2, {N, N}, sigma}};
    size_t size[2];
    fill();
    mu[3] = 0x1.23456789abcdep-40;
    expect_ok(rmp_npz_write(scratch, "a.npz", 2, arrays));
    expect_ok(rmp_npz_write(scratch, "b.npz", 2, arrays));
    expect_ok(read_pair(scratch_path("a.npz")));
    cr_assert(mu[3] == 0x1.23456789abcdep-40);
    mu[3] = 3.0 / 8 - 1;
    expect_numbers();
    char *a = scratch_read(scratch_path("a.npz"), &size[0]), *b = scratch_read(scratch_path("b.npz"), &size[1]);
    cr_assert(size[0] == size[1] && memcmp(a, b, size[0]) == 0);
    free(a);
    free(b);
    expect_failure(rmp_npz_write("/nonexistent", "a.npz", 2, arrays), RMP_ERR_IO, "/nonexistent", "");
    mu[0] = NAN;
    expect_ok(rmp_npz_write(scratch, "a.npz", 2, arrays));
    expect_failure(read_pair(scratch_path("a.npz")), RMP_ERR_FORMAT, "array mu: number 0", "not finite");
}

/* Every truncation, and a change of every byte, of a stored and of a deflated archive: refused by name, or read with
 * the right numbers (bytes that mean nothing, such as dates). */
static void damage(const char *path)
{
    size_t size;
    int refused = 0;
    char *bytes = scratch_read(path, &size);
    for (size_t cut = 0; cut < size; cut += cut < 200 || cut + 600 > size ? 1 : 97) {
        scratch_write(scratch_path("cut.npz"), bytes, cut);
        expect_failure(read_pair(scratch_path("cut.npz")), RMP_ERR_FORMAT, "cut.npz", "");
    }
    for (size_t at = 0; at < size; at += at < 600 || at + 600 > size ? 1 : 13) {
        for (int change = 1; change < 256; change = change * 4 + 3) {
            bytes[at] = (char)(bytes[at] ^ change);
            scratch_write(scratch_path("bad.npz"), bytes, size);
            bytes[at] = (char)(bytes[at] ^ change);
            const rmp_status status = read_pair(scratch_path("bad.npz"));
            if (status == RMP_OK) {
                expect_numbers();
                continue;
            }
            expect_failure(status, RMP_ERR_FORMAT, "bad.npz", "");
            refused++;
        }
    }
    cr_assert(refused > 500, "only %d changes were noticed", refused);
    free(bytes);
}

Test(npz, damage_of_a_stored_file) { damage(RMP_FIXTURES "/npz/stored.npz"); }

Test(npz, damage_of_a_deflated_file) { damage(RMP_FIXTURES "/npz/deflated.npz"); }

/* Damage that a check sum does not cover: headers of arrays, behind right check sums. */
static void expect_header(const char *header, rmp_status wanted, const char *word)
{
    const rmp_npz_array array = {"mu", 1, {N, 0}, mu};
    unsigned char *bytes;
    size_t size;
    fill();
    expect_ok(rmp_npz_write(scratch, "h.npz", 1, &array));
    bytes = (unsigned char *)scratch_read(scratch_path("h.npz"), &size);
    const size_t begin = 30 + strlen("mu.npy"), length = 128 + sizeof mu;
    memset(bytes + begin + 10, ' ', 118);
    memcpy(bytes + begin + 10, header, strlen(header));
    uint32_t crc = 0xffffffffu;
    for (size_t i = begin; i < begin + length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1u ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    crc = ~crc;
    for (int i = 0; i < 4; i++)
        bytes[14 + i] = bytes[begin + length + 16 + (size_t)i] = (unsigned char)(crc >> (8 * i));
    scratch_write(scratch_path("h.npz"), bytes, size);
    free(bytes);
    const rmp_status status = rmp_npz_read(scratch_path("h.npz"), 1, &array);
    if (wanted == RMP_OK)
        expect_ok(status);
    else
        expect_failure(status, wanted, "array mu", word);
}

Test(npz, headers)
{
    expect_header("{'descr': '<f8', 'fortran_order': False, 'shape': (40,), }", RMP_OK, "");
    expect_header("{'shape':(40,),'fortran_order':True,'descr':'<f8'}", RMP_OK, "");
    expect_header("{'descr': '<f8', 'fortran_order': False, 'shape': (40,) } x", RMP_ERR_FORMAT, "damaged");
    expect_header("{'descr': '<f8', 'fortran_order': False, }", RMP_ERR_FORMAT, "damaged");
    expect_header("{'descr': '<f8', 'fortran_order': None, 'shape': (40,), }", RMP_ERR_FORMAT, "damaged");
    expect_header("{'descr': '<f8', 'fortran_order': False, 'shape': (40, }", RMP_ERR_FORMAT, "damaged");
    expect_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-40,), }", RMP_ERR_FORMAT, "damaged");
    expect_header("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }", RMP_ERR_FORMAT,
                  "shape is (9223372036854775807,)");
    expect_header("{'descr': '<f4', 'fortran_order': False, 'shape': (40,), }", RMP_ERR_FORMAT,
                  "320 bytes of numbers, not 160");
    expect_header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (40,), }", RMP_ERR_FORMAT,
                  "is of type [('a'");
    expect_header("", RMP_ERR_FORMAT, "damaged");
}
