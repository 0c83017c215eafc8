/* The journal: what is committed stays, what is not leaves no trace; one job a folder; tables that do not depend on the
 * order of arrival. */
#include "io/file.h"
#include "io/journal.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const folder = scratch;

TestSuite(journal, .init = scratch_setup, .fini = scratch_teardown, .timeout = 60);

static const char job[] = "noise:\n  sigma: 0.05\nseed: 1\n";

static rmp_journal *open_journal(rmp_journal_mode mode)
{
    rmp_journal *journal = NULL;
    cr_assert_eq(rmp_journal_open(folder, job, mode, &journal), RMP_OK, "%s", rmp_fail_message());
    return journal;
}

static void add_items(rmp_journal *journal, int64_t count)
{
    cr_assert_eq(rmp_journal_items_begin(journal), RMP_OK);
    for (int64_t i = 0; i < count; i++) {
        char id[32], path[64];
        snprintf(id, sizeof id, "item%lld", (long long)i);
        snprintf(path, sizeof path, "photos/%lld.png", (long long)i);
        rmp_item item = {.index = i, .id = id, .image = path};
        cr_assert_eq(rmp_journal_items_add(journal, &item, 10 + i % 3, 20), RMP_OK, "%s", rmp_fail_message());
    }
    cr_assert_eq(rmp_journal_items_commit(journal), RMP_OK, "%s", rmp_fail_message());
}

/* Scores that differ from item to item: gain of item i is i - 2. */
static rmp_row make_row(int64_t item)
{
    return (rmp_row){.item = item,
                     .output = "images/x.png",
                     .height = 10,
                     .width = 20,
                     .channels = 3,
                     .psnr = 20 + (double)item,
                     .ssim = 0.5,
                     .psnr_8bit = 19 + (double)item,
                     .ssim_8bit = 0.25,
                     .psnr_input = 22,
                     .ssim_input = 0.125,
                     .residual = 0.1 / 3,
                     .distance = NAN,
                     .evaluations = 40,
                     .vjps = 20,
                     .cg_iterations = 60,
                     .seconds = 1.5,
                     .started = 1700000000.25,
                     .rank = 1,
                     .host = "node1"};
}

static void commit_row(rmp_journal *journal, rmp_row row)
{
    cr_assert_eq(rmp_journal_commit(journal, 1, &row), RMP_OK, "%s", rmp_fail_message());
}

static rmp_counts counts_of(rmp_journal *journal)
{
    rmp_counts counts;
    cr_assert_eq(rmp_journal_counts(journal, &counts), RMP_OK);
    return counts;
}

static char *read_table(const char *name)
{
    char *path, *text;
    size_t size;
    cr_assert_eq(rmp_path_join(folder, name, &path), RMP_OK);
    cr_assert_eq(rmp_file_read(path, 1 << 20, &text, &size), RMP_OK, "%s", rmp_fail_message());
    free(path);
    return text;
}

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

Test(journal, another_job_is_refused_with_the_line)
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
    cr_assert_not_null(strstr(rmp_fail_message(), "line 2"), "%s", rmp_fail_message());
    cr_assert_not_null(strstr(rmp_fail_message(), "sigma: 0.1"));
    cr_assert_not_null(strstr(rmp_fail_message(), "sigma: 0.05"));
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

Test(journal, missing_folder_and_missing_journal_are_named)
{
    rmp_journal *journal = NULL;
    cr_assert_eq(rmp_journal_open_readonly(folder, &journal), RMP_ERR_IO);
    cr_assert_not_null(strstr(rmp_fail_message(), "results.sqlite"));
    cr_assert_eq(rmp_journal_open("/nonexistent/folder", job, RMP_JOURNAL_RESUME, &journal), RMP_ERR_IO);
    cr_assert_not_null(strstr(rmp_fail_message(), "/nonexistent/folder"));
    cr_assert_null(journal);
}

typedef struct seen_rows {
    int count;
    int64_t items[16];
    rmp_row last;
    float tensor[8];
} seen_rows;

static rmp_status note_row(void *context, const rmp_item *item, const rmp_row *row)
{
    seen_rows *seen = context;
    RMP_CHECK(item->index == row->item, RMP_ERR_INTERNAL, "row of another item");
    seen->items[seen->count++] = item->index;
    seen->last = *row;
    seen->last.reason = NULL; /* borrowed */
    if (row->tensor) memcpy(seen->tensor, row->tensor, (size_t)row->tensor_length * sizeof(float));
    return RMP_OK;
}

