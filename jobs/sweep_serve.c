#include "core/log.h"
#include "gpu/devices.h"
#include "io/file.h"
#include "jobs/interrupt.h"
#include "jobs/output.h"
#include "jobs/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- journals ---- */

static void close_cell(rmp_sweeper *s, rmp_open_cell *o)
{
    if (o->job == NULL) return;
    rmp_cell *c = &s->cell[o->cell];
    c->counts = o->server.counts;
    c->chunk = o->server.chunk;
    rmp_server_stop(&o->server);
    rmp_journal_close(&o->journal);
    rmp_job_free(&o->job);
    memset(o, 0, sizeof *o);
}

static rmp_status record_items(rmp_sweeper *s, const rmp_job *job, rmp_journal *journal)
{
    const rmp_session *session = &s->session;
    rmp_task *task;
    rmp_inventory *inventory;
    RMP_TRY(rmp_task_open_next(job, session->device, session->task, &task));
    rmp_status status = rmp_sweeper_items(s, task, &inventory);
    if (status == RMP_OK) status = rmp_inventory_record(job, inventory, journal);
    rmp_task_close(&task);
    return status;
}

static rmp_status open_journal(rmp_sweeper *s, rmp_open_cell *o)
{
    bool have;
    rmp_cell *c = &s->cell[o->cell];
    RMP_TRY(rmp_sweeper_job(s, o->cell, &o->job));
    RMP_TRY(rmp_output_open(o->job, RMP_JOURNAL_RESUME, &o->journal));
    RMP_TRY(rmp_journal_have_items(o->journal, &have));
    if (!have) RMP_TRY(record_items(s, o->job, o->journal));
    /* Once a run: whoever works there now must not lose a half-written file of its own. */
    if (c->in_flight == 0) RMP_TRY(rmp_output_prepare(o->job));
    c->recorded = true;
    RMP_TRY(rmp_server_open(o->job, o->journal, o->cell, &o->server));
    o->server.chunk = c->chunk;
    return RMP_OK;
}

/* The cell with its journal open; the one that was used least recently is closed if there is no room. */
static rmp_status open_cell(rmp_sweeper *s, int64_t cell, rmp_open_cell **out)
{
    rmp_open_cell *place = &s->open[0];
    for (int i = 0; i < RMP_SWEEP_OPEN; i++) {
        rmp_open_cell *o = &s->open[i];
        if (o->job != NULL && o->cell == cell) {
            o->used = ++s->clock;
            *out = o;
            return RMP_OK;
        }
        if (o->used < place->used) place = o;
    }
    close_cell(s, place);
    place->cell = cell;
    place->used = ++s->clock;
    rmp_status status = open_journal(s, place);
    if (status != RMP_OK) {
        rmp_journal_close(&place->journal);
        rmp_job_free(&place->job);
        memset(place, 0, sizeof *place);
        return rmp_sweeper_fail(s, cell, status);
    }
    *out = place;
    return RMP_OK;
}

void rmp_sweeper_close(rmp_sweeper *s)
{
    for (int i = 0; i < RMP_SWEEP_OPEN; i++)
        close_cell(s, &s->open[i]);
}

rmp_status rmp_sweeper_restart(rmp_sweeper *s)
{
    for (int64_t i = 0; i < s->cells; i++) {
        rmp_job *job;
        rmp_journal *journal = NULL;
        char *path = NULL;
        RMP_TRY(rmp_world_beat(s->session.world));
        RMP_TRY(rmp_sweeper_job(s, i, &job));
        rmp_status status = rmp_path_join(job->output.dir, "results.sqlite", &path);
        if (status == RMP_OK && access(path, F_OK) == 0) {
            status = rmp_output_open(job, RMP_JOURNAL_RESTART, &journal);
            if (status == RMP_OK) status = rmp_output_remove_reports(job->output.dir);
            rmp_journal_close(&journal);
        }
        free(path);
        rmp_job_free(&job);
        if (status != RMP_OK) return rmp_sweeper_fail(s, i, status);
    }
    return RMP_OK;
}

/* ---- the queue ---- */

static void show(rmp_sweeper *s)
{
    rmp_progress_weigh(s->progress, s->work_done, s->work_left);
    rmp_progress_update(s->progress, s->counts.done, s->counts.failed);
}

rmp_status rmp_sweeper_next(void *context, void **bytes, size_t *size)
{
    rmp_sweeper *s = context;
    *bytes = NULL;
    *size = 0;
    show(s);
    for (; !s->interrupted && !rmp_interrupt_pending() && s->next < s->cells; s->next++) {
        rmp_cell *c = &s->cell[s->next];
        rmp_open_cell *o;
        if (c->recorded && c->counts.done == c->counts.items) continue;
        RMP_TRY(open_cell(s, s->next, &o));
        RMP_TRY(rmp_server_chunk(&o->server, bytes, size));
        c->counts = o->server.counts;
        c->chunk = o->server.chunk;
        if (*bytes == NULL) continue;
        c->in_flight++;
        if (!(c->began > 0)) c->began = seconds_now();
        return RMP_OK;
    }
    return RMP_OK;
}

