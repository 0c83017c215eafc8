/* `rmp degrade`: the measurements of a job without restoring anything, for other tools. */
#include "core/log.h"
#include "io/file.h"
#include "io/lock.h"
#include "jobs/command.h"
#include "jobs/inventory.h"
#include "jobs/options.h"
#include "jobs/restorer.h"
#include "jobs/server.h"
#include "jobs/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct degrade_options {
    rmp_text_list set;
    int64_t threads;
} degrade_options;

static const rmp_option options_table[] = {
    {"set", "KEY=VALUE", "override a key of the job file", RMP_OPTION_LIST, offsetof(degrade_options, set), 0, 0, NULL,
     false},
    {"threads", "N", "default: all cores of the machine", RMP_OPTION_INTEGER, offsetof(degrade_options, threads), 1,
     4096, NULL, false},
};
static const rmp_command command = {
    "degrade",
    "JOB.yaml [options]",
    "Writes what a job would measure into measurements/ of its output folder: ID.png to look at, ID.tiff\n"
    "(float32, unclamped), masks/ID.png, kernels/*, and manifest.csv, which is an input for jobs.\n"
    "The same masks, kernel and noise as in `rmp dataset`. Runs alone, without mpirun.",
    "rmp degrade jobs/examples/sr4.yaml --set output.dir=out",
    options_table,
    2,
    1,
    1};

typedef struct degrade {
    rmp_session session;
    rmp_restorer *restorer;
    rmp_server server; /* for the files that all items share */
    int lock;
    char *folder; /* measurements/ */
    rmp_file_writer *manifest;
    int64_t done, failed;
} degrade;

/* RFC 4180: quotes around what could be mistaken. */
static rmp_status append_cell(rmp_file_writer *writer, const char *text, const char *end)
{
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
        RMP_TRY(rmp_file_writer_append(writer, text, strlen(text)));
        return rmp_file_writer_append(writer, end, strlen(end));
    }
    RMP_TRY(rmp_file_writer_append(writer, "\"", 1));
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"') RMP_TRY(rmp_file_writer_append(writer, "\"", 1));
        RMP_TRY(rmp_file_writer_append(writer, c, 1));
    }
    RMP_TRY(rmp_file_writer_append(writer, "\"", 1));
    return rmp_file_writer_append(writer, end, strlen(end));
}

static rmp_status append_item(degrade *d, const rmp_item *item, bool mask)
{
    char name[512];
    RMP_TRY(append_cell(d->manifest, item->id, ","));
    RMP_TRY(append_cell(d->manifest, item->image != NULL ? item->image : "", ","));
    snprintf(name, sizeof name, "%s.tiff", item->id);
    RMP_TRY(append_cell(d->manifest, name, ","));
    snprintf(name, sizeof name, "masks/%s.png", item->id);
    return append_cell(d->manifest, mask ? name : "", "\n");
}

static bool has_mask(const rmp_result *result)
{
    static const char masks[] = RMP_FOLDER_MASKS "/";
    for (int64_t i = 0; i < result->files; i++) {
        if (strncmp(result->file[i].name, masks, sizeof masks - 1) == 0) return true;
    }
    return false;
}

static rmp_status degrade_item(void *context, const rmp_item *item)
{
    degrade *d = context;
    const char *dir = d->session.job->output.dir;
    rmp_result result;
    RMP_TRY(rmp_restorer_degrade(d->restorer, item, 1, &result));
    rmp_status status = RMP_OK;
    if (result.row[0].failed) {
        d->failed++;
        RMP_LOG_WARN("degrade", "%s: %s", item->id, result.row[0].reason);
    } else {
        const bool mask = has_mask(&result);
        d->done++;
        status = rmp_result_save(dir, &result);
        if (status == RMP_OK) status = rmp_server_save_shared(&d->server, &result);
        if (status == RMP_OK) status = append_item(d, item, mask);
    }
    rmp_result_free(&result);
    return status;
}

static rmp_status run(degrade *d, const char *path, const degrade_options *options, rmp_invocation *invocation)
{
    static const char header[] = "id,image,measurement,mask\n";
    rmp_world *world = d->session.world = invocation->world;
    RMP_CHECK(world->size == 1, RMP_ERR_CONFIG, "rmp degrade runs alone; start it without mpirun");
    RMP_TRY(rmp_session_open(&d->session, path, &options->set, (int)options->threads));
    const rmp_job *job = d->session.job;
    RMP_CHECK(job->input.images != NULL, RMP_ERR_CONFIG, "rmp degrade works on input.images");
    RMP_TRY(rmp_inventory_check_apart(job));
    const rmp_restorer_options how = {.memory_limit = d->session.budget, .rank = 0, .host = world->host};
    RMP_TRY(rmp_restorer_create(d->session.task, &how, &d->restorer));
    d->server.job = job;
    rmp_status status = rmp_folder_create(job->output.dir);
    if (status == RMP_OK) status = rmp_folder_lock(job->output.dir, &d->lock);
    if (status != RMP_OK) return rmp_fail_context(status, "output.dir");
    RMP_TRY(rmp_server_prepare_folders(job, false, true));
    RMP_TRY(rmp_path_join(job->output.dir, RMP_FOLDER_MEASUREMENTS, &d->folder));
    invocation->working = true;
    RMP_TRY(rmp_file_writer_open(d->folder, "manifest.csv", &d->manifest));
    RMP_TRY(rmp_file_writer_append(d->manifest, header, sizeof header - 1));
    RMP_TRY(rmp_source_scan(job->input.images, degrade_item, d));
    RMP_TRY(rmp_file_writer_commit(&d->manifest));
    printf("%lld measurements and manifest.csv in %s, %lld failed\n", (long long)d->done, d->folder,
           (long long)d->failed);
    if (d->failed > 0) invocation->code = RMP_EXIT_ITEMS_FAILED;
    return RMP_OK;
}

rmp_status rmp_degrade_command(int argc, char *argv[], rmp_invocation *invocation)
{
    degrade_options options = {.threads = 0};
    char *arguments[1];
    int count;
    bool help;
    degrade d;
    RMP_TRY(rmp_command_parse(&command, argc, argv, &options, arguments, &count, &help));
    if (help) {
        rmp_command_help(&command, stdout);
        return RMP_OK;
    }
    memset(&d, 0, sizeof d);
    d.lock = -1;
    rmp_status status = run(&d, arguments[0], &options, invocation);
    rmp_file_writer_abort(&d.manifest);
    rmp_restorer_destroy(&d.restorer);
    rmp_session_close(&d.session);
    rmp_folder_unlock(&d.lock);
    free(d.folder);
    return status;
}
