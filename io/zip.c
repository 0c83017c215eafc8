#include "io/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* APPNOTE.TXT of PKWARE, version 6.3.10: 4.3.7 local header, 4.3.12 directory, 4.3.14 to 4.3.16 ends. */
enum {
    LOCAL_SIZE = 30,
    CENTRAL_SIZE = 46,
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR_SIZE = 20,
    MAX_COMMENT = 65535,
    EXTRA_ZIP64 = 1,
    FLAG_ENCRYPTED = 1 << 0,
    FLAG_DESCRIPTOR = 1 << 3, /* sizes follow the data; the local header has zeros */
    FLAG_PATCH = 1 << 5,
    FLAG_STRONG = 1 << 6,
    FLAG_MASKED = 1 << 13,
    METHOD_DEFLATE = 8,
    FULL16 = 0xffff
};
static const uint64_t FULL32 = 0xffffffff;
static const uint32_t SIGN_LOCAL = 0x04034b50, SIGN_CENTRAL = 0x02014b50, SIGN_END = 0x06054b50,
                      SIGN_END64 = 0x06064b50, SIGN_LOCATOR = 0x07064b50;

typedef struct entry {
    rmp_zip_entry seen;  /* first: a pointer to it is one to the entry */
    char *name;          /* seen.name */
    uint64_t begin, end; /* of local header and data in the archive */
    uint32_t crc;
    bool verified;
} entry;

struct rmp_zip {
    entry *entries;
    int64_t count;
};

typedef struct directory {
    uint64_t begin, size, count;
    bool may_deflate;
} directory;

typedef struct fields { /* that both headers have */
    unsigned flags, method, name_size, extra_size;
    uint64_t crc, packed, size, offset;
    const unsigned char *name, *extra;
} fields;

static unsigned get16(const unsigned char *p) { return (unsigned)p[0] | (unsigned)p[1] << 8; }

static uint32_t get32(const unsigned char *p) { return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16; }

static uint64_t get64(const unsigned char *p) { return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32; }

/* The 64-bit end that stands in front of the end when one of its numbers is too small for its field. */
static rmp_status read_end64(const unsigned char *bytes, uint64_t end, directory *d)
{
    RMP_CHECK(end >= LOCATOR_SIZE + END64_SIZE && get32(bytes + end - LOCATOR_SIZE) == SIGN_LOCATOR, RMP_ERR_FORMAT,
              "zip archive: its ZIP64 end is missing");
    const unsigned char *locator = bytes + end - LOCATOR_SIZE;
    const uint64_t at = get64(locator + 8);
    RMP_CHECK(get32(locator + 4) == 0 && get32(locator + 16) <= 1, RMP_ERR_FORMAT,
              "zip archive: is split over several disks");
    RMP_CHECK(at <= end - LOCATOR_SIZE - END64_SIZE && get32(bytes + at) == SIGN_END64, RMP_ERR_FORMAT,
              "zip archive: its ZIP64 end is not at byte %" PRIu64, at);
    const unsigned char *end64 = bytes + at;
    RMP_CHECK(get64(end64 + 4) == end - LOCATOR_SIZE - at - 12, RMP_ERR_FORMAT,
              "zip archive: its ZIP64 end has a wrong size");
    RMP_CHECK(get32(end64 + 16) == 0 && get32(end64 + 20) == 0 && get64(end64 + 24) == get64(end64 + 32),
              RMP_ERR_FORMAT, "zip archive: is split over several disks");
    d->begin = get64(end64 + 48);
    d->size = get64(end64 + 40);
    d->count = get64(end64 + 32);
    RMP_CHECK(d->begin <= at && d->size == at - d->begin, RMP_ERR_FORMAT,
              "zip archive: is truncated, or its directory is not where it says");
    return RMP_OK;
}

