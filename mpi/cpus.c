#define _GNU_SOURCE
#include "mpi/cpus.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { WORD_BITS = 8 * (int)sizeof(unsigned long), TEXT_MAX = 64 * 1024, ANCESTORS_MAX = 16 };

bool rmp_cpus_has(const rmp_cpus *cpus, int cpu)
{
    return cpu >= 0 && cpu < RMP_CPUS_MAX && (cpus->word[cpu / WORD_BITS] >> (cpu % WORD_BITS) & 1UL);
}

void rmp_cpus_add(rmp_cpus *cpus, int cpu)
{
    if (cpu >= 0 && cpu < RMP_CPUS_MAX) cpus->word[cpu / WORD_BITS] |= 1UL << (cpu % WORD_BITS);
}

int rmp_cpus_count(const rmp_cpus *cpus)
{
    int count = 0;
    for (size_t i = 0; i < sizeof cpus->word / sizeof cpus->word[0]; i++)
        count += __builtin_popcountl(cpus->word[i]);
    return count;
}

bool rmp_cpus_parse(const char *text, rmp_cpus *out)
{
    memset(out, 0, sizeof *out);
    const char *p = text;
    while (*p == ' ' || *p == '\t')
        p++;
    while (*p >= '0' && *p <= '9') {
        char *end;
        long first = strtol(p, &end, 10);
        long last = first;
        if (*end == '-') {
            if (end[1] < '0' || end[1] > '9') return false;
            last = strtol(end + 1, &end, 10);
        }
        if (first > last || last >= RMP_CPUS_MAX) return false;
        for (long cpu = first; cpu <= last; cpu++)
            rmp_cpus_add(out, (int)cpu);
        p = end;
        if (*p != ',') break;
        p++;
    }
    return (*p == '\0' || *p == '\n') && rmp_cpus_count(out) > 0;
}

typedef struct placed_cpu {
    int64_t core;
    int cpu;
} placed_cpu;

static int compare_placed(const void *a, const void *b)
{
    const placed_cpu *x = a;
    const placed_cpu *y = b;
    if (x->core != y->core) return x->core < y->core ? -1 : 1;
    return x->cpu - y->cpu;
}

int rmp_cpus_part(const rmp_cpus *all, const int64_t core[RMP_CPUS_MAX], int parts, int index, rmp_cpus *part)
{
    static placed_cpu cpus[RMP_CPUS_MAX]; /* too large for some stacks; called by the main thread only */
    int count = 0;
    for (int cpu = 0; cpu < RMP_CPUS_MAX; cpu++)
        if (rmp_cpus_has(all, cpu)) cpus[count++] = (placed_cpu){core ? core[cpu] : cpu, cpu};
    qsort(cpus, (size_t)count, sizeof cpus[0], compare_placed);

    int cores = 0;
    for (int i = 0; i < count; i++)
        cores += i == 0 || cpus[i].core != cpus[i - 1].core;
    memset(part, 0, sizeof *part);
    if (cores == 0) return 0;

    int64_t begin = (int64_t)index * cores / parts;
    int64_t end = (int64_t)(index + 1) * cores / parts;
    if (cores < parts) {
        begin = index % cores;
        end = begin + 1;
    }
    int64_t number = -1;
    for (int i = 0; i < count; i++) {
        number += i == 0 || cpus[i].core != cpus[i - 1].core;
        if (number >= begin && number < end) rmp_cpus_add(part, cpus[i].cpu);
    }
    return (int)(end - begin);
}

/* A small file of /proc or /sys; false if it cannot be read. Zero bytes stay, one is added. */
static bool read_text(const char *path, char *text, size_t size, size_t *length)
{
    FILE *file = fopen(path, "re");
    if (!file) return false;
    size_t got = fread(text, 1, size - 1, file);
    bool good = !ferror(file);
    fclose(file);
    text[got] = '\0';
    if (length) *length = got;
    return good;
}

static int64_t topology_number(int cpu, const char *name)
{
    char path[128], text[32];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, name);
    return read_text(path, text, sizeof text, NULL) ? strtoll(text, NULL, 10) : -1;
}

