#include "gpu/host/lower.h"

/* Nodes are visited from the result down. A slot that holds a gradient is never written again: adding to a gradient
 * makes a new slot, so that gradients may share slots (a residual's two branches do) and liveness alone decides what is
 * reused. */

static const rmp_node *node_of(const rmp_lowering *l, rmp_value v) { return rmp_graph_node(l->graph, v); }
static rmp_shape shape_of(const rmp_lowering *l, rmp_value v) { return rmp_graph_shape(l->graph, v); }

/* Another contribution to the gradient of v. */
static rmp_status accumulate(rmp_lowering *l, rmp_value v, rmp_slot slot)
{
    rmp_value_info *info = &l->v[v];
    if (!node_of(l, v)->differentiable) return RMP_OK;
    if (info->gradient == RMP_GRADIENT_NONE) {
        info->gradient = RMP_GRADIENT_SLOT;
        info->g = slot;
        return RMP_OK;
    }
    return rmp_lower_add(l, v, shape_of(l, v), 1.0, info->g, 1.0, slot, &info->g);
}

static void set_gradient(rmp_lowering *l, rmp_value v, rmp_slot slot)
{
    l->v[v].gradient = RMP_GRADIENT_SLOT;
    l->v[v].g = slot;
}

/* The parts of a normalisation's input can be read vector by vector. */
static bool whole_vectors(const rmp_lowering *l, const rmp_step_parts *x)
{
    for (int i = 0; i < x->count && x->count > 1; i++) {
        if (x->c[i] % l->host->kernels->width) return false;
    }
    return true;
}

/* Gradient g (a slot, or a normalisation's that is not made) through a Winograd convolution. */
static rmp_status wino_backward(rmp_lowering *l, rmp_value conv, rmp_slot g, rmp_value gradient_norm)
{
    const rmp_node *n = node_of(l, conv);
    rmp_value x = n->operand[0];
    rmp_value_info *target = &l->v[x];
    rmp_shape in = shape_of(l, x);
    rmp_step s = rmp_lower_step(RMP_STEP_WINO, conv, n->shape, in);
    s.wino = (rmp_wino){.n = l->n, .h = in.h, .w = in.w, .ic = n->shape.c, .oc = in.c};
    l->host->kernels->wino_plan(&s.wino);
    rmp_weight_request w = {.tensor = n->as.conv.weight,
                            .form = RMP_WEIGHT_WINO_TRANSPOSED,
                            .oc = n->shape.c,
                            .ic = in.c,
                            .kh = 3,
                            .kw = 3,
                            .groups = 1};
    RMP_TRY(rmp_host_weight_get(l->plan, &w, &s.weight));
    s.x.count = 1;
    s.x.c[0] = n->shape.c;
    if (gradient_norm != RMP_NONE) {
        const rmp_value_info *norm = &l->v[gradient_norm];
        rmp_lower_step_parts(l, node_of(l, gradient_norm)->operand[0], &s.x);
        s.wino.source.gather = RMP_GATHER_NORM_BACKWARD;
        s.y = norm->d;
        s.a = norm->a;
        s.b = norm->q;
        s.r = norm->r;
    } else {
        s.x.slot[0] = g;
    }
    RMP_TRY(rmp_lower_slot(l, l->host->threads * s.wino.scratch * (int64_t)sizeof(float), &s.scratch));
    RMP_TRY(rmp_lower_value_slot(l, in, &s.result));

    rmp_value_info *norm = target->norm != RMP_NONE ? &l->v[target->norm] : NULL;
    rmp_step_parts parts = {0};
    if (norm) rmp_lower_step_parts(l, node_of(l, target->norm)->operand[0], &parts);
    if (norm && norm->gathered && norm->resize == RMP_RESIZE_NONE && whole_vectors(l, &parts)) {
        s.wino.finish = RMP_FINISH_NORM_BACKWARD;
        s.wino.finish_silu = node_of(l, target->norm)->as.norm.silu;
        s.wino.finish_x.count = parts.count;
        s.wino.finish_x.channels = in.c;
        for (int i = 0; i < parts.count; i++) {
            s.finish_x[i] = parts.slot[i];
            s.wino.finish_x.part[i].c = parts.c[i];
        }
        s.finish_a = norm->a;
        s.finish_b = norm->b;
        RMP_TRY(rmp_lower_slot(l, s.wino.units * RMP_SUM_ROWS * s.wino.ocp * (int64_t)sizeof(float), &s.sums));
        norm->d = s.result;
        norm->back_sums = s.sums;
        norm->back_pieces = s.wino.units / l->n;
        norm->back_width = s.wino.ocp;
        return rmp_lower_emit(l, &s);
    }
    if (target->gradient == RMP_GRADIENT_SLOT) s.addend[0] = target->g;
    set_gradient(l, x, s.result);
    return rmp_lower_emit(l, &s);
}