static rmp_status find_directory(const unsigned char *bytes, uint64_t size, directory *d)
{
    RMP_CHECK(size >= END_SIZE, RMP_ERR_FORMAT, "zip archive: is truncated: %" PRIu64 " bytes", size);
    uint64_t end = size - END_SIZE;
    const uint64_t last = end > MAX_COMMENT ? end - MAX_COMMENT : 0;
    while (get32(bytes + end) != SIGN_END || get16(bytes + end + 20) != size - END_SIZE - end) {
        RMP_CHECK(end > last, RMP_ERR_FORMAT, "zip archive: is truncated (it has no end record)");
        end--;
    }
    const unsigned char *p = bytes + end;
    const bool wide = end >= LOCATOR_SIZE && get32(p - LOCATOR_SIZE) == SIGN_LOCATOR;
    d->begin = get32(p + 16);
    d->size = get32(p + 12);
    d->count = get16(p + 10);
    const directory narrow = *d;
    RMP_CHECK((get16(p + 4) == 0 && get16(p + 6) == 0 && get16(p + 8) == narrow.count) ||
                  (wide && get16(p + 4) == FULL16),
              RMP_ERR_FORMAT, "zip archive: is split over several disks");
    if (wide || narrow.begin == FULL32 || narrow.size == FULL32 || narrow.count == FULL16) {
        RMP_TRY(read_end64(bytes, end, d));
        RMP_CHECK((narrow.begin == FULL32 || narrow.begin == d->begin) &&
                      (narrow.size == FULL32 || narrow.size == d->size) &&
                      (narrow.count == FULL16 || narrow.count == d->count),
                  RMP_ERR_FORMAT, "zip archive: its two ends disagree");
    } else {
        RMP_CHECK(d->begin <= end && d->size == end - d->begin, RMP_ERR_FORMAT,
                  "zip archive: is truncated, or its directory is not where it says");
    }
    RMP_CHECK(d->count <= d->size / CENTRAL_SIZE, RMP_ERR_FORMAT,
              "zip archive: %" PRIu64 " entries in a directory of %" PRIu64 " bytes", d->count, d->size);
    return RMP_OK;
}

/* Replaces what is full in 32 bits by what the ZIP64 extra field has, in its fixed order. */
static rmp_status widen(fields *f, bool sizes_both, const char *name)
{
    const unsigned char *p = f->extra, *end = f->extra + f->extra_size;
    for (unsigned size; end - p >= 4; p += 4 + size) {
        const unsigned kind = get16(p);
        size = get16(p + 2);
        RMP_CHECK(size <= end - p - 4, RMP_ERR_FORMAT, "zip entry '%s': damaged extra field", name);
        if (kind != EXTRA_ZIP64) continue;
        const unsigned char *value = p + 4;
        uint64_t *const wide[] = {&f->size, &f->packed, &f->offset};
        const bool both = sizes_both && (f->size == FULL32 || f->packed == FULL32);
        for (int i = 0; i < 3; i++) {
            if (*wide[i] != FULL32 && !(both && i < 2)) continue;
            RMP_CHECK(value + 8 <= p + 4 + size, RMP_ERR_FORMAT, "zip entry '%s': short ZIP64 field", name);
            *wide[i] = get64(value);
            value += 8;
        }
        return RMP_OK;
    }
    return RMP_OK;
}

static rmp_status check_flags(const directory *d, const fields *f, const char *name)
{
    RMP_CHECK(!(f->flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_MASKED)), RMP_ERR_FORMAT,
              "zip entry '%s': is encrypted", name);
    if (d->may_deflate) {
        RMP_CHECK((f->method == 0 || f->method == METHOD_DEFLATE) && !(f->flags & FLAG_PATCH), RMP_ERR_FORMAT,
                  "zip entry '%s': is compressed by method %u; only deflate (8) is known", name, f->method);
        return RMP_OK;
    }
    RMP_CHECK(f->method == 0 && !(f->flags & FLAG_PATCH), RMP_ERR_FORMAT,
              "zip entry '%s': is compressed (method %u), as in TorchScript programs and repacked archives; torch.save "
              "stores its entries",
              name, f->method);
    return RMP_OK;
}

