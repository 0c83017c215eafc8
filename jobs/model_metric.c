#include "jobs/model_metric.h"

#include "core/nets/inception.h"

rmp_status rmp_model_metric_fit(const rmp_model_source *source, rmp_perceptual_kind kind, rmp_model_mismatch *each,
                                FILE *out)
{
    rmp_model_fit found;
    RMP_TRY(rmp_perceptual_expected(kind, source->weights, each, out, &found));
    fprintf(out, "parameters          %lld\n", (long long)found.parameters);
    RMP_CHECK(found.missing + found.misshapen + found.unexpected == 0, RMP_ERR_FORMAT,
              "%s: does not fit the network: %lld tensors missing, %lld misshapen, %lld unexpected", source->path,
              (long long)found.missing, (long long)found.misshapen, (long long)found.unexpected);
    RMP_CHECK(found.not_finite == 0, RMP_ERR_FORMAT, "%s: %lld of its tensors have numbers that are not finite",
              source->path, (long long)found.not_finite);
    fprintf(out, "fits                yes: every tensor is there and none is left over\n");
    return RMP_OK;
}

rmp_status rmp_model_metric_describe(const rmp_perceptual_net *net, const char *name, rmp_device *device, int64_t h,
                                     int64_t w, FILE *out)
{
    const rmp_perceptual_kind kind = rmp_perceptual_net_kind(net);
    const bool inception = kind == RMP_PERCEPTUAL_INCEPTION;
    rmp_graph *graph = NULL;
    int64_t bytes = 0;
    if (h == 0) h = w = 256;
    fprintf(out, "model               %s\narchitecture        %s\n", name, rmp_perceptual_name(kind));
    fprintf(out, "parameters          %lld\n", (long long)rmp_weights_parameters(rmp_perceptual_net_weights(net)));
    if (inception)
        fprintf(out,
                "use                 FID: %d features of an image, resized to %d x %d (bilinear, no antialiasing)\n",
                RMP_INCEPTION_FEATURES, RMP_INCEPTION_SIZE, RMP_INCEPTION_SIZE);
    else
        fprintf(out, "use                 LPIPS 0.1: distance of two images\n");
    const rmp_status status = rmp_perceptual_graph(net, h, w, &graph);
    if (status == RMP_ERR_ARGUMENT) return rmp_fail_context(RMP_ERR_CONFIG, "--size");
    RMP_TRY(status);
    fprintf(out, "at %lldx%lld\n", (long long)h, (long long)w);
    fprintf(out, "GFLOP               %.2f %s\n", rmp_graph_flop(graph) * 1e-9, inception ? "an image" : "a pair");
    rmp_graph_destroy(&graph);
    RMP_TRY(rmp_perceptual_estimate(device, net, (rmp_shape){h, w, 3}, &bytes));
    fprintf(out, "memory              %.1f MiB with weights (%s, fp32)\n", (double)bytes / 1048576.0, device->kind);
    return RMP_OK;
}
