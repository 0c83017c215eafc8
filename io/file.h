/* Files: whole, atomic and named in every error. */
#pragma once

#include "core/status.h"

/* Writes `name` in folder `dir`: temporary name in the same folder, fsync, rename, fsync of the folder.
 * On failure no file of either name is left behind (a former `name` stays). RMP_ERR_IO with path and reason. */
rmp_status rmp_file_write(const char *dir, const char *name, const void *bytes, size_t size) RMP_MUST_CHECK;

/* The same in pieces, for what does not fit in memory. commit and abort release the writer (abort accepts NULL and
 * removes the temporary file); after a failed append only abort is allowed; a failed commit has aborted. */
typedef struct rmp_file_writer rmp_file_writer;
rmp_status rmp_file_writer_open(const char *dir, const char *name, rmp_file_writer **out) RMP_MUST_CHECK;
rmp_status rmp_file_writer_append(rmp_file_writer *writer, const void *bytes, size_t size) RMP_MUST_CHECK;
rmp_status rmp_file_writer_commit(rmp_file_writer **writer) RMP_MUST_CHECK;
void rmp_file_writer_abort(rmp_file_writer **writer);

/* Removes the temporary files that killed processes left in a folder. Only while no other process writes there. No
 * error if the folder does not exist. */
rmp_status rmp_folder_clean(const char *dir) RMP_MUST_CHECK;

/* Opens a regular file for reading, without ever waiting (a pipe or a device is refused); *fd is the caller's to close.
 * RMP_ERR_IO if the system refuses, RMP_ERR_FORMAT if it is a folder or no regular file. */
rmp_status rmp_file_open(const char *path, int *fd, int64_t *size) RMP_MUST_CHECK;

/* Reads a whole file; *bytes is owned by the caller and has one zero byte more. */
rmp_status rmp_file_read(const char *path, size_t max_size, char **bytes, size_t *size) RMP_MUST_CHECK;

/* Creates a folder and its parents; no error if it exists. */
rmp_status rmp_folder_create(const char *path) RMP_MUST_CHECK;

/* dir/name, or name if it is absolute or dir is NULL; owned by the caller. */
rmp_status rmp_path_join(const char *dir, const char *name, char **out) RMP_MUST_CHECK;

/* Folder that a path is in ("." if none); owned by the caller. */
rmp_status rmp_path_folder(const char *path, char **out) RMP_MUST_CHECK;
