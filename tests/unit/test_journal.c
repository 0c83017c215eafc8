/* The journal: what is committed stays, what is not leaves no trace; one job a folder. */
#include "tests/unit/journal_rows.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

TestSuite(journal, .init = scratch_setup, .fini = scratch_teardown, .timeout = 60);

Test(journal, chunks_are_found_until_all_is_done)
{
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    bool have = true;
    cr_assert_eq(rmp_journal_have_items(journal, &have), RMP_OK);
    cr_assert(!have);
    add_items(journal, 10);
    for (int64_t i = 0; i < 10; i++)
        if (i != 2 && i != 5 && i != 9) commit_row(journal, make_row(i));
    rmp_journal_close(&journal);

    journal = open_journal(RMP_JOURNAL_RESUME);
    cr_assert_eq(rmp_journal_have_items(journal, &have), RMP_OK);
    cr_assert(have);
    rmp_counts counts = counts_of(journal);
    cr_assert_eq(counts.items, 10);
    cr_assert_eq(counts.done, 7);
    cr_assert_eq(counts.failed, 0);

    /* Chunks of 4: [0 1 2 3] [4 5 6 7] [8 9]. Each has one item left, and comes whole. */
    static const int64_t sizes[] = {4, 4, 2};
    int64_t k = 0, count;
    rmp_item items[4];
    for (int64_t expected = 0; expected < 3; expected++, k++) {
        cr_assert_eq(rmp_journal_next_chunk(journal, 4, &k, items, &count), RMP_OK);
        cr_assert_eq(k, expected);
        cr_assert_eq(count, sizes[expected]);
        for (int64_t i = 0; i < count; i++) {
            char path[64];
            snprintf(path, sizeof path, "photos/%lld.png", (long long)(k * 4 + i));
            cr_assert_eq(items[i].index, k * 4 + i);
            cr_assert_str_eq(items[i].image, path);
            cr_assert_null(items[i].mask);
            rmp_item_free(&items[i]);
        }
    }
    cr_assert_eq(rmp_journal_next_chunk(journal, 4, &k, items, &count), RMP_OK);
    cr_assert_eq(count, 0);

    commit_row(journal, make_row(2));
    k = 0;
    cr_assert_eq(rmp_journal_next_chunk(journal, 4, &k, items, &count), RMP_OK);
    cr_assert_eq(k, 1);
    while (count > 0)
        rmp_item_free(&items[--count]);
    rmp_journal_close(&journal);
}

Test(journal, next_chunk_does_not_walk_over_what_is_done)
{
    enum { ITEMS = 20000, ASKED = 3000 };
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    add_items(journal, ITEMS);
    rmp_row *rows = malloc(ITEMS * sizeof *rows);
    for (int64_t i = 0; i < ITEMS - 1; i++)
        rows[i] = make_row(i);
    cr_assert_eq(rmp_journal_commit(journal, ITEMS - 1, rows), RMP_OK);
    free(rows);
    /* A walk over 20000 rows takes about 1 ms, a look into the index some microseconds. */
    clock_t start = clock();
    for (int i = 0; i < ASKED; i++) {
        int64_t k = 0, count;
        rmp_item items[1];
        cr_assert_eq(rmp_journal_next_chunk(journal, 1, &k, items, &count), RMP_OK);
        cr_assert_eq(k, ITEMS - 1);
        rmp_item_free(&items[0]);
    }
    cr_assert_lt((double)(clock() - start) / CLOCKS_PER_SEC, 1.0);
    rmp_journal_close(&journal);
}

static rmp_status note_size(void *context, int64_t height, int64_t width, int64_t items)
{
    char line[64], *text = context;
    snprintf(line, sizeof line, "%lldx%lld:%lld ", (long long)height, (long long)width, (long long)items);
    strcat(text, line);
    return RMP_OK;
}

Test(journal, sizes_come_largest_first)
{
    char text[256] = "";
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    add_items(journal, 7);
    cr_assert_eq(rmp_journal_sizes(journal, note_size, text), RMP_OK);
    cr_assert_str_eq(text, "12x20:2 11x20:2 10x20:3 ");
    rmp_journal_close(&journal);
}

