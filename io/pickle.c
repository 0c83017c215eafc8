#include "io/pickle.h"

#include "io/pickle_values.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIZE = 32 << 20, MAX_PROTOCOL = 5 };

/* Values of Python's pickletools.opcodes. */
typedef enum opcode {
    OP_MARK = '(',
    OP_EMPTY_TUPLE = ')',
    OP_STOP = '.',
    OP_BINFLOAT = 'G',
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_NONE = 'N',
    OP_BINPERSID = 'Q',
    OP_REDUCE = 'R',
    OP_BINSTRING = 'T',
    OP_SHORT_BINSTRING = 'U',
    OP_BINUNICODE = 'X',
    OP_EMPTY_LIST = ']',
    OP_APPEND = 'a',
    OP_BUILD = 'b',
    OP_GLOBAL = 'c',
    OP_APPENDS = 'e',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_SETITEM = 's',
    OP_TUPLE = 't',
    OP_SETITEMS = 'u',
    OP_EMPTY_DICT = '}',
    OP_PROTO = 0x80,
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_LONG1 = 0x8a,
    OP_SHORT_BINUNICODE = 0x8c,
    OP_STACK_GLOBAL = 0x93,
    OP_MEMOIZE = 0x94,
    OP_FRAME = 0x95
} opcode;

struct rmp_pickle {
    pickle_values values;
    rmp_pickle_value *root;
};

typedef struct machine {
    const unsigned char *bytes;
    size_t size, at;
    size_t start; /* of the current instruction */
    pickle_values *values;
    rmp_pickle_value **stack, **memo;
    size_t *marks; /* heights of the stack */
    size_t height, stack_capacity, mark_count, mark_capacity, memo_count, memo_capacity;
} machine;

/* Room for `need` items; capacities double. */
static rmp_status reserve(void **items, size_t item_size, size_t *capacity, size_t need)
{
    if (need <= *capacity) return RMP_OK;
    size_t grown = *capacity ? 2 * *capacity : 64;
    while (grown < need)
        grown *= 2;
    void *more = realloc(*items, grown * item_size);
    RMP_CHECK(more, RMP_ERR_MEMORY, "no memory for the contents of a pickle");
    *items = more;
    *capacity = grown;
    return RMP_OK;
}

static rmp_status take(machine *m, size_t count, const unsigned char **out)
{
    RMP_CHECK(count <= m->size - m->at, RMP_ERR_FORMAT, "is truncated");
    *out = m->bytes + m->at;
    m->at += count;
    return RMP_OK;
}

/* An unsigned number of `bytes` bytes, little-endian. */
static rmp_status take_number(machine *m, size_t bytes, uint64_t *out)
{
    const unsigned char *p = NULL;
    RMP_TRY(take(m, bytes, &p));
    *out = 0;
    for (size_t i = 0; i < bytes; i++)
        *out |= (uint64_t)p[i] << (8 * i);
    return RMP_OK;
}

static rmp_status take_line(machine *m, const char **text, size_t *size)
{
    const unsigned char *begin = m->bytes + m->at, *end = memchr(begin, '\n', m->size - m->at);
    RMP_CHECK(end, RMP_ERR_FORMAT, "is truncated");
    *text = (const char *)begin;
    *size = (size_t)(end - begin);
    m->at += *size + 1;
    return RMP_OK;
}

static rmp_status push(machine *m, rmp_pickle_value *value)
{
    void *items = m->stack;
    const rmp_status status = reserve(&items, sizeof *m->stack, &m->stack_capacity, m->height + 1);
    m->stack = items;
    if (status == RMP_OK) m->stack[m->height++] = value;
    return status;
}

static rmp_status push_new(machine *m, rmp_pickle_kind kind, rmp_pickle_value **out)
{
    RMP_TRY(pickle_new(m->values, kind, out));
    return push(m, *out);
}

static rmp_status push_integer(machine *m, rmp_pickle_kind kind, int64_t number)
{
    rmp_pickle_value *value;
    RMP_TRY(push_new(m, kind, &value));
    value->as.integer = number;
    return RMP_OK;
}

/* At least `count` values above the last mark. */
static rmp_status need(const machine *m, size_t count)
{
    const size_t floor = m->mark_count ? m->marks[m->mark_count - 1] : 0;
    RMP_CHECK(m->height - floor >= count, RMP_ERR_FORMAT, "takes values that are not there");
    return RMP_OK;
}

