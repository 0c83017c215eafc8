#include "core/tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    char *name;
    rmp_tensor tensor;
    bool used;
} entry;

typedef struct resource {
    void *object;
    void (*release)(void *);
} resource;

struct rmp_weights {
    entry *entries;
    int64_t count, capacity;
    int64_t *slots; /* open addressing: index into entries, or -1 */
    int64_t slot_count;
    resource *resources;
    int64_t resource_count;
    int64_t missing, misshapen;
    char first_missing[320], first_misshapen[448];
};

size_t rmp_dtype_size(rmp_dtype dtype)
{
    switch (dtype) {
    case RMP_F64:
    case RMP_I64:
        return 8;
    case RMP_F32:
    case RMP_I32:
        return 4;
    case RMP_F16:
    case RMP_BF16:
        return 2;
    case RMP_U8:
        return 1;
    }
    return 0;
}

const char *rmp_dtype_name(rmp_dtype dtype)
{
    switch (dtype) {
    case RMP_F32:
        return "F32";
    case RMP_F16:
        return "F16";
    case RMP_BF16:
        return "BF16";
    case RMP_F64:
        return "F64";
    case RMP_I64:
        return "I64";
    case RMP_I32:
        return "I32";
    case RMP_U8:
        return "U8";
    }
    return "?";
}

