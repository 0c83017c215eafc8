#include "jobs/scorer.h"

#include "io/perceptual.h"

#include <stdlib.h>
#include <string.h>

enum { SIZES = 2, REMEMBERED = 16 };

typedef struct answer { /* to a question about memory */
    const rmp_device *device;
    int64_t h, w, bytes;
} answer;

struct rmp_scorer_nets {
    int holders;
    char *lpips_path, *fid_path;
    rmp_perceptual_net *lpips, *fid;
    answer known[REMEMBERED];
    int answers; /* given so far; the last ones are known */
};

typedef struct compiled {
    rmp_shape shape;
    rmp_perceptual *perceptual; /* NULL: not in use */
    uint64_t used;              /* when, for the choice of the one to give up */
} compiled;

struct rmp_scorer {
    rmp_device *device;
    const rmp_scorer_nets *nets;
    compiled lpips[SIZES], fid[SIZES];
    uint64_t clock;
};

static bool same_path(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

static rmp_status open_net(const char *path, const char *prefix, bool inception, char **copy, rmp_perceptual_net **out)
{
    const char *name = inception ? "fid" : "lpips";
    if (!path) return RMP_OK;
    *copy = strdup(path);
    RMP_CHECK(*copy, RMP_ERR_MEMORY, "no memory for a path");
    rmp_status status = rmp_perceptual_open(path, out);
    /* A file that is not there is a mistake in the job, not a failing system. */
    if (status != RMP_OK) return rmp_fail_context(status == RMP_ERR_IO ? RMP_ERR_CONFIG : status, "%s%s", prefix, name);
    const rmp_perceptual_kind kind = rmp_perceptual_net_kind(*out);
    RMP_CHECK((kind == RMP_PERCEPTUAL_INCEPTION) == inception, RMP_ERR_CONFIG, "%s%s: %s holds %s, not %s", prefix,
              name, path, rmp_perceptual_name(kind),
              inception ? "inception" : "a network of LPIPS (alex, vgg or squeeze)");
    return RMP_OK;
}

rmp_status rmp_scorer_nets_open(const char *prefix, const char *lpips, const char *fid, rmp_scorer_nets *known,
                                rmp_scorer_nets **out)
{
    *out = NULL;
    if (!lpips && !fid) return RMP_OK;
    if (known && same_path(known->lpips_path, lpips) && same_path(known->fid_path, fid)) {
        known->holders++;
        *out = known;
        return RMP_OK;
    }
    rmp_scorer_nets *nets = calloc(1, sizeof *nets);
    RMP_CHECK(nets, RMP_ERR_MEMORY, "no memory for the networks of metrics");
    nets->holders = 1;
    rmp_status status = open_net(lpips, prefix, false, &nets->lpips_path, &nets->lpips);
    if (status == RMP_OK) status = open_net(fid, prefix, true, &nets->fid_path, &nets->fid);
    if (status == RMP_OK)
        *out = nets;
    else
        rmp_scorer_nets_close(&nets);
    return status;
}

void rmp_scorer_nets_close(rmp_scorer_nets **nets)
{
    rmp_scorer_nets *n = *nets;
    *nets = NULL;
    if (!n || --n->holders > 0) return;
    rmp_perceptual_close(&n->lpips);
    rmp_perceptual_close(&n->fid);
    free(n->lpips_path);
    free(n->fid_path);
    free(n);
}

const rmp_perceptual_net *rmp_scorer_nets_lpips(const rmp_scorer_nets *nets) { return nets ? nets->lpips : NULL; }
const rmp_perceptual_net *rmp_scorer_nets_fid(const rmp_scorer_nets *nets) { return nets ? nets->fid : NULL; }

static rmp_status add_estimate(rmp_device *device, const rmp_perceptual_net *net, rmp_shape shape, int64_t *bytes)
{
    int64_t more = 0;
    if (!net) return RMP_OK;
    rmp_status status = rmp_perceptual_estimate(device, net, shape, &more);
    if (status == RMP_ERR_ARGUMENT) {
        rmp_fail_clear(); /* too small: such pictures get no score */
        return RMP_OK;
    }
    *bytes += more;
    /* The batch norms of Inception are folded into copies of its weights. */
    if (rmp_perceptual_net_kind(net) == RMP_PERCEPTUAL_INCEPTION)
        *bytes += rmp_weights_parameters(rmp_perceptual_net_weights(net)) * (int64_t)sizeof(float);
    return status;
}

rmp_status rmp_scorer_nets_estimate(rmp_scorer_nets *nets, rmp_device *device, int64_t h, int64_t w, int64_t *bytes)
{
    const rmp_shape shape = {h, w, 3};
    for (int i = 0; i < REMEMBERED && i < nets->answers; i++) {
        const answer *k = &nets->known[i];
        if (k->device != device || k->h != h || k->w != w) continue;
        *bytes = k->bytes;
        return RMP_OK;
    }
    answer a = {.device = device, .h = h, .w = w};
    RMP_TRY(add_estimate(device, nets->lpips, shape, &a.bytes));
    RMP_TRY(add_estimate(device, nets->fid, shape, &a.bytes));
    nets->known[nets->answers++ % REMEMBERED] = a;
    *bytes = a.bytes;
    return RMP_OK;
}

rmp_status rmp_scorer_create(rmp_device *device, const rmp_scorer_nets *nets, rmp_scorer **out)
{
    *out = calloc(1, sizeof **out);
    RMP_CHECK(*out, RMP_ERR_MEMORY, "no memory for scores");
    (*out)->device = device;
    (*out)->nets = nets;
    return RMP_OK;
}

static void keep_only(compiled *c, int count, const rmp_shape shapes[])
{
    for (int i = 0; i < count; i++)
        if (c->shape.h == shapes[i].h && c->shape.w == shapes[i].w) return; /* with any number of channels */
    rmp_perceptual_destroy(&c->perceptual);
}

void rmp_scorer_keep_only(rmp_scorer *scorer, int count, const rmp_shape shapes[])
{
    for (int i = 0; i < SIZES; i++) {
        keep_only(&scorer->lpips[i], count, shapes);
        keep_only(&scorer->fid[i], count, shapes);
    }
}

void rmp_scorer_destroy(rmp_scorer **scorer)
{
    if (!*scorer) return;
    rmp_scorer_keep_only(*scorer, 0, NULL);
    free(*scorer);
    *scorer = NULL;
}

const rmp_scorer_nets *rmp_scorer_networks(const rmp_scorer *scorer) { return scorer->nets; }

/* The one for this shape, or the place where it shall be. */
static compiled *place_of(compiled set[SIZES], rmp_shape shape)
{
    compiled *oldest = &set[0];
    for (int i = 0; i < SIZES; i++) {
        if (set[i].perceptual && memcmp(&set[i].shape, &shape, sizeof shape) == 0) return &set[i];
        if (!set[i].perceptual || (oldest->perceptual && set[i].used < oldest->used)) oldest = &set[i];
    }
    rmp_perceptual_destroy(&oldest->perceptual);
    return oldest;
}

static rmp_status find(rmp_scorer *s, compiled set[SIZES], const rmp_perceptual_net *net, rmp_shape shape,
                       rmp_perceptual **out)
{
    compiled *c = place_of(set, shape);
    if (!c->perceptual) {
        rmp_status status = rmp_perceptual_create(s->device, net, shape, &c->perceptual);
        if (status == RMP_ERR_MEMORY) { /* other sizes may go */
            rmp_scorer_keep_only(s, 0, NULL);
            status = rmp_perceptual_create(s->device, net, shape, &c->perceptual);
        }
        RMP_TRY(status);
        c->shape = shape;
    }
    c->used = ++s->clock;
    *out = c->perceptual;
    return RMP_OK;
}

rmp_status rmp_scorer_lpips(rmp_scorer *s, const float *a, const float *b, rmp_shape shape, double *out)
{
    rmp_perceptual *perceptual;
    RMP_TRY(find(s, s->lpips, s->nets->lpips, shape, &perceptual));
    return rmp_perceptual_distance(perceptual, a, b, out);
}

rmp_status rmp_scorer_features(rmp_scorer *s, const float *image, rmp_shape shape,
                               float features[RMP_INCEPTION_FEATURES])
{
    rmp_perceptual *perceptual;
    RMP_TRY(find(s, s->fid, s->nets->fid, shape, &perceptual));
    return rmp_perceptual_features(perceptual, image, features);
}
