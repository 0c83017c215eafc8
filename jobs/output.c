#include "jobs/output.h"

#include "io/file.h"
#include "jobs/fid.h"
#include "jobs/restored.h"
#include "jobs/server.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void rmp_output_recall_batch(rmp_job *job)
{
    char path[PATH_MAX];
    rmp_job *before = NULL;
    if (job->batch > 0) return;
    snprintf(path, sizeof path, "%s/job.yaml", job->output.dir);
    if (rmp_job_read(path, 0, NULL, &before) == RMP_OK) job->batch = before->batch;
    rmp_fail_clear();
    rmp_job_free(&before);
}

rmp_status rmp_output_open(const rmp_job *job, rmp_journal_mode mode, rmp_journal **out)
{
    char *text;
    *out = NULL;
    RMP_TRY(rmp_job_text(job, &text));
    rmp_status status = rmp_folder_create(job->output.dir);
    if (status != RMP_OK) {
        status = rmp_fail_context(status, "output.dir");
    } else {
        status = rmp_journal_open(job->output.dir, text, mode, out);
    }
    free(text);
    return status;
}

rmp_status rmp_output_remove(const char *dir, const char *const names[], size_t count)
{
    rmp_status status = RMP_OK;
    for (size_t i = 0; i < count && status == RMP_OK; i++) {
        char *path;
        RMP_TRY(rmp_path_join(dir, names[i], &path));
        if (unlink(path) != 0 && errno != ENOENT)
            status = RMP_FAIL(RMP_ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
        free(path);
    }
    return status;
}

rmp_status rmp_output_remove_reports(const char *dir)
{
    static const char *const names[] = {"metrics.csv",      "timings.csv",       "summary.json",
                                        "report.html",      "contact_sheet.png", "restored.safetensors",
                                        "fid_restored.npz", "fid_truth.npz"};
    return rmp_output_remove(dir, names, sizeof names / sizeof names[0]);
}

rmp_status rmp_output_prepare(const rmp_job *job)
{
    char *text;
    RMP_TRY(rmp_server_prepare_folders(job, job->input.tensors == NULL, job->output.measurements));
    RMP_TRY(rmp_job_text(job, &text));
    rmp_status status = rmp_file_write(job->output.dir, "job.yaml", text, strlen(text));
    free(text);
    return status;
}

rmp_status rmp_output_report(const rmp_job *job, rmp_device *device, rmp_journal *journal, int64_t d,
                             const rmp_run_facts *facts, rmp_report_measure measure, void *context,
                             const rmp_poll *poll)
{
    const char *dir = job->output.dir;
    const bool tensors = job->input.tensors != NULL;
    rmp_counts counts;
    RMP_TRY(rmp_journal_counts(journal, &counts));
    RMP_TRY(rmp_journal_export(journal, dir));
    if (tensors)
        RMP_TRY(rmp_restored_write(journal, dir, counts.items, d, job->uncertainty.method != RMP_UNCERTAINTY_NONE));
    if (job->metrics.fid != NULL) RMP_TRY(rmp_fid_finish(device, journal, dir, job->metrics.fid_reference, poll));
    RMP_TRY(rmp_poll_now(poll));
    RMP_TRY(rmp_summary_write(dir, facts));
    return rmp_report_write(dir, tensors ? NULL : measure, context);
}
