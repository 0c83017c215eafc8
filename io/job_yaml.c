#include "io/job_yaml.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PATH_PARTS = 8 };

typedef struct raw_section {
    char *value[RMP_JOB_MAX_KEYS]; /* as written, NULL if absent */
} raw_section;

typedef struct raw_job {
    raw_section top;
    raw_section *section[RMP_JOB_SECTIONS]; /* the one named "" stays NULL */
} raw_job;

/* What libcyaml is told; filled from the key table once for each job. */
typedef struct schema {
    cyaml_schema_field_t fields[RMP_JOB_SECTIONS][RMP_JOB_MAX_KEYS + 1];
    cyaml_schema_field_t top[RMP_JOB_SECTIONS + RMP_JOB_MAX_KEYS + 1];
    cyaml_schema_value_t root;
} schema;

/* libcyaml reports a failure as several log lines: the first says what, the rest where, from the inside out. */
typedef struct report {
    char what[256];
    char part[MAX_PATH_PARTS][64]; /* innermost first */
    int parts;
} report;

struct rmp_job_yaml {
    rmp_job_input input; /* borrowed */
    yaml_document_t document;
    bool have_document;
    schema schema;
    raw_job *raw;
};

static const cyaml_config_t *config(void *log_context, cyaml_log_fn_t log)
{
    static _Thread_local cyaml_config_t c;
    memset(&c, 0, sizeof c);
    c.log_fn = log;
    c.log_ctx = log_context;
    c.mem_fn = cyaml_mem;
    c.log_level = CYAML_LOG_ERROR;
    return &c;
}

static void schema_fill(schema *s)
{
    int n = 0;
    for (int i = 0; i < RMP_JOB_SECTIONS; i++) {
        const rmp_job_section *section = &rmp_job_sections[i];
        bool top = section->name[0] == '\0';
        cyaml_schema_field_t *fields = s->fields[i];
        for (int k = 0; k < section->count; k++) {
            size_t offset = (size_t)k * sizeof(char *) + (top ? offsetof(raw_job, top) : 0);
            cyaml_schema_field_t field = {
                .key = section->keys[k].name,
                .data_offset = (uint32_t)offset,
                .value = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, char, 0, CYAML_UNLIMITED)}};
            if (top) {
                s->top[n++] = field;
            } else {
                fields[k] = field;
            }
        }
        if (top) continue;
        cyaml_schema_field_t field = {
            .key = section->name,
            .data_offset = (uint32_t)(offsetof(raw_job, section) + (size_t)i * sizeof(raw_section *)),
            .value = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, raw_section, fields)}};
        s->top[n++] = field;
    }
    cyaml_schema_value_t root = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, raw_job, s->top)};
    s->root = root;
}

static int section_find(const char *name)
{
    for (int i = 0; i < RMP_JOB_SECTIONS; i++) {
        if (strcmp(rmp_job_sections[i].name, name) == 0) return i;
    }
    return -1;
}

const char *rmp_job_yaml_scalar(const yaml_node_t *node)
{
    return node != NULL && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

/* The pair of a mapping with that key (the last one), or NULL. */
static yaml_node_pair_t *pair_find(yaml_document_t *document, yaml_node_t *mapping, const char *name)
{
    yaml_node_pair_t *found = NULL;
    if (mapping == NULL || mapping->type != YAML_MAPPING_NODE) return NULL;
    for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < mapping->data.mapping.pairs.top; p++) {
        const char *key = rmp_job_yaml_scalar(yaml_document_get_node(document, p->key));
        if (key != NULL && strcmp(key, name) == 0) found = p;
    }
    return found;
}

/* Line of "section.key" or "key" in the file, 0 if it is not there. */
static size_t line_of(rmp_job_yaml *yaml, const char *section, const char *name)
{
    yaml_document_t *d = &yaml->document;
    yaml_node_t *root = yaml_document_get_root_node(d);
    yaml_node_pair_t *pair = pair_find(d, root, section[0] ? section : name);
    if (pair != NULL && section[0] && name[0]) {
        yaml_node_pair_t *inner = pair_find(d, yaml_document_get_node(d, pair->value), name);
        if (inner != NULL) pair = inner;
    }
    return pair != NULL ? yaml_document_get_node(d, pair->key)->start_mark.line + 1 : 0;
}

