#include "mpi/world.h"

#include "core/log.h"
#include "mpi/comm.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double DEFAULT_TIMEOUT = 600, BEAT_SECONDS = 1;
enum { MESSAGE_LIMIT = 1 << 30, FAILURE_TEXT = 2048, PLACE_TEXT = 128, ABORT_GRACE = 10 };

/* A collective call that is left unfinished may still write into its buffers: these live as long as the process. */
typedef struct failure_message {
    int32_t code;
    char text[FAILURE_TEXT];
    char place[PLACE_TEXT];
} failure_message;
static failure_message shared_failure;
static int64_t numbers_in[2], numbers_out[2];
static char local_bytes[RMP_WORLD_LOCAL];

/* Ends a collective call; if it does not end, the world is broken for good. */
static rmp_status finish_collective(rmp_comm *comm, int code, MPI_Request *request, size_t bytes, const char *what)
{
    rmp_status status = rmp_comm_check(code, what);
    if (status == RMP_OK) status = rmp_comm_wait(comm, request, bytes, what);
    if (status != RMP_OK) comm->broken = true;
    return status;
}

static rmp_status check_whole(const rmp_comm *comm, const char *what)
{
    RMP_CHECK(!comm->broken, RMP_ERR_COMM, "%s: the ranks lost touch with each other earlier", what);
    return RMP_OK;
}

static rmp_status broadcast_part(rmp_comm *comm, void *bytes, int size, int root, const char *what)
{
    MPI_Request request = MPI_REQUEST_NULL;
    int code = MPI_Ibcast(bytes, size, MPI_BYTE, root, MPI_COMM_WORLD, &request);
    return finish_collective(comm, code, &request, (size_t)size, what);
}

/* Both numbers are reduced with `operation` over all ranks. */
static rmp_status reduce_numbers(rmp_comm *comm, MPI_Op operation, int64_t a, int64_t b, const char *what)
{
    MPI_Request request = MPI_REQUEST_NULL;
    numbers_in[0] = a;
    numbers_in[1] = b;
    int code = MPI_Iallreduce(numbers_in, numbers_out, 2, MPI_INT64_T, operation, MPI_COMM_WORLD, &request);
    return finish_collective(comm, code, &request, sizeof numbers_in, what);
}

static rmp_status read_environment(rmp_comm *comm)
{
    char *end;
    const char *timeout = getenv("RMP_TIMEOUT");
    comm->world.timeout = DEFAULT_TIMEOUT;
    if (timeout && *timeout) {
        comm->world.timeout = strtod(timeout, &end);
        if (*end || !(comm->world.timeout > 0) || !isfinite(comm->world.timeout)) {
            comm->world.timeout = DEFAULT_TIMEOUT;
            return RMP_FAIL(RMP_ERR_CONFIG, "RMP_TIMEOUT=%s: give a number of seconds above 0", timeout);
        }
    }
    const char *largest = getenv("RMP_MESSAGE_MAX");
    comm->message_max = MESSAGE_LIMIT;
    if (largest && *largest) {
        errno = 0;
        long value = strtol(largest, &end, 10);
        RMP_CHECK(!*end && !errno && value >= 64 && value <= MESSAGE_LIMIT, RMP_ERR_CONFIG,
                  "RMP_MESSAGE_MAX=%s: give a number of bytes from 64 to %d", largest, MESSAGE_LIMIT);
        comm->message_max = (int)value;
    }
    return RMP_OK;
}

/* mpirun hands the environment to its own machine only, so rank 0's holds for all. */
static rmp_status agree_environment(rmp_comm *comm)
{
    rmp_status mine = comm->world.rank == 0 ? read_environment(comm) : RMP_OK;
    RMP_TRY(rmp_world_agree(&comm->world, mine));
    int64_t milliseconds = (int64_t)ceil(fmin(comm->world.timeout, 1e9) * 1e3);
    bool root = comm->world.rank == 0;
    RMP_TRY(reduce_numbers(comm, MPI_SUM, root ? milliseconds : 0, root ? comm->message_max : 0,
                           "sharing the settings of rank 0"));
    comm->world.timeout = (double)numbers_out[0] / 1e3;
    comm->message_max = (int)numbers_out[1];
    return RMP_OK;
}

