#include "gpu/host/kernels.h"

#ifdef RMP_X86_KERNELS
extern const rmp_kernels rmp_kernels_avx512, rmp_kernels_avx2;
#endif
extern const rmp_kernels rmp_kernels_generic;

int rmp_kernels_usable(const rmp_kernels *out[3])
{
    int count = 0;
#ifdef RMP_X86_KERNELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
        out[count++] = &rmp_kernels_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) out[count++] = &rmp_kernels_avx2;
#endif
    out[count++] = &rmp_kernels_generic;
    return count;
}

const rmp_kernels *rmp_kernels_choose(void)
{
    const rmp_kernels *usable[3];
    (void)rmp_kernels_usable(usable);
    return usable[0];
}
