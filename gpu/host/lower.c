#include "gpu/host/lower.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_PIXELS = 512 }; /* of sums in float32 before they are added in double */

static rmp_status grow(void **array, int *room, int used, size_t size)
{
    if (used < *room) return RMP_OK;
    int wanted = *room ? 2 * *room : 64;
    void *larger = realloc(*array, (size_t)wanted * size);
    RMP_CHECK(larger, RMP_ERR_MEMORY, "no memory for a plan's steps");
    *array = larger;
    *room = wanted;
    return RMP_OK;
}

rmp_status rmp_lower_slot(rmp_lowering *l, int64_t bytes, rmp_slot *out)
{
    rmp_host_plan *p = l->plan;
    RMP_TRY(grow((void **)&p->slot, &p->slot_room, p->slots, sizeof *p->slot));
    p->slot[p->slots] = (rmp_slot_info){.place = RMP_IN_ARENA, .bytes = bytes, .first = INT_MAX, .last = -1};
    *out = p->slots++;
    return RMP_OK;
}

rmp_status rmp_lower_value_slot(rmp_lowering *l, rmp_shape shape, rmp_slot *out)
{
    return rmp_lower_slot(l, l->n * rmp_shape_count(shape) * (int64_t)sizeof(float), out);
}

rmp_step rmp_lower_step(rmp_step_kind kind, rmp_value node, rmp_shape in, rmp_shape out)
{
    rmp_step s;
    memset(&s, 0, sizeof s);
    s.kind = kind;
    s.node = node;
    s.in = in;
    s.out = out;
    s.y = s.result = s.a = s.b = s.r = s.stats = s.sums = s.scratch = s.film = s.finish_a = s.finish_b = RMP_NONE;
    for (int i = 0; i < RMP_MAX_PARTS; i++) {
        s.x.slot[i] = s.addend[i] = s.results[i] = s.finish_x[i] = RMP_NONE;
    }
    return s;
}

rmp_status rmp_lower_emit(rmp_lowering *l, const rmp_step *step)
{
    rmp_host_plan *p = l->plan;
    RMP_TRY(grow((void **)&p->step, &p->step_room, p->steps, sizeof *p->step));
    p->step[p->steps++] = *step;
    return RMP_OK;
}

static const rmp_node *node_of(const rmp_lowering *l, rmp_value v) { return rmp_graph_node(l->graph, v); }

rmp_status rmp_lower_bf16(rmp_lowering *l, rmp_value node, rmp_shape shape, rmp_slot from, rmp_slot *out)
{
    RMP_TRY(rmp_lower_slot(l, l->n * rmp_shape_count(shape) * (int64_t)sizeof(uint16_t), out));
    rmp_step s = rmp_lower_step(RMP_STEP_BF16, node, shape, shape);
    s.x.slot[0] = from;
    s.result = *out;
    return rmp_lower_emit(l, &s);
}

rmp_status rmp_lower_reduce(rmp_lowering *l, rmp_value node, rmp_shape shape, rmp_slot sums, int64_t pieces,
                            int64_t width, bool squares, rmp_slot *out)
{
    RMP_TRY(rmp_lower_slot(l, l->n * 2 * shape.c * (int64_t)sizeof(double), out));
    rmp_step s = rmp_lower_step(RMP_STEP_REDUCE, node, shape, shape);
    s.sums = sums;
    s.pieces = pieces;
    s.piece_width = width;
    s.squares = squares;
    s.result = *out;
    return rmp_lower_emit(l, &s);
}

rmp_status rmp_lower_add(rmp_lowering *l, rmp_value node, rmp_shape shape, double a, rmp_slot x, double b, rmp_slot y,
                         rmp_slot *out)
{
    RMP_TRY(rmp_lower_value_slot(l, shape, out));
    rmp_step s = rmp_lower_step(RMP_STEP_ADD, node, shape, shape);
    s.x.slot[0] = x;
    s.y = y;
    s.alpha = a;
    s.beta = b;
    s.result = *out;
    return rmp_lower_emit(l, &s);
}