static rmp_status pop(machine *m, rmp_pickle_value **out)
{
    RMP_TRY(need(m, 1));
    *out = m->stack[--m->height];
    return RMP_OK;
}

static rmp_status push_mark(machine *m)
{
    void *items = m->marks;
    const rmp_status status = reserve(&items, sizeof *m->marks, &m->mark_capacity, m->mark_count + 1);
    m->marks = items;
    if (status == RMP_OK) m->marks[m->mark_count++] = m->height;
    return status;
}

/* Removes the last mark; the values above it are stack[*first] to stack[height - 1]. */
static rmp_status pop_mark(machine *m, size_t *first)
{
    RMP_CHECK(m->mark_count > 0, RMP_ERR_FORMAT, "takes values that are not there");
    *first = m->marks[--m->mark_count];
    return RMP_OK;
}

static rmp_status run_text(machine *m, size_t length_bytes)
{
    uint64_t size = 0;
    const unsigned char *p = NULL;
    rmp_pickle_value *value;
    RMP_TRY(take_number(m, length_bytes, &size));
    RMP_TRY(take(m, (size_t)size, &p));
    RMP_TRY(push_new(m, RMP_PICKLE_TEXT, &value));
    value->as.text.bytes = (const char *)p;
    value->as.text.size = (size_t)size;
    return RMP_OK;
}

/* Two's complement: sizes, steps and ids of objects. What needs more than eight bytes (a seed of 64 bits) is nothing
 * that weights are made from: that it is a number is all that is kept. */
static rmp_status run_long(machine *m)
{
    uint64_t size = 0, number = 0;
    const unsigned char *p = NULL;
    rmp_pickle_value *value;
    RMP_TRY(take_number(m, 1, &size));
    if (size > 8) {
        RMP_TRY(take(m, (size_t)size, &p));
        RMP_TRY(push_new(m, RMP_PICKLE_REAL, &value));
        value->as.real = NAN;
        return RMP_OK;
    }
    RMP_TRY(take_number(m, (size_t)size, &number));
    if (size > 0 && size < 8 && number >> (8 * size - 1)) number |= UINT64_MAX << (8 * size);
    return push_integer(m, RMP_PICKLE_INTEGER, (int64_t)number);
}

static rmp_status run_real(machine *m)
{
    const unsigned char *p = NULL;
    uint64_t bits = 0;
    rmp_pickle_value *value;
    RMP_TRY(take(m, 8, &p));
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | p[i];
    RMP_TRY(push_new(m, RMP_PICKLE_REAL, &value));
    memcpy(&value->as.real, &bits, sizeof bits);
    return RMP_OK;
}

static rmp_status run_put(machine *m, uint64_t index)
{
    RMP_TRY(need(m, 1));
    /* A memo has no more entries than the pickle has bytes: larger indices only cost memory. */
    RMP_CHECK(index < m->size, RMP_ERR_FORMAT, "remembers value %" PRIu64 " of a pickle of %zu bytes", index, m->size);
    void *items = m->memo;
    const size_t before = m->memo_capacity;
    const rmp_status status = reserve(&items, sizeof *m->memo, &m->memo_capacity, (size_t)index + 1);
    m->memo = items;
    if (status != RMP_OK) return status;
    for (size_t i = before; i < m->memo_capacity; i++)
        m->memo[i] = NULL;
    if (!m->memo[index]) m->memo_count++;
    m->memo[index] = m->stack[m->height - 1];
    return RMP_OK;
}

static rmp_status run_get(machine *m, size_t length_bytes)
{
    uint64_t index = 0;
    RMP_TRY(take_number(m, length_bytes, &index));
    RMP_CHECK(index < m->memo_capacity && m->memo[index], RMP_ERR_FORMAT,
              "recalls value %" PRIu64 ", which was never remembered", index);
    return push(m, m->memo[index]);
}

/* A tuple of the values from stack[first] on. */
static rmp_status run_tuple(machine *m, size_t first)
{
    rmp_pickle_value *tuple;
    RMP_TRY(pickle_new(m->values, RMP_PICKLE_TUPLE, &tuple));
    for (size_t i = first; i < m->height; i++)
        RMP_TRY(pickle_append(tuple, m->stack[i]));
    m->height = first;
    return push(m, tuple);
}

