/* libFuzzer target: the bytes as a PyTorch checkpoint, and as the pickle of one. Whatever is accepted must be readable
 * to its last element. */
#include "core/log.h"
#include "io/pickle.h"
#include "io/torch_file.h"
#include "tests/fuzz/fuzz_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Every check sum 0, "none": no mutation would get past a right one. */
static const char *without_check_sums(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size + !size);
    if (!copy) abort();
    memcpy(copy, bytes, size);
    for (size_t i = 0; i + 20 <= size; i++) {
        if (memcmp(copy + i, "PK\3\4", 4) == 0) memset(copy + i + 14, 0, 4);
        if (memcmp(copy + i, "PK\1\2", 4) == 0) memset(copy + i + 16, 0, 4);
    }
    const char *path = fuzz_file(copy, size, ".pt");
    free(copy);
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    rmp_weights *weights = NULL;
    rmp_pickle *pickle = NULL;
    rmp_log_set_level(RMP_LEVEL_ERROR); /* the missing check sums are no news */
    if (rmp_pickle_read(bytes, size, &pickle) == RMP_OK) rmp_pickle_destroy(&pickle);
    if (rmp_torch_open(without_check_sums(bytes, size), NULL, &weights) != RMP_OK) return 0;
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
