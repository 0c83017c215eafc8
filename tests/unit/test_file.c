#include "io/file.h"
#include "tests/unit/scratch.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

TestSuite(file, .init = scratch_setup, .fini = scratch_teardown);

static int entries(const char *path)
{
    DIR *dir = opendir(path);
    cr_assert(dir);
    int count = -2; /* . and .. */
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

Test(file, write_and_replace)
{
    size_t size;
    char *bytes;
    expect_ok(rmp_file_write(scratch, "a.bin", "first\0x", 7));
    expect_ok(rmp_file_write(scratch, "a.bin", "second", 6));
    expect_ok(rmp_file_write(scratch, "empty", NULL, 0));
    expect_ok(rmp_file_read(scratch_path("a.bin"), 100, &bytes, &size));
    cr_assert(size == 6 && strcmp(bytes, "second") == 0);
    free(bytes);
    expect_ok(rmp_file_read(scratch_path("empty"), 100, &bytes, &size));
    cr_assert(size == 0 && bytes[0] == '\0');
    free(bytes);
    cr_assert(entries(scratch) == 2);
}

Test(file, pieces)
{
    rmp_file_writer *writer = NULL;
    expect_ok(rmp_file_writer_open(scratch, "b", &writer));
    expect_ok(rmp_file_writer_append(writer, "one", 3));
    cr_assert(access(scratch_path("b"), F_OK) != 0, "visible before it is whole");
    expect_ok(rmp_file_writer_append(writer, "two", 3));
    expect_ok(rmp_file_writer_commit(&writer));
    cr_assert(!writer);
    size_t size;
    char *bytes = scratch_read(scratch_path("b"), &size);
    cr_assert(strcmp(bytes, "onetwo") == 0);
    free(bytes);
    expect_ok(rmp_file_writer_open(scratch, "b", &writer));
    expect_ok(rmp_file_writer_append(writer, "three", 5));
    rmp_file_writer_abort(&writer);
    rmp_file_writer_abort(&writer);
    cr_assert(entries(scratch) == 1);
    bytes = scratch_read(scratch_path("b"), &size);
    cr_assert(strcmp(bytes, "onetwo") == 0);
    free(bytes);
}

Test(file, refused)
{
    expect_failure(rmp_file_write(scratch_path("none"), "a", "x", 1), RMP_ERR_IO, "none/a", "No such file");
    expect_failure(rmp_file_write(scratch, "a/b", "x", 1), RMP_ERR_ARGUMENT, "a/b", "name");
    expect_failure(rmp_file_write(scratch, "", "x", 1), RMP_ERR_ARGUMENT, "''", "name");
    cr_assert(mkdir(scratch_path("folder"), 0777) == 0);
    expect_failure(rmp_file_write(scratch, "folder", "x", 1), RMP_ERR_IO, "folder", "irectory");
    cr_assert(entries(scratch) == 1, "the temporary file is left");
}

/* A limit on the size of files fails like a full disk: in the middle of a write. */
Test(file, no_space)
{
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {100000, 100000};
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    expect_ok(rmp_file_write(scratch, "a", "old", 3));
    char *big = calloc(1, 300000);
    cr_assert(big);
    expect_failure(rmp_file_write(scratch, "a", big, 300000), RMP_ERR_IO, scratch_path("a"), "File too large");
    free(big);
    size_t size;
    char *bytes = scratch_read(scratch_path("a"), &size);
    cr_assert(strcmp(bytes, "old") == 0);
    free(bytes);
    cr_assert(entries(scratch) == 1, "half a file is left");
}

Test(file, what_the_killed_left)
{
    static const char *const kept[] = {"a.png",   ".a.png",    ".tmp.7",        "a.tmp.7",
                                       ".a.tmp.", ".a.tmp.7x", ".a.tmp.7.tmp.b"};
    static const char *const removed[] = {".a.png.tmp.7", ".a.tmp.x.tmp.123456"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        scratch_write(scratch_path(kept[i]), "x", 1);
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++)
        scratch_write(scratch_path(removed[i]), "x", 1);
    rmp_file_writer *lost;
    expect_ok(rmp_file_writer_open(scratch, "b", &lost)); /* what is really left, whatever its name */
    expect_ok(rmp_folder_clean(scratch));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        cr_assert(access(scratch_path(kept[i]), F_OK) == 0, "%s", kept[i]);
    cr_assert(entries(scratch) == sizeof kept / sizeof *kept);
    rmp_file_writer_abort(&lost);
    expect_ok(rmp_folder_clean(scratch_path("none")));
    expect_failure(rmp_folder_clean(scratch_path("a.png")), RMP_ERR_IO, "a.png", "cannot be read");
}

Test(file, read_errors)
{
    char *bytes;
    size_t size;
    expect_failure(rmp_file_read(scratch_path("none"), 10, &bytes, &size), RMP_ERR_IO, "none", "No such file");
    expect_failure(rmp_file_read(scratch, 10, &bytes, &size), RMP_ERR_FORMAT, scratch, "folder");
    expect_failure(rmp_file_read("/dev/zero", 10, &bytes, &size), RMP_ERR_FORMAT, "/dev/zero", "regular");
    cr_assert(mkfifo(scratch_path("pipe"), 0600) == 0);
    expect_failure(rmp_file_read(scratch_path("pipe"), 10, &bytes, &size), RMP_ERR_FORMAT, "pipe", "regular");
    scratch_write(scratch_path("eleven"), "01234567890", 11);
    expect_failure(rmp_file_read(scratch_path("eleven"), 10, &bytes, &size), RMP_ERR_FORMAT, "eleven", "11");
    cr_assert(!bytes);
    expect_ok(rmp_file_read(scratch_path("eleven"), 11, &bytes, &size));
    free(bytes);
}

Test(file, folders)
{
    struct stat info;
    expect_ok(rmp_folder_create(scratch_path("a/b//c/")));
    expect_ok(rmp_folder_create(scratch_path("a/b/c")));
    cr_assert(stat(scratch_path("a/b/c"), &info) == 0 && S_ISDIR(info.st_mode));
    scratch_write(scratch_path("a/file"), "x", 1);
    expect_failure(rmp_folder_create(scratch_path("a/file")), RMP_ERR_IO, "a/file", "in the way");
    expect_failure(rmp_folder_create(scratch_path("a/file/d")), RMP_ERR_IO, "a/file", "in the way");
    expect_failure(rmp_folder_create("/proc/none/d"), RMP_ERR_IO, "/proc/none", "cannot be created");
}

Test(file, paths, .init = NULL, .fini = NULL)
{
    static const char *const joined[][3] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a", "/b", "/b"},
                                            {NULL, "b", "b"},  {"", "b", "b"},     {"/", "b", "/b"}};
    for (size_t i = 0; i < sizeof joined / sizeof *joined; i++) {
        char *path;
        expect_ok(rmp_path_join(joined[i][0], joined[i][1], &path));
        cr_assert(strcmp(path, joined[i][2]) == 0, "%s", path);
        free(path);
    }
    static const char *const folders[][2] = {{"a", "."},    {"a/b", "a"}, {"/a", "/"},  {"a/b/c", "a/b"},
                                             {"a//b", "a"}, {"/", "/"},   {"a/b/", "a"}};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path;
        expect_ok(rmp_path_folder(folders[i][0], &path));
        cr_assert(strcmp(path, folders[i][1]) == 0, "%s: %s", folders[i][0], path);
        free(path);
    }
}