rmp_status rmp_lower_affine(rmp_lowering *l, rmp_value node, rmp_shape shape, double a, rmp_slot x, double b,
                            rmp_slot *out)
{
    RMP_TRY(rmp_lower_value_slot(l, shape, out));
    rmp_step s = rmp_lower_step(RMP_STEP_AFFINE, node, shape, shape);
    s.x.slot[0] = x;
    s.alpha = a;
    s.beta = b;
    s.result = *out;
    return rmp_lower_emit(l, &s);
}

static rmp_status emit_taps(rmp_lowering *l, rmp_value node, rmp_step_kind kind, const rmp_taps *taps, rmp_shape *shape,
                            rmp_slot *slot)
{
    rmp_shape out = *shape;
    *(kind == RMP_STEP_TAPS_H ? &out.h : &out.w) = taps->out;
    rmp_step s = rmp_lower_step(kind, node, *shape, out);
    s.taps = taps;
    s.x.slot[0] = *slot;
    RMP_TRY(rmp_lower_value_slot(l, out, &s.result));
    RMP_TRY(rmp_lower_emit(l, &s));
    *shape = out;
    *slot = s.result;
    return RMP_OK;
}

rmp_status rmp_lower_resample(rmp_lowering *l, rmp_value node, bool transposed, rmp_slot x, rmp_slot *out)
{
    const rmp_node *n = node_of(l, node);
    const rmp_taps *h = n->as.resample.h, *w = n->as.resample.w;
    rmp_shape shape = transposed ? n->shape : rmp_graph_shape(l->graph, n->operand[0]);
    if (transposed) {
        if (h) RMP_TRY(rmp_host_transposed_taps(l->plan, h, &h));
        if (w) RMP_TRY(rmp_host_transposed_taps(l->plan, w, &w));
    }
    *out = x;
    /* the direction that shrinks goes first */
    bool rows_first = h && w && h->out * w->in <= h->in * w->out;
    if (h && rows_first) RMP_TRY(emit_taps(l, node, RMP_STEP_TAPS_H, h, &shape, out));
    if (w) RMP_TRY(emit_taps(l, node, RMP_STEP_TAPS_W, w, &shape, out));
    if (h && !rows_first) RMP_TRY(emit_taps(l, node, RMP_STEP_TAPS_H, h, &shape, out));
    return RMP_OK;
}

static rmp_status channel_sums(rmp_lowering *l, rmp_value v)
{
    if (l->v[v].sums != RMP_NONE) return RMP_OK;
    rmp_shape shape = rmp_graph_shape(l->graph, v);
    int64_t rows = PIECE_PIXELS / shape.w > 1 ? PIECE_PIXELS / shape.w : 1;
    rmp_step s = rmp_lower_step(RMP_STEP_SUMS, v, shape, shape);
    s.x.count = 1;
    s.x.slot[0] = l->v[v].slot;
    s.x.c[0] = shape.c;
    s.pieces = (shape.h + rows - 1) / rows;
    RMP_TRY(rmp_lower_slot(l, l->n * s.pieces * RMP_SUM_ROWS * shape.c * (int64_t)sizeof(float), &s.sums));
    RMP_TRY(rmp_lower_emit(l, &s));
    return rmp_lower_reduce(l, v, shape, s.sums, s.pieces, shape.c, true, &l->v[v].sums);
}

