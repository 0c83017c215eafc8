#include "io/pickle_values.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_VALUES = 256, MAX_SHOWN = 60 };

struct pickle_block {
    pickle_block *next;
    int used;
    rmp_pickle_value values[BLOCK_VALUES];
};

static const struct {
    const char *module, *name;
    bool supported;
    rmp_dtype dtype;
} NAMES[] = {
    {"torch._utils", "_rebuild_tensor_v2", false, RMP_F32},
    {"torch._utils", "_rebuild_tensor", false, RMP_F32},
    {"torch._utils", "_rebuild_parameter", false, RMP_F32},
    {"torch.nn.parameter", "Parameter", false, RMP_F32},
    {"collections", "OrderedDict", false, RMP_F32},
    {"torch", "Size", false, RMP_F32},
    {"torch", "FloatStorage", true, RMP_F32},
    {"torch", "HalfStorage", true, RMP_F16},
    {"torch", "BFloat16Storage", true, RMP_BF16},
    {"torch", "DoubleStorage", true, RMP_F64},
    {"torch", "LongStorage", true, RMP_I64},
    {"torch", "IntStorage", true, RMP_I32},
    {"torch", "ByteStorage", true, RMP_U8},
    {"torch", "BoolStorage", true, RMP_U8},
    {"torch", "ShortStorage", false, RMP_F32},
    {"torch", "CharStorage", false, RMP_F32},
};
enum { NAME_COUNT = sizeof NAMES / sizeof *NAMES };

static void release_value(rmp_pickle_value *value)
{
    switch (value->kind) {
    case RMP_PICKLE_TUPLE:
    case RMP_PICKLE_LIST:
    case RMP_PICKLE_DICT:
        free(value->as.list.items);
        break;
    case RMP_PICKLE_STORAGE:
        free(value->as.storage);
        break;
    case RMP_PICKLE_TENSOR:
        free(value->as.tensor);
        break;
    default:
        break;
    }
}

void pickle_release(pickle_values *values)
{
    for (pickle_block *block = values->blocks, *next; block; block = next) {
        next = block->next;
        for (int i = 0; i < block->used; i++)
            release_value(&block->values[i]);
        free(block);
    }
    values->blocks = NULL;
}

rmp_status pickle_list_storages(const pickle_values *values, const rmp_pickle_storage ***out, size_t *count)
{
    const rmp_pickle_storage **list = NULL;
    size_t capacity = 0;
    *count = 0;
    for (const pickle_block *block = values->blocks; block; block = block->next)
        for (int i = 0; i < block->used; i++) {
            if (block->values[i].kind != RMP_PICKLE_STORAGE) continue;
            if (*count == capacity) {
                capacity = 2 * capacity + 64;
                void *more = realloc((void *)list, capacity * sizeof *list);
                if (!more) free((void *)list);
                RMP_CHECK(more, RMP_ERR_MEMORY, "no memory for the contents of a pickle");
                list = more;
            }
            list[(*count)++] = block->values[i].as.storage;
        }
    *out = list;
    return RMP_OK;
}

rmp_status pickle_new(pickle_values *values, rmp_pickle_kind kind, rmp_pickle_value **out)
{
    if (!values->blocks || values->blocks->used == BLOCK_VALUES) {
        pickle_block *block = malloc(sizeof *block);
        RMP_CHECK(block, RMP_ERR_MEMORY, "no memory for the contents of a pickle");
        block->next = values->blocks;
        block->used = 0;
        values->blocks = block;
    }
    *out = &values->blocks->values[values->blocks->used++];
    **out = (rmp_pickle_value){.kind = kind};
    return RMP_OK;
}

rmp_status pickle_append(rmp_pickle_value *list, rmp_pickle_value *item)
{
    if (list->as.list.count == list->as.list.capacity) {
        const int64_t capacity = list->as.list.capacity ? 2 * list->as.list.capacity : 4;
        rmp_pickle_value **items = realloc(list->as.list.items, (size_t)capacity * sizeof(rmp_pickle_value *));
        RMP_CHECK(items, RMP_ERR_MEMORY, "no memory for the contents of a pickle");
        list->as.list.items = items;
        list->as.list.capacity = capacity;
    }
    list->as.list.items[list->as.list.count++] = item;
    return RMP_OK;
}

static bool same(const char *text, const char *bytes, size_t size)
{
    return strlen(text) == size && memcmp(text, bytes, size) == 0;
}

