/* Which processors a rank may use and how ranks of one machine divide them. Not for other folders; tests use it. */
#pragma once

#include "core/status.h"

enum { RMP_CPUS_MAX = 4096 };

typedef struct rmp_cpus {
    unsigned long word[RMP_CPUS_MAX / (8 * sizeof(unsigned long))];
} rmp_cpus;

bool rmp_cpus_has(const rmp_cpus *cpus, int cpu);
void rmp_cpus_add(rmp_cpus *cpus, int cpu);
int rmp_cpus_count(const rmp_cpus *cpus);
/* "0-3,8,10-11" as the kernel writes it; false for anything else. */
bool rmp_cpus_parse(const char *text, rmp_cpus *out);

/* Part `index` of `parts` equal parts in whole cores. core[cpu] names the core of a processor in an order that keeps
 * neighbours together; NULL: every processor is a core. With fewer cores than parts each part is one core, used by
 * several. Returns the number of cores in the part. */
int rmp_cpus_part(const rmp_cpus *all, const int64_t core[RMP_CPUS_MAX], int parts, int index, rmp_cpus *part);

/* The cores of this machine's processors for rmp_cpus_part (package and core number of sysfs). */
void rmp_cpus_cores(const rmp_cpus *cpus, int64_t core[RMP_CPUS_MAX]);

/* Processors' worth of time that the cgroup of this process (or one above it) grants; 0: no limit. */
double rmp_cpus_quota(void);

/* Processors allowed to this process before mpirun bound it by default; its own otherwise. *asked: the user chose a
 * binding; *none: the user asked for no binding. */
rmp_status rmp_cpus_allowed(rmp_cpus *out, bool *asked, bool *none) RMP_MUST_CHECK;
/* The processors of this process as they are now. */
rmp_status rmp_cpus_current(rmp_cpus *out) RMP_MUST_CHECK;
/* Binds every thread of this process. */
rmp_status rmp_cpus_bind(const rmp_cpus *cpus) RMP_MUST_CHECK;
