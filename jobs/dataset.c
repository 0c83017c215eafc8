/* `rmp dataset` and `rmp resume`: a job from its file to its report, on any number of ranks. */
#include "core/log.h"
#include "gpu/devices.h"
#include "io/file.h"
#include "jobs/budget.h"
#include "jobs/command.h"
#include "jobs/deviation.h"
#include "jobs/interrupt.h"
#include "jobs/options.h"
#include "jobs/output.h"
#include "jobs/restorer.h"
#include "jobs/server.h"
#include "jobs/session.h"
#include "jobs/summary.h"
#include "jobs/sweep_command.h"
#include "jobs/worker.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct dataset_options {
    rmp_text_list set;
    bool resume, restart, dry_run;
    int64_t threads;
    const char *folder; /* rmp resume: the output folder, wherever it is now; else NULL */
} dataset_options;

#define AT(field) offsetof(dataset_options, field)

static const rmp_option options_table[] = {
    {"set", "KEY=VALUE", "override a key of the job file, e.g. solver.T=30; null removes it", RMP_OPTION_LIST, AT(set),
     0, 0, NULL, false},
    {"resume", NULL, "continue what the output folder has (the default)", RMP_OPTION_FLAG, AT(resume), 0, 0, NULL,
     false},
    {"restart", NULL, "forget what the output folder has and start again", RMP_OPTION_FLAG, AT(restart), 0, 0, NULL,
     false},
    {"dry-run", NULL, "check everything, print job, items and memory; write nothing", RMP_OPTION_FLAG, AT(dry_run), 0,
     0, NULL, false},
    {"threads", "N", "of each rank; default: its share of the machine's cores", RMP_OPTION_INTEGER, AT(threads), 1,
     4096, NULL, false},
};
static const rmp_command dataset_command = {
    "dataset",
    "JOB.yaml [options]",
    "Restores every image of a job and scores it. Alone one rank works; under mpirun or srun the ranks\n"
    "share the items. The same command again continues an interrupted job; what is done stays done.",
    "mpirun -n 2 rmp dataset jobs/examples/sr4.yaml --set solver.T=30 --set output.dir=out",
    options_table,
    5,
    1,
    1};
static const rmp_command resume_command = {
    "resume",
    "DIR [--threads N]",
    "Continues the job that an output folder belongs to, as written in its job.yaml.",
    "mpirun -n 2 rmp resume results/sr4",
    &options_table[4],
    1,
    1,
    1};

typedef struct dataset { /* of one rank */
    rmp_session session;
    const dataset_options *options;
    rmp_inventory inventory;
    rmp_restorer *restorer;
    rmp_worker worker;
    double begin;
    /* rank 0 */
    rmp_journal *journal;
    rmp_server server;
    int64_t done_before; /* items that this run found done */
} dataset;

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- preparation ---- */

/* The folder that was named, wherever its job.yaml says that it lies: it may have been moved. Collective. */
static rmp_status adopt_folder(dataset *d)
{
    rmp_world *world = d->session.world;
    rmp_job *job = d->session.job;
    char path[PATH_MAX] = "", *copy;
    rmp_status status = RMP_OK;
    if (world->rank == 0 && realpath(d->options->folder, path) == NULL) {
        status = RMP_FAIL(RMP_ERR_CONFIG, "%s: its path cannot be found", d->options->folder);
    }
    RMP_TRY(rmp_world_agree(world, status));
    RMP_TRY(rmp_session_share(world, path, sizeof path));
    copy = strdup(path);
    if (copy == NULL) return rmp_world_agree(world, RMP_FAIL(RMP_ERR_MEMORY, "no memory for a path"));
    free(job->output.dir);
    job->output.dir = copy;
    return rmp_world_agree(world, RMP_OK);
}

static rmp_status open_journal(dataset *d)
{
    return rmp_output_open(d->session.job, d->options->restart ? RMP_JOURNAL_RESTART : RMP_JOURNAL_RESUME, &d->journal);
}

