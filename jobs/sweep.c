/* `rmp sweep`: from its file to its report, on any number of ranks. */
#include "jobs/sweep.h"

#include "core/log.h"
#include "io/file.h"
#include "io/lock.h"
#include "jobs/budget.h"
#include "jobs/interrupt.h"
#include "jobs/options.h"
#include "jobs/output.h"
#include "jobs/sweep_command.h"
#include "jobs/sweep_results.h"
#include "jobs/worker.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct sweep_options {
    rmp_text_list set, grid;
    bool resume, restart, dry_run;
    int64_t threads;
    const char *folder; /* rmp resume: the output folder, wherever it is now; else NULL */
} sweep_options;

#define AT(field) offsetof(sweep_options, field)

static const rmp_option options_table[] = {
    {"grid", "KEY=V,V,...", "an axis over a key; other values, or a choice of variants, of an axis there is",
     RMP_OPTION_LIST, AT(grid), 0, 0, NULL, false},
    {"set", "KEY=VALUE", "override a key of the job file for all cells; null removes it", RMP_OPTION_LIST, AT(set), 0,
     0, NULL, false},
    {"resume", NULL, "continue what the output folder has (the default)", RMP_OPTION_FLAG, AT(resume), 0, 0, NULL,
     false},
    {"restart", NULL, "forget what the output folder has and start again", RMP_OPTION_FLAG, AT(restart), 0, 0, NULL,
     false},
    {"dry-run", NULL, "check every cell, print cells, items and memory; write nothing", RMP_OPTION_FLAG, AT(dry_run), 0,
     0, NULL, false},
    {"threads", "N", "of each rank; default: its share of the machine's cores", RMP_OPTION_INTEGER, AT(threads), 1,
     4096, NULL, false},
};
static const rmp_command sweep_command = {
    "sweep",
    "JOB.yaml [options]",
    "Runs a job for every combination of the values in its section `sweep` and of --grid, as one job over all\n"
    "ranks: cells/NAME is the output folder of each; sweep.csv and report.html compare them. The same command\n"
    "again continues; cells that are done stay done, and a sweep may be given more values.",
    "mpirun -n 2 rmp sweep jobs/examples/sr4.yaml --grid solver.T=10,20,40 --grid solver.cg_iterations=1,2\n"
    "    --set output.dir=out",
    options_table,
    6,
    1,
    1};

typedef struct run {
    rmp_sweeper sweeper;
    const sweep_options *options;
    rmp_worker worker;
    int lock; /* on the sweep's folder, rank 0 */
    double begin;
} run;

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- preparation ---- */

/* The folder that was named, wherever its job.yaml says that it lies: it may have been moved. */
static rmp_status adopt_folder(rmp_sweep *sweep, const char *folder)
{
    char *path = realpath(folder, NULL);
    RMP_CHECK(path != NULL, RMP_ERR_CONFIG, "%s: its path cannot be found", folder);
    free(sweep->dir);
    sweep->dir = path;
    return RMP_OK;
}

static rmp_status read_sweep(run *r, const char *path)
{
    const sweep_options *o = r->options;
    rmp_sweeper *s = &r->sweeper;
    RMP_TRY(rmp_sweep_read(path, o->set.count, o->set.item, o->grid.count, o->grid.item, &s->sweep));
    return o->folder != NULL ? adopt_folder(s->sweep, o->folder) : RMP_OK;
}

static int64_t largest_cell(const rmp_sweeper *s)
{
    int64_t found = 0;
    for (int64_t i = 1; i < s->cells; i++) {
        if (s->cell[i].memory > s->cell[found].memory) found = i;
    }
    return found;
}

static void print_plan(const rmp_sweeper *s)
{
    char total[32], budget[32];
    const rmp_cell *c = &s->cell[largest_cell(s)];
    RMP_LOG_INFO("sweep", "%lld cells, %lld items, %lld of them done; %d ranks of %d threads", (long long)s->cells,
                 (long long)s->counts.items, (long long)s->counts.done, s->session.world->size, s->session.threads);
    RMP_LOG_INFO("sweep", "memory a rank: at most %s (cell %s) of %s; device: %s",
                 rmp_bytes_text(c->memory, total, sizeof total), c->name,
                 rmp_bytes_text(s->session.budget, budget, sizeof budget), s->session.device->description);
}