/* What could name anything but a file below the archive's own folder. */
static rmp_status check_name(const char *name, size_t size)
{
    RMP_CHECK(size > 0 && strlen(name) == size, RMP_ERR_FORMAT, "zip entry '%s': no name, or a zero byte in it", name);
    for (const char *p = name; *p; p++)
        RMP_CHECK((unsigned char)*p >= 0x20 && *p != 0x7f && *p != '\\', RMP_ERR_FORMAT,
                  "zip archive: an entry's name has control characters or backslashes");
    for (const char *part = name;;) {
        const size_t length = strcspn(part, "/");
        RMP_CHECK(length > 0 && !(length == 1 && part[0] == '.') && !(length == 2 && memcmp(part, "..", 2) == 0),
                  RMP_ERR_FORMAT, "zip entry '%s': is no plain relative path of a file", name);
        if (!part[length]) return RMP_OK;
        part += length + 1;
    }
}

/* The local header must tell the same as the directory. */
static rmp_status check_local(const unsigned char *bytes, const directory *d, const fields *f, entry *e)
{
    const char *name = e->name;
    RMP_CHECK(d->begin >= LOCAL_SIZE && f->offset <= d->begin - LOCAL_SIZE && get32(bytes + f->offset) == SIGN_LOCAL,
              RMP_ERR_FORMAT, "zip entry '%s': has no header at byte %" PRIu64, name, f->offset);
    const unsigned char *p = bytes + f->offset;
    fields local = {.flags = get16(p + 6),
                    .method = get16(p + 8),
                    .crc = get32(p + 14),
                    .packed = get32(p + 18),
                    .size = get32(p + 22),
                    .name_size = get16(p + 26),
                    .extra_size = get16(p + 28),
                    .name = p + LOCAL_SIZE};
    const uint64_t header = (uint64_t)LOCAL_SIZE + local.name_size + local.extra_size;
    RMP_CHECK(header <= d->begin - f->offset && f->packed <= d->begin - f->offset - header, RMP_ERR_FORMAT,
              "zip entry '%s': is truncated: %" PRIu64 " bytes at byte %" PRIu64 " of an archive of %" PRIu64, name,
              f->packed, f->offset, d->begin);
    local.extra = local.name + local.name_size;
    RMP_CHECK(local.name_size == f->name_size && memcmp(local.name, f->name, f->name_size) == 0, RMP_ERR_FORMAT,
              "zip entry '%s': has another name in its own header", name);
    RMP_TRY(check_flags(d, &local, name));
    RMP_CHECK(local.method == f->method, RMP_ERR_FORMAT, "zip entry '%s': has another method in its own header", name);
    RMP_TRY(widen(&local, true, name));
    const bool later = (local.flags & FLAG_DESCRIPTOR) != 0;
    RMP_CHECK((local.size == f->size && local.packed == f->packed && local.crc == f->crc) ||
                  (later && (local.size == 0 || local.size == f->size) &&
                   (local.packed == 0 || local.packed == f->packed) && (local.crc == 0 || local.crc == f->crc)),
              RMP_ERR_FORMAT, "zip entry '%s': has another size or check sum in its own header", name);
    e->begin = f->offset;
    e->end = f->offset + header + f->packed;
    e->crc = (uint32_t)f->crc;
    e->seen = (rmp_zip_entry){.name = name,
                              .data = p + header,
                              .size = f->packed,
                              .deflated = f->method == METHOD_DEFLATE,
                              .length = f->size};
    return RMP_OK;
}

