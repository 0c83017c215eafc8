#include "core/log.h"
#include "io/torch_file.h"
#include "tests/unit/scratch.h"

/* Files that PyTorch wrote (tests/fixtures/torch/make.py): element k of a tensor is value(k) whatever its layout. */
TestSuite(torch_file, .init = scratch_setup, .fini = scratch_teardown);

static const char *fixture_path(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/torch/%s", RMP_FIXTURES, name);
    return path;
}

static double value(rmp_dtype dtype, int64_t k)
{
    return dtype == RMP_I64 || dtype == RMP_I32 || dtype == RMP_U8 ? (double)k : (double)k / 2 - 3;
}

static rmp_weights *open_good(const char *name, rmp_torch_layout wanted)
{
    rmp_weights *weights = NULL;
    rmp_torch_layout layout = (rmp_torch_layout)-1;
    expect_ok(rmp_torch_open(fixture_path(name), &layout, &weights));
    cr_assert(layout == wanted, "%s: %s", name, rmp_torch_layout_text(layout));
    return weights;
}

static void expect_tensor(const rmp_weights *weights, const char *name, rmp_dtype dtype, int rank, const int64_t dims[])
{
    const rmp_tensor *t = rmp_weights_find(weights, name);
    cr_assert(t, "%s is missing", name);
    cr_assert(t->dtype == dtype && t->rank == rank, "%s: %s, rank %d", name, rmp_dtype_name(t->dtype), t->rank);
    for (int i = 0; i < rank; i++)
        cr_assert(t->dims[i] == dims[i], "%s: dimension %d is %lld", name, i, (long long)t->dims[i]);
    cr_assert((uintptr_t)t->data % rmp_dtype_size(dtype) == 0);
    for (int64_t k = 0; k < rmp_tensor_count(t); k++)
        cr_assert(rmp_tensor_at(t, k) == value(dtype, k), "%s: element %lld is %g", name, (long long)k,
                  rmp_tensor_at(t, k));
}

#define DIMS(...)                                                                                                      \
    (const int64_t[]) { __VA_ARGS__ }

static void expect_state(rmp_weights *weights)
{
    cr_assert(rmp_weights_count(weights) == 2);
    expect_tensor(weights, "a.weight", RMP_F32, 2, DIMS(3, 2));
    expect_tensor(weights, "a.bias", RMP_F32, 1, DIMS(3));
    rmp_weights_destroy(&weights);
}

Test(torch_file, types)
{
    static const struct {
        const char *name;
        rmp_dtype dtype;
    } types[] = {{"f32", RMP_F32}, {"f16", RMP_F16}, {"bf16", RMP_BF16}, {"f64", RMP_F64},
                 {"i64", RMP_I64}, {"i32", RMP_I32}, {"u8", RMP_U8}};
    rmp_weights *weights = open_good("types.pt", RMP_TORCH_BARE);
    cr_assert(rmp_weights_count(weights) == 10);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        expect_tensor(weights, types[i].name, types[i].dtype, 2, DIMS(2, 3));
    const rmp_tensor *truth = rmp_weights_find(weights, "bool");
    for (int64_t k = 0; k < 6; k++)
        cr_assert(rmp_tensor_at(truth, k) == (double)(k % 2));
    expect_tensor(weights, "scalar", RMP_F32, 0, NULL);
    expect_tensor(weights, "empty", RMP_F32, 2, DIMS(0, 4));
    rmp_weights_destroy(&weights);
}

