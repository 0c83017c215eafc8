#include "jobs/options.h"
#include "jobs/remaker.h"
#include "jobs/report.h"
#include "jobs/summary.h"
#include "jobs/sweep_command.h"

#include <stdlib.h>

enum { MAX_DIRS = 64 };

static rmp_status remake(const char *dir)
{
    rmp_journal *journal = NULL;
    rmp_remaker remaker = {.dir = dir};
    rmp_status status = rmp_journal_open_readonly(dir, &journal);
    if (status == RMP_ERR_IO) status = RMP_ERR_CONFIG; /* not a job's folder: a mistake in the command */
    RMP_TRY(status);
    status = rmp_journal_export(journal, dir);
    rmp_journal_close(&journal);
    RMP_TRY(status);
    RMP_TRY(rmp_summary_write(dir, NULL));
    status = rmp_report_write(dir, rmp_remaker_measure, &remaker);
    rmp_remaker_close(&remaker);
    return status;
}

rmp_status rmp_report_command(int argc, char *argv[], FILE *out)
{
    static const rmp_command command = {
        .name = "report",
        .arguments = "DIR...",
        .summary = "Makes metrics.csv, timings.csv, summary.json, report.html and contact_sheet.png of output folders "
                   "again,\nalso of jobs that run or were interrupted, and prints one table of all of them.",
        .example = "rmp report results/sr4 results/inpaint",
        .least = 1,
        .most = MAX_DIRS};
    char *dir[MAX_DIRS];
    int count = 0;
    bool help = false;
    RMP_TRY(rmp_command_parse(&command, argc, argv, NULL, dir, &count, &help));
    if (help) {
        rmp_command_help(&command, out);
        return RMP_OK;
    }
    char *job[MAX_DIRS];
    int jobs = 0;
    for (int i = 0; i < count; i++) {
        if (rmp_sweep_owns(dir[i])) {
            RMP_TRY(rmp_sweep_remake(dir[i], remake, out));
            continue;
        }
        RMP_TRY(remake(dir[i]));
        job[jobs++] = dir[i];
    }
    if (jobs > 0) RMP_TRY(rmp_summary_print(out, jobs, job));
    fputc('\n', out);
    for (int i = 0; i < count; i++)
        fprintf(out, "%s/report.html\n", dir[i]);
    return RMP_OK;
}
