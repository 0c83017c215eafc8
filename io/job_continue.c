/* Which keys may differ when a job is continued. Works on resolved texts, whose form is fixed (rmp_job_text), so that
 * a journal needs no job to compare. */
#include "io/job.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN = 200 }; /* bytes of a value in a message */

/* They decide how a job runs, not what it computes (JOBS.md: running it again gives the same bytes), or where its
 * folder is seen. `batch` is not among them: sums depend on it. Nor `device`: another one rounds differently. */
static const char *const free_keys[] = {"activations", "memory", "timeout", "output.dir", "output.writer"};

typedef struct entry {
    char key[64]; /* "solver.T" */
    const char *value;
    size_t length;
} entry;

/* Takes the next key and its value from a resolved text; `section` is the state of the reader. */
static bool next_entry(const char **text, char section[32], entry *out)
{
    while (**text != '\0') {
        const char *line = *text, *name = line + strspn(line, " ");
        const size_t length = strcspn(line, "\n");
        const char *end = line + length, *colon = memchr(line, ':', length);
        *text = end + (*end == '\n');
        if (colon == NULL) continue;
        const int width = (int)(colon - name);
        if (colon + 1 == end) {
            snprintf(section, 32, "%.*s", width, name);
            continue;
        }
        if (name == line) section[0] = '\0';
        snprintf(out->key, sizeof out->key, "%s%s%.*s", section, section[0] != '\0' ? "." : "", width, name);
        out->value = colon + 1 + strspn(colon + 1, " ");
        out->length = (size_t)(end - out->value);
        return true;
    }
    return false;
}

static bool find_entry(const char *text, const char *key, entry *out)
{
    char section[32] = "";
    while (next_entry(&text, section, out)) {
        if (strcmp(out->key, key) == 0) return true;
    }
    return false;
}

static bool is_free(const char *key)
{
    for (size_t i = 0; i < sizeof free_keys / sizeof free_keys[0]; i++) {
        if (strcmp(key, free_keys[i]) == 0) return true;
    }
    return false;
}

static int shown(const entry *e) { return (int)(e->length < SHOWN ? e->length : SHOWN); }

bool rmp_job_may_continue(const char *before, const char *now, char *why, size_t size)
{
    char section[32] = "";
    entry old, new;
    for (const char *rest = before; next_entry(&rest, section, &old);) {
        if (is_free(old.key)) continue;
        if (!find_entry(now, old.key, &new)) {
            snprintf(why, size, "%s was %.*s and is not given now", old.key, shown(&old), old.value);
            return false;
        }
        if (old.length == new.length && memcmp(old.value, new.value, old.length) == 0) continue;
        snprintf(why, size, "%s was %.*s and is now %.*s", old.key, shown(&old), old.value, shown(&new), new.value);
        return false;
    }
    section[0] = '\0';
    for (const char *rest = now; next_entry(&rest, section, &new);) {
        if (is_free(new.key) || find_entry(before, new.key, &old)) continue;
        snprintf(why, size, "%s was not given and is now %.*s", new.key, shown(&new), new.value);
        return false;
    }
    return true;
}
