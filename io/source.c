#include "io/source.h"

#include "io/file.h"
#include "io/image.h"
#include "io/item_id.h"
#include "io/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Files of a folder or glob. Order needs all names at once: about 64 bytes a file, and nothing else of it. */
typedef struct names {
    char **name;
    size_t count, capacity;
} names;

void rmp_item_free(rmp_item *item)
{
    free(item->id);
    free(item->image);
    free(item->measurement);
    free(item->mask);
    memset(item, 0, sizeof *item);
}

static void names_free(names *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->name[i]);
    free(list->name);
}

static rmp_status names_add(names *list, const char *name)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 256;
        char **grown = realloc(list->name, capacity * sizeof *grown);
        RMP_CHECK(grown, RMP_ERR_MEMORY, "no memory for the names of %zu files", capacity);
        list->name = grown;
        list->capacity = capacity;
    }
    list->name[list->count] = strdup(name);
    RMP_CHECK(list->name[list->count], RMP_ERR_MEMORY, "no memory for the names of %zu files", list->count);
    list->count++;
    return RMP_OK;
}

static int compare(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right); /* bytes: the same order in every locale */
}

/* Sorts the names and gives out one item each; dir is NULL if they are whole paths. */
static rmp_status emit(names *list, const char *dir, rmp_status (*add)(void *context, const rmp_item *item),
                       void *context)
{
    rmp_item_ids *ids = NULL;
    qsort(list->name, list->count, sizeof *list->name, compare);
    RMP_TRY(rmp_item_ids_create(&ids));
    rmp_status status = RMP_OK;
    for (size_t i = 0; i < list->count && status == RMP_OK; i++) {
        char id[RMP_ITEM_ID_MAX + 1];
        char *path = NULL;
        status = rmp_item_ids_add_file(ids, list->name[i], id);
        if (status == RMP_OK) status = rmp_path_join(dir, list->name[i], &path);
        if (status == RMP_OK) {
            const rmp_item item = {(int64_t)i, id, path, NULL, NULL};
            status = add(context, &item);
        }
        free(path);
    }
    rmp_item_ids_destroy(&ids);
    return status;
}

static rmp_status list_folder(const char *path, names *list)
{
    DIR *dir = opendir(path);
    RMP_CHECK(dir, RMP_ERR_CONFIG, "%s: cannot be read: %s", path, strerror(errno));
    rmp_status status = RMP_OK;
    while (status == RMP_OK) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno) status = RMP_FAIL(RMP_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
            break;
        }
        /* Hidden files are other programs' affairs (thumbnails, resource forks). */
        if (entry->d_name[0] != '.' && rmp_image_name_matches(entry->d_name)) status = names_add(list, entry->d_name);
    }
    closedir(dir);
    return status;
}

static rmp_status list_glob(const char *pattern, names *list)
{
    glob_t found;
    const int result = glob(pattern, GLOB_NOSORT, NULL, &found);
    RMP_CHECK(result == 0 || result == GLOB_NOMATCH, result == GLOB_NOSPACE ? RMP_ERR_MEMORY : RMP_ERR_IO,
              "%s: cannot be listed", pattern);
    RMP_CHECK(result == 0, RMP_ERR_CONFIG, "%s: no file matches", pattern);
    rmp_status status = RMP_OK;
    for (size_t i = 0; i < found.gl_pathc && status == RMP_OK; i++)
        if (rmp_image_name_matches(found.gl_pathv[i])) status = names_add(list, found.gl_pathv[i]);
    globfree(&found);
    return status;
}

rmp_status rmp_source_scan(const char *input, rmp_status (*add)(void *context, const rmp_item *item), void *context)
{
    struct stat info;
    const bool exists = stat(input, &info) == 0; /* before the glob: a folder may be called "a[1]" */
    const int error = errno;
    const bool folder = exists && S_ISDIR(info.st_mode);
    if (exists && !folder && rmp_manifest_name_matches(input)) return rmp_manifest_scan(input, add, context);
    RMP_CHECK(exists || strpbrk(input, "*?["), RMP_ERR_CONFIG, "%s: cannot be read: %s", input, strerror(error));
    names list = {NULL, 0, 0};
    rmp_status status;
    if (folder)
        status = list_folder(input, &list);
    else if (!exists)
        status = list_glob(input, &list);
    else if (rmp_image_name_matches(input))
        status = names_add(&list, input);
    else
        status = RMP_FAIL(RMP_ERR_CONFIG,
                          "%s: is no folder, image (.png .jpg .jpeg .tif .tiff) or manifest (.csv .jsonl)", input);
    if (status == RMP_OK && list.count == 0)
        status = RMP_FAIL(RMP_ERR_CONFIG, "%s: has no images (.png .jpg .jpeg .tif .tiff)", input);
    if (status == RMP_OK) status = emit(&list, folder ? input : NULL, add, context);
    names_free(&list);
    return status;
}
