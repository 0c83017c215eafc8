/* What can be done in one step: found before any step is made. */
#include "gpu/host/lower.h"

enum { SMALL_IMAGE = 256 }; /* pixels */

static const rmp_node *node_of(const rmp_lowering *l, rmp_value v) { return rmp_graph_node(l->graph, v); }

static bool plain_conv(const rmp_node *n, int64_t k, int64_t pad)
{
    const rmp_conv2d *c = &n->as.conv;
    int64_t kh = c->weight->rank > 2 ? c->weight->dims[2] : 1, kw = c->weight->rank > 3 ? c->weight->dims[3] : 1;
    return n->op == RMP_OP_CONV2D && c->stride == 1 && c->groups == 1 && kh == k && kw == k && c->pad_top == pad &&
           c->pad_left == pad && c->pad_bottom == pad && c->pad_right == pad;
}

bool rmp_lower_is_bf16(const rmp_lowering *l, rmp_value v)
{
    const rmp_node *n = node_of(l, v);
    if (n->op != RMP_OP_CONV2D || rmp_lower_is_depthwise(l, v)) return false;
    bool pointwise = n->as.conv.weight->rank < 3 ||
                     rmp_tensor_count(n->as.conv.weight) == n->as.conv.weight->dims[0] * n->as.conv.weight->dims[1];
    return l->bf16 && !pointwise && n->shape.c > 32 && rmp_graph_shape(l->graph, n->operand[0]).c > 32;
}

bool rmp_lower_is_wino(const rmp_lowering *l, rmp_value v)
{
    const rmp_node *n = node_of(l, v);
    /* Packed weights are four times the size of plain ones, and small images read them too seldom: there the direct
     * convolution is as fast or nearly, and most of a network's weights are there. Not a question of the batch, so that
     * bytes are none either. */
    bool large = n->shape.h * n->shape.w > SMALL_IMAGE;
    return n->op == RMP_OP_CONV2D && large && !rmp_lower_is_bf16(l, v) && plain_conv(n, 3, 1);
}

bool rmp_lower_is_depthwise(const rmp_lowering *l, rmp_value v)
{
    const rmp_node *n = node_of(l, v);
    if (n->op != RMP_OP_CONV2D) return false;
    int64_t c_in = rmp_graph_shape(l->graph, n->operand[0]).c;
    bool large = n->as.conv.weight->rank > 2 && n->as.conv.weight->dims[2] > 7;
    return n->as.conv.groups == c_in && n->shape.c == c_in && (c_in > 1 || large);
}

static bool is_pointwise(const rmp_lowering *l, rmp_value v)
{
    const rmp_node *n = node_of(l, v);
    return n->op == RMP_OP_CONV2D && plain_conv(n, 1, 0) && !rmp_lower_is_depthwise(l, v);
}

void rmp_lower_parts(const rmp_lowering *l, rmp_value v, int *count, rmp_value part[RMP_MAX_PARTS])
{
    *count = 1;
    part[0] = v;
    if (!l->v[v].virtual_concat) return;
    const rmp_node *n = node_of(l, v);
    *count = n->operands;
    for (int i = 0; i < n->operands; i++)
        part[i] = n->operand[i];
}

void rmp_lower_step_parts(const rmp_lowering *l, rmp_value v, rmp_step_parts *out)
{
    rmp_value part[RMP_MAX_PARTS];
    rmp_lower_parts(l, v, &out->count, part);
    for (int i = 0; i < out->count; i++) {
        out->slot[i] = l->v[part[i]].slot;
        out->c[i] = rmp_graph_shape(l->graph, part[i]).c;
    }
}

static void find_uses(rmp_lowering *l)
{
    rmp_value result = rmp_graph_result(l->graph);
    l->v[result].live = true;
    for (rmp_value v = result; v >= 0; v--) {
        if (!l->v[v].live) continue;
        const rmp_node *n = node_of(l, v);
        for (int i = 0; i < n->operands; i++) {
            rmp_value_info *o = &l->v[n->operand[i]];
            o->live = true;
            o->uses++;
            if (o->user == RMP_NONE) o->user = v;
        }
    }
    l->v[result].uses++; /* the caller */
}

