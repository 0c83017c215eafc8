#include "jobs/restorer.h"

#include "jobs/deviation.h"
#include "jobs/prepared.h"
#include "jobs/result_files.h"
#include "jobs/sample.h"
#include "jobs/score.h"
#include "jobs/truth.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FILES_AN_ITEM = 6, KERNEL_FILES = 2 };

struct rmp_restorer {
    const rmp_task *task;
    rmp_restorer_options options;
    rmp_prepared_set prepared;
    rmp_scorer *scorer; /* NULL until it is wanted */
};

typedef enum purpose { RESTORE, DEGRADE } purpose;

/* The samples of a chunk that have one size and number of channels and are worked on together. */
typedef struct group {
    rmp_restorer *restorer;
    int64_t n;
    const rmp_item **item;
    rmp_sample **sample;
    rmp_row **row;
    rmp_key *key;
    rmp_prepared *slot;
    rmp_field *y;
    rmp_field *mean; /* exact posterior means, where they are known, else NULL */
    rmp_field *std;  /* standard deviations, where they are asked for, else NULL */
    float *buffer;   /* one image or measurement, whichever is larger, on the prior's channels */
    rmp_result *result;
    rmp_image_format format;
} group;

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What is wrong with one picture or size, as opposed to the rank itself. */
static bool concerns_item(rmp_status status)
{
    return status == RMP_ERR_CONFIG || status == RMP_ERR_ARGUMENT || status == RMP_ERR_FORMAT || status == RMP_ERR_IO;
}

static rmp_status fail_row(rmp_row *row, const char *reason)
{
    row->failed = true;
    free(row->reason);
    row->reason = strdup(reason);
    RMP_CHECK(row->reason != NULL, RMP_ERR_MEMORY, "no memory for a reason");
    return RMP_OK;
}

rmp_status rmp_restorer_create(const rmp_task *task, const rmp_restorer_options *options, rmp_restorer **out)
{
    *out = calloc(1, sizeof **out);
    RMP_CHECK(*out != NULL, RMP_ERR_MEMORY, "no memory for the restorer");
    (*out)->task = task;
    (*out)->options = *options;
    (*out)->prepared = (rmp_prepared_set){.task = task, .limit = options->memory_limit};
    return RMP_OK;
}

void rmp_restorer_clear(rmp_restorer *restorer)
{
    rmp_scorer_destroy(&restorer->scorer);
    rmp_prepared_clear(&restorer->prepared);
}

void rmp_restorer_destroy(rmp_restorer **restorer)
{
    if (*restorer == NULL) return;
    rmp_restorer_clear(*restorer);
    free(*restorer);
    *restorer = NULL;
}

void rmp_restorer_change(rmp_restorer *restorer, const rmp_task *task, int64_t memory_limit)
{
    if (task->metrics != restorer->task->metrics) rmp_scorer_destroy(&restorer->scorer);
    rmp_prepared_change(&restorer->prepared, task, memory_limit);
    restorer->task = task;
    restorer->options.memory_limit = memory_limit;
}

static rmp_status set_masks(group *g)
{
    rmp_operator *op = g->slot->op;
    if (!rmp_operator_has_mask(op)) return RMP_OK;
    const rmp_operator_config *masked = rmp_operator_config_mask(&g->restorer->task->op);
    if (masked->kind != RMP_OPERATOR_INPAINT_MASK) RMP_TRY(rmp_operator_draw(op, g->key));
    for (int64_t i = 0; i < g->n; i++) {
        if (g->sample[i]->mask != NULL) RMP_TRY(rmp_operator_set_mask(op, i, g->sample[i]->mask));
    }
    return RMP_OK;
}

/* y = A(x) + w of the ground truths. */
static rmp_status degrade_truths(group *g)
{
    const rmp_task *task = g->restorer->task;
    rmp_operator *op = g->slot->op;
    rmp_field *x = NULL;
    const int64_t pixels = g->slot->shape.h * g->slot->shape.w;
    rmp_status status;
    bool any = false;
    for (int64_t i = 0; i < g->n; i++)
        any = any || g->sample[i]->measured.values == NULL;
    if (!any) return RMP_OK;
    RMP_TRY_GOTO(rmp_field_create(rmp_operator_domain(op), &x), done);
    for (int64_t i = 0; i < g->n; i++) {
        const rmp_sample *s = g->sample[i];
        if (s->measured.values != NULL) continue;
        rmp_channels_repeat(s->truth.values, pixels, s->channels, task->channels, g->buffer);
        RMP_TRY_GOTO(rmp_field_put(x, i, g->buffer), done);
    }
    RMP_TRY_GOTO(rmp_operator_forward(op, x, g->y), done);
    rmp_field_destroy(&x);
    status = rmp_noise_add(&task->noise, g->key, g->y);
done:
    rmp_field_destroy(&x);
    return status;
}

