/* Inside of the report: what jobs/report.c found, for jobs/report_html.c and jobs/report_sheet.c to show. */
#pragma once

#include "jobs/report.h"
#include "jobs/summary.h"

#include <jansson.h>
#include <stdio.h>

enum { RMP_SHOWN_PER_RANKING = 3, RMP_MAX_SHOWN = 3 * RMP_SHOWN_PER_RANKING, RMP_MAX_FAILURES_SHOWN = 50 };

typedef struct rmp_pictures { /* of one item; values NULL where there is no such picture */
    rmp_image original, measurement, restored;
    rmp_image deviation; /* of jobs that estimate it */
} rmp_pictures;

/* How pictures are found: where the results are, and how to make a measurement again. All borrowed. */
typedef struct rmp_finder {
    const char *dir;
    rmp_report_measure measure; /* or NULL */
    void *context;
} rmp_finder;

/* The pictures of a restored item, none larger than max_side: the original, the measurement as kept in
 * DIR/measurements, as given by the user or as made again, the restored image. One that cannot be had is left out, with
 * a line in the log. RMP_ERR_MEMORY only. */
rmp_status rmp_pictures_load(const rmp_finder *finder, const rmp_item *item, const rmp_row *row, int64_t max_side,
                             rmp_pictures *out) RMP_MUST_CHECK;
void rmp_pictures_free(rmp_pictures *pictures);

/* DIR/contact_sheet.png of up to 24 restored items, evenly chosen in item order; no file if nothing was restored. */
rmp_status rmp_report_sheet(const rmp_finder *finder) RMP_MUST_CHECK;

typedef struct rmp_shown { /* one item of the report; strings owned */
    const char *rank;      /* "best", "median", "worst" */
    char *id;
    double psnr, ssim, psnr_input, ssim_input, lpips, lpips_input, residual, std;
    int64_t height, width;
    rmp_pictures pictures;
} rmp_shown;

typedef struct rmp_failure { /* strings owned */
    char *id, *reason;
} rmp_failure;

typedef struct rmp_page {
    const char *dir; /* borrowed */
    rmp_summary summary;
    json_t *job;  /* the resolved job */
    json_t *json; /* summary.json */
    int shown;
    rmp_shown item[RMP_MAX_SHOWN];
    int failures;
    rmp_failure failure[RMP_MAX_FAILURES_SHOWN];
} rmp_page;

/* The whole document. RMP_ERR_MEMORY, or what encoding a picture returned; write errors stay in `out`. */
rmp_status rmp_report_html(const rmp_page *page, FILE *out) RMP_MUST_CHECK;

/* The histogram of page->summary.charted as an inline SVG. */
void rmp_report_histogram(const rmp_summary *summary, FILE *out);

/* Style sheet of the document; static storage. */
extern const char rmp_report_style[];
