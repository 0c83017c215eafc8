/* summary.json, the table, report.html and the contact sheet from a journal that is written here. */
#include "io/file.h"
#include "jobs/picture.h"
#include "jobs/report.h"
#include "jobs/summary.h"
#include "tests/unit/scratch.h"

#include <jansson.h>
#include <math.h>

TestSuite(summary, .init = scratch_setup, .fini = scratch_teardown);

static const char job_text[] =
    "input:\n  images: \"photos\"\noperator:\n  kind: super_resolution\n  factor: 2\nseed: 3\n";

enum { ITEMS = 12, FAILED = 3, SIDE = 8 };

static bool fails(int64_t i) { return i % 4 == 3; }

static void write_picture(const char *dir, const char *name, float gray)
{
    rmp_image image;
    void *bytes;
    size_t size;
    expect_ok(rmp_picture_create(SIDE, SIDE, gray, &image));
    expect_ok(rmp_image_encode(&image, RMP_PNG8, &bytes, &size));
    expect_ok(rmp_file_write(dir, name, bytes, size));
    free(bytes);
    rmp_image_free(&image);
}

/* Item i: psnr_input 20, gain i; every fourth failed, with its path in the reason. Ranks in another order than items.
 */
static void write_journal(double second_of_rank)
{
    rmp_journal *journal;
    char id[16], image[64], output[64], reason[128], host[] = "node";
    expect_ok(rmp_folder_create(scratch_path("images")));
    expect_ok(rmp_journal_open(scratch, job_text, RMP_JOURNAL_RESTART, &journal));
    expect_ok(rmp_journal_items_begin(journal));
    for (int64_t i = 0; i < ITEMS; i++) {
        snprintf(id, sizeof id, "p%02d", (int)i);
        snprintf(image, sizeof image, "/photos/%s.png", id);
        rmp_item item = {.index = i, .id = id, .image = image};
        expect_ok(rmp_journal_items_add(journal, &item, SIDE, SIDE));
    }
    expect_ok(rmp_journal_items_commit(journal));
    for (int64_t k = ITEMS - 1; k >= 0; k--) {
        snprintf(output, sizeof output, "images/p%02d.png", (int)k);
        snprintf(reason, sizeof reason, "/photos/p%02d.png: truncated", (int)k);
        rmp_row row = {.item = k,
                       .failed = fails(k),
                       .reason = fails(k) ? reason : NULL,
                       .output = fails(k) ? NULL : output,
                       .height = SIDE,
                       .width = SIDE,
                       .channels = 3,
                       .psnr = fails(k) ? NAN : 20 + (double)k,
                       .psnr_input = fails(k) ? NAN : 20,
                       .ssim = NAN,
                       .psnr_8bit = NAN,
                       .ssim_8bit = NAN,
                       .ssim_input = NAN,
                       .lpips = NAN,
                       .lpips_input = NAN,
                       .residual = fails(k) ? NAN : 0.05,
                       .distance = NAN,
                       .distance_mean = NAN,
                       .std = NAN,
                       .coverage = NAN,
                       .evaluations = 20,
                       .seconds = second_of_rank,
                       .started = 1000 + (double)k,
                       .rank = (int)(k % 2),
                       .host = host};
        if (!fails(k)) write_picture(scratch_path("images"), output + strlen("images/"), (float)k / ITEMS);
        expect_ok(rmp_journal_commit(journal, 1, &row));
    }
    rmp_journal_close(&journal);
}

Test(summary, collects_in_item_order)
{
    rmp_summary s;
    write_journal(2);
    expect_ok(rmp_summary_collect(scratch, &s));
    cr_assert_eq(s.counts.items, ITEMS);
    cr_assert_eq(s.counts.failed, FAILED);
    const rmp_statistics *gain = &s.figure[RMP_FIGURE_GAIN]; /* 0 1 2 4 5 6 8 9 10 */
    cr_assert_eq(gain->n, ITEMS - FAILED);
    cr_assert_eq(gain->mean, 5);
    cr_assert_eq(gain->min, 0);
    cr_assert_eq(gain->median, 5);
    cr_assert_eq(gain->max, 10);
    cr_assert_eq(s.figure[RMP_FIGURE_SSIM].n, 0);
    cr_assert(isnan(s.figure[RMP_FIGURE_SSIM].mean));
    cr_assert_eq(s.reasons, 1, "the same mistake in three files is one reason");
    cr_assert_str_eq(s.reason[0].text, "FILE: truncated");
    cr_assert_eq(s.reason[0].items, FAILED);
    cr_assert_eq(s.other_failures, 0);
    cr_assert_eq(s.charted, RMP_FIGURE_GAIN);
    int64_t charted = 0;
    for (int i = 0; i < RMP_HISTOGRAM_BINS; i++)
        charted += s.chart[i];
    cr_assert_eq(charted, ITEMS - FAILED, "the extremes are inside the chart");
    cr_assert_eq(s.shares, 2);
    cr_assert_eq(s.share[0].rank, 0);
    cr_assert_eq(s.share[1].items, ITEMS / 2);
    cr_assert_eq(s.share[1].seconds, ITEMS);
    cr_assert_eq(s.first_started, 1000);
    cr_assert_str_eq(s.job, job_text);
    rmp_summary_free(&s);
}

static json_t *read_json(void)
{
    size_t size;
    char *text = scratch_read(scratch_path("summary.json"), &size);
    json_t *root = json_loadb(text, size, 0, NULL);
    free(text);
    cr_assert(root);
    return root;
}

