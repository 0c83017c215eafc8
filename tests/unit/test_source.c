#include "io/item_id.h"
#include "io/source.h"
#include "tests/unit/scratch.h"

#include <sys/stat.h>

TestSuite(source, .init = scratch_setup, .fini = scratch_teardown);

/* What a scan gave, as text: "id image measurement mask;" with SCRATCH cut off the paths. */
typedef struct log {
    char text[4096];
    int64_t count, stop_at;
} log;

static void append(log *l, const char *path)
{
    const size_t n = strlen(scratch), used = strlen(l->text);
    if (!path) path = "-";
    if (strncmp(path, scratch, n) == 0 && path[n] == '/') path += n + 1;
    snprintf(l->text + used, sizeof l->text - used, " %s", path);
}

static rmp_status add(void *context, const rmp_item *item)
{
    log *l = context;
    cr_assert(item->index == l->count);
    if (l->count == l->stop_at) return RMP_FAIL(RMP_ERR_BUSY, "stop here");
    l->count++;
    append(l, item->id);
    append(l, item->image);
    append(l, item->measurement);
    append(l, item->mask);
    strcat(l->text, ";");
    return RMP_OK;
}

static rmp_status scan(const char *input, log *l)
{
    memset(l, 0, sizeof *l);
    l->stop_at = -1;
    return rmp_source_scan(input, add, l);
}

static void expect_items(const char *input, const char *wanted)
{
    log l;
    expect_ok(scan(input, &l));
    cr_assert(strcmp(l.text, wanted) == 0, "got '%s'\nnot '%s'", l.text, wanted);
}

static void touch(const char *name) { scratch_write(scratch_path(name), "x", 1); }

static const char *manifest(const char *name, const char *text)
{
    scratch_write(scratch_path(name), text, strlen(text));
    return scratch_path(name);
}

