#include "io/manifest.h"

#include "io/file.h"
#include "io/item_id.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *const COLUMNS[] = {"id", "image", "measurement", "mask"};
enum { ID, IMAGE, MEASUREMENT, MASK, COLUMN_COUNT, MAX_FIELDS = 64, MAX_RECORD = 1 << 20 };

typedef struct reader {
    const char *path;
    char *folder;
    FILE *file;
    int64_t line;   /* of the next character, from 1 */
    int64_t record; /* line where the current record began */
    char *text;     /* of the record: its fields, each with a zero byte behind it */
    size_t used;
    char *field[MAX_FIELDS];
    int fields;
    int role[MAX_FIELDS]; /* which of COLUMNS a field is */
    rmp_item_ids *ids;
    int64_t items;
    rmp_status (*add)(void *context, const rmp_item *item);
    void *context;
} reader;

#define BAD(r, ...) rmp_fail_context(RMP_FAIL(RMP_ERR_CONFIG, __VA_ARGS__), "%s:%" PRId64, (r)->path, (r)->record)

static bool ends_with(const char *text, const char *end)
{
    const size_t a = strlen(text), b = strlen(end);
    return a >= b && strcasecmp(text + a - b, end) == 0;
}

bool rmp_manifest_name_matches(const char *path) { return ends_with(path, ".csv") || ends_with(path, ".jsonl"); }

static rmp_status put(reader *r, int c)
{
    if (r->used >= MAX_RECORD) return BAD(r, "a record of more than %d bytes", (int)MAX_RECORD);
    if (c == 0) return BAD(r, "a zero byte: this is no text");
    r->text[r->used++] = (char)c;
    return RMP_OK;
}

/* One item, from its four texts (NULL or empty: not given). */
static rmp_status emit(reader *r, const char *const value[COLUMN_COUNT])
{
    char id[RMP_ITEM_ID_MAX + 1];
    char *path[COLUMN_COUNT] = {NULL, NULL, NULL, NULL};
    const char *given[COLUMN_COUNT];
    for (int c = 0; c < COLUMN_COUNT; c++)
        given[c] = value[c] && value[c][0] ? value[c] : NULL;
    if (!given[IMAGE] && !given[MEASUREMENT]) return BAD(r, "neither image nor measurement is given");
    if (given[ID]) {
        bool taken = false;
        RMP_TRY(rmp_item_ids_add(r->ids, given[ID], false, id, &taken));
        if (taken) return BAD(r, "id '%s' is there twice", id);
    } else {
        RMP_TRY(rmp_item_ids_add_file(r->ids, given[IMAGE] ? given[IMAGE] : given[MEASUREMENT], id));
    }
    rmp_status status = RMP_OK;
    for (int c = IMAGE; c < COLUMN_COUNT && status == RMP_OK; c++)
        if (given[c]) status = rmp_path_join(r->folder, given[c], &path[c]);
    if (status == RMP_OK) {
        const rmp_item item = {r->items, id, path[IMAGE], path[MEASUREMENT], path[MASK]};
        status = r->add(r->context, &item);
        if (status != RMP_OK) rmp_fail_context(status, "%s:%" PRId64, r->path, r->record);
        r->items++;
    }
    for (int c = IMAGE; c < COLUMN_COUNT; c++)
        free(path[c]);
    return status;
}

static int next(reader *r)
{
    int c = getc(r->file);
    if (c == '\r') { /* CRLF is one line end, a lone CR too */
        c = getc(r->file);
        if (c != '\n') ungetc(c, r->file);
        c = '\n';
    }
    if (c == '\n') r->line++;
    return c;
}

/* The rest of a quoted field; *end is what follows the closing quote. */
static rmp_status read_quoted(reader *r, int *end)
{
    for (;;) {
        int c = next(r);
        if (c == EOF) return BAD(r, "a quoted field without its end");
        if (c == '"') {
            c = next(r);
            if (c != '"') {
                *end = c;
                if (c != ',' && c != '\n' && c != EOF) return BAD(r, "'%c' after a quoted field", c);
                return RMP_OK;
            }
        }
        RMP_TRY(put(r, c));
    }
}

static rmp_status read_field(reader *r, int *end)
{
    if (r->fields == MAX_FIELDS) return BAD(r, "more than %d fields", (int)MAX_FIELDS);
    r->field[r->fields++] = r->text + r->used;
    int c = next(r);
    if (c == '"') {
        RMP_TRY(read_quoted(r, &c));
    } else {
        for (; c != ',' && c != '\n' && c != EOF; c = next(r)) {
            if (c == '"') return BAD(r, "a quote inside a field that does not begin with one");
            RMP_TRY(put(r, c));
        }
    }
    *end = c;
    r->text[r->used++] = '\0'; /* the buffer has one byte a field more than MAX_RECORD */
    return RMP_OK;
}

/* Fields of the next line that is not empty; no fields at the end of the file. */
static rmp_status read_record(reader *r)
{
    int end = '\n';
    do {
        r->fields = 0;
        r->used = 0;
        r->record = r->line;
        do
            RMP_TRY(read_field(r, &end));
        while (end == ',');
    } while (end == '\n' && r->fields == 1 && r->field[0][0] == '\0');
    if (r->fields == 1 && r->field[0][0] == '\0') r->fields = 0;
    return RMP_OK;
}

