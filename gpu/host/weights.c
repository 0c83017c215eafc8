/* Re-ordered weights, shared by every plan of a device: networks of several sizes and both directions need them once.
 */
#include "gpu/host/host.h"

#include <stdlib.h>
#include <string.h>

struct rmp_host_weight {
    rmp_weight_request request;
    uint64_t layout;
    int references;
    int64_t bytes; /* 0: the tensor's own memory serves */
    const void *data;
    void *owned;
    rmp_host_weight *next;
};

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

rmp_status rmp_host_weight_get(rmp_host_plan *plan, const rmp_weight_request *request, rmp_host_weight **out)
{
    rmp_host *host = (rmp_host *)plan->base.device;
    uint64_t layout = request->conv ? rmp_onednn_conv_layout(request->conv) : 0;
    rmp_host_weight *w = host->weights;
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
            w->next = host->weights;
            host->weights = w;
            plan->new_weight_bytes += w->bytes;
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

static rmp_status pack(rmp_host *host, rmp_host_weight *w, const float *plain)
{
    const rmp_weight_request *r = &w->request;
    const rmp_kernels *k = host->kernels;
    bool transposed = r->form == RMP_WEIGHT_WINO_TRANSPOSED;
    int64_t ic = transposed ? r->oc : r->ic, oc = transposed ? r->ic : r->oc;
    if (r->form == RMP_WEIGHT_WINO || transposed) {
#pragma omp parallel for num_threads(host->threads) schedule(static)
        for (int64_t o = 0; o < oc; o++)
            k->wino_pack(ic, oc, o, o + 1, transposed, plain, w->owned);
        return RMP_OK;
    }
    int64_t count = r->oc * r->ic / r->groups * r->kh * r->kw;
    float *arranged = malloc((size_t)count * sizeof *arranged);
    RMP_CHECK(arranged, RMP_ERR_MEMORY, "no memory to re-order weights");
    arrange(r, plain, arranged);
    rmp_status status = rmp_onednn_conv_reorder(r->conv, arranged, w->owned);
    free(arranged);
    return status;
}

static rmp_status fill(rmp_host *host, rmp_host_weight *w)
{
    const rmp_tensor *t = w->request.tensor;
    if (w->bytes == 0) {
        w->data = t->data;
        return RMP_OK;
    }
    void *memory;
    RMP_TRY(rmp_host_allocate(host, w->bytes, "re-ordered weights", &memory));
    w->owned = memory;
    rmp_status status = RMP_OK;
    if (w->request.form == RMP_WEIGHT_PLAIN) {
        rmp_tensor_read_f32(t, 0, rmp_tensor_count(t), memory);
    } else {
        const rmp_weight_request *r = &w->request;
        int64_t count = r->oc * r->ic / r->groups * r->kh * r->kw;
        float *plain = malloc((size_t)count * sizeof *plain);
        RMP_CHECK_GOTO(plain, RMP_ERR_MEMORY, failed, "no memory to convert weights");
        rmp_tensor_read_f32(t, 0, count, plain);
        status = pack(host, w, plain);
        free(plain);
        if (status != RMP_OK) goto failed;
    }
    w->data = memory;
    return RMP_OK;
failed:
    rmp_host_release(host, w->bytes, memory);
    w->owned = NULL;
    return status;
}

rmp_status rmp_host_weights_fill(rmp_host_plan *plan)
{
    rmp_host *host = (rmp_host *)plan->base.device;
    for (int i = 0; i < plan->steps; i++) {
        rmp_step *s = &plan->step[i];
        if (!s->weight || s->weight->data) continue;
        if (s->weight->request.conv)
            s->weight->request.conv = s->conv; /* that of the plan which asked first may be gone */
        RMP_TRY(fill(host, s->weight));
    }
    for (int i = 0; i < plan->weights; i++) {
        if (!plan->weight[i]->data) RMP_TRY(fill(host, plan->weight[i]));
    }
    return RMP_OK;
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
        if (w->owned) rmp_host_release(host, w->bytes, w->owned);
        free(w);
    }
    free(plan->weight);
    plan->weight = NULL;
    plan->weights = 0;
}