static rmp_status coefficients(rmp_lowering *l, rmp_value v)
{
    const rmp_node *n = node_of(l, v);
    rmp_value_info *info = &l->v[v];
    rmp_value part[RMP_MAX_PARTS];
    int parts;
    rmp_lower_parts(l, n->operand[0], &parts, part);
    rmp_step s = rmp_lower_step(RMP_STEP_COEFFICIENTS, v, n->shape, n->shape);
    s.x.count = parts;
    for (int i = 0; i < parts; i++) {
        RMP_TRY(channel_sums(l, part[i]));
        s.x.slot[i] = l->v[part[i]].sums;
        s.x.c[i] = rmp_graph_shape(l->graph, part[i]).c;
    }
    int64_t floats = l->n * n->shape.c * (int64_t)sizeof(float);
    RMP_TRY(rmp_lower_slot(l, floats, &info->a));
    RMP_TRY(rmp_lower_slot(l, floats, &info->b));
    RMP_TRY(rmp_lower_slot(l, l->n * n->as.norm.groups * 2 * (int64_t)sizeof(double), &info->stats));
    s.a = info->a;
    s.b = info->b;
    s.stats = info->stats;
    if (n->as.norm.film != RMP_NONE) {
        s.film = l->v[n->as.norm.film].slot;
        s.offset = n->as.norm.film_offset;
        s.film_length = rmp_graph_shape(l->graph, n->as.norm.film).c;
    }
    rmp_weight_request gamma = {.tensor = n->as.norm.gamma, .form = RMP_WEIGHT_PLAIN};
    rmp_weight_request beta = {.tensor = n->as.norm.beta, .form = RMP_WEIGHT_PLAIN};
    RMP_TRY(rmp_host_weight_get(l->plan, &gamma, &s.weight));
    RMP_TRY(rmp_host_weight_get(l->plan, &beta, &s.bias));
    return rmp_lower_emit(l, &s);
}

static rmp_status norm(rmp_lowering *l, rmp_value v)
{
    const rmp_node *n = node_of(l, v);
    rmp_value_info *info = &l->v[v];
    if (info->a == RMP_NONE) RMP_TRY(coefficients(l, v)); /* small, and kept for the VJP */
    if (info->gathered) return RMP_OK;

    rmp_value_info *target = &l->v[info->target];
    if (target->slot != RMP_NONE || target->bf16 != RMP_NONE) return RMP_OK;
    rmp_shape out = rmp_graph_shape(l->graph, info->target);
    rmp_step apply = rmp_lower_step(RMP_STEP_APPLY, v, n->shape, out);
    rmp_lower_step_parts(l, n->operand[0], &apply.x);
    apply.a = info->a;
    apply.b = info->b;
    apply.silu = n->as.norm.silu;
    apply.resize = info->resize;
    apply.bf16 = target->uses == 1 && target->user != RMP_NONE && rmp_lower_is_bf16(l, target->user);
    if (apply.bf16) {
        RMP_TRY(rmp_lower_slot(l, l->n * rmp_shape_count(out) * (int64_t)sizeof(uint16_t), &target->bf16));
        apply.result = target->bf16;
    } else {
        RMP_TRY(rmp_lower_value_slot(l, out, &target->slot));
        apply.result = target->slot;
    }
    return rmp_lower_emit(l, &apply);
}

static void conv_sizes(const rmp_lowering *l, rmp_value node, rmp_onednn_shape *s)
{
    const rmp_node *n = node_of(l, node);
    const rmp_conv2d *c = &n->as.conv;
    rmp_shape in = rmp_graph_shape(l->graph, n->operand[0]);
    *s = (rmp_onednn_shape){.n = l->n,
                            .ih = in.h,
                            .iw = in.w,
                            .ic = in.c,
                            .oh = n->shape.h,
                            .ow = n->shape.w,
                            .oc = n->shape.c,
                            .kh = c->weight->rank > 2 ? c->weight->dims[2] : 1,
                            .kw = c->weight->rank > 3 ? c->weight->dims[3] : 1,
                            .groups = c->groups,
                            .stride = c->stride,
                            .pad_top = c->pad_top,
                            .pad_left = c->pad_left,
                            .pad_bottom = c->pad_bottom,
                            .pad_right = c->pad_right,
                            .source = rmp_lower_is_bf16(l, node) ? RMP_ONEDNN_BF16 : RMP_ONEDNN_F32};
}

