#include "gpu/reference/reference.h"

#include <stdlib.h>
#include <string.h>

/* Values [0, result] are laid out one after another; later ones cannot matter. */
rmp_status ref_plan_create(rmp_device *dev, const rmp_graph *graph, const rmp_plan_options *options, rmp_plan **out)
{
    RMP_CHECK(options->precision == RMP_PRECISION_FP32, RMP_ERR_ARGUMENT, "reference: only fp32 is computed");
    ref_plan *plan = calloc(1, sizeof *plan);
    RMP_CHECK(plan, RMP_ERR_MEMORY, "out of memory for a plan");
    plan->base = (rmp_plan){.device = dev, .graph = graph, .options = *options};
    plan->count = rmp_graph_result(graph) + 1;
    plan->value = calloc((size_t)plan->count, sizeof *plan->value);
    plan->grad = calloc((size_t)plan->count, sizeof *plan->grad);
    plan->weights = calloc((size_t)plan->count, sizeof *plan->weights);
    if (!plan->value || !plan->grad || !plan->weights) {
        ref_plan_destroy(&plan->base);
        return RMP_FAIL(RMP_ERR_MEMORY, "out of memory for a plan of %d operations", (int)rmp_graph_size(graph));
    }
    int64_t floats = 0, weights = 0;
    for (rmp_value v = 0; v < plan->count; v++) {
        const rmp_node *node = rmp_graph_node(graph, v);
        int64_t copies = options->vjp && node->differentiable ? 2 : 1;
        floats += copies * options->batch * rmp_shape_count(node->shape);
        int64_t scratch = ref_scratch_doubles(graph, node);
        if (scratch > plan->scratch_doubles) plan->scratch_doubles = scratch;
        if (node->op == RMP_OP_CONV2D) {
            const rmp_tensor *w = node->as.conv.weight;
            weights += (options->vjp ? 2 : 1) * node->shape.c * (rmp_tensor_count(w) / w->dims[0]);
            weights += node->as.conv.bias ? node->shape.c : 0;
        } else if (node->op == RMP_OP_LINEAR) {
            weights += rmp_tensor_count(node->as.linear.weight) + (node->as.linear.bias ? node->shape.c : 0);
        } else if (node->op == RMP_OP_GROUP_NORM) {
            weights += 2 * node->shape.c;
        }
    }
    plan->arena_bytes = plan->scratch_doubles * (int64_t)sizeof(double) + floats * (int64_t)sizeof(float);
    plan->weight_bytes = weights * (int64_t)sizeof(double);
    *out = &plan->base;
    return RMP_OK;
}

void ref_plan_destroy(rmp_plan *base)
{
    ref_plan *plan = (ref_plan *)base;
    free(plan->arena);
    free(plan->weight_arena);
    free(plan->value);
    free(plan->grad);
    free(plan->weights);
    free(plan);
}

void ref_plan_memory(const rmp_plan *base, rmp_plan_memory *out)
{
    const ref_plan *plan = (const ref_plan *)base;
    *out = (rmp_plan_memory){.arena = plan->arena_bytes, .weights = plan->weight_bytes};
}

static double *read_doubles(double **cursor, const rmp_tensor *tensor, int64_t count)
{
    double *out = *cursor;
    *cursor += count;
    for (int64_t i = 0; i < count; i++)
        out[i] = rmp_tensor_at(tensor, i);
    return out;
}

static void read_conv(ref_weights *weights, double **cursor, const rmp_node *node, rmp_shape in, bool backward)
{
    const rmp_conv2d *conv = &node->as.conv;
    int64_t groups = conv->groups, ci = in.c / groups, co = node->shape.c / groups;
    int64_t pixels = rmp_tensor_count(conv->weight) / conv->weight->dims[0] / ci, count = groups * co * ci * pixels;
    weights->forward = *cursor;
    *cursor += count;
    if (backward) {
        weights->backward = *cursor;
        *cursor += count;
    }
    for (int64_t g = 0; g < groups; g++)
        for (int64_t o = 0; o < co; o++)
            for (int64_t i = 0; i < ci; i++)
                for (int64_t k = 0; k < pixels; k++) {
                    double w = rmp_tensor_at(conv->weight, ((g * co + o) * ci + i) * pixels + k);
                    weights->forward[((k * groups + g) * ci + i) * co + o] = w;
                    if (backward) weights->backward[((k * groups + g) * co + o) * ci + i] = w;
                }
    if (conv->bias) weights->bias = read_doubles(cursor, conv->bias, node->shape.c);
}