static rmp_status read_entry(const unsigned char *bytes, const directory *d, uint64_t *at, entry *e)
{
    const uint64_t left = d->begin + d->size - *at;
    const unsigned char *p = bytes + *at;
    RMP_CHECK(left >= CENTRAL_SIZE && get32(p) == SIGN_CENTRAL, RMP_ERR_FORMAT,
              "zip archive: damaged directory at byte %" PRIu64, *at);
    fields f = {.flags = get16(p + 8),
                .method = get16(p + 10),
                .crc = get32(p + 16),
                .packed = get32(p + 20),
                .size = get32(p + 24),
                .name_size = get16(p + 28),
                .extra_size = get16(p + 30),
                .offset = get32(p + 42),
                .name = p + CENTRAL_SIZE};
    const uint64_t total = (uint64_t)CENTRAL_SIZE + f.name_size + f.extra_size + get16(p + 32);
    RMP_CHECK(total <= left, RMP_ERR_FORMAT, "zip archive: damaged directory at byte %" PRIu64, *at);
    f.extra = f.name + f.name_size;
    e->name = malloc((size_t)f.name_size + 1);
    RMP_CHECK(e->name, RMP_ERR_MEMORY, "no memory for the directory of a zip archive");
    memcpy(e->name, f.name, f.name_size);
    e->name[f.name_size] = '\0';
    RMP_TRY(check_name(e->name, f.name_size));
    RMP_TRY(check_flags(d, &f, e->name));
    RMP_TRY(widen(&f, false, e->name));
    RMP_CHECK(get16(p + 34) == 0, RMP_ERR_FORMAT, "zip entry '%s': is on another disk", e->name);
    RMP_CHECK(f.method == METHOD_DEFLATE || f.packed == f.size, RMP_ERR_FORMAT,
              "zip entry '%s': %" PRIu64 " bytes stored as %" PRIu64, e->name, f.size, f.packed);
    *at += total;
    return check_local(bytes, d, &f, e);
}

static int by_place(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    return (a->end > b->end) - (a->end < b->end);
}