static rmp_status depthwise_backward(rmp_lowering *l, rmp_value conv, rmp_slot g)
{
    const rmp_node *n = node_of(l, conv);
    rmp_step s = rmp_lower_step(RMP_STEP_DEPTHWISE, conv, n->shape, shape_of(l, n->operand[0]));
    s.x.slot[0] = g;
    s.beta = 1.0; /* transposed */
    rmp_weight_request w = {.tensor = n->as.conv.weight, .form = RMP_WEIGHT_PLAIN};
    RMP_TRY(rmp_host_weight_get(l->plan, &w, &s.weight));
    RMP_TRY(rmp_lower_value_slot(l, s.out, &s.result));
    RMP_TRY(rmp_lower_emit(l, &s));
    return accumulate(l, n->operand[0], s.result);
}

static rmp_status conv_backward(rmp_lowering *l, rmp_value conv, rmp_slot g, rmp_value gradient_norm)
{
    const rmp_node *n = node_of(l, conv);
    if (!node_of(l, n->operand[0])->differentiable) return RMP_OK;
    if (rmp_lower_is_depthwise(l, conv)) return depthwise_backward(l, conv, g);
    if (rmp_lower_is_wino(l, conv)) return wino_backward(l, conv, g, gradient_norm);
    rmp_value part[RMP_MAX_PARTS];
    int parts;
    rmp_lower_parts(l, n->operand[0], &parts, part);
    rmp_lower_conv c = {.node = conv, .transposed = true, .x = g, .x_bf16 = RMP_NONE, .accumulate_into = RMP_NONE};
    if (rmp_lower_is_bf16(l, conv)) RMP_TRY(rmp_lower_bf16(l, conv, n->shape, g, &c.x_bf16));
    for (int i = 0; i < parts; i++) {
        c.ic_count = shape_of(l, part[i]).c;
        if (node_of(l, part[i])->differentiable) {
            rmp_slot out;
            c.addend = l->v[part[i]].gradient == RMP_GRADIENT_SLOT ? l->v[part[i]].g : RMP_NONE;
            RMP_TRY(rmp_lower_conv_emit(l, &c, &out));
            set_gradient(l, part[i], out);
        }
        c.ic_first += c.ic_count;
    }
    return RMP_OK;
}

/* True if the gradient of x, which only this normalisation gives, need not be made: the convolution that made x gathers
 * it. */
static bool gatherable(const rmp_lowering *l, rmp_value x)
{
    const rmp_value_info *info = &l->v[x];
    if (info->uses != 1 || info->gradient != RMP_GRADIENT_NONE || info->chain == RMP_NONE || info->addend != RMP_NONE)
        return false;
    rmp_value conv = node_of(l, x)->op == RMP_OP_CONV2D ? x : info->chain;
    return l->v[conv].chain == x && rmp_lower_is_wino(l, conv) &&
           node_of(l, node_of(l, conv)->operand[0])->differentiable;
}

static rmp_status norm_backward(rmp_lowering *l, rmp_value v)
{
    const rmp_node *n = node_of(l, v);
    rmp_value_info *info = &l->v[v];
    rmp_step_parts x = {0};
    rmp_lower_step_parts(l, n->operand[0], &x);
    if (info->d == RMP_NONE) {
        const rmp_value_info *target = &l->v[info->target];
        if (target->gradient == RMP_GRADIENT_NONE) return RMP_OK;
        int64_t rows = 512 / n->shape.w > 1 ? 512 / n->shape.w : 1;
        rmp_step s = rmp_lower_step(RMP_STEP_BACKWARD1, v, n->shape, n->shape);
        s.x = x;
        s.y = target->g;
        s.a = info->a;
        s.b = info->b;
        s.silu = n->as.norm.silu;
        s.resize = info->resize;
        s.pieces = (n->shape.h + rows - 1) / rows;
        RMP_TRY(rmp_lower_slot(l, l->n * s.pieces * RMP_SUM_ROWS * n->shape.c * (int64_t)sizeof(float), &s.sums));
        RMP_TRY(rmp_lower_value_slot(l, n->shape, &s.result));
        RMP_TRY(rmp_lower_emit(l, &s));
        info->d = s.result;
        info->back_sums = s.sums;
        info->back_pieces = s.pieces;
        info->back_width = n->shape.c;
    }
    rmp_step c = rmp_lower_step(RMP_STEP_COEFFICIENTS_BACKWARD, v, n->shape, n->shape);
    RMP_TRY(rmp_lower_reduce(l, v, n->shape, info->back_sums, info->back_pieces, info->back_width, false, &c.sums));
    int64_t floats = l->n * n->shape.c * (int64_t)sizeof(float);
    RMP_TRY(rmp_lower_slot(l, floats, &info->q));
    RMP_TRY(rmp_lower_slot(l, floats, &info->r));
    c.a = info->a;
    c.stats = info->stats;
    c.b = info->q;
    c.r = info->r;
    RMP_TRY(rmp_lower_emit(l, &c));

    rmp_value part[RMP_MAX_PARTS];
    int parts;
    rmp_lower_parts(l, n->operand[0], &parts, part);
    if (parts == 1 && gatherable(l, part[0])) {
        l->v[part[0]].gradient = RMP_GRADIENT_NORM;
        l->v[part[0]].gradient_norm = v;
        return RMP_OK;
    }
    rmp_step s = rmp_lower_step(RMP_STEP_BACKWARD2, v, n->shape, n->shape);
    s.x = x;
    s.y = info->d;
    s.a = info->a;
    s.b = info->q;
    s.r = info->r;
    for (int i = 0; i < parts; i++) {
        RMP_TRY(rmp_lower_value_slot(l, shape_of(l, part[i]), &s.results[i]));
        if (l->v[part[i]].gradient == RMP_GRADIENT_SLOT) s.addend[i] = l->v[part[i]].g;
    }
    RMP_TRY(rmp_lower_emit(l, &s));
    for (int i = 0; i < parts; i++)
        set_gradient(l, part[i], s.results[i]);
    return RMP_OK;
}

