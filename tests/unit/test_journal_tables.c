/* Tables and statistics of the journal: they do not depend on the order of arrival. */
#include "tests/unit/journal_rows.h"

TestSuite(journal_tables, .init = scratch_setup, .fini = scratch_teardown, .timeout = 60);

static char *read_table(const char *name)
{
    char *path, *text;
    size_t size;
    cr_assert_eq(rmp_path_join(folder, name, &path), RMP_OK);
    cr_assert_eq(rmp_file_read(path, 1 << 20, &text, &size), RMP_OK, "%s", rmp_fail_message());
    free(path);
    return text;
}

static const char metrics[] =
    "id,status,reason,psnr,ssim,psnr_8bit,ssim_8bit,psnr_input,ssim_input,lpips,lpips_input,residual,"
    "distance,distance_mean,std,coverage,evaluations,vjps,cg_iterations,std_evaluations,height,width\n"
    "item0,ok,,20.000000,0.500000,19.000000,0.250000,22.000000,0.125000,,,0.0333333333,,,,,40,20,60,0,10,20\n"
    "item1,failed,\"\"\"a,b.png\"\": cut\",,,,,,,,,,,,,,0,0,0,0,0,0\n"
    "item2,ok,,inf,0.500000,21.000000,0.250000,22.000000,0.125000,0.062500,0.750000,0.0333333333,1e-30,"
    "1e-31,0.5,0.937500,40,20,60,12,10,20\n";

Test(journal_tables, tables_do_not_depend_on_the_order_of_arrival)
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
                                .lpips = NAN,
                                .lpips_input = NAN,
                                .residual = NAN,
                                .distance = NAN,
                                .distance_mean = NAN,
                                .std = NAN,
                                .coverage = NAN,
                                .host = "node, 1"};
            if (row.item == 2) {
                row.psnr = INFINITY;
                row.distance = 1e-30;
                row.distance_mean = 1e-31;
                row.std = 0.5;
                row.coverage = 0.9375;
                row.std_evaluations = 12;
                row.lpips = 0.0625;
                row.lpips_input = 0.75;
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

Test(journal_tables, statistics_of_known_numbers)
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

Test(journal_tables, ranked_by_gain)
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
