#include "io/file.h"
#include "jobs/describe.h"
#include "jobs/run_json.h"
#include "jobs/scorer.h"
#include "jobs/summary.h"
#include "jobs/versions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_SUMMARY = 1 << 20 }; /* bytes of a summary.json that is read again */

static int add_statistics(json_t *object, const char *name, const rmp_statistics *s)
{
    return json_object_set_new(
        object, name,
        json_pack("{sI so so so so so so so}", "n", (json_int_t)s->n, "mean", rmp_run_real(s->mean), "std",
                  rmp_run_real(s->std), "min", rmp_run_real(s->min), "q25", rmp_run_real(s->q25), "median",
                  rmp_run_real(s->median), "q75", rmp_run_real(s->q75), "max", rmp_run_real(s->max)));
}

static json_t *failures(const rmp_summary *summary)
{
    json_t *list = json_array();
    bool ok = list;
    for (int i = 0; ok && i < summary->reasons; i++)
        ok = json_array_append_new(list, json_pack("{so sI}", "reason", rmp_run_text(summary->reason[i].text), "items",
                                                   (json_int_t)summary->reason[i].items)) == 0;
    if (ok) return json_pack("{so sI}", "reasons", list, "other", (json_int_t)summary->other_failures);
    json_decref(list);
    return NULL;
}

static json_t *weights_of(json_t *job, const char *key)
{
    json_t *path = json_object_get(json_object_get(job, "metrics"), key);
    return path ? json_incref(path) : json_null();
}

static json_t *lpips(const rmp_summary *summary, json_t *job)
{
    if (summary->lpips_network == 0) return json_null();
    return json_pack("{ss so ss}", "network", rmp_perceptual_name((rmp_perceptual_kind)(summary->lpips_network - 1)),
                     "weights", weights_of(job, "lpips"), "rounding",
                     "restored image and measurement to 8 bits, ground truth as it was read");
}

static json_t *fid(const rmp_summary *summary, json_t *job)
{
    const rmp_journal_fid *f = &summary->fid;
    if (f->images == 0) return json_null();
    json_t *given = weights_of(job, "fid_reference");
    const bool truths = json_is_null(given);
    json_t *against = truths ? json_string("ground truths") : json_incref(given);
    json_t *images = truths ? json_integer((json_int_t)f->truths) : json_null();
    json_decref(given);
    json_t *object =
        json_pack("{sf sI so so ss so ss ss}", "value", f->value, "images", (json_int_t)f->images, "reference", against,
                  "reference_images", images, "network", rmp_perceptual_name(RMP_PERCEPTUAL_INCEPTION), "weights",
                  weights_of(job, "fid"), "resize", RMP_SCORER_RESIZE, "rounding",
                  "restored image to 8 bits, ground truth as it was read");
    const bool biased = f->images < RMP_SCORER_UNBIASED || (truths && f->truths < RMP_SCORER_UNBIASED);
    if (object && biased && json_object_set_new(object, "warning", json_string(RMP_SCORER_BIASED)) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *iso_time(double unix_time)
{
    if (!isfinite(unix_time)) return json_null();
    time_t seconds = (time_t)unix_time;
    struct tm utc;
    char text[32];
    if (!gmtime_r(&seconds, &utc) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) return json_null();
    return json_string(text);
}

static json_t *timing(const rmp_summary *summary, const rmp_run_facts *facts, const json_t *before)
{
    json_t *object = json_object(), *ranks = json_array();
    bool ok = object && ranks;
    double busy = 0;
    for (int i = 0; i < summary->shares; i++)
        busy += summary->share[i].seconds;
    for (int i = 0; ok && i < summary->shares; i++) {
        const rmp_rank_share *s = &summary->share[i];
        ok = json_array_append_new(ranks, json_pack("{si so sI sf}", "rank", s->rank, "host", rmp_run_text(s->host),
                                                    "items", (json_int_t)s->items, "busy_seconds", s->seconds)) == 0;
    }
    ok = ok && add_statistics(object, "seconds", &summary->figure[RMP_FIGURE_SECONDS]) == 0 &&
         json_object_set_new(object, "busy_seconds", rmp_run_real(busy)) == 0 &&
         json_object_set_new(object, "first_started", iso_time(summary->first_started)) == 0;
    ok = ok && json_object_set_new(object, "last_run", rmp_run_last(facts, before)) == 0 &&
         json_object_set(object, "ranks", ranks) == 0;
    json_decref(ranks);
    if (ok) return object;
    json_decref(object);
    return NULL;
}

static json_t *everything(const rmp_summary *summary, json_t *job, const rmp_run_facts *facts, const json_t *before)
{
    char task[128];
    rmp_describe_task(job, task, sizeof task);
    json_t *root = json_object(), *figures = json_object();
    bool ok = root && figures;
    ok = ok && json_object_set_new(root, "task", rmp_run_text(task)) == 0 &&
         json_object_set_new(root, "items",
                             json_pack("{sI sI sI}", "total", (json_int_t)summary->counts.items, "done",
                                       (json_int_t)summary->counts.done, "failed",
                                       (json_int_t)summary->counts.failed)) == 0;
    for (int i = 0; ok && i < RMP_FIGURES; i++)
        if (i != RMP_FIGURE_SECONDS && i != RMP_FIGURE_FID)
            ok = add_statistics(figures, rmp_figure_name((rmp_figure)i), &summary->figure[i]) == 0;
    json_t *seed = json_object_get(job, "seed");
    ok = ok && json_object_set(root, "figures", figures) == 0 &&
         json_object_set_new(root, "lpips", lpips(summary, job)) == 0 &&
         json_object_set_new(root, "fid", fid(summary, job)) == 0 &&
         json_object_set_new(root, "failures", failures(summary)) == 0 &&
         json_object_set(root, "seed", seed ? seed : json_null()) == 0 && json_object_set(root, "job", job) == 0 &&
         json_object_set_new(root, "job_text", rmp_run_text(summary->job)) == 0 &&
         json_object_set_new(root, "versions", rmp_versions()) == 0 &&
         json_object_set_new(root, "hardware", rmp_run_hardware(facts, before)) == 0 &&
         json_object_set_new(root, "timing", timing(summary, facts, before)) == 0;
    json_decref(figures);
    if (ok) return root;
    json_decref(root);
    return NULL;
}

rmp_status rmp_summary_write(const char *dir, const rmp_run_facts *facts)
{
    if (facts && facts->items == 0) facts = NULL; /* a finished job was looked at again: the run that did it stays */
    rmp_summary summary;
    json_t *job = NULL, *root = NULL, *before = NULL;
    char *text = NULL, *line = NULL;
    rmp_status status;
    RMP_TRY(rmp_summary_collect(dir, &summary));
    RMP_TRY_GOTO(rmp_describe_json(summary.job, &job), done);
    before = facts ? NULL : rmp_run_former(dir, MAX_SUMMARY);
    root = everything(&summary, job, facts, before);
    text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    size_t size = text ? strlen(text) : 0;
    line = text ? realloc(text, size + 2) : NULL;
    RMP_CHECK_GOTO(line, RMP_ERR_MEMORY, done, "no memory for summary.json");
    text = line;
    memcpy(text + size, "\n", 2);
    status = rmp_file_write(dir, "summary.json", text, size + 1);
done:
    free(text);
    json_decref(root);
    json_decref(before);
    json_decref(job);
    rmp_summary_free(&summary);
    return status;
}