static rmp_status simple_backward(rmp_lowering *l, rmp_value v, rmp_step_kind kind, rmp_slot g)
{
    const rmp_node *n = node_of(l, v);
    rmp_value x = n->operand[0];
    rmp_step s = rmp_lower_step(kind, v, n->shape, shape_of(l, x));
    s.x.slot[0] = g;
    switch (n->op) {
    case RMP_OP_SILU:
    case RMP_OP_CLIP:
    case RMP_OP_LEAKY_RELU:
    case RMP_OP_TANH:
    case RMP_OP_POWER:
        s.y = l->v[x].slot;
        s.alpha = n->as.lin.a;
        s.beta = n->as.lin.b;
        break;
    case RMP_OP_MULTIPLY:
        s.y = l->v[n->operand[1]].slot;
        break;
    case RMP_OP_MAX_POOL:
    case RMP_OP_UNIT_CHANNELS:
    case RMP_OP_SQUARE:
        s.y = l->v[x].slot;
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
        s.beta = 1.0; /* transposed */
        break;
    }
    case RMP_OP_ATTENTION: {
        rmp_attention a = {l->n, n->shape.h * n->shape.w, n->shape.c, n->as.attention.heads, n->as.attention.order};
        int64_t floats = rmp_attention_scratch(&a, l->host->threads, true);
        RMP_TRY(rmp_lower_slot(l, floats * (int64_t)sizeof(float), &s.scratch));
        s.y = l->v[x].slot;
        break;
    }
    case RMP_OP_FFT_MAGNITUDE: {
        int64_t floats = rmp_host_fft_scratch(s.out, s.in, l->host->threads);
        RMP_TRY(rmp_lower_slot(l, floats * (int64_t)sizeof(float), &s.scratch));
        s.y = l->v[x].slot;
        break;
    }
    default:
        break;
    }
    RMP_TRY(rmp_lower_value_slot(l, s.out, &s.result));
    RMP_TRY(rmp_lower_emit(l, &s));
    return accumulate(l, x, s.result);
}

/* a g to the gradient of x. */
static rmp_status scaled(rmp_lowering *l, rmp_value node, rmp_value x, double a, rmp_slot g)
{
    if (!node_of(l, x)->differentiable) return RMP_OK;
    if (a != 1.0) RMP_TRY(rmp_lower_affine(l, node, shape_of(l, x), a, g, 0.0, &g));
    return accumulate(l, x, g);
}

static rmp_status concat_backward(rmp_lowering *l, rmp_value v, rmp_slot g)
{
    const rmp_node *n = node_of(l, v);
    int64_t offset = 0;
    for (int i = 0; i < n->operands; i++) {
        rmp_value x = n->operand[i];
        if (node_of(l, x)->differentiable) {
            rmp_step s = rmp_lower_step(RMP_STEP_CHANNELS, v, n->shape, shape_of(l, x));
            s.x.slot[0] = g;
            s.offset = offset;
            RMP_TRY(rmp_lower_value_slot(l, s.out, &s.result));
            RMP_TRY(rmp_lower_emit(l, &s));
            RMP_TRY(accumulate(l, x, s.result));
        }
        offset += shape_of(l, x).c;
    }
    return RMP_OK;
}

