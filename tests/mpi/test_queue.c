/* The work queue: every chunk once, results of any size, failures in bounded time. */
#include "mpi/comm.h"
#include "mpi/queue.h"
#include "tests/mpi/check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CHUNKS = 40, LARGE = 3 * 1024 * 1024, FAIL_AT = 9, TELL_TAG = 2 };

typedef struct server_state {
    int next, chunks;
    int seen[CHUNKS];
    int64_t by_rank[64];
    int fail_next, fail_result; /* number of the chunk; -1: never */
    rmp_queue *queue;           /* polled in callbacks: must do nothing */
    int tell;                   /* the rank that is told when the last chunk is gone; 0: none */
} server_state;

static size_t result_size(int chunk) { return chunk % 3 == 0 ? LARGE + (size_t)chunk : chunk % 3 == 1 ? 0 : 100; }
static unsigned char result_byte(int chunk, size_t i) { return (unsigned char)(i * 31 + (size_t)chunk); }

static rmp_status next(void *context, void **bytes, size_t *size)
{
    server_state *state = context;
    *bytes = NULL;
    if (state->next == state->fail_next) return RMP_FAIL(RMP_ERR_IO, "cannot read chunk %d", state->next);
    if (state->next == state->chunks) {
        if (state->tell > 0) MPI_Send(NULL, 0, MPI_BYTE, state->tell, TELL_TAG, MPI_COMM_WORLD);
        return RMP_OK;
    }
    *size = sizeof(int);
    *bytes = malloc(*size);
    memcpy(*bytes, &state->next, *size);
    state->next++;
    return state->queue ? rmp_queue_poll(state->queue) : RMP_OK;
}

/* A result is the chunk's number and result_size bytes; chunk numbers of empty results are 1 mod 3 and counted. */
static rmp_status result(void *context, int rank, const void *bytes, size_t size)
{
    server_state *state = context;
    int chunk;
    state->by_rank[rank]++;
    if (size == 0) { /* which one cannot be told: the first of its kind that is missing */
        for (chunk = 1; chunk < CHUNKS && state->seen[chunk]; chunk += 3)
            ;
    } else {
        memcpy(&chunk, bytes, sizeof chunk);
    }
    RMP_CHECK(chunk >= 0 && chunk < CHUNKS, RMP_ERR_INTERNAL, "chunk %d", chunk);
    RMP_CHECK(chunk != state->fail_result, RMP_ERR_IO, "cannot store chunk %d", chunk);
    state->seen[chunk]++;
    if (size == 0) return RMP_OK;
    RMP_CHECK(size == result_size(chunk) + sizeof chunk, RMP_ERR_INTERNAL, "chunk %d has %zu bytes", chunk, size);
    const unsigned char *data = (const unsigned char *)bytes + sizeof chunk;
    for (size_t i = 0; i < result_size(chunk); i++)
        RMP_CHECK(data[i] == result_byte(chunk, i), RMP_ERR_INTERNAL, "byte %zu of chunk %d", i, chunk);
    return RMP_OK;
}

static rmp_status push_result(rmp_queue *queue, int chunk)
{
    size_t size = result_size(chunk);
    if (size == 0) return rmp_queue_push(queue, NULL, 0);
    unsigned char *bytes = malloc(size + sizeof chunk);
    memcpy(bytes, &chunk, sizeof chunk);
    for (size_t i = 0; i < size; i++)
        bytes[sizeof chunk + i] = result_byte(chunk, i);
    rmp_status status = rmp_queue_push(queue, bytes, size + sizeof chunk);
    free(bytes);
    return status;
}

typedef struct worker_plan {
    void (*before)(rmp_world *world, rmp_queue *queue, int done); /* may end or delay this rank; NULL: nothing */
    rmp_status (*fail)(rmp_world *world, int done);
} worker_plan;

/* What a job does: pull, work (poll), push, to the end. */
static rmp_status work(rmp_world *world, rmp_queue *queue, const worker_plan *plan)
{
    for (int done = 0;; done++) {
        void *bytes;
        size_t size;
        int chunk;
        RMP_TRY(rmp_queue_pull(queue, &bytes, &size));
        if (!bytes) break;
        memcpy(&chunk, bytes, sizeof chunk);
        free(bytes);
        if (plan && plan->before) plan->before(world, queue, done);
        if (plan && plan->fail) {
            rmp_status status = plan->fail(world, done);
            if (status != RMP_OK) return rmp_queue_fail(queue, status);
        }
        for (int step = 0; step < 3; step++) {
            nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
            RMP_TRY(rmp_queue_poll(queue));
        }
        RMP_TRY(push_result(queue, chunk));
    }
    return rmp_queue_finish(queue);
}

