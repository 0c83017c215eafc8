#include "gpu/host/onednn.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Version 3 made descriptors opaque and replaced operation descriptors by functions. */
#if DNNL_VERSION_MAJOR >= 3
#define RMP_ONEDNN_3 1
typedef dnnl_memory_desc_t desc;
typedef const_dnnl_memory_desc_t desc_ref;
#define REF(d) (d)
#else
#define RMP_ONEDNN_3 0
typedef dnnl_memory_desc_t desc;
typedef const dnnl_memory_desc_t *desc_ref;
#define REF(d)       (&(d))
#endif

struct rmp_onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

struct rmp_onednn_conv {
    rmp_onednn *dnn;
    rmp_onednn_shape shape;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    dnnl_memory_t source, weights, bias, addend, destination, scratch;
    int64_t scratch_bytes, weight_bytes;
};

#define DNNL_TRY(call)                                                                                                 \
    do {                                                                                                               \
        dnnl_status_t dnnl_status_ = (call);                                                                           \
        if (dnnl_status_ != dnnl_success) {                                                                            \
            return RMP_FAIL(RMP_ERR_DEVICE, "oneDNN: %s failed (%d)", #call, (int)dnnl_status_);                       \
        }                                                                                                              \
    } while (0)

const char *rmp_onednn_version(void)
{
    static char text[32];
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, sizeof text, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return text;
}

rmp_status rmp_onednn_create(rmp_onednn **out)
{
    *out = NULL;
    rmp_onednn *dnn = calloc(1, sizeof *dnn);
    RMP_CHECK(dnn, RMP_ERR_MEMORY, "no memory for the oneDNN engine");
    if (dnnl_engine_create(&dnn->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&dnn->stream, dnn->engine, dnnl_stream_default_flags) != dnnl_success) {
        rmp_onednn_destroy(&dnn);
        return RMP_FAIL(RMP_ERR_DEVICE, "oneDNN: no CPU engine");
    }
    *out = dnn;
    return RMP_OK;
}

void rmp_onednn_destroy(rmp_onednn **dnn)
{
    if (!dnn || !*dnn) return;
    if ((*dnn)->stream) dnnl_stream_destroy((*dnn)->stream);
    if ((*dnn)->engine) dnnl_engine_destroy((*dnn)->engine);
    free(*dnn);
    *dnn = NULL;
}

static rmp_status desc_create(int rank, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag, desc *out)
{
#if RMP_ONEDNN_3
    DNNL_TRY(dnnl_memory_desc_create_with_tag(out, rank, dims, type, tag));
#else
    DNNL_TRY(dnnl_memory_desc_init_by_tag(out, rank, dims, type, tag));
#endif
    return RMP_OK;
}

static void desc_destroy(desc *d)
{
#if RMP_ONEDNN_3
    if (*d) dnnl_memory_desc_destroy(*d);
    *d = NULL;
#else
    (void)d;
#endif
}

typedef struct descs {
    desc image_in, weights, bias, image_out; /* of the forward convolution */
} descs;

static void weight_dims(const rmp_onednn_shape *s, dnnl_dims_t dims, int *rank)
{
    int k = 0;
    if (s->groups > 1) dims[k++] = s->groups;
    dims[k++] = s->oc / s->groups;
    dims[k++] = s->ic / s->groups;
    dims[k++] = s->kh;
    dims[k++] = s->kw;
    *rank = k;
}

static rmp_status descs_create(const rmp_onednn_shape *s, descs *d)
{
    dnnl_data_type_t type = s->source == RMP_ONEDNN_BF16 ? dnnl_bf16 : dnnl_f32;
    dnnl_dims_t in = {s->n, s->ic, s->ih, s->iw}, out = {s->n, s->oc, s->oh, s->ow}, bias = {s->oc}, weights;
    int rank;
    weight_dims(s, weights, &rank);
    /* backward: what is given in bf16 is the gradient of the result */
    RMP_TRY(desc_create(4, in, s->backward ? dnnl_f32 : type, dnnl_nhwc, &d->image_in));
    RMP_TRY(desc_create(rank, weights, type, dnnl_format_tag_any, &d->weights));
    RMP_TRY(desc_create(1, bias, dnnl_f32, dnnl_a, &d->bias));
    RMP_TRY(desc_create(4, out, s->backward ? type : dnnl_f32, dnnl_nhwc, &d->image_out));
    return RMP_OK;
}

static void descs_destroy(descs *d)
{
    desc_destroy(&d->image_in);
    desc_destroy(&d->weights);
    desc_destroy(&d->bias);
    desc_destroy(&d->image_out);
}

#if RMP_ONEDNN_3
/* oneDNN's first choice. */
static dnnl_status_t first_pd(rmp_onednn_conv *c, const descs *d, const_dnnl_primitive_attr_t attr)
{
    const rmp_onednn_shape *s = &c->shape;
    const dnnl_engine_t engine = c->dnn->engine;
    const dnnl_dims_t stride = {s->stride, s->stride}, dilation = {0, 0};
    const dnnl_dims_t before = {s->pad_top, s->pad_left}, after = {s->pad_bottom, s->pad_right};
    if (s->backward) { /* no hint: the forward one of mixed types does not exist, and convolutions do not use it */
        return dnnl_convolution_backward_data_primitive_desc_create(&c->pd, engine, dnnl_convolution_direct,
                                                                    d->image_in, d->weights, d->image_out, stride,
                                                                    dilation, before, after, NULL, attr);
    }
    return dnnl_convolution_forward_primitive_desc_create(
        &c->pd, engine, dnnl_forward_inference, dnnl_convolution_direct, d->image_in, d->weights,
        s->bias ? d->bias : NULL, d->image_out, stride, dilation, before, after, attr);
}

/* Version 3 prefers its "brg" implementations. The last bits of their results (of strided gradients in 3.7.2) and the
 * layout of their weights change with the batch and the number of threads. Those of the "jit" ones do not, and a
 * network takes the same time with them. */
static dnnl_status_t invariant_pd(rmp_onednn_conv *c, const descs *d, const_dnnl_primitive_attr_t attr)
{
    dnnl_status_t status = first_pd(c, d, attr);
    if (status != dnnl_success || c->shape.source != RMP_ONEDNN_F32) return status;
    do {
        const char *name = NULL;
        status = dnnl_primitive_desc_query(c->pd, dnnl_query_impl_info_str, 0, &name);
        if (status != dnnl_success || strncmp(name, "jit", 3) == 0) return status;
    } while (dnnl_primitive_desc_next_impl(c->pd) == dnnl_success);
    dnnl_primitive_desc_destroy(c->pd); /* none: the first after all, and there is no way back in the list */
    c->pd = NULL;
    return first_pd(c, d, attr);
}
#endif

static rmp_status pd_create(rmp_onednn_conv *c, const descs *d, const_dnnl_primitive_attr_t attr)
{
    const rmp_onednn_shape *s = &c->shape;
    dnnl_status_t status;
#if RMP_ONEDNN_3
    status = invariant_pd(c, d, attr);
#else
    dnnl_dims_t stride = {s->stride, s->stride};
    dnnl_dims_t before = {s->pad_top, s->pad_left}, after = {s->pad_bottom, s->pad_right};
    dnnl_convolution_desc_t cd;
    if (s->backward) {
        DNNL_TRY(dnnl_convolution_backward_data_desc_init(&cd, dnnl_convolution_direct, &d->image_in, &d->weights,
                                                          &d->image_out, stride, before, after));
    } else {
        DNNL_TRY(dnnl_convolution_forward_desc_init(&cd, dnnl_forward_inference, dnnl_convolution_direct, &d->image_in,
                                                    &d->weights, s->bias ? &d->bias : NULL, &d->image_out, stride,
                                                    before, after));
    }
    status = dnnl_primitive_desc_create(&c->pd, &cd, attr, c->dnn->engine, NULL);
#endif
    RMP_CHECK(status == dnnl_success, RMP_ERR_DEVICE,
              "oneDNN has no %s convolution for %lldx%lldx%lld -> %lldx%lldx%lld, kernel %lldx%lld%s",
              s->source == RMP_ONEDNN_BF16 ? "bf16" : "fp32", (long long)s->ih, (long long)s->iw, (long long)s->ic,
              (long long)s->oh, (long long)s->ow, (long long)s->oc, (long long)s->kh, (long long)s->kw,
              s->source == RMP_ONEDNN_BF16 ? ": this processor may lack bf16; use precision fp32" : "");
    return RMP_OK;
}

static rmp_status memory_create(rmp_onednn_conv *c, dnnl_query_t what, int64_t *bytes, dnnl_memory_t *out)
{
    desc_ref d = dnnl_primitive_desc_query_md(c->pd, what, 0);
    if (bytes) *bytes = d ? (int64_t)dnnl_memory_desc_get_size(d) : 0;
    DNNL_TRY(dnnl_memory_create(out, d, c->dnn->engine, DNNL_MEMORY_NONE));
    return RMP_OK;
}

static dnnl_status_t set_post_ops(const rmp_onednn_shape *s, const descs *d, dnnl_post_ops_t ops)
{
    dnnl_status_t status = dnnl_success;
    if (s->accumulate) {
#if RMP_ONEDNN_3
        status = dnnl_post_ops_append_sum(ops, 1.0F, 0, dnnl_f32);
#else
        status = dnnl_post_ops_append_sum(ops, 1.0F);
#endif
    }
    if (s->addend && status == dnnl_success) {
        status = dnnl_post_ops_append_binary(ops, dnnl_binary_add, REF(d->image_out));
    }
    return status;
}

static rmp_status build(rmp_onednn_conv *c, const descs *d)
{
    const rmp_onednn_shape *s = &c->shape;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    bool ok = dnnl_primitive_attr_create(&attr) == dnnl_success && dnnl_post_ops_create(&ops) == dnnl_success &&
              dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success &&
              set_post_ops(s, d, ops) == dnnl_success && dnnl_primitive_attr_set_post_ops(attr, ops) == dnnl_success;
    rmp_status status = ok ? pd_create(c, d, attr) : RMP_FAIL(RMP_ERR_DEVICE, "oneDNN: attributes refused");
    if (ops) dnnl_post_ops_destroy(ops);
    if (attr) dnnl_primitive_attr_destroy(attr);
    RMP_TRY(status);

    DNNL_TRY(dnnl_primitive_create(&c->primitive, c->pd));
    RMP_TRY(memory_create(c, s->backward ? dnnl_query_diff_dst_md : dnnl_query_src_md, NULL, &c->source));
    RMP_TRY(memory_create(c, dnnl_query_weights_md, &c->weight_bytes, &c->weights));
    RMP_TRY(memory_create(c, s->backward ? dnnl_query_diff_src_md : dnnl_query_dst_md, NULL, &c->destination));
    RMP_TRY(memory_create(c, dnnl_query_scratchpad_md, &c->scratch_bytes, &c->scratch));
    if (s->bias) DNNL_TRY(dnnl_memory_create(&c->bias, REF(d->bias), c->dnn->engine, DNNL_MEMORY_NONE));
    if (s->addend) DNNL_TRY(dnnl_memory_create(&c->addend, REF(d->image_out), c->dnn->engine, DNNL_MEMORY_NONE));
    return RMP_OK;
}

rmp_status rmp_onednn_conv_create(rmp_onednn *dnn, const rmp_onednn_shape *shape, rmp_onednn_conv **out)
{
    *out = NULL;
    rmp_onednn_conv *c = calloc(1, sizeof *c);
    RMP_CHECK(c, RMP_ERR_MEMORY, "no memory for a convolution");
    c->dnn = dnn;
    c->shape = *shape;
    descs d;
    memset(&d, 0, sizeof d);
    rmp_status status = descs_create(shape, &d);
    if (status == RMP_OK) status = build(c, &d);
    descs_destroy(&d);
    if (status != RMP_OK) {
        rmp_onednn_conv_destroy(&c);
        return status;
    }
    *out = c;
    return RMP_OK;
}

void rmp_onednn_conv_destroy(rmp_onednn_conv **conv)
{
    if (!conv || !*conv) return;
    rmp_onednn_conv *c = *conv;
    dnnl_memory_t memory[] = {c->source, c->weights, c->bias, c->addend, c->destination, c->scratch};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) {
        if (memory[i]) dnnl_memory_destroy(memory[i]);
    }
    if (c->primitive) dnnl_primitive_destroy(c->primitive);
    if (c->pd) dnnl_primitive_desc_destroy(c->pd);
    free(c);
    *conv = NULL;
}