static rmp_status run_small_tuple(machine *m, size_t count)
{
    RMP_TRY(need(m, count));
    return run_tuple(m, m->height - count);
}

/* Moves the values from stack[first] on to the list or dict below them. */
static rmp_status run_extend(machine *m, size_t first, rmp_pickle_kind kind)
{
    const size_t floor = m->mark_count ? m->marks[m->mark_count - 1] : 0;
    RMP_CHECK(first > floor && m->stack[first - 1]->kind == kind, RMP_ERR_FORMAT, "adds to what is not %s",
              rmp_pickle_kind_name(kind));
    RMP_CHECK(kind != RMP_PICKLE_DICT || (m->height - first) % 2 == 0, RMP_ERR_FORMAT, "a dict's key without value");
    for (size_t i = first; i < m->height; i++)
        RMP_TRY(pickle_append(m->stack[first - 1], m->stack[i]));
    m->height = first;
    return RMP_OK;
}

/* torch gives the dict of a module's state a dict of attributes, and 0.3 gave a parameter a tuple of flags; they are
 * dropped, everything else is refused. */
static rmp_status run_build(machine *m)
{
    rmp_pickle_value *state;
    RMP_TRY(need(m, 2));
    RMP_TRY(pop(m, &state));
    const rmp_pickle_kind of = m->stack[m->height - 1]->kind;
    const bool attributes = of == RMP_PICKLE_DICT && state->kind == RMP_PICKLE_DICT;
    const bool flags = of == RMP_PICKLE_TENSOR && state->kind == RMP_PICKLE_TUPLE && state->as.list.count == 3;
    RMP_CHECK(attributes || flags, RMP_ERR_FORMAT, "BUILD gives %s to %s", rmp_pickle_kind_name(state->kind),
              rmp_pickle_kind_name(of));
    return RMP_OK;
}

static rmp_status run_global(machine *m)
{
    const char *module = NULL, *name = NULL;
    size_t module_size = 0, name_size = 0;
    rmp_pickle_value *value;
    RMP_TRY(take_line(m, &module, &module_size));
    RMP_TRY(take_line(m, &name, &name_size));
    RMP_TRY(pickle_global(m->values, module, module_size, name, name_size, &value));
    return push(m, value);
}

static rmp_status run_stack_global(machine *m)
{
    rmp_pickle_value *module, *name, *value;
    RMP_TRY(need(m, 2));
    RMP_TRY(pop(m, &name));
    RMP_TRY(pop(m, &module));
    RMP_CHECK(module->kind == RMP_PICKLE_TEXT && name->kind == RMP_PICKLE_TEXT, RMP_ERR_FORMAT,
              "STACK_GLOBAL names no text");
    RMP_TRY(pickle_global(m->values, module->as.text.bytes, module->as.text.size, name->as.text.bytes,
                          name->as.text.size, &value));
    return push(m, value);
}

static rmp_status run_reduce(machine *m)
{
    rmp_pickle_value *arguments, *callable, *value;
    RMP_TRY(need(m, 2));
    RMP_TRY(pop(m, &arguments));
    RMP_TRY(pop(m, &callable));
    RMP_TRY(pickle_call(m->values, callable, arguments, &value));
    return push(m, value);
}

static rmp_status run_persistent(machine *m)
{
    rmp_pickle_value *id, *value;
    RMP_TRY(pop(m, &id));
    RMP_TRY(pickle_persistent(m->values, id, &value));
    return push(m, value);
}

static rmp_status run_protocol(machine *m)
{
    uint64_t version = 0;
    RMP_TRY(take_number(m, 1, &version));
    RMP_CHECK(version >= 2 && version <= MAX_PROTOCOL, RMP_ERR_FORMAT, "protocol %" PRIu64 "; 2 to %d are read",
              version, (int)MAX_PROTOCOL);
    return RMP_OK;
}

static rmp_status run_integer(machine *m, size_t bytes)
{
    uint64_t number = 0;
    RMP_TRY(take_number(m, bytes, &number));
    const int64_t value = bytes == 4 ? (int64_t)(int32_t)(uint32_t)number : (int64_t)number;
    return push_integer(m, RMP_PICKLE_INTEGER, value);
}

