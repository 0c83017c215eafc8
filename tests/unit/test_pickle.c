#include "io/pickle.h"
#include "tests/unit/scratch.h"

#include <string.h>

TestSuite(pickle);

/* In memory of exactly that size, so that a sanitizer sees the first byte read beyond. The pickle must not outlive it:
 * texts lie in it. */
static rmp_status read_bytes(const char *bytes, size_t size, void (*look)(const rmp_pickle_value *root))
{
    char *copy = malloc(size + !size);
    cr_assert(copy);
    memcpy(copy, bytes, size);
    rmp_pickle *pickle = NULL;
    const rmp_status status = rmp_pickle_read(copy, size, &pickle);
    cr_assert((status == RMP_OK) == (pickle != NULL));
    if (pickle && look) look(rmp_pickle_root(pickle));
    rmp_pickle_destroy(&pickle);
    free(copy);
    return status;
}

#define READ(text, look) read_bytes(text, sizeof(text) - 1, look)

#define TENSOR           "ctorch._utils\n_rebuild_tensor_v2\n"
#define STORAGE                                                                                                        \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                                                                 \
    "0X\3\0\0\0cpuK\6tQ"
#define HOOKS "ccollections\nOrderedDict\n)R"
/* {"w": tensor of (3, 2), strides (2, 1)} */
#define GOOD "\x80\2}X\1\0\0\0w" TENSOR "(" STORAGE "K\0K\3K\2\x86K\2K\1\x86\x89" HOOKS "tRs."

static void look_numbers(const rmp_pickle_value *root)
{
    static const int64_t wanted[] = {255, 65535, -1, -2147483648LL, 0, -1, -(1LL << 40), INT64_MAX};
    cr_assert(root->kind == RMP_PICKLE_LIST && root->as.list.count == 12);
    for (int i = 0; i < 8; i++) {
        cr_assert(root->as.list.items[i]->kind == RMP_PICKLE_INTEGER);
        cr_assert(root->as.list.items[i]->as.integer == wanted[i], "number %d", i);
    }
    cr_assert(root->as.list.items[8]->kind == RMP_PICKLE_REAL && root->as.list.items[8]->as.real == 1.5);
    cr_assert(root->as.list.items[9]->kind == RMP_PICKLE_NONE);
    cr_assert(root->as.list.items[10]->kind == RMP_PICKLE_BOOLEAN && root->as.list.items[10]->as.integer == 1);
    cr_assert(root->as.list.items[11]->kind == RMP_PICKLE_BOOLEAN && root->as.list.items[11]->as.integer == 0);
}

static void look_dict(const rmp_pickle_value *root)
{
    cr_assert(root->kind == RMP_PICKLE_DICT && root->as.list.count == 6);
    cr_assert(rmp_pickle_get(root, "a")->as.integer == 2, "the last one counts");
    cr_assert(rmp_pickle_is_text(rmp_pickle_get(root, "bc"), "d"));
    cr_assert(!rmp_pickle_get(root, "b") && !rmp_pickle_get(rmp_pickle_get(root, "a"), "a"));
}

static void look_tensor(const rmp_pickle_value *root)
{
    const rmp_pickle_value *w = rmp_pickle_get(root, "w");
    cr_assert(w && w->kind == RMP_PICKLE_TENSOR);
    const rmp_pickle_tensor *t = w->as.tensor;
    cr_assert(t->rank == 2 && t->dims[0] == 3 && t->dims[1] == 2 && t->strides[0] == 2 && t->strides[1] == 1);
    cr_assert(t->offset == 0 && t->storage->supported && t->storage->dtype == RMP_F32 && t->storage->count == 6);
    cr_assert(t->storage->key_size == 1 && t->storage->key[0] == '0');
}