rmp_status rmp_lower_conv_emit(rmp_lowering *l, const rmp_lower_conv *c, rmp_slot *out)
{
    const rmp_node *n = node_of(l, c->node);
    rmp_onednn_shape shape;
    conv_sizes(l, c->node, &shape);
    rmp_weight_request w = {.tensor = n->as.conv.weight,
                            .form = RMP_WEIGHT_CONV,
                            .oc = shape.oc,
                            .ic = shape.ic,
                            .kh = shape.kh,
                            .kw = shape.kw,
                            .groups = shape.groups,
                            .ic_first = c->ic_first,
                            .ic_count = c->ic_count};
    shape.ic = c->ic_count;
    /* The gradient of a stride-1 convolution is a convolution with exchanged channels and flipped kernel, which oneDNN
     * runs faster than its backward primitive and which can add to what is there. */
    bool flip = c->transposed && shape.stride == 1 && shape.groups == 1 && shape.pad_top < shape.kh &&
                shape.pad_left < shape.kw && shape.pad_bottom < shape.kh && shape.pad_right < shape.kw;
    rmp_shape in = {shape.ih, shape.iw, shape.ic}, result = {shape.oh, shape.ow, shape.oc};
    if (c->transposed) {
        rmp_shape t = in;
        in = result;
        result = t;
    }
    if (flip) {
        w.form = RMP_WEIGHT_CONV_TRANSPOSED;
        shape.ih = in.h, shape.iw = in.w, shape.ic = in.c;
        shape.oh = result.h, shape.ow = result.w, shape.oc = result.c;
        shape.pad_top = shape.kh - 1 - shape.pad_top;
        shape.pad_bottom = shape.kh - 1 - shape.pad_bottom;
        shape.pad_left = shape.kw - 1 - shape.pad_left;
        shape.pad_right = shape.kw - 1 - shape.pad_right;
    } else if (c->transposed) {
        shape.backward = true;
    }
    bool later = shape.backward && (c->addend != RMP_NONE || c->accumulate_into != RMP_NONE);
    shape.bias = c->bias && n->as.conv.bias;
    shape.addend = c->addend != RMP_NONE && !later;
    shape.accumulate = c->accumulate_into != RMP_NONE && !later;

    rmp_step s = rmp_lower_step(RMP_STEP_CONV, c->node, in, result);
    s.x.slot[0] = c->x;
    if (shape.source == RMP_ONEDNN_BF16) {
        s.x.slot[0] = c->x_bf16;
        if (c->x_bf16 == RMP_NONE) RMP_TRY(rmp_lower_bf16(l, c->node, in, c->x, &s.x.slot[0]));
    }
    RMP_TRY(rmp_onednn_conv_create(l->host->dnn, &shape, &s.conv));
    w.conv = s.conv;
    rmp_status status = rmp_host_weight_get(l->plan, &w, &s.weight);
    if (status == RMP_OK && shape.bias) {
        rmp_weight_request b = {.tensor = n->as.conv.bias, .form = RMP_WEIGHT_PLAIN};
        status = rmp_host_weight_get(l->plan, &b, &s.bias);
    }
    int64_t scratch = rmp_onednn_conv_scratch(s.conv);
    if (status == RMP_OK && scratch > 0) status = rmp_lower_slot(l, scratch, &s.scratch);
    s.result = shape.accumulate ? c->accumulate_into : RMP_NONE;
    if (status == RMP_OK && !shape.accumulate) status = rmp_lower_value_slot(l, result, &s.result);
    s.accumulates = shape.accumulate;
    s.addend[0] = shape.addend ? c->addend : RMP_NONE;
    if (status == RMP_OK) status = rmp_lower_emit(l, &s);
    if (status != RMP_OK) {
        rmp_onednn_conv_destroy(&s.conv);
        return status;
    }
    *out = s.result;
    rmp_slot more = c->addend != RMP_NONE ? c->addend : c->accumulate_into;
    if (later) return rmp_lower_add(l, c->node, result, 1.0, s.result, 1.0, more, out);
    return RMP_OK;
}