int64_t rmp_onednn_conv_scratch(const rmp_onednn_conv *conv) { return conv->scratch_bytes; }
int64_t rmp_onednn_conv_weight_bytes(const rmp_onednn_conv *conv) { return conv->weight_bytes; }

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3U;
    return hash;
}

#if RMP_ONEDNN_3
/* Field by field: a descriptor's bytes have gaps, whose contents differ between processes. */
static uint64_t layout_of(desc_ref d, uint64_t hash)
{
    static const dnnl_query_t arrays[] = {dnnl_query_dims, dnnl_query_padded_dims, dnnl_query_strides};
    static const dnnl_query_t blocks[] = {dnnl_query_inner_blks, dnnl_query_inner_idxs};
    const dnnl_dims_t *values = NULL;
    int32_t rank = 0, inner = 0;
    dnnl_data_type_t type = dnnl_data_type_undef;
    bool ok = dnnl_memory_desc_query(d, dnnl_query_ndims_s32, &rank) == dnnl_success &&
              dnnl_memory_desc_query(d, dnnl_query_inner_nblks_s32, &inner) == dnnl_success &&
              dnnl_memory_desc_query(d, dnnl_query_data_type, &type) == dnnl_success;
    for (int i = 0; i < 3 && ok; i++) {
        ok = dnnl_memory_desc_query(d, arrays[i], &values) == dnnl_success;
        if (ok) hash = mix(hash, *values, (size_t)rank * sizeof **values);
    }
    for (int i = 0; i < 2 && ok && inner > 0; i++) {
        ok = dnnl_memory_desc_query(d, blocks[i], &values) == dnnl_success;
        if (ok) hash = mix(hash, *values, (size_t)inner * sizeof **values);
    }
    hash = mix(mix(hash, &inner, sizeof inner), &type, sizeof type);
    return ok ? hash : mix(hash, &d, sizeof d); /* a layout without blocks: like no other */
}
#endif

