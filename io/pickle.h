/* Reads the pickle of a PyTorch checkpoint without executing anything. A pickle is a program; this reader knows the
 * instructions that build numbers, texts, tuples, lists, dicts and tensors, and the few callables that torch.save names
 * for them. Those callables are recognised, never called: a tensor becomes a description of where its numbers lie.
 * Every other instruction or name ends the reading with an error that names it. */
#pragma once

#include "core/tensor.h"

typedef enum rmp_pickle_kind {
    RMP_PICKLE_NONE,
    RMP_PICKLE_BOOLEAN,
    RMP_PICKLE_INTEGER,
    RMP_PICKLE_REAL,
    RMP_PICKLE_TEXT,
    RMP_PICKLE_TUPLE,
    RMP_PICKLE_LIST,
    RMP_PICKLE_DICT, /* also OrderedDict */
    RMP_PICKLE_NAME, /* one of the allowed callables or types */
    RMP_PICKLE_STORAGE,
    RMP_PICKLE_TENSOR
} rmp_pickle_kind;

typedef struct rmp_pickle_value rmp_pickle_value;

typedef struct rmp_pickle_storage {
    const char *type; /* "FloatStorage"; static storage */
    bool supported;   /* whether dtype says what it is; other types may stand in parts of a file nobody reads */
    rmp_dtype dtype;
    const char *key; /* of `key_size` bytes; names the entry data/KEY */
    size_t key_size;
    int64_t count; /* elements, not negative */
} rmp_pickle_storage;

/* Not checked against the storage: rank at most RMP_MAX_RANK, dimensions and strides as the file has them, none
 * negative. */
typedef struct rmp_pickle_tensor {
    const rmp_pickle_storage *storage;
    int64_t offset; /* elements */
    int rank;
    int64_t dims[RMP_MAX_RANK], strides[RMP_MAX_RANK];
} rmp_pickle_tensor;

struct rmp_pickle_value {
    rmp_pickle_kind kind;
    union {
        int64_t integer; /* INTEGER, BOOLEAN, NAME */
        double real;
        struct {
            const char *bytes; /* not terminated, may hold zero bytes */
            size_t size;
        } text;
        struct {
            rmp_pickle_value **items; /* DICT: key, value, key, value, ... in the order of insertion */
            int64_t count, capacity;
        } list;
        rmp_pickle_storage *storage;
        rmp_pickle_tensor *tensor;
    } as;
};

typedef struct rmp_pickle rmp_pickle;

/* bytes: borrowed, must outlive *out. Values may contain themselves: who walks them must not follow them without a
 * bound. RMP_ERR_FORMAT names instruction, callable and byte. Memory: at most a constant multiple of `size`, which may
 * be 64 MiB at most; no recursion. */
rmp_status rmp_pickle_read(const void *bytes, size_t size, rmp_pickle **out) RMP_MUST_CHECK;
/* The first of several pickles, one after another; *used: its bytes. */
rmp_status rmp_pickle_read_first(const void *bytes, size_t size, rmp_pickle **out, size_t *used) RMP_MUST_CHECK;
void rmp_pickle_destroy(rmp_pickle **pickle);

const rmp_pickle_value *rmp_pickle_root(const rmp_pickle *pickle);

/* The value of a text key of a dict, the last one if it was set twice; NULL if there is none or it is no dict. */
const rmp_pickle_value *rmp_pickle_get(const rmp_pickle_value *dict, const char *key);

/* Every storage that it names, also where nobody reads it, in no order, one that is named twice perhaps twice; *out is
 * the caller's to free, the storages are the pickle's. */
rmp_status rmp_pickle_storages(const rmp_pickle *pickle, const rmp_pickle_storage ***out, size_t *count) RMP_MUST_CHECK;

bool rmp_pickle_is_text(const rmp_pickle_value *value, const char *text);

/* "a dict", "a tensor", ... for messages. */
const char *rmp_pickle_kind_name(rmp_pickle_kind kind);