/* Which ranks of this machine are allowed the same processors as this one. */
static rmp_status find_sharers(rmp_comm *comm)
{
    rmp_world *world = &comm->world;
    rmp_cpus *all = calloc((size_t)world->local_size, sizeof *all);
    RMP_CHECK(all, RMP_ERR_MEMORY, "no memory for the processors of %d local ranks", world->local_size);
    MPI_Request request = MPI_REQUEST_NULL;
    int code = MPI_Iallgather(&comm->allowed, (int)sizeof comm->allowed, MPI_BYTE, all, (int)sizeof *all, MPI_BYTE,
                              comm->node, &request);
    rmp_status status = finish_collective(comm, code, &request, 0, "comparing the processors of local ranks");
    if (status != RMP_OK) return status; /* not freed: the call may still write there */
    comm->sharers = 0;
    for (int i = 0; i < world->local_size; i++) {
        if (memcmp(&all[i], &comm->allowed, sizeof all[i]) != 0) continue;
        if (i == world->local_rank) comm->sharer = comm->sharers;
        comm->sharers++;
    }
    free(all);
    return RMP_OK;
}

static rmp_status find_local(rmp_comm *comm, bool asked, bool none)
{
    rmp_world *world = &comm->world;
    RMP_TRY(rmp_comm_check(
        MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world->rank, MPI_INFO_NULL, &comm->node),
        "finding the ranks of this machine"));
    MPI_Comm_rank(comm->node, &world->local_rank);
    MPI_Comm_size(comm->node, &world->local_size);

    /* The launcher's options can be seen on its own machine only. */
    RMP_TRY(reduce_numbers(comm, MPI_MAX, asked, none, "comparing the bindings"));
    comm->bind = numbers_out[1] == 0;
    if (numbers_out[0]) RMP_TRY(rmp_cpus_current(&comm->allowed));
    return find_sharers(comm);
}

static rmp_status gather_hosts(rmp_comm *comm)
{
    rmp_world *world = &comm->world;
    comm->hosts = calloc((size_t)world->size, sizeof comm->hosts[0]);
    RMP_CHECK(comm->hosts, RMP_ERR_MEMORY, "no memory for the names of %d ranks", world->size);
    MPI_Request request = MPI_REQUEST_NULL;
    int code = MPI_Iallgather(world->host, sizeof world->host, MPI_CHAR, comm->hosts, sizeof world->host, MPI_CHAR,
                              MPI_COMM_WORLD, &request);
    return finish_collective(comm, code, &request, 0, "collecting the names of the machines");
}

static void read_host(char host[128])
{
    if (gethostname(host, 127) != 0) strcpy(host, "unknown");
    host[127] = '\0';
    char *dot = strchr(host, '.'); /* the first label tells machines of one cluster apart and keeps lines short */
    if (dot && !isdigit((unsigned char)host[0])) *dot = '\0';
}

rmp_status rmp_world_start(int *argc, char ***argv, rmp_world **out)
{
    *out = NULL;
    int initialized = 0;
    MPI_Initialized(&initialized);
    RMP_CHECK(!initialized, RMP_ERR_ARGUMENT, "MPI can be started once a process");
    rmp_comm *comm = calloc(1, sizeof *comm);
    RMP_CHECK(comm, RMP_ERR_MEMORY, "no memory to start");
    rmp_world *world = &comm->world;
    world->timeout = DEFAULT_TIMEOUT;
    comm->message_max = MESSAGE_LIMIT;
    comm->node = MPI_COMM_NULL;
    read_host(world->host);

    /* Before MPI_Init, which adds variables of its own to the environment. */
    bool asked = false, none = false;
    rmp_status mine = rmp_cpus_allowed(&comm->allowed, &asked, &none);

    int provided = 0;
    rmp_status status = rmp_comm_check(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "starting MPI");
    if (status != RMP_OK) {
        free(comm);
        return status;
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &world->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &world->size);
    rmp_log_identity(world->rank, world->size, world->host);
    /* From here on the world exists, also after a failure, so that the caller can end it. */
    *out = world;
    if (mine == RMP_OK && provided < MPI_THREAD_FUNNELED)
        mine = RMP_FAIL(RMP_ERR_COMM, "this MPI does not allow threads beside the one that calls it");
    RMP_TRY(gather_hosts(comm));
    RMP_TRY(rmp_world_agree(world, mine));
    RMP_TRY(agree_environment(comm));
    return find_local(comm, asked, none);
}