static rmp_status run(rmp_world *world, server_state *state, const worker_plan *plan)
{
    rmp_queue *queue;
    rmp_queue_server server = {.context = state, .next = next, .result = result};
    RMP_TRY(rmp_queue_create(world, world->rank == 0 ? &server : NULL, &queue));
    state->queue = world->rank == 0 ? queue : NULL;
    rmp_status status = work(world, queue, plan);
    if (status != RMP_OK) { /* the same answer for ever */
        char first[2048];
        void *bytes;
        size_t size;
        snprintf(first, sizeof first, "%s", rmp_fail_message());
        CHECK(rmp_queue_pull(queue, &bytes, &size) == status);
        CHECK(strcmp(first, rmp_fail_message()) == 0);
    }
    rmp_queue_destroy(&queue);
    return status;
}

static server_state fresh(int chunks) { return (server_state){.chunks = chunks, .fail_next = -1, .fail_result = -1}; }

static void check_all_once(const rmp_world *world, const server_state *state)
{
    if (world->rank != 0) return;
    bool once = true;
    int64_t results = 0;
    for (int i = 0; i < CHUNKS; i++)
        once = once && state->seen[i] == (i < state->chunks ? 1 : 0);
    for (int i = 0; i < world->size; i++)
        results += state->by_rank[i];
    CHECK(once);
    CHECK(results == state->chunks);
}

static int case_deliver(rmp_world *world)
{
    server_state state = fresh(CHUNKS);
    CHECK(run(world, &state, NULL) == RMP_OK);
    check_all_once(world, &state);
    return check_verdict(world);
}

static int case_empty(rmp_world *world)
{
    server_state state = fresh(0);
    CHECK(run(world, &state, NULL) == RMP_OK);
    check_all_once(world, &state);
    return check_verdict(world);
}

/* Two jobs in one process, with fewer chunks than ranks in the second. */
static int case_twice(rmp_world *world)
{
    for (int i = 0; i < 2; i++) {
        server_state state = fresh(i == 0 ? 13 : 1);
        CHECK(run(world, &state, NULL) == RMP_OK);
        check_all_once(world, &state);
    }
    return check_verdict(world);
}