/* Everything but the two objects that tell of the run. */
static char *stable_text(void)
{
    json_t *root = read_json();
    json_object_del(root, "timing");
    json_object_del(root, "hardware");
    char *text = json_dumps(root, 0);
    json_decref(root);
    return text;
}

Test(summary, json_separates_the_run_from_the_result)
{
    rmp_run_facts facts = {
        .device = "a \xFF device", .precision = "fp32", .ranks = 2, .threads = 1, .items = 9, .elapsed = 4.5};
    write_journal(2);
    expect_ok(rmp_summary_write(scratch, &facts));
    json_t *root = read_json();
    const json_t *run = json_object_get(json_object_get(root, "timing"), "last_run");
    cr_assert_eq(json_real_value(json_object_get(run, "items_per_second")), 2);
    cr_assert_eq(json_integer_value(json_object_get(root, "seed")), 3);
    cr_assert_str_eq(json_string_value(json_object_get(root, "task")), "super-resolution x2");
    cr_assert_str_eq(json_string_value(json_object_get(root, "job_text")), job_text);
    cr_assert(json_is_string(json_object_get(json_object_get(root, "versions"), "onednn")));
    cr_assert(json_is_null(json_object_get(json_object_get(json_object_get(root, "figures"), "ssim"), "mean")));
    json_decref(root);

    char *before = stable_text();
    facts.ranks = 4;
    facts.elapsed = 100;
    write_journal(7);
    expect_ok(rmp_summary_write(scratch, &facts));
    char *after = stable_text();
    cr_assert_str_eq(before, after);

    expect_ok(rmp_summary_write(scratch, NULL)); /* keeps what it cannot know */
    root = read_json();
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(root, "hardware"), "ranks")), 4);
    run = json_object_get(json_object_get(root, "timing"), "last_run");
    cr_assert_eq(json_real_value(json_object_get(run, "elapsed")), 100);
    json_decref(root);
    free(before);
    free(after);
}

Test(summary, without_a_former_one_the_run_is_unknown)
{
    write_journal(2);
    scratch_write(scratch_path("summary.json"), "{ broken", 8);
    expect_ok(rmp_summary_write(scratch, NULL));
    json_t *root = read_json();
    cr_assert(json_is_null(json_object_get(root, "hardware")));
    cr_assert(json_is_null(json_object_get(json_object_get(root, "timing"), "last_run")));
    json_decref(root);
}

Test(summary, table)
{
    char *text = NULL, *dirs[] = {scratch, scratch};
    size_t size = 0;
    write_journal(2);
    FILE *out = open_memstream(&text, &size);
    expect_ok(rmp_summary_print(out, 2, dirs));
    fclose(out);
    static const char expected[] =
        "task                 items  failed  PSNR in  PSNR out  gain dB  SSIM  s/item  evaluations  VJPs\n"
        "super-resolution x2     12       3    20.00     25.00    +5.00     -    2.00           20     0\n"
        "super-resolution x2     12       3    20.00     25.00    +5.00     -    2.00           20     0\n";
    cr_assert_str_eq(text, expected);
    free(text);
}

Test(summary, no_results)
{
    rmp_summary s;
    char *dirs[] = {scratch};
    cr_assert_neq(rmp_summary_collect(scratch, &s), RMP_OK);
    cr_assert_neq(rmp_summary_write(scratch, NULL), RMP_OK);
    cr_assert_neq(rmp_report_write(scratch, NULL, NULL), RMP_OK);
    cr_assert_neq(rmp_summary_print(stderr, 1, dirs), RMP_OK);
    cr_assert_neq(access(scratch_path("summary.json"), F_OK), 0);
    cr_assert_neq(access(scratch_path("report.html"), F_OK), 0);
}

static int measured;

static rmp_status measure(void *context, const rmp_item *item, rmp_image *out)
{
    measured++;
    if (!strcmp(item->id, "p00")) return RMP_FAIL(RMP_ERR_FORMAT, "no measurement of %s", item->id);
    return rmp_picture_create(SIDE / 2, SIDE / 2, *(const float *)context, out);
}

Test(summary, report_of_the_best_median_and_worst)
{
    float gray = 0.25F;
    size_t size;
    write_journal(2);
    cr_assert_eq(rmp_report_write(scratch, measure, &gray), RMP_ERR_IO, "summary.json comes first");
    rmp_fail_clear();
    expect_ok(rmp_summary_write(scratch, NULL));
    measured = 0;
    expect_ok(rmp_report_write(scratch, measure, &gray));
    cr_assert_eq(measured, 2 * (ITEMS - FAILED), "once for the page and once for the sheet");
    char *text = scratch_read(scratch_path("report.html"), &size);
    int pictures = 0;
    for (const char *at = text; (at = strstr(at, "data:image/png")) != NULL; at++)
        pictures++;
    /* No originals in this test; one measurement fails and only its picture is missing. */
    cr_assert_eq(pictures, 2 * (ITEMS - FAILED) - 1);
    const char *best = strstr(text, ">p10<"), *worst = strstr(text, ">p00<");
    cr_assert(best && worst && best < worst);
    free(text);
    rmp_shape sheet;
    expect_ok(rmp_image_probe(scratch_path("contact_sheet.png"), &sheet));
    cr_assert_eq(sheet.c, 3);
}
