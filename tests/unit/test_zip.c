#include "io/zip.h"
#include "tests/unit/scratch.h"

#include <string.h>

TestSuite(zip);

/* An archive under construction, field by field, so that every field can be made wrong. */
typedef struct archive {
    unsigned char bytes[4096];
    size_t size;
} archive;

typedef struct item {
    const char *name, *data;
    unsigned flags, method;
    uint32_t packed, unpacked; /* of the directory; 0: as the data is */
    const char *local_name;    /* NULL: name */
    uint32_t local_size;       /* 0: as the data is */
    int64_t offset;            /* 0: where it is */
    unsigned disk;
} item;

static void put(archive *a, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        a->bytes[a->size++] = i < 8 ? (unsigned char)(value >> (8 * i)) : 0;
}

static void put_text(archive *a, const char *text)
{
    memcpy(a->bytes + a->size, text, strlen(text));
    a->size += strlen(text);
}

static void put_local(archive *a, const item *e)
{
    const size_t size = strlen(e->data);
    const char *name = e->local_name ? e->local_name : e->name;
    put(a, 0x04034b50, 4);
    put(a, 20, 2);
    put(a, e->flags, 2);
    put(a, e->method, 2);
    put(a, 0, 8); /* time, date, check sum */
    put(a, e->local_size ? e->local_size : size, 4);
    put(a, e->local_size ? e->local_size : size, 4);
    put(a, strlen(name), 2);
    put(a, 0, 2);
    put_text(a, name);
    put_text(a, e->data);
}

static void put_central(archive *a, const item *e, size_t offset)
{
    const size_t size = strlen(e->data);
    put(a, 0x02014b50, 4);
    put(a, 20, 2);
    put(a, 20, 2);
    put(a, e->flags, 2);
    put(a, e->method, 2);
    put(a, 0, 8);
    put(a, e->packed ? e->packed : size, 4);
    put(a, e->unpacked ? e->unpacked : size, 4);
    put(a, strlen(e->name), 2);
    put(a, 0, 4); /* extra, comment */
    put(a, e->disk, 2);
    put(a, 0, 6); /* attributes */
    put(a, e->offset ? (uint64_t)e->offset : offset, 4);
    put_text(a, e->name);
}

static void put_end(archive *a, size_t count, size_t begin)
{
    const size_t size = a->size - begin;
    put(a, 0x06054b50, 4);
    put(a, 0, 4);
    put(a, count, 2);
    put(a, count, 2);
    put(a, size, 4);
    put(a, begin, 4);
    put(a, 0, 2);
}

static void make(archive *a, const item items[], size_t count)
{
    size_t offsets[8];
    a->size = 0;
    for (size_t i = 0; i < count; i++) {
        offsets[i] = a->size;
        put_local(a, &items[i]);
    }
    const size_t begin = a->size;
    for (size_t i = 0; i < count; i++)
        put_central(a, &items[i], offsets[i]);
    put_end(a, count, begin);
}

/* In memory of exactly that size, so that a sanitizer sees the first byte read beyond. */
static rmp_status read_exact(const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc(size + !size);
    cr_assert(copy);
    memcpy(copy, bytes, size);
    rmp_zip *zip = NULL;
    const rmp_status status = rmp_zip_read(copy, size, &zip);
    cr_assert((status == RMP_OK) == (zip != NULL));
    rmp_zip_destroy(&zip);
    free(copy);
    return status;
}

Test(zip, reads)
{
    static const item items[] = {{.name = "b/data/10", .data = "ten"},
                                 {.name = "b/data/1", .data = ""},
                                 {.name = "a", .data = "hello", .flags = 1 << 3 | 1 << 11}};
    archive a;
    rmp_zip *zip;
    make(&a, items, 3);
    expect_ok(rmp_zip_read(a.bytes, a.size, &zip));
    cr_assert(rmp_zip_count(zip) == 3);
    cr_assert(strcmp(rmp_zip_at(zip, 0)->name, "a") == 0);
    const rmp_zip_entry *ten = rmp_zip_find(zip, "b/data/10"), *one = rmp_zip_find(zip, "b/data/1"),
                        *hello = rmp_zip_find(zip, "a");
    cr_assert(ten && ten->size == 3 && memcmp(ten->data, "ten", 3) == 0);
    cr_assert(one && one->size == 0);
    cr_assert(hello && hello->size == 5 && memcmp(hello->data, "hello", 5) == 0);
    cr_assert(!rmp_zip_find(zip, "b/data/100") && !rmp_zip_find(zip, ""));
    rmp_zip_destroy(&zip);
    make(&a, NULL, 0);
    expect_ok(rmp_zip_read(a.bytes, a.size, &zip));
    cr_assert(rmp_zip_count(zip) == 0 && !rmp_zip_find(zip, "a"));
    rmp_zip_destroy(&zip);
}

