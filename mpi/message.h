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

/* Receives the message that a matched probe found; *bytes is owned by the caller and never NULL. Waits for the parts,
 * bounded by the world's timeout. */
rmp_status rmp_message_receive(rmp_comm *comm, int part_tag, MPI_Message *message, const MPI_Status *found,
                               void **bytes, size_t *size) RMP_MUST_CHECK;
