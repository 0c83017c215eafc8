#include "core/nets/net.h"

void rmp_net_destroy(rmp_net **net)
{
    if (!net || !*net) return;
    (*net)->ops->destroy(*net);
    *net = NULL;
}

rmp_status rmp_net_build(const rmp_net *net, int64_t h, int64_t w, int64_t out_channels, rmp_graph **out)
{
    *out = NULL;
    RMP_CHECK(net, RMP_ERR_ARGUMENT, "network: none");
    RMP_CHECK(h >= 1 && w >= 1 && h % net->multiple == 0 && w % net->multiple == 0, RMP_ERR_ARGUMENT,
              "%s: %lld x %lld pixels are no multiple of %lld", net->architecture, (long long)h, (long long)w,
              (long long)net->multiple);
    RMP_CHECK(out_channels >= 0 && out_channels <= net->out_channels, RMP_ERR_ARGUMENT,
              "%s: %lld output channels of %lld", net->architecture, (long long)out_channels,
              (long long)net->out_channels);
    return net->ops->build(net, h, w, out_channels, out);
}
