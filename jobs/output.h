/* The output folder of one job, on rank 0: from its journal to its reports. `rmp dataset` has one, `rmp sweep` one for
 * every cell. */
#pragma once

#include "core/poll.h"
#include "io/job.h"
#include "io/journal.h"
#include "jobs/report.h"
#include "jobs/summary.h"

/* A folder that is continued keeps its batch, whatever memory there is today: chunks stay the same. */
void rmp_output_recall_batch(rmp_job *job);

/* Makes the folder and opens its journal, as rmp_journal_open does. */
rmp_status rmp_output_open(const rmp_job *job, rmp_journal_mode mode, rmp_journal **out) RMP_MUST_CHECK;
/* Files of a folder, by name; those that are not there are no error. RMP_ERR_IO. */
rmp_status rmp_output_remove(const char *dir, const char *const names[], size_t count) RMP_MUST_CHECK;
/* Reports of a former job: until the new one ends they would pass for its own. */
rmp_status rmp_output_remove_reports(const char *dir) RMP_MUST_CHECK;
/* Makes the folders for results, removes half files, writes job.yaml. With the journal open. */
rmp_status rmp_output_prepare(const rmp_job *job) RMP_MUST_CHECK;

/* Everything that is derived from the journal, d: numbers of an item of a ground-truth job. device: any, for FID, which
 * takes up to rmp_frechet_bytes. measure: as for rmp_report_write. poll (may be NULL): called within FID, which takes
 * long, and between the parts. */
rmp_status rmp_output_report(const rmp_job *job, rmp_device *device, rmp_journal *journal, int64_t d,
                             const rmp_run_facts *facts, rmp_report_measure measure, void *context,
                             const rmp_poll *poll) RMP_MUST_CHECK;
