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

static const char receiving[] = "receiving from another rank";

rmp_status rmp_message_accept(MPI_Message *message, const MPI_Status *found, rmp_incoming *in)
{
    int first = 0;
    RMP_TRY(rmp_comm_check(MPI_Get_count(found, MPI_BYTE, &first), receiving));
    RMP_CHECK(first >= HEAD, RMP_ERR_INTERNAL, "a message of rank %d is too short", found->MPI_SOURCE);
    *in = (rmp_incoming){.data = malloc((size_t)first), .part = (size_t)first, .source = found->MPI_SOURCE};
    RMP_CHECK(in->data, RMP_ERR_MEMORY, "no memory for a message of rank %d", found->MPI_SOURCE);
    in->active = true;
    return rmp_comm_check(MPI_Imrecv(in->data, first, MPI_BYTE, message, &in->request), receiving);
}

/* Reads the length from the first part and makes room for the rest. */
static rmp_status read_head(rmp_incoming *in)
{
    uint64_t size;
    memcpy(&size, in->data, HEAD);
    in->total = (size_t)size + HEAD;
    RMP_CHECK(in->total >= in->have, RMP_ERR_INTERNAL, "a message of rank %d is longer than it says", in->source);
    if (in->total == in->have) return RMP_OK;
    char *larger = realloc(in->data, in->total);
    RMP_CHECK(larger, RMP_ERR_MEMORY, "no memory for a message of %zu bytes of rank %d", in->total, in->source);
    in->data = larger;
    return RMP_OK;
}

rmp_status rmp_message_arrived(rmp_comm *comm, int part_tag, rmp_incoming *in, bool *done)
{
    *done = false;
    for (;;) {
        int here = 0;
        RMP_TRY(rmp_comm_check(MPI_Test(&in->request, &here, MPI_STATUS_IGNORE), receiving));
        if (!here) return RMP_OK;
        in->have += in->part;
        in->part = 0;
        if (in->total == 0) RMP_TRY(read_head(in));
        *done = in->have == in->total;
        if (*done) return RMP_OK;
        size_t left = in->total - in->have;
        in->part = left < (size_t)comm->message_max ? left : (size_t)comm->message_max;
        int code =
            MPI_Irecv(in->data + in->have, (int)in->part, MPI_BYTE, in->source, part_tag, MPI_COMM_WORLD, &in->request);
        RMP_TRY(rmp_comm_check(code, receiving));
    }
}

const void *rmp_message_bytes(const rmp_incoming *in, size_t *size)
{
    *size = in->total - HEAD;
    return in->data + HEAD;
}

void rmp_message_drop(rmp_incoming *in)
{
    if (in->active && in->part == 0) free(in->data);
    *in = (rmp_incoming){0};
}
