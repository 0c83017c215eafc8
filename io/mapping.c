#include "io/mapping.h"

#include "io/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void rmp_mapping_release(void *mapping)
{
    rmp_mapping *m = mapping;
    if (!m) return;
    munmap((void *)(uintptr_t)m->bytes, m->size);
    free(m);
}

rmp_status rmp_mapping_open(const char *path, rmp_mapping **out)
{
    int fd = -1;
    int64_t size = 0;
    *out = NULL;
    RMP_TRY(rmp_file_open(path, &fd, &size));
    rmp_mapping *m = calloc(1, sizeof *m);
    rmp_status status = RMP_OK;
    RMP_CHECK_GOTO(m, RMP_ERR_MEMORY, done, "%s: no memory to open it", path);
    RMP_CHECK_GOTO(size > 0, RMP_ERR_FORMAT, done, "%s: is empty", path);
    void *address = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    RMP_CHECK_GOTO(address != MAP_FAILED, RMP_ERR_IO, done, "%s: cannot be mapped: %s", path, strerror(errno));
    *m = (rmp_mapping){address, (size_t)size};
    *out = m;
    m = NULL;
done:
    free(m);
    close(fd);
    return status;
}