static rmp_status run_marked(machine *m, unsigned char code)
{
    size_t first = 0;
    RMP_TRY(pop_mark(m, &first));
    if (code == OP_TUPLE) return run_tuple(m, first);
    return run_extend(m, first, code == OP_APPENDS ? RMP_PICKLE_LIST : RMP_PICKLE_DICT);
}

static rmp_status run_single(machine *m, unsigned char code)
{
    const size_t count = code == OP_APPEND ? 1 : 2;
    RMP_TRY(need(m, count));
    return run_extend(m, m->height - count, code == OP_APPEND ? RMP_PICKLE_LIST : RMP_PICKLE_DICT);
}

/* What has an argument in the file. */
static rmp_status run_operand(machine *m, unsigned char code)
{
    uint64_t number = 0;
    switch (code) {
    case OP_PROTO:
        return run_protocol(m);
    case OP_FRAME: /* its length only helps readers of streams */
        return take_number(m, 8, &number);
    case OP_BININT:
        return run_integer(m, 4);
    case OP_BININT1:
        return run_integer(m, 1);
    case OP_BININT2:
        return run_integer(m, 2);
    case OP_LONG1:
        return run_long(m);
    case OP_BINFLOAT:
        return run_real(m);
    case OP_BINSTRING:
    case OP_BINUNICODE:
        return run_text(m, 4);
    case OP_SHORT_BINSTRING:
    case OP_SHORT_BINUNICODE:
        return run_text(m, 1);
    case OP_GLOBAL:
        return run_global(m);
    case OP_BINGET:
        return run_get(m, 1);
    case OP_LONG_BINGET:
        return run_get(m, 4);
    case OP_BINPUT:
        RMP_TRY(take_number(m, 1, &number));
        return run_put(m, number);
    case OP_LONG_BINPUT:
        RMP_TRY(take_number(m, 4, &number));
        return run_put(m, number);
    default:
        return RMP_FAIL(RMP_ERR_FORMAT, "instruction 0x%02x is not one that weights need", (unsigned)code);
    }
}

static rmp_status run(machine *m, unsigned char code)
{
    rmp_pickle_value *value;
    switch (code) {
    case OP_MARK:
        return push_mark(m);
    case OP_NONE:
        return push_new(m, RMP_PICKLE_NONE, &value);
    case OP_NEWTRUE:
    case OP_NEWFALSE:
        return push_integer(m, RMP_PICKLE_BOOLEAN, code == OP_NEWTRUE);
    case OP_EMPTY_TUPLE:
        return push_new(m, RMP_PICKLE_TUPLE, &value);
    case OP_EMPTY_LIST:
        return push_new(m, RMP_PICKLE_LIST, &value);
    case OP_EMPTY_DICT:
        return push_new(m, RMP_PICKLE_DICT, &value);
    case OP_TUPLE1:
    case OP_TUPLE2:
    case OP_TUPLE3:
        return run_small_tuple(m, (size_t)(code - OP_TUPLE1 + 1));
    case OP_TUPLE:
    case OP_APPENDS:
    case OP_SETITEMS:
        return run_marked(m, code);
    case OP_APPEND:
    case OP_SETITEM:
        return run_single(m, code);
    case OP_BUILD:
        return run_build(m);
    case OP_REDUCE:
        return run_reduce(m);
    case OP_STACK_GLOBAL:
        return run_stack_global(m);
    case OP_BINPERSID:
        return run_persistent(m);
    case OP_MEMOIZE:
        return run_put(m, m->memo_count);
    default:
        return run_operand(m, code);
    }
}