Test(journal, rows_come_back_as_they_were)
{
    static const float tensor[] = {1.5f, -0.0f, INFINITY, 3e-42f, 5};
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    add_items(journal, 2);
    rmp_row row = make_row(1);
    row.psnr = INFINITY;
    row.ssim_input = NAN;
    row.tensor = tensor;
    row.tensor_length = 5;
    commit_row(journal, row);
    seen_rows seen = {0};
    cr_assert_eq(rmp_journal_visit(journal, note_row, &seen), RMP_OK);
    cr_assert_eq(seen.count, 1);
    cr_assert_eq(seen.items[0], 1);
    cr_assert(isinf(seen.last.psnr) && seen.last.psnr > 0);
    cr_assert(isnan(seen.last.ssim_input) && isnan(seen.last.distance));
    cr_assert(seen.last.residual == row.residual && seen.last.started == row.started);
    cr_assert_eq(seen.last.channels, 3);
    cr_assert_eq(seen.last.cg_iterations, 60);
    cr_assert_eq(seen.last.tensor_length, 5);
    cr_assert_eq(memcmp(seen.tensor, tensor, sizeof tensor), 0);

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

static const char metrics[] =
    "id,status,reason,psnr,ssim,psnr_8bit,ssim_8bit,psnr_input,ssim_input,residual,distance,evaluations,vjps,"
    "cg_iterations,height,width\n"
    "item0,ok,,20.000000,0.500000,19.000000,0.250000,22.000000,0.125000,0.0333333333,,40,20,60,10,20\n"
    "item1,failed,\"\"\"a,b.png\"\": cut\",,,,,,,,,0,0,0,0,0\n"
    "item2,ok,,inf,0.500000,21.000000,0.250000,22.000000,0.125000,0.0333333333,1e-30,40,20,60,10,20\n";

Test(journal, tables_do_not_depend_on_the_order_of_arrival)
{
    static const int64_t orders[2][3] = {{0, 1, 2}, {2, 1, 0}};
    for (int order = 0; order < 2; order++) {
        rmp_journal *journal = open_journal(RMP_JOURNAL_RESTART);
        add_items(journal, 4);
        for (int i = 0; i < 3; i++) {
            rmp_row row = make_row(orders[order][i]);
            row.rank = order;
            row.seconds = 0.5 * i;
            if (row.item == 1)
                row = (rmp_row){.item = 1,
                                .failed = true,
                                .reason = "\"a,b.png\": cut",
                                .psnr = NAN,
                                .ssim = NAN,
                                .psnr_8bit = NAN,
                                .ssim_8bit = NAN,
                                .psnr_input = NAN,
                                .ssim_input = NAN,
                                .residual = NAN,
                                .distance = NAN,
                                .host = "node, 1"};
            if (row.item == 2) {
                row.psnr = INFINITY;
                row.distance = 1e-30;
            }
            commit_row(journal, row);
        }
        cr_assert_eq(rmp_journal_export(journal, folder), RMP_OK, "%s", rmp_fail_message());
        char *table = read_table("metrics.csv");
        cr_assert_str_eq(table, metrics);
        free(table);
        table = read_table("timings.csv");
        if (order == 0)
            cr_assert_str_eq(table, "id,seconds,rank,host,started\n"
                                    "item0,0.000000,0,node1,1700000000.250000\n"
                                    "item1,0.000000,0,\"node, 1\",0.000000\n"
                                    "item2,1.000000,0,node1,1700000000.250000\n");
        free(table);
        rmp_journal_close(&journal);
    }
}

Test(journal, statistics_of_known_numbers)
{
    static const double values[] = {4, 1, 3, 2, 7, INFINITY}; /* of the finite: mean 3.4, squares 21.2 */
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    add_items(journal, 8);
    rmp_statistics s;
    cr_assert_eq(rmp_journal_statistics(journal, "psnr", &s), RMP_OK);
    cr_assert(s.n == 0 && isnan(s.mean) && isnan(s.median));
    for (int i = 0; i < 7; i++) {
        rmp_row row = make_row(i);
        row.psnr = i < 6 ? values[i] : 1000;
        row.failed = i == 6; /* a failed item's numbers do not count */
        commit_row(journal, row);
    }
    cr_assert_eq(rmp_journal_statistics(journal, "psnr", &s), RMP_OK);
    cr_assert_eq(s.n, 5);
    cr_assert_float_eq(s.mean, 3.4, 1e-14); /* a few roundings */
    cr_assert_float_eq(s.std, sqrt(21.2 / 5), 1e-14);
    cr_assert(s.min == 1 && s.q25 == 2 && s.median == 3 && s.q75 == 4 && s.max == 7);
    rmp_row row = make_row(6); /* six values: the quartiles lie between two */
    row.psnr = 5;
    commit_row(journal, row);
    cr_assert_eq(rmp_journal_statistics(journal, "psnr", &s), RMP_OK);
    cr_assert(s.q25 == 2.25 && s.median == 3.5 && s.q75 == 4.75);
    cr_assert_eq(rmp_journal_statistics(journal, "gain", &s), RMP_OK);
    cr_assert(s.n == 6 && s.min == -21 && s.max == -15);
    cr_assert_eq(rmp_journal_statistics(journal, "distance", &s), RMP_OK);
    cr_assert_eq(s.n, 0);
    cr_assert_eq(rmp_journal_statistics(journal, "psnr; DROP TABLE items", &s), RMP_ERR_ARGUMENT);

    int64_t counts[3];
    cr_assert_eq(rmp_journal_histogram(journal, "psnr", 1, 4, 3, counts), RMP_OK); /* 1 | 2 | 3 4; 5 and 7 are out */
    cr_assert(counts[0] == 1 && counts[1] == 1 && counts[2] == 2);
    cr_assert_eq(rmp_journal_histogram(journal, "psnr", 4, 4, 3, counts), RMP_ERR_ARGUMENT);
    rmp_journal_close(&journal);
}

static void expect_ranked(rmp_journal *journal, rmp_ranking order, int64_t limit, int count, const int64_t items[])
{
    seen_rows seen = {0};
    cr_assert_eq(rmp_journal_ranked(journal, order, limit, note_row, &seen), RMP_OK, "%s", rmp_fail_message());
    cr_assert_eq(seen.count, count);
    for (int i = 0; i < count; i++)
        cr_assert_eq(seen.items[i], items[i], "order %d, place %d: item %lld", order, i, (long long)seen.items[i]);
}

Test(journal, ranked_by_gain)
{
    static const double gains[] = {3, -1, 2, 2, 9, 5};
    rmp_journal *journal = open_journal(RMP_JOURNAL_RESUME);
    add_items(journal, 9);
    for (int i = 0; i < 8; i++) {
        rmp_row row = make_row(i);
        if (i < 6) row.psnr = row.psnr_input + gains[i];
        row.failed = i >= 6;
        row.reason = row.failed ? "cut" : NULL;
        commit_row(journal, row);
    }
    expect_ranked(journal, RMP_RANK_WORST, 3, 3, (const int64_t[]){1, 2, 3});
    expect_ranked(journal, RMP_RANK_BEST, 3, 3, (const int64_t[]){4, 5, 0});
    expect_ranked(journal, RMP_RANK_MEDIAN, 2, 2, (const int64_t[]){3, 0}); /* -1 2 [2 3] 5 9 */
    expect_ranked(journal, RMP_RANK_WORST, 100, 6, (const int64_t[]){1, 2, 3, 0, 5, 4});
    expect_ranked(journal, RMP_RANK_BEST, 100, 6, (const int64_t[]){4, 5, 0, 2, 3, 1});
    expect_ranked(journal, RMP_RANK_FAILED, 1, 1, (const int64_t[]){6});
    expect_ranked(journal, RMP_RANK_MEDIAN, 0, 0, NULL);

    /* Nothing but a residual: smaller is better. */
    for (int i = 0; i < 6; i++) {
        rmp_row row = make_row(i);
        row.psnr = row.psnr_input = NAN;
        row.residual = 1 + i;
        commit_row(journal, row);
    }
    expect_ranked(journal, RMP_RANK_BEST, 2, 2, (const int64_t[]){0, 1});
    rmp_journal_close(&journal);
}
