/* Ranks: agreement, broadcast, bounded waits, division of processors. */
#define _GNU_SOURCE
#include "mpi/comm.h"
#include "tests/mpi/check.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int case_agree(rmp_world *world)
{
    CHECK(rmp_world_agree(world, RMP_OK) == RMP_OK);
    rmp_status mine = RMP_OK;
    if (world->rank > 0) mine = RMP_FAIL(RMP_ERR_FORMAT, "weight w%d is missing", world->rank);
    rmp_status all = rmp_world_agree(world, mine);
    if (world->size == 1) {
        CHECK(all == RMP_OK);
        return check_verdict(world);
    }
    char expected[256];
    snprintf(expected, sizeof expected, "rank 1 (%s): weight w1 is missing", rmp_world_host(world, 1));
    CHECK(all == RMP_ERR_FORMAT);
    CHECK(strcmp(rmp_fail_message(), expected) == 0);
    CHECK(strstr(rmp_fail_place(), "test_world.c:") != NULL);
    CHECK(rmp_world_agree(world, RMP_OK) == RMP_OK); /* a failure does not stick */
    return check_verdict(world);
}

static void broadcast(rmp_world *world, size_t size)
{
    unsigned char *bytes = NULL;
    size_t got = 0;
    if (world->rank == 0) {
        bytes = malloc(size + 1);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (unsigned char)(i * 7 + i / 251);
        got = size;
    }
    CHECK(rmp_world_broadcast(world, (void **)&bytes, &got) == RMP_OK);
    CHECK(got == size && bytes);
    bool same = bytes != NULL;
    for (size_t i = 0; same && i < size; i++)
        same = bytes[i] == (unsigned char)(i * 7 + i / 251);
    CHECK(same);
    free(bytes);
}

static int case_broadcast(rmp_world *world)
{
    broadcast(world, 0);
    broadcast(world, 1);
    broadcast(world, 1000003); /* many parts when RMP_MESSAGE_MAX is small */
    return check_verdict(world);
}

static int case_min_max(rmp_world *world)
{
    int64_t min, max;
    CHECK(rmp_world_min_max(world, 10 - 20 * world->rank, &min, &max) == RMP_OK);
    CHECK(min == 10 - 20 * (world->size - 1) && max == 10);
    CHECK(rmp_world_min_max(world, world->rank == 0 ? INT64_MIN : INT64_MAX, &min, &max) == RMP_OK);
    CHECK(min == INT64_MIN && max == (world->size > 1 ? INT64_MAX : INT64_MIN));
    return check_verdict(world);
}

static int case_local(rmp_world *world)
{
    char text[RMP_WORLD_LOCAL];
    int64_t sum = 0;
    snprintf(text, sizeof text, "from %d", world->local_rank);
    CHECK(rmp_world_local_broadcast(world, text, sizeof text) == RMP_OK);
    CHECK(strcmp(text, "from 0") == 0);
    CHECK(rmp_world_local_broadcast(world, text, sizeof text + 1) == RMP_ERR_ARGUMENT);
    CHECK(rmp_world_local_sum(world, 1 + world->local_rank, &sum) == RMP_OK);
    CHECK(sum == (int64_t)world->local_size * (world->local_size + 1) / 2);
    CHECK(world->local_size == world->size); /* these tests run on one machine */
    return check_verdict(world);
}

/* Rank 1 does not come: the others must not wait for it for ever, and later calls fail at once. */
static int case_silent(rmp_world *world)
{
    CHECK(world->timeout == 1); /* RMP_TIMEOUT */
    if (world->rank == 1) {
        sleep(5);
        return 1;
    }
    double start = rmp_comm_now();
    CHECK(rmp_world_agree(world, RMP_OK) == RMP_ERR_COMM);
    CHECK(strstr(rmp_fail_message(), "1 s") != NULL);
    CHECK(rmp_comm_now() - start < 4);
    start = rmp_comm_now();
    CHECK(rmp_world_agree(world, RMP_OK) == RMP_ERR_COMM);
    rmp_world_stop(&world);
    CHECK(rmp_comm_now() - start < 0.5);
    if (check_failures) return 1;
    fprintf(stderr, "silence noticed\n");
    exit(3);
}