/* Operand i is also an earlier one: the gradients of the parts would be written over each other. */
static bool is_repeated(const rmp_node *n, int i)
{
    for (int j = 0; j < i; j++)
        if (n->operand[j] == n->operand[i]) return true;
    return false;
}

/* A concatenation is not made if everyone who reads it can read its parts. */
static void find_virtual_concats(rmp_lowering *l)
{
    int32_t size = rmp_graph_size(l->graph);
    for (rmp_value v = 0; v < size; v++) {
        const rmp_node *n = node_of(l, v);
        if (!l->v[v].live || n->op != RMP_OP_CONCAT || n->operands > RMP_MAX_PARTS) continue;
        bool possible = v != rmp_graph_result(l->graph);
        for (int i = 0; i < n->operands; i++)
            possible = possible && node_of(l, n->operand[i])->op != RMP_OP_CONCAT && !is_repeated(n, i);
        l->v[v].virtual_concat = possible;
    }
    for (rmp_value v = 0; v < size; v++) {
        const rmp_node *n = node_of(l, v);
        if (!l->v[v].live) continue;
        for (int i = 0; i < n->operands; i++) {
            bool reads_parts = i == 0 && (n->op == RMP_OP_GROUP_NORM || is_pointwise(l, v));
            if (!reads_parts) l->v[n->operand[i]].virtual_concat = false;
        }
    }
}

static void find_norms(rmp_lowering *l)
{
    for (rmp_value v = 0; v < rmp_graph_size(l->graph); v++) {
        const rmp_node *n = node_of(l, v);
        rmp_value_info *info = &l->v[v];
        if (!info->live || n->op != RMP_OP_GROUP_NORM) continue;
        info->target = v;
        if (info->uses == 1 && info->user != RMP_NONE) {
            const rmp_node *u = node_of(l, info->user);
            bool up = u->op == RMP_OP_UPSAMPLE, down = u->op == RMP_OP_AVG_POOL;
            if ((up || down) && u->as.factor == 2) {
                info->target = info->user;
                info->resize = up ? RMP_RESIZE_UP2 : RMP_RESIZE_DOWN2;
            }
        }
        rmp_value_info *target = &l->v[info->target];
        target->norm = v;
        info->gathered = target->uses == 1 && target->user != RMP_NONE && rmp_lower_is_wino(l, target->user);
        rmp_value part[RMP_MAX_PARTS];
        int parts;
        rmp_lower_parts(l, n->operand[0], &parts, part);
        for (int i = 0; i < parts; i++)
            l->v[part[i]].wants_sums = true;
    }
}

/* conv [-> channel bias] [-> residual add] is one step, at the place of its last node. */
static void find_chains(rmp_lowering *l)
{
    for (rmp_value v = 0; v < rmp_graph_size(l->graph); v++) {
        if (!l->v[v].live || node_of(l, v)->op != RMP_OP_CONV2D || rmp_lower_is_depthwise(l, v)) continue;
        bool wino = rmp_lower_is_wino(l, v);
        rmp_value last = v, bias = RMP_NONE, addend = RMP_NONE;
        rmp_value user = l->v[v].user;
        if (wino && l->v[v].uses == 1 && user != RMP_NONE && node_of(l, user)->op == RMP_OP_CHANNEL_BIAS)
            last = bias = user;
        user = l->v[last].user;
        if (l->v[last].uses == 1 && user != RMP_NONE) {
            const rmp_node *add = node_of(l, user);
            rmp_value taken = l->v[user].chain;
            bool free = taken == RMP_NONE || (wino && !rmp_lower_is_wino(l, taken));
            if (add->op == RMP_OP_ADD && add->as.lin.a == 1.0 && add->as.lin.b == 1.0 && free) {
                if (taken != RMP_NONE) l->v[taken].chain = taken; /* the other convolution goes alone */
                addend = add->operand[0] == last ? add->operand[1] : add->operand[0];
                last = user;
            }
        }
        l->v[v].chain = last;
        if (last != v) l->v[last].chain = v;
        l->v[last].bias = bias;
        l->v[last].addend = addend;
    }
}

void rmp_lower_match(rmp_lowering *l)
{
    find_uses(l);
    find_virtual_concats(l);
    find_norms(l);
    find_chains(l);
}
