/* Journals for tests: items, rows with known scores, and what a visit saw. */
#pragma once

#include "io/file.h"
#include "io/journal.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const folder = scratch;

static const char job[] = "noise:\n  sigma: 0.05\nseed: 1\n";

static inline rmp_journal *open_journal(rmp_journal_mode mode)
{
    rmp_journal *journal = NULL;
    cr_assert_eq(rmp_journal_open(folder, job, mode, &journal), RMP_OK, "%s", rmp_fail_message());
    return journal;
}

static inline void add_items(rmp_journal *journal, int64_t count)
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
static inline rmp_row make_row(int64_t item)
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
                     .lpips = NAN,
                     .lpips_input = NAN,
                     .residual = 0.1 / 3,
                     .distance = NAN,
                     .distance_mean = NAN,
                     .std = NAN,
                     .coverage = NAN,
                     .evaluations = 40,
                     .vjps = 20,
                     .cg_iterations = 60,
                     .seconds = 1.5,
                     .started = 1700000000.25,
                     .rank = 1,
                     .host = "node1"};
}

static inline void commit_row(rmp_journal *journal, rmp_row row)
{
    cr_assert_eq(rmp_journal_commit(journal, 1, &row), RMP_OK, "%s", rmp_fail_message());
}

static inline rmp_counts counts_of(rmp_journal *journal)
{
    rmp_counts counts;
    cr_assert_eq(rmp_journal_counts(journal, &counts), RMP_OK);
    return counts;
}

typedef struct seen_rows {
    int count;
    int64_t items[16];
    rmp_row last;
    float tensor[8], tensor_std[8];
} seen_rows;

static inline rmp_status note_row(void *context, const rmp_item *item, const rmp_row *row)
{
    seen_rows *seen = context;
    RMP_CHECK(item->index == row->item, RMP_ERR_INTERNAL, "row of another item");
    seen->items[seen->count++] = item->index;
    seen->last = *row;
    seen->last.reason = NULL; /* borrowed */
    if (row->tensor) memcpy(seen->tensor, row->tensor, (size_t)row->tensor_length * sizeof(float));
    if (row->tensor_std) memcpy(seen->tensor_std, row->tensor_std, (size_t)row->tensor_length * sizeof(float));
    return RMP_OK;
}
