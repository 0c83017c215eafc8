#include "jobs/fid.h"

#include "core/frechet.h"
#include "core/log.h"
#include "io/file.h"
#include "io/npz.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { D = RMP_INCEPTION_FEATURES };

rmp_status rmp_fid_allocate(rmp_fid_moments *out)
{
    out->mean = malloc(D * sizeof(double));
    out->covariance = malloc((size_t)D * D * sizeof(double));
    if (out->mean && out->covariance) return RMP_OK;
    rmp_fid_free(out);
    return RMP_FAIL(RMP_ERR_MEMORY, "no memory for the covariance of features");
}

void rmp_fid_free(rmp_fid_moments *moments)
{
    free(moments->mean);
    free(moments->covariance);
    memset(moments, 0, sizeof *moments);
}

rmp_status rmp_fid_read(const char *path, rmp_fid_moments *out)
{
    memset(out, 0, sizeof *out);
    RMP_TRY(rmp_fid_allocate(out));
    const rmp_npz_array arrays[] = {{"mu", 1, {D, 0}, out->mean}, {"sigma", 2, {D, D}, out->covariance}};
    rmp_status status = rmp_npz_read(path, 2, arrays);
    if (status != RMP_OK) rmp_fid_free(out);
    return status;
}

rmp_status rmp_fid_write(const char *dir, const char *name, const rmp_fid_moments *moments)
{
    const rmp_npz_array arrays[] = {{"mu", 1, {D, 0}, moments->mean}, {"sigma", 2, {D, D}, moments->covariance}};
    return rmp_npz_write(dir, name, 2, arrays);
}

rmp_status rmp_fid_distance(rmp_device *device, const rmp_fid_moments *a, const rmp_fid_moments *b,
                            const rmp_poll *poll, double *out)
{
    return rmp_frechet_distance(device, D, a->mean, a->covariance, b->mean, b->covariance, poll, out);
}

rmp_status rmp_fid_check(const char *reference)
{
    rmp_fid_moments moments;
    rmp_status status = rmp_fid_read(reference, &moments);
    if (status != RMP_OK) {
        return rmp_fail_context(status == RMP_ERR_IO ? RMP_ERR_CONFIG : status, "metrics.fid_reference");
    }
    rmp_fid_free(&moments);
    return RMP_OK;
}

typedef struct sets { /* of features */
    rmp_frechet *restored, *truth;
    const rmp_poll *poll;
} sets;

static rmp_status add_features(void *context, const float *restored, const float *truth)
{
    sets *s = context;
    RMP_TRY(rmp_poll_now(s->poll));
    RMP_TRY(rmp_frechet_add(s->restored, restored));
    return s->truth && truth ? rmp_frechet_add(s->truth, truth) : RMP_OK;
}

static rmp_status finish_set(rmp_frechet **statistics, const char *dir, const char *name, rmp_fid_moments *out)
{
    RMP_TRY(rmp_fid_allocate(out));
    RMP_TRY(rmp_frechet_moments(*statistics, out->mean, out->covariance));
    rmp_frechet_destroy(statistics); /* what it took is needed */
    return rmp_fid_write(dir, name, out);
}

static rmp_status compare(rmp_device *device, sets *s, const char *dir, const char *reference, rmp_journal_fid *out)
{
    rmp_fid_moments restored = {NULL, NULL}, truth = {NULL, NULL};
    rmp_status status;
    out->images = rmp_frechet_count(s->restored);
    out->truths = s->truth ? rmp_frechet_count(s->truth) : 0;
    RMP_TRY_GOTO(finish_set(&s->restored, dir, "fid_restored.npz", &restored), done);
    RMP_TRY_GOTO(rmp_poll_now(s->poll), done);
    if (reference)
        status = rmp_fid_read(reference, &truth);
    else
        status = finish_set(&s->truth, dir, "fid_truth.npz", &truth);
    if (status == RMP_OK) status = rmp_fid_distance(device, &restored, &truth, s->poll, &out->value);
done:
    rmp_fid_free(&restored);
    rmp_fid_free(&truth);
    return status;
}

static bool is_there(const char *dir, const char *name)
{
    char *path;
    if (rmp_path_join(dir, name, &path) != RMP_OK) return false;
    const bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

rmp_status rmp_fid_finish(rmp_device *device, rmp_journal *journal, const char *dir, const char *reference,
                          const rmp_poll *poll)
{
    sets s = {NULL, NULL, poll};
    rmp_journal_fid fid;
    rmp_status status;
    RMP_TRY(rmp_journal_get_fid(journal, &fid));
    if (fid.images > 0 && is_there(dir, "fid_restored.npz") && (reference || is_there(dir, "fid_truth.npz")))
        return RMP_OK;
    RMP_TRY(rmp_frechet_create(D, &s.restored));
    if (!reference) RMP_TRY_GOTO(rmp_frechet_create(D, &s.truth), done);
    RMP_TRY_GOTO(rmp_journal_features(journal, D, add_features, &s), done);
    if (rmp_frechet_count(s.restored) < 2 || (s.truth && rmp_frechet_count(s.truth) < 2)) {
        RMP_LOG_WARN("fid", "%lld restored images and %lld truths: FID needs at least 2 of each",
                     (long long)rmp_frechet_count(s.restored), s.truth ? (long long)rmp_frechet_count(s.truth) : 0);
        goto done;
    }
    RMP_TRY_GOTO(compare(device, &s, dir, reference, &fid), done);
    status = rmp_journal_put_fid(journal, &fid);
done:
    rmp_frechet_destroy(&s.restored);
    rmp_frechet_destroy(&s.truth);
    return status;
}