void rmp_cpus_cores(const rmp_cpus *cpus, int64_t core[RMP_CPUS_MAX])
{
    for (int cpu = 0; cpu < RMP_CPUS_MAX; cpu++) {
        core[cpu] = cpu;
        if (!rmp_cpus_has(cpus, cpu)) continue;
        int64_t package = topology_number(cpu, "physical_package_id");
        int64_t number = topology_number(cpu, "core_id");
        /* Without topology (some containers and virtual machines) a processor counts as a core, behind all others. */
        core[cpu] = number >= 0 ? ((package < 0 ? 0 : package) << 32 | number) : (INT64_C(1) << 60) + cpu;
    }
}

/* The tighter of `limit` and the quota that the files in `folder` state. */
static double folder_quota(const char *folder, double limit)
{
    char path[4200], text[64];
    double quota = -1, period = 0;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (read_text(path, text, sizeof text, NULL)) {
        char *rest;
        quota = strtod(text, &rest); /* "150000 100000", or "max 100000" */
        if (rest == text) return limit;
        period = strtod(rest, NULL);
    } else {
        snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
        if (read_text(path, text, sizeof text, NULL)) quota = strtod(text, NULL);
        snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
        if (read_text(path, text, sizeof text, NULL)) period = strtod(text, NULL);
    }
    if (quota <= 0 || period <= 0) return limit;
    return limit == 0 || quota / period < limit ? quota / period : limit;
}

