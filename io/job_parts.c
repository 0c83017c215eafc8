/* operator.parts of a composition: "gaussian_blur(kernel_size=9, std=2), super_resolution(factor=2), grayscale". Each
 * part has the keys that the operator of its kind has, from the same table, but for files. */
#include "io/job_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPERATOR = 2, LONGEST = 128 }; /* place of the section in the table; length of a name or value */

typedef struct reader {
    const char *where, *at;
    rmp_job *scratch; /* holds the part that is being read */
    int64_t part;
} reader;

static void skip_spaces(reader *r) { r->at += strspn(r->at, " \t\r\n"); }

static bool take(reader *r, char c)
{
    skip_spaces(r);
    if (*r->at != c) return false;
    r->at++;
    return true;
}

static rmp_status read_name(reader *r, char name[LONGEST])
{
    skip_spaces(r);
    const size_t length = strspn(r->at, "abcdefghijklmnopqrstuvwxyz0123456789_");
    RMP_CHECK(length > 0 && length < LONGEST, RMP_ERR_CONFIG, "%s: part %lld: a name is expected at '%.40s'", r->where,
              (long long)r->part + 1, r->at);
    memcpy(name, r->at, length);
    name[length] = '\0';
    r->at += length;
    return RMP_OK;
}

/* Up to the next comma or bracket that is not inside [ ]. */
static rmp_status read_value(reader *r, const char *kind, const char *name, char value[LONGEST])
{
    skip_spaces(r);
    const char *p = r->at;
    for (int depth = 0; *p != '\0' && (depth > 0 || (*p != ',' && *p != ')')); p++)
        depth += (*p == '[') - (*p == ']');
    size_t length = (size_t)(p - r->at);
    while (length > 0 && r->at[length - 1] == ' ')
        length--;
    RMP_CHECK(length > 0 && length < LONGEST, RMP_ERR_CONFIG, "%s: part %lld (%s): %s has no value", r->where,
              (long long)r->part + 1, kind, name);
    memcpy(value, r->at, length);
    value[length] = '\0';
    r->at = p;
    return RMP_OK;
}

static bool is_part_key(const rmp_job *job, const rmp_job_section *section, const rmp_job_key *key)
{
    return key->selector != NULL && !rmp_job_key_is_string(key) && rmp_job_key_applies(job, section, key);
}

static void list_keys(const rmp_job *job, const rmp_job_section *section, char *text, size_t size)
{
    text[0] = '\0';
    for (int k = 0; k < section->count; k++) {
        if (!is_part_key(job, section, &section->keys[k])) continue;
        const size_t used = strlen(text);
        snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", section->keys[k].name);
    }
    if (text[0] == '\0') snprintf(text, size, "none");
}

static rmp_status read_key(reader *r, const rmp_job_section *section, const char *kind)
{
    char name[LONGEST], value[LONGEST], text[512];
    bool memory = false;
    RMP_TRY(read_name(r, name));
    const rmp_job_key *key = rmp_job_key_find(section, name);
    list_keys(r->scratch, section, text, sizeof text);
    RMP_CHECK(key != NULL && is_part_key(r->scratch, section, key), RMP_ERR_CONFIG,
              "%s: part %lld (%s): it has no key %s; its keys here: %s", r->where, (long long)r->part + 1, kind, name,
              text);
    RMP_CHECK(take(r, '='), RMP_ERR_CONFIG, "%s: part %lld (%s): %s is followed by no =", r->where,
              (long long)r->part + 1, kind, name);
    RMP_TRY(read_value(r, kind, name, value));
    if (rmp_job_key_parse(r->scratch, key, value, &memory)) return RMP_OK;
    rmp_job_key_accepts(key, text, sizeof text);
    return RMP_FAIL(RMP_ERR_CONFIG, "%s: part %lld (%s): %s: '%.100s' is not accepted; give %s", r->where,
                    (long long)r->part + 1, kind, name, value, text);
}

