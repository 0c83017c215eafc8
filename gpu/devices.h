/* The devices of this build. */
#pragma once

#include "core/device.h"
#include "gpu/share.h"

typedef struct rmp_device_request {
    const char *kind;     /* "auto", "cpu", "cuda", "reference" */
    int threads;          /* of this process; 0 = OpenMP's default */
    int local_rank;       /* which GPU, where there are several */
    int64_t memory_limit; /* bytes; 0 = none */
    rmp_share *share;     /* weights held together with other ranks of the machine; borrowed: must outlive the device;
                             NULL: none; not every device uses it */
} rmp_device_request;

/* `auto` takes CUDA when a GPU is usable, else the host. RMP_ERR_CONFIG if the kind is unknown or not in this build. */
rmp_status rmp_device_create(const rmp_device_request *request, rmp_device **out) RMP_MUST_CHECK;

/* oneDNN, OpenBLAS and OpenMP kernels (gpu/host). */
rmp_status rmp_host_create(int threads, int64_t memory_limit, rmp_device **out) RMP_MUST_CHECK;
/* Gives a device of rmp_host_create a share before it has plans; borrowed as above. */
void rmp_host_use_share(rmp_device *device, rmp_share *share);
/* Plain loops with double accumulation (gpu/reference): slow, obvious, for tests. */
rmp_status rmp_reference_create(rmp_device **out) RMP_MUST_CHECK;
