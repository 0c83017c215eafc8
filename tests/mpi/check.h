/* Checks of programs under mpirun: a failed one is noted and printed, and the verdict is shared by all ranks, so that
 * no rank leaves while others wait for it. */
#pragma once

#include "mpi/world.h"

#include <stdio.h>
#include <string.h>

static int check_failures;

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            check_failures++;                                                                                          \
            fprintf(stderr, "%s:%d: %s is false; last failure: %s\n", __FILE__, __LINE__, #cond, rmp_fail_message());  \
        }                                                                                                              \
    } while (0)

/* Collective. 0 if no rank has a failed check. */
static int check_verdict(rmp_world *world)
{
    int64_t least, most;
    if (rmp_world_min_max(world, check_failures, &least, &most) != RMP_OK) return 1;
    return most == 0 ? 0 : 1;
}

typedef struct check_case {
    const char *name;
    int (*run)(rmp_world *world); /* exit status */
} check_case;

/* Runs the case that the command line names. */
static int check_main(int argc, char **argv, const check_case *cases, size_t count)
{
    rmp_world *world;
    if (rmp_world_start(&argc, &argv, &world) != RMP_OK) {
        fprintf(stderr, "start: %s\n", rmp_fail_message());
        return 1;
    }
    int code = 64;
    for (size_t i = 0; i < count; i++)
        if (argc == 2 && strcmp(cases[i].name, argv[1]) == 0) code = cases[i].run(world);
    if (code == 64) fprintf(stderr, "no such case\n");
    rmp_world_stop(&world);
    return code;
}
