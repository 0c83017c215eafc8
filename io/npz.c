#include "io/npz.h"

#include "io/file.h"
#include "io/zip.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* APPNOTE.TXT of PKWARE, version 6.3.10: 4.3.7, 4.3.12, 4.3.16; numpy.lib.format: "Format Version 1.0". */
enum {
    LOCAL_SIZE = 30,
    CENTRAL_SIZE = 46,
    END_SIZE = 22,
    NPY_PREFIX = 10,        /* magic, version 1.0, length of the header */
    NPY_HEADER = 128,       /* all of it, as NumPy pads it for these shapes */
    NPY_MAX_HEADER = 65536, /* that is read */
    MAX_ARRAYS = 8,
    NAME = 64,
    DOS_DATE = 1 << 5 | 1 /* 1 January 1980: files of the same numbers are the same */
};
static const unsigned char magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

static int64_t numbers(const rmp_npz_array *a) { return a->dims[0] * (a->rank == 2 ? a->dims[1] : 1); }

/* ---- writing ---- */

static unsigned char *put(unsigned char *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++, value >>= 8)
        *to++ = (unsigned char)(value & 255u);
    return to;
}

static void make_npy_header(const rmp_npz_array *a, unsigned char header[NPY_HEADER])
{
    char shape[64], text[NPY_HEADER];
    if (a->rank == 2)
        snprintf(shape, sizeof shape, "(%" PRId64 ", %" PRId64 ")", a->dims[0], a->dims[1]);
    else
        snprintf(shape, sizeof shape, "(%" PRId64 ",)", a->dims[0]);
    const int used = snprintf(text, sizeof text, "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }", shape);
    memset(header, ' ', NPY_HEADER);
    memcpy(header, magic, sizeof magic);
    header[6] = 1;
    header[7] = 0;
    put(header + 8, NPY_HEADER - NPY_PREFIX, 2);
    memcpy(header + NPY_PREFIX, text, (size_t)used);
    header[NPY_HEADER - 1] = '\n';
}

typedef struct stored { /* one entry of an archive that is written */
    char name[NAME + 4];
    uint64_t offset, size;
    uint32_t crc;
} stored;

/* Version, flags, method, time, date, check sum, both sizes, length of the name, no extra field: what both headers
 * have.
 */
static unsigned char *put_fields(unsigned char *to, const stored *e)
{
    to = put(to, 20, 2);
    to = put(to, 0, 6);
    to = put(to, DOS_DATE, 2);
    to = put(to, e->crc, 4);
    to = put(to, e->size, 4);
    to = put(to, e->size, 4);
    to = put(to, strlen(e->name), 2);
    return put(to, 0, 2);
}

static rmp_status write_entry(rmp_file_writer *writer, const rmp_npz_array *a, uint64_t *at, stored *e)
{
    unsigned char header[NPY_HEADER], local[LOCAL_SIZE];
    const size_t size = (size_t)numbers(a) * sizeof(double);
    make_npy_header(a, header);
    snprintf(e->name, sizeof e->name, "%s.npy", a->name);
    e->offset = *at;
    e->size = NPY_HEADER + size;
    RMP_CHECK(e->offset + e->size < UINT32_MAX - 65536, RMP_ERR_ARGUMENT, "array %s is too large for a .npz file",
              a->name);
    e->crc = (uint32_t)crc32_z(crc32_z(0, header, sizeof header), (const unsigned char *)a->values, size);
    put_fields(put(local, 0x04034b50, 4), e);
    RMP_TRY(rmp_file_writer_append(writer, local, sizeof local));
    RMP_TRY(rmp_file_writer_append(writer, e->name, strlen(e->name)));
    RMP_TRY(rmp_file_writer_append(writer, header, sizeof header));
    RMP_TRY(rmp_file_writer_append(writer, a->values, size));
    *at += LOCAL_SIZE + strlen(e->name) + e->size;
    return RMP_OK;
}

static rmp_status write_directory(rmp_file_writer *writer, int count, const stored entries[], uint64_t begin)
{
    unsigned char bytes[CENTRAL_SIZE], end[END_SIZE], *to;
    uint64_t size = 0;
    for (int i = 0; i < count; i++) {
        const stored *e = &entries[i];
        to = put(put(bytes, 0x02014b50, 4), 20, 2);
        to = put_fields(to, e);
        to = put(to, 0, 10); /* comment, disk, attributes */
        put(to, e->offset, 4);
        RMP_TRY(rmp_file_writer_append(writer, bytes, sizeof bytes));
        RMP_TRY(rmp_file_writer_append(writer, e->name, strlen(e->name)));
        size += CENTRAL_SIZE + strlen(e->name);
    }
    to = put(put(end, 0x06054b50, 4), 0, 4);
    to = put(put(to, (uint64_t)count, 2), (uint64_t)count, 2);
    put(put(put(to, size, 4), begin, 4), 0, 2);
    return rmp_file_writer_append(writer, end, sizeof end);
}