/* Measurements that are given, and gray ones: one channel was measured, the same on every channel of the measurement.
 */
static rmp_status put_given(group *g)
{
    const rmp_shape measured = rmp_operator_range(g->slot->op)->shape;
    const int64_t to = measured.c;
    const int64_t pixels = measured.h * measured.w, count = rmp_shape_count(measured);
    for (int64_t i = 0; i < g->n; i++) {
        const rmp_sample *s = g->sample[i];
        if (s->measured.values != NULL) {
            if (g->restorer->task->tensors != NULL) {
                RMP_TRY(rmp_field_put(g->y, i, s->measured.values));
                continue;
            }
            rmp_channels_repeat(s->measured.values, pixels, s->measured.shape.c, to, g->buffer);
            RMP_TRY(rmp_field_put(g->y, i, g->buffer));
        } else if (s->channels < to) {
            RMP_TRY(rmp_field_get(g->y, i, g->buffer));
            for (int64_t j = 0; j < count; j++)
                g->buffer[j] = g->buffer[j - j % to];
            RMP_TRY(rmp_field_put(g->y, i, g->buffer));
        }
    }
    return rmp_operator_mask_measurement(g->slot->op, g->y);
}

static rmp_status measure_group(group *g)
{
    RMP_TRY(set_masks(g));
    RMP_TRY(rmp_field_create(rmp_operator_range(g->slot->op), &g->y));
    RMP_TRY(degrade_truths(g));
    return put_given(g);
}

static rmp_status save_mask(group *g, int64_t i)
{
    const rmp_shape shape = g->y->space->shape;
    rmp_image mask = {{shape.h, shape.w, 1}, NULL};
    mask.values = malloc((size_t)(shape.h * shape.w) * sizeof(float));
    RMP_CHECK(mask.values != NULL, RMP_ERR_MEMORY, "no memory for a mask");
    rmp_status status = rmp_operator_get_mask(g->slot->op, i, mask.values);
    for (int64_t p = 0; p < shape.h * shape.w; p++)
        mask.values[p] = 2 * mask.values[p] - 1;
    if (status == RMP_OK) status = rmp_result_add_image(g->result, &mask, RMP_PNG8, RMP_FOLDER_MASKS, g->item[i]->id);
    rmp_image_free(&mask);
    return status;
}

static bool has_magnitudes(const group *g) { return rmp_operator_config_has_magnitudes(&g->restorer->task->op); }

/* measurements/ID.png to look at (clamped), ID.tiff in float32 without clamping, masks/ID.png. */
static rmp_status save_measurement(group *g, int64_t i)
{
    const rmp_shape measured = g->y->space->shape;
    const int64_t channels = g->sample[i]->channels;
    rmp_image numbers = {{0, 0, 0}, NULL}, picture = {{0, 0, 0}, NULL};
    rmp_status status;
    RMP_TRY(rmp_field_get(g->y, i, g->buffer));
    RMP_TRY_GOTO(rmp_measurement_numbers(g->buffer, measured, channels, &numbers), done);
    if (has_magnitudes(g)) RMP_TRY_GOTO(rmp_magnitude_picture(g->buffer, measured, channels, &picture), done);
    const rmp_image *shown = picture.values != NULL ? &picture : &numbers;
    RMP_TRY_GOTO(rmp_result_add_image(g->result, shown, RMP_PNG8, RMP_FOLDER_MEASUREMENTS, g->item[i]->id), done);
    RMP_TRY_GOTO(rmp_result_add_image(g->result, &numbers, RMP_TIFF32F, RMP_FOLDER_MEASUREMENTS, g->item[i]->id), done);
done:
    rmp_image_free(&numbers);
    rmp_image_free(&picture);
    if (status == RMP_OK && rmp_operator_has_mask(g->slot->op)) status = save_mask(g, i);
    return status;
}

