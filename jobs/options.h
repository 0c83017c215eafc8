/* Command lines: one typed table of options a command, read strictly; the help text comes from the same table. */
#pragma once

#include "core/status.h"

#include <stdio.h>

typedef enum rmp_option_type {
    RMP_OPTION_FLAG,    /* bool: --name */
    RMP_OPTION_TEXT,    /* const char *: --name VALUE, --name=VALUE; not empty */
    RMP_OPTION_INTEGER, /* int64_t in [lo, hi] */
    RMP_OPTION_WORD,    /* const char *: one of `words` */
    RMP_OPTION_SIZE,    /* rmp_size: HxW, both in [lo, hi] */
    RMP_OPTION_LIST     /* rmp_text_list: may be repeated */
} rmp_option_type;

enum { RMP_MAX_LIST = 64 };

typedef struct rmp_text_list {
    int count;
    char *item[RMP_MAX_LIST]; /* borrowed from argv */
} rmp_text_list;

typedef struct rmp_size {
    int64_t h, w;
} rmp_size;

typedef struct rmp_option {
    const char *name;     /* without "--" */
    const char *argument; /* for the help: "KEY=VALUE"; NULL for a flag */
    const char *help;     /* one line */
    rmp_option_type type;
    size_t offset; /* of the value in the command's structure */
    int64_t lo, hi;
    const char *const *words; /* ends with NULL */
    bool required;
} rmp_option;

typedef struct rmp_command {
    const char *name;      /* "model eval" */
    const char *arguments; /* "JOB.yaml [options]" */
    const char *summary;   /* what it does, in at most three lines */
    const char *example;   /* one or two command lines */
    const rmp_option *options;
    int count;
    int least, most; /* arguments that are not options */
} rmp_command;

/* Reads argv[1 .. argc-1] into `values` (defaults must be there already) and the other arguments into `arguments`
 * (room for command->most). *help is set, and everything else skipped, if --help or -h is among them. RMP_ERR_CONFIG
 * names the option and what it takes. */
rmp_status rmp_command_parse(const rmp_command *command, int argc, char *argv[], void *values, char *arguments[],
                             int *count, bool *help) RMP_MUST_CHECK;

void rmp_command_help(const rmp_command *command, FILE *out);
