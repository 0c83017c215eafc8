#include "mpi/comm.h"

#include <time.h>

static const double BACKOFF_FIRST = 50e-6, BACKOFF_LONGEST = 1e-3;

rmp_status rmp_comm_check(int code, const char *what)
{
    if (code == MPI_SUCCESS) return RMP_OK;
    char text[MPI_MAX_ERROR_STRING] = "unknown error";
    int length = 0;
    if (MPI_Error_string(code, text, &length) != MPI_SUCCESS) length = 0;
    return RMP_FAIL(RMP_ERR_COMM, "%s: %s", what, text);
}

double rmp_comm_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void rmp_silence_reset(rmp_silence *silence) { *silence = (rmp_silence){.last = rmp_comm_now()}; }

bool rmp_silence_over(rmp_silence *silence, double limit)
{
    double now = rmp_comm_now();
    double gap = now - silence->last;
    silence->last = now;
    silence->silent += gap < limit / 8 ? gap : limit / 8;
    return silence->silent > limit;
}

void rmp_backoff_sleep(rmp_backoff *backoff)
{
    if (backoff->looks++ < RMP_BACKOFF_SPINS) return;
    int doublings = backoff->looks - RMP_BACKOFF_SPINS;
    double seconds = BACKOFF_FIRST;
    double longest = backoff->longest > 0 ? backoff->longest : BACKOFF_LONGEST;
    for (int i = 1; i < doublings && seconds < longest; i++)
        seconds *= 2;
    if (seconds > longest) seconds = longest;
    nanosleep(&(struct timespec){.tv_nsec = (long)(seconds * 1e9)}, NULL);
}

/* Takes the signs of life that have come. */
static rmp_status take_beats(bool *any)
{
    int there = 1;
    while (there) {
        MPI_Message message;
        RMP_TRY(rmp_comm_check(
            MPI_Improbe(MPI_ANY_SOURCE, RMP_TAG_BEAT, MPI_COMM_WORLD, &there, &message, MPI_STATUS_IGNORE),
            "listening to other ranks"));
        if (!there) break;
        RMP_TRY(rmp_comm_check(MPI_Mrecv(NULL, 0, MPI_BYTE, &message, MPI_STATUS_IGNORE), "listening to other ranks"));
        *any = true;
    }
    return RMP_OK;
}

rmp_status rmp_comm_wait(rmp_comm *comm, MPI_Request *request, size_t bytes, const char *what)
{
    rmp_backoff backoff = {.longest = bytes > 64 * 1024 ? BACKOFF_FIRST : BACKOFF_LONGEST};
    rmp_silence silence;
    rmp_silence_reset(&silence);
    for (;;) {
        int done = 0;
        RMP_TRY(rmp_comm_check(MPI_Test(request, &done, MPI_STATUS_IGNORE), what));
        if (done) return RMP_OK;
        bool heard = false;
        RMP_TRY(take_beats(&heard));
        if (heard) rmp_silence_reset(&silence);
        RMP_CHECK(!rmp_silence_over(&silence, comm->world.timeout), RMP_ERR_COMM,
                  "%s: no answer from the other ranks for %g s; a rank or its machine is lost, or far behind", what,
                  comm->world.timeout);
        rmp_backoff_sleep(&backoff);
    }
}