Test(pickle, reads)
{
    expect_ok(READ("\x80\2](K\xffM\xff\xffJ\xff\xff\xff\xffJ\0\0\0\x80\x8a\0\x8a\1\xff\x8a\6\0\0\0\0\0\xff"
                   "\x8a\x8\xff\xff\xff\xff\xff\xff\xff\x7fG\x3f\xf8\0\0\0\0\0\0N\x88\x89"
                   "e.",
                   look_numbers));
    expect_ok(READ("\x80\2}(X\1\0\0\0aK\1U\2bcT\1\0\0\0dX\1\0\0\0aK\2u.", look_dict));
    expect_ok(READ(GOOD, look_tensor));
    /* as PyTorch 0.3 wrote it */
    expect_ok(READ("\x80\2}X\1\0\0\0wctorch.nn.parameter\nParameter\nctorch._utils\n_rebuild_tensor\n(" STORAGE
                   "K\0K\3K\2\x86K\2K\1\x86tR\x85R\x88\x89N\x87"
                   "bs.",
                   look_tensor));
    expect_ok(
        READ("\x80\2ccollections\nOrderedDict\n](](X\1\0\0\0aK\1e](U\2bcT\1\0\0\0de(X\1\0\0\0aK\2te\x85R.", look_dict));
    expect_ok(READ("\x80\4\x95\0\0\0\0\0\0\0\0\x8c\5torch\x8c\4Size\x93K\1K\2\x86\x85R\x94h\0\x86.", NULL));
    expect_ok(READ("\x80\5](\x8a\x9\xff\xff\xff\xff\xff\xff\xff\xff\0K\1e.", NULL));
    /* A list that holds itself, and a dict that holds itself through a tuple. */
    expect_ok(READ("\x80\2]q\0h\0a.", NULL));
    expect_ok(READ("\x80\2}q\0X\1\0\0\0ah\0\x85s.", NULL));
}

