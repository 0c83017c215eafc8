/* Re-ordered weights, shared by every plan of a device: networks of several sizes and both directions need them once.
 * Where the device has a share (gpu/share.h) large ones are held together with the other ranks of the machine, and each
 * rank packs a part of them: it leaves those that another one is at work on for later. */
#include "core/log.h"
#include "gpu/host/host.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOK_NANOSECONDS = 1000 * 1000 };

struct rmp_host_weight {
    rmp_weight_request request;
    uint64_t layout; /* 0: unknown */
    int references;
    int64_t bytes; /* 0: the tensor's own memory serves */
    int64_t part;  /* of the bytes that counts for this rank */
    const void *data;
    void *owned;           /* by this process alone */
    rmp_share_piece piece; /* or of the share */
    rmp_share_key content; /* hash of the tensor, once it is needed */
    bool hashed;
    rmp_host_weight *next;
};

/* How the weights of a plan were come by, for the log. */
typedef struct tally {
    int packed, taken, alone;
    int64_t shared_bytes, alone_bytes;
} tally;

const void *rmp_host_weight_data(const rmp_host_weight *weight) { return weight->data; }

static bool same(const rmp_host_weight *w, const rmp_weight_request *r, uint64_t layout)
{
    const rmp_weight_request *o = &w->request;
    return o->tensor->data == r->tensor->data && o->tensor->dtype == r->tensor->dtype && o->form == r->form &&
           rmp_tensor_count(o->tensor) == rmp_tensor_count(r->tensor) && o->oc == r->oc && o->ic == r->ic &&
           o->ic_first == r->ic_first && o->ic_count == r->ic_count && o->kh == r->kh && o->kw == r->kw &&
           o->groups == r->groups && w->layout == layout;
}

static int64_t bytes_of(const rmp_host *host, const rmp_weight_request *r)
{
    switch (r->form) {
    case RMP_WEIGHT_PLAIN: {
        bool usable = r->tensor->dtype == RMP_F32 && (uintptr_t)r->tensor->data % sizeof(float) == 0;
        return usable ? 0 : rmp_tensor_count(r->tensor) * (int64_t)sizeof(float);
    }
    case RMP_WEIGHT_WINO:
        return host->kernels->wino_pack_floats(r->ic, r->oc) * (int64_t)sizeof(float);
    case RMP_WEIGHT_WINO_TRANSPOSED:
        return host->kernels->wino_pack_floats(r->oc, r->ic) * (int64_t)sizeof(float);
    case RMP_WEIGHT_CONV:
    case RMP_WEIGHT_CONV_TRANSPOSED:
        return rmp_onednn_conv_weight_bytes(r->conv);
    }
    return 0;
}

static bool may_share(const rmp_host *host, const rmp_host_weight *w)
{
    return host->share && w->bytes >= RMP_SHARE_LEAST && (w->layout != 0 || !w->request.conv);
}

rmp_status rmp_host_weight_get(rmp_host_plan *plan, const rmp_weight_request *request, rmp_host_weight **out)
{
    rmp_host *host = (rmp_host *)plan->base.device;
    uint64_t layout = request->conv ? rmp_onednn_conv_layout(request->conv) : 0;
    rmp_host_weight *w = request->conv && layout == 0 ? NULL : host->weights;
    while (w && !same(w, request, layout))
        w = w->next;
    bool known = false;
    for (int i = 0; w && i < plan->weights; i++)
        known = known || plan->weight[i] == w;
    if (!known) {
        if (plan->weights == plan->weight_room) {
            int room = plan->weight_room ? 2 * plan->weight_room : 64;
            void *larger = realloc(plan->weight, (size_t)room * sizeof(rmp_host_weight *));
            RMP_CHECK(larger, RMP_ERR_MEMORY, "no memory for a list of weights");
            plan->weight = larger;
            plan->weight_room = room;
        }
        if (!w) {
            w = calloc(1, sizeof *w);
            RMP_CHECK(w, RMP_ERR_MEMORY, "no memory for a list of weights");
            w->request = *request;
            w->layout = layout;
            w->bytes = bytes_of(host, request);
            w->part = w->bytes;
            if (may_share(host, w)) {
                const int ranks = rmp_share_ranks(host->share);
                w->part = w->bytes / ranks + (w->bytes % ranks != 0);
            }
            w->next = host->weights;
            host->weights = w;
            plan->new_weight_bytes += w->part;
            plan->saved_weight_bytes += w->bytes - w->part;
        }
        w->references++;
        plan->weight[plan->weights++] = w;
    }
    *out = w;
    return RMP_OK;
}

/* (oc, ic, kh, kw) float32 of the first oc rows, or of a slice of the input channels; exchanged and flipped if asked.
 */