static bool is_of(const char *text, const char *path)
{
    const size_t length = strlen(path);
    return strncmp(text, path, length) == 0 && text[length] == '=';
}

/* The last override of exactly this key, or NULL. */
static const char *override_of(const rmp_job_yaml *yaml, const char *path)
{
    for (int i = yaml->input.overrides - 1; i >= 0; i--) {
        if (is_of(yaml->input.override[i], path)) return yaml->input.override[i];
    }
    return NULL;
}

/* The same of a change. */
static const rmp_job_change *change_of(const rmp_job_yaml *yaml, const char *path)
{
    for (int i = yaml->input.changes - 1; i >= 0; i--) {
        if (is_of(yaml->input.change[i].text, path)) return &yaml->input.change[i];
    }
    return NULL;
}

static const char *describe(const rmp_job_yaml *yaml, const char *section, const char *name, char *buffer, size_t size)
{
    char path[192];
    snprintf(path, sizeof path, "%s%s%s", section, section[0] && name[0] ? "." : "", name);
    const char *override = override_of(yaml, path);
    const rmp_job_change *change = change_of(yaml, path);
    size_t line = line_of((rmp_job_yaml *)(uintptr_t)yaml, section, name);
    if (change != NULL) {
        snprintf(buffer, size, "%s: %s", change->origin, path);
    } else if (override != NULL) {
        snprintf(buffer, size, "--set %s: %s", override, path);
    } else if (line > 0) {
        snprintf(buffer, size, "%s:%zu: %s", yaml->input.path, line, path);
    } else {
        snprintf(buffer, size, "%s: %s", yaml->input.path, path);
    }
    return buffer;
}

const char *rmp_job_yaml_where(const rmp_job_yaml *yaml, int section, int key, char *buffer, size_t size)
{
    const rmp_job_section *s = &rmp_job_sections[section];
    return describe(yaml, s->name, s->keys[key].name, buffer, size);
}

bool rmp_job_yaml_overridden(const rmp_job_yaml *yaml, int section, int key)
{
    char path[128];
    const rmp_job_section *s = &rmp_job_sections[section];
    rmp_job_key_path(s, &s->keys[key], path, sizeof path);
    return override_of(yaml, path) != NULL && change_of(yaml, path) == NULL;
}

bool rmp_job_yaml_changed(const rmp_job_yaml *yaml, int section, int key)
{
    char path[128];
    const rmp_job_section *s = &rmp_job_sections[section];
    rmp_job_key_path(s, &s->keys[key], path, sizeof path);
    return change_of(yaml, path) != NULL;
}

const char *rmp_job_yaml_value(const rmp_job_yaml *yaml, int section, int key)
{
    const raw_section *s = rmp_job_sections[section].name[0] == '\0' ? &yaml->raw->top : yaml->raw->section[section];
    return s != NULL ? s->value[key] : NULL;
}

static rmp_status syntax_failure(const yaml_parser_t *parser, const char *name)
{
    return RMP_FAIL(parser->error == YAML_MEMORY_ERROR ? RMP_ERR_MEMORY : RMP_ERR_CONFIG, "%s:%zu: not YAML: %s%s%s",
                    name, parser->problem_mark.line + 1, parser->problem != NULL ? parser->problem : "unreadable",
                    parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
}

/* What follows a document would not be read, and what it says be lost. */
static rmp_status expect_end(yaml_parser_t *parser, const char *name)
{
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next)) return syntax_failure(parser, name);
    const yaml_node_t *root = yaml_document_get_root_node(&next);
    const size_t line = root != NULL ? root->start_mark.line + 1 : 0;
    yaml_document_delete(&next);
    RMP_CHECK(line == 0, RMP_ERR_CONFIG, "%s:%zu: a second YAML document; one is read", name, line);
    return RMP_OK;
}