void rmp_world_stop(rmp_world **world)
{
    if (!world || !*world) return;
    rmp_comm *comm = rmp_comm_of(*world);
    *world = NULL;
    if (!comm->broken) {
        MPI_Request request = MPI_REQUEST_NULL;
        int code = MPI_Ibarrier(MPI_COMM_WORLD, &request);
        if (finish_collective(comm, code, &request, 0, "waiting for the last rank") != RMP_OK)
            RMP_LOG_WARN("world", "%s", rmp_fail_message());
    }
    if (comm->broken) return; /* what is in flight may still use it */
    /* All ranks are here, so this is short; should a peer die in it, the process ends by SIGALRM. */
    unsigned former = alarm((unsigned)fmin(ceil(comm->world.timeout), 1e9));
    if (comm->node != MPI_COMM_NULL) MPI_Comm_free(&comm->node);
    MPI_Finalize();
    alarm(former);
    free(comm->hosts);
    free(comm);
}

void rmp_world_abort(rmp_world *world, int code)
{
    fflush(NULL);
    if (world) {
        alarm(ABORT_GRACE);
        MPI_Abort(MPI_COMM_WORLD, code);
    }
    _exit(code);
}

const char *rmp_world_host(const rmp_world *world, int rank)
{
    const rmp_comm *comm = (const rmp_comm *)world;
    return rank >= 0 && rank < world->size && comm->hosts ? comm->hosts[rank] : "";
}

/* The number that the user set for OpenMP; 0: none. */
static int threads_of_user(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    if (!text || !*text) return 0;
    char *end;
    long value = strtol(text, &end, 10);
    if (value >= 1 && value <= RMP_CPUS_MAX && (*end == '\0' || *end == ',')) return (int)value; /* "4,2": by level */
    RMP_LOG_WARN("world", "OMP_NUM_THREADS=%s is no number of threads and is not used", text);
    return 0;
}

rmp_status rmp_world_threads(rmp_world *world, int requested, int *threads)
{
    rmp_comm *comm = rmp_comm_of(world);
    RMP_CHECK(requested >= 0 && requested <= RMP_CPUS_MAX, RMP_ERR_ARGUMENT, "%d threads: give 0 to %d", requested,
              RMP_CPUS_MAX);
    int64_t *core = malloc(RMP_CPUS_MAX * sizeof *core);
    RMP_CHECK(core, RMP_ERR_MEMORY, "no memory for the list of processors");
    rmp_cpus share;
    rmp_cpus_cores(&comm->allowed, core);
    int cores = rmp_cpus_part(&comm->allowed, core, comm->sharers, comm->sharer, &share);
    free(core);
    RMP_CHECK(cores > 0, RMP_ERR_INTERNAL, "this process may use no processor");

    double quota = rmp_cpus_quota() / world->local_size;
    if (quota > 0 && quota < cores) cores = quota < 1 ? 1 : (int)quota;
    *threads = requested > 0 ? requested : threads_of_user();
    if (*threads == 0) *threads = cores;

    if (comm->bind) {
        /* More threads than the share holds: the user knows better, so they may use all that the rank is allowed. */
        const rmp_cpus *cpus = *threads <= rmp_cpus_count(&share) ? &share : &comm->allowed;
        RMP_TRY(rmp_cpus_bind(cpus));
    }
    RMP_LOG_DEBUG("world", "%d threads on %d processors, %d of %d ranks of this machine share %d", *threads,
                  rmp_cpus_count(&share), comm->sharers, world->local_size, rmp_cpus_count(&comm->allowed));
    return RMP_OK;
}

/* "core/graph.c:120" taken apart for rmp_fail. */
static rmp_status fail_at(failure_message *failure, const char *prefix)
{
    char *colon = strrchr(failure->place, ':');
    int line = colon ? (int)strtol(colon + 1, NULL, 10) : 0;
    if (colon) *colon = '\0';
    return rmp_fail((rmp_status)failure->code, failure->place, line, "%s%s", prefix, failure->text);
}

rmp_status rmp_world_agree(rmp_world *world, rmp_status mine)
{
    static const char what[] = "agreeing with the other ranks";
    rmp_comm *comm = rmp_comm_of(world);
    if (world->size == 1) return mine;
    RMP_TRY(check_whole(comm, what));
    memset(&shared_failure, 0, sizeof shared_failure);
    if (mine != RMP_OK) {
        shared_failure.code = (int32_t)mine;
        snprintf(shared_failure.text, sizeof shared_failure.text, "%s", rmp_fail_message());
        snprintf(shared_failure.place, sizeof shared_failure.place, "%s", rmp_fail_place());
    }
    RMP_TRY(reduce_numbers(comm, MPI_MIN, mine == RMP_OK ? world->size : world->rank, 0, what));
    int first = (int)numbers_out[0];
    if (first == world->size) return RMP_OK;
    RMP_TRY(broadcast_part(comm, &shared_failure, sizeof shared_failure, first, what));
    char prefix[192];
    snprintf(prefix, sizeof prefix, "rank %d (%s): ", first, rmp_world_host(world, first));
    return fail_at(&shared_failure, prefix);
}

