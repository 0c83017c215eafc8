#include "mpi/message.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD = (int)sizeof(uint64_t) };

rmp_status rmp_message_send(rmp_comm *comm, int rank, int tag, int part_tag, const void *bytes, size_t size,
                            rmp_outgoing *out)
{
    size_t largest = (size_t)comm->message_max;
    size_t total = size + HEAD;
    size_t parts = (total + largest - 1) / largest;
    RMP_CHECK(parts <= INT32_MAX, RMP_ERR_ARGUMENT, "a message of %zu bytes is too large", size);
    *out = (rmp_outgoing){.buffer = malloc(total), .requests = malloc(parts * sizeof(MPI_Request))};
    if (!out->buffer || !out->requests) {
        free(out->buffer);
        free(out->requests);
        *out = (rmp_outgoing){0};
        return RMP_FAIL(RMP_ERR_MEMORY, "no memory for a message of %zu bytes", size);
    }
    uint64_t head = size;
    memcpy(out->buffer, &head, HEAD);
    if (size > 0) memcpy(out->buffer + HEAD, bytes, size);
    for (size_t i = 0; i < parts; i++) {
        size_t length = i + 1 < parts ? largest : total - i * largest;
        rmp_status status = rmp_comm_check(MPI_Isend(out->buffer + i * largest, (int)length, MPI_BYTE, rank,
                                                     i == 0 ? tag : part_tag, MPI_COMM_WORLD, &out->requests[i]),
                                           "sending to another rank");
        if (status != RMP_OK) {
            rmp_message_abandon(out);
            return status;
        }
        out->parts++;
    }
    return RMP_OK;
}

rmp_status rmp_message_sent(rmp_outgoing *out, bool *done)
{
    int all = 1;
    if (out->parts > 0)
        RMP_TRY(rmp_comm_check(MPI_Testall(out->parts, out->requests, &all, MPI_STATUSES_IGNORE),
                               "sending to another rank"));
    *done = all;
    if (all) {
        free(out->buffer);
        free(out->requests);
        *out = (rmp_outgoing){0};
    }
    return RMP_OK;
}

rmp_status rmp_message_wait(rmp_comm *comm, rmp_outgoing *out)
{
    for (int i = 0; i < out->parts; i++)
        RMP_TRY(rmp_comm_wait(comm, &out->requests[i], (size_t)comm->message_max, "sending to another rank"));
    bool done;
    return rmp_message_sent(out, &done);
}

void rmp_message_abandon(rmp_outgoing *out)
{
    bool done = false;
    if (rmp_message_sent(out, &done) != RMP_OK || !done) *out = (rmp_outgoing){0};
}

rmp_status rmp_message_receive(rmp_comm *comm, int part_tag, MPI_Message *message, const MPI_Status *found,
                               void **bytes, size_t *size)
{
    static const char what[] = "receiving from another rank";
    int first = 0;
    RMP_TRY(rmp_comm_check(MPI_Get_count(found, MPI_BYTE, &first), what));
    RMP_CHECK(first >= HEAD, RMP_ERR_INTERNAL, "a message of rank %d is too short", found->MPI_SOURCE);
    char *data = malloc((size_t)first);
    RMP_CHECK(data, RMP_ERR_MEMORY, "no memory for a message of rank %d", found->MPI_SOURCE);
    MPI_Request request = MPI_REQUEST_NULL;
    /* After a failed wait MPI may still write into the buffer, so that it is given up, not freed. */
    RMP_TRY(rmp_comm_check(MPI_Imrecv(data, first, MPI_BYTE, message, &request), what));
    RMP_TRY(rmp_comm_wait(comm, &request, (size_t)first, what));

    uint64_t total;
    memcpy(&total, data, HEAD);
    size_t have = (size_t)first - HEAD;
    memmove(data, data + HEAD, have);
    if (total > have) {
        char *larger = realloc(data, (size_t)total);
        if (!larger) {
            free(data);
            return RMP_FAIL(RMP_ERR_MEMORY, "no memory for a message of %llu bytes of rank %d",
                            (unsigned long long)total, found->MPI_SOURCE);
        }
        data = larger;
    }
    while (have < total) {
        size_t length = (size_t)total - have;
        if (length > (size_t)comm->message_max) length = (size_t)comm->message_max;
        int code = MPI_Irecv(data + have, (int)length, MPI_BYTE, found->MPI_SOURCE, part_tag, MPI_COMM_WORLD, &request);
        RMP_TRY(rmp_comm_check(code, what));
        RMP_TRY(rmp_comm_wait(comm, &request, length, what));
        have += length;
    }
    *bytes = data;
    *size = (size_t)total;
    return RMP_OK;
}
