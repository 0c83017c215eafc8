/* What jobs/main.c and the commands agree on. A command prints nothing about its failure: it returns a status, main
 * prints the sentence and turns it into the exit code. */
#pragma once

#include "mpi/world.h"

#include <stdio.h>

/* JOBS.md */
enum { RMP_EXIT_DONE = 0, RMP_EXIT_USAGE = 2, RMP_EXIT_ITEMS_FAILED = 3, RMP_EXIT_FAILURE = 4 };

typedef struct rmp_invocation {
    rmp_world *world; /* NULL for commands that run alone */
    int code;         /* exit code where the status is RMP_OK */
    FILE *log;        /* copy of the log: closed by main, after the last line */
    bool working;     /* work has begun: every failure is a runtime failure from here on */
} rmp_invocation;

typedef rmp_status rmp_command_run(int argc, char *argv[], rmp_invocation *invocation);

rmp_command_run rmp_dataset_command; /* collective */
rmp_command_run rmp_sweep_command;   /* collective */
rmp_command_run rmp_resume_command;  /* collective */
rmp_command_run rmp_degrade_command; /* collective */
rmp_command_run rmp_bench_command;
rmp_command_run rmp_model_command;
rmp_command_run rmp_status_command;
rmp_command_run rmp_doctor_command; /* collective */
