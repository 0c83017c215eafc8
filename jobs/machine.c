#define _GNU_SOURCE
#include "jobs/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_meminfo(const char *key, int64_t *bytes)
{
    char line[256];
    bool found = false;
    FILE *f = fopen("/proc/meminfo", "r");
    if (f == NULL) return false;
    while (!found && fgets(line, sizeof line, f) != NULL) {
        const size_t length = strlen(key);
        if (strncmp(line, key, length) != 0 || line[length] != ':') continue;
        *bytes = strtoll(line + length + 1, NULL, 10) * 1024;
        found = true;
    }
    fclose(f);
    return found;
}

/* One number in a file; false for "max" and for files that are not there. */
static bool read_number(const char *path, int64_t *out)
{
    char line[64];
    char *end;
    FILE *f = fopen(path, "r");
    if (f == NULL) return false;
    bool good = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    if (!good) return false;
    *out = strtoll(line, &end, 10);
    return end != line;
}

/* Bytes of "inactive_file" in memory.stat: cache that the kernel gives back under pressure. */
static int64_t reclaimable(const char *path)
{
    char line[128];
    int64_t bytes = 0;
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "inactive_file ", 14) == 0) bytes = strtoll(line + 14, NULL, 10);
        if (strncmp(line, "total_inactive_file ", 20) == 0) bytes = strtoll(line + 20, NULL, 10);
    }
    if (f != NULL) fclose(f);
    return bytes;
}

/* Limits of the control group at `folder`. */
static void apply_limit(const char *folder, const char *limit_name, const char *usage_name, rmp_machine *m)
{
    char path[4096 + 64];
    int64_t limit, usage;
    snprintf(path, sizeof path, "%s/%s", folder, limit_name);
    if (!read_number(path, &limit) || limit <= 0 || limit >= m->memory) return;
    m->memory = limit;
    snprintf(path, sizeof path, "%s/%s", folder, usage_name);
    if (!read_number(path, &usage)) return;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    const int64_t left = limit - usage + reclaimable(path);
    if (left < m->available) m->available = left > 0 ? left : 0;
}

/* This process's group and all above it (a limit may be set at any level), in both versions of control groups. */
static void apply_groups(rmp_machine *m)
{
    char line[4096], folder[4096 + 64];
    FILE *f = fopen("/proc/self/cgroup", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (group == NULL) continue;
        *group++ = '\0';
        const bool second = controllers[1] == '\0', first = strstr(controllers + 1, "memory") != NULL;
        if (!second && !first) continue;
        for (;;) {
            snprintf(folder, sizeof folder, "/sys/fs/cgroup%s%s", second ? "" : "/memory", group);
            if (second) {
                apply_limit(folder, "memory.max", "memory.current", m);
            } else {
                apply_limit(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", m);
            }
            char *slash = strrchr(group, '/');
            if (slash == NULL || group[0] == '\0') break;
            *slash = '\0';
        }
    }
    if (f != NULL) fclose(f);
}

static void read_processor(char *model, size_t size)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(model, size, "unknown");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL) continue;
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(model, size, "%s", colon + 1 + strspn(colon + 1, " "));
        break;
    }
    if (f != NULL) fclose(f);
}

rmp_status rmp_machine_look(rmp_machine *out)
{
    cpu_set_t set;
    memset(out, 0, sizeof *out);
    RMP_CHECK(read_meminfo("MemTotal", &out->memory) && read_meminfo("MemAvailable", &out->available), RMP_ERR_IO,
              "/proc/meminfo does not say how much memory there is");
    apply_groups(out);
    out->processors = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    read_processor(out->model, sizeof out->model);
    return RMP_OK;
}