uint64_t rmp_onednn_conv_layout(const rmp_onednn_conv *conv)
{
    desc_ref d = dnnl_primitive_desc_query_md(conv->pd, dnnl_query_weights_md, 0);
    uint64_t hash = 0xcbf29ce484222325U;
#if RMP_ONEDNN_3
    hash = layout_of(d, hash);
#else
    hash = mix(hash, d, sizeof *d);
#endif
    return hash ? hash : 1;
}

rmp_status rmp_onednn_conv_reorder(const rmp_onednn_conv *conv, const float *plain, void *out)
{
    dnnl_dims_t dims;
    int rank;
    weight_dims(&conv->shape, dims, &rank);
    desc from;
    RMP_TRY(desc_create(rank, dims, dnnl_f32, rank == 5 ? dnnl_goihw : dnnl_oihw, &from));
    desc_ref to = dnnl_primitive_desc_query_md(conv->pd, dnnl_query_weights_md, 0);
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_memory_t source = NULL, destination = NULL;
    dnnl_engine_t engine = conv->dnn->engine;
    void *input = (void *)(uintptr_t)plain; /* oneDNN has no handle to const; a reorder only reads its source */
    bool ok = dnnl_reorder_primitive_desc_create(&pd, REF(from), engine, to, engine, NULL) == dnnl_success &&
              dnnl_primitive_create(&reorder, pd) == dnnl_success &&
              dnnl_memory_create(&source, REF(from), engine, input) == dnnl_success &&
              dnnl_memory_create(&destination, to, engine, out) == dnnl_success;
    if (ok) {
        dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, destination}};
        ok = dnnl_primitive_execute(reorder, conv->dnn->stream, 2, args) == dnnl_success &&
             dnnl_stream_wait(conv->dnn->stream) == dnnl_success;
    }
    if (source) dnnl_memory_destroy(source);
    if (destination) dnnl_memory_destroy(destination);
    if (reorder) dnnl_primitive_destroy(reorder);
    if (pd) dnnl_primitive_desc_destroy(pd);
    desc_destroy(&from);
    RMP_CHECK(ok, RMP_ERR_DEVICE, "oneDNN: weights could not be re-ordered");
    return RMP_OK;
}