Test(journal, double_id_is_named_and_leaves_no_list)
{
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    cr_assert_eq(rmp_journal_items_begin(journal), RMP_OK);
    rmp_item a = {.index = 0, .id = "cat", .image = "photos/cat.png"};
    rmp_item b = {.index = 1, .id = "cat", .image = "photos/cat.jpg"};
    cr_assert_eq(rmp_journal_items_add(journal, &a, 1, 1), RMP_OK);
    cr_assert_eq(rmp_journal_items_add(journal, &b, 1, 1), RMP_ERR_CONFIG);
    cr_assert_not_null(strstr(rmp_fail_message(), "\"cat\""));
    cr_assert_not_null(strstr(rmp_fail_message(), "photos/cat.png"));
    cr_assert_not_null(strstr(rmp_fail_message(), "photos/cat.jpg"));
    bool have = true;
    cr_assert_eq(rmp_journal_have_items(journal, &have), RMP_OK);
    cr_assert(!have);
    add_items(journal, 2); /* and a right one can follow */
    rmp_journal_close(&journal);
}

Test(journal, gaps_in_the_list_are_refused)
{
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    cr_assert_eq(rmp_journal_items_begin(journal), RMP_OK);
    cr_assert_eq(rmp_journal_items_add(journal, &(rmp_item){.index = 0, .id = "a"}, 1, 1), RMP_OK);
    cr_assert_eq(rmp_journal_items_add(journal, &(rmp_item){.index = 2, .id = "b"}, 1, 1), RMP_OK);
    cr_assert_eq(rmp_journal_items_commit(journal), RMP_ERR_ARGUMENT);
    rmp_journal_close(&journal);
}

/* Runs `body` in a process that is then killed. */
static void in_killed_process(void (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        body();
        raise(SIGKILL);
    }
    int state;
    cr_assert_eq(waitpid(child, &state, 0), child);
    cr_assert(WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL);
}

static void half_a_list(void)
{
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    if (rmp_journal_items_begin(journal) != RMP_OK) _exit(1);
    if (rmp_journal_items_add(journal, &(rmp_item){.index = 0, .id = "a"}, 1, 1) != RMP_OK) _exit(1);
}

static void one_row(void)
{
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    rmp_row row = make_row(1);
    if (rmp_journal_commit(journal, 1, &row) != RMP_OK) _exit(1);
}

Test(journal, killed_process_loses_only_what_was_not_committed)
{
    in_killed_process(half_a_list);
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME); /* its lock is gone too */
    bool have = true;
    cr_assert_eq(rmp_journal_have_items(journal, &have), RMP_OK);
    cr_assert(!have);
    add_items(journal, 3);
    rmp_journal_close(&journal);

    in_killed_process(one_row);
    journal = open_journal(RMP_JOURNAL_RESUME);
    cr_assert_eq(counts_of(journal).done, 1);
    rmp_journal_close(&journal);
}

Test(journal, second_job_in_a_folder_is_refused)
{
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    rmp_journal *second = NULL;
    char holder[64];
    snprintf(holder, sizeof holder, "process %ld on ", (long)getpid());
    cr_assert_eq(rmp_journal_open(folder, job, RMP_JOURNAL_RESTART, &second), RMP_ERR_BUSY);
    cr_assert_null(second);
    cr_assert_not_null(strstr(rmp_fail_message(), holder), "%s", rmp_fail_message());
    cr_assert_not_null(strstr(rmp_fail_message(), folder));

    pid_t child = fork();
    if (child == 0) _exit(rmp_journal_open(folder, job, RMP_JOURNAL_RESUME, &second) == RMP_ERR_BUSY ? 0 : 1);
    int state;
    cr_assert_eq(waitpid(child, &state, 0), child);
    cr_assert_eq(state, 0);

    /* Reports may look at a running job. */
    add_items(journal, 2);
    cr_assert_eq(rmp_journal_open_readonly(folder, &second), RMP_OK, "%s", rmp_fail_message());
    commit_row(journal, make_row(0));
    cr_assert_eq(counts_of(second).done, 1);
    cr_assert_str_eq(rmp_journal_job(second), job);
    rmp_row row = make_row(1);
    cr_assert_eq(rmp_journal_commit(second, 1, &row), RMP_ERR_IO); /* but not write */
    rmp_journal_close(&second);
    rmp_journal_close(&journal);
    journal = open_journal(RMP_JOURNAL_RESUME);
    rmp_journal_close(&journal);
}