static rmp_status print_dry_run(const rmp_sweeper *s)
{
    char memory[32], budget[32], *text;
    RMP_TRY(rmp_sweep_text(s->sweep, &text));
    printf("%s\n", text);
    free(text);
    size_t width = 4;
    int64_t cost = 0;
    for (int64_t i = 0; i < s->cells; i++) {
        if (strlen(s->cell[i].name) > width) width = strlen(s->cell[i].name);
    }
    printf("# %-*s  %7s  %5s  %6s  %s\n", (int)width, "cell", "items", "batch", "cost", "memory a rank");
    for (int64_t i = 0; i < s->cells; i++) {
        const rmp_cell *c = &s->cell[i];
        printf("# %-*s  %7lld  %5lld  %6lld  %s\n", (int)width, c->name, (long long)c->counts.items,
               (long long)c->batch, (long long)c->cost, rmp_bytes_text(c->memory, memory, sizeof memory));
        cost += c->cost * c->counts.items;
    }
    const rmp_cell *c = &s->cell[largest_cell(s)];
    printf("# cells: %lld, items: %lld\n# cost: network evaluations and gradients an item, at most; %lld in all\n# "
           "memory a rank: at most %s of %s\n# nothing was started\n",
           (long long)s->cells, (long long)s->counts.items, (long long)cost,
           rmp_bytes_text(c->memory, memory, sizeof memory), rmp_bytes_text(s->session.budget, budget, sizeof budget));
    return fflush(stdout) == 0 ? RMP_OK : RMP_FAIL(RMP_ERR_IO, "standard output cannot be written");
}

static rmp_status open_log(const rmp_sweeper *s, rmp_invocation *invocation)
{
    char *path;
    RMP_TRY(rmp_path_join(s->dir, "log.txt", &path));
    invocation->log = fopen(path, "a");
    if (invocation->log == NULL) RMP_LOG_WARN("sweep", "%s cannot be written; the log is on the screen only", path);
    free(path);
    rmp_log_copy(invocation->log);
    return RMP_OK;
}

static rmp_status remove_reports(const char *dir)
{
    static const char *const names[] = {"sweep.csv", "sweep_timings.csv", "summary.json", "report.html"};
    return rmp_output_remove(dir, names, sizeof names / sizeof names[0]);
}

/* A folder that holds the results of a job by itself is no place for a sweep. */
static rmp_status check_folder(const char *dir)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/results.sqlite", dir);
    RMP_CHECK(access(path, F_OK) != 0, RMP_ERR_CONFIG,
              "output.dir: %s holds the results of a job by itself; choose another one for the sweep", dir);
    return RMP_OK;
}

static rmp_status prepare_output(run *r, rmp_invocation *invocation)
{
    rmp_sweeper *s = &r->sweeper;
    char *text;
    rmp_status status = rmp_folder_create(s->dir);
    if (status == RMP_OK) status = rmp_folder_lock(s->dir, &r->lock);
    if (status != RMP_OK) return rmp_fail_context(status, "output.dir");
    RMP_TRY(rmp_folder_clean(s->dir));
    if (s->restart) {
        RMP_TRY(rmp_sweeper_restart(s));
        RMP_TRY(remove_reports(s->dir));
    }
    RMP_TRY(open_log(s, invocation));
    RMP_TRY(rmp_sweep_text(s->sweep, &text));
    status = rmp_file_write(s->dir, "job.yaml", text, strlen(text));
    free(text);
    return status;
}

/* ---- work ---- */

static rmp_status enter(void *context, int64_t cell, const rmp_job **job, rmp_restorer **restorer)
{
    run *r = context;
    rmp_sweeper *s = &r->sweeper;
    RMP_CHECK(cell >= 0 && cell < s->cells, RMP_ERR_INTERNAL, "a chunk of cell %lld", (long long)cell);
    RMP_TRY(rmp_sweeper_enter(s, cell));
    if (s->restorer == NULL) {
        const rmp_restorer_options options = {.memory_limit = s->session.budget,
                                              .rank = s->session.world->rank,
                                              .host = s->session.world->host,
                                              .progress = rmp_worker_progress,
                                              .progress_context = &r->worker};
        RMP_TRY(rmp_restorer_create(s->session.task, &options, &s->restorer));
    }
    *job = s->session.job;
    *restorer = s->restorer;
    return RMP_OK;
}

static rmp_status poll_queue(void *context)
{
    rmp_worker *w = context;
    rmp_status status = rmp_queue_poll(w->queue);
    if (status != RMP_OK) w->queue_failed = true;
    return status;
}

/* Rank 0 writes the reports of cells that are done while the others go on. */
static rmp_status report_meanwhile(void *context)
{
    run *r = context;
    if (rmp_interrupt_pending()) return RMP_OK;
    return rmp_sweeper_report(&r->sweeper, 1, &(rmp_poll){poll_queue, &r->worker});
}

