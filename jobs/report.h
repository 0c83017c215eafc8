/* report.html and contact_sheet.png: what a person looks at when a job has ended. Both are derived from the output
 * folder alone, show a bounded number of pictures however many items there are, and can be made again at any time
 * (`rmp report DIR`). The page is one file: styles, charts (SVG) and pictures (PNG as data: URIs) are inside, nothing
 * is fetched and no script runs. */
#pragma once

#include "io/image.h"
#include "io/journal.h"

#include <stdio.h>

/* Makes the measurement of one item again, as the job made it (the same masks, kernel and noise): for the few items
 * that are shown when the job does not keep measurements. `out` is filled as rmp_image_read does. A failure leaves that
 * picture out and is no failure of the report. */
typedef rmp_status (*rmp_report_measure)(void *context, const rmp_item *item, rmp_image *out);

/* Writes DIR/report.html and, for image jobs, DIR/contact_sheet.png, atomically, from the journal, summary.json and the
 * images of DIR: call rmp_summary_write first. `measure` may be NULL: then measurements are shown where
 * DIR/measurements or the manifest has them. */
rmp_status rmp_report_write(const char *dir, rmp_report_measure measure, void *context) RMP_MUST_CHECK;

/* `rmp report DIR...`: makes metrics.csv, timings.csv, summary.json, report.html and contact_sheet.png of finished or
 * interrupted jobs again, and prints the table. argv[0] is "report". A usage error is RMP_ERR_CONFIG. */
rmp_status rmp_report_command(int argc, char *argv[], FILE *out) RMP_MUST_CHECK;
