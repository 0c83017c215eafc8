/* Re-ordered weights that the ranks of one machine hold together: each is packed by one of them, into memory that all
 * of them map. Sharing saves memory and time and is never a reason to fail: whatever goes wrong here, a rank keeps a
 * weight of its own. Knows nothing of MPI; who calls it hands the address of a share to the other ranks.
 *
 * The memory is an anonymous file (memfd_create) of the rank that makes the share; the others open it through /proc.
 * An MPI window is not used because
 *  - image sizes, hence plans, hence weights come one by one and at other times on every rank, whereas a window is
 *    allocated collectively and once, for a size that is not known then; a file grows where it is needed;
 *  - Open MPI backs windows with files in /dev/shm, which containers often limit to 64 MiB, and which stay behind when
 *    ranks are killed. An anonymous file is limited by memory only and goes with its last process, however that ends.
 * Ranges are allocated before they are touched, so that what the system refuses is an answer and no SIGBUS.
 *
 * The directory at the beginning of the file is changed under a lock of the file system that the kernel takes back when
 * its holder dies (an open file description lock); whoever fills a range holds another one, which tells the others
 * whether it is still alive. A process may be killed at any time. */
#pragma once

#include "core/status.h"

typedef struct rmp_share rmp_share;

enum {
    RMP_SHARE_ENTRIES = 4096,    /* weights in a share */
    RMP_SHARE_LEAST = 16 * 1024, /* bytes below which a weight is not worth its pages */
    RMP_SHARE_ADDRESS = 160      /* room for an address */
};

/* Says what a range holds: a hash of everything that decides its bytes. */
typedef struct rmp_share_key {
    uint64_t word[2];
} rmp_share_key;

/* A range as this process sees it. */
typedef struct rmp_share_piece {
    int entry;
    void *data; /* page-aligned */
    size_t bytes;
} rmp_share_piece;

typedef enum rmp_share_answer {
    RMP_SHARE_READY, /* *piece is mapped and may be read */
    RMP_SHARE_MINE,  /* *piece is mapped, zero, to be filled: publish or abandon it */
    RMP_SHARE_BUSY,  /* a living process is filling it: ask again later */
    RMP_SHARE_NONE   /* not to be had (full, no memory, its filler died): keep a copy of your own */
} rmp_share_answer;

/* Makes a share. RMP_ERR_IO if the system has no such files or does not allow them. */
rmp_status rmp_share_create(rmp_share **out) RMP_MUST_CHECK;
/* Text for rmp_share_open in other processes of this machine; owned by the share. */
const char *rmp_share_address(const rmp_share *share);
/* Opens the share of another process, which has to live until then. RMP_ERR_IO if it is not to be reached from here
 * (another machine, another container, no permission), RMP_ERR_FORMAT if something else is there. */
rmp_status rmp_share_open(const char *address, rmp_share **out) RMP_MUST_CHECK;
/* After the pieces were unmapped. The memory is freed when the last process has let go of it. */
void rmp_share_destroy(rmp_share **share);

/* Processes that use it together, for accounting; 1 until it is set. */
void rmp_share_set_ranks(rmp_share *share, int ranks);
int rmp_share_ranks(const rmp_share *share);
/* Seconds without any progress after which a weight that another process is filling is given up; 60 at first. */
void rmp_share_set_patience(rmp_share *share, double seconds);
double rmp_share_patience(const rmp_share *share);
/* Bytes of the ranges that were given out so far. */
int64_t rmp_share_bytes(const rmp_share *share);

/* Looks a range up, or gives the caller one to fill. Never blocks for longer than a second. A range of another size
 * under the same key is RMP_SHARE_NONE. */
rmp_share_answer rmp_share_take(rmp_share *share, const rmp_share_key *key, int64_t bytes, rmp_share_piece *piece);
/* The range is filled: others may read it, this process only reads it from now on. */
void rmp_share_publish(rmp_share *share, const rmp_share_piece *piece);
/* It will not be filled: others keep copies of their own. Unmaps it; its memory goes back to the system. */
void rmp_share_abandon(rmp_share *share, rmp_share_piece *piece);
void rmp_share_unmap(rmp_share_piece *piece);

/* Adds bytes to a hash (start: any value). Not cryptographic: it tells apart what nobody forged. */
void rmp_share_hash(rmp_share_key *key, const void *bytes, size_t size);