static rmp_status depthwise(rmp_lowering *l, rmp_value v)
{
    const rmp_node *n = node_of(l, v);
    rmp_step s = rmp_lower_step(RMP_STEP_DEPTHWISE, v, rmp_graph_shape(l->graph, n->operand[0]), n->shape);
    s.x.slot[0] = l->v[n->operand[0]].slot;
    rmp_weight_request w = {.tensor = n->as.conv.weight, .form = RMP_WEIGHT_PLAIN};
    RMP_TRY(rmp_host_weight_get(l->plan, &w, &s.weight));
    if (n->as.conv.bias) {
        w.tensor = n->as.conv.bias;
        RMP_TRY(rmp_host_weight_get(l->plan, &w, &s.bias));
    }
    RMP_TRY(rmp_lower_value_slot(l, n->shape, &s.result));
    l->v[v].slot = s.result;
    return rmp_lower_emit(l, &s);
}

static rmp_status wino(rmp_lowering *l, rmp_value conv, rmp_value last)
{
    const rmp_node *n = node_of(l, conv);
    rmp_value x = n->operand[0];
    rmp_value_info *end = &l->v[last];
    rmp_step s = rmp_lower_step(RMP_STEP_WINO, conv, rmp_graph_shape(l->graph, x), n->shape);
    s.wino = (rmp_wino){.n = l->n, .h = n->shape.h, .w = n->shape.w, .ic = s.in.c, .oc = n->shape.c};
    l->host->kernels->wino_plan(&s.wino);
    rmp_value normed = l->v[x].norm;
    if (normed != RMP_NONE && l->v[normed].gathered) {
        const rmp_node *g = node_of(l, normed);
        rmp_lower_step_parts(l, g->operand[0], &s.x);
        s.in = g->shape;
        s.a = l->v[normed].a;
        s.b = l->v[normed].b;
        s.wino.source.gather = g->as.norm.silu ? RMP_GATHER_NORM_SILU : RMP_GATHER_NORM;
        s.wino.source.resize = l->v[normed].resize;
    } else {
        rmp_lower_step_parts(l, x, &s.x);
    }
    rmp_weight_request w = {.tensor = n->as.conv.weight,
                            .form = RMP_WEIGHT_WINO,
                            .oc = n->shape.c,
                            .ic = s.wino.ic,
                            .kh = 3,
                            .kw = 3,
                            .groups = 1};
    RMP_TRY(rmp_host_weight_get(l->plan, &w, &s.weight));
    if (n->as.conv.bias) {
        rmp_weight_request b = {.tensor = n->as.conv.bias, .form = RMP_WEIGHT_PLAIN};
        RMP_TRY(rmp_host_weight_get(l->plan, &b, &s.bias));
    }
    if (end->bias != RMP_NONE) {
        const rmp_node *add = node_of(l, end->bias);
        s.film = l->v[add->operand[1]].slot;
        s.offset = add->as.bias.offset;
        s.film_length = rmp_graph_shape(l->graph, add->operand[1]).c;
    }
    if (end->addend != RMP_NONE) s.addend[0] = l->v[end->addend].slot;
    RMP_TRY(rmp_lower_slot(l, l->host->threads * s.wino.scratch * (int64_t)sizeof(float), &s.scratch));
    const bool sums = end->wants_sums && end->sums == RMP_NONE;
    if (sums) {
        s.wino.finish = RMP_FINISH_SUMS;
        RMP_TRY(rmp_lower_slot(l, s.wino.units * RMP_SUM_ROWS * s.wino.ocp * (int64_t)sizeof(float), &s.sums));
    }
    RMP_TRY(rmp_lower_value_slot(l, n->shape, &s.result));
    end->slot = s.result;
    RMP_TRY(rmp_lower_emit(l, &s));
    if (!sums) return RMP_OK;
    return rmp_lower_reduce(l, last, n->shape, s.sums, s.wino.units / l->n, s.wino.ocp, true, &end->sums);
}

