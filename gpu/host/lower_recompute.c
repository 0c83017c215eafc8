/* Blocks of a graph, for plans that compute a block again instead of keeping what is inside it. A block ends where a
 * value is read more than once: at the outputs of residual blocks, which skip connections hold anyway. */
#include "gpu/host/lower.h"

#include <stdlib.h>

static const rmp_node *node_of(const rmp_lowering *l, rmp_value v) { return rmp_graph_node(l->graph, v); }

/* The node at whose place the operands of v are read. */
static rmp_value read_at(const rmp_lowering *l, rmp_value v)
{
    const rmp_node *n = node_of(l, v);
    const rmp_value_info *info = &l->v[v];
    if (n->op == RMP_OP_GROUP_NORM && info->gathered) return read_at(l, l->v[info->target].user);
    if (n->op == RMP_OP_CONV2D && info->chain != RMP_NONE) return info->chain;
    if (n->op == RMP_OP_CHANNEL_BIAS) {
        const rmp_value_info *x = &l->v[n->operand[0]];
        if (node_of(l, n->operand[0])->op == RMP_OP_CONV2D && x->chain != RMP_NONE && l->v[x->chain].bias == v)
            return x->chain;
    }
    return v;
}

rmp_status rmp_lower_blocks_find(const rmp_lowering *l, rmp_lower_blocks *out)
{
    const int32_t size = rmp_graph_size(l->graph);
    out->block = calloc((size_t)size, sizeof *out->block);
    out->kept = calloc((size_t)size, sizeof *out->kept);
    if (out->block == NULL || out->kept == NULL) {
        rmp_lower_blocks_free(out);
        return RMP_FAIL(RMP_ERR_MEMORY, "no memory for the blocks of a graph");
    }
    int32_t block = 0;
    for (rmp_value v = 0; v < size; v++) {
        out->block[v] = block;
        if (l->v[v].live && l->v[v].uses > 1 && node_of(l, v)->op != RMP_OP_INPUT) block++;
    }
    out->kept[rmp_graph_result(l->graph)] = true;
    for (rmp_value v = 0; v < size; v++) {
        const rmp_node *n = node_of(l, v);
        if (n->op == RMP_OP_INPUT) out->kept[v] = true;
        if (!l->v[v].live || l->v[v].virtual_concat) continue;
        const int32_t here = out->block[read_at(l, v)];
        for (int i = 0; i < n->operands; i++) {
            rmp_value part[RMP_MAX_PARTS];
            int parts;
            rmp_lower_parts(l, n->operand[i], &parts, part);
            for (int k = 0; k < parts; k++)
                out->kept[part[k]] = out->kept[part[k]] || out->block[part[k]] < here;
        }
    }
    return RMP_OK;
}

void rmp_lower_blocks_free(rmp_lower_blocks *blocks)
{
    free(blocks->block);
    free(blocks->kept);
    *blocks = (rmp_lower_blocks){0};
}

rmp_status rmp_lower_again(rmp_lowering *l, const rmp_lower_blocks *blocks, int32_t block)
{
    const int32_t size = rmp_graph_size(l->graph);
    for (rmp_value v = 0; v < size; v++) {
        if (blocks->block[v] == block && !blocks->kept[v]) l->v[v].slot = l->v[v].bf16 = RMP_NONE;
    }
    for (rmp_value v = 0; v < size; v++) {
        if (blocks->block[v] == block && l->v[v].live && !blocks->kept[v]) RMP_TRY(rmp_lower_forward(l, v));
    }
    return RMP_OK;
}