rmp_status rmp_job_yaml_document(const char *text, size_t size, const char *name, yaml_document_t *out)
{
    yaml_parser_t parser;
    RMP_CHECK(yaml_parser_initialize(&parser), RMP_ERR_MEMORY, "%s: no memory to parse it", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    rmp_status status = RMP_OK;
    if (!yaml_parser_load(&parser, out)) {
        status = syntax_failure(&parser, name);
    } else {
        status = expect_end(&parser, name);
        if (status != RMP_OK) yaml_document_delete(out);
    }
    yaml_parser_delete(&parser);
    return status;
}

/* The value of an override as a new node of the job's document: a scalar or a list of scalars. */
static rmp_status copy_value(rmp_job_yaml *yaml, const char *who, const char *override, yaml_document_t *from,
                             yaml_node_t *value, int *node)
{
    yaml_document_t *to = &yaml->document;
    const char *refused = "takes one value, or a list such as [0,1]; set each key by itself";
    if (value->type == YAML_SCALAR_NODE) {
        *node = yaml_document_add_scalar(to, NULL, value->data.scalar.value, (int)value->data.scalar.length,
                                         value->data.scalar.style);
        RMP_CHECK(*node != 0, RMP_ERR_MEMORY, "%s %s: no memory", who, override);
        return RMP_OK;
    }
    RMP_CHECK(value->type == YAML_SEQUENCE_NODE, RMP_ERR_CONFIG, "%s %s: %s", who, override, refused);
    *node = yaml_document_add_sequence(to, NULL, YAML_FLOW_SEQUENCE_STYLE);
    RMP_CHECK(*node != 0, RMP_ERR_MEMORY, "%s %s: no memory", who, override);
    for (yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top; i++) {
        yaml_node_t *entry = yaml_document_get_node(from, *i);
        RMP_CHECK(rmp_job_yaml_scalar(entry) != NULL, RMP_ERR_CONFIG, "%s %s: %s", who, override, refused);
        int item = yaml_document_add_scalar(to, NULL, entry->data.scalar.value, (int)entry->data.scalar.length,
                                            entry->data.scalar.style);
        RMP_CHECK(item != 0 && yaml_document_append_sequence_item(to, *node, item), RMP_ERR_MEMORY, "%s %s: no memory",
                  who, override);
    }
    return RMP_OK;
}

bool rmp_job_yaml_is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
    const char *text = (const char *)node->data.scalar.value;
    return strcmp(text, "null") == 0 || strcmp(text, "~") == 0;
}

static int mapping_index(yaml_document_t *document, const yaml_node_t *node)
{
    return (int)(node - document->nodes.start) + 1;
}

/* Replaces or adds name: node in a mapping; node 0 removes it. */
static rmp_status mapping_set(rmp_job_yaml *yaml, int mapping, const char *name, int node)
{
    yaml_document_t *d = &yaml->document;
    yaml_node_t *m = yaml_document_get_node(d, mapping);
    yaml_node_pair_t *pair = pair_find(d, m, name);
    if (node == 0) {
        if (pair == NULL) return RMP_OK;
        for (yaml_node_pair_t *p = pair; p + 1 < m->data.mapping.pairs.top; p++)
            *p = p[1];
        m->data.mapping.pairs.top--;
    } else if (pair != NULL) {
        pair->value = node;
    } else {
        int key = yaml_document_add_scalar(d, NULL, (const yaml_char_t *)name, -1, YAML_ANY_SCALAR_STYLE);
        RMP_CHECK(key != 0 && yaml_document_append_mapping_pair(d, mapping, key, node), RMP_ERR_MEMORY,
                  "%s: no memory for overrides", yaml->input.path);
    }
    return RMP_OK;
}

