#include "jobs/options.h"

#include <criterion/criterion.h>
#include <string.h>

typedef struct values {
    bool flag;
    const char *text, *word;
    int64_t number;
    rmp_size size;
    rmp_text_list list;
} values;

static const char *const words[] = {"auto", "cpu", NULL};

#define AT(field) offsetof(values, field)

static const rmp_option options[] = {
    {"flag", NULL, "a flag", RMP_OPTION_FLAG, AT(flag), 0, 0, NULL, false},
    {"text", "FILE", "a text", RMP_OPTION_TEXT, AT(text), 0, 0, NULL, true},
    {"word", "KIND", "a word", RMP_OPTION_WORD, AT(word), 0, 0, words, false},
    {"number", "N", "a number", RMP_OPTION_INTEGER, AT(number), -5, 64, NULL, false},
    {"size", "HxW", "a size", RMP_OPTION_SIZE, AT(size), 1, 4096, NULL, false},
    {"set", "KEY=VALUE", "a list", RMP_OPTION_LIST, AT(list), 0, 0, NULL, false},
};
static const rmp_command command = {"try", "A [B] --text FILE", "Tries.", "rmp try a --text b", options, 6, 1, 2};

typedef struct outcome {
    rmp_status status;
    values v;
    char *argument[2];
    int count;
    bool help;
} outcome;

static outcome parse(int argc, const char *const argv[])
{
    outcome o;
    memset(&o, 0, sizeof o);
    rmp_fail_clear();
    o.status = rmp_command_parse(&command, argc, (char **)(uintptr_t)argv, &o.v, o.argument, &o.count, &o.help);
    return o;
}

#define PARSE(...)                                                                                                     \
    parse((int)(sizeof((const char *[]){"try", __VA_ARGS__}) / sizeof(char *)), (const char *[]){"try", __VA_ARGS__})

static void refuses(outcome o, const char *mention)
{
    cr_assert_eq(o.status, RMP_ERR_CONFIG);
    cr_assert(strstr(rmp_fail_message(), mention) != NULL, "'%s' does not mention '%s'", rmp_fail_message(), mention);
}

Test(options, every_type_in_both_spellings)
{
    outcome o = PARSE("in", "--flag", "--text", "f", "--word=cpu", "--number=-5", "--size", "3x40", "--set", "a=b=c",
                      "--set=d=1", "out");
    cr_assert_eq(o.status, RMP_OK, "%s", rmp_fail_message());
    cr_assert(o.v.flag);
    cr_assert_str_eq(o.v.text, "f");
    cr_assert_str_eq(o.v.word, "cpu");
    cr_assert_eq(o.v.number, -5);
    cr_assert_eq(o.v.size.h, 3);
    cr_assert_eq(o.v.size.w, 40);
    cr_assert_eq(o.v.list.count, 2);
    cr_assert_str_eq(o.v.list.item[0], "a=b=c");
    cr_assert_str_eq(o.v.list.item[1], "d=1");
    cr_assert_eq(o.count, 2);
    cr_assert_str_eq(o.argument[0], "in");
    cr_assert_str_eq(o.argument[1], "out");
}

Test(options, what_follows_two_dashes_is_no_option)
{
    outcome o = PARSE("--text", "f", "--", "--flag", "-");
    cr_assert_eq(o.status, RMP_OK, "%s", rmp_fail_message());
    cr_assert_not(o.v.flag);
    cr_assert_str_eq(o.argument[0], "--flag");
    cr_assert_str_eq(o.argument[1], "-");
}

Test(options, numbers_are_read_strictly)
{
    static const char *const bad[] = {"65", "-6", "", " 3", "3 ", "3x", "0x3", "1e1", "99999999999999999999", "+3"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        refuses(PARSE("in", "--text", "f", "--number", bad[i]), "from -5 to 64");
    }
    static const char *const sizes[] = {"3", "3x", "x3", "0x3", "3x4x5", "3*4", "3 x 4", "4097x1"};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        refuses(PARSE("in", "--text", "f", "--size", sizes[i]), "HEIGHTxWIDTH");
    }
}

Test(options, mistakes_are_named)
{
    refuses(PARSE("in", "--text", "f", "--wrong"), "--wrong");
    refuses(PARSE("in", "--text", "f", "-f"), "unknown option -f");
    refuses(PARSE("in", "--text", "f", "--tex", "g"), "unknown option --tex");
    refuses(PARSE("in", "--text", "f", "--word", "gpu"), "one of auto, cpu");
    refuses(PARSE("in", "--text", "f", "--flag=1"), "takes no value");
    refuses(PARSE("in", "--text"), "--text needs FILE");
    refuses(PARSE("in", "--text="), "empty");
    refuses(PARSE("in", "--text", "f", "--text", "g"), "given twice");
    refuses(PARSE("in"), "--text FILE is missing");
    refuses(PARSE("--text", "f"), "usage: rmp try");
    refuses(PARSE("a", "b", "c", "--text", "f"), "unexpected argument 'c'");
}

Test(options, help_wins_over_mistakes_and_fits_a_screen)
{
    outcome o = PARSE("--wrong", "--help");
    cr_assert_eq(o.status, RMP_OK);
    cr_assert(o.help);
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    rmp_command_help(&command, f);
    fclose(f);
    for (int i = 0; i < command.count; i++)
        cr_assert(strstr(text, options[i].name) != NULL);
    cr_assert(strstr(text, command.example) != NULL);
    free(text);
}
