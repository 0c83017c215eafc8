/* libFuzzer target: the bytes as a manifest; the first chooses the kind. */
#include "io/manifest.h"
#include "tests/fuzz/fuzz_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static rmp_status add(void *context, const rmp_item *item)
{
    int64_t *count = context;
    if (item->index != (*count)++ || !item->id[0] || strchr(item->id, '/') || strlen(item->id) > 200) abort();
    if (!item->image && !item->measurement) abort();
    return RMP_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    int64_t count = 0;
    if (size == 0) return 0;
    const char *path = fuzz_file(bytes + 1, size - 1, bytes[0] & 1 ? ".csv" : ".jsonl");
    if (rmp_manifest_scan(path, add, &count) == RMP_OK && count == 0) abort();
    return 0;
}