/* who: "--set", or the origin of a change. */
static rmp_status apply(rmp_job_yaml *yaml, const char *who, const char *override)
{
    yaml_document_t *d = &yaml->document;
    const char *equals = strchr(override, '=');
    char section[64] = "", name[64] = "";
    RMP_CHECK(equals != NULL && equals != override, RMP_ERR_CONFIG,
              "%s %s: expected key=value, for example solver.T=30", who, override);
    const char *dot = memchr(override, '.', (size_t)(equals - override));
    const char *start = dot != NULL ? dot + 1 : override;
    if (dot != NULL) snprintf(section, sizeof section, "%.*s", (int)(dot - override), override);
    snprintf(name, sizeof name, "%.*s", (int)(equals - start), start);

    int s = section_find(section);
    RMP_CHECK(s >= 0 && rmp_job_key_find(&rmp_job_sections[s], name) != NULL, RMP_ERR_CONFIG,
              "%s %s: there is no key %.*s in a job", who, override, (int)(equals - override), override);

    yaml_document_t parsed;
    RMP_TRY(rmp_job_yaml_document(equals + 1, strlen(equals + 1), override, &parsed));
    yaml_node_t *value = yaml_document_get_root_node(&parsed);
    rmp_status status = RMP_OK;
    int node = 0, mapping = 1;
    RMP_CHECK_GOTO(value != NULL, RMP_ERR_CONFIG, done, "%s %s: the value is empty", who, override);
    if (!rmp_job_yaml_is_null(value)) RMP_TRY_GOTO(copy_value(yaml, who, override, &parsed, value, &node), done);
    if (dot != NULL) {
        yaml_node_pair_t *pair = pair_find(d, yaml_document_get_root_node(d), section);
        if (pair == NULL) {
            mapping = yaml_document_add_mapping(d, NULL, YAML_BLOCK_MAPPING_STYLE);
            RMP_CHECK_GOTO(mapping != 0, RMP_ERR_MEMORY, done, "%s %s: no memory", who, override);
            RMP_TRY_GOTO(mapping_set(yaml, 1, section, mapping), done);
        } else {
            yaml_node_t *m = yaml_document_get_node(d, pair->value);
            RMP_CHECK_GOTO(m->type == YAML_MAPPING_NODE, RMP_ERR_CONFIG, done, "%s:%zu: %s must hold keys",
                           yaml->input.path, m->start_mark.line + 1, section);
            mapping = mapping_index(d, m);
        }
    }
    status = mapping_set(yaml, mapping, name, node);
done:
    yaml_document_delete(&parsed);
    return status;
}

