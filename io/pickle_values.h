/* Inside io/pickle*.c: values under construction. */
#pragma once

#include "io/pickle.h"

typedef enum pickle_name {
    PICKLE_REBUILD_TENSOR,
    PICKLE_REBUILD_PARAMETER,
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

rmp_status pickle_append(rmp_pickle_value *list, rmp_pickle_value *item) RMP_MUST_CHECK;

/* The allowed global of that module and name; the error names it. */
rmp_status pickle_global(pickle_values *values, const char *module, size_t module_size, const char *name,
                         size_t name_size, rmp_pickle_value **out) RMP_MUST_CHECK;

/* What callable(*arguments) would be. */
rmp_status pickle_call(pickle_values *values, const rmp_pickle_value *callable, const rmp_pickle_value *arguments,
                       rmp_pickle_value **out) RMP_MUST_CHECK;

/* What the persistent id ('storage', type, key, device, elements) names. */
rmp_status pickle_persistent(pickle_values *values, const rmp_pickle_value *id, rmp_pickle_value **out) RMP_MUST_CHECK;