/* The journal of a job that is continued knows its items and sizes: the input is not read again. */
static rmp_status recall_inventory(dataset *d, bool *have)
{
    *have = false;
    if (d->options->dry_run || d->options->restart || d->session.job->batch == 0) return RMP_OK;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/results.sqlite", d->session.job->output.dir);
    FILE *f = fopen(path, "rb");
    if (f == NULL) return RMP_OK;
    fclose(f);
    RMP_TRY(open_journal(d));
    RMP_TRY(rmp_journal_have_items(d->journal, have));
    return *have ? rmp_inventory_recall(d->session.task, d->journal, &d->inventory) : RMP_OK;
}

static rmp_status look_at_items(dataset *d)
{
    bool have;
    if (!d->options->restart) rmp_output_recall_batch(d->session.job);
    RMP_TRY(recall_inventory(d, &have));
    return have ? RMP_OK : rmp_inventory_scan(d->session.task, &d->inventory);
}

/* ", metrics 90.0 MiB" where there are any. */
static const char *metrics_text(const rmp_task_memory *m, char *buffer, size_t size)
{
    char bytes[32];
    buffer[0] = '\0';
    if (m->metrics > 0) snprintf(buffer, size, ", metrics %s", rmp_bytes_text(m->metrics, bytes, sizeof bytes));
    return buffer;
}

static void print_plan(const dataset *d, const rmp_task_memory *m)
{
    char total[32], prior[32], fields[32], budget[32], metrics[64];
    const rmp_inventory *v = &d->inventory;
    const rmp_session *s = &d->session;
    RMP_LOG_INFO("dataset", "%lld items (%lld unreadable), largest %lld x %lld; batch %lld; %d ranks of %d threads",
                 (long long)v->items, (long long)v->unreadable, (long long)v->h, (long long)v->w,
                 (long long)s->job->batch, s->world->size, s->threads);
    RMP_LOG_INFO("dataset", "memory a rank: %s (prior %s, solver %s%s) of %s; device: %s",
                 rmp_bytes_text(m->total, total, sizeof total), rmp_bytes_text(m->prior, prior, sizeof prior),
                 rmp_bytes_text(m->fields, fields, sizeof fields), metrics_text(m, metrics, sizeof metrics),
                 rmp_bytes_text(s->budget, budget, sizeof budget), s->device->description);
    if (m->saved > 0) {
        RMP_LOG_INFO("dataset", "weights are shared by %d ranks of this node: %s a rank less than alone",
                     rmp_share_ranks(s->share), rmp_bytes_text(m->saved, total, sizeof total));
    }
}

static rmp_status print_dry_run(const dataset *d, const rmp_task_memory *m)
{
    char total[32], budget[32], saved[32], metrics[64], note[128] = "", *text;
    if (m->saved > 0) {
        snprintf(note, sizeof note, " (%s less than alone: weights are shared by %d ranks of this node)",
                 rmp_bytes_text(m->saved, saved, sizeof saved), rmp_share_ranks(d->session.share));
    }
    RMP_TRY(rmp_job_text(d->session.job, &text));
    printf("%s\n# items: %lld (%lld unreadable), largest %lld x %lld\n# network evaluations and gradients an image: at "
           "most %lld\n# memory a rank: %s of %s%s%s\n# nothing was "
           "started\n",
           text, (long long)d->inventory.items, (long long)d->inventory.unreadable, (long long)d->inventory.h,
           (long long)d->inventory.w, (long long)rmp_task_cost(d->session.task, d->inventory.h, d->inventory.w),
           rmp_bytes_text(m->total, total, sizeof total), rmp_bytes_text(d->session.budget, budget, sizeof budget),
           metrics_text(m, metrics, sizeof metrics), note);
    free(text);
    return fflush(stdout) == 0 ? RMP_OK : RMP_FAIL(RMP_ERR_IO, "standard output cannot be written");
}

static rmp_status open_log(const dataset *d, rmp_invocation *invocation)
{
    char *path;
    RMP_TRY(rmp_path_join(d->session.job->output.dir, "log.txt", &path));
    invocation->log = fopen(path, "a");
    if (invocation->log == NULL) RMP_LOG_WARN("dataset", "%s cannot be written; the log is on the screen only", path);
    free(path);
    rmp_log_copy(invocation->log);
    return RMP_OK;
}

