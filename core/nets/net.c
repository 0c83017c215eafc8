#include "core/nets/net.h"

void rmp_net_destroy(rmp_net **net)
{
    if (!net || !*net) return;
    (*net)->ops->destroy(*net);
    *net = NULL;
}

rmp_status rmp_net_append(const rmp_net *net, rmp_graph *graph, rmp_value x, rmp_value condition, int64_t out_channels,
                          rmp_value *out)
{
    RMP_CHECK(net, RMP_ERR_ARGUMENT, "network: none");
    const rmp_shape in = rmp_graph_shape(graph, x), vector = rmp_graph_shape(graph, condition);
    RMP_CHECK(in.h >= 1 && in.w >= 1 && in.h % net->multiple == 0 && in.w % net->multiple == 0, RMP_ERR_ARGUMENT,
              "%s: %lld x %lld pixels are no multiple of %lld", net->architecture, (long long)in.h, (long long)in.w,
              (long long)net->multiple);
    RMP_CHECK(in.c == net->in_channels, RMP_ERR_ARGUMENT, "%s: %lld input channels, not %lld", net->architecture,
              (long long)net->in_channels, (long long)in.c);
    RMP_CHECK(rmp_shape_count(vector) == net->condition, RMP_ERR_ARGUMENT,
              "%s: a conditioning vector of %lld numbers, not %lld", net->architecture,
              (long long)rmp_shape_count(vector), (long long)net->condition);
    RMP_CHECK(out_channels >= 0 && out_channels <= net->out_channels, RMP_ERR_ARGUMENT,
              "%s: %lld output channels of %lld", net->architecture, (long long)out_channels,
              (long long)net->out_channels);
    return net->ops->build(net, graph, x, condition, out_channels, out);
}

double rmp_net_output_scale(const rmp_net *net, double t)
{
    return net->ops->output_scale ? net->ops->output_scale(net, t) : 1.0;
}

rmp_status rmp_net_build(const rmp_net *net, int64_t h, int64_t w, int64_t out_channels, rmp_graph **out)
{
    *out = NULL;
    RMP_CHECK(net, RMP_ERR_ARGUMENT, "network: none");
    rmp_status status = RMP_OK;
    rmp_graph *graph = NULL;
    rmp_value x, condition, result;
    RMP_TRY_GOTO(rmp_graph_create(&graph), done);
    RMP_TRY_GOTO(rmp_graph_input(graph, (rmp_shape){h, w, net->in_channels}, &x), done);
    RMP_TRY_GOTO(rmp_graph_input(graph, (rmp_shape){1, 1, net->condition}, &condition), done);
    RMP_TRY_GOTO(rmp_net_append(net, graph, x, condition, out_channels, &result), done);
    RMP_TRY_GOTO(rmp_graph_output(graph, result), done);
    *out = graph;
    graph = NULL;
done:
    rmp_graph_destroy(&graph);
    return status;
}
