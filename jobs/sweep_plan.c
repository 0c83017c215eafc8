#include "core/log.h"
#include "io/file.h"
#include "jobs/budget.h"
#include "jobs/deviation.h"
#include "jobs/output.h"
#include "jobs/sweep.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

rmp_status rmp_sweeper_fail(const rmp_sweeper *s, int64_t cell, rmp_status status)
{
    if (status == RMP_OK || s->cell[cell].name == NULL) return status;
    return rmp_fail_context(status, "cell %s", s->cell[cell].name);
}

/* ---- the cells on every rank ---- */

static rmp_status resolve_cell(rmp_sweeper *s, int64_t i)
{
    char name[RMP_SWEEP_NAME + 1];
    rmp_job *job;
    RMP_TRY(rmp_sweep_job(s->sweep, i, &job));
    rmp_status status = rmp_job_text(job, &s->cell[i].text);
    rmp_job_free(&job);
    RMP_TRY(status);
    rmp_sweep_name(s->sweep, i, name);
    s->cell[i].name = strdup(name);
    RMP_CHECK(s->cell[i].name != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    return RMP_OK;
}

static rmp_status resolve(rmp_sweeper *s)
{
    s->cells = s->sweep->cells;
    s->dir = s->sweep->dir;
    s->cell = calloc((size_t)s->cells, sizeof *s->cell);
    RMP_CHECK(s->cell != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    for (int64_t i = 0; i < s->cells; i++)
        RMP_TRY(resolve_cell(s, i));
    return RMP_OK;
}

/* All texts, one after another with their zero bytes. */
static rmp_status pack_texts(const rmp_sweeper *s, void **bytes, size_t *size)
{
    *size = 0;
    for (int64_t i = 0; i < s->cells; i++)
        *size += strlen(s->cell[i].text) + 1;
    char *to = *bytes = malloc(*size + 1);
    RMP_CHECK(to != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    for (int64_t i = 0; i < s->cells; i++) {
        const size_t length = strlen(s->cell[i].text) + 1;
        memcpy(to, s->cell[i].text, length);
        to += length;
    }
    return RMP_OK;
}

static rmp_status unpack_texts(rmp_sweeper *s, const char *bytes, size_t size)
{
    int64_t cells = 0;
    for (size_t i = 0; i < size; i++)
        cells += bytes[i] == '\0';
    s->cell = calloc((size_t)cells + 1, sizeof *s->cell);
    RMP_CHECK(s->cell != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
    for (; s->cells < cells; s->cells++) {
        s->cell[s->cells].text = strdup(bytes);
        RMP_CHECK(s->cell[s->cells].text != NULL, RMP_ERR_MEMORY, "no memory for a sweep");
        bytes += strlen(bytes) + 1;
    }
    return RMP_OK;
}

/* The longest timeout of all cells, and whether any has a network. */
static rmp_status look_through(const rmp_sweeper *s, double *timeout, bool *network)
{
    *timeout = 0;
    *network = false;
    for (int64_t i = 0; i < s->cells; i++) {
        rmp_job *job;
        RMP_TRY(rmp_sweeper_job(s, i, &job));
        if (job->timeout > *timeout) *timeout = job->timeout;
        *network = *network || job->prior.kind == RMP_PRIOR_NETWORK;
        rmp_job_free(&job);
    }
    return RMP_OK;
}

rmp_status rmp_sweeper_share(rmp_sweeper *s, int threads)
{
    rmp_world *world = s->session.world;
    void *bytes = NULL;
    size_t size = 0;
    double timeout = 0;
    bool network = false;
    s->current = -1;
    rmp_status status = RMP_OK;
    if (world->rank == 0) {
        status = resolve(s);
        if (status == RMP_OK) status = pack_texts(s, &bytes, &size);
    }
    status = rmp_world_agree(world, status);
    if (status == RMP_OK) status = rmp_world_broadcast(world, &bytes, &size);
    if (status == RMP_OK) {
        rmp_status mine = world->rank == 0 ? RMP_OK : unpack_texts(s, bytes, size);
        if (mine == RMP_OK) mine = look_through(s, &timeout, &network);
        status = rmp_world_agree(world, mine);
    }
    free(bytes);
    return status == RMP_OK ? rmp_session_start(&s->session, timeout, network, threads) : status;
}

rmp_status rmp_sweeper_job(const rmp_sweeper *s, int64_t cell, rmp_job **out)
{
    const rmp_cell *c = &s->cell[cell];
    RMP_CHECK(c->text != NULL, RMP_ERR_INTERNAL, "cell %lld has no job", (long long)cell);
    RMP_TRY(rmp_job_parse(c->text, strlen(c->text), "job", out));
    if (c->batch > 0) (*out)->batch = c->batch;
    return RMP_OK;
}

rmp_status rmp_sweeper_enter(rmp_sweeper *s, int64_t cell)
{
    rmp_job *job;
    if (s->current == cell) return RMP_OK;
    s->current = -1;
    RMP_TRY(rmp_sweeper_job(s, cell, &job));
    if (s->cell[cell].recompute) job->activations = RMP_ACTIVATIONS_RECOMPUTE;
    RMP_TRY(rmp_session_switch(&s->session, job, &s->restorer));
    s->current = cell;
    return RMP_OK;
}

/* ---- items ---- */

/* What the items and the largest of them depend on. */
static rmp_status items_of(const rmp_job *job, char **out)
{
    char *text, *at;
    size_t size, used = 0;
    RMP_TRY(rmp_job_text(job, &text));
    *out = calloc(1, strlen(text) + 1);
    if (*out == NULL) {
        free(text);
        return RMP_FAIL(RMP_ERR_MEMORY, "no memory for a sweep");
    }
    bool taken = false;
    for (at = text; *at != '\0'; at += size) {
        size = strcspn(at, "\n") + 1;
        if (at[0] != ' ') {
            taken = strncmp(at, "input:", 6) == 0 || strncmp(at, "operator:", 9) == 0 || strncmp(at, "prior:", 6) == 0;
        }
        if (!taken) continue;
        memcpy(*out + used, at, size);
        used += size;
    }
    free(text);
    return RMP_OK;
}

rmp_status rmp_sweeper_items(rmp_sweeper *s, const rmp_task *task, rmp_inventory **out)
{
    char *of;
    rmp_known_items *oldest = &s->known[0];
    RMP_TRY(items_of(task->job, &of));
    for (int i = 0; i < RMP_KNOWN_ITEMS; i++) {
        rmp_known_items *k = &s->known[i];
        if (k->of != NULL && strcmp(k->of, of) == 0) {
            free(of);
            k->used = ++s->clock;
            *out = &k->inventory;
            return RMP_OK;
        }
        if (k->used < oldest->used) oldest = k;
    }
    free(oldest->of);
    oldest->of = NULL;
    rmp_inventory_free(&oldest->inventory);
    rmp_status status = rmp_inventory_scan(task, &oldest->inventory);
    if (status != RMP_OK) {
        free(of);
        return status;
    }
    oldest->of = of;
    oldest->used = ++s->clock;
    *out = &oldest->inventory;
    return RMP_OK;
}

/* ---- one cell after another ---- */

typedef struct look {        /* of rank 0 at a cell's folder; zero at first */
    rmp_inventory inventory; /* sizes are borrowed or absent */
    char *former;            /* the job that its journal belongs to, owned; NULL: no journal, or one without items */
} look;

static rmp_status look_at_journal(rmp_sweeper *s, rmp_cell *c, look *l)
{
    const char *dir = s->session.job->output.dir;
    char path[PATH_MAX];
    rmp_journal *journal;
    snprintf(path, sizeof path, "%s/results.sqlite", dir);
    if (s->restart || access(path, F_OK) != 0) return RMP_OK;
    rmp_status status = rmp_journal_open_readonly(dir, &journal);
    /* Killed before its first transaction: a new one is made. */
    struct stat info;
    if (status == RMP_ERR_FORMAT && stat(path, &info) == 0 && info.st_size == 0) {
        rmp_fail_clear();
        return RMP_OK;
    }
    RMP_TRY(status);
    status = rmp_journal_have_items(journal, &c->recorded);
    if (status == RMP_OK && c->recorded) {
        l->former = strdup(rmp_journal_job(journal));
        if (l->former == NULL) status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for a sweep");
        if (status == RMP_OK) status = rmp_inventory_recall(s->session.task, journal, &l->inventory);
        if (status == RMP_OK) status = rmp_journal_counts(journal, &c->counts);
    }
    rmp_journal_close(&journal);
    return status;
}

static rmp_status look_at_cell(rmp_sweeper *s, int64_t cell, look *l)
{
    rmp_cell *c = &s->cell[cell];
    rmp_job *job = s->session.job;
    rmp_inventory *inventory;
    if (job->input.images != NULL) RMP_TRY(rmp_inventory_check_apart(job));
    if (!s->restart) rmp_output_recall_batch(job);
    RMP_TRY(look_at_journal(s, c, l));
    if (!c->recorded) {
        RMP_TRY(rmp_sweeper_items(s, s->session.task, &inventory));
        l->inventory = *inventory;
        c->counts = (rmp_counts){.items = inventory->items};
    }
    l->inventory.size = NULL;
    c->before = c->counts.done;
    c->h = l->inventory.h;
    c->w = l->inventory.w;
    return RMP_OK;
}

static rmp_status compare_jobs(const rmp_sweeper *s, const char *former)
{
    char why[512], *text;
    if (former == NULL) return RMP_OK;
    RMP_TRY(rmp_job_text(s->session.job, &text));
    const bool may = rmp_job_may_continue(former, text, why, sizeof why);
    free(text);
    RMP_CHECK(may, RMP_ERR_CONFIG,
              "%s holds results of another job: %s; choose another output.dir, or discard them with --restart",
              s->session.job->output.dir, why);
    return RMP_OK;
}

/* Reports are written after the last row: newer ones than the journal are those of all of it. */
static bool has_reports(const char *dir)
{
    char path[PATH_MAX];
    struct stat journal, report;
    snprintf(path, sizeof path, "%s/results.sqlite", dir);
    if (stat(path, &journal) != 0) return false;
    snprintf(path, sizeof path, "%s/report.html", dir);
    if (stat(path, &report) != 0) return false;
    return report.st_mtim.tv_sec > journal.st_mtim.tv_sec ||
           (report.st_mtim.tv_sec == journal.st_mtim.tv_sec && report.st_mtim.tv_nsec >= journal.st_mtim.tv_nsec);
}

static rmp_status switch_to(rmp_sweeper *s, int64_t cell)
{
    rmp_job *job;
    RMP_TRY(rmp_sweeper_job(s, cell, &job));
    return rmp_session_switch(&s->session, job, NULL);
}

double rmp_sweeper_work(const rmp_cell *cell, int64_t items)
{
    /* An item with no network to evaluate takes time, too. */
    return (double)items * (double)(cell->cost + 1) * (double)cell->h * (double)cell->w;
}

static rmp_status plan_cell(rmp_sweeper *s, int64_t cell, look *l)
{
    rmp_world *world = s->session.world;
    rmp_cell *c = &s->cell[cell];
    rmp_task_memory memory;
    int64_t batch;
    RMP_TRY(rmp_world_agree(world, switch_to(s, cell)));
    RMP_TRY(rmp_world_agree(world, world->rank == 0 ? look_at_cell(s, cell, l) : RMP_OK));
    RMP_TRY(rmp_session_share(world, &l->inventory, sizeof l->inventory));
    RMP_TRY(rmp_session_share(world, &s->session.job->batch, sizeof s->session.job->batch));
    RMP_TRY(rmp_world_agree(world, rmp_deviation_check_items(s->session.task, &l->inventory)));
    RMP_TRY(rmp_budget_batch(s->session.task, world, &l->inventory, s->session.budget, &batch, &memory));
    s->session.job->batch = c->batch = batch;
    c->recompute = s->session.task->memory == RMP_MEMORY_RECOMPUTE;
    c->memory = memory.total;
    c->cost = rmp_task_cost(s->session.task, l->inventory.h, l->inventory.w);
    RMP_TRY(rmp_world_agree(world, world->rank == 0 ? compare_jobs(s, l->former) : RMP_OK));
    if (world->rank == 0) {
        c->reported = c->recorded && c->counts.done == c->counts.items && has_reports(s->session.job->output.dir);
        s->counts.items += c->counts.items;
        s->counts.done += c->counts.done;
        s->counts.failed += c->counts.failed;
        s->before += c->before;
        s->work_left += rmp_sweeper_work(c, c->counts.items - c->counts.done);
    }
    return RMP_OK;
}

/* Where prior.model is the same, a network need not be read again: such cells follow each other here. */
static bool same_network(const rmp_sweeper *s, int64_t a, int64_t b)
{
    const char *x = strstr(s->cell[a].text, "\n  model: "), *y = strstr(s->cell[b].text, "\n  model: ");
    if (x == NULL || y == NULL) return x == y;
    const size_t length = strcspn(x + 1, "\n");
    return length == strcspn(y + 1, "\n") && memcmp(x + 1, y + 1, length) == 0;
}

rmp_status rmp_sweeper_plan(rmp_sweeper *s)
{
    rmp_status status = RMP_OK;
    bool *planned = calloc((size_t)s->cells, sizeof *planned);
    status = planned != NULL ? RMP_OK : RMP_FAIL(RMP_ERR_MEMORY, "no memory for a sweep");
    status = rmp_world_agree(s->session.world, status);
    for (int64_t i = 0; status == RMP_OK && i < s->cells; i++) {
        for (int64_t j = i; status == RMP_OK && !planned[i] && j < s->cells; j++) {
            look l = {.former = NULL};
            if (planned[j] || !same_network(s, i, j)) continue;
            if (j != i) planned[j] = true;
            status = rmp_sweeper_fail(s, j, plan_cell(s, j, &l));
            free(l.former);
        }
        planned[i] = true;
    }
    free(planned);
    return status;
}

void rmp_sweeper_free(rmp_sweeper *s)
{
    for (int i = 0; i < RMP_KNOWN_ITEMS; i++) {
        free(s->known[i].of);
        rmp_inventory_free(&s->known[i].inventory);
    }
    for (int64_t i = 0; s->cell != NULL && i < s->cells; i++) {
        free(s->cell[i].name);
        free(s->cell[i].text);
    }
    free(s->cell);
    rmp_restorer_destroy(&s->restorer);
    rmp_session_close(&s->session);
    rmp_sweep_free(&s->sweep);
}