/* One "kind" or "kind(key=value, ...)". */
static rmp_status read_part(reader *r, rmp_operator_config *out)
{
    const rmp_job_section *section = &rmp_job_sections[OPERATOR];
    const rmp_job_key *kind_key = rmp_job_key_find(section, "kind");
    char kind[LONGEST], text[512];
    bool memory = false;
    memset(r->scratch, 0, sizeof *r->scratch);
    rmp_job_defaults(r->scratch);
    RMP_TRY(read_name(r, kind));
    if (!rmp_job_key_parse(r->scratch, kind_key, kind, &memory)) {
        rmp_job_key_accepts(kind_key, text, sizeof text);
        return RMP_FAIL(RMP_ERR_CONFIG, "%s: part %lld: '%s' is not accepted; give %s", r->where,
                        (long long)r->part + 1, kind, text);
    }
    if (take(r, '(') && !take(r, ')')) {
        do {
            RMP_TRY(read_key(r, section, kind));
        } while (take(r, ','));
        RMP_CHECK(take(r, ')'), RMP_ERR_CONFIG, "%s: part %lld (%s): a closing bracket is expected at '%.40s'",
                  r->where, (long long)r->part + 1, kind, r->at);
    }
    *out = r->scratch->op.config;
    return RMP_OK;
}

/* The part in r->scratch, with every default. */
static rmp_status write_part(const rmp_job *scratch, FILE *f)
{
    const rmp_job_section *section = &rmp_job_sections[OPERATOR];
    int keys = 0;
    char *value = rmp_job_key_text(scratch, rmp_job_key_find(section, "kind"));
    RMP_CHECK(value != NULL, RMP_ERR_MEMORY, "no memory for the parts of an operator");
    fprintf(f, "%s", value);
    free(value);
    for (int k = 0; k < section->count; k++) {
        const rmp_job_key *key = &section->keys[k];
        if (!is_part_key(scratch, section, key)) continue;
        value = rmp_job_key_text(scratch, key);
        RMP_CHECK(value != NULL, RMP_ERR_MEMORY, "no memory for the parts of an operator");
        fprintf(f, "%s%s=%s", keys++ > 0 ? ", " : "(", key->name, value);
        free(value);
    }
    if (keys > 0) fprintf(f, ")");
    return RMP_OK;
}

static rmp_status read_parts(rmp_job *job, reader *r, FILE *f)
{
    do {
        RMP_CHECK(r->part < RMP_OPERATOR_MOST_PARTS, RMP_ERR_CONFIG, "%s: more than %d parts", r->where,
                  RMP_OPERATOR_MOST_PARTS);
        RMP_TRY(read_part(r, &job->op.part[r->part]));
        if (r->part++ > 0) fprintf(f, ", ");
        RMP_TRY(write_part(r->scratch, f));
    } while (take(r, ','));
    skip_spaces(r);
    RMP_CHECK(*r->at == '\0', RMP_ERR_CONFIG, "%s: part %lld: a comma is expected at '%.40s'", r->where,
              (long long)r->part, r->at);
    return RMP_OK;
}

rmp_status rmp_job_parts_read(rmp_job *job, const char *where)
{
    reader r = {.where = where, .at = job->op.parts, .scratch = malloc(sizeof *r.scratch)};
    char *text = NULL;
    size_t size = 0;
    FILE *f = r.scratch != NULL ? open_memstream(&text, &size) : NULL;
    rmp_status status = RMP_OK;
    RMP_CHECK_GOTO(f != NULL, RMP_ERR_MEMORY, done, "no memory for the parts of an operator");
    status = read_parts(job, &r, f);
    if (fclose(f) != 0 && status == RMP_OK) status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for the parts of an operator");
    if (status != RMP_OK) goto done;
    free(job->op.parts);
    job->op.parts = text;
    text = NULL;
    job->op.config.part = job->op.part;
    job->op.config.parts = r.part;
done:
    free(text);
    free(r.scratch);
    return status;
}