static rmp_status prepare_output(dataset *d, rmp_invocation *invocation)
{
    const rmp_job *job = d->session.job;
    bool have;
    if (d->journal == NULL) RMP_TRY(open_journal(d));
    if (d->options->restart) RMP_TRY(rmp_output_remove_reports(job->output.dir));
    RMP_TRY(open_log(d, invocation));
    RMP_TRY(rmp_output_prepare(job));
    RMP_TRY(rmp_journal_have_items(d->journal, &have));
    if (!have) RMP_TRY(rmp_inventory_record(job, &d->inventory, d->journal));
    rmp_inventory_free(&d->inventory);
    return RMP_OK;
}

/* ---- work ---- */

static rmp_status enter(void *context, int64_t cell, const rmp_job **job, rmp_restorer **restorer)
{
    dataset *d = context;
    (void)cell;
    *job = d->session.job;
    *restorer = d->restorer;
    return RMP_OK;
}

static rmp_status run_queue(dataset *d)
{
    rmp_world *world = d->session.world;
    const rmp_restorer_options options = {.memory_limit = d->session.budget,
                                          .rank = world->rank,
                                          .host = world->host,
                                          .progress = rmp_worker_progress,
                                          .progress_context = &d->worker};
    const rmp_queue_server server = {&d->server, rmp_server_next, rmp_server_result};
    rmp_status status = rmp_restorer_create(d->session.task, &options, &d->restorer);
    if (status == RMP_OK && world->rank == 0) status = rmp_server_start(d->session.job, d->journal, &d->server);
    RMP_TRY(rmp_world_agree(world, status));
    d->done_before = d->server.counts.done;
    d->worker = (rmp_worker){.context = d, .enter = enter};
    RMP_TRY(rmp_queue_create(world, world->rank == 0 ? &server : NULL, &d->worker.queue));
    status = rmp_worker_run(&d->worker);
    rmp_queue_destroy(&d->worker.queue);
    if (world->rank == 0) rmp_server_stop(&d->server);
    return status;
}

/* ---- the end ---- */

/* The other ranks are through and wait for the last one. */
static rmp_status beat(void *context) { return rmp_world_beat(context); }

static rmp_status measure_for_report(void *context, const rmp_item *item, rmp_image *out)
{
    const dataset *d = context;
    RMP_TRY(rmp_world_beat(d->session.world));
    return rmp_restorer_measure(d->restorer, item, out);
}

static rmp_status write_reports(dataset *d)
{
    const rmp_session *s = &d->session;
    char *dir = s->job->output.dir;
    const rmp_run_facts facts = {.device = s->device->description,
                                 .precision = s->job->precision == RMP_PRECISION_BF16 ? "bf16" : "fp32",
                                 .ranks = s->world->size,
                                 .threads = s->threads,
                                 .items = d->server.counts.done - d->done_before,
                                 .elapsed = seconds_now() - d->begin};
    rmp_restorer_clear(d->restorer); /* what it took is for FID and the report */
    RMP_TRY(rmp_output_report(s->job, s->device, d->journal, s->task->channels, &facts, measure_for_report, d,
                              &(rmp_poll){beat, s->world}));
    RMP_TRY(rmp_summary_print(stdout, 1, &dir));
    printf("\n%s/report.html\n", dir);
    return RMP_OK;
}

/* Rank 0 knows how it went; all ranks end with the same exit code. */
static rmp_status conclude(dataset *d, rmp_invocation *invocation)
{
    rmp_world *world = d->session.world;
    int64_t code = RMP_EXIT_DONE, least;
    const rmp_counts *c = &d->server.counts;
    if (world->rank == 0) {
        if (c->done < c->items) {
            code = RMP_EXIT_FAILURE;
        } else if (c->failed > 0) {
            code = RMP_EXIT_ITEMS_FAILED;
        }
    }
    RMP_TRY(rmp_world_min_max(world, code, &least, &code));
    invocation->code = (int)code;
    if (world->rank != 0) return RMP_OK;
    if (code == RMP_EXIT_FAILURE) {
        RMP_LOG_WARN("dataset", "interrupted: %lld of %lld items are done; the same command continues",
                     (long long)c->done, (long long)c->items);
        return RMP_OK;
    }
    RMP_TRY(write_reports(d));
    if (c->failed > 0) {
        RMP_LOG_WARN("dataset", "%lld of %lld items failed; %s/metrics.csv has the reasons", (long long)c->failed,
                     (long long)c->items, d->session.job->output.dir);
    }
    return RMP_OK;
}

