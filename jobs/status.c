/* `rmp status`: how far the jobs of output folders are. */
#include "io/journal.h"
#include "jobs/command.h"
#include "jobs/options.h"
#include "jobs/sweep_command.h"

#include <math.h>
#include <stdio.h>

enum { MAX_DIRS = 64, SHOWN_FAILURES = 5 };

static const rmp_command command = {"status",
                                    "DIR...",
                                    "Prints what is done, failed and left in output folders, and the first reasons of "
                                    "failures. Reads only;\nthe jobs may run.",
                                    "rmp status results/sr4 results/inpaint",
                                    NULL,
                                    0,
                                    1,
                                    MAX_DIRS};

static rmp_status print_failure(void *context, const rmp_item *item, const rmp_row *row)
{
    (void)context;
    printf("  %s: %s\n", item->id, row->reason != NULL ? row->reason : "unknown reason");
    return RMP_OK;
}

static rmp_status print_mean(rmp_journal *journal, const char *column, const char *name, const char *unit)
{
    rmp_statistics s;
    RMP_TRY(rmp_journal_statistics(journal, column, &s));
    if (s.n > 0) printf("  %-18s mean %.4g%s, median %.4g%s\n", name, s.mean, unit, s.median, unit);
    return RMP_OK;
}

static rmp_status print_journal(rmp_journal *journal, const char *dir)
{
    rmp_counts c;
    RMP_TRY(rmp_journal_counts(journal, &c));
    printf("%s: %lld of %lld items done, %lld of them failed, %lld left\n", dir, (long long)c.done, (long long)c.items,
           (long long)c.failed, (long long)(c.items - c.done));
    RMP_TRY(print_mean(journal, "psnr", "PSNR", " dB"));
    RMP_TRY(print_mean(journal, "gain", "gain", " dB"));
    RMP_TRY(print_mean(journal, "distance", "distance", ""));
    RMP_TRY(print_mean(journal, "distance_mean", "to posterior mean", ""));
    RMP_TRY(print_mean(journal, "seconds", "seconds an item", " s"));
    if (c.failed > 0) RMP_TRY(rmp_journal_ranked(journal, RMP_RANK_FAILED, SHOWN_FAILURES, print_failure, NULL));
    if (c.done < c.items) printf("  `rmp resume %s` continues it\n", dir);
    return RMP_OK;
}

rmp_status rmp_status_command(int argc, char *argv[], rmp_invocation *invocation)
{
    char *dir[MAX_DIRS];
    int count;
    bool help;
    (void)invocation;
    RMP_TRY(rmp_command_parse(&command, argc, argv, NULL, dir, &count, &help));
    if (help) {
        rmp_command_help(&command, stdout);
        return RMP_OK;
    }
    for (int i = 0; i < count; i++) {
        rmp_journal *journal;
        if (rmp_sweep_owns(dir[i])) {
            RMP_TRY(rmp_sweep_status(dir[i], stdout));
            continue;
        }
        rmp_status status = rmp_journal_open_readonly(dir[i], &journal);
        /* A folder without results is the wrong folder. */
        if (status == RMP_ERR_IO) status = RMP_ERR_CONFIG;
        RMP_TRY(status);
        status = print_journal(journal, dir[i]);
        rmp_journal_close(&journal);
        RMP_TRY(status);
    }
    return RMP_OK;
}
