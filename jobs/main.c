/* rmp: the one program. Finds the command, starts the ranks where it needs them, prints failures, ends with the exit
 * code of JOBS.md. */
#include "core/log.h"
#include "jobs/command.h"
#include "jobs/compare.h"
#include "jobs/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static rmp_status run_report(int argc, char *argv[], rmp_invocation *invocation)
{
    (void)invocation;
    return rmp_report_command(argc, argv, stdout);
}

static rmp_status run_metrics(int argc, char *argv[], rmp_invocation *invocation)
{
    int64_t failed = 0;
    RMP_TRY(rmp_compare_command(argc, argv, stdout, &failed));
    if (failed > 0) invocation->code = RMP_EXIT_ITEMS_FAILED;
    return RMP_OK;
}

static const struct entry {
    const char *name;
    rmp_command_run *run;
    bool ranks; /* a collective command: start MPI */
    const char *arguments, *summary;
} entries[] = {
    {"dataset", rmp_dataset_command, true, "JOB.yaml", "restore every image of a job; run again to continue"},
    {"sweep", rmp_sweep_command, true, "JOB.yaml", "a job for every combination of values, as one job; compare them"},
    {"degrade", rmp_degrade_command, true, "JOB.yaml", "write the measurements of a job only"},
    {"resume", rmp_resume_command, true, "DIR", "continue the job that an output folder belongs to"},
    {"status", rmp_status_command, false, "DIR...", "what is done, failed and left"},
    {"report", run_report, false, "DIR...", "make metrics, summary and report again"},
    {"metrics", run_metrics, false, "DIR_A DIR_B", "compare two folders of images"},
    {"model", rmp_model_command, false, "check FILE", "look at a network: check, convert, info, eval"},
    {"bench", rmp_bench_command, false, "net [MODEL]", "measure a network on this machine"},
    {"doctor", rmp_doctor_command, true, "[DIR]", "what this machine has and whether rmp works on it"},
};

enum { ENTRIES = sizeof entries / sizeof entries[0] };

static void print_help(FILE *out)
{
    fprintf(out, "usage: rmp COMMAND ARGUMENTS, alone or under mpirun or srun\n\n"
                 "Restores images by reverse mean propagation with a score network as prior.\n\ncommands:\n");
    for (int i = 0; i < ENTRIES; i++) {
        fprintf(out, "  %-8s %-12s %s\n", entries[i].name, entries[i].arguments, entries[i].summary);
    }
    fprintf(out, "\noptions:\n  --help     this page; after a command its own\n  --version  the version\n"
                 "\nexit codes: 0 done, 2 usage or configuration, 3 some items failed, 4 runtime failure\n"
                 "\nexample:\n  mpirun -n 2 rmp dataset jobs/examples/sr4.yaml --set output.dir=out\n");
}

static int exit_code(rmp_status status, const rmp_invocation *invocation)
{
    if (status == RMP_OK) return invocation->code;
    if (invocation->working) return RMP_EXIT_FAILURE;
    switch (status) {
    case RMP_ERR_CONFIG:
    case RMP_ERR_FORMAT:
    case RMP_ERR_BUSY:
    case RMP_ERR_MEMORY:
    case RMP_ERR_ARGUMENT:
        return RMP_EXIT_USAGE;
    default:
        return RMP_EXIT_FAILURE;
    }
}

/* Where a launcher closes a standard stream its number would go to the next file or socket that is opened, and what is
 * printed into that. */
static void keep_streams(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) close(fd);
}

/* What was printed is a result, too: a full disk behind standard output must not look like success. */
static int check_output(const char *command, int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    RMP_LOG_ERROR(command, "standard output cannot be written: %s", strerror(errno));
    return code == RMP_EXIT_USAGE ? code : RMP_EXIT_FAILURE;
}

static bool wants_only_text(int argc, char *argv[])
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    }
    return false;
}

static int run(const struct entry *entry, int argc, char *argv[])
{
    rmp_invocation invocation = {NULL, RMP_EXIT_DONE, NULL, false};
    rmp_status status = RMP_OK;
    if (entry->ranks && !wants_only_text(argc, argv)) status = rmp_world_start(&argc, &argv, &invocation.world);
    rmp_world *world = invocation.world;
    if (world != NULL) rmp_log_identity(world->rank, world->size, world->host);
    if (status == RMP_OK) status = entry->run(argc, argv, &invocation);
    int code = exit_code(status, &invocation);
    /* Ranks agree on failures, so rank 0 speaks for all; but it may be the one that was lost. */
    if (status != RMP_OK && (world == NULL || world->rank == 0)) {
        RMP_LOG_ERROR(entry->name, "%s", rmp_fail_message());
        RMP_LOG_DEBUG(entry->name, "%s error raised at %s", rmp_status_name(status), rmp_fail_place());
    } else if (status == RMP_ERR_COMM) {
        RMP_LOG_WARN(entry->name, "%s", rmp_fail_message());
    }
    code = check_output(entry->name, code);
    rmp_log_copy(NULL);
    if (invocation.log != NULL) fclose(invocation.log);
    rmp_world_stop(&invocation.world);
    return code;
}

int main(int argc, char *argv[])
{
    keep_streams();
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(argc < 2 ? stderr : stdout);
        return argc < 2 ? RMP_EXIT_USAGE : RMP_EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("rmp %s\n", RMP_VERSION);
        return RMP_EXIT_DONE;
    }
    for (int i = 0; i < ENTRIES; i++) {
        if (strcmp(argv[1], entries[i].name) == 0) return run(&entries[i], argc - 1, argv + 1);
    }
    fprintf(stderr, "rmp: unknown command '%s'; rmp --help lists them\n", argv[1]);
    return RMP_EXIT_USAGE;
}
