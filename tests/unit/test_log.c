/* The log: what is printed, what is not, and that a broken copy does not matter. */
#include "core/log.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int former;

/* stderr into a file of the test. */
static void catch_stderr(void)
{
    scratch_setup();
    unsetenv("RMP_LOG");
    FILE *file = fopen(scratch_path("stderr"), "w");
    former = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    fclose(file);
}

static char *caught(void)
{
    size_t size;
    dup2(former, STDERR_FILENO);
    return scratch_read(scratch_path("stderr"), &size);
}

TestSuite(log, .init = catch_stderr, .fini = scratch_teardown, .timeout = 30);

Test(log, line_names_rank_host_level_and_part)
{
    RMP_LOG_INFO("job", "%d items", 3);
    rmp_log_identity(2, 4, "node7");
    RMP_LOG_WARN("queue", "slow");
    char *text = caught();
    cr_assert_str_eq(text, "info job: 3 items\n[2/4 node7] warn queue: slow\n");
    free(text);
}

static int evaluated;
static int evaluate(void) { return ++evaluated; }

Test(log, level_comes_from_the_environment)
{
    setenv("RMP_LOG", "warn", 1);
    RMP_LOG_ERROR("a", "1");
    RMP_LOG_WARN("a", "2");
    RMP_LOG_INFO("a", "%d", evaluate());
    RMP_LOG_DEBUG("a", "%d", evaluate());
    rmp_log_set_level(RMP_LEVEL_DEBUG);
    RMP_LOG_DEBUG("a", "5");
    char *text = caught();
    cr_assert_str_eq(text, "error a: 1\nwarn a: 2\ndebug a: 5\n");
    cr_assert_eq(evaluated, 0);
    free(text);
}

Test(log, unknown_level_means_info)
{
    setenv("RMP_LOG", "loud", 1);
    RMP_LOG_INFO("a", "1");
    RMP_LOG_DEBUG("a", "2");
    char *text = caught();
    cr_assert_str_eq(text, "info a: 1\n");
    free(text);
}

Test(log, control_characters_cannot_forge_lines)
{
    RMP_LOG_ERROR("io", "%s: truncated", "a\n[0/1 x] error io: forged\033[2J\x7f\xc3\xa4.png");
    char *text = caught();
    cr_assert_str_eq(text, "error io: a?[0/1 x] error io: forged?[2J?\xc3\xa4.png: truncated\n");
    free(text);
}

Test(log, long_lines_are_cut_not_lost)
{
    char *message = malloc(10000);
    memset(message, 'x', 9999);
    message[9999] = '\0';
    RMP_LOG_ERROR("io", "%s", message);
    RMP_LOG_ERROR("io", "next");
    char *text = caught();
    char *newline = strchr(text, '\n');
    cr_assert_not_null(newline);
    cr_assert(newline - text > 4000 && newline - text < 4096);
    cr_assert_str_eq(newline, "\nerror io: next\n");
    free(message);
    free(text);
}

Test(log, copy_has_the_lines_but_not_the_bar)
{
    FILE *copy = fopen(scratch_path("log.txt"), "w");
    rmp_log_copy(copy);
    rmp_log_bottom_line("[##--]");
    RMP_LOG_INFO("job", "one");
    rmp_log_bottom_line(NULL);
    RMP_LOG_INFO("job", "two");
    rmp_log_copy(NULL);
    RMP_LOG_INFO("job", "three");
    fclose(copy);
    size_t size;
    char *text = caught();
    char *copied = scratch_read(scratch_path("log.txt"), &size);
    cr_assert_str_eq(text, "\r\033[K[##--]\r\033[Kinfo job: one\n[##--]\r\033[Kinfo job: two\ninfo job: three\n");
    cr_assert_str_eq(copied, "info job: one\ninfo job: two\n");
    free(text);
    free(copied);
}

Test(log, copy_on_a_full_disk_is_given_up)
{
    FILE *copy = fopen("/dev/full", "w");
    cr_assert_not_null(copy);
    rmp_log_copy(copy);
    RMP_LOG_INFO("job", "one");
    RMP_LOG_INFO("job", "two");
    char *text = caught();
    cr_assert_str_eq(text, "info job: one\n"
                           "warn log: the copy of the log cannot be written and ends here: No space left on device\n"
                           "info job: two\n");
    free(text);
    fclose(copy);
}
