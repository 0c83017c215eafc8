/* Messages of any size between two ranks: a length and the bytes in one MPI message where they fit, else in parts. Not
 * for other folders. */
#pragma once

#include "mpi/comm.h"

typedef struct rmp_outgoing { /* one message on its way; zero: none */
    char *buffer;
    MPI_Request *requests;
    int parts;
} rmp_outgoing;

/* Copies the bytes and starts to send. `part_tag` is for what does not fit into the first MPI message. */
rmp_status rmp_message_send(rmp_comm *comm, int rank, int tag, int part_tag, const void *bytes, size_t size,
                            rmp_outgoing *out) RMP_MUST_CHECK;
/* *done when it has left (or there is none); frees what it took. */
rmp_status rmp_message_sent(rmp_outgoing *out, bool *done) RMP_MUST_CHECK;
/* Waits until it has left, at most the world's timeout. */
rmp_status rmp_message_wait(rmp_comm *comm, rmp_outgoing *out) RMP_MUST_CHECK;
/* Forgets one that may still be on its way; its memory is given up then, since MPI may read it. */
void rmp_message_abandon(rmp_outgoing *out);

typedef struct rmp_incoming { /* one message on its way here; zero: none */
    char *data;               /* length and bytes */
    size_t have, total, part; /* bytes here; of all, 0 until known; of the part that is coming */
    int source;
    MPI_Request request;
    bool active;
} rmp_incoming;

/* Starts to receive the message that a matched probe found. Does not wait: over some transports the bytes move only
 * while the sender is in an MPI call, and it may be far into its own work. */
rmp_status rmp_message_accept(MPI_Message *message, const MPI_Status *found, rmp_incoming *in) RMP_MUST_CHECK;
/* *done when all of it is here. */
rmp_status rmp_message_arrived(rmp_comm *comm, int part_tag, rmp_incoming *in, bool *done) RMP_MUST_CHECK;
/* Its bytes, borrowed until it is dropped. */
const void *rmp_message_bytes(const rmp_incoming *in, size_t *size);
/* Frees it; if it is still on its way its memory is given up, since MPI may write there. */
void rmp_message_drop(rmp_incoming *in);