/* The last rank sits on its first chunk until no chunk is left. */
static void hold_first(rmp_world *world, rmp_queue *queue, int done)
{
    if (world->rank < world->size - 1 || done > 0) return;
    for (int told = 0; !told;) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        CHECK(rmp_queue_poll(queue) == RMP_OK);
        MPI_Iprobe(0, TELL_TAG, MPI_COMM_WORLD, &told, MPI_STATUS_IGNORE);
    }
    MPI_Recv(NULL, 0, MPI_BYTE, 0, TELL_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

/* Nobody waits for a slow rank: it does less, its chunk and the one ahead. */
static int case_uneven(rmp_world *world)
{
    server_state state = fresh(CHUNKS);
    state.tell = world->size - 1;
    CHECK(run(world, &state, &(worker_plan){.before = hold_first}) == RMP_OK);
    check_all_once(world, &state);
    if (world->rank == 0) CHECK(state.by_rank[world->size - 1] <= 2);
    return check_verdict(world);
}

/* A rank that works for longer than the timeout is not lost as long as it polls, nor is it while others wait. */
static void work_long(rmp_world *world, rmp_queue *queue, int done)
{
    (void)queue;
    if (world->rank != world->size - 1 || done != 0) return;
    nanosleep(&(struct timespec){.tv_nsec = 600000000}, NULL);
}

static int case_patient(rmp_world *world)
{
    CHECK(world->timeout == 1);
    server_state state = fresh(6);
    for (int i = 0; i < 4; i++) { /* 2.4 s in all, 0.6 s at a time */
        state = fresh(6);
        CHECK(run(world, &state, &(worker_plan){.before = work_long}) == RMP_OK);
        check_all_once(world, &state);
    }
    return check_verdict(world);
}

static void kill_this_rank(void)
{
    fprintf(stderr, "killing itself\n");
    raise(SIGKILL);
}

static void die(rmp_world *world, rmp_queue *queue, int done)
{
    (void)queue;
    if (world->rank == world->size - 1 && done == 2) kill_this_rank();
}

static int case_killed(rmp_world *world)
{
    server_state state = fresh(CHUNKS);
    return run(world, &state, &(worker_plan){.before = die}) == RMP_OK ? 0 : 1;
}

static void die_server(rmp_world *world, rmp_queue *queue, int done)
{
    (void)queue;
    if (world->rank == 0 && done == 2) kill_this_rank();
}

static int case_killed_server(rmp_world *world)
{
    server_state state = fresh(CHUNKS);
    return run(world, &state, &(worker_plan){.before = die_server}) == RMP_OK ? 0 : 1;
}

static void fall_silent(rmp_world *world, rmp_queue *queue, int done)
{
    (void)queue;
    if (world->rank == 1 && done == 1) sleep(6);
}

static void fall_silent_server(rmp_world *world, rmp_queue *queue, int done)
{
    (void)queue;
    if (world->rank == 0 && done == 1) sleep(6);
}

/* The answer comes in about the timeout (1 s, counted in awake time), long before the silent rank wakes. */
static int case_silent(rmp_world *world)
{
    CHECK(world->timeout == 1);
    double start = rmp_comm_now();
    server_state state = fresh(CHUNKS);
    rmp_status status = run(world, &state, &(worker_plan){.before = fall_silent});
    CHECK(status == RMP_ERR_COMM);
    CHECK(strstr(rmp_fail_message(), "rank 1 (") == rmp_fail_message());
    CHECK(strstr(rmp_fail_message(), "no sign of life for 1 s") != NULL || world->rank == 1);
    if (world->rank != 1) CHECK(rmp_comm_now() - start < 4.5);
    if (check_failures == 0) fprintf(stderr, "silence noticed\n");
    return check_failures ? 1 : 3;
}

static int case_silent_server(rmp_world *world)
{
    double start = rmp_comm_now();
    server_state state = fresh(CHUNKS);
    rmp_status status = run(world, &state, &(worker_plan){.before = fall_silent_server});
    if (world->rank == 0) return 3;
    CHECK(status == RMP_ERR_COMM);
    CHECK(strstr(rmp_fail_message(), "rank 0 (") == rmp_fail_message());
    CHECK(rmp_comm_now() - start < 4.5);
    if (check_failures == 0) fprintf(stderr, "silence noticed\n");
    return check_failures ? 1 : 3;
}

/* Rank 0 returns its own code and sentence; all others a communication failure that quotes it. */
static int check_server_failure(rmp_world *world, rmp_status status, const char *sentence)
{
    char quoted[256];
    snprintf(quoted, sizeof quoted, "rank 0 (%s): %s", rmp_world_host(world, 0), sentence);
    CHECK(status == (world->rank == 0 ? RMP_ERR_IO : RMP_ERR_COMM));
    CHECK(strcmp(rmp_fail_message(), world->rank == 0 ? sentence : quoted) == 0);
    return check_verdict(world);
}

static int case_next_fails(rmp_world *world)
{
    server_state state = fresh(CHUNKS);
    state.fail_next = FAIL_AT;
    return check_server_failure(world, run(world, &state, NULL), "cannot read chunk 9");
}

static int case_result_fails(rmp_world *world)
{
    server_state state = fresh(CHUNKS);
    state.fail_result = CHUNKS - 1; /* the last: the others wait in finish already */
    return check_server_failure(world, run(world, &state, NULL), "cannot store chunk 39");
}

static rmp_status fail_last(rmp_world *world, int done)
{
    if (world->rank < world->size - 1 || done != 1) return RMP_OK;
    return RMP_FAIL(RMP_ERR_MEMORY, "no memory for the plan");
}

static int case_worker_fails(rmp_world *world)
{
    server_state state = fresh(CHUNKS);
    int last = world->size - 1;
    rmp_status status = run(world, &state, &(worker_plan){.fail = fail_last});
    char quoted[256];
    snprintf(quoted, sizeof quoted, "rank %d (%s): no memory for the plan", last, rmp_world_host(world, last));
    CHECK(status == (world->rank == 0 || world->rank == last ? RMP_ERR_MEMORY : RMP_ERR_COMM));
    CHECK(strcmp(rmp_fail_message(), world->rank == last ? "no memory for the plan" : quoted) == 0);
    return check_verdict(world);
}

/* Misuse is told, not waited for. */
static int case_misuse(rmp_world *world)
{
    rmp_queue *queue;
    rmp_queue_server server = {.next = next, .result = result};
    CHECK(rmp_queue_create(world, world->rank == 0 ? NULL : &server, &queue) == RMP_ERR_ARGUMENT);
    CHECK(queue == NULL);
    server_state state = fresh(2);
    server.context = &state;
    CHECK(rmp_queue_create(world, world->rank == 0 ? &server : NULL, &queue) == RMP_OK);
    CHECK(rmp_queue_finish(queue) == RMP_ERR_ARGUMENT);
    CHECK(work(world, queue, NULL) == RMP_OK);
    rmp_queue_destroy(&queue);
    check_all_once(world, &state);
    return check_verdict(world);
}

int main(int argc, char **argv)
{
    static const check_case cases[] = {
        {"deliver", case_deliver},
        {"empty", case_empty},
        {"twice", case_twice},
        {"uneven", case_uneven},
        {"patient", case_patient},
        {"killed", case_killed},
        {"killed_server", case_killed_server},
        {"silent", case_silent},
        {"silent_server", case_silent_server},
        {"next_fails", case_next_fails},
        {"result_fails", case_result_fails},
        {"worker_fails", case_worker_fails},
        {"misuse", case_misuse},
    };
    return check_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