static void arrange(const rmp_weight_request *r, const float *plain, float *out)
{
    int64_t area = r->kh * r->kw, ic = r->ic / r->groups;
    bool slice = r->groups == 1 && r->ic_count > 0;
    int64_t first = slice ? r->ic_first : 0, count = slice ? r->ic_count : ic;
    for (int64_t o = 0; o < r->oc; o++) {
        for (int64_t i = 0; i < count; i++) {
            const float *from = plain + (o * ic + first + i) * area;
            if (r->form == RMP_WEIGHT_CONV_TRANSPOSED) {
                float *to = out + (i * r->oc + o) * area;
                for (int64_t k = 0; k < area; k++)
                    to[k] = from[area - 1 - k];
            } else {
                memcpy(out + (o * count + i) * area, from, (size_t)area * sizeof *out);
            }
        }
    }
}

static rmp_status pack(const rmp_host *host, const rmp_weight_request *r, const float *plain, void *out)
{
    const rmp_kernels *k = host->kernels;
    bool transposed = r->form == RMP_WEIGHT_WINO_TRANSPOSED;
    int64_t ic = transposed ? r->oc : r->ic, oc = transposed ? r->ic : r->oc;
    if (r->form == RMP_WEIGHT_WINO || transposed) {
#pragma omp parallel for num_threads(host->threads) schedule(static)
        for (int64_t o = 0; o < oc; o++)
            k->wino_pack(ic, oc, o, o + 1, transposed, plain, out);
        return RMP_OK;
    }
    int64_t count = r->oc * r->ic / r->groups * r->kh * r->kw;
    float *arranged = malloc((size_t)count * sizeof *arranged);
    RMP_CHECK(arranged, RMP_ERR_MEMORY, "no memory to re-order weights");
    arrange(r, plain, arranged);
    rmp_status status = rmp_onednn_conv_reorder(r->conv, arranged, out);
    free(arranged);
    return status;
}

/* Converts and packs into w->owned or the piece, which are zero. */
static rmp_status write(rmp_host *host, rmp_host_weight *w, void *out)
{
    const rmp_weight_request *r = &w->request;
    if (r->form == RMP_WEIGHT_PLAIN) {
        rmp_tensor_read_f32(r->tensor, 0, rmp_tensor_count(r->tensor), out);
        return RMP_OK;
    }
    int64_t count = r->oc * r->ic / r->groups * r->kh * r->kw;
    float *plain = malloc((size_t)count * sizeof *plain);
    RMP_CHECK(plain, RMP_ERR_MEMORY, "no memory to convert weights");
    rmp_tensor_read_f32(r->tensor, 0, count, plain);
    rmp_status status = pack(host, r, plain, out);
    free(plain);
    return status;
}

static rmp_status fill_alone(rmp_host *host, rmp_host_weight *w, tally *t)
{
    void *memory;
    RMP_TRY(rmp_host_allocate(host, w->bytes, "re-ordered weights", &memory));
    rmp_status status = write(host, w, memory);
    if (status != RMP_OK) {
        rmp_host_release(host, w->bytes, memory);
        return status;
    }
    w->part = w->bytes;
    w->owned = memory;
    w->data = memory;
    t->alone++;
    t->alone_bytes += w->bytes;
    return RMP_OK;
}

/* Hash of the tensor; several forms of one tensor need it once. */
static void hash_content(const rmp_host *host, rmp_host_weight *w)
{
    const rmp_tensor *tensor = w->request.tensor;
    for (const rmp_host_weight *o = host->weights; o && !w->hashed; o = o->next) {
        if (!o->hashed || o->request.tensor->data != tensor->data || o->request.tensor->dtype != tensor->dtype ||
            rmp_tensor_count(o->request.tensor) != rmp_tensor_count(tensor)) {
            continue;
        }
        w->content = o->content;
        w->hashed = true;
    }
    if (w->hashed) return;
    rmp_share_hash(&w->content, tensor->data, (size_t)rmp_tensor_count(tensor) * rmp_dtype_size(tensor->dtype));
    w->hashed = true;
}

/* Everything that decides the packed bytes. Ranks run the same program; the libraries that it finds and the processor
 * that it sees are theirs. */
static rmp_share_key key_of(const rmp_host *host, rmp_host_weight *w)
{
    const rmp_weight_request *r = &w->request;
    hash_content(host, w);
    const int64_t facts[] = {(int64_t)r->tensor->dtype,
                             rmp_tensor_count(r->tensor),
                             (int64_t)r->form,
                             r->oc,
                             r->ic,
                             r->kh,
                             r->kw,
                             r->groups,
                             r->ic_first,
                             r->ic_count,
                             (int64_t)w->layout,
                             w->bytes,
                             host->kernels->width};
    rmp_share_key key = w->content;
    rmp_share_hash(&key, facts, sizeof facts);
    rmp_share_hash(&key, host->kernels->name, strlen(host->kernels->name));
    rmp_share_hash(&key, rmp_onednn_version(), strlen(rmp_onednn_version()));
    return key;
}