/* A rank that works for three times the timeout before it joins is waited for, as long as it says that it lives. */
static int case_beat(rmp_world *world)
{
    CHECK(world->timeout == 1);
    if (world->rank == 0)
        for (int i = 0; i < 30; i++) {
            nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
            CHECK(rmp_world_beat(world) == RMP_OK);
        }
    CHECK(rmp_world_agree(world, RMP_OK) == RMP_OK);
    return check_verdict(world);
}

static bool bad_timeout_status(rmp_status status)
{
    return status == RMP_ERR_CONFIG && strstr(rmp_fail_message(), "RMP_TIMEOUT=soon") != NULL;
}

/* Every rank gets a share of its own, and the shares together are all that the ranks may use. */
static int case_threads(rmp_world *world)
{
    rmp_comm *comm = rmp_comm_of(world);
    unsetenv("OMP_NUM_THREADS");
    int64_t *core = malloc(RMP_CPUS_MAX * sizeof *core);
    rmp_cpus part, now;
    rmp_cpus_cores(&comm->allowed, core);
    int cores = rmp_cpus_part(&comm->allowed, core, 1, 0, &part);
    int share = rmp_cpus_part(&comm->allowed, core, world->local_size, world->local_rank, &part);
    free(core);
    double quota = rmp_cpus_quota() / world->local_size;
    if (quota > 0 && quota < share) share = quota < 1 ? 1 : (int)quota;
    int threads = 0;
    CHECK(rmp_world_threads(world, 0, &threads) == RMP_OK);
    CHECK(threads == share);
    CHECK(rmp_cpus_current(&now) == RMP_OK);
    CHECK(memcmp(&now, &part, sizeof now) == 0);
    /* mpirun binds to one core by default; all cores of the machine must be in use nevertheless. */
    CHECK(cores >= world->local_size ? threads * world->local_size >= cores - world->local_size + 1 || quota > 0
                                     : threads == 1);

    CHECK(rmp_world_threads(world, 3, &threads) == RMP_OK && threads == 3);
    setenv("OMP_NUM_THREADS", "5,2", 1);
    CHECK(rmp_world_threads(world, 0, &threads) == RMP_OK && threads == 5);
    CHECK(rmp_world_threads(world, 2, &threads) == RMP_OK && threads == 2);
    setenv("OMP_NUM_THREADS", "many", 1);
    CHECK(rmp_world_threads(world, 0, &threads) == RMP_OK && threads == share);
    CHECK(rmp_world_threads(world, -1, &threads) == RMP_ERR_ARGUMENT);
    return check_verdict(world);
}

/* mpirun --bind-to core: the user's binding stays, and a rank has one thread. */
static int case_bound(rmp_world *world)
{
    rmp_cpus before, after;
    int threads = 0;
    unsetenv("OMP_NUM_THREADS");
    CHECK(rmp_cpus_current(&before) == RMP_OK);
    CHECK(rmp_world_threads(world, 0, &threads) == RMP_OK);
    CHECK(rmp_cpus_current(&after) == RMP_OK);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    CHECK(threads == 1);
    return check_verdict(world);
}

/* mpirun --bind-to none: nothing is bound, the number of threads is the share all the same. */
static int case_unbound(rmp_world *world)
{
    rmp_cpus before, after;
    int threads = 0;
    unsetenv("OMP_NUM_THREADS");
    CHECK(rmp_cpus_current(&before) == RMP_OK);
    CHECK(rmp_world_threads(world, 0, &threads) == RMP_OK);
    CHECK(rmp_cpus_current(&after) == RMP_OK);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    CHECK(threads >= 1 && threads * world->local_size <= rmp_cpus_count(&before) + world->local_size - 1);
    return check_verdict(world);
}

int main(int argc, char **argv)
{
    static const check_case cases[] = {
        {"agree", case_agree},     {"broadcast", case_broadcast}, {"local", case_local},
        {"min_max", case_min_max}, {"silent", case_silent},       {"beat", case_beat},
        {"threads", case_threads}, {"bound", case_bound},         {"unbound", case_unbound},
    };
    if (argc == 2 && strcmp(argv[1], "bad_timeout") == 0) { /* the start itself must fail, on every rank */
        rmp_world *world;
        rmp_status status = rmp_world_start(&argc, &argv, &world);
        CHECK(bad_timeout_status(status));
        int code = check_verdict(world);
        rmp_world_stop(&world);
        return code;
    }
    return check_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
