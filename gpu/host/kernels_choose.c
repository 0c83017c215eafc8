#include "gpu/host/kernels.h"

#ifdef RMP_X86_KERNELS
extern const rmp_kernels rmp_kernels_avx512, rmp_kernels_avx2;
#endif
extern const rmp_kernels rmp_kernels_generic;

const rmp_kernels *rmp_kernels_choose(void)
{
#ifdef RMP_X86_KERNELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
        return &rmp_kernels_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &rmp_kernels_avx2;
#endif
    return &rmp_kernels_generic;
}
