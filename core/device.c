#include "core/device.h"

void rmp_device_destroy(rmp_device **dev)
{
    if (!dev || !*dev) return;
    (*dev)->ops->destroy(*dev);
    *dev = NULL;
}

rmp_status rmp_buffer_create(rmp_device *dev, int64_t floats, rmp_buffer **out)
{
    *out = NULL;
    RMP_CHECK(dev, RMP_ERR_ARGUMENT, "buffer: no device");
    RMP_CHECK(floats >= 1 && floats <= INT64_MAX / 8, RMP_ERR_ARGUMENT, "buffer: %lld floats", (long long)floats);
    RMP_TRY(dev->ops->buffer_create(dev, floats, out));
    (*out)->device = dev;
    (*out)->floats = floats;
    return RMP_OK;
}

void rmp_buffer_destroy(rmp_buffer **buffer)
{
    if (!buffer || !*buffer) return;
    (*buffer)->device->ops->buffer_destroy(*buffer);
    *buffer = NULL;
}

static rmp_status check_range(const rmp_buffer *buffer, int64_t offset, int64_t floats, const float *host)
{
    RMP_CHECK(buffer && (host || floats == 0), RMP_ERR_ARGUMENT, "buffer: nothing to copy from or to");
    RMP_CHECK(offset >= 0 && floats >= 0 && floats <= buffer->floats && offset <= buffer->floats - floats,
              RMP_ERR_ARGUMENT, "buffer: floats %lld to %lld of %lld", (long long)offset, (long long)(offset + floats),
              (long long)buffer->floats);
    return RMP_OK;
}

rmp_status rmp_buffer_upload(rmp_buffer *dst, int64_t offset, int64_t floats, const float *src)
{
    RMP_TRY(check_range(dst, offset, floats, src));
    return floats ? dst->device->ops->upload(dst, offset, floats, src) : RMP_OK;
}

rmp_status rmp_buffer_download(const rmp_buffer *src, int64_t offset, int64_t floats, float *dst)
{
    RMP_TRY(check_range(src, offset, floats, dst));
    return floats ? src->device->ops->download(src, offset, floats, dst) : RMP_OK;
}

rmp_status rmp_plan_create(rmp_device *dev, const rmp_graph *graph, const rmp_plan_options *options, rmp_plan **out)
{
    *out = NULL;
    RMP_CHECK(dev && graph && options, RMP_ERR_ARGUMENT, "plan: no device, graph or options");
    RMP_CHECK(options->batch >= 1 && options->batch <= INT32_MAX, RMP_ERR_ARGUMENT, "plan: batch of %lld",
              (long long)options->batch);
    RMP_CHECK(rmp_graph_inputs(graph) >= 1 && rmp_graph_result(graph) != RMP_NONE, RMP_ERR_ARGUMENT,
              "plan: the graph has %d inputs and %s result", rmp_graph_inputs(graph),
              rmp_graph_result(graph) == RMP_NONE ? "no" : "a");
    RMP_CHECK(!options->vjp || rmp_graph_node(graph, rmp_graph_result(graph))->differentiable, RMP_ERR_ARGUMENT,
              "plan: the result does not depend on input 0, there is no gradient");
    RMP_TRY(dev->ops->plan(dev, graph, options, out));
    (*out)->device = dev;
    (*out)->graph = graph;
    (*out)->options = *options;
    (*out)->allocated = false;
    (*out)->forward_done = false;
    return RMP_OK;
}

void rmp_plan_destroy(rmp_plan **plan)
{
    if (!plan || !*plan) return;
    (*plan)->device->ops->plan_destroy(*plan);
    *plan = NULL;
}

rmp_plan_memory rmp_plan_estimate(const rmp_plan *plan)
{
    rmp_plan_memory memory = {0, 0, 0};
    plan->device->ops->plan_memory(plan, &memory);
    return memory;
}

rmp_status rmp_plan_allocate(rmp_plan *plan)
{
    RMP_CHECK(plan, RMP_ERR_ARGUMENT, "plan: none");
    if (plan->allocated) return RMP_OK;
    RMP_TRY(plan->device->ops->plan_allocate(plan));
    plan->allocated = true;
    return RMP_OK;
}

/* A value of the graph for all images of the batch. */
static rmp_status check_buffer(const rmp_plan *plan, const char *role, rmp_value value, const rmp_buffer *buffer)
{
    RMP_CHECK(buffer, RMP_ERR_ARGUMENT, "plan: no %s", role);
    RMP_CHECK(buffer->device == plan->device, RMP_ERR_ARGUMENT, "plan: the %s is on another device (%s, not %s)", role,
              buffer->device->kind, plan->device->kind);
    int64_t need = plan->options.batch * rmp_shape_count(rmp_graph_shape(plan->graph, value));
    RMP_CHECK(buffer->floats >= need, RMP_ERR_ARGUMENT, "plan: the %s has %lld floats, %lld needed", role,
              (long long)buffer->floats, (long long)need);
    return RMP_OK;
}

rmp_status rmp_plan_forward(rmp_plan *plan, int inputs, const rmp_buffer *const input[], rmp_buffer *output)
{
    RMP_CHECK(plan, RMP_ERR_ARGUMENT, "plan: none");
    RMP_CHECK(inputs == rmp_graph_inputs(plan->graph), RMP_ERR_ARGUMENT, "plan: %d inputs given, the graph has %d",
              inputs, rmp_graph_inputs(plan->graph));
    RMP_TRY(check_buffer(plan, "output", rmp_graph_result(plan->graph), output));
    for (int i = 0; i < inputs; i++) {
        RMP_TRY(check_buffer(plan, "input", rmp_graph_input_value(plan->graph, i), input[i]));
        RMP_CHECK(input[i] != output, RMP_ERR_ARGUMENT, "plan: input %d is the output", i);
    }
    RMP_TRY(rmp_plan_allocate(plan));
    plan->forward_done = false;
    RMP_TRY(plan->device->ops->plan_forward(plan, inputs, input, output));
    plan->forward_done = true;
    return RMP_OK;
}

rmp_status rmp_plan_vjp(rmp_plan *plan, const rmp_buffer *cotangent, rmp_buffer *gradient)
{
    RMP_CHECK(plan, RMP_ERR_ARGUMENT, "plan: none");
    RMP_CHECK(plan->options.vjp, RMP_ERR_ARGUMENT, "plan: it was not compiled for gradients");
    RMP_CHECK(plan->forward_done, RMP_ERR_ARGUMENT, "plan: a gradient needs a forward before it");
    RMP_TRY(check_buffer(plan, "cotangent", rmp_graph_result(plan->graph), cotangent));
    RMP_TRY(check_buffer(plan, "gradient", rmp_graph_input_value(plan->graph, 0), gradient));
    RMP_CHECK(cotangent != gradient, RMP_ERR_ARGUMENT, "plan: the cotangent is the gradient");
    return plan->device->ops->plan_vjp(plan, cotangent, gradient);
}

rmp_status rmp_device_symmetric_eigen(rmp_device *dev, int64_t n, const double matrix[], double values[],
                                      double vectors[])
{
    RMP_CHECK(dev && matrix && values && vectors, RMP_ERR_ARGUMENT, "eigenvalues: no device or arrays");
    RMP_CHECK(n >= 1 && n <= 1 << 15, RMP_ERR_ARGUMENT, "eigenvalues: a matrix of %lld rows", (long long)n);
    return dev->ops->symmetric_eigen(dev, n, matrix, values, vectors);
}