static rmp_status conv(rmp_lowering *l, rmp_value conv_node, rmp_value last)
{
    if (rmp_lower_is_wino(l, conv_node)) return wino(l, conv_node, last);
    const rmp_node *n = node_of(l, conv_node);
    rmp_value part[RMP_MAX_PARTS];
    int parts;
    rmp_lower_parts(l, n->operand[0], &parts, part);
    rmp_lower_conv c = {.node = conv_node, .addend = RMP_NONE, .accumulate_into = RMP_NONE, .bias = true};
    if (l->v[last].addend != RMP_NONE) c.addend = l->v[l->v[last].addend].slot;
    for (int i = 0; i < parts; i++) {
        rmp_value_info *x = &l->v[part[i]];
        c.ic_count = rmp_graph_shape(l->graph, part[i]).c;
        c.x = x->slot;
        if (rmp_lower_is_bf16(l, conv_node) && x->bf16 == RMP_NONE) {
            RMP_TRY(rmp_lower_bf16(l, part[i], rmp_graph_shape(l->graph, part[i]), x->slot, &x->bf16));
        }
        c.x_bf16 = x->bf16;
        RMP_TRY(rmp_lower_conv_emit(l, &c, &l->v[last].slot));
        c.ic_first += c.ic_count;
        c.addend = RMP_NONE;
        c.bias = false;
        c.accumulate_into = l->v[last].slot;
    }
    return RMP_OK;
}

static rmp_status concat(rmp_lowering *l, rmp_value v)
{
    const rmp_node *n = node_of(l, v);
    RMP_TRY(rmp_lower_value_slot(l, n->shape, &l->v[v].slot));
    int64_t offset = 0;
    for (int i = 0; i < n->operands; i++) {
        rmp_shape in = rmp_graph_shape(l->graph, n->operand[i]);
        rmp_step s = rmp_lower_step(RMP_STEP_CHANNELS, v, in, n->shape);
        s.x.slot[0] = l->v[n->operand[i]].slot;
        s.result = l->v[v].slot;
        s.offset = offset;
        RMP_TRY(rmp_lower_emit(l, &s));
        offset += in.c;
    }
    return RMP_OK;
}

/* One step, one operand (and perhaps a second). */
static rmp_status simple(rmp_lowering *l, rmp_value v, rmp_step_kind kind)
{
    const rmp_node *n = node_of(l, v);
    rmp_step s = rmp_lower_step(kind, v, rmp_graph_shape(l->graph, n->operand[0]), n->shape);
    s.x.slot[0] = l->v[n->operand[0]].slot;
    if (n->operands > 1) s.y = l->v[n->operand[1]].slot;
    switch (n->op) {
    case RMP_OP_ADD:
    case RMP_OP_AFFINE:
    case RMP_OP_CLIP:
    case RMP_OP_LEAKY_RELU:
    case RMP_OP_POWER:
        s.alpha = n->as.lin.a;
        s.beta = n->as.lin.b;
        break;
    case RMP_OP_CHANNEL_BIAS:
        s.film = s.y;
        s.offset = n->as.bias.offset;
        s.film_length = rmp_graph_shape(l->graph, n->operand[1]).c;
        break;
    case RMP_OP_AVG_POOL:
        s.alpha = 1.0 / (double)(n->as.factor * n->as.factor);
        break;
    case RMP_OP_UPSAMPLE:
        s.alpha = 1.0;
        break;
    case RMP_OP_LINEAR: {
        rmp_weight_request w = {.tensor = n->as.linear.weight, .form = RMP_WEIGHT_PLAIN};
        RMP_TRY(rmp_host_weight_get(l->plan, &w, &s.weight));
        w.tensor = n->as.linear.bias;
        if (w.tensor) RMP_TRY(rmp_host_weight_get(l->plan, &w, &s.bias));
        break;
    }
    case RMP_OP_ATTENTION: {
        rmp_attention a = {l->n, n->shape.h * n->shape.w, n->shape.c, n->as.attention.heads, n->as.attention.order};
        int64_t floats = rmp_attention_scratch(&a, l->host->threads, false);
        RMP_TRY(rmp_lower_slot(l, floats * (int64_t)sizeof(float), &s.scratch));
        break;
    }
    case RMP_OP_FFT_MAGNITUDE: {
        int64_t floats = rmp_host_fft_scratch(s.in, s.out, l->host->threads);
        RMP_TRY(rmp_lower_slot(l, floats * (int64_t)sizeof(float), &s.scratch));
        break;
    }
    default:
        break;
    }
    RMP_TRY(rmp_lower_value_slot(l, n->shape, &s.result));
    l->v[v].slot = s.result;
    return rmp_lower_emit(l, &s);
}