Test(journal, another_job_is_refused_with_the_key)
{
    static const char other[] = "noise:\n  sigma: 0.1\nseed: 1\n";
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    rmp_journal_close(&journal);
    /* Without items nothing would be lost: the new job takes the place. */
    cr_assert_eq(rmp_journal_open(folder, other, RMP_JOURNAL_RESUME, &journal), RMP_OK);
    cr_assert_str_eq(rmp_journal_job(journal), other);
    add_items(journal, 2);
    commit_row(journal, make_row(1));
    rmp_journal_close(&journal);

    cr_assert_eq(rmp_journal_open(folder, job, RMP_JOURNAL_RESUME, &journal), RMP_ERR_CONFIG);
    cr_assert_not_null(strstr(rmp_fail_message(), "noise.sigma was 0.1 and is now 0.05"), "%s", rmp_fail_message());
    cr_assert_not_null(strstr(rmp_fail_message(), "--restart"));

    journal = open_journal(RMP_JOURNAL_RESTART);
    cr_assert_eq(counts_of(journal).items, 0);
    cr_assert_str_eq(rmp_journal_job(journal), job);
    rmp_journal_close(&journal);
}

static void overwrite(long offset, const char *bytes, size_t size, off_t length)
{
    char *path;
    cr_assert_eq(rmp_path_join(folder, "results.sqlite", &path), RMP_OK);
    FILE *file = fopen(path, "r+b");
    cr_assert_not_null(file);
    fseek(file, offset, SEEK_SET);
    fwrite(bytes, 1, size, file);
    fclose(file);
    if (length >= 0) cr_assert_eq(truncate(path, length), 0);
    free(path);
}

static void expect_damaged(void)
{
    rmp_journal *journal = NULL;
    cr_assert_eq(rmp_journal_open(folder, job, RMP_JOURNAL_RESUME, &journal), RMP_ERR_FORMAT, "%s", rmp_fail_message());
    cr_assert_null(journal);
    cr_assert_not_null(strstr(rmp_fail_message(), "results.sqlite"));
    journal = open_journal(RMP_JOURNAL_RESTART);
    add_items(journal, 300);
    rmp_journal_close(&journal);
}

Test(journal, damage_is_found_at_the_start)
{
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    add_items(journal, 300);
    rmp_journal_close(&journal);
    overwrite(0, "not a database at all", 21, -1);
    expect_damaged();
    overwrite(0, "", 0, 3 * 4096 + 100); /* cut in a page */
    expect_damaged();
    static const char noise[64] = "\xff\x01\xfe\x02\xfd\x03";
    overwrite(4 * 4096, noise, sizeof noise, -1); /* a page in the middle */
    expect_damaged();
    rmp_journal *reader = NULL;
    overwrite(0, "not a database at all", 21, -1);
    cr_assert_eq(rmp_journal_open_readonly(folder, &reader), RMP_ERR_FORMAT);
    cr_assert_null(reader);
}

Test(journal, the_fid_is_that_of_the_rows)
{
    const rmp_journal_fid fid = {.value = 0.1 + 0.2, .images = 2, .truths = 3};
    rmp_journal_fid seen;
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    add_items(journal, 3);
    commit_row(journal, make_row(0));
    cr_assert_eq(rmp_journal_get_fid(journal, &seen), RMP_OK);
    cr_assert_eq(seen.images, 0);
    cr_assert_eq(rmp_journal_put_fid(journal, &fid), RMP_OK, "%s", rmp_fail_message());
    rmp_journal_close(&journal);
    cr_assert_eq(rmp_journal_open_readonly(folder, &journal), RMP_OK);
    cr_assert_eq(rmp_journal_get_fid(journal, &seen), RMP_OK);
    cr_assert(seen.value == fid.value && seen.images == 2 && seen.truths == 3);
    rmp_statistics s;
    cr_assert_eq(rmp_journal_statistics(journal, "fid", &s), RMP_OK);
    cr_assert(s.n == 2 && s.mean == fid.value && s.median == fid.value && s.std == 0);
    rmp_journal_close(&journal);
    journal = open_journal(RMP_JOURNAL_RESUME);
    commit_row(journal, make_row(1));
    cr_assert_eq(rmp_journal_get_fid(journal, &seen), RMP_OK);
    cr_assert_eq(seen.images, 0, "an FID outlived the rows that it was of");
    rmp_journal_close(&journal);
}