/* Printable, whatever the file holds. */
static void show(const char *bytes, size_t size, char out[static MAX_SHOWN + 1])
{
    const size_t length = size < MAX_SHOWN ? size : MAX_SHOWN;
    for (size_t i = 0; i < length; i++)
        out[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '?';
    out[length] = '\0';
}

rmp_status pickle_global(pickle_values *values, const char *module, size_t module_size, const char *name,
                         size_t name_size, rmp_pickle_value **out)
{
    for (int i = 0; i < NAME_COUNT; i++) {
        if (!same(NAMES[i].module, module, module_size) || !same(NAMES[i].name, name, name_size)) continue;
        RMP_TRY(pickle_new(values, RMP_PICKLE_NAME, out));
        (*out)->as.integer = i;
        return RMP_OK;
    }
    char shown_module[MAX_SHOWN + 1], shown_name[MAX_SHOWN + 1];
    show(module, module_size, shown_module);
    show(name, name_size, shown_name);
    return RMP_FAIL(
        RMP_ERR_FORMAT,
        "uses the Python object '%s.%s', which no weights need: it is not loaded; save the state dict alone: "
        "torch.save(model.state_dict(), FILE)",
        shown_module, shown_name);
}

/* A tuple (or torch.Size) of sizes. */
static rmp_status get_sizes(const rmp_pickle_value *value, const char *what, int64_t out[static RMP_MAX_RANK],
                            int *rank)
{
    RMP_CHECK(value->kind == RMP_PICKLE_TUPLE && value->as.list.count <= RMP_MAX_RANK, RMP_ERR_FORMAT,
              "a tensor's %s is %s, not a tuple of at most %d integers", what, rmp_pickle_kind_name(value->kind),
              (int)RMP_MAX_RANK);
    *rank = (int)value->as.list.count;
    for (int i = 0; i < *rank; i++) {
        const rmp_pickle_value *item = value->as.list.items[i];
        RMP_CHECK(item->kind == RMP_PICKLE_INTEGER && item->as.integer >= 0, RMP_ERR_FORMAT,
                  "a tensor's %s has %s where a size is needed", what,
                  item->kind == RMP_PICKLE_INTEGER ? "a negative number" : rmp_pickle_kind_name(item->kind));
        out[i] = item->as.integer;
    }
    return RMP_OK;
}

/* Attributes of a Python object that is to be given none. */
static bool is_empty(const rmp_pickle_value *value)
{
    return value->kind == RMP_PICKLE_NONE || (value->kind == RMP_PICKLE_DICT && value->as.list.count == 0);
}

/* (storage, offset, size, stride, requires_grad, backward_hooks[, metadata]); the first four in version 1 */
static rmp_status rebuild_tensor(pickle_values *values, const rmp_pickle_value *arguments, bool version_1,
                                 rmp_pickle_value **out)
{
    rmp_pickle_value *const *a = arguments->as.list.items;
    const int64_t count = arguments->as.list.count;
    RMP_CHECK(version_1 ? count == 4 : count == 6 || count == 7, RMP_ERR_FORMAT,
              "a tensor made from %" PRId64 " arguments", count);
    RMP_CHECK(a[0]->kind == RMP_PICKLE_STORAGE, RMP_ERR_FORMAT, "a tensor made from %s, not a storage",
              rmp_pickle_kind_name(a[0]->kind));
    RMP_CHECK(a[1]->kind == RMP_PICKLE_INTEGER && a[1]->as.integer >= 0, RMP_ERR_FORMAT,
              "a tensor's offset is no size");
    RMP_CHECK(version_1 || (a[4]->kind == RMP_PICKLE_BOOLEAN && is_empty(a[5])), RMP_ERR_FORMAT, "a tensor with hooks");
    rmp_pickle_tensor t = {.storage = a[0]->as.storage, .offset = a[1]->as.integer};
    int strides = 0;
    RMP_TRY(get_sizes(a[2], "shape", t.dims, &t.rank));
    RMP_TRY(get_sizes(a[3], "stride", t.strides, &strides));
    RMP_CHECK(strides == t.rank, RMP_ERR_FORMAT, "a tensor of %d dimensions with %d strides", t.rank, strides);
    rmp_pickle_tensor *copy = malloc(sizeof *copy);
    RMP_CHECK(copy, RMP_ERR_MEMORY, "no memory for the contents of a pickle");
    *copy = t;
    const rmp_status status = pickle_new(values, RMP_PICKLE_TENSOR, out);
    if (status != RMP_OK)
        free(copy);
    else
        (*out)->as.tensor = copy;
    return status;
}

/* OrderedDict(), or of a list of pairs, as Python 2 writes it. */
static rmp_status ordered_dict(pickle_values *values, const rmp_pickle_value *arguments, rmp_pickle_value **out)
{
    const int64_t count = arguments->as.list.count;
    const rmp_pickle_value *list = count == 1 ? arguments->as.list.items[0] : NULL;
    RMP_CHECK(count == 0 || (list && list->kind == RMP_PICKLE_LIST), RMP_ERR_FORMAT,
              "an OrderedDict made from arguments that are no list");
    RMP_TRY(pickle_new(values, RMP_PICKLE_DICT, out));
    for (int64_t i = 0; list && i < list->as.list.count; i++) {
        const rmp_pickle_value *pair = list->as.list.items[i];
        RMP_CHECK((pair->kind == RMP_PICKLE_LIST || pair->kind == RMP_PICKLE_TUPLE) && pair->as.list.count == 2,
                  RMP_ERR_FORMAT, "an OrderedDict made from a list of other things than pairs");
        RMP_TRY(pickle_append(*out, pair->as.list.items[0]));
        RMP_TRY(pickle_append(*out, pair->as.list.items[1]));
    }
    return RMP_OK;
}

rmp_status pickle_call(pickle_values *values, const rmp_pickle_value *callable, const rmp_pickle_value *arguments,
                       rmp_pickle_value **out)
{
    RMP_CHECK(callable->kind == RMP_PICKLE_NAME && arguments->kind == RMP_PICKLE_TUPLE, RMP_ERR_FORMAT,
              "REDUCE calls %s with %s", rmp_pickle_kind_name(callable->kind), rmp_pickle_kind_name(arguments->kind));
    rmp_pickle_value *const *a = arguments->as.list.items;
    const int64_t count = arguments->as.list.count;
    switch (callable->as.integer) {
    case PICKLE_REBUILD_TENSOR:
        return rebuild_tensor(values, arguments, false, out);
    case PICKLE_REBUILD_TENSOR_1:
        return rebuild_tensor(values, arguments, true, out);
    case PICKLE_PARAMETER: /* (tensor[, requires_grad]) */
        RMP_CHECK((count == 1 || count == 2) && a[0]->kind == RMP_PICKLE_TENSOR, RMP_ERR_FORMAT,
                  "a parameter that is no tensor");
        *out = a[0];
        return RMP_OK;
    case PICKLE_REBUILD_PARAMETER: /* (tensor, requires_grad, hooks): to us the tensor itself */
        RMP_CHECK(count == 3 && a[0]->kind == RMP_PICKLE_TENSOR, RMP_ERR_FORMAT, "a parameter that is no tensor");
        *out = a[0];
        return RMP_OK;
    case PICKLE_ORDERED_DICT:
        return ordered_dict(values, arguments, out);
    case PICKLE_SIZE:
        RMP_CHECK(count == 1 && a[0]->kind == RMP_PICKLE_TUPLE, RMP_ERR_FORMAT, "a torch.Size that is no tuple");
        *out = a[0];
        return RMP_OK;
    default:
        return RMP_FAIL(RMP_ERR_FORMAT, "REDUCE calls %s.%s, which is a type of storage",
                        NAMES[callable->as.integer].module, NAMES[callable->as.integer].name);
    }
}

rmp_status pickle_persistent(pickle_values *values, const rmp_pickle_value *id, rmp_pickle_value **out)
{
    rmp_pickle_value *const *a = id->kind == RMP_PICKLE_TUPLE ? id->as.list.items : NULL;
    const int64_t count = a ? id->as.list.count : 0;
    RMP_CHECK(count == 5 || (count == 6 && a[5]->kind == RMP_PICKLE_NONE), RMP_ERR_FORMAT,
              "a persistent id that is no storage");
    RMP_CHECK(rmp_pickle_is_text(a[0], "storage") && a[1]->kind == RMP_PICKLE_NAME &&
                  a[1]->as.integer >= PICKLE_FIRST_STORAGE && a[2]->kind == RMP_PICKLE_TEXT &&
                  a[3]->kind == RMP_PICKLE_TEXT && a[4]->kind == RMP_PICKLE_INTEGER && a[4]->as.integer >= 0,
              RMP_ERR_FORMAT, "a persistent id that is no storage");
    rmp_pickle_storage *s = malloc(sizeof *s);
    RMP_CHECK(s, RMP_ERR_MEMORY, "no memory for the contents of a pickle");
    *s = (rmp_pickle_storage){.type = NAMES[a[1]->as.integer].name,
                              .supported = NAMES[a[1]->as.integer].supported,
                              .dtype = NAMES[a[1]->as.integer].dtype,
                              .key = a[2]->as.text.bytes,
                              .key_size = a[2]->as.text.size,
                              .count = a[4]->as.integer};
    const rmp_status status = pickle_new(values, RMP_PICKLE_STORAGE, out);
    if (status != RMP_OK)
        free(s);
    else
        (*out)->as.storage = s;
    return status;
}

bool rmp_pickle_is_text(const rmp_pickle_value *value, const char *text)
{
    return value->kind == RMP_PICKLE_TEXT && same(text, value->as.text.bytes, value->as.text.size);
}

const rmp_pickle_value *rmp_pickle_get(const rmp_pickle_value *dict, const char *key)
{
    if (!dict || dict->kind != RMP_PICKLE_DICT) return NULL;
    for (int64_t i = dict->as.list.count - 2; i >= 0; i -= 2)
        if (rmp_pickle_is_text(dict->as.list.items[i], key)) return dict->as.list.items[i + 1];
    return NULL;
}

const char *rmp_pickle_kind_name(rmp_pickle_kind kind)
{
    static const char *const names[] = {"None",   "a boolean", "an integer",          "a number",  "a text",  "a tuple",
                                        "a list", "a dict",    "the name of a class", "a storage", "a tensor"};
    return names[kind];
}