rmp_status rmp_lower_forward(rmp_lowering *l, rmp_value v)
{
    const rmp_node *n = node_of(l, v);
    rmp_value_info *info = &l->v[v];
    if (info->slot != RMP_NONE || info->bf16 != RMP_NONE) return RMP_OK; /* a resampling done with its norm */
    if (info->norm != RMP_NONE && info->norm != v) return RMP_OK;        /* gathered with it */
    if (n->op == RMP_OP_CONV2D && rmp_lower_is_depthwise(l, v)) return depthwise(l, v);
    if (info->chain != RMP_NONE) {
        if (n->op == RMP_OP_CONV2D) return info->chain == v ? conv(l, v, v) : RMP_OK;
        return conv(l, info->chain, v);
    }
    switch (n->op) {
    case RMP_OP_INPUT:
        RMP_TRY(rmp_lower_value_slot(l, n->shape, &info->slot));
        l->plan->slot[info->slot].place = RMP_IN_INPUT;
        l->plan->slot[info->slot].external = (int)n->as.input;
        return RMP_OK;
    case RMP_OP_CONV2D:
        return RMP_OK;
    case RMP_OP_GROUP_NORM:
        return norm(l, v);
    case RMP_OP_SILU:
        return simple(l, v, RMP_STEP_SILU);
    case RMP_OP_ADD:
        return simple(l, v, RMP_STEP_ADD);
    case RMP_OP_AFFINE:
        return simple(l, v, RMP_STEP_AFFINE);
    case RMP_OP_CHANNEL_BIAS:
        /* inside a chain whose last node is the residual add: nothing of its own */
        if (l->v[n->operand[0]].chain != RMP_NONE && node_of(l, n->operand[0])->op == RMP_OP_CONV2D &&
            l->v[l->v[n->operand[0]].chain].bias == v) {
            return RMP_OK;
        }
        return simple(l, v, RMP_STEP_CHANNEL_BIAS);
    case RMP_OP_CONCAT:
        return info->virtual_concat ? RMP_OK : concat(l, v);
    case RMP_OP_AVG_POOL:
        return simple(l, v, RMP_STEP_POOL);
    case RMP_OP_UPSAMPLE:
        return simple(l, v, RMP_STEP_SPREAD);
    case RMP_OP_RESAMPLE:
        return rmp_lower_resample(l, v, false, l->v[n->operand[0]].slot, &info->slot);
    case RMP_OP_ATTENTION:
        return simple(l, v, RMP_STEP_ATTENTION);
    case RMP_OP_LINEAR:
        return simple(l, v, RMP_STEP_LINEAR);
    case RMP_OP_MULTIPLY:
        return simple(l, v, RMP_STEP_MULTIPLY);
    case RMP_OP_CLIP:
        return simple(l, v, RMP_STEP_CLIP);
    case RMP_OP_LEAKY_RELU:
        return simple(l, v, RMP_STEP_LEAKY_RELU);
    case RMP_OP_TANH:
        return simple(l, v, RMP_STEP_TANH);
    case RMP_OP_PIXEL_SHUFFLE:
        return simple(l, v, RMP_STEP_SHUFFLE);
    case RMP_OP_MAX_POOL:
        return simple(l, v, RMP_STEP_MAX_POOL);
    case RMP_OP_UNIT_CHANNELS:
        return simple(l, v, RMP_STEP_UNIT_CHANNELS);
    case RMP_OP_SQUARE:
        return simple(l, v, RMP_STEP_SQUARE);
    case RMP_OP_POWER:
        return simple(l, v, RMP_STEP_POWER);
    case RMP_OP_FFT_MAGNITUDE:
        return simple(l, v, RMP_STEP_FFT_MAGNITUDE);
    case RMP_OP_COUNT:
        break;
    }
    return RMP_FAIL(RMP_ERR_INTERNAL, "operation %d has no lowering", (int)n->op);
}