static rmp_status run_queue(run *r)
{
    rmp_sweeper *s = &r->sweeper;
    rmp_world *world = s->session.world;
    const rmp_queue_server server = {s, rmp_sweeper_next, rmp_sweeper_result};
    r->worker = (rmp_worker){.context = r, .enter = enter, .between = world->rank == 0 ? report_meanwhile : NULL};
    rmp_status status = RMP_OK;
    if (world->rank == 0) {
        status = rmp_progress_start(s->counts.items, s->counts.done, s->counts.failed, &s->progress);
    }
    RMP_TRY(rmp_world_agree(world, status));
    RMP_TRY(rmp_queue_create(world, world->rank == 0 ? &server : NULL, &r->worker.queue));
    status = rmp_worker_run(&r->worker);
    rmp_queue_destroy(&r->worker.queue);
    rmp_progress_stop(&s->progress);
    return status;
}

/* ---- the end ---- */

static rmp_status beat(void *context) { return rmp_world_beat(context); }

static rmp_status write_results(const rmp_sweep *sweep, const rmp_run_facts *facts, rmp_world *world, FILE *out)
{
    rmp_sweep_results *results;
    RMP_TRY(rmp_sweep_results_collect(sweep, world != NULL ? beat : NULL, world, &results));
    rmp_status status = rmp_sweep_write_csv(results);
    if (status == RMP_OK) status = rmp_sweep_write_json(results, facts);
    if (status == RMP_OK) status = rmp_sweep_write_html(results);
    if (status == RMP_OK && out != NULL) status = rmp_sweep_print(out, results);
    rmp_sweep_results_free(&results);
    return status;
}

static rmp_status finish(run *r)
{
    rmp_sweeper *s = &r->sweeper;
    const rmp_session *session = &s->session;
    RMP_TRY(rmp_sweeper_report(s, INT64_MAX, &(rmp_poll){beat, session->world}));
    rmp_sweeper_close(s);
    const rmp_run_facts facts = {.device = session->device->description,
                                 .precision = session->job->precision == RMP_PRECISION_BF16 ? "bf16" : "fp32",
                                 .ranks = session->world->size,
                                 .threads = session->threads,
                                 .items = s->counts.done - s->before,
                                 .elapsed = seconds_now() - r->begin};
    RMP_TRY(write_results(s->sweep, &facts, session->world, stdout));
    printf("\n%s/report.html\n", s->dir);
    return RMP_OK;
}

/* Rank 0 knows how it went; all ranks end with the same exit code. */
static rmp_status conclude(run *r, rmp_invocation *invocation)
{
    rmp_sweeper *s = &r->sweeper;
    rmp_world *world = s->session.world;
    int64_t code = RMP_EXIT_DONE, least;
    const rmp_counts *c = &s->counts;
    if (world->rank == 0) {
        code = c->done < c->items ? RMP_EXIT_FAILURE : c->failed > 0 ? RMP_EXIT_ITEMS_FAILED : RMP_EXIT_DONE;
    }
    rmp_status status = RMP_OK;
    if (world->rank == 0 && code != RMP_EXIT_FAILURE) status = finish(r);
    RMP_TRY(rmp_world_agree(world, status));
    RMP_TRY(rmp_world_min_max(world, code, &least, &code));
    invocation->code = (int)code;
    if (world->rank != 0) return RMP_OK;
    if (code == RMP_EXIT_FAILURE) {
        RMP_LOG_WARN("sweep", "interrupted: %lld of %lld items are done; the same command continues",
                     (long long)c->done, (long long)c->items);
    } else if (c->failed > 0) {
        RMP_LOG_WARN("sweep", "%lld of %lld items failed; metrics.csv in %s/cells/* has the reasons",
                     (long long)c->failed, (long long)c->items, s->dir);
    }
    return RMP_OK;
}

static rmp_status run_all(run *r, const char *path, rmp_invocation *invocation)
{
    rmp_sweeper *s = &r->sweeper;
    rmp_world *world = s->session.world = invocation->world;
    r->begin = seconds_now();
    s->restart = r->options->restart;
    RMP_TRY(rmp_world_agree(world, world->rank == 0 ? read_sweep(r, path) : RMP_OK));
    RMP_TRY(rmp_sweeper_share(s, (int)r->options->threads));
    RMP_TRY(rmp_world_agree(world, world->rank == 0 ? check_folder(s->dir) : RMP_OK));
    RMP_TRY(rmp_sweeper_plan(s));
    if (r->options->dry_run) return world->rank == 0 ? print_dry_run(s) : RMP_OK;
    if (world->rank == 0) print_plan(s);
    RMP_TRY(rmp_world_agree(world, world->rank == 0 ? prepare_output(r, invocation) : RMP_OK));
    invocation->working = true;
    rmp_interrupt_watch();
    RMP_TRY(run_queue(r));
    return conclude(r, invocation);
}

