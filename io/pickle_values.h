/* Inside io/pickle*.c: values under construction. */
#pragma once

#include "io/pickle.h"

typedef enum pickle_name {
    PICKLE_REBUILD_TENSOR,
    PICKLE_REBUILD_TENSOR_1, /* of PyTorch 0.3 and before */
    PICKLE_REBUILD_PARAMETER,
    PICKLE_PARAMETER, /* the class itself, of PyTorch 0.3 and before */
    PICKLE_ORDERED_DICT,
    PICKLE_SIZE,
    PICKLE_FIRST_STORAGE /* and the other storages after it */
} pickle_name;

typedef struct pickle_block pickle_block;

/* All values of one pickle; they live as long as it does. */
typedef struct pickle_values {
    pickle_block *blocks; /* newest first */
} pickle_values;

rmp_status pickle_new(pickle_values *values, rmp_pickle_kind kind, rmp_pickle_value **out) RMP_MUST_CHECK;
void pickle_release(pickle_values *values);
/* The storages among them, in no order; *out is the caller's to free. */
rmp_status pickle_list_storages(const pickle_values *values, const rmp_pickle_storage ***out,
                                size_t *count) RMP_MUST_CHECK;

rmp_status pickle_append(rmp_pickle_value *list, rmp_pickle_value *item) RMP_MUST_CHECK;

/* The allowed global of that module and name; the error names it. */
rmp_status pickle_global(pickle_values *values, const char *module, size_t module_size, const char *name,
                         size_t name_size, rmp_pickle_value **out) RMP_MUST_CHECK;

/* What callable(*arguments) would be. */
rmp_status pickle_call(pickle_values *values, const rmp_pickle_value *callable, const rmp_pickle_value *arguments,
                       rmp_pickle_value **out) RMP_MUST_CHECK;

/* What the persistent id ('storage', type, key, device, elements[, None]) names; the last one is in files from before
 * PyTorch 1.6. */
rmp_status pickle_persistent(pickle_values *values, const rmp_pickle_value *id, rmp_pickle_value **out) RMP_MUST_CHECK;
