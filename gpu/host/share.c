#define _GNU_SOURCE
#include "gpu/share.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* Linux 6.3; some systems refuse files without it */
#endif

static const char MAGIC[16] = "rmp weights 1";
static const double LOCK_SECONDS = 1.0, PATIENCE_SECONDS = 60.0;
enum { LOOK_NANOSECONDS = 100 * 1000 };

typedef enum state { FILLING, READY, GONE } state;

typedef struct entry {
    rmp_share_key key;
    int64_t bytes, offset;
    _Atomic int state;
} entry;

typedef struct directory {
    char magic[sizeof MAGIC];
    uint64_t token[2];   /* tells this share from any other file */
    _Atomic int64_t end; /* of what was given out: changed by who holds the lock */
    _Atomic int count;   /* entries that are complete: grows only, by who holds the lock */
    entry entries[RMP_SHARE_ENTRIES];
} directory;

_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "atomics in shared memory must be lock-free");

struct rmp_share {
    int fd, ranks;
    double patience;
    bool in_vain; /* the last wait for the directory's lock */
    directory *directory;
    size_t page;
    char address[RMP_SHARE_ADDRESS];
};

static size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

/* ---- locks: byte 0 for the directory, byte 1 + i for who fills entry i ---- */

static bool set_lock(int fd, int byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static bool is_locked(int fd, int byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Who waited in vain once (its holder was stopped) only tries from then on: there may be hundreds of weights to ask
 * for. */
static bool lock_directory(rmp_share *s)
{
    const struct timespec pause = {0, LOOK_NANOSECONDS};
    const double patience = s->in_vain ? 0 : LOCK_SECONDS;
    for (double waited = 0; !set_lock(s->fd, 0, F_WRLCK); waited += LOOK_NANOSECONDS * 1e-9) {
        s->in_vain = waited >= patience;
        if ((errno != EAGAIN && errno != EACCES && errno != EINTR) || s->in_vain) return false;
        nanosleep(&pause, NULL);
    }
    s->in_vain = false;
    return true;
}

/* ---- memory ---- */

/* Takes memory for a range of the file; false if there is none. */
static bool allocate(int fd, int64_t offset, size_t bytes)
{
    struct rlimit limit;
    /* beyond the limit on file sizes the kernel would send SIGXFSZ */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur < (rlim_t)offset + bytes) {
        return false;
    }
    int code;
    do
        code = fallocate(fd, 0, offset, (off_t)bytes);
    while (code != 0 && errno == EINTR);
    return code == 0;
}

static bool map(const rmp_share *s, int i, int access, rmp_share_piece *piece)
{
    const entry *e = &s->directory->entries[i];
    void *data = mmap(NULL, (size_t)e->bytes, access, MAP_SHARED, s->fd, (off_t)e->offset);
    if (data == MAP_FAILED) return false;
    *piece = (rmp_share_piece){.entry = i, .data = data, .bytes = (size_t)e->bytes};
    return true;
}

void rmp_share_unmap(rmp_share_piece *piece)
{
    if (piece->data) munmap(piece->data, piece->bytes);
    piece->data = NULL;
}

/* ---- making and opening ---- */

static rmp_status map_directory(rmp_share *s)
{
    void *memory = mmap(NULL, sizeof(directory), PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    RMP_CHECK(memory != MAP_FAILED, RMP_ERR_IO, "memory for several processes cannot be mapped: %s", strerror(errno));
    s->directory = memory;
    return RMP_OK;
}

static rmp_status start(rmp_share **out)
{
    rmp_share *s = calloc(1, sizeof *s);
    RMP_CHECK(s, RMP_ERR_MEMORY, "no memory for a share");
    s->fd = -1;
    s->ranks = 1;
    s->patience = PATIENCE_SECONDS;
    s->page = (size_t)sysconf(_SC_PAGESIZE);
    *out = s;
    return RMP_OK;
}

static rmp_status fill_directory(rmp_share *s)
{
    struct stat info;
    const size_t room = round_up(sizeof(directory), s->page);
    s->fd = memfd_create("rmp-weights", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (s->fd < 0 && errno == EINVAL) s->fd = memfd_create("rmp-weights", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    RMP_CHECK(s->fd >= 0, RMP_ERR_IO, "memory for several processes cannot be made: %s", strerror(errno));
    RMP_CHECK(allocate(s->fd, 0, room), RMP_ERR_IO, "no memory for several processes: %s", strerror(errno));
    /* nobody can make it shorter: what is mapped stays */
    RMP_CHECK(fcntl(s->fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0, RMP_ERR_IO, "memory cannot be sealed: %s",
              strerror(errno));
    RMP_CHECK(set_lock(s->fd, 0, F_WRLCK) && set_lock(s->fd, 0, F_UNLCK), RMP_ERR_IO,
              "memory for several processes cannot be locked: %s", strerror(errno));
    RMP_TRY(map_directory(s));
    directory *d = s->directory;
    RMP_CHECK(getrandom(d->token, sizeof d->token, 0) == (ssize_t)sizeof d->token && fstat(s->fd, &info) == 0,
              RMP_ERR_IO, "memory for several processes cannot be named: %s", strerror(errno));
    memcpy(d->magic, MAGIC, sizeof MAGIC);
    atomic_store(&d->end, (int64_t)room);
    snprintf(s->address, sizeof s->address, "%ld %d %" PRIx64 " %" PRIx64, (long)getpid(), s->fd, d->token[0],
             d->token[1]);
    return RMP_OK;
}

rmp_status rmp_share_create(rmp_share **out)
{
    rmp_share *s = NULL;
    *out = NULL;
    RMP_TRY(start(&s));
    rmp_status status = fill_directory(s);
    if (status != RMP_OK) {
        rmp_share_destroy(&s);
        return status;
    }
    *out = s;
    return RMP_OK;
}

static rmp_status open_other(rmp_share *s, const char *address)
{
    uint64_t part[4]; /* process, descriptor, token */
    char path[64], *end = (char *)(uintptr_t)address;
    struct stat info;
    for (int i = 0; i < 4; i++) {
        const char *from = end;
        part[i] = strtoull(from, &end, i < 2 ? 10 : 16);
        RMP_CHECK(end != from, RMP_ERR_FORMAT, "\"%.40s\" is no address of shared memory", address);
    }
    snprintf(path, sizeof path, "/proc/%" PRIu64 "/fd/%" PRIu64, part[0], part[1]);
    /* Where process numbers mean something else it may be any file: only a regular one of that size is opened. */
    RMP_CHECK(stat(path, &info) == 0, RMP_ERR_IO, "%s: %s", path, strerror(errno));
    RMP_CHECK(S_ISREG(info.st_mode) && info.st_size >= (off_t)sizeof(directory), RMP_ERR_FORMAT,
              "%s is not the memory that is looked for", path);
    s->fd = open(path, O_RDWR | O_CLOEXEC);
    RMP_CHECK(s->fd >= 0, RMP_ERR_IO, "%s: %s", path, strerror(errno));
    const int seals = fcntl(s->fd, F_GET_SEALS);
    RMP_CHECK(seals >= 0 && (seals & F_SEAL_SHRINK), RMP_ERR_FORMAT, "%s is not the memory that is looked for", path);
    RMP_TRY(map_directory(s));
    RMP_CHECK(memcmp(s->directory->magic, MAGIC, sizeof MAGIC) == 0 &&
                  memcmp(s->directory->token, part + 2, sizeof s->directory->token) == 0,
              RMP_ERR_FORMAT, "%s is not the memory that is looked for", path);
    snprintf(s->address, sizeof s->address, "%s", address);
    return RMP_OK;
}

rmp_status rmp_share_open(const char *address, rmp_share **out)
{
    rmp_share *s = NULL;
    *out = NULL;
    RMP_TRY(start(&s));
    rmp_status status = open_other(s, address);
    if (status != RMP_OK) {
        rmp_share_destroy(&s);
        return status;
    }
    *out = s;
    return RMP_OK;
}

void rmp_share_destroy(rmp_share **share)
{
    if (!share || !*share) return;
    if ((*share)->directory) munmap((*share)->directory, sizeof(directory));
    if ((*share)->fd >= 0) close((*share)->fd);
    free(*share);
    *share = NULL;
}

const char *rmp_share_address(const rmp_share *share) { return share->address; }
void rmp_share_set_ranks(rmp_share *share, int ranks) { share->ranks = ranks > 1 ? ranks : 1; }
int rmp_share_ranks(const rmp_share *share) { return share->ranks; }
void rmp_share_set_patience(rmp_share *share, double seconds) { share->patience = seconds; }
double rmp_share_patience(const rmp_share *share) { return share->patience; }

int64_t rmp_share_bytes(const rmp_share *share)
{
    return atomic_load(&share->directory->end) - (int64_t)round_up(sizeof(directory), share->page);
}

/* ---- ranges ---- */

static int find(const directory *d, const rmp_share_key *key)
{
    const int count = atomic_load_explicit(&d->count, memory_order_acquire);
    for (int i = 0; i < count; i++)
        if (memcmp(&d->entries[i].key, key, sizeof *key) == 0) return i;
    return -1;
}

/* A new entry, which this process is to fill; -1: no room. The directory is locked. */
static int add(rmp_share *s, const rmp_share_key *key, int64_t bytes)
{
    directory *d = s->directory;
    const int i = atomic_load(&d->count);
    if (i >= RMP_SHARE_ENTRIES || !set_lock(s->fd, 1 + i, F_WRLCK)) return -1;
    entry *e = &d->entries[i];
    e->key = *key;
    e->bytes = bytes;
    e->offset = atomic_load(&d->end);
    atomic_store(&e->state, FILLING);
    atomic_store(&d->end, e->offset + (int64_t)round_up((size_t)bytes, s->page));
    atomic_store_explicit(&d->count, i + 1, memory_order_release);
    return i;
}

static rmp_share_answer end_filling(rmp_share *s, int i, state how)
{
    atomic_store_explicit(&s->directory->entries[i].state, how, memory_order_release);
    (void)set_lock(s->fd, 1 + i, F_UNLCK);
    return RMP_SHARE_NONE;
}

static rmp_share_answer begin_filling(rmp_share *s, int i, rmp_share_piece *piece)
{
    const entry *e = &s->directory->entries[i];
    if (!allocate(s->fd, e->offset, round_up((size_t)e->bytes, s->page))) return end_filling(s, i, GONE);
    return map(s, i, PROT_READ | PROT_WRITE, piece) ? RMP_SHARE_MINE : end_filling(s, i, GONE);
}

static rmp_share_answer look(rmp_share *s, int i, int64_t bytes, rmp_share_piece *piece)
{
    const entry *e = &s->directory->entries[i];
    if (e->bytes != bytes) return RMP_SHARE_NONE;
    int now = atomic_load_explicit(&e->state, memory_order_acquire);
    if (now == FILLING) {
        if (is_locked(s->fd, 1 + i)) return RMP_SHARE_BUSY;
        /* let go of: it is done, or who filled it has died */
        now = atomic_load_explicit(&e->state, memory_order_acquire);
    }
    return now == READY && map(s, i, PROT_READ, piece) ? RMP_SHARE_READY : RMP_SHARE_NONE;
}

rmp_share_answer rmp_share_take(rmp_share *share, const rmp_share_key *key, int64_t bytes, rmp_share_piece *piece)
{
    *piece = (rmp_share_piece){.entry = -1};
    int i = find(share->directory, key);
    if (i >= 0) return look(share, i, bytes, piece);
    if (bytes <= 0 || !lock_directory(share)) return RMP_SHARE_NONE;
    i = find(share->directory, key); /* another one may have been faster */
    const bool mine = i < 0;
    if (mine) i = add(share, key, bytes);
    (void)set_lock(share->fd, 0, F_UNLCK);
    if (i < 0) return RMP_SHARE_NONE;
    return mine ? begin_filling(share, i, piece) : look(share, i, bytes, piece);
}

void rmp_share_publish(rmp_share *share, const rmp_share_piece *piece)
{
    (void)mprotect(piece->data, piece->bytes, PROT_READ); /* a safeguard only */
    (void)end_filling(share, piece->entry, READY);
}

void rmp_share_abandon(rmp_share *share, rmp_share_piece *piece)
{
    const entry *e = &share->directory->entries[piece->entry];
    const off_t size = (off_t)round_up((size_t)e->bytes, share->page);
    rmp_share_unmap(piece);
    (void)fallocate(share->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)e->offset, size);
    (void)end_filling(share, piece->entry, GONE);
}

/* ---- hash ---- */

static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }

static uint64_t word_at(const unsigned char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Every step is invertible in its lane and every word goes into two of the four lanes, so that a difference in one word
 * always shows and differences in several cancel in two lanes at once only by chance. */
void rmp_share_hash(rmp_share_key *key, const void *bytes, size_t size)
{
    static const uint64_t odd[2] = {0x9e3779b97f4a7c15U, 0xc2b2ae3d27d4eb4fU};
    const unsigned char *at = bytes;
    uint64_t a = key->word[0] + odd[0], b = key->word[1] + odd[1], c = key->word[0] ^ odd[1], d = key->word[1] ^ size;
    unsigned char last[32] = {0};
    for (size_t left = size;;) {
        if (left < 32) {
            memcpy(last, at, left);
            last[31] = (unsigned char)left;
            at = last;
        }
        const uint64_t p = word_at(at), q = word_at(at + 8), r = word_at(at + 16), s = word_at(at + 24);
        a = rotate(a + p * odd[1], 31) * odd[0] + q;
        b = rotate(b + q * odd[1], 31) * odd[0] + r;
        c = rotate(c + r * odd[1], 31) * odd[0] + s;
        d = rotate(d + s * odd[1], 31) * odd[0] + p;
        if (left < 32) break;
        at += 32;
        left -= 32;
    }
    uint64_t lanes[4] = {a, b, c, d}, x = size, y = odd[0];
    for (int i = 0; i < 4; i++) {
        uint64_t lane = lanes[i];
        lane = (lane ^ lane >> 33) * odd[1];
        lane = (lane ^ lane >> 29) * odd[0];
        lane ^= lane >> 32;
        x = rotate(x + lane, 27) * odd[0];
        y = (rotate(y, 41) ^ lane) * odd[1];
    }
    key->word[0] = (x ^ x >> 31) * odd[1];
    key->word[1] = (y ^ y >> 31) * odd[0];
}