static rmp_status run_sweep(const char *path, const sweep_options *options, rmp_invocation *invocation)
{
    run r;
    memset(&r, 0, sizeof r);
    r.options = options;
    r.lock = -1;
    rmp_status status = run_all(&r, path, invocation);
    rmp_sweeper_close(&r.sweeper);
    rmp_sweeper_free(&r.sweeper);
    rmp_folder_unlock(&r.lock);
    return status;
}

rmp_status rmp_sweep_command(int argc, char *argv[], rmp_invocation *invocation)
{
    sweep_options options = {.threads = 0};
    char *arguments[1];
    int count;
    bool help;
    RMP_TRY(rmp_command_parse(&sweep_command, argc, argv, &options, arguments, &count, &help));
    if (help) {
        rmp_command_help(&sweep_command, stdout);
        return RMP_OK;
    }
    RMP_CHECK(!options.resume || !options.restart, RMP_ERR_CONFIG,
              "rmp sweep: --resume and --restart exclude each other");
    return run_sweep(arguments[0], &options, invocation);
}

/* ---- what other commands do with a sweep's folder ---- */

bool rmp_sweep_owns(const char *dir)
{
    char *path, *text = NULL;
    size_t size = 0;
    bool found = false;
    if (rmp_path_join(dir, "job.yaml", &path) == RMP_OK) {
        found = rmp_job_load(path, &text, &size) == RMP_OK && rmp_sweep_is_one(text, size);
        free(text);
        free(path);
    }
    rmp_fail_clear();
    return found;
}

static rmp_status read_folder(const char *dir, rmp_sweep **out)
{
    char *path;
    RMP_TRY(rmp_path_join(dir, "job.yaml", &path));
    rmp_status status = rmp_sweep_read(path, 0, NULL, 0, NULL, out);
    free(path);
    if (status == RMP_OK) status = adopt_folder(*out, dir);
    if (status != RMP_OK) rmp_sweep_free(out);
    return status;
}

rmp_status rmp_sweep_resume(const char *dir, int64_t threads, rmp_invocation *invocation)
{
    const sweep_options options = {.threads = threads, .folder = dir};
    char *path;
    RMP_TRY(rmp_path_join(dir, "job.yaml", &path));
    rmp_status status = run_sweep(path, &options, invocation);
    free(path);
    return status;
}

rmp_status rmp_sweep_status(const char *dir, FILE *out)
{
    rmp_sweep *sweep;
    rmp_sweep_results *results;
    RMP_TRY(read_folder(dir, &sweep));
    rmp_status status = rmp_sweep_results_collect(sweep, NULL, NULL, &results);
    if (status == RMP_OK) {
        rmp_counts total = {0, 0, 0};
        int64_t begun = 0, finished = 0;
        for (int64_t i = 0; i < results->cells; i++) {
            const rmp_counts *c = &results->row[i].counts;
            total.items += c->items;
            total.done += c->done;
            total.failed += c->failed;
            begun += c->items > 0;
            finished += c->items > 0 && c->done == c->items;
        }
        fprintf(out, "%s: a sweep of %lld cells: %lld done, %lld begun, %lld not begun\n", dir,
                (long long)results->cells, (long long)finished, (long long)(begun - finished),
                (long long)(results->cells - begun));
        fprintf(out, "  %lld items done in these, %lld of them failed, %lld left in cells that are begun\n",
                (long long)total.done, (long long)total.failed, (long long)(total.items - total.done));
        if (total.done > 0) status = rmp_sweep_print(out, results);
        if (finished < results->cells) fprintf(out, "  `rmp resume %s` continues it\n", dir);
        rmp_sweep_results_free(&results);
    }
    rmp_sweep_free(&sweep);
    return status;
}

rmp_status rmp_sweep_remake(const char *dir, rmp_status (*remake)(const char *dir), FILE *out)
{
    rmp_sweep *sweep;
    RMP_TRY(read_folder(dir, &sweep));
    rmp_status status = RMP_OK;
    for (int64_t i = 0; status == RMP_OK && i < sweep->cells; i++) {
        char name[RMP_SWEEP_NAME + 1], path[PATH_MAX], journal[PATH_MAX + 32];
        rmp_sweep_name(sweep, i, name);
        snprintf(path, sizeof path, "%s/cells/%s", sweep->dir, name);
        snprintf(journal, sizeof journal, "%s/results.sqlite", path);
        if (access(journal, F_OK) == 0) status = remake(path);
    }
    if (status == RMP_OK) status = write_results(sweep, NULL, NULL, out);
    rmp_sweep_free(&sweep);
    return status;
}
