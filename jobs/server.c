#include "jobs/server.h"

#include "io/file.h"
#include "jobs/interrupt.h"

#include <stdlib.h>
#include <string.h>

rmp_status rmp_server_open(const rmp_job *job, rmp_journal *journal, int64_t cell, rmp_server *out)
{
    memset(out, 0, sizeof *out);
    out->job = job;
    out->journal = journal;
    out->cell = cell;
    out->items = calloc((size_t)job->batch, sizeof *out->items);
    RMP_CHECK(out->items != NULL, RMP_ERR_MEMORY, "no memory for a chunk");
    rmp_status status = rmp_journal_counts(journal, &out->counts);
    if (status != RMP_OK) rmp_server_stop(out);
    return status;
}

rmp_status rmp_server_start(const rmp_job *job, rmp_journal *journal, rmp_server *out)
{
    RMP_TRY(rmp_server_open(job, journal, 0, out));
    rmp_status status = rmp_progress_start(out->counts.items, out->counts.done, out->counts.failed, &out->progress);
    if (status != RMP_OK) rmp_server_stop(out);
    return status;
}

void rmp_server_stop(rmp_server *server)
{
    rmp_progress_stop(&server->progress);
    free(server->items);
    server->items = NULL;
}

rmp_status rmp_server_chunk(rmp_server *server, void **bytes, size_t *size)
{
    rmp_server *s = server;
    int64_t count = 0;
    *bytes = NULL;
    *size = 0;
    RMP_TRY(rmp_journal_next_chunk(s->journal, s->job->batch, &s->chunk, s->items, &count));
    if (count == 0) return RMP_OK;
    rmp_status status = rmp_items_pack(s->items, count, s->cell, bytes, size);
    for (int64_t i = 0; i < count; i++)
        rmp_item_free(&s->items[i]);
    s->chunk++;
    return status;
}

rmp_status rmp_server_next(void *context, void **bytes, size_t *size)
{
    rmp_server *s = context;
    *bytes = NULL;
    *size = 0;
    rmp_progress_update(s->progress, s->counts.done, s->counts.failed);
    if (s->interrupted || rmp_interrupt_pending()) return RMP_OK;
    return rmp_server_chunk(s, bytes, size);
}

static bool is_shared(const char *name)
{
    static const char folder[] = RMP_FOLDER_KERNELS "/";
    return strncmp(name, folder, sizeof folder - 1) == 0;
}

static rmp_status prepare_folder(const char *dir, const char *name)
{
    char *path;
    RMP_TRY(rmp_path_join(dir, name, &path));
    rmp_status status = rmp_folder_create(path);
    if (status == RMP_OK) status = rmp_folder_clean(path);
    free(path);
    return status;
}

rmp_status rmp_server_prepare_folders(const rmp_job *job, bool images, bool measurements)
{
    const char *dir = job->output.dir;
    const bool masks = rmp_operator_config_mask(&job->op.config) != NULL;
    RMP_TRY(rmp_folder_clean(dir));
    if (images) RMP_TRY(prepare_folder(dir, RMP_FOLDER_IMAGES));
    if (images && job->uncertainty.method != RMP_UNCERTAINTY_NONE) RMP_TRY(prepare_folder(dir, RMP_FOLDER_UNCERTAINTY));
    if (!measurements) return RMP_OK;
    RMP_TRY(prepare_folder(dir, RMP_FOLDER_MEASUREMENTS));
    if (masks) RMP_TRY(prepare_folder(dir, RMP_FOLDER_MASKS));
    return rmp_operator_config_has_kernel(&job->op.config) ? prepare_folder(dir, RMP_FOLDER_KERNELS) : RMP_OK;
}

static rmp_status save_file(const char *dir, const rmp_result_file *file)
{
    const char *slash = strrchr(file->name, '/');
    char *folder = NULL, *sub = NULL;
    RMP_CHECK(slash != NULL, RMP_ERR_INTERNAL, "output %s is in no folder", file->name);
    sub = strndup(file->name, (size_t)(slash - file->name));
    RMP_CHECK(sub != NULL, RMP_ERR_MEMORY, "no memory for a path");
    rmp_status status = rmp_path_join(dir, sub, &folder);
    if (status == RMP_OK) status = rmp_file_write(folder, slash + 1, file->bytes, file->size);
    free(folder);
    free(sub);
    return status;
}

static void drop_file(rmp_result_file *file)
{
    free(file->name);
    free(file->bytes);
    memset(file, 0, sizeof *file);
}

rmp_status rmp_result_save(const char *dir, rmp_result *result)
{
    int64_t kept = 0;
    rmp_status status = RMP_OK;
    for (int64_t i = 0; i < result->files; i++) {
        rmp_result_file *file = &result->file[i];
        if (is_shared(file->name)) {
            rmp_result_file keep = *file;
            memset(file, 0, sizeof *file);
            result->file[kept++] = keep;
            continue;
        }
        if (status == RMP_OK) status = save_file(dir, file);
        drop_file(file);
    }
    result->files = kept;
    return status;
}

rmp_status rmp_server_save_shared(rmp_server *s, const rmp_result *result)
{
    if (s->kernel_saved) return RMP_OK;
    for (int64_t i = 0; i < result->files; i++) {
        RMP_TRY(save_file(s->job->output.dir, &result->file[i]));
        s->kernel_saved = true;
    }
    return RMP_OK;
}

rmp_status rmp_server_accept(rmp_server *server, rmp_result *result)
{
    rmp_server *s = server;
    /* Outputs first: a committed row is a promise that its file is there. */
    RMP_TRY(rmp_result_save(s->job->output.dir, result));
    RMP_TRY(rmp_server_save_shared(s, result));
    RMP_TRY(rmp_journal_commit(s->journal, result->count, result->row));
    for (int64_t i = 0; i < result->count; i++) {
        s->counts.done++;
        if (result->row[i].failed) s->counts.failed++;
    }
    return RMP_OK;
}

rmp_status rmp_server_result(void *context, int rank, const void *bytes, size_t size)
{
    rmp_server *s = context;
    rmp_result result;
    (void)rank;
    RMP_TRY(rmp_result_unpack(bytes, size, &result));
    rmp_status status = RMP_OK;
    if (result.interrupted) {
        s->interrupted = true;
    } else {
        status = rmp_server_accept(s, &result);
        if (status == RMP_OK) rmp_progress_update(s->progress, s->counts.done, s->counts.failed);
    }
    rmp_result_free(&result);
    return status;
}
