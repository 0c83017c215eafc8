#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct rmp_file_writer {
    int fd;
    char *dir, *path, *temporary;
};

/* One call moves at most 2 GiB on Linux; smaller pieces keep an interrupt cheap. */
enum { PIECE = 1 << 28 };

rmp_status rmp_path_join(const char *dir, const char *name, char **out)
{
    *out = NULL;
    if (!dir || name[0] == '/') dir = "";
    const size_t a = strlen(dir), b = strlen(name);
    const size_t slash = a > 0 && dir[a - 1] != '/';
    char *path = malloc(a + slash + b + 1);
    RMP_CHECK(path, RMP_ERR_MEMORY, "no memory for a path of %zu bytes", a + b);
    memcpy(path, dir, a);
    if (slash) path[a] = '/';
    memcpy(path + a + slash, name, b + 1);
    *out = path;
    return RMP_OK;
}

rmp_status rmp_path_folder(const char *path, char **out)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--; /* "a/b/" is in "a" */
    while (end > 0 && path[end - 1] != '/')
        end--;
    while (end > 1 && path[end - 1] == '/')
        end--;
    if (end == 0) return rmp_path_join(NULL, path[0] == '/' ? "/" : ".", out);
    char *folder = malloc(end + 1);
    *out = folder;
    RMP_CHECK(folder, RMP_ERR_MEMORY, "no memory for a path of %zu bytes", end);
    memcpy(folder, path, end);
    folder[end] = '\0';
    return RMP_OK;
}

static void writer_free(rmp_file_writer **writer)
{
    rmp_file_writer *w = *writer;
    if (w->fd >= 0) close(w->fd);
    free(w->dir);
    free(w->path);
    free(w->temporary);
    free(w);
    *writer = NULL;
}

void rmp_file_writer_abort(rmp_file_writer **writer)
{
    if (!*writer) return;
    if ((*writer)->temporary) unlink((*writer)->temporary);
    writer_free(writer);
}

static rmp_status writer_names(rmp_file_writer *w, const char *dir, const char *name)
{
    RMP_TRY(rmp_path_join(NULL, dir, &w->dir));
    RMP_TRY(rmp_path_join(dir, name, &w->path));
    const size_t size = strlen(name) + 32;
    char *hidden = malloc(size);
    RMP_CHECK(hidden, RMP_ERR_MEMORY, "no memory for a path of %zu bytes", size);
    snprintf(hidden, size, ".%s.tmp.%ld", name, (long)getpid());
    const rmp_status status = rmp_path_join(dir, hidden, &w->temporary);
    free(hidden);
    return status;
}

rmp_status rmp_file_writer_open(const char *dir, const char *name, rmp_file_writer **out)
{
    *out = NULL;
    RMP_CHECK(name[0] && !strchr(name, '/'), RMP_ERR_ARGUMENT, "'%s' is not the name of a file in a folder", name);
    rmp_file_writer *w = calloc(1, sizeof *w);
    RMP_CHECK(w, RMP_ERR_MEMORY, "no memory to write %s/%s", dir, name);
    w->fd = -1;
    rmp_status status = writer_names(w, dir, name);
    if (status == RMP_OK) {
        w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (w->fd < 0) status = RMP_FAIL(RMP_ERR_IO, "%s: cannot be created: %s", w->path, strerror(errno));
    }
    if (status != RMP_OK) {
        writer_free(&w);
        return status;
    }
    *out = w;
    return RMP_OK;
}

rmp_status rmp_file_writer_append(rmp_file_writer *w, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        const ssize_t done = write(w->fd, at, size < PIECE ? size : PIECE);
        if (done < 0 && errno == EINTR) continue;
        RMP_CHECK(done > 0, RMP_ERR_IO, "%s: cannot be written: %s", w->path, strerror(done < 0 ? errno : ENOSPC));
        at += done;
        size -= (size_t)done;
    }
    return RMP_OK;
}

/* Some file systems have no fsync for folders: their renames are as safe as they can be. */
static rmp_status folder_sync(const char *dir)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    RMP_CHECK(fd >= 0, RMP_ERR_IO, "%s: cannot be opened: %s", dir, strerror(errno));
    const int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    RMP_CHECK(error == 0 || error == EINVAL || error == ENOTSUP, RMP_ERR_IO, "%s: cannot be synchronised: %s", dir,
              strerror(error));
    return RMP_OK;
}

static rmp_status writer_finish(rmp_file_writer *w)
{
    RMP_CHECK(fsync(w->fd) == 0, RMP_ERR_IO, "%s: cannot be written: %s", w->path, strerror(errno));
    const int fd = w->fd;
    w->fd = -1;
    RMP_CHECK(close(fd) == 0, RMP_ERR_IO, "%s: cannot be written: %s", w->path, strerror(errno));
    RMP_CHECK(rename(w->temporary, w->path) == 0, RMP_ERR_IO, "%s: cannot be put in place: %s", w->path,
              strerror(errno));
    return RMP_OK;
}

rmp_status rmp_file_writer_commit(rmp_file_writer **writer)
{
    rmp_status status = writer_finish(*writer);
    if (status != RMP_OK) {
        rmp_file_writer_abort(writer);
        return status;
    }
    status = folder_sync((*writer)->dir[0] ? (*writer)->dir : ".");
    writer_free(writer);
    return status;
}