Test(source, folder)
{
    static const char *const names[] = {"b.png",     "a.PNG",       "a.jpg",  "a-2.tif",
                                        "notes.txt", ".hidden.png", "B.jpeg", "a.jpg.png"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        touch(names[i]);
    cr_assert(mkdir(scratch_path("dir.tiff"), 0777) == 0);
    cr_assert(mkdir(scratch_path("other"), 0777) == 0);
    /* Byte order; the stem a of a.jpg is taken by a.PNG, and a-2 by a file. */
    expect_items(scratch,
                 " B B.jpeg - -; a-2 a-2.tif - -; a a.PNG - -; a-3 a.jpg - -; a.jpg a.jpg.png - -; b b.png - -;"
                 " dir dir.tiff - -;");
}

Test(source, one_image_and_brackets)
{
    touch("one.png");
    expect_items(scratch_path("one.png"), " one one.png - -;");
    cr_assert(mkdir(scratch_path("a[1]"), 0777) == 0);
    touch("a[1]/x.png");
    expect_items(scratch_path("a[1]"), " x a[1]/x.png - -;");
}

Test(source, globs)
{
    cr_assert(mkdir(scratch_path("p2"), 0777) == 0 && mkdir(scratch_path("p1"), 0777) == 0);
    touch("p1/scan.png");
    touch("p2/scan.png");
    touch("p2/scan.txt");
    expect_items(scratch_path("p*/scan*"), " scan p1/scan.png - -; scan-2 p2/scan.png - -;");
    log l;
    expect_failure(scan(scratch_path("q*"), &l), RMP_ERR_CONFIG, "q*", "no file matches");
    expect_failure(scan(scratch_path("p2/*.txt"), &l), RMP_ERR_CONFIG, "*.txt", "no images");
}

Test(source, nothing)
{
    log l;
    expect_failure(scan(scratch, &l), RMP_ERR_CONFIG, scratch, "no images");
    expect_failure(scan(scratch_path("none"), &l), RMP_ERR_CONFIG, "none", "No such file");
    touch("notes.txt");
    expect_failure(scan(scratch_path("notes.txt"), &l), RMP_ERR_CONFIG, "notes.txt", "no folder, image");
}

Test(source, csv)
{
    expect_items(manifest("m.csv", "id,image,measurement,mask\na,x.png,,\nb,,y.png,/abs/m.png\n"),
                 " a x.png - -; b - y.png /abs/m.png;");
    /* BOM, CRLF, columns in another order, quotes, empty lines, no end of line at the end */
    expect_items(manifest("m.CSV", "\xef\xbb\xbfimage,id\r\n\"a \"\"b\"\", c.png\",\"x\r\n\"\r\n\r\n\r\ny.png,\"\""),
                 " x_ a \"b\", c.png - -; y y.png - -;");
    /* ids from file names: of the image, else of the measurement, made different */
    expect_items(manifest("n.csv", "image,measurement\nsub/a.png,\nother/a.jpg,m/b.png\n,m/a.tif\n"),
                 " a sub/a.png - -; a-2 other/a.jpg m/b.png -; a-3 - m/a.tif -;");
    cr_assert(mkdir(scratch_path("deep"), 0777) == 0);
    expect_items(manifest("deep/m.csv", "image\nx.png\n../y.png\n"), " x deep/x.png - -; y deep/../y.png - -;");
}

Test(source, csv_errors)
{
    static const struct {
        const char *text, *place, *word;
    } cases[] = {
        {"", "m.csv:1", "header"},
        {"\n\n", "m.csv:3", "header"},
        {"id,picture\n", "m.csv:1", "'picture'"},
        {"image,image\n", "m.csv:1", "'image' is there twice"},
        {"id,mask\n", "m.csv:1", "neither"},
        {"image\n", "m.csv", "no items"},
        {"image,id\na.png\n", "m.csv:2", "1 fields where the header has 2"},
        {"image,id\na.png,b,c\n", "m.csv:2", "3 fields"},
        {"image,id\na.png,1\n\n,2\n", "m.csv:4", "neither image nor measurement"},
        {"image,id\n\"a\nb.png\",1\nc.png,1\n", "m.csv:4", "'1' is there twice"},
        {"image\n\"a.png", "m.csv:2", "without its end"},
        {"image\n\"a\"b.png\n", "m.csv:2", "'b' after a quoted field"},
        {"image\na\"b.png\n", "m.csv:2", "quote inside"},
    };
    log l;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = manifest("m.csv", cases[i].text);
        expect_failure(scan(path, &l), RMP_ERR_CONFIG, cases[i].place, cases[i].word);
    }
    scratch_write(scratch_path("m.csv"), "image\na\0b.png\n", 14);
    expect_failure(scan(scratch_path("m.csv"), &l), RMP_ERR_CONFIG, "m.csv:2", "zero byte");
    static char wide[1 << 21];
    memset(wide, ',', 100);
    wide[100] = '\n';
    expect_failure(scan(manifest("m.csv", wide), &l), RMP_ERR_CONFIG, "m.csv:1", "64 fields");
    memset(wide, 'x', sizeof wide - 1);
    memcpy(wide, "image\n", 6);
    expect_failure(scan(manifest("m.csv", wide), &l), RMP_ERR_CONFIG, "m.csv:2", "1048576 bytes");
    memcpy(wide, "{}\n", 3);
    expect_failure(scan(manifest("m.jsonl", wide), &l), RMP_ERR_CONFIG, "m.jsonl:1", "neither");
    memcpy(wide, "  \nxxx", 6);
    expect_failure(scan(manifest("m.jsonl", wide), &l), RMP_ERR_CONFIG, "m.jsonl:2", "1048576 bytes");
}