/* *done: it is in the share now. Else another rank is filling it (*busy) or the share has no room for it. */
static rmp_status fill_together(rmp_host *host, rmp_host_weight *w, bool *done, bool *busy, tally *t)
{
    const rmp_share_key key = key_of(host, w);
    RMP_TRY(rmp_host_charge(host, w->part, "re-ordered weights"));
    const rmp_share_answer answer = rmp_share_take(host->share, &key, w->bytes, &w->piece);
    rmp_status status = RMP_OK;
    *done = answer == RMP_SHARE_READY;
    *busy = answer == RMP_SHARE_BUSY;
    if (answer == RMP_SHARE_MINE) {
        status = write(host, w, w->piece.data);
        *done = status == RMP_OK;
        if (*done)
            rmp_share_publish(host->share, &w->piece);
        else
            rmp_share_abandon(host->share, &w->piece);
    }
    if (!*done) {
        host->allocated -= w->part;
        return status;
    }
    w->data = w->piece.data;
    *(answer == RMP_SHARE_MINE ? &t->packed : &t->taken) += 1;
    t->shared_bytes += w->bytes;
    return RMP_OK;
}

/* *busy: another rank is filling it, nothing was done. */
static rmp_status fill(rmp_host *host, rmp_host_weight *w, bool *busy, tally *t)
{
    bool done = false;
    *busy = false;
    if (w->bytes == 0) {
        w->data = w->request.tensor->data;
        return RMP_OK;
    }
    if (may_share(host, w)) RMP_TRY(fill_together(host, w, &done, busy, t));
    return done || *busy ? RMP_OK : fill_alone(host, w, t);
}

/* Those that others were filling; after a time without progress this rank packs what it needs. */
static rmp_status fill_rest(rmp_host_plan *plan, int left, tally *t)
{
    rmp_host *host = (rmp_host *)plan->base.device;
    const struct timespec pause = {0, LOOK_NANOSECONDS};
    double waited = 0;
    while (left > 0) {
        const int before = left;
        left = 0;
        for (int i = 0; i < plan->weights; i++) {
            bool busy = false;
            if (plan->weight[i]->data) continue;
            if (waited > rmp_share_patience(host->share))
                RMP_TRY(fill_alone(host, plan->weight[i], t));
            else
                RMP_TRY(fill(host, plan->weight[i], &busy, t));
            left += busy;
        }
        if (left == 0) break;
        waited = left < before ? 0 : waited + LOOK_NANOSECONDS * 1e-9;
        nanosleep(&pause, NULL);
    }
    return RMP_OK;
}

static void log_tally(const rmp_host *host, const tally *t)
{
    if (!host->share || t->packed + t->taken + t->alone == 0) return;
    RMP_LOG_DEBUG("weights",
                  "%d packed and %d found packed (%.1f MiB with the other ranks), %d of this rank (%.1f MiB); all "
                  "ranks together hold %.1f MiB",
                  t->packed, t->taken, (double)t->shared_bytes / 1048576.0, t->alone,
                  (double)t->alone_bytes / 1048576.0, (double)rmp_share_bytes(host->share) / 1048576.0);
}

rmp_status rmp_host_weights_fill(rmp_host_plan *plan)
{
    rmp_host *host = (rmp_host *)plan->base.device;
    tally t = {0};
    int left = 0;
    for (int i = 0; i < plan->steps; i++) {
        rmp_step *s = &plan->step[i];
        if (!s->weight || s->weight->data) continue;
        if (s->weight->request.conv)
            s->weight->request.conv = s->conv; /* that of the plan which asked first may be gone */
    }
    for (int i = 0; i < plan->weights; i++) {
        bool busy = false;
        if (!plan->weight[i]->data) RMP_TRY(fill(host, plan->weight[i], &busy, &t));
        left += busy;
    }
    RMP_TRY(fill_rest(plan, left, &t));
    log_tally(host, &t);
    malloc_trim(0); /* the converted copies, which lay between the weights in the heap */
    return RMP_OK;
}

/* What was shared stays in the share, for the other ranks and for later plans. */
static void release(rmp_host *host, rmp_host_weight *w)
{
    if (w->owned) {
        rmp_host_release(host, w->bytes, w->owned);
    } else if (w->piece.data) {
        host->allocated -= w->part;
        rmp_share_unmap(&w->piece);
    }
    free(w);
}

void rmp_host_weights_drop(rmp_host_plan *plan)
{
    rmp_host *host = (rmp_host *)plan->base.device;
    for (int i = 0; i < plan->weights; i++) {
        rmp_host_weight *w = plan->weight[i];
        if (--w->references > 0) continue;
        rmp_host_weight **link = &host->weights;
        while (*link != w)
            link = &(*link)->next;
        *link = w->next;
        release(host, w);
    }
    free(plan->weight);
    plan->weight = NULL;
    plan->weights = 0;
}