/* [a, b] where a key takes two numbers becomes the text "[a, b]": a list and its quoted form are the same. */
static rmp_status join_lists(rmp_job_yaml *yaml)
{
    yaml_document_t *d = &yaml->document;
    for (int s = 0; s < RMP_JOB_SECTIONS; s++) {
        const rmp_job_section *section = &rmp_job_sections[s];
        yaml_node_pair_t *holder = pair_find(d, yaml_document_get_root_node(d), section->name);
        for (int k = 0; holder != NULL && k < section->count; k++) {
            rmp_job_type type = section->keys[k].type;
            if (type != RMP_JOB_PAIR && type != RMP_JOB_RANGE) continue;
            int mapping = holder->value;
            yaml_node_pair_t *pair = pair_find(d, yaml_document_get_node(d, mapping), section->keys[k].name);
            yaml_node_t *list = pair != NULL ? yaml_document_get_node(d, pair->value) : NULL;
            if (list == NULL || list->type != YAML_SEQUENCE_NODE) continue;
            char text[128] = "[";
            for (yaml_node_item_t *i = list->data.sequence.items.start; i < list->data.sequence.items.top; i++) {
                const char *entry = rmp_job_yaml_scalar(yaml_document_get_node(d, *i));
                size_t used = strlen(text);
                snprintf(text + used, sizeof text - used, "%s%s", used > 1 ? "," : "", entry != NULL ? entry : "[]");
            }
            snprintf(text + strlen(text), sizeof text - strlen(text), "]");
            int node =
                yaml_document_add_scalar(d, NULL, (const yaml_char_t *)text, -1, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
            RMP_CHECK(node != 0, RMP_ERR_MEMORY, "%s: no memory", yaml->input.path);
            RMP_TRY(mapping_set(yaml, mapping, section->keys[k].name, node));
            holder = pair_find(d, yaml_document_get_root_node(d), section->name);
        }
    }
    return RMP_OK;
}

typedef struct bytes {
    unsigned char *data;
    size_t size;
} bytes;

static int collect(void *context, unsigned char *data, size_t size)
{
    bytes *b = context;
    unsigned char *grown = realloc(b->data, b->size + size + 1);
    if (grown == NULL) return 0;
    memcpy(grown + b->size, data, size);
    b->data = grown;
    b->size += size;
    return 1;
}

/* Writes the document; libyaml destroys it while it does, so a second parse of the result takes its place. */
static rmp_status emit(rmp_job_yaml *yaml, bytes *out)
{
    yaml_emitter_t emitter;
    RMP_CHECK(yaml_emitter_initialize(&emitter), RMP_ERR_MEMORY, "%s: no memory", yaml->input.path);
    yaml_emitter_set_output(&emitter, collect, out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    yaml->have_document = false;
    int good =
        yaml_emitter_open(&emitter) && yaml_emitter_dump(&emitter, &yaml->document) && yaml_emitter_close(&emitter);
    yaml_emitter_delete(&emitter);
    RMP_CHECK(good, RMP_ERR_MEMORY, "%s: no memory to merge overrides", yaml->input.path);
    return RMP_OK;
}

static void note(cyaml_log_t level, void *context, const char *format, va_list args)
{
    report *r = context;
    char line[256];
    (void)level;
    vsnprintf(line, sizeof line, format, args);
    line[strcspn(line, "\n")] = '\0';
    static const char field[] = "  in mapping field";
    if (r->what[0] == '\0') {
        const char *text = strncmp(line, "Load: ", 6) == 0 ? line + 6 : line;
        snprintf(r->what, sizeof r->what, "%s", text);
    } else if (strncmp(line, field, sizeof field - 1) == 0 && r->parts < MAX_PATH_PARTS) {
        /* "... field 'name' (line: 1, column: 2)"; before libcyaml 1.2 "... field: name". */
        const char *name = line + sizeof field - 1;
        name += strspn(name, ": '");
        snprintf(r->part[r->parts++], sizeof r->part[0], "%.*s", (int)strcspn(name, "' "), name);
    }
}

static void list_keys(int section, char *buffer, size_t size)
{
    const rmp_job_section *s = &rmp_job_sections[section];
    size_t used = 0;
    buffer[0] = '\0';
    for (int i = 0; i < s->count && used < size; i++) {
        used += (size_t)snprintf(buffer + used, size - used, "%s%s", i > 0 ? ", " : "", s->keys[i].name);
    }
    for (int i = 0; s->name[0] == '\0' && i < RMP_JOB_SECTIONS && used < size; i++) {
        if (rmp_job_sections[i].name[0] == '\0') continue;
        used += (size_t)snprintf(buffer + used, size - used, ", %s", rmp_job_sections[i].name);
    }
}

/* One sentence from what libcyaml said. */
static rmp_status explain(const rmp_job_yaml *yaml, cyaml_err_t error, report *r)
{
    char where[512], accepted[512];
    const char *outer = r->parts > 0 ? r->part[r->parts - 1] : "";
    const char *inner = r->parts > 1 ? r->part[r->parts - 2] : "";
    if (error == CYAML_ERR_OOM) return RMP_FAIL(RMP_ERR_MEMORY, "%s: no memory to load it", yaml->input.path);
    if (error == CYAML_ERR_INVALID_KEY) {
        const char *colon = strstr(r->what, ": ");
        const char *key = colon != NULL ? colon + 2 : "";
        int section = section_find(outer);
        list_keys(section >= 0 ? section : section_find(""), accepted, sizeof accepted);
        describe(yaml, outer, key, where, sizeof where);
        return RMP_FAIL(RMP_ERR_CONFIG, "%s: unknown key (accepted here: %s)", where, accepted);
    }
    int section = section_find(outer);
    const rmp_job_key *key = NULL;
    if (r->parts == 1 && section_find(outer) < 0) {
        section = section_find("");
        key = rmp_job_key_find(&rmp_job_sections[section], outer);
        describe(yaml, "", outer, where, sizeof where);
    } else {
        if (section >= 0 && inner[0]) key = rmp_job_key_find(&rmp_job_sections[section], inner);
        describe(yaml, outer, inner, where, sizeof where);
    }
    if (error == CYAML_ERR_UNEXPECTED_EVENT) {
        return RMP_FAIL(RMP_ERR_CONFIG, "%s: given twice", where);
    }
    if (r->parts == 0) {
        list_keys(section_find(""), accepted, sizeof accepted);
        return RMP_FAIL(RMP_ERR_CONFIG, "%s: a job file is a mapping with the keys %s", yaml->input.path, accepted);
    }
    if (key == NULL) {
        list_keys(section >= 0 ? section : section_find(""), accepted, sizeof accepted);
        return RMP_FAIL(RMP_ERR_CONFIG, "%s: must hold keys (accepted here: %s)", where, accepted);
    }
    rmp_job_key_accepts(key, accepted, sizeof accepted);
    return RMP_FAIL(RMP_ERR_CONFIG, "%s: must be %s", where, accepted);
}

static rmp_status load(rmp_job_yaml *yaml, const char *text, size_t size)
{
    bytes merged = {NULL, 0};
    report r = {.parts = 0};
    rmp_status status = emit(yaml, &merged);
    /* The document again, as written: positions for errors. */
    if (status == RMP_OK) status = rmp_job_yaml_document(text, size, yaml->input.path, &yaml->document);
    if (status == RMP_OK) {
        yaml->have_document = true;
        schema_fill(&yaml->schema);
        cyaml_err_t error = cyaml_load_data(merged.data, merged.size, config(&r, note), &yaml->schema.root,
                                            (cyaml_data_t **)(void *)&yaml->raw, NULL);
        if (error != CYAML_OK) status = explain(yaml, error, &r);
    }
    free(merged.data);
    return status;
}

/* A sweep is not a job: who starts one with the wrong command is told, and loses no time. */
static rmp_status skip_sweep(rmp_job_yaml *yaml, const yaml_node_t *root)
{
    const yaml_node_pair_t *pair = pair_find(&yaml->document, (yaml_node_t *)(uintptr_t)root, "sweep");
    if (pair == NULL) return RMP_OK;
    const yaml_node_t *key = yaml_document_get_node(&yaml->document, pair->key);
    RMP_CHECK(yaml->input.sweep, RMP_ERR_CONFIG, "%s:%zu: sweep: this file is a sweep of jobs; rmp sweep %s runs it",
              yaml->input.path, key->start_mark.line + 1, yaml->input.path);
    return mapping_set(yaml, 1, "sweep", 0);
}

rmp_status rmp_job_yaml_open(const rmp_job_input *input, rmp_job_yaml **out)
{
    rmp_status status;
    rmp_job_yaml *yaml = calloc(1, sizeof *yaml);
    *out = NULL;
    RMP_CHECK(yaml != NULL, RMP_ERR_MEMORY, "%s: no memory", input->path);
    yaml->input = *input;
    RMP_TRY_GOTO(rmp_job_yaml_document(input->text, input->size, input->path, &yaml->document), done);
    yaml->have_document = true;
    yaml_node_t *root = yaml_document_get_root_node(&yaml->document);
    RMP_CHECK_GOTO(root != NULL, RMP_ERR_CONFIG, done, "%s: the job file is empty", input->path);
    RMP_CHECK_GOTO(root->type == YAML_MAPPING_NODE, RMP_ERR_CONFIG, done,
                   "%s:%zu: a job file is a mapping: input, prior, operator, noise, solver, output ...", input->path,
                   root->start_mark.line + 1);
    RMP_TRY_GOTO(skip_sweep(yaml, root), done);
    for (int i = 0; i < input->overrides; i++)
        RMP_TRY_GOTO(apply(yaml, "--set", input->override[i]), done);
    for (int i = 0; i < input->changes; i++)
        RMP_TRY_GOTO(apply(yaml, input->change[i].origin, input->change[i].text), done);
    RMP_TRY_GOTO(join_lists(yaml), done);
    RMP_TRY_GOTO(load(yaml, input->text, input->size), done);
    *out = yaml;
    yaml = NULL;
    status = RMP_OK;
done:
    rmp_job_yaml_close(&yaml);
    return status;
}

void rmp_job_yaml_close(rmp_job_yaml **yaml)
{
    rmp_job_yaml *y = *yaml;
    if (y == NULL) return;
    if (y->raw != NULL) cyaml_free(config(NULL, NULL), &y->schema.root, y->raw, 0);
    if (y->have_document) yaml_document_delete(&y->document);
    free(y);
    *yaml = NULL;
}