/* Instructions that people may meet in other pickles, so that the message has the name that they can look up. */
static const char *name_of(unsigned char code)
{
    static const struct {
        unsigned char code;
        const char *name;
    } names[] = {{'0', "POP"},
                 {'1', "POP_MARK"},
                 {'2', "DUP"},
                 {'I', "INT"},
                 {'L', "LONG"},
                 {'F', "FLOAT"},
                 {'S', "STRING"},
                 {'V', "UNICODE"},
                 {'P', "PERSID"},
                 {'i', "INST"},
                 {'o', "OBJ"},
                 {0x81, "NEWOBJ"},
                 {0x82, "EXT1"},
                 {0x83, "EXT2"},
                 {0x84, "EXT4"},
                 {0x8b, "LONG4"},
                 {0x92, "NEWOBJ_EX"},
                 {'B', "BINBYTES"},
                 {'d', "DICT"},
                 {'l', "LIST"},
                 {'C', "SHORT_BINBYTES"},
                 {0x8f, "EMPTY_SET"},
                 {0x90, "ADDITEMS"},
                 {0x91, "FROZENSET"},
                 {'g', "GET"},
                 {'p', "PUT"},
                 {0x8d, "BINUNICODE8"},
                 {0x8e, "BINBYTES8"},
                 {0x96, "BYTEARRAY8"},
                 {0x97, "NEXT_BUFFER"},
                 {0x98, "READONLY_BUFFER"},
                 {OP_REDUCE, "REDUCE"},
                 {OP_BUILD, "BUILD"},
                 {OP_GLOBAL, "GLOBAL"},
                 {OP_STACK_GLOBAL, "STACK_GLOBAL"},
                 {OP_BINPERSID, "BINPERSID"},
                 {OP_LONG1, "LONG1"},
                 {OP_PROTO, "PROTO"},
                 {OP_SETITEMS, "SETITEMS"},
                 {OP_SETITEM, "SETITEM"},
                 {OP_APPENDS, "APPENDS"},
                 {OP_APPEND, "APPEND"},
                 {OP_BINPUT, "BINPUT"},
                 {OP_BINGET, "BINGET"},
                 {OP_LONG_BINPUT, "LONG_BINPUT"},
                 {OP_LONG_BINGET, "LONG_BINGET"},
                 {OP_TUPLE, "TUPLE"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code) return names[i].name;
    return NULL;
}

static rmp_status run_all(machine *m)
{
    for (;;) {
        const unsigned char *code = NULL;
        m->start = m->at;
        rmp_status status = take(m, 1, &code);
        if (status == RMP_OK && *code == OP_STOP) break;
        if (status == RMP_OK) status = run(m, *code);
        if (status == RMP_OK) continue;
        const char *name = m->start < m->size ? name_of(m->bytes[m->start]) : NULL;
        if (name) return rmp_fail_context(status, "pickle, byte %zu (%s)", m->start, name);
        return rmp_fail_context(status, "pickle, byte %zu", m->start);
    }
    RMP_CHECK(m->mark_count == 0, RMP_ERR_FORMAT, "pickle: ends behind a MARK");
    RMP_CHECK(m->height == 1, RMP_ERR_FORMAT, "pickle: ends with %zu values, not one", m->height);
    return RMP_OK;
}

rmp_status rmp_pickle_read_first(const void *bytes, size_t size, rmp_pickle **out, size_t *used)
{
    *out = NULL;
    if (size > MAX_SIZE) size = MAX_SIZE;
    rmp_pickle *pickle = calloc(1, sizeof *pickle);
    RMP_CHECK(pickle, RMP_ERR_MEMORY, "no memory for the contents of a pickle");
    machine m = {.bytes = bytes, .size = size, .values = &pickle->values};
    const rmp_status status = run_all(&m);
    if (status == RMP_OK)
        pickle->root = m.stack[0];
    else
        rmp_pickle_destroy(&pickle);
    free(m.stack);
    free(m.memo);
    free(m.marks);
    *used = m.at;
    *out = pickle;
    return status;
}

rmp_status rmp_pickle_read(const void *bytes, size_t size, rmp_pickle **out)
{
    size_t used = 0;
    *out = NULL;
    RMP_CHECK(size <= MAX_SIZE, RMP_ERR_FORMAT, "pickle: %zu bytes are more than weights need (%d MiB)", size,
              MAX_SIZE >> 20);
    RMP_TRY(rmp_pickle_read_first(bytes, size, out, &used));
    if (used == size) return RMP_OK;
    rmp_pickle_destroy(out);
    return RMP_FAIL(RMP_ERR_FORMAT, "pickle: %zu bytes after its end", size - used);
}

rmp_status rmp_pickle_storages(const rmp_pickle *pickle, const rmp_pickle_storage ***out, size_t *count)
{
    return pickle_list_storages(&pickle->values, out, count);
}

void rmp_pickle_destroy(rmp_pickle **pickle)
{
    if (!pickle || !*pickle) return;
    pickle_release(&(*pickle)->values);
    free(*pickle);
    *pickle = NULL;
}

const rmp_pickle_value *rmp_pickle_root(const rmp_pickle *pickle) { return pickle->root; }