/* Bytes 60 to 63 of a database are its user_version (https://www.sqlite.org/fileformat.html, 1.3). */
Test(journal, a_journal_of_another_version_is_refused_by_name)
{
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    add_items(journal, 3);
    rmp_journal_close(&journal);
    overwrite(60, "\0\0\0\1", 4, -1);
    expect_damaged();
    overwrite(60, "\0\0\0\1", 4, -1);
    cr_assert_eq(rmp_journal_open_readonly(folder, &journal), RMP_ERR_FORMAT);
    cr_assert_not_null(strstr(rmp_fail_message(), "journal version 1, this one reads 3); --restart begins anew"));
}

Test(journal, missing_folder_and_missing_journal_are_named)
{
    rmp_journal *journal = NULL;
    cr_assert_eq(rmp_journal_open_readonly(folder, &journal), RMP_ERR_IO);
    cr_assert_not_null(strstr(rmp_fail_message(), "results.sqlite"));
    cr_assert_eq(rmp_journal_open("/nonexistent/folder", job, RMP_JOURNAL_RESUME, &journal), RMP_ERR_IO);
    cr_assert_not_null(strstr(rmp_fail_message(), "/nonexistent/folder"));
    cr_assert_null(journal);
}

Test(journal, rows_come_back_as_they_were)
{
    static const float tensor[] = {1.5f, -0.0f, INFINITY, 3e-42f, 5}, deviation[] = {1, 2, 3, 4, 0.5f};
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    add_items(journal, 2);
    rmp_row row = make_row(1);
    row.psnr = INFINITY;
    row.ssim_input = NAN;
    row.lpips = 0.25;
    row.lpips_network = 2;
    row.tensor = tensor;
    row.tensor_std = deviation;
    row.tensor_length = 5;
    row.distance_mean = 0.125;
    row.std = 0.25;
    row.coverage = 0.75;
    row.std_evaluations = 34;
    commit_row(journal, row);
    seen_rows seen = {0};
    cr_assert_eq(rmp_journal_visit(journal, note_row, &seen), RMP_OK);
    cr_assert_eq(seen.count, 1);
    cr_assert_eq(seen.items[0], 1);
    cr_assert(isinf(seen.last.psnr) && seen.last.psnr > 0);
    cr_assert(isnan(seen.last.ssim_input) && isnan(seen.last.distance));
    cr_assert(seen.last.lpips == 0.25 && isnan(seen.last.lpips_input) && seen.last.lpips_network == 2);
    cr_assert(seen.last.residual == row.residual && seen.last.started == row.started);
    cr_assert_eq(seen.last.channels, 3);
    cr_assert_eq(seen.last.cg_iterations, 60);
    cr_assert_eq(seen.last.tensor_length, 5);
    cr_assert_eq(memcmp(seen.tensor, tensor, sizeof tensor), 0);
    cr_assert_eq(memcmp(seen.tensor_std, deviation, sizeof deviation), 0);
    cr_assert(seen.last.distance_mean == 0.125 && seen.last.std == 0.25 && seen.last.coverage == 0.75);
    cr_assert_eq(seen.last.std_evaluations, 34);

    /* The same item again takes the place of the former row, tensor included. */
    row = make_row(1);
    row.failed = true;
    row.reason = "state exploded";
    commit_row(journal, row);
    seen = (seen_rows){0};
    cr_assert_eq(rmp_journal_visit(journal, note_row, &seen), RMP_OK);
    cr_assert_eq(seen.count, 1);
    cr_assert(seen.last.failed);
    cr_assert_null(seen.last.tensor);
    rmp_counts counts = counts_of(journal);
    cr_assert_eq(counts.done, 1);
    cr_assert_eq(counts.failed, 1);
    rmp_journal_close(&journal);
}

typedef struct seen_features {
    int count, with_truth;
    float first[8], truth; /* first feature of each item; of the last truth */
} seen_features;