rmp_status rmp_npz_write(const char *dir, const char *name, int count, const rmp_npz_array arrays[])
{
    stored entries[MAX_ARRAYS];
    rmp_file_writer *writer = NULL;
    uint64_t at = 0;
    rmp_status status = RMP_OK;
    RMP_CHECK(count <= MAX_ARRAYS, RMP_ERR_ARGUMENT, "%d arrays in a .npz file", count);
    RMP_TRY(rmp_file_writer_open(dir, name, &writer));
    for (int i = 0; i < count && status == RMP_OK; i++)
        status = write_entry(writer, &arrays[i], &at, &entries[i]);
    if (status == RMP_OK) status = write_directory(writer, count, entries, at);
    if (status == RMP_OK) return rmp_file_writer_commit(&writer);
    rmp_file_writer_abort(&writer);
    return status;
}

/* ---- reading ---- */

typedef struct npy { /* what the header of a .npy says */
    int64_t dims[2];
    int rank; /* -1: more than two */
    bool is_float32, fortran, known[3];
    const unsigned char *data;
    uint64_t size; /* of the data */
} npy;

typedef struct cursor { /* in the header, which ends with a zero byte */
    const char *at;
} cursor;

static void skip_spaces(cursor *c) { c->at += strspn(c->at, " \n"); }

static bool take(cursor *c, const char *word)
{
    skip_spaces(c);
    const size_t length = strlen(word);
    if (strncmp(c->at, word, length) != 0) return false;
    c->at += length;
    return true;
}

/* "(2048,)", "(2048, 2048)", "()". */
static bool take_shape(cursor *c, npy *out)
{
    int rank = 0;
    if (!take(c, "(")) return false;
    while (!take(c, ")")) {
        char *end;
        if (*c->at < '0' || *c->at > '9') return false;
        const long long value = strtoll(c->at, &end, 10); /* what does not fit is LLONG_MAX, no shape that is wanted */
        if (rank < 2) out->dims[rank] = value;
        rank++;
        c->at = end;
        if (!take(c, ",") && *c->at != ')') return false;
    }
    out->rank = rank > 2 ? -1 : rank;
    return true;
}

/* 'descr': '<f8' and the like; the quotes may be of both kinds. */
static bool take_pair(cursor *c, npy *out, const char **refused)
{
    if (take(c, "'descr':")) {
        out->known[0] = true;
        out->is_float32 = take(c, "'<f4'");
        if (out->is_float32 || take(c, "'<f8'")) return true;
        skip_spaces(c);
        *refused = c->at;
        return false;
    }
    if (take(c, "'fortran_order':")) {
        out->known[1] = true;
        out->fortran = take(c, "True");
        return out->fortran || take(c, "False");
    }
    if (!take(c, "'shape':")) return false;
    out->known[2] = true;
    return take_shape(c, out);
}

static rmp_status parse_header(const char *text, const char *name, npy *out)
{
    cursor c = {text};
    const char *refused = NULL;
    bool good = take(&c, "{");
    while (good && !take(&c, "}"))
        good = take_pair(&c, out, &refused) && (take(&c, ",") || *c.at == '}');
    RMP_CHECK(!refused, RMP_ERR_FORMAT, "array %s: is of type %.*s, not little-endian float64 ('<f8') or float32", name,
              (int)strcspn(refused, ",}\n"), refused);
    skip_spaces(&c);
    RMP_CHECK(good && *c.at == '\0' && out->known[0] && out->known[1] && out->known[2], RMP_ERR_FORMAT,
              "array %s: its header is damaged", name);
    return RMP_OK;
}

/* `bytes` is a whole .npy file. */
static rmp_status read_npy(const unsigned char *bytes, uint64_t size, const char *name, npy *out)
{
    memset(out, 0, sizeof *out);
    RMP_CHECK(size >= NPY_PREFIX + 2 && memcmp(bytes, magic, sizeof magic) == 0, RMP_ERR_FORMAT,
              "array %s: is no .npy file", name);
    const int version = bytes[6];
    RMP_CHECK(version >= 1 && version <= 3, RMP_ERR_FORMAT, "array %s: .npy version %d is not known", name, version);
    const uint64_t begin = version == 1 ? NPY_PREFIX : NPY_PREFIX + 2;
    uint64_t length = (uint64_t)bytes[8] | (uint64_t)bytes[9] << 8;
    if (version > 1) length |= (uint64_t)bytes[10] << 16 | (uint64_t)bytes[11] << 24;
    RMP_CHECK(length < NPY_MAX_HEADER && length <= size - begin, RMP_ERR_FORMAT, "array %s: its header is cut", name);
    char *text = malloc(length + 1);
    RMP_CHECK(text, RMP_ERR_MEMORY, "no memory for the header of an array");
    memcpy(text, bytes + begin, length);
    text[length] = '\0';
    rmp_status status = parse_header(text, name, out);
    free(text);
    out->data = bytes + begin + length;
    out->size = size - begin - length;
    return status;
}

