#define _GNU_SOURCE /* locks of an open file description */
#include "io/lock.h"

#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOLDER_TEXT = 256 };

rmp_status rmp_folder_lock(const char *dir, int *lock)
{
    char *path;
    *lock = -1;
    RMP_TRY(rmp_path_join(dir, ".lock", &path));
    rmp_status status = RMP_OK;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    RMP_CHECK_GOTO(fd >= 0, RMP_ERR_IO, end, "%s: cannot open: %s", path, strerror(errno));
    /* Of the open file, not of the process: closing another descriptor of the file does not lose it. It ends with the
     * process, so that a killed job leaves nothing to clean up; what the file says is for people only. */
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) != 0) {
        int reason = errno;
        char holder[HOLDER_TEXT] = "";
        ssize_t got = pread(fd, holder, sizeof holder - 1, 0);
        holder[got > 0 ? got : 0] = '\0';
        holder[strcspn(holder, "\n")] = '\0';
        if (reason == EAGAIN || reason == EACCES)
            status = RMP_FAIL(RMP_ERR_BUSY, "%s is in use by another job (%s)", dir,
                              holder[0] ? holder : "its process is not known");
        else
            status = RMP_FAIL(RMP_ERR_IO, "%s: cannot lock: %s", path, strerror(reason));
        goto end;
    }
    char host[128] = "";
    char holder[HOLDER_TEXT];
    if (gethostname(host, sizeof host - 1) != 0) strcpy(host, "unknown");
    int length = snprintf(holder, sizeof holder, "process %ld on %s\n", (long)getpid(), host);
    /* A full disk shows where it matters, in the database. */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, holder, (size_t)length, 0) != length) errno = 0;
    *lock = fd;
    fd = -1;
end:
    if (fd >= 0) close(fd);
    free(path);
    return status;
}

void rmp_folder_unlock(int *lock)
{
    if (*lock >= 0) close(*lock);
    *lock = -1;
}
