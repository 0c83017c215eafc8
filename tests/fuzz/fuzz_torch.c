/* libFuzzer target: the bytes as a PyTorch checkpoint, and as the pickle of one. Whatever is accepted must be readable
 * to its last element. */
#include "io/pickle.h"
#include "io/torch_file.h"
#include "tests/fuzz/fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    rmp_weights *weights = NULL;
    rmp_pickle *pickle = NULL;
    if (rmp_pickle_read(bytes, size, &pickle) == RMP_OK) rmp_pickle_destroy(&pickle);
    if (rmp_torch_open(fuzz_file(bytes, size, ".pt"), NULL, &weights) != RMP_OK) return 0;
    for (int64_t i = 0; i < rmp_weights_count(weights); i++) {
        const rmp_tensor *t = rmp_weights_tensor(weights, i);
        const int64_t count = rmp_tensor_count(t);
        volatile double sum = 0;
        if ((uintptr_t)t->data % rmp_dtype_size(t->dtype) != 0) abort();
        for (int64_t k = 0; k < count; k++)
            sum = sum + rmp_tensor_at(t, k);
    }
    rmp_weights_destroy(&weights);
    return 0;
}
