#include "jobs/inventory.h"

#include "io/file.h"
#include "jobs/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct scan {
    const rmp_task *task; /* first pass */
    const rmp_job *job;
    rmp_inventory *inventory;
    int64_t capacity;
    bool taken;           /* the largest size so far is one that the operator takes */
    rmp_journal *journal; /* second pass */
} scan;

/* One image that the operator refuses (a box larger than it) is a failed row; it must not speak for the others. */
static bool operator_takes(const rmp_task *task, int64_t h, int64_t w)
{
    const rmp_shape image = {h, w, task->channels};
    rmp_shape measured;
    const bool taken = rmp_operator_measured_shape(&task->op, image, &measured) == RMP_OK;
    if (!taken) rmp_fail_clear();
    return taken;
}

/* A narrow image grows the most when it is padded. */
static int64_t padded_area(const rmp_task *task, int64_t h, int64_t w)
{
    const int64_t m = task->model != NULL ? task->model->net->multiple : 1;
    return ((h + m - 1) / m * m) * ((w + m - 1) / m * m);
}

static void note_size(scan *s, int64_t h, int64_t w)
{
    rmp_inventory *v = s->inventory;
    if (h == 0) {
        v->unreadable++;
        return;
    }
    const bool taken = operator_takes(s->task, h, w);
    if (taken < s->taken) return;
    if (taken == s->taken && padded_area(s->task, h, w) <= padded_area(s->task, v->h, v->w)) return;
    s->taken = taken;
    v->h = h;
    v->w = w;
}

/* The image's size: of the truth, or the one that a measurement belongs to. 0 x 0 if nothing can be read. */
static void probe(const rmp_job *job, const rmp_item *item, int64_t *h, int64_t *w)
{
    rmp_shape shape = {0, 0, 0};
    rmp_status status;
    if (item->image != NULL) {
        status = rmp_image_probe(item->image, &shape);
        if (job->input.crop_h > 0) {
            shape.h = job->input.crop_h;
            shape.w = job->input.crop_w;
        }
    } else if (item->measurement != NULL) {
        rmp_shape measured;
        status = rmp_image_probe(item->measurement, &measured);
        measured.c = rmp_operator_config_channels(&job->op.config, measured.c);
        if (status == RMP_OK) status = rmp_operator_image_shape(&job->op.config, measured, &shape);
    } else {
        status = RMP_ERR_CONFIG;
    }
    const bool good = status == RMP_OK && shape.h <= INT32_MAX && shape.w <= INT32_MAX;
    *h = good ? shape.h : 0;
    *w = good ? shape.w : 0;
    if (status != RMP_OK) rmp_fail_clear();
}

static rmp_status add_probed(void *context, const rmp_item *item)
{
    scan *s = context;
    rmp_inventory *v = s->inventory;
    int64_t h, w;
    if (v->items == s->capacity) {
        s->capacity = 2 * s->capacity + 1024;
        int32_t *grown = realloc(v->size, (size_t)s->capacity * 2 * sizeof *grown);
        RMP_CHECK(grown != NULL, RMP_ERR_MEMORY, "no memory for %lld items", (long long)s->capacity);
        v->size = grown;
    }
    probe(s->task->job, item, &h, &w);
    note_size(s, h, w);
    v->size[2 * v->items] = (int32_t)h;
    v->size[2 * v->items + 1] = (int32_t)w;
    v->items++;
    return RMP_OK;
}

static rmp_status is_same_folder(const char *folder, const char *dir, const char *name, bool *same)
{
    char *path;
    RMP_TRY(rmp_path_join(dir, name, &path));
    char *a = realpath(folder, NULL), *b = realpath(path, NULL);
    *same = a != NULL && b != NULL && strcmp(a, b) == 0;
    free(a);
    free(b);
    free(path);
    return RMP_OK;
}

rmp_status rmp_inventory_check_apart(const rmp_job *job)
{
    static const char *const names[] = {".", RMP_FOLDER_IMAGES, RMP_FOLDER_UNCERTAINTY, RMP_FOLDER_MEASUREMENTS};
    const char *input = job->input.images;
    struct stat info;
    const bool exists = stat(input, &info) == 0;
    char *folder = NULL;
    bool same = false;
    if (exists && !S_ISDIR(info.st_mode)) return RMP_OK;   /* one image, or a manifest */
    if (!exists) RMP_TRY(rmp_path_folder(input, &folder)); /* of a glob */
    rmp_status status = RMP_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && status == RMP_OK && !same; i++)
        status = is_same_folder(exists ? input : folder, job->output.dir, names[i], &same);
    if (status == RMP_OK && same)
        status = RMP_FAIL(RMP_ERR_CONFIG,
                          "output.dir: results would be written to the folder of the input, %s; choose "
                          "another one",
                          exists ? input : folder);
    free(folder);
    return status;
}

rmp_status rmp_inventory_scan(const rmp_task *task, rmp_inventory *out)
{
    scan s = {.task = task, .inventory = out};
    memset(out, 0, sizeof *out);
    if (task->tensors != NULL) {
        out->items = rmp_task_tensor_items(task);
        out->h = 1;
        out->w = task->channels;
        return RMP_OK;
    }
    RMP_TRY(rmp_inventory_check_apart(task->job));
    rmp_status status = rmp_source_scan(task->job->input.images, add_probed, &s);
    if (status == RMP_ERR_IO) status = RMP_ERR_CONFIG;
    if (status != RMP_OK) {
        rmp_inventory_free(out);
        return rmp_fail_context(status, "input.images");
    }
    return RMP_OK;
}

static rmp_status recall_size(void *context, int64_t h, int64_t w, int64_t items)
{
    scan *s = context;
    s->inventory->items += items;
    if (h == 0) s->inventory->unreadable += items - 1;
    note_size(s, h, w);
    return RMP_OK;
}

rmp_status rmp_inventory_recall(const rmp_task *task, rmp_journal *journal, rmp_inventory *out)
{
    scan s = {.task = task, .inventory = out};
    memset(out, 0, sizeof *out);
    return rmp_journal_sizes(journal, recall_size, &s);
}

static rmp_status record_item(void *context, const rmp_item *item)
{
    const scan *s = context;
    const rmp_inventory *v = s->inventory;
    RMP_CHECK(item->index < v->items, RMP_ERR_CONFIG, "%s: changed while it was read; start again",
              s->job->input.images);
    return rmp_journal_items_add(s->journal, item, v->size[2 * item->index], v->size[2 * item->index + 1]);
}

static rmp_status record_tensors(const rmp_inventory *v, rmp_journal *journal)
{
    for (int64_t i = 0; i < v->items; i++) {
        char id[32];
        snprintf(id, sizeof id, "%04lld", (long long)i);
        const rmp_item item = {.index = i, .id = id};
        RMP_TRY(rmp_journal_items_add(journal, &item, v->h, v->w));
    }
    return RMP_OK;
}

rmp_status rmp_inventory_record(const rmp_job *job, const rmp_inventory *inventory, rmp_journal *journal)
{
    rmp_inventory copy = *inventory;
    scan s = {.job = job, .inventory = &copy, .journal = journal};
    RMP_TRY(rmp_journal_items_begin(journal));
    if (job->input.tensors != NULL) {
        RMP_TRY(record_tensors(inventory, journal));
    } else {
        RMP_TRY(rmp_source_scan(job->input.images, record_item, &s));
    }
    return rmp_journal_items_commit(journal);
}

void rmp_inventory_free(rmp_inventory *inventory)
{
    free(inventory->size);
    memset(inventory, 0, sizeof *inventory);
}