static rmp_status between_scores(void *context)
{
    const rmp_restorer *r = context;
    return r->options.progress != NULL ? r->options.progress(r->options.progress_context, 1) : RMP_OK;
}

/* Made where it is first wanted: not every restorer scores. */
static rmp_status take_scorer(rmp_restorer *r)
{
    if (r->scorer != NULL || r->task->metrics == NULL) return RMP_OK;
    return rmp_scorer_create(r->task->device, r->task->metrics, &r->scorer);
}

static rmp_status score(group *g, int64_t i, const rmp_image *restored)
{
    rmp_restorer *r = g->restorer;
    const rmp_sample *s = g->sample[i];
    rmp_image picture = {{0, 0, 0}, NULL};
    if (s->truth.values == NULL && rmp_scorer_nets_fid(r->task->metrics) == NULL) return RMP_OK;
    RMP_TRY(take_scorer(r));
    const rmp_score_options options = {.scorer = r->scorer,
                                       .truth_features = r->task->job->metrics.fid_reference == NULL,
                                       .tick = between_scores,
                                       .context = r};
    if (s->truth.values != NULL && !has_magnitudes(g)) {
        RMP_TRY(rmp_field_get(g->y, i, g->buffer));
        RMP_TRY(rmp_measurement_picture(g->buffer, g->y->space->shape, s->shape, s->channels, &picture));
    }
    rmp_status status = rmp_score(&options, g->item[i]->id, &s->truth, restored, &picture, g->row[i]);
    rmp_image_free(&picture);
    return status;
}

static rmp_status finish_tensor(group *g, int64_t i)
{
    const int64_t count = rmp_shape_count(g->slot->shape);
    const rmp_sample *s = g->sample[i];
    rmp_row *row = g->row[i];
    float *tensor = malloc((size_t)count * sizeof *tensor);
    RMP_CHECK(tensor != NULL, RMP_ERR_MEMORY, "no memory for a result");
    memcpy(tensor, g->buffer, (size_t)count * sizeof *tensor);
    row->tensor = tensor;
    row->tensor_length = count;
    if (s->truth.values != NULL) row->distance = rmp_truth_distance(tensor, s->truth.values, count);
    if (g->std != NULL) {
        float *std = malloc((size_t)count * sizeof *std);
        row->tensor_std = std;
        RMP_CHECK(std != NULL, RMP_ERR_MEMORY, "no memory for standard deviations");
        RMP_TRY(rmp_field_get(g->std, i, std));
        rmp_deviation_score(tensor, std, s->truth.values, count, row);
    }
    if (g->mean == NULL) return RMP_OK;
    RMP_TRY(rmp_field_get(g->mean, i, g->buffer));
    row->distance_mean = rmp_truth_distance(tensor, g->buffer, count);
    return RMP_OK;
}

/* uncertainty/ID.tiff, as it is, and ID.png to look at. Of gray images the mean of the channels. */
static rmp_status save_deviation(group *g, int64_t i, const rmp_image *restored)
{
    const rmp_shape shape = g->slot->shape;
    const char *id = g->item[i]->id;
    rmp_image std = {restored->shape, malloc((size_t)rmp_shape_count(restored->shape) * sizeof(float))};
    rmp_status status = RMP_OK;
    RMP_CHECK(std.values != NULL, RMP_ERR_MEMORY, "no memory for standard deviations");
    RMP_TRY_GOTO(rmp_field_get(g->std, i, g->buffer), done);
    rmp_channels_mean(g->buffer, shape.h * shape.w, shape.c, std.shape.c, std.values);
    rmp_deviation_score(restored->values, std.values, g->sample[i]->truth.values, rmp_shape_count(std.shape),
                        g->row[i]);
    rmp_deviation_exact(&std);
    RMP_TRY_GOTO(rmp_result_add_image(g->result, &std, RMP_TIFF32F, RMP_FOLDER_UNCERTAINTY, id), done);
    rmp_deviation_visible(&std, g->row[i]);
    status = rmp_result_add_image(g->result, &std, RMP_PNG8, RMP_FOLDER_UNCERTAINTY, id);
done:
    rmp_image_free(&std);
    return status;
}

