/* Progress: the numbers that are shown. */
#include "core/log.h"
#include "jobs/progress.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void expect_bar(rmp_progress_state state, int width, const char *expected)
{
    char text[256];
    rmp_progress_bar(&state, width, text, sizeof text);
    cr_assert_str_eq(text, expected);
}

static void expect_line(rmp_progress_state state, const char *expected)
{
    char text[256];
    rmp_progress_line(&state, text, sizeof text);
    cr_assert_str_eq(text, expected);
}

Test(progress, bar)
{
    /* 8 done in this run in 4 s: 2 a second, 24 left: 12 s. */
    rmp_progress_state state = {.items = 40, .before = 8, .done = 16, .failed = 1, .elapsed = 4};
    expect_bar(state, 100, "[#########---------------]  40% 16/40  2.0 items/s  ETA 0:12  1 failed");
    expect_bar(state, 60, "[#####---------]  40% 16/40  2.0 items/s  ETA 0:12  1 failed");
    expect_bar(state, 50, " 40% 16/40  2.0 items/s  ETA 0:12  1 failed");
    expect_bar(state, 9, " 40% 16/4");
    expect_bar(state, 0, "");
    state.done = 40;
    expect_bar(state, 80, "[########################] 100% 40/40  8.0 items/s  1 failed");
}

Test(progress, line)
{
    expect_line((rmp_progress_state){.items = 40}, "0 of 40 items (0%)");
    expect_line((rmp_progress_state){.items = 40, .before = 8, .done = 8, .elapsed = 60}, "8 of 40 items (20%)");
    expect_line((rmp_progress_state){.items = 3, .done = 1, .elapsed = 4000},
                "1 of 3 items (33%), 4000 s/item, ETA 2:13:20");
    expect_line((rmp_progress_state){.items = 1000, .done = 999, .failed = 2, .elapsed = 99.9},
                "999 of 1000 items (99%), 10.0 items/s, ETA 0:00, 2 failed");
    /* Two of ten items were a hundredth of the work: 99 times 10 s are left. */
    expect_line((rmp_progress_state){.items = 10, .done = 2, .elapsed = 10, .work_done = 5, .work_left = 495},
                "2 of 10 items (20%), 5.0 s/item, ETA 16:30");
    expect_line((rmp_progress_state){0}, "0 of 0 items (100%)");
    expect_line((rmp_progress_state){.items = INT64_MAX, .done = 1, .elapsed = 1},
                "1 of 9223372036854775807 items (0%), 1.0 items/s, ETA ages");
}

/* In a batch log nothing is drawn for a minute, and the end is always told. */
Test(progress, batch_log_gets_the_end, .init = scratch_setup, .fini = scratch_teardown)
{
    FILE *file = fopen(scratch_path("stderr"), "w");
    int former = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    rmp_progress *progress;
    cr_assert_eq(rmp_progress_start(3, 1, 0, &progress), RMP_OK);
    for (int i = 0; i < 1000; i++)
        rmp_progress_update(progress, 2, 0);
    rmp_progress_update(progress, 3, 1);
    rmp_progress_stop(&progress);
    cr_assert_null(progress);
    rmp_progress_stop(&progress);
    dup2(former, STDERR_FILENO);
    fclose(file);
    size_t size;
    char *text = scratch_read(scratch_path("stderr"), &size);
    cr_assert_eq(strncmp(text, "info progress: 3 of 3 items (100%), ", 36), 0, "%s", text);
    cr_assert_not_null(strstr(text, ", 1 failed\n"));
    cr_assert_eq(strchr(text, '\n'), strrchr(text, '\n'));
    free(text);
}
