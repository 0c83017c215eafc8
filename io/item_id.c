#include "io/item_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct slot {
    uint64_t hash;  /* 0 = free */
    uint64_t tried; /* suffixes that were given out for this id */
} slot;

struct rmp_item_ids {
    slot *slots;
    size_t capacity, used; /* capacity is a power of 2 */
};

rmp_status rmp_item_ids_create(rmp_item_ids **out)
{
    rmp_item_ids *ids = calloc(1, sizeof *ids);
    *out = ids;
    RMP_CHECK(ids, RMP_ERR_MEMORY, "no memory for the names of the items");
    ids->capacity = 1024;
    ids->slots = calloc(ids->capacity, sizeof *ids->slots);
    if (ids->slots) return RMP_OK;
    rmp_item_ids_destroy(out);
    return RMP_FAIL(RMP_ERR_MEMORY, "no memory for the names of the items");
}

void rmp_item_ids_destroy(rmp_item_ids **ids)
{
    if (!*ids) return;
    free((*ids)->slots);
    free(*ids);
    *ids = NULL;
}

static uint64_t hash_of(const char *id)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * UINT64_C(0x100000001b3);
    h = (h ^ h >> 32) * UINT64_C(0x9E3779B97F4A7C15); /* the low bits choose the slot */
    h ^= h >> 29;
    return h ? h : 1;
}

/* The slot that has the hash, or the free one where it belongs. */
static slot *find(slot *slots, size_t capacity, uint64_t hash)
{
    size_t i = (size_t)hash & (capacity - 1);
    while (slots[i].hash && slots[i].hash != hash)
        i = (i + 1) & (capacity - 1);
    return &slots[i];
}

static rmp_status make_room(rmp_item_ids *ids)
{
    if (ids->used * 3 < ids->capacity * 2) return RMP_OK;
    slot *grown = calloc(ids->capacity * 2, sizeof *grown);
    RMP_CHECK(grown, RMP_ERR_MEMORY, "no memory for the names of %zu items", ids->used);
    for (size_t i = 0; i < ids->capacity; i++)
        if (ids->slots[i].hash) *find(grown, ids->capacity * 2, ids->slots[i].hash) = ids->slots[i];
    free(ids->slots);
    ids->slots = grown;
    ids->capacity *= 2;
    return RMP_OK;
}

/* Bytes of the UTF-8 character at `text`, 0 if there is none: no overlong forms, no surrogates. */
static size_t character(const unsigned char *text)
{
    if (text[0] < 0x80) return 1;
    const size_t size = text[0] >= 0xc2 && text[0] < 0xe0 ? 2
                        : (text[0] & 0xf0) == 0xe0        ? 3
                        : (text[0] & 0xf8) == 0xf0        ? 4
                                                          : 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    if (size == 3 && ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] >= 0xa0))) return 0;
    if (size == 4 && ((text[0] == 0xf0 && text[1] < 0x90) || text[0] > 0xf4 || (text[0] == 0xf4 && text[1] >= 0x90)))
        return 0;
    return size;
}

static void make_safe(const char *wish, size_t length, char *id)
{
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        const unsigned char *at = (const unsigned char *)wish + i;
        size_t size = character(at);
        if (size > length - i) size = 0;
        const bool bad = size == 0 || *at < 0x20 || *at == 0x7f || *at == '/' || (*at == '.' && i == 0) ||
                         (size == 2 && at[0] == 0xc2 && at[1] < 0xa0); /* C1 control characters */
        const size_t width = bad ? 1 : size;
        if (used + width > RMP_ITEM_ID_MAX) break;
        if (bad)
            id[used] = '_';
        else
            memcpy(id + used, at, width);
        used += width;
        i += size ? size : 1;
    }
    id[used] = '\0';
    if (used == 0) strcpy(id, "item");
}

static rmp_status add(rmp_item_ids *ids, const char *wish, size_t length, bool suffix, char *id, bool *taken)
{
    RMP_TRY(make_room(ids));
    make_safe(wish, length, id);
    slot *base = find(ids->slots, ids->capacity, hash_of(id));
    *taken = base->hash != 0;
    if (!*taken) {
        base->hash = hash_of(id);
        ids->used++;
        return RMP_OK;
    }
    if (!suffix) return RMP_OK;
    char stem[RMP_ITEM_ID_MAX + 1], tail[24];
    slot *free_slot;
    strcpy(stem, id);
    do {
        snprintf(tail, sizeof tail, "-%" PRIu64, ++base->tried + 1);
        size_t keep = strlen(stem), room = RMP_ITEM_ID_MAX - strlen(tail);
        if (keep > room) keep = room;
        while (keep > 0 && ((unsigned char)stem[keep] & 0xc0) == 0x80)
            keep--; /* not inside a character */
        snprintf(id, RMP_ITEM_ID_MAX + 1, "%.*s%s", (int)keep, stem, tail);
        free_slot = find(ids->slots, ids->capacity, hash_of(id));
    } while (free_slot->hash);
    free_slot->hash = hash_of(id);
    ids->used++;
    *taken = false;
    return RMP_OK;
}

rmp_status rmp_item_ids_add(rmp_item_ids *ids, const char *wish, bool suffix, char *id, bool *taken)
{
    return add(ids, wish, strlen(wish), suffix, id, taken);
}

rmp_status rmp_item_ids_add_file(rmp_item_ids *ids, const char *path, char *id)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    bool taken;
    return add(ids, name, dot && dot != name ? (size_t)(dot - name) : strlen(name), true, id, &taken);
}