Test(pickle, refuses)
{
#define CASE(text, code, word)                                                                                         \
    {                                                                                                                  \
        text, sizeof(text) - 1, code, word                                                                             \
    }
    static const struct {
        const char *bytes;
        size_t size;
        const char *word, *other;
    } cases[] = {
        CASE("\x80\2cos\nsystem\nX\2\0\0\0ls\x85R.", "os.system", "GLOBAL"),
        CASE("\x80\2c__builtin__\neval\n.", "__builtin__.eval", "byte 2"),
        CASE("\x80\4\x8c\5posix\x8c\6system\x93.", "posix.system", "STACK_GLOBAL"),
        CASE("\x80\2ctorch._utils\n_rebuild_tensor_v2x\n.", "_rebuild_tensor_v2x", ""),
        CASE("\x80\2ctorch._utils\n_rebuild_tensor_v2\n)R.", "0 arguments", "REDUCE"),
        CASE("\x80\2ctorch\nFloatStorage\n)R.", "FloatStorage", "REDUCE"),
        CASE("\x80\2ccollections\nOrderedDict\nN\x85R.", "OrderedDict", "no list"),
        CASE("\x80\2ccollections\nOrderedDict\n]]a\x85R.", "OrderedDict", "pairs"),
        CASE("\x80\2ccollections\nOrderedDict\n]K\1a\x85R.", "OrderedDict", "pairs"),
        CASE("\x80\2ctorch.nn.parameter\nParameter\n)R.", "parameter", "REDUCE"),
        CASE("\x80\2ctorch.nn.parameter\nParameter\nN\x85R.", "parameter", "REDUCE"),
        CASE("\x80\2ctorch._utils\n_rebuild_tensor\n(" STORAGE "K\0K\3K\2\x86K\2K\1\x86\x89tR.", "5 arguments", ""),
        CASE("\x80\2" TENSOR "(" STORAGE "K\0))\x89" HOOKS "tRK\1\x85"
             "b.",
             "a tuple", "BUILD"),
        CASE("\x80\2X\1\0\0\0a)R.", "a text", "REDUCE"),
        CASE("\x80\2ccollections\nOrderedDict\n]R.", "a list", "REDUCE"),
        CASE("\x80\2X\1\0\0\0aQ.", "persistent", "BINPERSID"),
        CASE("\x80\2(X\7\0\0\0storagectorch\nSize\nX\1\0\0\0"
             "0X\3\0\0\0cpuK\6tQ.",
             "persistent", ""),
        CASE("\x80\2(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
             "0X\3\0\0\0cpuJ\xff\xff\xff\xfftQ.",
             "persistent", ""),
        CASE("\x80\2}" TENSOR "(" STORAGE "K\0K\3K\2\x86K\2\x85\x89" HOOKS "tRs.", "2 dimensions", "1 strides"),
        CASE("\x80\2}" TENSOR "(" STORAGE "J\xff\xff\xff\xff))\x89" HOOKS "tRs.", "offset", ""),
        CASE("\x80\2}" TENSOR "(" STORAGE "K\0J\xff\xff\xff\xff\x85K\1\x85\x89" HOOKS "tRs.", "negative", ""),
        CASE("\x80\2}" TENSOR "(" STORAGE "K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1t)\x89" HOOKS "tRs.", "shape", "at most 8"),
        CASE("\x80\2]K\1b.", "an integer", "BUILD"),
        CASE("\x80\2}]b.", "a list", "BUILD"),
        CASE("\x80\2h\0.", "never remembered", "BINGET"),
        CASE("\x80\2j\xff\xff\xff\xff.", "never remembered", "LONG_BINGET"),
        CASE("\x80\2Nr\xff\xff\xff\xff.", "4294967295", "LONG_BINPUT"),
        CASE("\x80\2q\0.", "not there", "BINPUT"),
        CASE("\x80\2t.", "not there", "TUPLE"),
        CASE("\x80\2K\1(\x85.", "not there", ""),
        CASE("\x80\2NK\1a.", "a list", "APPEND"),
        CASE("\x80\2NNNs.", "a dict", "SETITEM"),
        CASE("\x80\2}(Nu.", "without value", "SETITEMS"),
        CASE("\x80\2](e(.", "behind a MARK", ""),
        CASE("\x80\2NN.", "2 values", ""),
        CASE("\x80\2.", "0 values", ""),
        CASE("\x80\2N.N", "after its end", ""),
        CASE("\x80\1N.", "protocol 1", "PROTO"),
        CASE("\x80\6N.", "protocol 6", "PROTO"),
        CASE("\x80\2\x8a\x9xxxxxxxx", "truncated", "LONG1"),
        CASE("\x80\2}" TENSOR "(" STORAGE "\x8a\x9\1\0\0\0\0\0\0\0\0))\x89" HOOKS "tRs.", "offset", ""),
        CASE("\x80\2X\xff\xff\xff\xff.", "truncated", ""),
        CASE("\x80\2X\xff\xff\xff\x7f.", "truncated", ""),
        CASE("\x80\2ctorch", "truncated", "GLOBAL"),
        CASE("", "truncated", ""),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_failure(read_bytes(cases[i].bytes, cases[i].size, NULL), RMP_ERR_FORMAT, cases[i].word, cases[i].other);
}

/* Every instruction that is not on the list, behind a stack that would satisfy it. */
Test(pickle, every_other_opcode)
{
    static const char known[] = "().GJKMNQRTUX]abcehjqrstu}\x80\x85\x86\x87\x88\x89\x8a\x8c\x93\x94\x95";
    int refused = 0;
    for (int code = 1; code < 256; code++) {
        if (memchr(known, code, sizeof known - 1)) continue;
        char bytes[32], wanted[32];
        const int size = snprintf(bytes, sizeof bytes, "%c%c}(}}}%c1\n1\n1\n1\n1\n.", 0x80, 2, code);
        snprintf(wanted, sizeof wanted, "0x%02x", (unsigned)code);
        expect_failure(read_bytes(bytes, (size_t)size, NULL), RMP_ERR_FORMAT, wanted, "byte 7");
        refused++;
    }
    cr_assert(refused == 255 - (int)(sizeof known - 1));
    expect_failure(READ("\x80\2c\0", NULL), RMP_ERR_FORMAT, "truncated", "GLOBAL");
    expect_failure(READ("\x80\2NN\x81.", NULL), RMP_ERR_FORMAT, "NEWOBJ", "0x81");
}

Test(pickle, every_truncation_and_damage)
{
    char bytes[] = GOOD;
    const size_t size = sizeof bytes - 1;
    for (size_t cut = 0; cut < size; cut++)
        expect_failure(read_bytes(bytes, cut, NULL), RMP_ERR_FORMAT, "pickle", "");
    for (size_t at = 0; at < size; at++) {
        const char old = bytes[at];
        for (int value = 0; value < 256; value++) {
            bytes[at] = (char)value;
            const rmp_status status = read_bytes(bytes, size, NULL);
            cr_assert(status == RMP_OK || status == RMP_ERR_FORMAT);
        }
        bytes[at] = old;
    }
}

/* Deep nesting costs memory in proportion to the file, and no stack. */
Test(pickle, deep)
{
    const size_t depth = 1 << 20;
    char *bytes = malloc(2 * depth + 4);
    cr_assert(bytes);
    memcpy(bytes, "\x80\2", 2);
    memset(bytes + 2, ']', depth);
    memset(bytes + 2 + depth, 'a', depth - 1);
    bytes[2 * depth + 1] = '.';
    expect_ok(read_bytes(bytes, 2 * depth + 2, NULL));
    memset(bytes + 2, '(', 2 * depth);
    expect_failure(read_bytes(bytes, 2 * depth + 2, NULL), RMP_ERR_FORMAT, "pickle", "");
    memset(bytes + 3, '\x85', 2 * depth - 2);
    bytes[2] = ')';
    bytes[2 * depth + 1] = '.';
    expect_ok(read_bytes(bytes, 2 * depth + 2, NULL));
    free(bytes);
}
