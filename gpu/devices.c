#include "gpu/devices.h"

#include <string.h>

rmp_status rmp_device_create(const rmp_device_request *request, rmp_device **out)
{
    *out = NULL;
    if (strcmp(request->kind, "auto") == 0 || strcmp(request->kind, "cpu") == 0) {
        RMP_TRY(rmp_host_create(request->threads, request->memory_limit, out));
        rmp_host_use_share(*out, request->share);
        return RMP_OK;
    }
    if (strcmp(request->kind, "reference") == 0) return rmp_reference_create(out);
    RMP_CHECK(strcmp(request->kind, "cuda") != 0, RMP_ERR_CONFIG, "device: cuda is not in this build; use auto or cpu");
    return RMP_FAIL(RMP_ERR_CONFIG, "device: \"%s\" is not one of auto, cpu, cuda, reference", request->kind);
}