static rmp_status finish_image(group *g, int64_t i)
{
    const rmp_shape shape = g->slot->shape;
    const rmp_sample *s = g->sample[i];
    rmp_row *row = g->row[i];
    char output[512];
    rmp_image restored = {{shape.h, shape.w, s->channels}, NULL};
    restored.values = malloc((size_t)rmp_shape_count(restored.shape) * sizeof(float));
    RMP_CHECK(restored.values != NULL, RMP_ERR_MEMORY, "no memory for a result");
    rmp_channels_mean(g->buffer, shape.h * shape.w, shape.c, s->channels, restored.values);
    rmp_status status = score(g, i, &restored);
    if (status == RMP_OK)
        status = rmp_result_add_image(g->result, &restored, g->format, RMP_FOLDER_IMAGES, g->item[i]->id);
    if (status == RMP_OK && g->std != NULL) status = save_deviation(g, i, &restored);
    rmp_image_free(&restored);
    RMP_TRY(status);
    snprintf(output, sizeof output, RMP_FOLDER_IMAGES "/%s.%s", g->item[i]->id, rmp_image_format_extension(g->format));
    row->output = strdup(output);
    RMP_CHECK(row->output != NULL, RMP_ERR_MEMORY, "no memory for a file name");
    return RMP_OK;
}

static rmp_status finish_item(group *g, int64_t i, const rmp_solver_stats *stats, const rmp_field *x)
{
    const rmp_job *job = g->restorer->task->job;
    rmp_row *row = g->row[i];
    row->evaluations = stats->evaluations;
    row->vjps = stats->vjps;
    row->cg_iterations = stats->cg_iterations;
    if (job->output.measurements) RMP_TRY(save_measurement(g, i));
    if (stats->diverged) return fail_row(row, stats->reason);
    row->residual = stats->residual;
    RMP_TRY(rmp_field_get(x, i, g->buffer));
    return job->input.tensors != NULL ? finish_tensor(g, i) : finish_image(g, i);
}

/* On a prior of three channels a gray picture is there three times, but it was measured once: with three times the
 * variance the copies say together what the one measurement says. */
static rmp_noise noise_of(const group *g)
{
    const rmp_task *task = g->restorer->task;
    rmp_noise noise = task->noise;
    const int64_t there = g->y->space->shape.c, measured = g->sample[0]->channels;
    if (task->tensors == NULL && measured < there) noise.copies = (double)there / (double)measured;
    return noise;
}

static rmp_status solve_group(group *g)
{
    rmp_restorer *r = g->restorer;
    rmp_prepared *s = g->slot;
    rmp_field *x = NULL;
    rmp_status status;
    rmp_solver_stats *stats = calloc((size_t)g->n, sizeof *stats);
    int64_t *evaluations = calloc((size_t)g->n, sizeof *evaluations);
    RMP_CHECK_GOTO(stats != NULL && evaluations != NULL, RMP_ERR_MEMORY, done, "no memory for statistics");
    if (s->prior == NULL) RMP_TRY_GOTO(rmp_task_prior(r->task, &s->space, &s->prior), done);
    RMP_TRY_GOTO(rmp_field_create(rmp_operator_domain(s->op), &x), done);
    const rmp_problem problem = {.prior = s->prior,
                                 .op = s->op,
                                 .y = g->y,
                                 .noise = noise_of(g),
                                 .key = g->key,
                                 .progress = r->options.progress,
                                 .progress_context = r->options.progress_context};
    RMP_TRY_GOTO(rmp_solve(&r->task->solver, &problem, x, stats), done);
    RMP_TRY_GOTO(rmp_truth_means(r->task, s->prior, s->op, g->y, &g->mean), done);
    RMP_TRY_GOTO(rmp_deviation_estimate(r->task, &problem, x, stats, evaluations, &g->std), done);
    for (int64_t i = 0; i < g->n; i++) {
        g->row[i]->std_evaluations = evaluations[i];
        RMP_TRY_GOTO(finish_item(g, i, &stats[i], x), done);
    }
done:
    rmp_field_destroy(&g->mean);
    rmp_field_destroy(&g->std);
    rmp_field_destroy(&x);
    free(stats);
    free(evaluations);
    return status;
}