rmp_status rmp_world_broadcast(rmp_world *world, void **bytes, size_t *size)
{
    static const char what[] = "broadcast from rank 0";
    rmp_comm *comm = rmp_comm_of(world);
    bool root = world->rank == 0;
    if (!root) *bytes = NULL;
    if (world->size == 1) return RMP_OK;
    RMP_TRY(check_whole(comm, what));
    RMP_TRY(reduce_numbers(comm, MPI_SUM, root ? (int64_t)*size : 0, 0, what));
    size_t total = (size_t)numbers_out[0];
    char *data = root ? *bytes : malloc(total + 1); /* one more: never NULL, and text can be ended there */
    rmp_status status = RMP_OK;
    if (!root && !data) status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for %zu bytes from rank 0", total);
    status = rmp_world_agree(world, status);
    for (size_t at = 0; at < total && status == RMP_OK;) {
        size_t part = total - at < (size_t)comm->message_max ? total - at : (size_t)comm->message_max;
        status = broadcast_part(comm, data + at, (int)part, 0, what);
        at += part;
    }
    if (root) return status;
    if (status == RMP_OK && data) {
        data[total] = '\0';
        *bytes = data;
        *size = total;
    } else if (comm->broken) {
        comm->given_up = data; /* MPI may still write there */
    } else {
        free(data);
    }
    return status;
}

rmp_status rmp_world_beat(rmp_world *world)
{
    rmp_comm *comm = rmp_comm_of(world);
    double now = rmp_comm_now();
    if (now < comm->beat_at) return RMP_OK;
    comm->beat_at = now + fmin(BEAT_SECONDS, world->timeout / 4);
    for (int rank = 0; rank < world->size; rank++) {
        if (rank == world->rank) continue;
        MPI_Request request;
        int code = MPI_Isend(NULL, 0, MPI_BYTE, rank, RMP_TAG_BEAT, MPI_COMM_WORLD, &request);
        RMP_TRY(rmp_comm_check(code, "giving a sign of life"));
        /* It has no bytes to wait for. */
        RMP_TRY(rmp_comm_check(MPI_Request_free(&request), "giving a sign of life"));
    }
    return RMP_OK;
}

rmp_status rmp_world_min_max(rmp_world *world, int64_t mine, int64_t *min, int64_t *max)
{
    static const char what[] = "comparing a number of all ranks";
    rmp_comm *comm = rmp_comm_of(world);
    RMP_TRY(check_whole(comm, what));
    /* ~ turns the order around without overflow, so that one reduction gives both ends. */
    RMP_TRY(reduce_numbers(comm, MPI_MIN, mine, ~mine, what));
    *min = numbers_out[0];
    *max = ~numbers_out[1];
    return RMP_OK;
}

rmp_status rmp_world_local_broadcast(rmp_world *world, void *bytes, size_t size)
{
    static const char what[] = "broadcast among the ranks of this machine";
    rmp_comm *comm = rmp_comm_of(world);
    RMP_CHECK(size <= sizeof local_bytes, RMP_ERR_ARGUMENT, "%s: %zu bytes, at most %zu", what, size,
              sizeof local_bytes);
    RMP_TRY(check_whole(comm, what));
    MPI_Request request = MPI_REQUEST_NULL;
    if (world->local_rank == 0) memcpy(local_bytes, bytes, size);
    int code = MPI_Ibcast(local_bytes, (int)size, MPI_BYTE, 0, comm->node, &request);
    RMP_TRY(finish_collective(comm, code, &request, size, what));
    memcpy(bytes, local_bytes, size);
    return RMP_OK;
}

rmp_status rmp_world_local_sum(rmp_world *world, int64_t mine, int64_t *sum)
{
    static const char what[] = "sum over the ranks of this machine";
    rmp_comm *comm = rmp_comm_of(world);
    RMP_TRY(check_whole(comm, what));
    MPI_Request request = MPI_REQUEST_NULL;
    numbers_in[0] = mine;
    int code = MPI_Iallreduce(numbers_in, numbers_out, 1, MPI_INT64_T, MPI_SUM, comm->node, &request);
    RMP_TRY(finish_collective(comm, code, &request, sizeof numbers_in, what));
    *sum = numbers_out[0];
    return RMP_OK;
}