rmp_status rmp_file_write(const char *dir, const char *name, const void *bytes, size_t size)
{
    rmp_file_writer *writer = NULL;
    RMP_TRY(rmp_file_writer_open(dir, name, &writer));
    const rmp_status status = rmp_file_writer_append(writer, bytes, size);
    if (status != RMP_OK) {
        rmp_file_writer_abort(&writer);
        return status;
    }
    return rmp_file_writer_commit(&writer);
}

/* ".NAME.tmp.PID", as writer_names makes it. */
static bool is_temporary(const char *name)
{
    static const char mark[] = ".tmp.";
    const char *at = NULL;
    for (const char *next = strstr(name, mark); next; next = strstr(next + 1, mark))
        at = next;
    if (name[0] != '.' || !at || at == name) return false;
    const char *digits = at + sizeof mark - 1;
    return digits[0] && strspn(digits, "0123456789") == strlen(digits);
}

rmp_status rmp_folder_clean(const char *dir)
{
    DIR *folder = opendir(dir);
    if (!folder && errno == ENOENT) return RMP_OK;
    RMP_CHECK(folder, RMP_ERR_IO, "%s: cannot be read: %s", dir, strerror(errno));
    rmp_status status = RMP_OK;
    while (status == RMP_OK) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry) {
            if (errno) status = RMP_FAIL(RMP_ERR_IO, "%s: cannot be read: %s", dir, strerror(errno));
            break;
        }
        if (is_temporary(entry->d_name) && unlinkat(dirfd(folder), entry->d_name, 0) != 0 && errno != ENOENT)
            status = RMP_FAIL(RMP_ERR_IO, "%s/%s: cannot be removed: %s", dir, entry->d_name, strerror(errno));
    }
    closedir(folder);
    return status;
}

rmp_status rmp_file_open(const char *path, int *fd, int64_t *size)
{
    *fd = -1;
    *size = 0;
    /* O_NONBLOCK: opening a pipe without a writer would wait for one. */
    const int file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    RMP_CHECK(file >= 0, RMP_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    struct stat info;
    rmp_status status = RMP_OK;
    if (fstat(file, &info) != 0)
        status = RMP_FAIL(RMP_ERR_IO, "%s: cannot be examined: %s", path, strerror(errno));
    else if (S_ISDIR(info.st_mode))
        status = RMP_FAIL(RMP_ERR_FORMAT, "%s: is a folder", path);
    else if (!S_ISREG(info.st_mode))
        status = RMP_FAIL(RMP_ERR_FORMAT, "%s: is not a regular file", path);
    if (status != RMP_OK) {
        close(file);
        return status;
    }
    *fd = file;
    *size = (int64_t)info.st_size;
    return RMP_OK;
}

/* Up to `size` bytes: a file may have become shorter since it was examined. */
static rmp_status read_all(const char *path, int fd, char *bytes, size_t size, size_t *got)
{
    *got = 0;
    while (*got < size) {
        const size_t rest = size - *got;
        const ssize_t done = read(fd, bytes + *got, rest < PIECE ? rest : PIECE);
        if (done < 0 && errno == EINTR) continue;
        RMP_CHECK(done >= 0, RMP_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
        if (done == 0) break;
        *got += (size_t)done;
    }
    return RMP_OK;
}

rmp_status rmp_file_read(const char *path, size_t max_size, char **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    int fd = -1;
    int64_t length = 0;
    char *buffer = NULL;
    size_t got = 0;
    rmp_status status = rmp_file_open(path, &fd, &length);
    if (status != RMP_OK) return status;
    RMP_CHECK_GOTO((uint64_t)length <= max_size, RMP_ERR_FORMAT, done, "%s: has %lld bytes, more than the %zu allowed",
                   path, (long long)length, max_size);
    buffer = malloc((size_t)length + 1);
    RMP_CHECK_GOTO(buffer, RMP_ERR_MEMORY, done, "%s: no memory for its %lld bytes", path, (long long)length);
    RMP_TRY_GOTO(read_all(path, fd, buffer, (size_t)length, &got), done);
    buffer[got] = '\0';
    *bytes = buffer;
    *size = got;
    buffer = NULL;
done:
    free(buffer);
    close(fd);
    return status;
}

static rmp_status folder_make(const char *path)
{
    if (mkdir(path, 0777) == 0) return RMP_OK;
    const int error = errno;
    struct stat info;
    /* Read-only and automounted parents answer EROFS or EACCES although the folder is there. */
    if (stat(path, &info) == 0) {
        RMP_CHECK(S_ISDIR(info.st_mode), RMP_ERR_IO, "%s: cannot be created: a file of that name is in the way", path);
        return RMP_OK;
    }
    return RMP_FAIL(RMP_ERR_IO, "%s: cannot be created: %s", path, strerror(error));
}

rmp_status rmp_folder_create(const char *path)
{
    char *partial = NULL;
    RMP_TRY(rmp_path_join(NULL, path, &partial));
    rmp_status status = RMP_OK;
    for (char *at = partial + (partial[0] == '/'); *at && status == RMP_OK; at++) {
        if (*at != '/') continue;
        *at = '\0';
        status = folder_make(partial);
        *at = '/';
    }
    free(partial);
    RMP_TRY(status);
    return folder_make(path);
}