static rmp_status work_on_group(group *g, purpose what)
{
    if (what == RESTORE) {
        RMP_TRY(solve_group(g));
        return g->restorer->task->job->output.measurements ? rmp_result_add_drawn(g->result, g->slot->op) : RMP_OK;
    }
    for (int64_t i = 0; i < g->n; i++)
        RMP_TRY(save_measurement(g, i));
    return rmp_result_add_drawn(g->result, g->slot->op);
}

/* Sizes that are not ready any more made room for another one; so do the networks that score them. */
static void trim_scorer(rmp_restorer *r)
{
    rmp_shape shapes[RMP_PREPARED];
    int count = 0;
    if (r->scorer == NULL) return;
    for (int i = 0; i < RMP_PREPARED; i++) {
        if (r->prepared.one[i].n > 0) shapes[count++] = r->prepared.one[i].shape;
    }
    rmp_scorer_keep_only(r->scorer, count, shapes);
}

static rmp_status run_group(group *g, purpose what)
{
    rmp_restorer *r = g->restorer;
    const double started = now(CLOCK_REALTIME), begin = now(CLOCK_MONOTONIC);
    rmp_status status = rmp_deviation_check(r->task, g->sample[0]->shape);
    if (status == RMP_OK) status = rmp_prepared_find(&r->prepared, g->n, g->sample[0]->shape, &g->slot);
    if (concerns_item(status)) {
        /* This size is refused: every image of the group has it. */
        for (int64_t i = 0; i < g->n; i++)
            RMP_TRY(fail_row(g->row[i], rmp_fail_message()));
        return RMP_OK;
    }
    RMP_TRY(status);
    trim_scorer(r);
    const int64_t image = rmp_shape_count(g->slot->shape);
    const int64_t measured = rmp_shape_count(rmp_operator_range(g->slot->op)->shape);
    g->buffer = malloc((size_t)(image > measured ? image : measured) * sizeof *g->buffer);
    RMP_CHECK(g->buffer != NULL, RMP_ERR_MEMORY, "no memory for an image");
    for (int64_t i = 0; i < g->n; i++) {
        g->row[i]->height = g->sample[i]->shape.h;
        g->row[i]->width = g->sample[i]->shape.w;
        g->row[i]->channels = g->sample[i]->channels;
    }
    status = measure_group(g);
    if (status == RMP_OK) status = work_on_group(g, what);
    rmp_field_destroy(&g->y);
    const double share = (now(CLOCK_MONOTONIC) - begin) / (double)g->n;
    for (int64_t i = 0; i < g->n; i++) {
        g->row[i]->started = started;
        g->row[i]->seconds = share;
    }
    return status;
}

static rmp_status init_row(const rmp_restorer *r, const rmp_item *item, rmp_row *row)
{
    row->item = item->index;
    row->psnr = row->ssim = row->psnr_8bit = row->ssim_8bit = NAN;
    row->lpips = row->lpips_input = NAN;
    row->psnr_input = row->ssim_input = row->residual = row->distance = NAN;
    row->distance_mean = row->std = row->coverage = NAN;
    row->started = now(CLOCK_REALTIME);
    row->rank = r->options.rank;
    row->host = strdup(r->options.host);
    RMP_CHECK(row->host != NULL, RMP_ERR_MEMORY, "no memory for a row");
    return RMP_OK;
}

typedef struct workspace {
    rmp_sample *samples;
    bool *waiting; /* read and not yet worked on */
    group group;
} workspace;

static rmp_status read_samples(rmp_restorer *r, const rmp_item items[], int64_t count, rmp_result *out, workspace *w)
{
    for (int64_t i = 0; i < count; i++) {
        RMP_TRY(init_row(r, &items[i], &out->row[i]));
        rmp_status status = rmp_sample_read(r->task, &items[i], &w->samples[i]);
        if (status == RMP_OK) {
            w->waiting[i] = true;
        } else if (concerns_item(status)) {
            RMP_TRY(fail_row(&out->row[i], rmp_fail_message()));
        } else {
            return rmp_fail_context(status, "item %s", items[i].id);
        }
    }
    return RMP_OK;
}

static bool are_alike(const rmp_sample *a, const rmp_sample *b)
{
    return memcmp(&a->shape, &b->shape, sizeof(rmp_shape)) == 0 && a->channels == b->channels;
}