double rmp_cpus_quota(void)
{
    static char groups[TEXT_MAX];
    if (!read_text("/proc/self/cgroup", groups, sizeof groups, NULL)) return 0;
    double limit = 0;
    char *rest = NULL;
    for (char *line = strtok_r(groups, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *group++ = '\0';
        controllers++;
        const char *root = NULL;
        if (controllers[0] == '\0') root = "/sys/fs/cgroup"; /* version 2 */
        if (strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0 || strstr(controllers, ",cpu,"))
            root = "/sys/fs/cgroup/cpu"; /* version 1 */
        if (!root || strlen(group) > 4000) continue;
        for (;;) { /* a limit of any group above holds too */
            char folder[4096];
            snprintf(folder, sizeof folder, "%s%s", root, group);
            limit = folder_quota(folder, limit);
            char *slash = strrchr(group, '/');
            if (!slash || group[0] == '\0') break;
            *slash = '\0';
        }
    }
    return limit;
}

rmp_status rmp_cpus_current(rmp_cpus *out)
{
    memset(out, 0, sizeof *out);
    RMP_CHECK(sched_getaffinity(0, sizeof out->word, (cpu_set_t *)(void *)out->word) == 0, RMP_ERR_INTERNAL,
              "cannot ask which processors this process may use: %s", strerror(errno));
    return RMP_OK;
}

/* The process that started the ranks: the first ancestor without a rank in its environment, so that scripts between
 * mpirun and this program are skipped. 0 if it cannot be found. */
static pid_t find_launcher(char *text)
{
    pid_t pid = getppid();
    for (int i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
        char path[64];
        size_t length = 0;
        bool has_rank = false;
        snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
        if (!read_text(path, text, TEXT_MAX, &length)) return 0;
        for (const char *p = text; p < text + length; p += strlen(p) + 1)
            has_rank = has_rank || strncmp(p, "OMPI_COMM_WORLD_RANK=", 21) == 0;
        if (!has_rank) return pid;
        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        if (!read_text(path, text, TEXT_MAX, NULL)) return 0;
        const char *parent = strstr(text, "\nPPid:");
        if (!parent) return 0;
        pid = (pid_t)strtol(parent + 6, NULL, 10);
    }
    return 0;
}

/* What the user said about binding, in the variables that mpirun sets from its options (Open MPI 4) or the user set
 * (Open MPI 5 too). */
static void binding_variables(bool *asked, bool *none)
{
    static const char *const policy[] = {"OMPI_MCA_hwloc_base_binding_policy", "PRTE_MCA_hwloc_default_binding_policy",
                                         "OMPI_MCA_hwloc_default_binding_policy"};
    static const char *const sets[] = {"OMPI_MCA_hwloc_base_cpu_set",     "OMPI_MCA_hwloc_base_cpu_list",
                                       "PRTE_MCA_hwloc_default_cpu_list", "OMPI_MCA_rmaps_rank_file_path",
                                       "OMPI_MCA_orte_rankfile",          "OMPI_MCA_rmaps_base_cpus_per_rank"};
    static const char *const mapping[] = {"OMPI_MCA_rmaps_base_mapping_policy",
                                          "PRTE_MCA_rmaps_default_mapping_policy"};
    for (size_t i = 0; i < sizeof policy / sizeof policy[0]; i++) {
        const char *value = getenv(policy[i]);
        if (!value) continue;
        *asked = true;
        if (strncasecmp(value, "none", 4) == 0) *none = true;
    }
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (getenv(sets[i])) *asked = true;
    for (size_t i = 0; i < sizeof mapping / sizeof mapping[0]; i++)
        if (getenv(mapping[i]) && strcasestr(getenv(mapping[i]), "pe=")) *asked = true;
}

/* The same on the launcher's command line: Open MPI 5 does not hand its options to the ranks. */
static void binding_options(const char *arguments, size_t length, bool *asked, bool *none)
{
    static const char *const options[] = {"bind-to", "cpu-set",       "cpu-list",      "rankfile",
                                          "rf",      "cpus-per-proc", "cpus-per-rank", "bind-to-core"};
    for (const char *p = arguments; p < arguments + length; p += strlen(p) + 1) {
        if (p[0] != '-') continue;
        const char *name = p + 1 + (p[1] == '-');
        const char *value = p + strlen(p) + 1;
        if (value >= arguments + length) value = "";
        for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
            if (strcmp(name, options[i]) == 0) *asked = true;
        if (strcmp(name, "bind-to") == 0 && strncasecmp(value, "none", 4) == 0) *none = true;
        if (strcmp(name, "map-by") == 0 && strcasestr(value, "pe=")) *asked = true;
    }
}

rmp_status rmp_cpus_allowed(rmp_cpus *out, bool *asked, bool *none)
{
    *asked = false;
    *none = false;
    RMP_TRY(rmp_cpus_current(out));
    if (!getenv("OMPI_COMM_WORLD_LOCAL_SIZE")) return RMP_OK; /* not started by mpirun */
    binding_variables(asked, none);

    static char text[TEXT_MAX];
    pid_t launcher = find_launcher(text);
    if (launcher == 0) return RMP_OK;
    char path[64];
    size_t length = 0;
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)launcher);
    if (read_text(path, text, sizeof text, &length)) binding_options(text, length, asked, none);
    if (*asked) return RMP_OK;

    snprintf(path, sizeof path, "/proc/%d/status", (int)launcher);
    const char *list = read_text(path, text, sizeof text, NULL) ? strstr(text, "\nCpus_allowed_list:") : NULL;
    rmp_cpus launched;
    if (list && rmp_cpus_parse(list + strlen("\nCpus_allowed_list:"), &launched)) *out = launched;
    return RMP_OK;
}

rmp_status rmp_cpus_bind(const rmp_cpus *cpus)
{
    DIR *tasks = opendir("/proc/self/task");
    RMP_CHECK(tasks, RMP_ERR_INTERNAL, "cannot list the threads of this process: %s", strerror(errno));
    rmp_status status = RMP_OK;
    for (struct dirent *entry = readdir(tasks); entry && status == RMP_OK; entry = readdir(tasks)) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
        if (thread <= 0) continue;
        /* ESRCH: the thread has ended since. */
        if (sched_setaffinity(thread, sizeof cpus->word, (const cpu_set_t *)(const void *)cpus->word) != 0 &&
            errno != ESRCH)
            status = RMP_FAIL(RMP_ERR_INTERNAL, "cannot bind to processors: %s", strerror(errno));
    }
    closedir(tasks);
    return status;
}
