/* Files: whole, atomic and named in every error. */
#pragma once

#include "core/status.h"

/* Writes `name` in folder `dir`: temporary name in the same folder, fsync, rename, fsync of the folder.
 * On failure no file of either name is left behind (a former `name` stays). */
rmp_status rmp_file_write(const char *dir, const char *name, const void *bytes, size_t size) RMP_MUST_CHECK;

/* Reads a whole file; *bytes is owned by the caller and has one zero byte more. */
rmp_status rmp_file_read(const char *path, size_t max_size, char **bytes, size_t *size) RMP_MUST_CHECK;

/* Creates a folder and its parents; no error if it exists. */
rmp_status rmp_folder_create(const char *path) RMP_MUST_CHECK;

/* dir/name, or name if it is absolute or dir is NULL; owned by the caller. */
rmp_status rmp_path_join(const char *dir, const char *name, char **out) RMP_MUST_CHECK;

/* Folder that a path is in ("." if none); owned by the caller. */
rmp_status rmp_path_folder(const char *path, char **out) RMP_MUST_CHECK;