Test(zip, refuses)
{
    static const struct {
        item items[2];
        size_t count;
        const char *word, *other;
    } cases[] = {
        {{{.name = "a", .data = "x", .method = 8}}, 1, "'a'", "compressed"},
        {{{.name = "a", .data = "x", .flags = 1}}, 1, "'a'", "encrypted"},
        {{{.name = "a", .data = "x", .flags = 1 << 6}}, 1, "'a'", "encrypted"},
        {{{.name = "a", .data = "x", .packed = 2}}, 1, "'a'", "stored as"},
        {{{.name = "a", .data = "xy", .packed = 1, .unpacked = 1}}, 1, "'a'", "own header"},
        {{{.name = "a", .data = "x", .local_size = 4}}, 1, "'a'", "own header"},
        {{{.name = "a", .data = "x", .packed = 4000000000u, .unpacked = 4000000000u}}, 1, "'a'", "truncated"},
        {{{.name = "a", .data = "x", .packed = 0xffffffff, .unpacked = 0xffffffff}}, 1, "'a'", "truncated"},
        {{{.name = "a", .data = "x", .local_name = "b"}}, 1, "'a'", "another name"},
        {{{.name = "a", .data = "x", .offset = 5}}, 1, "'a'", "no header"},
        {{{.name = "a", .data = "x", .offset = 0xfffffff0}}, 1, "'a'", "no header"},
        {{{.name = "a", .data = "x", .disk = 1}}, 1, "'a'", "another disk"},
        {{{.name = "a", .data = "x"}, {.name = "a", .data = "y"}}, 2, "'a'", "twice"},
        {{{.name = "/etc/x", .data = "x"}}, 1, "/etc/x", "path"},
        {{{.name = "../x", .data = "x"}}, 1, "../x", "path"},
        {{{.name = "a/../../x", .data = "x"}}, 1, "a/../../x", "path"},
        {{{.name = "a/./x", .data = "x"}}, 1, "a/./x", "path"},
        {{{.name = "a//x", .data = "x"}}, 1, "a//x", "path"},
        {{{.name = "a/", .data = ""}}, 1, "a/", "path"},
        {{{.name = "a\\x", .data = "x"}}, 1, "backslash", ""},
        {{{.name = "a\nx", .data = "x"}}, 1, "control", ""},
        {{{.name = "", .data = "x"}}, 1, "no name", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        archive a;
        make(&a, cases[i].items, cases[i].count);
        expect_failure(read_exact(a.bytes, a.size), RMP_ERR_FORMAT, cases[i].word, cases[i].other);
    }
}

Test(zip, overlap)
{
    /* The data of the one holds the whole of the other. */
    archive a = {.size = 0};
    const item inner = {.name = "b", .data = "x"};
    put(&a, 0x04034b50, 4);
    put(&a, 20, 2);
    put(&a, 0, 12);
    put(&a, 32, 4);
    put(&a, 32, 4);
    put(&a, 1, 2);
    put(&a, 0, 2);
    put_text(&a, "a");
    const size_t offset = a.size;
    put_local(&a, &inner);
    const size_t begin = a.size;
    cr_assert(begin - offset == 32);
    put_central(&a, &(item){.name = "a", .data = "", .packed = 32, .unpacked = 32}, 0);
    put_central(&a, &inner, offset);
    put_end(&a, 2, begin);
    expect_failure(read_exact(a.bytes, a.size), RMP_ERR_FORMAT, "overlap", "'a' and 'b'");
}

Test(zip, every_truncation_and_damage)
{
    static const item items[] = {{.name = "b/data/10", .data = "ten"}, {.name = "a", .data = "hello"}};
    archive a;
    make(&a, items, 2);
    for (size_t cut = 0; cut < a.size; cut++)
        expect_failure(read_exact(a.bytes, cut), RMP_ERR_FORMAT, "zip", "");
    for (size_t at = 0; at < a.size; at++)
        for (unsigned change = 1; change < 256; change += change < 4 ? 1 : 7) {
            a.bytes[at] = (unsigned char)(a.bytes[at] ^ change);
            const rmp_status status = read_exact(a.bytes, a.size);
            cr_assert(status == RMP_OK || status == RMP_ERR_FORMAT);
            a.bytes[at] = (unsigned char)(a.bytes[at] ^ change);
        }
}

Test(zip, ends)
{
    static const item one = {.name = "a", .data = "x"};
    archive a;
    make(&a, &one, 1);
    const size_t end = a.size - 22;
    a.bytes[end + 8] = a.bytes[end + 10] = 200; /* more entries than the directory has room for */
    expect_failure(read_exact(a.bytes, a.size), RMP_ERR_FORMAT, "200 entries", "");
    make(&a, &one, 1);
    a.bytes[end + 8] = 2;
    expect_failure(read_exact(a.bytes, a.size), RMP_ERR_FORMAT, "disks", "");
    make(&a, &one, 1);
    memset(a.bytes + end + 16, 0xff, 4);
    expect_failure(read_exact(a.bytes, a.size), RMP_ERR_FORMAT, "ZIP64", "missing");
    make(&a, &one, 1);
    a.bytes[end + 8] = a.bytes[end + 10] = 0;
    expect_failure(read_exact(a.bytes, a.size), RMP_ERR_FORMAT, "after its directory", "");
    make(&a, &one, 1);
    put_text(&a, "tail"); /* no comment that the end knows of */
    expect_failure(read_exact(a.bytes, a.size), RMP_ERR_FORMAT, "no end", "");
    a.bytes[end + 20] = 4;
    expect_ok(read_exact(a.bytes, a.size));
}
