/* `rmp doctor`: what this machine has, and whether everything that a job needs works here. */
#include "gpu/devices.h"
#include "io/file.h"
#include "io/model.h"
#include "jobs/budget.h"
#include "jobs/command.h"
#include "jobs/machine.h"
#include "jobs/model.h"
#include "jobs/options.h"
#include "jobs/paths.h"
#include "jobs/versions.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const rmp_command command = {
    "doctor",
    "[DIR]",
    "Prints what the machine has and tries what a job needs: ranks, device, shipped model, and writing\n"
    "into DIR (the current folder if none is given). Under mpirun it shows the share of each rank.",
    "mpirun -n 2 rmp doctor /scratch",
    NULL,
    0,
    0,
    1};

RMP_PRINTF(3, 4) static void say(bool good, const char *what, const char *fmt, ...)
{
    va_list args;
    printf("%-4s  %-10s ", good ? "ok" : "FAIL", what);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
}

static bool check_machine(void)
{
    rmp_machine m;
    char total[32], available[32];
    if (rmp_machine_look(&m) != RMP_OK) {
        say(false, "machine", "%s", rmp_fail_message());
        return false;
    }
    say(true, "processor", "%s, %d usable", m.model, m.processors);
    say(true, "memory", "%s, %s available", rmp_bytes_text(m.memory, total, sizeof total),
        rmp_bytes_text(m.available, available, sizeof available));
    return true;
}

static bool check_libraries(void)
{
    json_t *versions = rmp_versions();
    const char *name;
    json_t *value;
    if (versions == NULL) return false;
    printf("ok    %-10s", "libraries");
    json_object_foreach(versions, name, value)
    {
        if (json_is_string(value)) printf(" %s %s;", name, json_string_value(value));
    }
    printf("\n");
    json_decref(versions);
    return true;
}

static bool check_device(int threads)
{
    rmp_device *device = NULL;
    const rmp_device_request request = {.kind = "auto", .threads = threads};
    const bool good = rmp_device_create(&request, &device) == RMP_OK;
    say(good, "device", "%s", good ? device->description : rmp_fail_message());
    rmp_device_destroy(&device);
    return good;
}

static bool check_shipped(void)
{
    char *folder = NULL;
    rmp_model *model = NULL;
    bool good = rmp_paths_shipped(&folder) == RMP_OK;
    say(good, "shipped", "%s", good ? folder : rmp_fail_message());
    free(folder);
    if (!good) return false;
    good = rmp_model_open_named("photo64", &model) == RMP_OK;
    if (good) {
        say(true, "model", "photo64, %lld parameters", (long long)model->net->parameters);
    } else {
        say(false, "model", "%s", rmp_fail_message());
    }
    rmp_model_close(&model);
    return good;
}

static bool check_writing(const char *dir)
{
    char name[64], path[4096 + 64];
    static const char text[] = "written by rmp doctor\n";
    snprintf(name, sizeof name, "rmp-doctor-%ld", (long)getpid());
    const bool good = rmp_file_write(dir, name, text, sizeof text - 1) == RMP_OK;
    say(good, "writing", "%s", good ? dir : rmp_fail_message());
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (good) unlink(path);
    return good;
}

static rmp_status check_ranks(rmp_world *world, int *threads)
{
    int64_t least, most;
    RMP_TRY(rmp_world_agree(world, rmp_world_threads(world, 0, threads)));
    RMP_TRY(rmp_world_min_max(world, *threads, &least, &most));
    if (world->rank != 0) return RMP_OK;
    say(true, "ranks", "%d (%d on %s), %lld to %lld threads each", world->size, world->local_size, world->host,
        (long long)least, (long long)most);
    return RMP_OK;
}

rmp_status rmp_doctor_command(int argc, char *argv[], rmp_invocation *invocation)
{
    char *dir[1] = {NULL};
    int count, threads = 0;
    bool help;
    RMP_TRY(rmp_command_parse(&command, argc, argv, NULL, dir, &count, &help));
    if (help) {
        rmp_command_help(&command, stdout);
        return RMP_OK;
    }
    rmp_world *world = invocation->world;
    if (world->rank == 0) printf("rmp %s\n", RMP_VERSION);
    RMP_TRY(check_ranks(world, &threads));
    int64_t good = 1, all, any;
    if (world->rank == 0) {
        /* Every check runs, whatever the others said. */
        good &= check_machine();
        good &= check_libraries();
        good &= check_device(threads);
        good &= check_shipped();
        good &= check_writing(dir[0] != NULL ? dir[0] : ".");
    }
    RMP_TRY(rmp_world_min_max(world, good, &all, &any));
    if (all == 0) invocation->code = RMP_EXIT_FAILURE;
    return RMP_OK;
}