static rmp_status read_header(reader *r, int *count)
{
    int seen[COLUMN_COUNT] = {0};
    RMP_TRY(read_record(r));
    if (r->fields == 0) return BAD(r, "is empty; a header such as id,image is needed");
    for (int f = 0; f < r->fields; f++) {
        int c = 0;
        while (c < COLUMN_COUNT && strcmp(r->field[f], COLUMNS[c]) != 0)
            c++;
        if (c == COLUMN_COUNT)
            return BAD(r, "unknown column '%.60s' (id, image, measurement and mask are known)", r->field[f]);
        if (seen[c]++) return BAD(r, "column '%s' is there twice", COLUMNS[c]);
        r->role[f] = c;
    }
    if (!seen[IMAGE] && !seen[MEASUREMENT]) return BAD(r, "neither column image nor measurement is there");
    *count = r->fields;
    return RMP_OK;
}

static rmp_status scan_csv(reader *r)
{
    int columns = 0;
    RMP_TRY(read_header(r, &columns));
    for (;;) {
        const char *value[COLUMN_COUNT] = {NULL, NULL, NULL, NULL};
        RMP_TRY(read_record(r));
        if (r->fields == 0) return RMP_OK;
        if (r->fields != columns) return BAD(r, "%d fields where the header has %d", r->fields, columns);
        for (int f = 0; f < columns; f++)
            value[r->role[f]] = r->field[f];
        RMP_TRY(emit(r, value));
    }
}

static rmp_status emit_json(reader *r, json_t *line)
{
    const char *value[COLUMN_COUNT] = {NULL, NULL, NULL, NULL};
    const char *key;
    json_t *entry;
    char number[24];
    if (!json_is_object(line)) return BAD(r, "a JSON object is needed");
    json_object_foreach(line, key, entry)
    {
        int c = 0;
        while (c < COLUMN_COUNT && strcmp(key, COLUMNS[c]) != 0)
            c++;
        if (c == COLUMN_COUNT) return BAD(r, "unknown key '%.60s' (id, image, measurement and mask are known)", key);
        if (json_is_null(entry)) continue;
        if (c == ID && json_is_integer(entry)) {
            snprintf(number, sizeof number, "%" PRId64, (int64_t)json_integer_value(entry));
            value[c] = number;
            continue;
        }
        value[c] = json_string_value(entry);
        if (!value[c]) return BAD(r, "%s: a text is needed", key);
    }
    return emit(r, value);
}

static rmp_status scan_jsonl(reader *r)
{
    for (int c = 0; c != EOF;) {
        r->used = 0;
        r->record = r->line;
        for (c = next(r); c != '\n' && c != EOF; c = next(r))
            RMP_TRY(put(r, c));
        r->text[r->used] = '\0';
        if (strspn(r->text, " \t") == r->used) continue;
        json_error_t error;
        json_t *line = json_loads(r->text, JSON_REJECT_DUPLICATES, &error);
        if (!line) return BAD(r, "column %d: %s", error.column, error.text);
        const rmp_status status = emit_json(r, line);
        json_decref(line);
        RMP_TRY(status);
    }
    return RMP_OK;
}

static rmp_status open_reader(reader *r)
{
    int fd = -1;
    int64_t size = 0;
    RMP_TRY(rmp_file_open(r->path, &fd, &size));
    r->file = fdopen(fd, "rb");
    if (!r->file) {
        close(fd);
        return RMP_FAIL(RMP_ERR_MEMORY, "%s: no memory to read it", r->path);
    }
    RMP_TRY(rmp_path_folder(r->path, &r->folder));
    RMP_TRY(rmp_item_ids_create(&r->ids));
    r->text = malloc(MAX_RECORD + MAX_FIELDS + 1);
    RMP_CHECK(r->text, RMP_ERR_MEMORY, "%s: no memory to read it", r->path);
    char mark[3]; /* UTF-8 byte order mark of some spreadsheets */
    if (fread(mark, 1, 3, r->file) != 3 || memcmp(mark, "\xef\xbb\xbf", 3) != 0) rewind(r->file);
    return RMP_OK;
}

rmp_status rmp_manifest_scan(const char *path, rmp_status (*add)(void *context, const rmp_item *item), void *context)
{
    reader *r = calloc(1, sizeof *r);
    RMP_CHECK(r, RMP_ERR_MEMORY, "%s: no memory to read it", path);
    r->path = path;
    r->line = r->record = 1;
    r->add = add;
    r->context = context;
    rmp_status status = open_reader(r);
    if (status == RMP_OK) status = ends_with(path, ".csv") ? scan_csv(r) : scan_jsonl(r);
    if (status == RMP_OK && ferror(r->file)) status = RMP_FAIL(RMP_ERR_IO, "%s: cannot be read", path);
    if (status == RMP_OK && r->items == 0) status = RMP_FAIL(RMP_ERR_CONFIG, "%s: has no items", path);
    if (r->file) fclose(r->file);
    rmp_item_ids_destroy(&r->ids);
    free(r->folder);
    free(r->text);
    free(r);
    return status;
}
