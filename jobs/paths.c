#include "jobs/paths.h"

#include "io/file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PARENTS = 4 };

static bool is_shipped_folder(const char *path)
{
    char models[PATH_MAX];
    int n = snprintf(models, sizeof models, "%s/models", path);
    return n > 0 && n < (int)sizeof models && access(models, R_OK | X_OK) == 0;
}

static void remove_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash != NULL) *slash = '\0';
}

rmp_status rmp_paths_shipped(char **out)
{
    char folder[PATH_MAX], candidate[PATH_MAX + 16];
    *out = NULL;
    ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
    RMP_CHECK(n > 0, RMP_ERR_IO, "/proc/self/exe cannot be read: the shipped files are found relative to the program");
    folder[n] = '\0';
    remove_last(folder);
    char here[PATH_MAX];
    memcpy(here, folder, sizeof here);
    for (int up = 0; up <= MAX_PARENTS; up++) {
        static const char *const below[] = {"share/rmp", "jobs"};
        for (int i = 0; i < 2; i++) {
            snprintf(candidate, sizeof candidate, "%s/%s", folder, below[i]);
            if (!is_shipped_folder(candidate)) continue;
            *out = realpath(candidate, NULL);
            RMP_CHECK(*out != NULL, RMP_ERR_MEMORY, "no memory for a path");
            return RMP_OK;
        }
        remove_last(folder);
    }
    return RMP_FAIL(RMP_ERR_CONFIG,
                    "the shipped files (share/rmp of an installation, jobs of a source tree) are not near %s", here);
}

static bool is_bare(const char *model)
{
    return model[0] != '\0' &&
           model[strspn(model, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] == '\0';
}

static void list_models(const char *folder, char *text, size_t size)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);
    text[0] = '\0';
    for (int i = 0; i < n; i++) {
        char *end = strstr(entries[i]->d_name, ".safetensors");
        size_t used = strlen(text);
        if (end != NULL && used < size) {
            snprintf(text + used, size - used, "%s%.*s", used > 0 ? ", " : "", (int)(end - entries[i]->d_name),
                     entries[i]->d_name);
        }
        free(entries[i]);
    }
    if (n >= 0) free(entries);
}

rmp_status rmp_paths_model(const char *model, char **out)
{
    *out = NULL;
    if (!is_bare(model)) {
        *out = strdup(model);
        RMP_CHECK(*out != NULL, RMP_ERR_MEMORY, "no memory for a path");
        return RMP_OK;
    }
    char *shipped, path[PATH_MAX], known[512];
    RMP_TRY(rmp_paths_shipped(&shipped));
    snprintf(path, sizeof path, "%s/models", shipped);
    list_models(path, known, sizeof known);
    int n = snprintf(path, sizeof path, "%s/models/%s.safetensors", shipped, model);
    free(shipped);
    RMP_CHECK(n > 0 && n < (int)sizeof path && access(path, R_OK) == 0, RMP_ERR_CONFIG,
              "there is no shipped model '%s' (there are: %s); for a file of that name write ./%s", model,
              known[0] ? known : "none", model);
    *out = strdup(path);
    RMP_CHECK(*out != NULL, RMP_ERR_MEMORY, "no memory for a path");
    return RMP_OK;
}