int64_t rmp_tensor_count(const rmp_tensor *t)
{
    int64_t count = 1;
    for (int i = 0; i < t->rank; i++)
        count *= t->dims[i];
    return count;
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 0x1fu;
    uint32_t mantissa = half & 0x3ffu;
    if (exponent == 0x1f) return from_bits(sign | 0x7f800000u | (mantissa << 13));
    if (exponent == 0) { /* zero and subnormal: mantissa * 2^-24, exact in float */
        float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return from_bits(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

/* Through memcpy: a mapped file guarantees no alignment. */
double rmp_tensor_at(const rmp_tensor *t, int64_t i)
{
    const char *at = (const char *)t->data + (size_t)i * rmp_dtype_size(t->dtype);
    switch (t->dtype) {
    case RMP_F32: {
        float v;
        memcpy(&v, at, sizeof v);
        return (double)v;
    }
    case RMP_F16: {
        uint16_t v;
        memcpy(&v, at, sizeof v);
        return (double)half_to_float(v);
    }
    case RMP_BF16: {
        uint16_t v;
        memcpy(&v, at, sizeof v);
        return (double)from_bits((uint32_t)v << 16);
    }
    case RMP_F64: {
        double v;
        memcpy(&v, at, sizeof v);
        return v;
    }
    case RMP_I64: {
        int64_t v;
        memcpy(&v, at, sizeof v);
        return (double)v;
    }
    case RMP_I32: {
        int32_t v;
        memcpy(&v, at, sizeof v);
        return (double)v;
    }
    case RMP_U8:
        return (double)(unsigned char)*at;
    }
    return 0;
}

void rmp_tensor_read_f32(const rmp_tensor *t, int64_t begin, int64_t count, float *out)
{
    if (t->dtype == RMP_F32) {
        memcpy(out, (const char *)t->data + (size_t)begin * sizeof(float), (size_t)count * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)rmp_tensor_at(t, begin + i);
}

static const char *shape_text(int rank, const int64_t dims[], char *buffer, size_t size)
{
    size_t used = (size_t)snprintf(buffer, size, "(");
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(buffer + used, size - used, i ? ", %lld" : "%lld", (long long)dims[i]);
    if (used < size) snprintf(buffer + used, size - used, ")");
    return buffer;
}

const char *rmp_tensor_shape_text(const rmp_tensor *t, char *buffer, size_t size)
{
    return shape_text(t->rank, t->dims, buffer, size);
}

rmp_status rmp_weights_create(rmp_weights **out)
{
    *out = calloc(1, sizeof **out);
    RMP_CHECK(*out, RMP_ERR_MEMORY, "out of memory for a set of weights");
    return RMP_OK;
}

void rmp_weights_destroy(rmp_weights **weights)
{
    if (!weights || !*weights) return;
    rmp_weights *w = *weights;
    for (int64_t i = 0; i < w->count; i++)
        free(w->entries[i].name);
    for (int64_t i = w->resource_count - 1; i >= 0; i--)
        w->resources[i].release(w->resources[i].object);
    free(w->entries);
    free(w->slots);
    free(w->resources);
    free(w);
    *weights = NULL;
}

static uint64_t hash(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return h;
}

/* Slot of the name, or the free slot where it belongs; the table is never full. */
static int64_t find_slot(const rmp_weights *w, const char *name)
{
    uint64_t mask = (uint64_t)w->slot_count - 1;
    uint64_t slot = hash(name) & mask;
    while (w->slots[slot] >= 0 && strcmp(w->entries[w->slots[slot]].name, name) != 0)
        slot = (slot + 1) & mask;
    return (int64_t)slot;
}

static rmp_status grow(rmp_weights *w)
{
    int64_t capacity = w->capacity ? 2 * w->capacity : 64;
    entry *entries = realloc(w->entries, (size_t)capacity * sizeof *entries);
    RMP_CHECK(entries, RMP_ERR_MEMORY, "out of memory for %lld tensors", (long long)capacity);
    w->entries = entries;
    int64_t *slots = malloc((size_t)capacity * 2 * sizeof *slots);
    RMP_CHECK(slots, RMP_ERR_MEMORY, "out of memory for %lld tensors", (long long)capacity);
    free(w->slots);
    w->slots = slots;
    w->slot_count = capacity * 2;
    w->capacity = capacity;
    for (int64_t i = 0; i < w->slot_count; i++)
        w->slots[i] = -1;
    for (int64_t i = 0; i < w->count; i++)
        w->slots[find_slot(w, w->entries[i].name)] = i;
    return RMP_OK;
}

rmp_status rmp_weights_add(rmp_weights *weights, const char *name, const rmp_tensor *tensor)
{
    RMP_CHECK(tensor->rank >= 0 && tensor->rank <= RMP_MAX_RANK, RMP_ERR_FORMAT, "tensor '%s' has rank %d, at most %d",
              name, tensor->rank, RMP_MAX_RANK);
    if (weights->count == weights->capacity) RMP_TRY(grow(weights));
    int64_t slot = find_slot(weights, name);
    RMP_CHECK(weights->slots[slot] < 0, RMP_ERR_FORMAT, "tensor '%s' appears twice", name);
    char *copy = strdup(name);
    RMP_CHECK(copy, RMP_ERR_MEMORY, "out of memory for the name of a tensor");
    weights->entries[weights->count] = (entry){.name = copy, .tensor = *tensor};
    weights->slots[slot] = weights->count++;
    return RMP_OK;
}

rmp_status rmp_weights_adopt(rmp_weights *weights, void *object, void (*release)(void *))
{
    resource *resources =
        realloc(weights->resources, (size_t)(weights->resource_count + 1) * sizeof *weights->resources);
    RMP_CHECK(resources, RMP_ERR_MEMORY, "out of memory for a set of weights");
    weights->resources = resources;
    resources[weights->resource_count++] = (resource){object, release};
    return RMP_OK;
}

int64_t rmp_weights_count(const rmp_weights *weights) { return weights->count; }

const char *rmp_weights_name(const rmp_weights *weights, int64_t i) { return weights->entries[i].name; }

const rmp_tensor *rmp_weights_tensor(const rmp_weights *weights, int64_t i) { return &weights->entries[i].tensor; }

int64_t rmp_weights_parameters(const rmp_weights *weights)
{
    int64_t total = 0;
    for (int64_t i = 0; i < weights->count; i++)
        total += rmp_tensor_count(&weights->entries[i].tensor);
    return total;
}

static entry *find(const rmp_weights *weights, const char *name)
{
    if (!weights->count) return NULL;
    int64_t i = weights->slots[find_slot(weights, name)];
    return i < 0 ? NULL : &weights->entries[i];
}

const rmp_tensor *rmp_weights_find(const rmp_weights *weights, const char *name)
{
    const entry *found = find(weights, name);
    return found ? &found->tensor : NULL;
}

rmp_status rmp_weights_take(rmp_weights *weights, const char *name, int rank, const int64_t dims[],
                            const rmp_tensor **out)
{
    char want[128], have[128];
    *out = NULL;
    RMP_CHECK(rank >= 0 && rank <= RMP_MAX_RANK, RMP_ERR_ARGUMENT, "tensor '%s': rank %d", name, rank);
    entry *found = find(weights, name);
    if (!found) {
        if (weights->missing++ == 0)
            snprintf(weights->first_missing, sizeof weights->first_missing, "'%.160s' %s", name,
                     shape_text(rank, dims, want, sizeof want));
        return RMP_OK;
    }
    found->used = true;
    bool same = found->tensor.rank == rank;
    for (int i = 0; same && i < rank; i++)
        same = found->tensor.dims[i] == dims[i];
    if (!same) {
        if (weights->misshapen++ == 0)
            snprintf(weights->first_misshapen, sizeof weights->first_misshapen, "'%.160s' is %s, not %s", name,
                     rmp_tensor_shape_text(&found->tensor, have, sizeof have),
                     shape_text(rank, dims, want, sizeof want));
        return RMP_OK;
    }
    *out = &found->tensor;
    return RMP_OK;
}

rmp_status rmp_weights_verify(const rmp_weights *weights)
{
    int64_t unexpected = 0;
    const char *first_unexpected = "";
    for (int64_t i = 0; i < weights->count; i++) {
        if (weights->entries[i].used) continue;
        if (unexpected++ == 0) first_unexpected = weights->entries[i].name;
    }
    if (!weights->missing && !weights->misshapen && !unexpected) return RMP_OK;

    char missing[400] = "", misshapen[520] = "", extra[300] = "";
    if (weights->missing)
        snprintf(missing, sizeof missing, "; %lld missing, first %s", (long long)weights->missing,
                 weights->first_missing);
    if (weights->misshapen)
        snprintf(misshapen, sizeof misshapen, "; %lld misshapen, first %s", (long long)weights->misshapen,
                 weights->first_misshapen);
    if (unexpected)
        snprintf(extra, sizeof extra, "; %lld unexpected, first '%.160s'", (long long)unexpected, first_unexpected);
    return RMP_FAIL(RMP_ERR_FORMAT, "the weights do not fit the network%s%s%s", missing, misshapen, extra);
}
