#include "gpu/devices.h"
#include "io/file.h"
#include "jobs/options.h"
#include "jobs/report.h"
#include "jobs/restorer.h"
#include "jobs/summary.h"
#include "jobs/sweep_command.h"

#include <stdlib.h>

enum { MAX_DIRS = 64 };

/* What makes a measurement again: opened when the first one is wanted, since a report that has its pictures needs no
 * model; a failure to open it (the model has moved) is the failure of every picture. */
typedef struct rmp_remaker {
    const char *dir;
    rmp_status opened; /* of the first attempt */
    bool tried;
    rmp_job *job;
    rmp_device *device;
    rmp_task *task;
    rmp_restorer *restorer;
} rmp_remaker;

static rmp_status open_remaker(rmp_remaker *remaker)
{
    char *path = NULL;
    RMP_TRY(rmp_path_join(remaker->dir, "job.yaml", &path));
    rmp_status status = rmp_job_read(path, 0, NULL, &remaker->job);
    free(path);
    RMP_TRY(status);
    const rmp_device_request device = {.kind = "cpu"};
    const rmp_restorer_options options = {.host = ""};
    RMP_TRY(rmp_device_create(&device, &remaker->device));
    RMP_TRY(rmp_task_open(remaker->job, remaker->device, &remaker->task));
    return rmp_restorer_create(remaker->task, &options, &remaker->restorer);
}

static void close_remaker(rmp_remaker *remaker)
{
    rmp_restorer_destroy(&remaker->restorer);
    rmp_task_close(&remaker->task);
    rmp_device_destroy(&remaker->device);
    rmp_job_free(&remaker->job);
}

static rmp_status measure(void *context, const rmp_item *item, rmp_image *out)
{
    rmp_remaker *remaker = context;
    if (!remaker->tried) remaker->opened = open_remaker(remaker);
    RMP_CHECK(!remaker->tried || remaker->opened == RMP_OK, RMP_ERR_CONFIG, "the job cannot be opened any more");
    remaker->tried = true;
    RMP_TRY(remaker->opened);
    return rmp_restorer_measure(remaker->restorer, item, out);
}

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
    status = rmp_report_write(dir, measure, &remaker);
    close_remaker(&remaker);
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