Test(source, jsonl)
{
    expect_items(manifest("m.jsonl",
                          "{\"image\": \"a b.png\", \"id\": 7}\r\n  \n{\"measurement\": \"m.png\", \"mask\": "
                          "\"k.png\", \"image\": null}"),
                 " 7 a b.png - -; m - m.png k.png;");
    static const struct {
        const char *text, *place, *word;
    } cases[] = {
        {"", "m.jsonl", "no items"},
        {"{\"image\": \"a\"}\n{\"image\"\n", "m.jsonl:2", "column"},
        {"[]\n", "m.jsonl:1", "object"},
        {"{\"picture\": \"a\"}\n", "m.jsonl:1", "'picture'"},
        {"{\"image\": 7}\n", "m.jsonl:1", "image: a text"},
        {"{\"image\": \"a\", \"image\": \"b\"}\n", "m.jsonl:1", "duplicate"},
        {"{\"id\": \"a\"}\n", "m.jsonl:1", "neither"},
        {"{\"id\": \"a\", \"image\": \"x\"}\n\n{\"id\": \"a\", \"image\": \"y\"}\n", "m.jsonl:3", "'a' is there twice"},
    };
    log l;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = manifest("m.jsonl", cases[i].text);
        expect_failure(scan(path, &l), RMP_ERR_CONFIG, cases[i].place, cases[i].word);
    }
}

Test(source, a_failing_receiver_stops_the_scan)
{
    log l = {.stop_at = 1};
    touch("a.png");
    touch("b.png");
    cr_assert(rmp_source_scan(scratch, add, &l) == RMP_ERR_BUSY && l.count == 1);
    l = (log){.stop_at = 1};
    const char *path = manifest("m.csv", "image\na.png\nb.png\nc.png\n");
    expect_failure(rmp_source_scan(path, add, &l), RMP_ERR_BUSY, "m.csv:3", "stop here");
    cr_assert(l.count == 1);
}

Test(source, ids, .init = NULL, .fini = NULL)
{
    static const char *const cases[][2] = {
        {"a", "a"},
        {"a", "a-2"},
        {"a", "a-3"},
        {"a-2", "a-2-2"},
        {"../etc", "_._etc"},
        {".", "_"},
        {"", "item"},
        {"\tx\x7f", "_x_"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"lat\xfc", "lat_"},        /* Latin-1 */
        {"c\xc2\x85", "c_"},        /* a control character of two bytes */
        {"over\xc0\xaf", "over__"}, /* an overlong '/' */
        {"s\xed\xa0\x80", "s___"},  /* a surrogate */
        {"cut\xe2\x82", "cut__"},   /* a character without its end */
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
    };
    rmp_item_ids *ids;
    char id[RMP_ITEM_ID_MAX + 1];
    bool taken;
    expect_ok(rmp_item_ids_create(&ids));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_ok(rmp_item_ids_add(ids, cases[i][0], true, id, &taken));
        cr_assert(!taken && strcmp(id, cases[i][1]) == 0, "%s: '%s', not '%s'", cases[i][0], id, cases[i][1]);
    }
    expect_ok(rmp_item_ids_add(ids, "a", false, id, &taken));
    cr_assert(taken);
    char wish[400];
    memset(wish, 'w', sizeof wish);
    memcpy(wish + 198, "\xc3\xbc\xc3\xbc", 4); /* the second does not fit, nor does the first with a suffix */
    wish[399] = '\0';
    expect_ok(rmp_item_ids_add(ids, wish, true, id, &taken));
    cr_assert(strlen(id) == 200 && memcmp(id + 198, "\xc3\xbc", 3) == 0);
    expect_ok(rmp_item_ids_add(ids, wish, true, id, &taken));
    cr_assert(strlen(id) == 200 && strcmp(id + 197, "w-2") == 0, "%s", id);
    rmp_item_ids_destroy(&ids);
}

/* Many files of one name, as in patients' folders: as fast as different names. */
Test(source, many_ids, .init = NULL, .fini = NULL)
{
    rmp_item_ids *ids;
    char id[RMP_ITEM_ID_MAX + 1], wanted[32];
    expect_ok(rmp_item_ids_create(&ids));
    for (int i = 1; i <= 200000; i++) {
        expect_ok(rmp_item_ids_add_file(ids, "some/where/image.png", id));
        snprintf(wanted, sizeof wanted, "image-%d", i);
        cr_assert(strcmp(id, i == 1 ? "image" : wanted) == 0);
    }
    rmp_item_ids_destroy(&ids);
}