Test(torch_file, views)
{
    rmp_weights *weights = open_good("views.pt", RMP_TORCH_BARE);
    expect_tensor(weights, "whole", RMP_F32, 2, DIMS(4, 6));
    expect_tensor(weights, "again", RMP_F32, 2, DIMS(4, 6));
    expect_tensor(weights, "offset", RMP_F32, 2, DIMS(2, 6));
    expect_tensor(weights, "strided", RMP_F32, 2, DIMS(3, 3));
    expect_tensor(weights, "channels_last", RMP_F32, 4, DIMS(2, 3, 2, 2));
    expect_tensor(weights, "first", RMP_F32, 1, DIMS(6));
    expect_tensor(weights, "second", RMP_F32, 1, DIMS(6));
    /* Shared storage is one place in the file, not two copies. */
    cr_assert(rmp_weights_find(weights, "whole")->data == rmp_weights_find(weights, "again")->data);
    cr_assert((const char *)rmp_weights_find(weights, "first")->data + 6 * sizeof(float) ==
              (const char *)rmp_weights_find(weights, "second")->data);
    expect_tensor(weights, "transposed", RMP_F32, 2, DIMS(6, 4));
    const rmp_tensor *wide = rmp_weights_find(weights, "expanded");
    cr_assert(wide->rank == 1 && wide->dims[0] == 4);
    for (int64_t k = 0; k < 4; k++)
        cr_assert(rmp_tensor_at(wide, k) == -3.0);
    rmp_weights_destroy(&weights);
}

Test(torch_file, layouts)
{
    expect_state(open_good("state_dict.pt", RMP_TORCH_STATE_DICT));
    expect_state(open_good("zip64.pt", RMP_TORCH_STATE_DICT));
    expect_state(open_good("model.pt", RMP_TORCH_MODEL));
    expect_state(open_good("ema.pt", RMP_TORCH_EMA));
    expect_state(open_good("ema_beside.pt", RMP_TORCH_EMA));
    expect_state(open_good("ema_inside.pt", RMP_TORCH_EMA));
    expect_state(open_good("tensors_beside.pt", RMP_TORCH_MODEL));
    expect_state(open_good("module.pt", RMP_TORCH_BARE));
    expect_state(open_good("parameters.pt", RMP_TORCH_BARE));
    expect_state(open_good("protocol4.pt", RMP_TORCH_BARE));
    expect_state(open_good("protocol5.pt", RMP_TORCH_BARE));
    expect_state(open_good("legacy.pt", RMP_TORCH_BARE));
    expect_state(open_good("legacy_python2.pth", RMP_TORCH_BARE));
    /* A part that nobody reads may hold itself, or be deep. */
    expect_state(open_good("cyclic.pt", RMP_TORCH_STATE_DICT));
    expect_state(open_good("deep.pt", RMP_TORCH_STATE_DICT));
}

Test(torch_file, average_by_position)
{
    rmp_weights *weights = open_good("score_sde.pth", RMP_TORCH_SCORE_SDE);
    cr_assert(rmp_weights_count(weights) == 8);
    expect_tensor(weights, "sigmas", RMP_F64, 1, DIMS(5));
    expect_tensor(weights, "all_modules.0.W", RMP_F32, 1, DIMS(4));
    expect_tensor(weights, "all_modules.1.weight", RMP_F32, 2, DIMS(2, 4));
    expect_tensor(weights, "all_modules.1.bias", RMP_F32, 1, DIMS(2));
    expect_tensor(weights, "all_modules.2.weight", RMP_F32, 4, DIMS(4, 2, 3, 3));
    expect_tensor(weights, "all_modules.2.bias", RMP_F32, 1, DIMS(4));
    expect_tensor(weights, "all_modules.3.weight", RMP_F32, 1, DIMS(4));
    expect_tensor(weights, "all_modules.3.bias", RMP_F32, 1, DIMS(4));
    rmp_weights_destroy(&weights);
}

/* Sets every check sum of an archive to 0, "none": what comes behind the sums can then be tested with damaged bytes. */
static void clear_check_sums(char *bytes, size_t size)
{
    for (size_t i = 0; i + 20 <= size; i++) {
        if (memcmp(bytes + i, "PK\3\4", 4) == 0) memset(bytes + i + 14, 0, 4);
        if (memcmp(bytes + i, "PK\1\2", 4) == 0) memset(bytes + i + 16, 0, 4);
    }
}

static char *find_bytes(char *bytes, size_t size, const void *wanted, size_t wanted_size)
{
    for (size_t i = 0; i + wanted_size <= size; i++)
        if (memcmp(bytes + i, wanted, wanted_size) == 0) return bytes + i;
    cr_assert_fail("the file has no such bytes");
    return NULL;
}