static rmp_status check_shape(const npy *found, const rmp_npz_array *a)
{
    char wanted[64], has[64] = "of more than two dimensions";
    const bool flat = a->rank == 1;
    const bool same = found->rank == a->rank && found->dims[0] == a->dims[0] && (flat || found->dims[1] == a->dims[1]);
    if (same) {
        const uint64_t size = (uint64_t)numbers(a) * (found->is_float32 ? sizeof(float) : sizeof(double));
        RMP_CHECK(found->size == size, RMP_ERR_FORMAT, "array %s: has %" PRIu64 " bytes of numbers, not %" PRIu64,
                  a->name, found->size, size);
        return RMP_OK;
    }
    snprintf(wanted, sizeof wanted, flat ? "(%" PRId64 ",)" : "(%" PRId64 ", %" PRId64 ")", a->dims[0], a->dims[1]);
    if (found->rank == 0) snprintf(has, sizeof has, "()");
    if (found->rank == 1) snprintf(has, sizeof has, "(%" PRId64 ",)", found->dims[0]);
    if (found->rank == 2) snprintf(has, sizeof has, "(%" PRId64 ", %" PRId64 ")", found->dims[0], found->dims[1]);
    return RMP_FAIL(RMP_ERR_FORMAT, "array %s: its shape is %s, not %s", a->name, has, wanted);
}

static rmp_status take_numbers(const npy *found, const rmp_npz_array *a)
{
    const int64_t rows = a->dims[0], columns = a->rank == 2 ? a->dims[1] : 1;
    for (int64_t i = 0; i < rows * columns; i++) {
        const int64_t at = found->fortran ? i % columns * rows + i / columns : i;
        if (found->is_float32) {
            float value;
            memcpy(&value, found->data + at * (int64_t)sizeof value, sizeof value);
            a->values[i] = (double)value;
        } else {
            memcpy(&a->values[i], found->data + at * (int64_t)sizeof(double), sizeof(double));
        }
        RMP_CHECK(isfinite(a->values[i]), RMP_ERR_FORMAT, "array %s: number %" PRId64 " is not finite", a->name, i);
    }
    return RMP_OK;
}

static rmp_status read_array(rmp_zip *zip, const rmp_npz_array *a)
{
    char name[NAME + 4];
    npy found;
    snprintf(name, sizeof name, "%s.npy", a->name);
    const rmp_zip_entry *entry = rmp_zip_find(zip, name);
    RMP_CHECK(entry, RMP_ERR_FORMAT, "has no array %s", a->name);
    /* Before there is memory for it: a damaged or hostile file may claim any length. */
    const uint64_t most = NPY_PREFIX + 2 + NPY_MAX_HEADER + (uint64_t)numbers(a) * sizeof(double);
    RMP_CHECK(entry->length <= most, RMP_ERR_FORMAT,
              "array %s: has %" PRIu64 " bytes, more than the %" PRIu64 " of the right shape", a->name, entry->length,
              most);
    unsigned char *bytes = malloc(entry->length + !entry->length);
    RMP_CHECK(bytes, RMP_ERR_MEMORY, "no memory for array %s", a->name);
    rmp_status status = rmp_zip_extract(zip, entry, bytes);
    if (status == RMP_OK) status = read_npy(bytes, entry->length, a->name, &found);
    if (status == RMP_OK) status = check_shape(&found, a);
    if (status == RMP_OK) status = take_numbers(&found, a);
    free(bytes);
    return status;
}

rmp_status rmp_npz_read(const char *path, int count, const rmp_npz_array arrays[])
{
    rmp_mapping *file = NULL;
    rmp_zip *zip = NULL;
    RMP_TRY(rmp_mapping_open(path, &file));
    rmp_status status = rmp_zip_read_deflated(file->bytes, file->size, &zip);
    for (int i = 0; i < count && status == RMP_OK; i++)
        status = read_array(zip, &arrays[i]);
    rmp_zip_destroy(&zip);
    rmp_mapping_release(file);
    return status != RMP_OK ? rmp_fail_context(status, "%s", path) : RMP_OK;
}