static rmp_status backward_node(rmp_lowering *l, rmp_value v)
{
    const rmp_node *n = node_of(l, v);
    rmp_value_info *info = &l->v[v];
    if (n->op == RMP_OP_GROUP_NORM) return norm_backward(l, v);
    if (info->gradient == RMP_GRADIENT_NONE || info->norm != RMP_NONE) return RMP_OK; /* resampled with its norm */
    rmp_slot g = info->g;
    if (info->chain != RMP_NONE && n->op != RMP_OP_CONV2D) {
        if (info->addend != RMP_NONE) RMP_TRY(accumulate(l, info->addend, g));
        return conv_backward(l, info->chain, g, info->gradient_norm);
    }
    switch (n->op) {
    case RMP_OP_CONV2D:
        return conv_backward(l, v, g, info->gradient_norm);
    case RMP_OP_ADD:
        RMP_TRY(scaled(l, v, n->operand[0], n->as.lin.a, g));
        return scaled(l, v, n->operand[1], n->as.lin.b, g);
    case RMP_OP_AFFINE:
        return scaled(l, v, n->operand[0], n->as.lin.a, g);
    case RMP_OP_CHANNEL_BIAS:
        return accumulate(l, n->operand[0], g);
    case RMP_OP_SILU:
        return simple_backward(l, v, RMP_STEP_SILU_BACKWARD, g);
    case RMP_OP_CLIP:
        return simple_backward(l, v, RMP_STEP_CLIP_BACKWARD, g);
    case RMP_OP_LEAKY_RELU:
        return simple_backward(l, v, RMP_STEP_LEAKY_RELU_BACKWARD, g);
    case RMP_OP_TANH:
        return simple_backward(l, v, RMP_STEP_TANH_BACKWARD, g);
    case RMP_OP_PIXEL_SHUFFLE:
        return simple_backward(l, v, RMP_STEP_SHUFFLE, g);
    case RMP_OP_MULTIPLY:
        return simple_backward(l, v, RMP_STEP_MULTIPLY, g);
    case RMP_OP_MAX_POOL:
        return simple_backward(l, v, RMP_STEP_MAX_POOL_BACKWARD, g);
    case RMP_OP_UNIT_CHANNELS:
        return simple_backward(l, v, RMP_STEP_UNIT_CHANNELS_BACKWARD, g);
    case RMP_OP_SQUARE:
        return simple_backward(l, v, RMP_STEP_SQUARE_BACKWARD, g);
    case RMP_OP_POWER:
        return simple_backward(l, v, RMP_STEP_POWER_BACKWARD, g);
    case RMP_OP_FFT_MAGNITUDE:
        return simple_backward(l, v, RMP_STEP_FFT_MAGNITUDE_BACKWARD, g);
    case RMP_OP_CONCAT:
        return concat_backward(l, v, g);
    case RMP_OP_AVG_POOL:
        return simple_backward(l, v, RMP_STEP_SPREAD, g);
    case RMP_OP_UPSAMPLE:
        return simple_backward(l, v, RMP_STEP_POOL, g);
    case RMP_OP_LINEAR:
        return simple_backward(l, v, RMP_STEP_LINEAR, g);
    case RMP_OP_ATTENTION:
        return simple_backward(l, v, RMP_STEP_ATTENTION_BACKWARD, g);
    case RMP_OP_RESAMPLE: {
        rmp_slot out;
        RMP_TRY(rmp_lower_resample(l, v, true, g, &out));
        return accumulate(l, n->operand[0], out);
    }
    case RMP_OP_INPUT:
    case RMP_OP_GROUP_NORM:
    case RMP_OP_COUNT:
        break;
    }
    return RMP_OK;
}

rmp_status rmp_lower_backward(rmp_lowering *l, rmp_slot *out)
{
    rmp_value result = rmp_graph_result(l->graph), image = rmp_graph_input_value(l->graph, 0);
    rmp_slot g;
    RMP_TRY(rmp_lower_value_slot(l, shape_of(l, result), &g));
    l->plan->slot[g].place = RMP_IN_COTANGENT;
    set_gradient(l, result, g);
    rmp_lower_blocks blocks = {0};
    const bool again = l->plan->base.options.memory == RMP_MEMORY_RECOMPUTE;
    rmp_status status = RMP_OK;
    if (again) RMP_TRY(rmp_lower_blocks_find(l, &blocks));
    for (rmp_value v = result; v >= 0; v--) {
        bool last = again && (v == result || blocks.block[v] != blocks.block[v + 1]);
        if (last) RMP_TRY_GOTO(rmp_lower_again(l, &blocks, blocks.block[v]), end);
        if (l->v[v].live && node_of(l, v)->differentiable) RMP_TRY_GOTO(backward_node(l, v), end);
    }
    *out = l->v[image].gradient == RMP_GRADIENT_SLOT ? l->v[image].g : RMP_NONE;
end:
    rmp_lower_blocks_free(&blocks);
    return status;
}