Test(torch_file, check_sums)
{
    static const float numbers[] = {-2.5F, -2.0F}; /* inside a.weight: values 1 and 2 */
    size_t size;
    char *bytes = scratch_read(fixture_path("state_dict.pt"), &size);
    const char *path = scratch_path("damaged.pt");
    char *place = find_bytes(bytes, size, numbers, sizeof numbers);
    rmp_weights *weights = NULL;
    *place ^= 1;
    scratch_write(path, bytes, size);
    expect_failure(rmp_torch_open(path, NULL, &weights), RMP_ERR_FORMAT, "damaged.pt", "/data/");
    expect_failure(rmp_torch_open(path, NULL, &weights), RMP_ERR_FORMAT, "check sum", "");
    clear_check_sums(bytes, size); /* nobody computed any: the damage goes unnoticed */
    scratch_write(path, bytes, size);
    expect_ok(rmp_torch_open(path, NULL, &weights));
    cr_assert(rmp_tensor_at(rmp_weights_find(weights, "a.weight"), 1) != -2.5);
    rmp_weights_destroy(&weights);
    free(bytes);

    bytes = scratch_read(fixture_path("state_dict.pt"), &size);
    place = find_bytes(bytes, size, "a.weight", 8);
    *place = 'b'; /* another name: a pickle that can be read */
    scratch_write(path, bytes, size);
    expect_failure(rmp_torch_open(path, NULL, &weights), RMP_ERR_FORMAT, "/data.pkl'", "check sum");
    free(bytes);

    /* What is not used may be damaged. */
    bytes = scratch_read(fixture_path("linear.pt"), &size);
    place = find_bytes(bytes, size, "/version", 8);
    place = find_bytes(place, size - (size_t)(place - bytes), "3\n", 2);
    *place = '4';
    scratch_write(path, bytes, size);
    expect_ok(rmp_torch_open(path, NULL, &weights));
    rmp_weights_destroy(&weights);
    free(bytes);
}

