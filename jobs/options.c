#include "jobs/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool parse_integer(const char *text, int64_t lo, int64_t hi, int64_t *out, const char **rest)
{
    char *end;
    if (text[0] != '-' && (text[0] < '0' || text[0] > '9')) return false;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || errno != 0 || value < lo || value > hi) return false;
    *out = value;
    *rest = end;
    return true;
}

static rmp_status set_value(const rmp_option *option, char *text, void *values)
{
    void *to = (char *)values + option->offset;
    const char *rest = "";
    switch (option->type) {
    case RMP_OPTION_FLAG:
        *(bool *)to = true;
        return RMP_OK;
    case RMP_OPTION_TEXT:
        RMP_CHECK(text[0] != '\0', RMP_ERR_CONFIG, "--%s: the value is empty", option->name);
        *(const char **)to = text;
        return RMP_OK;
    case RMP_OPTION_INTEGER:
        RMP_CHECK(parse_integer(text, option->lo, option->hi, to, &rest) && *rest == '\0', RMP_ERR_CONFIG,
                  "--%s: '%s' is not accepted; give an integer from %lld to %lld", option->name, text,
                  (long long)option->lo, (long long)option->hi);
        return RMP_OK;
    case RMP_OPTION_SIZE: {
        rmp_size *size = to;
        bool good = parse_integer(text, option->lo, option->hi, &size->h, &rest) && *rest == 'x' &&
                    parse_integer(rest + 1, option->lo, option->hi, &size->w, &rest) && *rest == '\0';
        RMP_CHECK(good, RMP_ERR_CONFIG, "--%s: '%s' is not accepted; give HEIGHTxWIDTH, each from %lld to %lld",
                  option->name, text, (long long)option->lo, (long long)option->hi);
        return RMP_OK;
    }
    case RMP_OPTION_WORD: {
        char words[256] = "";
        for (int i = 0; option->words[i] != NULL; i++) {
            if (strcmp(option->words[i], text) == 0) {
                *(const char **)to = option->words[i];
                return RMP_OK;
            }
            size_t used = strlen(words);
            snprintf(words + used, sizeof words - used, "%s%s", i > 0 ? ", " : "", option->words[i]);
        }
        return RMP_FAIL(RMP_ERR_CONFIG, "--%s: '%s' is not accepted; give one of %s", option->name, text, words);
    }
    case RMP_OPTION_LIST: {
        rmp_text_list *list = to;
        RMP_CHECK(list->count < RMP_MAX_LIST, RMP_ERR_CONFIG, "--%s may be given at most %d times", option->name,
                  RMP_MAX_LIST);
        list->item[list->count++] = text;
        return RMP_OK;
    }
    }
    return RMP_FAIL(RMP_ERR_INTERNAL, "option without a type");
}

static int find(const rmp_command *command, const char *name, size_t length)
{
    for (int i = 0; i < command->count; i++) {
        const char *option = command->options[i].name;
        if (strlen(option) == length && memcmp(option, name, length) == 0) return i;
    }
    return -1;
}

static bool asks_for_help(int argc, char *argv[])
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    }
    return false;
}

static rmp_status parse_option(const rmp_command *command, int argc, char *argv[], int *i, void *values, bool given[])
{
    char *text = argv[*i];
    char *equals = strchr(text, '=');
    size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);
    int found = length > 2 && text[1] == '-' ? find(command, text + 2, length - 2) : -1;
    RMP_CHECK(found >= 0, RMP_ERR_CONFIG, "unknown option %.*s; rmp %s --help lists the options", (int)length, text,
              command->name);
    const rmp_option *option = &command->options[found];
    char *value = NULL;
    if (option->type == RMP_OPTION_FLAG) {
        RMP_CHECK(equals == NULL, RMP_ERR_CONFIG, "--%s takes no value", option->name);
    } else if (equals != NULL) {
        value = equals + 1;
    } else {
        RMP_CHECK(*i + 1 < argc, RMP_ERR_CONFIG, "--%s needs %s", option->name, option->argument);
        value = argv[++*i];
    }
    RMP_CHECK(!given[found] || option->type == RMP_OPTION_LIST, RMP_ERR_CONFIG, "--%s is given twice", option->name);
    given[found] = true;
    return set_value(option, value, values);
}

rmp_status rmp_command_parse(const rmp_command *command, int argc, char *argv[], void *values, char *arguments[],
                             int *count, bool *help)
{
    bool given[32] = {false};
    bool options = true;
    *count = 0;
    *help = asks_for_help(argc, argv);
    if (*help) return RMP_OK;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            RMP_TRY(parse_option(command, argc, argv, &i, values, given));
        } else {
            RMP_CHECK(*count < command->most, RMP_ERR_CONFIG, "unexpected argument '%s'; usage: rmp %s %s", argv[i],
                      command->name, command->arguments);
            arguments[(*count)++] = argv[i];
        }
    }
    RMP_CHECK(*count >= command->least, RMP_ERR_CONFIG, "usage: rmp %s %s (rmp %s --help explains)", command->name,
              command->arguments, command->name);
    for (int i = 0; i < command->count; i++) {
        RMP_CHECK(given[i] || !command->options[i].required, RMP_ERR_CONFIG, "--%s %s is missing",
                  command->options[i].name, command->options[i].argument);
    }
    return RMP_OK;
}

void rmp_command_help(const rmp_command *command, FILE *out)
{
    fprintf(out, "usage: rmp %s %s\n\n%s\n", command->name, command->arguments, command->summary);
    if (command->count > 0) fprintf(out, "\noptions:\n");
    for (int i = 0; i < command->count; i++) {
        char left[64];
        const rmp_option *o = &command->options[i];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->argument != NULL ? " " : "",
                 o->argument != NULL ? o->argument : "");
        fprintf(out, "  %-24s %s\n", left, o->help);
    }
    fprintf(out, "\nexample:\n  %s\n", command->example);
}