/* Takes the first waiting sample and all others of its size and channels. */
static bool next_group(const rmp_item items[], int64_t count, rmp_result *out, workspace *w)
{
    group *g = &w->group;
    g->n = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!w->waiting[i]) continue;
        if (g->n > 0 && !are_alike(g->sample[0], &w->samples[i])) continue;
        g->item[g->n] = &items[i];
        g->sample[g->n] = &w->samples[i];
        g->row[g->n] = &out->row[i];
        g->key[g->n] = (rmp_key){g->restorer->task->job->seed, (uint64_t)items[i].index};
        g->n++;
        w->waiting[i] = false;
    }
    return g->n > 0;
}

static rmp_status run(rmp_restorer *r, const rmp_item items[], int64_t count, purpose what, rmp_result *out)
{
    workspace w;
    group *g = &w.group;
    const size_t n = (size_t)count;
    memset(&w, 0, sizeof w);
    RMP_TRY(rmp_result_create(count, count * (FILES_AN_ITEM + KERNEL_FILES), out));
    out->files = 0;
    w.samples = calloc(n, sizeof *w.samples);
    w.waiting = calloc(n, sizeof *w.waiting);
    g->item = calloc(n, sizeof *g->item);
    g->sample = calloc(n, sizeof *g->sample);
    g->row = calloc(n, sizeof *g->row);
    g->key = calloc(n, sizeof *g->key);
    g->restorer = r;
    g->result = out;
    g->format = r->task->job->output.format;
    rmp_status status = RMP_OK;
    RMP_CHECK_GOTO(w.samples && w.waiting && g->item && g->sample && g->row && g->key, RMP_ERR_MEMORY, done,
                   "no memory for a chunk of %lld items", (long long)count);
    RMP_TRY_GOTO(read_samples(r, items, count, out, &w), done);
    while (status == RMP_OK && next_group(items, count, out, &w)) {
        status = run_group(g, what);
        free(g->buffer);
        g->buffer = NULL;
    }
done:
    for (int64_t i = 0; w.samples != NULL && i < count; i++)
        rmp_sample_free(&w.samples[i]);
    free(w.samples);
    free(w.waiting);
    free(g->item);
    free(g->sample);
    free(g->row);
    free(g->key);
    if (status != RMP_OK) rmp_result_free(out);
    return status;
}

rmp_status rmp_restorer_run(rmp_restorer *restorer, const rmp_item items[], int64_t count, rmp_result *out)
{
    return run(restorer, items, count, RESTORE, out);
}

rmp_status rmp_restorer_degrade(rmp_restorer *restorer, const rmp_item items[], int64_t count, rmp_result *out)
{
    return run(restorer, items, count, DEGRADE, out);
}

rmp_status rmp_restorer_measure(rmp_restorer *restorer, const rmp_item *item, rmp_image *out)
{
    rmp_sample sample;
    rmp_sample *samples[1] = {&sample};
    rmp_key key = {restorer->task->job->seed, (uint64_t)item->index};
    group g = {.restorer = restorer, .n = 1, .sample = samples, .key = &key};
    RMP_TRY(rmp_sample_read(restorer->task, item, &sample));
    rmp_status status;
    RMP_TRY_GOTO(rmp_prepared_find(&restorer->prepared, 1, sample.shape, &g.slot), done);
    const int64_t image = rmp_shape_count(sample.shape);
    const rmp_shape measured = rmp_operator_range(g.slot->op)->shape;
    const int64_t floats = image > rmp_shape_count(measured) ? image : rmp_shape_count(measured);
    g.buffer = malloc((size_t)floats * sizeof *g.buffer);
    RMP_CHECK_GOTO(g.buffer != NULL, RMP_ERR_MEMORY, done, "no memory for an image");
    RMP_TRY_GOTO(measure_group(&g), done);
    RMP_TRY_GOTO(rmp_field_get(g.y, 0, g.buffer), done);
    status = has_magnitudes(&g) ? rmp_magnitude_picture(g.buffer, measured, sample.channels, out)
                                : rmp_measurement_picture(g.buffer, measured, sample.shape, sample.channels, out);
done:
    rmp_field_destroy(&g.y);
    free(g.buffer);
    rmp_sample_free(&sample);
    return status;
}