static dnnl_status_t bind(dnnl_memory_t memory, const void *data)
{
    return dnnl_memory_set_data_handle(memory, (void *)(uintptr_t)data);
}

rmp_status rmp_onednn_conv_run(const rmp_onednn_conv *conv, const void *source, const void *weights, const float *bias,
                               const float *addend, float *destination, void *scratch)
{
    const rmp_onednn_shape *s = &conv->shape;
    dnnl_exec_arg_t args[6];
    int n = 0;
    DNNL_TRY(bind(conv->source, source));
    DNNL_TRY(bind(conv->weights, weights));
    DNNL_TRY(bind(conv->destination, destination));
    DNNL_TRY(bind(conv->scratch, scratch));
    args[n++] = (dnnl_exec_arg_t){s->backward ? DNNL_ARG_DIFF_DST : DNNL_ARG_SRC, conv->source};
    args[n++] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, conv->weights};
    args[n++] = (dnnl_exec_arg_t){s->backward ? DNNL_ARG_DIFF_SRC : DNNL_ARG_DST, conv->destination};
    args[n++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, conv->scratch};
    if (s->bias) {
        DNNL_TRY(bind(conv->bias, bias));
        args[n++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, conv->bias};
    }
    if (s->addend) {
        int index = s->accumulate ? 1 : 0;
        DNNL_TRY(bind(conv->addend, addend));
        args[n++] = (dnnl_exec_arg_t){DNNL_ARG_ATTR_MULTIPLE_POST_OP(index) | DNNL_ARG_SRC_1, conv->addend};
    }
    DNNL_TRY(dnnl_primitive_execute(conv->primitive, conv->dnn->stream, n, args));
    DNNL_TRY(dnnl_stream_wait(conv->dnn->stream));
    return RMP_OK;
}