static rmp_status run(dataset *d, const char *path, rmp_invocation *invocation)
{
    rmp_session *s = &d->session;
    rmp_world *world = s->world = invocation->world;
    rmp_task_memory memory;
    d->begin = seconds_now();
    RMP_TRY(rmp_session_open(s, path, &d->options->set, (int)d->options->threads));
    if (d->options->folder != NULL) RMP_TRY(adopt_folder(d));
    RMP_TRY(rmp_world_agree(world, world->rank == 0 ? look_at_items(d) : RMP_OK));
    RMP_TRY(rmp_session_share(world, &d->inventory, sizeof d->inventory));
    if (world->rank != 0) d->inventory.size = NULL;
    RMP_TRY(rmp_session_share(world, &s->job->batch, sizeof s->job->batch));
    RMP_TRY(rmp_world_agree(world, rmp_deviation_check_items(s->task, &d->inventory)));
    int64_t batch;
    RMP_TRY(rmp_budget_batch(s->task, world, &d->inventory, s->budget, &batch, &memory));
    s->job->batch = batch;
    if (d->options->dry_run) return world->rank == 0 ? print_dry_run(d, &memory) : RMP_OK;
    if (world->rank == 0) print_plan(d, &memory);
    RMP_TRY(rmp_world_agree(world, world->rank == 0 ? prepare_output(d, invocation) : RMP_OK));
    invocation->working = true;
    rmp_interrupt_watch();
    RMP_TRY(run_queue(d));
    return conclude(d, invocation);
}

static rmp_status run_job(const char *path, const dataset_options *options, rmp_invocation *invocation)
{
    dataset d;
    memset(&d, 0, sizeof d);
    d.options = options;
    rmp_status status = run(&d, path, invocation);
    rmp_journal_close(&d.journal);
    rmp_restorer_destroy(&d.restorer);
    rmp_inventory_free(&d.inventory);
    rmp_session_close(&d.session);
    return status;
}

rmp_status rmp_dataset_command(int argc, char *argv[], rmp_invocation *invocation)
{
    dataset_options options = {.threads = 0};
    char *arguments[1];
    int count;
    bool help;
    RMP_TRY(rmp_command_parse(&dataset_command, argc, argv, &options, arguments, &count, &help));
    if (help) {
        rmp_command_help(&dataset_command, stdout);
        return RMP_OK;
    }
    RMP_CHECK(!options.resume || !options.restart, RMP_ERR_CONFIG,
              "rmp dataset: --resume and --restart exclude each other");
    return run_job(arguments[0], &options, invocation);
}

rmp_status rmp_resume_command(int argc, char *argv[], rmp_invocation *invocation)
{
    dataset_options options = {.threads = 0};
    char *arguments[1], *path;
    int count;
    bool help;
    RMP_TRY(rmp_command_parse(&resume_command, argc, argv, &options, arguments, &count, &help));
    if (help) {
        rmp_command_help(&resume_command, stdout);
        return RMP_OK;
    }
    bool sweep = invocation->world->rank == 0 && rmp_sweep_owns(arguments[0]);
    RMP_TRY(rmp_session_share(invocation->world, &sweep, sizeof sweep));
    if (sweep) return rmp_sweep_resume(arguments[0], options.threads, invocation);
    options.folder = arguments[0];
    RMP_TRY(rmp_path_join(arguments[0], "job.yaml", &path));
    rmp_status status = run_job(path, &options, invocation);
    free(path);
    return status;
}