static rmp_status note_features(void *context, const float *restored, const float *truth)
{
    seen_features *seen = context;
    seen->first[seen->count++] = restored[0];
    if (truth) {
        seen->with_truth++;
        seen->truth = truth[1];
    }
    return RMP_OK;
}

Test(journal, features_come_back_in_item_order)
{
    static const float restored[3][2] = {{0, 1}, {10, 11}, {20, 21}}, truth[] = {7, 8};
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    add_items(journal, 5);
    for (int64_t item = 2; item >= 0; item--) {
        rmp_row row = make_row(item);
        row.features = restored[item];
        row.truth_features = item == 1 ? truth : NULL;
        row.feature_length = 2;
        commit_row(journal, row);
    }
    commit_row(journal, make_row(3));
    seen_features seen = {0};
    cr_assert_eq(rmp_journal_features(journal, 2, note_features, &seen), RMP_OK, "%s", rmp_fail_message());
    cr_assert_eq(seen.count, 3);
    cr_assert(seen.first[0] == 0 && seen.first[1] == 10 && seen.first[2] == 20);
    cr_assert_eq(seen.with_truth, 1);
    cr_assert(seen.truth == 8);
    cr_assert_eq(rmp_journal_features(journal, 3, note_features, &seen), RMP_ERR_FORMAT);
    cr_assert_not_null(strstr(rmp_fail_message(), "item 0 has 8 bytes of features, not 12"));

    /* Features of a former try do not outlive it. */
    commit_row(journal, make_row(1));
    rmp_row failed = make_row(2);
    failed.failed = true;
    failed.reason = "state exploded";
    failed.features = restored[2];
    failed.feature_length = 2;
    commit_row(journal, failed);
    seen = (seen_features){0};
    cr_assert_eq(rmp_journal_features(journal, 2, note_features, &seen), RMP_OK);
    cr_assert_eq(seen.count, 1);
    rmp_journal_close(&journal);
}

static rmp_status refuse(void *context, const rmp_item *item, const rmp_row *row)
{
    (void)context;
    (void)row;
    return RMP_FAIL(RMP_ERR_IO, "cannot draw %s", item->id);
}

Test(journal, visitor_ends_the_visit)
{
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    add_items(journal, 3);
    commit_row(journal, make_row(1));
    cr_assert_eq(rmp_journal_visit(journal, refuse, NULL), RMP_ERR_IO);
    cr_assert_str_eq(rmp_fail_message(), "cannot draw item1");
    commit_row(journal, make_row(2)); /* no reader is left open */
    rmp_journal_close(&journal);
}

Test(journal, chunk_is_committed_whole_or_not_at_all)
{
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    add_items(journal, 3);
    const rmp_row rows[] = {make_row(0), make_row(3)};
    cr_assert_eq(rmp_journal_commit(journal, 2, rows), RMP_ERR_ARGUMENT);
    cr_assert_eq(counts_of(journal).done, 0);
    cr_assert_eq(rmp_journal_commit(journal, 1, rows), RMP_OK);
    rmp_journal_close(&journal);
}

/* A limit on the size of files stands for a full disk. */
Test(journal, full_disk_is_an_error_and_nothing_is_half_there)
{
    enum { FLOATS = 100000 };
    static float tensor[FLOATS];
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    add_items(journal, 4);
    commit_row(journal, make_row(0));
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    rlim_t former = limit.rlim_cur;
    limit.rlim_cur = 200000;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    rmp_row rows[] = {make_row(1), make_row(2)};
    rows[1].tensor = tensor;
    rows[1].tensor_length = FLOATS;
    rmp_status status = rmp_journal_commit(journal, 2, rows);
    limit.rlim_cur = former;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(status, RMP_ERR_IO, "%s", rmp_fail_message());
    cr_assert_not_null(strstr(rmp_fail_message(), "results.sqlite"));

    cr_assert_eq(counts_of(journal).done, 1);
    cr_assert_eq(rmp_journal_commit(journal, 2, rows), RMP_OK, "%s", rmp_fail_message());
    cr_assert_eq(counts_of(journal).done, 3);
    rmp_journal_close(&journal);
    journal = open_journal(RMP_JOURNAL_RESUME);
    cr_assert_eq(counts_of(journal).done, 3);
    rmp_journal_close(&journal);
}
