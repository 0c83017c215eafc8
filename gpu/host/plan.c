#include "gpu/host/host.h"

#include <stdlib.h>
#include <string.h>

rmp_status rmp_host_transposed_taps(rmp_host_plan *plan, const rmp_taps *taps, const rmp_taps **out)
{
    void *larger = realloc(plan->transposed, (size_t)(plan->transposed_count + 1) * sizeof *plan->transposed);
    RMP_CHECK(larger, RMP_ERR_MEMORY, "no memory for a transposed map");
    plan->transposed = larger;
    rmp_taps *t;
    RMP_TRY(rmp_taps_transpose(taps, &t));
    plan->transposed[plan->transposed_count++] = t;
    *out = t;
    return RMP_OK;
}

rmp_status rmp_host_plan_create(rmp_device *dev, const rmp_graph *graph, const rmp_plan_options *options,
                                rmp_plan **out)
{
    *out = NULL;
    rmp_host_plan *p = calloc(1, sizeof *p);
    RMP_CHECK(p, RMP_ERR_MEMORY, "no memory for a plan");
    p->base = (rmp_plan){.device = dev, .graph = graph, .options = *options};
    p->n = options->vjp && options->memory == RMP_MEMORY_RECOMPUTE ? 1 : options->batch;
    rmp_status status = RMP_OK;
    RMP_CHECK_GOTO(rmp_graph_inputs(graph) <= (int)(sizeof p->input / sizeof *p->input), RMP_ERR_ARGUMENT, failed,
                   "a graph with %d inputs: at most %d", rmp_graph_inputs(graph),
                   (int)(sizeof p->input / sizeof *p->input));
    RMP_TRY_GOTO(rmp_host_lower(p), failed);
    RMP_TRY_GOTO(rmp_host_live(p), failed);
    RMP_TRY_GOTO(rmp_host_layout(p), failed);
    *out = &p->base;
    return RMP_OK;
failed:
    rmp_host_plan_destroy(&p->base);
    return status;
}

void rmp_host_plan_destroy(rmp_plan *plan)
{
    rmp_host_plan *p = (rmp_host_plan *)plan;
    rmp_host_weights_drop(p);
    for (int i = 0; i < p->steps; i++)
        rmp_onednn_conv_destroy(&p->step[i].conv);
    for (int i = 0; i < p->transposed_count; i++)
        rmp_taps_destroy(&p->transposed[i]);
    if (p->arena) rmp_host_release((rmp_host *)p->base.device, p->arena_bytes, p->arena);
    free(p->transposed);
    free(p->step);
    free(p->slot);
    free(p);
}

void rmp_host_plan_memory(const rmp_plan *plan, rmp_plan_memory *out)
{
    const rmp_host_plan *p = (const rmp_host_plan *)plan;
    *out = (rmp_plan_memory){.arena = p->arena_bytes, .weights = p->new_weight_bytes, .saved = p->saved_weight_bytes};
}

rmp_status rmp_host_plan_allocate(rmp_plan *plan)
{
    rmp_host_plan *p = (rmp_host_plan *)plan;
    RMP_TRY(rmp_host_weights_fill(p)); /* first: what packing takes for a while is free again for the arena */
    if (p->arena_bytes > 0 && !p->arena) {
        void *arena;
        RMP_TRY(rmp_host_allocate((rmp_host *)p->base.device, p->arena_bytes, "a plan", &arena));
        p->arena = arena;
    }
    return RMP_OK;
}

static float *data(const rmp_buffer *buffer) { return ((const rmp_host_buffer *)buffer)->data; }

rmp_status rmp_host_plan_forward(rmp_plan *plan, int inputs, const rmp_buffer *const input[], rmp_buffer *output)
{
    rmp_host_plan *p = (rmp_host_plan *)plan;
    for (int i = 0; i < inputs; i++)
        p->input[i] = data(input[i]);
    p->output = data(output);
    return rmp_host_run(p, 0, p->forward_steps);
}

rmp_status rmp_host_plan_vjp(rmp_plan *plan, const rmp_buffer *cotangent, rmp_buffer *gradient)
{
    rmp_host_plan *p = (rmp_host_plan *)plan;
    p->cotangent = data(cotangent);
    p->gradient = data(gradient);
    if (p->steps == p->forward_steps) { /* the result does not depend on input 0 */
        memset(p->gradient, 0, (size_t)gradient->floats * sizeof(float));
        return RMP_OK;
    }
    return rmp_host_run(p, p->forward_steps, p->steps);
}