/* The slot becomes the caller's buffer, or is copied there if it cannot. */
static rmp_status deliver(rmp_lowering *l, rmp_slot slot, rmp_shape shape, rmp_place place, bool movable)
{
    if (movable) {
        l->plan->slot[slot].place = place;
        return RMP_OK;
    }
    rmp_slot copy;
    RMP_TRY(rmp_lower_affine(l, 0, shape, 1.0, slot, 0.0, &copy));
    l->plan->slot[copy].place = place;
    return RMP_OK;
}

static rmp_status lower(rmp_lowering *l)
{
    rmp_host_plan *p = l->plan;
    rmp_lower_match(l);
    rmp_value result = rmp_graph_result(l->graph);
    for (rmp_value v = 0; v <= result; v++) {
        if (l->v[v].live) RMP_TRY(rmp_lower_forward(l, v));
    }
    /* The caller may overwrite its result before a VJP: a slot that the backward steps read is copied. They read inputs
     * of nodes, never a result nobody consumes. */
    rmp_slot out = l->v[result].slot;
    bool movable = p->slot[out].place == RMP_IN_ARENA && l->v[result].uses == 1;
    for (rmp_value v = 0; v < result; v++)
        movable = movable && l->v[v].slot != out;
    RMP_TRY(deliver(l, out, rmp_graph_shape(l->graph, result), RMP_IN_OUTPUT, movable));
    p->forward_steps = p->steps;
    if (!p->base.options.vjp) return RMP_OK;

    rmp_slot g;
    RMP_TRY(rmp_lower_backward(l, &g));
    rmp_shape in = rmp_graph_shape(l->graph, rmp_graph_input_value(l->graph, 0));
    if (g == RMP_NONE) return RMP_OK;
    return deliver(l, g, in, RMP_IN_GRADIENT, p->slot[g].place == RMP_IN_ARENA);
}

rmp_status rmp_host_lower(rmp_host_plan *plan)
{
    rmp_lowering l = {.plan = plan,
                      .host = (rmp_host *)plan->base.device,
                      .graph = plan->base.graph,
                      .n = plan->n,
                      .bf16 = plan->base.options.precision == RMP_PRECISION_BF16};
    int32_t size = rmp_graph_size(l.graph);
    l.v = calloc((size_t)size, sizeof *l.v);
    RMP_CHECK(l.v, RMP_ERR_MEMORY, "no memory for lowering a graph");
    for (int32_t i = 0; i < size; i++) {
        rmp_value_info *v = &l.v[i];
        v->user = v->chain = v->addend = v->bias = v->target = v->norm = v->gradient_norm = RMP_NONE;
        v->slot = v->bf16 = v->sums = v->a = v->b = v->stats = v->d = v->back_sums = v->q = v->r = v->g = RMP_NONE;
    }
    rmp_status status = lower(&l);
    free(l.v);
    return status;
}
