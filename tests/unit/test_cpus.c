/* Processors of ranks: the kernel's lists, and their division into whole cores. */
#include "mpi/cpus.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static rmp_cpus parse(const char *text)
{
    rmp_cpus cpus;
    cr_assert(rmp_cpus_parse(text, &cpus), "%s", text);
    return cpus;
}

Test(cpus, lists)
{
    rmp_cpus cpus = parse("\t0-3,8,10-11\n");
    cr_assert_eq(rmp_cpus_count(&cpus), 7);
    cr_assert(rmp_cpus_has(&cpus, 0) && rmp_cpus_has(&cpus, 3) && rmp_cpus_has(&cpus, 8) && rmp_cpus_has(&cpus, 11));
    cr_assert(!rmp_cpus_has(&cpus, 4) && !rmp_cpus_has(&cpus, 9) && !rmp_cpus_has(&cpus, 12));
    cr_assert(!rmp_cpus_has(&cpus, -1) && !rmp_cpus_has(&cpus, RMP_CPUS_MAX));
    cpus = parse("4095");
    cr_assert(rmp_cpus_has(&cpus, 4095));
    static const char *const wrong[] = {"", "\n", "a", "3-1", "1-", "0-4096", "99999999999999999999", "1;2", "-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert(!rmp_cpus_parse(wrong[i], &cpus), "%s", wrong[i]);
}

static void expect_part(const rmp_cpus *all, const int64_t *core, int parts, int index, const char *list, int cores)
{
    rmp_cpus part, expected = parse(list);
    cr_assert_eq(rmp_cpus_part(all, core, parts, index, &part), cores);
    cr_assert_eq(memcmp(&part, &expected, sizeof part), 0, "part %d of %d", index, parts);
}

Test(cpus, parts_of_plain_processors)
{
    rmp_cpus all = parse("2-6,9");
    expect_part(&all, NULL, 1, 0, "2-6,9", 6);
    expect_part(&all, NULL, 2, 0, "2-4", 3);
    expect_part(&all, NULL, 2, 1, "5-6,9", 3);
    /* 6 by 4: nobody gets nothing, nobody gets more than one more than another. */
    expect_part(&all, NULL, 4, 0, "2", 1);
    expect_part(&all, NULL, 4, 1, "3-4", 2);
    expect_part(&all, NULL, 4, 2, "5", 1);
    expect_part(&all, NULL, 4, 3, "6,9", 2);
    /* More ranks than processors share them. */
    expect_part(&all, NULL, 8, 5, "9", 1);
    expect_part(&all, NULL, 8, 6, "2", 1);
}

Test(cpus, parts_are_whole_cores)
{
    /* Two packages of two cores of two threads, numbered as Linux does: the second threads come last. */
    int64_t *core = calloc(RMP_CPUS_MAX, sizeof *core);
    static const int64_t package[] = {0, 1, 0, 1, 0, 1, 0, 1};
    static const int64_t number[] = {0, 0, 1, 1, 0, 0, 1, 1};
    for (int i = 0; i < 8; i++)
        core[i] = package[i] << 32 | number[i];
    rmp_cpus all = parse("0-7");
    expect_part(&all, core, 1, 0, "0-7", 4);
    expect_part(&all, core, 2, 0, "0,2,4,6", 2); /* a package each */
    expect_part(&all, core, 2, 1, "1,3,5,7", 2);
    expect_part(&all, core, 4, 1, "2,6", 1);
    expect_part(&all, core, 3, 0, "0,4", 1);
    expect_part(&all, core, 8, 7, "3,7", 1);
    free(core);
}

Test(cpus, this_machine)
{
    rmp_cpus cpus;
    cr_assert_eq(rmp_cpus_current(&cpus), RMP_OK);
    cr_assert_gt(rmp_cpus_count(&cpus), 0);
    cr_assert_eq(rmp_cpus_bind(&cpus), RMP_OK);
    cr_assert(rmp_cpus_quota() >= 0);
    int64_t *core = malloc(RMP_CPUS_MAX * sizeof *core);
    rmp_cpus part;
    rmp_cpus_cores(&cpus, core);
    int cores = rmp_cpus_part(&cpus, core, 1, 0, &part);
    cr_assert(cores >= 1 && cores <= rmp_cpus_count(&cpus));
    cr_assert_eq(memcmp(&part, &cpus, sizeof part), 0);
    free(core);
}