static int by_name(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static rmp_status check_all(rmp_zip *zip)
{
    if (zip->count == 0) return RMP_OK;
    qsort(zip->entries, (size_t)zip->count, sizeof *zip->entries, by_place);
    for (int64_t i = 1; i < zip->count; i++)
        RMP_CHECK(zip->entries[i].begin >= zip->entries[i - 1].end, RMP_ERR_FORMAT, "zip entries '%s' and '%s' overlap",
                  zip->entries[i - 1].name, zip->entries[i].name);
    qsort(zip->entries, (size_t)zip->count, sizeof *zip->entries, by_name);
    for (int64_t i = 1; i < zip->count; i++)
        RMP_CHECK(strcmp(zip->entries[i - 1].name, zip->entries[i].name) != 0, RMP_ERR_FORMAT,
                  "zip entry '%s': appears twice", zip->entries[i].name);
    return RMP_OK;
}

static rmp_status read_archive(const void *bytes, size_t size, bool may_deflate, rmp_zip **out)
{
    directory d = {.may_deflate = may_deflate};
    *out = NULL;
    RMP_TRY(find_directory(bytes, size, &d));
    rmp_status status = RMP_OK;
    uint64_t at = d.begin;
    rmp_zip *zip = calloc(1, sizeof *zip);
    RMP_CHECK(zip, RMP_ERR_MEMORY, "no memory for the directory of a zip archive");
    zip->entries = calloc((size_t)d.count + 1, sizeof *zip->entries);
    RMP_CHECK_GOTO(zip->entries, RMP_ERR_MEMORY, failed, "no memory for the directory of a zip archive");
    while ((uint64_t)zip->count < d.count) {
        entry *next = &zip->entries[zip->count++]; /* counted first: its name is released also when it fails */
        RMP_TRY_GOTO(read_entry(bytes, &d, &at, next), failed);
    }
    RMP_CHECK_GOTO(at == d.begin + d.size, RMP_ERR_FORMAT, failed, "zip archive: bytes after its directory");
    RMP_TRY_GOTO(check_all(zip), failed);
    *out = zip;
    return RMP_OK;
failed:
    rmp_zip_destroy(&zip);
    return status;
}

rmp_status rmp_zip_read(const void *bytes, size_t size, rmp_zip **out) { return read_archive(bytes, size, false, out); }

rmp_status rmp_zip_read_deflated(const void *bytes, size_t size, rmp_zip **out)
{
    return read_archive(bytes, size, true, out);
}

void rmp_zip_destroy(rmp_zip **zip)
{
    if (!zip || !*zip) return;
    for (int64_t i = 0; i < (*zip)->count; i++)
        free((*zip)->entries[i].name);
    free((*zip)->entries);
    free(*zip);
    *zip = NULL;
}

int64_t rmp_zip_count(const rmp_zip *zip) { return zip->count; }

const rmp_zip_entry *rmp_zip_at(const rmp_zip *zip, int64_t i) { return &zip->entries[i].seen; }

const rmp_zip_entry *rmp_zip_find(const rmp_zip *zip, const char *name)
{
    entry key = {.name = (char *)(uintptr_t)name};
    const entry *found = zip->count ? bsearch(&key, zip->entries, (size_t)zip->count, sizeof key, by_name) : NULL;
    return found ? &found->seen : NULL;
}

rmp_status rmp_zip_verify(rmp_zip *zip, const rmp_zip_entry *seen, bool *has_sum)
{
    entry *e = &zip->entries[(const entry *)seen - zip->entries];
    *has_sum = e->crc != 0 || seen->size == 0;
    if (!*has_sum || e->verified) return RMP_OK;
    const uint32_t crc = (uint32_t)crc32_z(0, seen->data, seen->size);
    RMP_CHECK(crc == e->crc, RMP_ERR_FORMAT,
              "zip entry '%s': is damaged: its check sum is %08" PRIx32 ", not %08" PRIx32 " as in the archive's "
              "directory; fetch the file again",
              e->name, crc, e->crc);
    e->verified = true;
    return RMP_OK;
}

/* All of the data must become exactly `length` bytes; zlib counts in unsigned int. */
static rmp_status inflate_entry(const rmp_zip_entry *e, unsigned char *out)
{
    enum { PART = 1 << 30 };
    z_stream stream = {.next_in = (unsigned char *)(uintptr_t)e->data};
    stream.next_out = out;
    uint64_t in = e->size, room = e->length;
    /* Negative: the bare data, without the header and trailer of zlib. */
    RMP_CHECK(inflateInit2(&stream, -MAX_WBITS) == Z_OK, RMP_ERR_MEMORY, "zip entry '%s': no memory to inflate it",
              e->name);
    int code = Z_OK;
    while (code == Z_OK) {
        if (stream.avail_in == 0) {
            stream.avail_in = in < PART ? (unsigned)in : PART;
            in -= stream.avail_in;
        }
        if (stream.avail_out == 0) {
            stream.avail_out = room < PART ? (unsigned)room : PART;
            room -= stream.avail_out;
        }
        code = inflate(&stream, Z_NO_FLUSH);
    }
    const bool whole = code == Z_STREAM_END && in + stream.avail_in == 0 && room + stream.avail_out == 0;
    inflateEnd(&stream);
    RMP_CHECK(code != Z_MEM_ERROR, RMP_ERR_MEMORY, "zip entry '%s': no memory to inflate it", e->name);
    RMP_CHECK(whole, RMP_ERR_FORMAT, "zip entry '%s': is damaged: its %" PRIu64 " bytes are not %" PRIu64 " deflated",
              e->name, e->size, e->length);
    return RMP_OK;
}

rmp_status rmp_zip_extract(rmp_zip *zip, const rmp_zip_entry *seen, void *out)
{
    entry *e = &zip->entries[(const entry *)seen - zip->entries];
    if (seen->deflated) {
        RMP_TRY(inflate_entry(seen, out));
    } else if (seen->length > 0) {
        memcpy(out, seen->data, seen->length);
    }
    const uint32_t crc = (uint32_t)crc32_z(0, out, seen->length);
    RMP_CHECK(crc == e->crc, RMP_ERR_FORMAT,
              "zip entry '%s': is damaged: its check sum is %08" PRIx32 ", not %08" PRIx32 " as in the archive's "
              "directory; fetch the file again",
              e->name, crc, e->crc);
    e->verified = e->verified || !seen->deflated;
    return RMP_OK;
}