Test(torch_file, refuses)
{
    static const struct {
        const char *name, *word, *other;
    } cases[] = {{"bad_ema_short.pth", "too few", "all_modules.3.bias"},
                 {"bad_ema_long.pth", "7 tensors", "6 parameters"},
                 {"bad_ema_order.pth", "number 1 is (4, 2, 3, 3)", "all_modules.1.bias"},
                 {"bad_ema_form.pt", "'ema'", "shadow_params"},
                 {"bad_tar.pt", "before PyTorch 0.1.10", "torch.save"},
                 {"bad_legacy_count.pth", "storage 0", "4 elements, not 3"},
                 {"bad_legacy_keys.pth", "storage 1", "twice"},
                 {"bad_legacy_missing.pth", "storage 0", "3 elements, not 6"},
                 {"bad_legacy_big.pth", "big-endian", ""},
                 {"bad_legacy_version.pth", "another version", "1001"},
                 {"bad_legacy_view.pth", "persistent id", "BINPERSID"},
                 {"bad_whole_module.pt", "torch.nn.modules.linear.Linear", "GLOBAL"},
                 {"bad_numpy.pt", "scalar", "numpy"},
                 {"bad_evil.pt", "system", "GLOBAL"},
                 {"bad_int16.pt", "'a'", "ShortStorage"},
                 {"bad_list.pt", "a list", "dict"},
                 {"bad_mixed.pt", "'step'", "an integer"},
                 {"bad_two.pt", "'state_dict'", "'model'"},
                 {"bad_unknown.pt", "'weights', 'step'", "state dict"},
                 {"bad_script.pt", "TorchScript", "compressed"},
                 {"bad_script_stored.pt", "TorchScript", "state_dict"},
                 {"bad_deflated.pt", "compressed", "data.pkl"},
                 {"bad_big_endian.pt", "big-endian", ""},
                 {"bad_climbing.pt", "../data/0", "path"},
                 {"bad_no_storage.pt", "'bias'", "no storage"},
                 {"bad_short_storage.pt", "'weight'", "20 bytes"},
                 {"bad_no_pickle.pt", "data.pkl", "no PyTorch checkpoint"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rmp_weights *weights = NULL;
        const rmp_status status = rmp_torch_open(fixture_path(cases[i].name), NULL, &weights);
        cr_assert(!weights, "%s was read", cases[i].name);
        expect_failure(status, RMP_ERR_FORMAT, cases[i].word, cases[i].other);
        expect_failure(status, RMP_ERR_FORMAT, cases[i].name, "");
    }
    rmp_weights *weights = NULL;
    expect_failure(rmp_torch_open("nowhere.pt", NULL, &weights), RMP_ERR_IO, "nowhere.pt", "");
    scratch_write(scratch_path("a.pt"), "hello", 5);
    expect_failure(rmp_torch_open(scratch_path("a.pt"), NULL, &weights), RMP_ERR_FORMAT, "a.pt", "no zip archive");
}

/* Small files that tests/fuzz/fuzz_torch.c found, one for each way to refuse. */
Test(torch_file, found_by_fuzzing)
{
    int files = 0;
    DIR *dir = opendir(RMP_FIXTURES "/torch/fuzz");
    cr_assert(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char name[300];
        rmp_weights *weights = NULL;
        if (entry->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "fuzz/%s", entry->d_name);
        expect_failure(rmp_torch_open(fixture_path(name), NULL, &weights), RMP_ERR_FORMAT, entry->d_name, "");
        cr_assert(!weights);
        size_t size;
        char *bytes = scratch_read(fixture_path(name), &size);
        clear_check_sums(bytes, size);
        scratch_write(scratch_path("cleared.pt"), bytes, size);
        expect_failure(rmp_torch_open(scratch_path("cleared.pt"), NULL, &weights), RMP_ERR_FORMAT, "", "");
        cr_assert(!weights && !strstr(rmp_fail_message(), "check sum is"));
        free(bytes);
        files++;
    }
    closedir(dir);
    cr_assert(files == 26);
}

/* Reads every element: the sanitizers see what lies outside. */
static void touch(rmp_weights *weights)
{
    volatile double sum = 0;
    for (int64_t i = 0; weights && i < rmp_weights_count(weights); i++) {
        const rmp_tensor *t = rmp_weights_tensor(weights, i);
        for (int64_t k = 0; k < rmp_tensor_count(t); k++)
            sum = sum + rmp_tensor_at(t, k);
    }
    rmp_weights_destroy(&weights);
}

Test(torch_file, every_truncation)
{
    static const char *const names[] = {"linear.pt", "legacy.pt", "legacy_python2.pth"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size;
        char *bytes = scratch_read(fixture_path(names[i]), &size);
        const char *path = scratch_path("cut.pt");
        for (size_t cut = 1; cut < size; cut++) {
            rmp_weights *weights = NULL;
            scratch_write(path, bytes, cut);
            cr_assert(rmp_torch_open(path, NULL, &weights) == RMP_ERR_FORMAT && !weights, "%zu bytes were read", cut);
        }
        free(bytes);
    }
}

/* One damaged byte must never be a crash or a read outside, also where no check sum stops it before. */
Test(torch_file, every_byte_damaged)
{
    static const unsigned char masks[] = {0x01, 0x80, 0xff};
    static const char *const names[] = {"linear.pt", "views.pt", "legacy.pt", "legacy_python2.pth"};
    rmp_log_set_level(RMP_LEVEL_ERROR); /* thousands of warnings of missing check sums */
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        size_t size;
        char *bytes = scratch_read(fixture_path(names[n]), &size);
        const char *path = scratch_path("damaged.pt");
        clear_check_sums(bytes, size);
        for (size_t at = 0; at < size; at++)
            for (size_t i = 0; i < sizeof masks; i++) {
                rmp_weights *weights = NULL;
                bytes[at] = (char)(bytes[at] ^ (char)masks[i]);
                scratch_write(path, bytes, size);
                const rmp_status status = rmp_torch_open(path, NULL, &weights);
                cr_assert(status == RMP_OK || status == RMP_ERR_FORMAT, "%s", rmp_fail_message());
                touch(weights);
                bytes[at] = (char)(bytes[at] ^ (char)masks[i]);
            }
        free(bytes);
    }
}
