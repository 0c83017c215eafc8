/* What other commands do with the folder of a sweep. */
#pragma once

#include "jobs/command.h"

#include <stdio.h>

/* True if DIR/job.yaml is that of a sweep. */
bool rmp_sweep_owns(const char *dir);
/* `rmp resume DIR`. Collective. */
rmp_status rmp_sweep_resume(const char *dir, int64_t threads, rmp_invocation *invocation) RMP_MUST_CHECK;
/* `rmp status DIR`. */
rmp_status rmp_sweep_status(const char *dir, FILE *out) RMP_MUST_CHECK;
/* `rmp report DIR`: `remake` makes the reports of one cell again. */
rmp_status rmp_sweep_remake(const char *dir, rmp_status (*remake)(const char *dir), FILE *out) RMP_MUST_CHECK;