rmp_status ref_plan_allocate(rmp_plan *base)
{
    ref_plan *plan = (ref_plan *)base;
    const rmp_graph *graph = base->graph;
    plan->arena = malloc((size_t)plan->arena_bytes + 1);
    plan->weight_arena = malloc((size_t)plan->weight_bytes + 1);
    if (!plan->arena || !plan->weight_arena) {
        free(plan->arena);
        free(plan->weight_arena);
        plan->arena = NULL;
        plan->weight_arena = NULL;
        return RMP_FAIL(RMP_ERR_MEMORY, "out of memory for a plan of %lld bytes",
                        (long long)(plan->arena_bytes + plan->weight_bytes));
    }
    plan->scratch = plan->arena;
    void *behind_scratch = plan->scratch + plan->scratch_doubles;
    float *next = behind_scratch;
    double *cursor = plan->weight_arena;
    for (rmp_value v = 0; v < plan->count; v++) {
        const rmp_node *node = rmp_graph_node(graph, v);
        int64_t floats = base->options.batch * rmp_shape_count(node->shape);
        ref_weights *weights = &plan->weights[v];
        plan->value[v] = next;
        next += floats;
        if (base->options.vjp && node->differentiable) {
            plan->grad[v] = next;
            next += floats;
        }
        if (node->op == RMP_OP_CONV2D) {
            read_conv(weights, &cursor, node, rmp_graph_shape(graph, node->operand[0]), base->options.vjp);
        } else if (node->op == RMP_OP_LINEAR) {
            const rmp_tensor *w = node->as.linear.weight, *b = node->as.linear.bias;
            weights->forward = read_doubles(&cursor, w, rmp_tensor_count(w));
            if (b) weights->bias = read_doubles(&cursor, b, node->shape.c);
        } else if (node->op == RMP_OP_GROUP_NORM) {
            weights->forward = read_doubles(&cursor, node->as.norm.gamma, node->shape.c);
            weights->bias = read_doubles(&cursor, node->as.norm.beta, node->shape.c);
        }
    }
    return RMP_OK;
}

rmp_status ref_plan_forward(rmp_plan *base, int inputs, const rmp_buffer *const input[], rmp_buffer *output)
{
    const ref_plan *plan = (const ref_plan *)base;
    int64_t batch = base->options.batch;
    for (int i = 0; i < inputs; i++) {
        rmp_value v = rmp_graph_input_value(base->graph, i);
        if (v >= plan->count) continue;
        size_t bytes = (size_t)(batch * rmp_shape_count(rmp_graph_shape(base->graph, v))) * sizeof(float);
        memcpy(plan->value[v], ((const ref_buffer *)input[i])->data, bytes);
    }
    for (rmp_value v = 0; v < plan->count; v++)
        for (int64_t image = 0; image < batch; image++)
            ref_forward(plan, v, image);
    rmp_value result = plan->count - 1;
    size_t bytes = (size_t)(batch * rmp_shape_count(rmp_graph_shape(base->graph, result))) * sizeof(float);
    memcpy(((ref_buffer *)output)->data, plan->value[result], bytes);
    return RMP_OK;
}

rmp_status ref_plan_vjp(rmp_plan *base, const rmp_buffer *cotangent, rmp_buffer *gradient)
{
    const ref_plan *plan = (const ref_plan *)base;
    int64_t batch = base->options.batch;
    rmp_value result = plan->count - 1, first = rmp_graph_input_value(base->graph, 0);
    for (rmp_value v = 0; v < plan->count; v++) {
        if (!plan->grad[v]) continue;
        size_t bytes = (size_t)(batch * rmp_shape_count(rmp_graph_shape(base->graph, v))) * sizeof(float);
        if (v == result)
            memcpy(plan->grad[v], ((const ref_buffer *)cotangent)->data, bytes);
        else
            memset(plan->grad[v], 0, bytes);
    }
    for (rmp_value v = result; v >= 0; v--)
        for (int64_t image = 0; plan->grad[v] && image < batch; image++)
            ref_backward(plan, v, image);
    size_t bytes = (size_t)(batch * rmp_shape_count(rmp_graph_shape(base->graph, first))) * sizeof(float);
    memcpy(((ref_buffer *)gradient)->data, plan->grad[first], bytes);
    return RMP_OK;
}
