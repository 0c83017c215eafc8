/* The keys of a job file (JOBS.md), once: reading, checking, writing and error messages all come from this table.
 * Private to io/job*.c. */
#pragma once

#include "io/job.h"

enum { RMP_JOB_SECTIONS = 9, RMP_JOB_MAX_KEYS = 40 };

typedef enum rmp_job_type {
    RMP_JOB_PATH,    /* char *: a file or folder, relative to the job file */
    RMP_JOB_MODEL,   /* char *: a weight file, formula:CONFIG.json, or the bare name of a shipped model */
    RMP_JOB_PARTS,   /* char *: operators with their keys, io/job_parts.c */
    RMP_JOB_WORD,    /* an enum: one of `words` */
    RMP_JOB_FLAG,    /* bool */
    RMP_JOB_INTEGER, /* int64_t in [lo, hi] */
    RMP_JOB_ODD,     /* the same, odd */
    RMP_JOB_SEED,    /* uint64_t */
    RMP_JOB_NUMBER,  /* double in [lo, hi] */
    RMP_JOB_CHOSEN,  /* the same, or the word auto (-1) : the program chooses, when it reads the job or later */
    RMP_JOB_COUNT,   /* int64_t in [lo, hi], or the word auto (0) */
    RMP_JOB_SIZE,    /* int64_t bytes with a unit, or the word auto (0) */
    RMP_JOB_PAIR,    /* two int64_t in [lo, hi]: [h, w] */
    RMP_JOB_RANGE    /* two doubles: one of the ranges a noise level can be stated on */
} rmp_job_type;

typedef struct rmp_job_word {
    const char *name;
    unsigned value;
} rmp_job_word;

typedef struct rmp_job_key {
    const char *name;
    rmp_job_type type;
    size_t offset; /* in rmp_job */
    double lo, hi;
    const rmp_job_word *words; /* RMP_JOB_WORD; ends with a NULL name */
    const char *selector;      /* key of the same section that decides whether this one applies; NULL: it always does */
    unsigned selected;         /* bit v: applies where the selector applies and has the value v */
} rmp_job_key;

typedef struct rmp_job_section {
    const char *name; /* "" for the keys at the top */
    const rmp_job_key *keys;
    int count;
} rmp_job_section;

extern const rmp_job_section rmp_job_sections[RMP_JOB_SECTIONS];

/* NULL if there is no such key. */
const rmp_job_key *rmp_job_key_find(const rmp_job_section *section, const char *name);

/* "solver.T", or "seed" for a key at the top. */
void rmp_job_key_path(const rmp_job_section *section, const rmp_job_key *key, char *buffer, size_t size);

/* True if the key means something for the kinds that the job has. */
bool rmp_job_key_applies(const rmp_job *job, const rmp_job_section *section, const rmp_job_key *key);

/* What a key takes, for a sentence: "an integer from 1 to 64", "one of bicubic, box". */
void rmp_job_key_accepts(const rmp_job_key *key, char *buffer, size_t size);

/* The selector that says that a key does not apply, and its values that the key belongs to: "super_resolution,
 * motion_blur". */
const rmp_job_key *rmp_job_key_decider(const rmp_job *job, const rmp_job_section *section, const rmp_job_key *key,
                                       char *belongs, size_t size);

/* Parses `text` into the job; false if it is not accepted. Strings are copied (a former one is freed); *memory is set
 * if there was none left. Strict: nothing may follow a number. */
bool rmp_job_key_parse(rmp_job *job, const rmp_job_key *key, const char *text, bool *memory);

/* The value as YAML, in a fixed form that parses to the same value; owned by the caller, NULL without memory. */
char *rmp_job_key_text(const rmp_job *job, const rmp_job_key *key);

/* The value of an enumeration key. */
unsigned rmp_job_key_word(const rmp_job *job, const rmp_job_key *key);
bool rmp_job_key_is_string(const rmp_job_key *key);
char **rmp_job_key_string(rmp_job *job, const rmp_job_key *key);

/* Every default, in a job that is zero. */
void rmp_job_defaults(rmp_job *job);

/* job_parts.c: operator.parts into op.part and op.config, and its text anew with every default. RMP_ERR_CONFIG names
 * `where`, the part and its key. */
rmp_status rmp_job_parts_read(rmp_job *job, const char *where) RMP_MUST_CHECK;

/* A double-quoted YAML scalar; owned by the caller, NULL without memory. */
char *rmp_job_key_quote(const char *text);

/* Makes the value of a path key start at `folder` if it is relative; names of shipped models stay. */
rmp_status rmp_job_key_absolute(rmp_job *job, const rmp_job_key *key, const char *folder) RMP_MUST_CHECK;