static rmp_status accept(rmp_sweeper *s, rmp_result *result)
{
    rmp_cell *c = &s->cell[result->cell];
    rmp_open_cell *o;
    RMP_TRY(open_cell(s, result->cell, &o));
    const rmp_counts before = o->server.counts;
    RMP_TRY(rmp_server_accept(&o->server, result));
    c->counts = o->server.counts;
    const double work = rmp_sweeper_work(c, c->counts.done - before.done);
    s->work_done += work;
    s->work_left -= work;
    s->counts.done += c->counts.done - before.done;
    s->counts.failed += c->counts.failed - before.failed;
    show(s);
    return RMP_OK;
}

rmp_status rmp_sweeper_result(void *context, int rank, const void *bytes, size_t size)
{
    rmp_sweeper *s = context;
    rmp_result result;
    (void)rank;
    RMP_TRY(rmp_result_unpack(bytes, size, &result));
    rmp_status status = RMP_OK;
    if (result.cell < 0 || result.cell >= s->cells) {
        status = RMP_FAIL(RMP_ERR_INTERNAL, "a result of cell %lld", (long long)result.cell);
    } else {
        s->cell[result.cell].in_flight--;
        if (result.interrupted) {
            s->interrupted = true;
        } else {
            status = accept(s, &result);
        }
    }
    rmp_result_free(&result);
    return status;
}

/* ---- reports ---- */

typedef struct remaker { /* of the measurements of a cell's report */
    rmp_restorer *restorer;
    const rmp_poll *poll;
} remaker;

static rmp_status measure(void *context, const rmp_item *item, rmp_image *out)
{
    const remaker *r = context;
    RMP_TRY(rmp_poll_now(r->poll));
    return rmp_restorer_measure(r->restorer, item, out);
}

static rmp_status report_with(rmp_sweeper *s, const rmp_open_cell *o, const rmp_task *task, remaker *r)
{
    const rmp_cell *c = &s->cell[o->cell];
    const rmp_session *session = &s->session;
    const rmp_restorer_options options = {.memory_limit = session->budget, .host = ""};
    const rmp_run_facts facts = {.device = task->device->description,
                                 .precision = o->job->precision == RMP_PRECISION_BF16 ? "bf16" : "fp32",
                                 .ranks = session->world->size,
                                 .threads = session->threads,
                                 .items = c->counts.done - c->before,
                                 .elapsed = c->began > 0 ? seconds_now() - c->began : 0};
    /* What networks of the session take is for FID; they are made ready again for the next chunk. */
    if (o->job->metrics.fid != NULL && s->restorer != NULL) rmp_restorer_clear(s->restorer);
    RMP_TRY(rmp_restorer_create(task, &options, &r->restorer));
    rmp_status status =
        rmp_output_report(o->job, task->device, o->journal, task->channels, &facts, measure, r, r->poll);
    rmp_restorer_destroy(&r->restorer);
    return status;
}

/* Another device than the session's is opened for the measurements of cells that chose it. */
static rmp_status report_cell(rmp_sweeper *s, int64_t cell, const rmp_poll *poll)
{
    rmp_session *session = &s->session;
    rmp_open_cell *o;
    rmp_device *device = NULL;
    rmp_task *task = NULL;
    remaker r = {.poll = poll};
    RMP_TRY(open_cell(s, cell, &o));
    o->used = UINT64_MAX; /* a poll may open others, which must not close this one */
    rmp_status status = RMP_OK;
    const bool same = session->job != NULL && session->job->device == o->job->device;
    if (!same) {
        const rmp_device_request request = {.kind = rmp_session_device_kind(o->job), .threads = session->threads};
        status = rmp_device_create(&request, &device);
    }
    if (status == RMP_OK) {
        status = rmp_task_open_next(o->job, same ? session->device : device, same ? session->task : NULL, &task);
    }
    if (status == RMP_OK) status = report_with(s, o, task, &r);
    rmp_task_close(&task);
    rmp_device_destroy(&device);
    close_cell(s, o);
    return rmp_sweeper_fail(s, cell, status);
}

rmp_status rmp_sweeper_report(rmp_sweeper *s, int64_t most, const rmp_poll *poll)
{
    while (s->reported < s->cells && s->cell[s->reported].reported)
        s->reported++;
    for (int64_t i = s->reported; i < s->cells && i <= s->next && most > 0; i++) {
        rmp_cell *c = &s->cell[i];
        if (c->reported || !c->recorded || c->counts.done < c->counts.items || c->in_flight > 0) continue;
        RMP_TRY(report_cell(s, i, poll));
        c->reported = true;
        most--;
    }
    return RMP_OK;
}
