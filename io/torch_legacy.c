#include "io/torch_legacy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1001 };

const unsigned char torch_legacy_magic[TORCH_LEGACY_MAGIC] = {0x80, 2,    0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                                              0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

typedef struct place {
    const rmp_pickle_storage *storage;
    const unsigned char *data; /* NULL: the file has not come to it yet */
} place;

struct torch_legacy {
    rmp_pickle *pickle;
    place *places; /* by key, each key once */
    size_t count;
};

static int compare_keys(const char *a, size_t a_size, const char *b, size_t b_size)
{
    const int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static int by_key(const void *a, const void *b)
{
    const rmp_pickle_storage *x = ((const place *)a)->storage, *y = ((const place *)b)->storage;
    return compare_keys(x->key, x->key_size, y->key, y->key_size);
}

static place *find_place(const torch_legacy *file, const char *key, size_t key_size)
{
    const rmp_pickle_storage wanted = {.key = key, .key_size = key_size};
    const place probe = {.storage = &wanted};
    return file->count ? bsearch(&probe, file->places, file->count, sizeof probe, by_key) : NULL;
}

/* One place for every key. */
static rmp_status collect(torch_legacy *file)
{
    const rmp_pickle_storage **list = NULL;
    size_t count = 0;
    RMP_TRY(rmp_pickle_storages(file->pickle, &list, &count));
    file->places = calloc(count + 1, sizeof *file->places);
    for (size_t i = 0; file->places && i < count; i++)
        file->places[i].storage = list[i];
    free((void *)list);
    RMP_CHECK(file->places, RMP_ERR_MEMORY, "no memory for the storages of a checkpoint");
    qsort(file->places, count, sizeof *file->places, by_key);
    for (size_t i = 0; i < count; i++) {
        const place *last = file->count ? &file->places[file->count - 1] : NULL;
        if (!last || by_key(last, &file->places[i]) != 0) {
            file->places[file->count++] = file->places[i];
            continue;
        }
        const rmp_pickle_storage *a = last->storage, *b = file->places[i].storage;
        RMP_CHECK(strcmp(a->type, b->type) == 0 && a->count == b->count, RMP_ERR_FORMAT,
                  "has two storages of one name: %" PRId64 " elements of %s, %" PRId64 " of %s", a->count, a->type,
                  b->count, b->type);
    }
    return RMP_OK;
}

/* Bytes of an element, also of types that are not read but lie between others. */
static size_t element_size(const rmp_pickle_storage *s)
{
    if (s->supported) return rmp_dtype_size(s->dtype);
    return strcmp(s->type, "ShortStorage") == 0 ? 2 : 1;
}

static rmp_status place_storages(torch_legacy *file, const rmp_pickle_value *keys, const unsigned char *bytes,
                                 size_t size, size_t at)
{
    RMP_CHECK(keys->kind == RMP_PICKLE_LIST, RMP_ERR_FORMAT, "names its storages in %s, not a list",
              rmp_pickle_kind_name(keys->kind));
    for (int64_t i = 0; i < keys->as.list.count; i++) {
        const rmp_pickle_value *key = keys->as.list.items[i];
        RMP_CHECK(key->kind == RMP_PICKLE_TEXT, RMP_ERR_FORMAT, "storage %" PRId64 " has no name", i);
        place *p = find_place(file, key->as.text.bytes, key->as.text.size);
        RMP_CHECK(p && !p->data, RMP_ERR_FORMAT, "storage %" PRId64 " is none of a tensor, or is there twice", i);
        uint64_t count = 0;
        RMP_CHECK(sizeof count <= size - at, RMP_ERR_FORMAT, "is truncated at storage %" PRId64, i);
        memcpy(&count, bytes + at, sizeof count);
        at += sizeof count;
        RMP_CHECK(count == (uint64_t)p->storage->count, RMP_ERR_FORMAT,
                  "storage %" PRId64 " has %" PRIu64 " elements, not %" PRId64, i, count, p->storage->count);
        const size_t element = element_size(p->storage);
        RMP_CHECK(count <= (size - at) / element, RMP_ERR_FORMAT, "is truncated in storage %" PRId64, i);
        p->data = bytes + at;
        at += (size_t)count * element;
    }
    RMP_CHECK(at == size, RMP_ERR_FORMAT, "has %zu bytes after its last storage", size - at);
    return RMP_OK;
}

static rmp_status check_machine(const rmp_pickle_value *version, const rmp_pickle_value *machine)
{
    RMP_CHECK(version->kind == RMP_PICKLE_INTEGER && version->as.integer == VERSION, RMP_ERR_FORMAT,
              "is of another version of the format from before PyTorch 1.6 than %d", (int)VERSION);
    const rmp_pickle_value *little = rmp_pickle_get(machine, "little_endian");
    RMP_CHECK(little && little->kind == RMP_PICKLE_BOOLEAN && little->as.integer, RMP_ERR_FORMAT,
              "was written on a big-endian machine; only little-endian checkpoints are read");
    return RMP_OK;
}

static rmp_status read_parts(torch_legacy *file, const unsigned char *bytes, size_t size)
{
    rmp_pickle *version = NULL, *machine = NULL, *keys = NULL;
    rmp_pickle **const parts[] = {&version, &machine, &file->pickle, &keys};
    size_t at = TORCH_LEGACY_MAGIC, used = 0;
    rmp_status status = RMP_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        RMP_TRY_GOTO(rmp_pickle_read_first(bytes + at, size - at, parts[i], &used), done);
        at += used;
        if (machine && !file->pickle)
            RMP_TRY_GOTO(check_machine(rmp_pickle_root(version), rmp_pickle_root(machine)), done);
    }
    RMP_TRY_GOTO(collect(file), done);
    status = place_storages(file, rmp_pickle_root(keys), bytes, size, at);
done:
    rmp_pickle_destroy(&version);
    rmp_pickle_destroy(&machine);
    rmp_pickle_destroy(&keys);
    return status;
}

rmp_status torch_legacy_read(const unsigned char *bytes, size_t size, torch_legacy **out)
{
    *out = NULL;
    torch_legacy *file = calloc(1, sizeof *file);
    RMP_CHECK(file, RMP_ERR_MEMORY, "no memory for a checkpoint");
    const rmp_status status = read_parts(file, bytes, size);
    if (status != RMP_OK)
        torch_legacy_destroy(&file);
    else
        *out = file;
    return status;
}

void torch_legacy_destroy(torch_legacy **file)
{
    if (!file || !*file) return;
    rmp_pickle_destroy(&(*file)->pickle);
    free((*file)->places);
    free(*file);
    *file = NULL;
}

const rmp_pickle_value *torch_legacy_root(const torch_legacy *file) { return rmp_pickle_root(file->pickle); }

const unsigned char *torch_legacy_find(const torch_legacy *file, const rmp_pickle_storage *storage)
{
    const place *p = find_place(file, storage->key, storage->key_size);
    return p ? p->data : NULL;
}
