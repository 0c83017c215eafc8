/* Weights that several processes hold together: who is killed, stopped, out of room or out of memory leaves the others
 * with copies of their own, in bounded time, and never with other bytes. */
#define _GNU_SOURCE
#include "gpu/devices.h"
#include "io/model.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 100000, PAGE_ROOM = 1 << 20, SIZE = 32 };

static void must(rmp_status status) { cr_assert_eq(status, RMP_OK, "%s (%s)", rmp_fail_message(), rmp_fail_place()); }

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void pause_milliseconds(double ms)
{
    const struct timespec t = {0, (long)(ms * 1e6)};
    nanosleep(&t, NULL);
}

static rmp_share_key key_of(uint64_t number) { return (rmp_share_key){{number, ~number}}; }

static rmp_share *created(void)
{
    rmp_share *share = NULL;
    must(rmp_share_create(&share));
    return share;
}

/* The same share through an open file of its own, as another process has it. */
static rmp_share *opened(const rmp_share *share)
{
    rmp_share *other = NULL;
    must(rmp_share_open(rmp_share_address(share), &other));
    return other;
}

static void fill(void *data, int64_t bytes, int seed)
{
    for (int64_t i = 0; i < bytes; i++)
        ((unsigned char *)data)[i] = (unsigned char)(i * 31 + i / 257 + seed);
}

static bool holds(const void *data, int64_t bytes, int seed)
{
    for (int64_t i = 0; i < bytes; i++)
        if (((const unsigned char *)data)[i] != (unsigned char)(i * 31 + i / 257 + seed)) return false;
    return true;
}

/* Takes what nobody has, fills and publishes it. */
static bool put(rmp_share *share, uint64_t number, int64_t bytes)
{
    const rmp_share_key key = key_of(number);
    rmp_share_piece piece;
    if (rmp_share_take(share, &key, bytes, &piece) != RMP_SHARE_MINE) return false;
    fill(piece.data, bytes, (int)number);
    rmp_share_publish(share, &piece);
    rmp_share_unmap(&piece);
    return true;
}

static bool get(rmp_share *share, uint64_t number, int64_t bytes)
{
    const rmp_share_key key = key_of(number);
    rmp_share_piece piece;
    if (rmp_share_take(share, &key, bytes, &piece) != RMP_SHARE_READY) return false;
    const bool same = holds(piece.data, bytes, (int)number);
    rmp_share_unmap(&piece);
    return same && piece.data == NULL;
}

static rmp_share_answer ask(rmp_share *share, uint64_t number, int64_t bytes)
{
    const rmp_share_key key = key_of(number);
    rmp_share_piece piece;
    const rmp_share_answer answer = rmp_share_take(share, &key, bytes, &piece);
    if (answer == RMP_SHARE_READY) rmp_share_unmap(&piece);
    if (answer == RMP_SHARE_MINE) rmp_share_abandon(share, &piece);
    return answer;
}

/* A child that runs `work` and says whether it returned true. */
static pid_t start(bool (*work)(const char *address), const char *address)
{
    const pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a stopped child of a test that failed would keep its output open */
        _exit(work(address) ? 0 : 1);
    }
    return pid;
}

static bool succeeded(pid_t pid)
{
    int code = -1;
    return waitpid(pid, &code, 0) == pid && WIFEXITED(code) && WEXITSTATUS(code) == 0;
}

static bool put_one_get_two(const char *address)
{
    rmp_share *share = NULL;
    if (rmp_share_open(address, &share) != RMP_OK || !put(share, 1, BYTES)) return false;
    const double begin = now();
    while (!get(share, 2, BYTES / 2) && now() < begin + 10)
        pause_milliseconds(1);
    const bool good = get(share, 2, BYTES / 2);
    rmp_share_destroy(&share);
    return good;
}

Test(share, two_processes)
{
    rmp_share *share = created();
    const pid_t child = start(put_one_get_two, rmp_share_address(share));
    cr_assert(put(share, 2, BYTES / 2));
    cr_assert(succeeded(child));
    cr_assert(get(share, 1, BYTES)); /* the child is gone, what it packed is not */
    cr_assert(rmp_share_bytes(share) >= BYTES + BYTES / 2);
    cr_assert(rmp_share_bytes(share) < BYTES + BYTES / 2 + 4 * 65536);
    rmp_share_destroy(&share);
    cr_assert_null(share);
    rmp_share_destroy(&share);
}

static bool begin_only(const char *address)
{
    rmp_share *share = NULL;
    rmp_share_piece piece;
    const rmp_share_key key = key_of(7);
    if (rmp_share_open(address, &share) != RMP_OK || rmp_share_take(share, &key, BYTES, &piece) != RMP_SHARE_MINE)
        return false;
    fill(piece.data, BYTES / 2, 7);
    for (;;)
        pause();
}

static rmp_share_answer ask_until_not(rmp_share *share, rmp_share_answer answer)
{
    const double begin = now();
    rmp_share_answer last;
    while ((last = ask(share, 7, BYTES)) == answer && now() < begin + 10)
        pause_milliseconds(1);
    return last;
}

/* Killed while it fills. It stays a zombie here, as a rank may under its launcher. */
Test(share, killed_while_filling)
{
    rmp_share *share = created(), *third = opened(share);
    const pid_t child = start(begin_only, rmp_share_address(share));
    const double begin = now();
    while (rmp_share_bytes(share) == 0 && now() < begin + 10)
        pause_milliseconds(1);
    cr_assert_eq(ask(share, 7, BYTES), RMP_SHARE_BUSY);
    cr_assert_eq(ask(third, 7, BYTES), RMP_SHARE_BUSY);
    cr_assert(kill(child, SIGKILL) == 0);
    cr_assert_eq(ask_until_not(share, RMP_SHARE_BUSY), RMP_SHARE_NONE);
    cr_assert_eq(ask(third, 7, BYTES), RMP_SHARE_NONE);
    cr_assert(put(third, 8, BYTES) && get(share, 8, BYTES), "the share is of no use after a death");
    cr_assert(waitpid(child, NULL, 0) == child);
    rmp_share_destroy(&third);
    rmp_share_destroy(&share);
}

/* Blocks of memory that the system has given to a share of this process. */
static int64_t blocks(const rmp_share *share)
{
    int fd;
    struct stat info;
    cr_assert(sscanf(rmp_share_address(share), "%*d %d", &fd) == 1 && fstat(fd, &info) == 0);
    return info.st_blocks;
}

Test(share, given_up_and_of_another_size)
{
    rmp_share *share = created(), *other = opened(share);
    const rmp_share_key key = key_of(3);
    const int64_t before = blocks(share);
    rmp_share_piece piece;
    cr_assert_eq(rmp_share_take(share, &key, BYTES, &piece), RMP_SHARE_MINE);
    cr_assert(blocks(share) > before, "memory is not taken before it is touched");
    for (int64_t i = 0; i < BYTES; i++)
        cr_assert_eq(((char *)piece.data)[i], 0);
    cr_assert_eq(ask(other, 3, BYTES), RMP_SHARE_BUSY);
    rmp_share_abandon(share, &piece);
    cr_assert_null(piece.data);
    cr_assert_eq(ask(other, 3, BYTES), RMP_SHARE_NONE);
    cr_assert(blocks(share) <= before, "memory of a weight that was given up is kept");
    cr_assert(put(share, 4, BYTES));
    cr_assert_eq(ask(other, 4, BYTES - 1), RMP_SHARE_NONE);
    cr_assert_eq(ask(other, 4, BYTES), RMP_SHARE_READY);
    cr_assert_eq(ask(other, 5, 0), RMP_SHARE_NONE);
    rmp_share_destroy(&other);
    rmp_share_destroy(&share);
}

Test(share, full_directory)
{
    rmp_share *share = created(), *other = opened(share);
    for (uint64_t i = 0; i < RMP_SHARE_ENTRIES; i++)
        cr_assert(put(i % 2 ? share : other, i, 10), "%d", (int)i);
    cr_assert_eq(ask(share, RMP_SHARE_ENTRIES, 10), RMP_SHARE_NONE);
    cr_assert(get(share, 0, 10) && get(share, RMP_SHARE_ENTRIES - 1, 10));
    rmp_share_destroy(&other);
    rmp_share_destroy(&share);
}

/* A file size limit stands for a memory that is full: an answer, no signal (which would end this test). */
Test(share, no_memory)
{
    rmp_share *share = created(), *other = opened(share);
    struct rlimit before, small;
    cr_assert(put(share, 1, BYTES));
    cr_assert(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small = before;
    small.rlim_cur = PAGE_ROOM;
    cr_assert(setrlimit(RLIMIT_FSIZE, &small) == 0);
    cr_assert_eq(ask(share, 2, 2 * PAGE_ROOM), RMP_SHARE_NONE);
    rmp_share *never = NULL;
    small.rlim_cur = 4096;
    cr_assert(setrlimit(RLIMIT_FSIZE, &small) == 0);
    cr_assert_eq(rmp_share_create(&never), RMP_ERR_IO);
    cr_assert_null(never);
    cr_assert(setrlimit(RLIMIT_FSIZE, &before) == 0);
    cr_assert_eq(ask(other, 2, 2 * PAGE_ROOM), RMP_SHARE_NONE, "half an entry is taken for a weight");
    cr_assert(get(other, 1, BYTES) && put(other, 3, BYTES) && get(share, 3, BYTES));
    rmp_share_destroy(&other);
    rmp_share_destroy(&share);
}

/* Process numbers may mean something else where another rank runs: other files are never taken for a share. */
Test(share, other_files)
{
    rmp_share *share = created(), *other = NULL;
    char address[RMP_SHARE_ADDRESS], token[80];
    int fd;
    cr_assert(sscanf(rmp_share_address(share), "%*d %d %79[^\n]", &fd, token) == 2);
    cr_assert_eq(rmp_share_open("nonsense", &other), RMP_ERR_FORMAT);
    snprintf(address, sizeof address, "%d %d 1 2", (int)getpid(), fd);
    cr_assert_eq(rmp_share_open(address, &other), RMP_ERR_FORMAT, "another token");
    snprintf(address, sizeof address, "%d 999 %s", (int)getpid(), token);
    cr_assert_eq(rmp_share_open(address, &other), RMP_ERR_IO, "nothing there");
    const int null = open("/dev/null", O_RDWR), file = memfd_create("other", 0);
    cr_assert(ftruncate(file, 16 << 20) == 0);
    snprintf(address, sizeof address, "%d %d %s", (int)getpid(), null, token);
    cr_assert_eq(rmp_share_open(address, &other), RMP_ERR_FORMAT, "a device");
    snprintf(address, sizeof address, "%d %d %s", (int)getpid(), file, token);
    cr_assert_eq(rmp_share_open(address, &other), RMP_ERR_FORMAT, "a file that can be shortened");
    cr_assert_null(other);
    close(null);
    close(file);
    rmp_share_destroy(&share);
}

Test(share, hash)
{
    enum { WORDS = 24, LENGTH = 8 * WORDS };
    unsigned char bytes[LENGTH + 1] = {0};
    rmp_share_key zero = key_of(0), key[LENGTH + 1];
    for (size_t i = 0; i <= LENGTH; i++) { /* zeros of every length */
        key[i] = zero;
        rmp_share_hash(&key[i], bytes, i);
        for (size_t j = 0; j < i; j++)
            cr_assert(key[i].word[0] != key[j].word[0] && key[i].word[1] != key[j].word[1], "%zu %zu", i, j);
    }
    for (int bit = 0; bit < 8 * LENGTH; bit++) {
        rmp_share_key a = zero, b = zero;
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        rmp_share_hash(&a, bytes, LENGTH);
        rmp_share_hash(&b, bytes, LENGTH);
        cr_assert(memcmp(&a, &b, sizeof a) == 0);
        cr_assert(a.word[0] != key[LENGTH].word[0] && a.word[1] != key[LENGTH].word[1], "bit %d", bit);
        bytes[bit / 8] = 0;
    }
    rmp_share_key a = zero, b = zero; /* the order of words counts */
    bytes[0] = 1;
    bytes[40] = 2;
    rmp_share_hash(&a, bytes, LENGTH);
    bytes[0] = 2;
    bytes[40] = 1;
    rmp_share_hash(&b, bytes, LENGTH);
    cr_assert(a.word[0] != b.word[0] && a.word[1] != b.word[1]);
}

/* ---- a network on the host device ---- */

static rmp_model *open_network(const char *path)
{
    rmp_model *model = NULL;
    must(rmp_model_open(path, &model));
    return model;
}

static rmp_model *open_tiny(void) { return open_network("formula:" RMP_FIXTURES "/adm_tiny_base.json"); }
static rmp_model *open_small(void) { return open_network(RMP_SOURCE "/jobs/models/photo64.safetensors"); }

typedef struct result {
    int64_t floats;
    float *values; /* of the forward, then of the VJP */
} result;

static rmp_plan_memory estimate(rmp_device *dev, const rmp_model *model, rmp_precision precision)
{
    rmp_graph *graph;
    rmp_plan *plan;
    must(rmp_net_build(model->net, SIZE, SIZE, 0, &graph));
    must(rmp_plan_create(dev, graph, &(rmp_plan_options){.batch = 1, .vjp = true, .precision = precision}, &plan));
    const rmp_plan_memory memory = rmp_plan_estimate(plan);
    rmp_plan_destroy(&plan);
    rmp_graph_destroy(&graph);
    return memory;
}

static result evaluate(rmp_device *dev, const rmp_model *model, rmp_precision precision)
{
    const rmp_net *net = model->net;
    rmp_graph *graph;
    rmp_plan *plan;
    rmp_buffer *x, *c, *y, *g;
    const int64_t in = SIZE * SIZE * net->in_channels, out = SIZE * SIZE * net->out_channels;
    must(rmp_net_build(net, SIZE, SIZE, 0, &graph));
    must(rmp_plan_create(dev, graph, &(rmp_plan_options){.batch = 1, .vjp = true, .precision = precision}, &plan));
    must(rmp_plan_allocate(plan));
    must(rmp_buffer_create(dev, in, &x));
    must(rmp_buffer_create(dev, in, &g));
    must(rmp_buffer_create(dev, net->condition, &c));
    must(rmp_buffer_create(dev, out, &y));
    const rmp_key key = {.seed = 5, .item = 1};
    must(dev->ops->normals(dev, 1, in, &key, 0, RMP_PURPOSE_PROBE, x));
    must(dev->ops->normals(dev, 1, net->condition, &key, 1, RMP_PURPOSE_PROBE, c));
    const rmp_buffer *inputs[] = {x, c};
    must(rmp_plan_forward(plan, 2, inputs, y));
    must(rmp_plan_vjp(plan, y, g));
    result r = {.floats = in + out, .values = malloc((size_t)(in + out) * sizeof(float))};
    must(rmp_buffer_download(y, 0, out, r.values));
    must(rmp_buffer_download(g, 0, in, r.values + out));
    rmp_buffer_destroy(&x);
    rmp_buffer_destroy(&g);
    rmp_buffer_destroy(&c);
    rmp_buffer_destroy(&y);
    rmp_plan_destroy(&plan);
    rmp_graph_destroy(&graph);
    return r;
}

static void same(result *a, const result *b, const char *what)
{
    cr_assert(a->floats == b->floats && memcmp(a->values, b->values, (size_t)a->floats * sizeof(float)) == 0, "%s",
              what);
    free(a->values);
}

static bool has_bf16(rmp_device *dev, const rmp_model *model)
{
    rmp_graph *graph;
    rmp_plan *plan = NULL;
    must(rmp_net_build(model->net, SIZE, SIZE, 0, &graph));
    const rmp_plan_options options = {.batch = 1, .vjp = true, .precision = RMP_PRECISION_BF16};
    const bool has = rmp_plan_create(dev, graph, &options, &plan) == RMP_OK;
    rmp_plan_destroy(&plan);
    rmp_graph_destroy(&graph);
    return has;
}

static void compare_devices(rmp_precision precision)
{
    rmp_model *model = open_tiny();
    rmp_device *alone, *first, *second;
    rmp_share *share = created(), *other = opened(share);
    rmp_share_set_ranks(share, 2);
    rmp_share_set_ranks(other, 2);
    must(rmp_host_create(1, 0, &alone));
    must(rmp_host_create(2, 0, &first));
    must(rmp_host_create(1, 0, &second));
    rmp_host_use_share(first, share);
    rmp_host_use_share(second, other);
    if (precision == RMP_PRECISION_BF16 && !has_bf16(alone, model)) goto done;
    const rmp_plan_memory whole = estimate(alone, model, precision), part = estimate(first, model, precision);
    cr_assert_eq(whole.saved, 0);
    cr_assert_eq(part.weights + part.saved, whole.weights);
    cr_assert(part.saved > whole.weights / 4 && part.weights >= part.saved);
    cr_assert_eq(rmp_share_bytes(share), 0, "an estimate takes memory");

    result reference = evaluate(alone, model, precision), a = evaluate(first, model, precision);
    same(&a, &reference, "who packs");
    const int64_t bytes = rmp_share_bytes(share);
    cr_assert(bytes > whole.weights / 2);
    a = evaluate(second, model, precision);
    same(&a, &reference, "who finds");
    a = evaluate(first, model, precision);
    same(&a, &reference, "again");
    cr_assert_eq(rmp_share_bytes(share), bytes, "weights are packed again");
    free(reference.values);
done:
    rmp_device_destroy(&alone);
    rmp_device_destroy(&first);
    rmp_device_destroy(&second);
    rmp_share_destroy(&other);
    rmp_share_destroy(&share);
    rmp_model_close(&model);
}

Test(share, devices) { compare_devices(RMP_PRECISION_FP32); }
Test(share, devices_bf16) { compare_devices(RMP_PRECISION_BF16); }

/* Exactly the estimate is enough, one byte less is not; a copy of this process alone counts in full. */
Test(share, limit)
{
    rmp_model *model = open_tiny();
    rmp_graph *graph;
    rmp_plan *plan;
    const rmp_plan_options options = {.batch = 1, .vjp = true};
    rmp_device *dev;
    must(rmp_net_build(model->net, SIZE, SIZE, 0, &graph));
    for (int round = 0; round < 4; round++) {
        rmp_share *share = created();
        rmp_share_set_ranks(share, 3);
        must(rmp_host_create(1, 0, &dev));
        rmp_host_use_share(dev, share);
        must(rmp_plan_create(dev, graph, &options, &plan));
        const rmp_plan_memory m = rmp_plan_estimate(plan);
        const int64_t least = m.arena + m.weights;
        const bool full = round >= 2, fits = round % 2 == 0;
        /* a directory without room: every weight is this process's own */
        for (uint64_t i = 0; full && i < RMP_SHARE_ENTRIES; i++)
            cr_assert(put(share, i, 1));
        dev->memory_limit = least + (full ? m.saved : 0) - (fits ? 0 : 1);
        cr_assert_eq(rmp_plan_allocate(plan), fits ? RMP_OK : RMP_ERR_MEMORY, "round %d", round);
        rmp_plan_destroy(&plan);
        rmp_device_destroy(&dev);
        rmp_share_destroy(&share);
    }
    rmp_graph_destroy(&graph);
    rmp_model_close(&model);
}

static bool evaluate_in_child(const char *address)
{
    rmp_model *model = open_small();
    rmp_share *share = NULL;
    rmp_device *dev;
    must(rmp_share_open(address, &share));
    must(rmp_host_create(1, 0, &dev));
    rmp_host_use_share(dev, share);
    result r = evaluate(dev, model, RMP_PRECISION_FP32);
    free(r.values);
    rmp_device_destroy(&dev);
    rmp_share_destroy(&share);
    rmp_model_close(&model);
    return true;
}

/* The share's memory, opened once more: its locks are those of another process. */
static int opened_again(void)
{
    for (int fd = 3; fd < 256; fd++) {
        char path[64], target[64] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof target - 1) > 0 && strstr(target, "memfd:rmp-weights"))
            return open(path, O_RDWR);
    }
    return -1;
}

/* Whoever is stopped with the directory locked costs the others one wait, not one for each weight. */
Test(share, a_lock_that_is_kept_costs_one_wait)
{
    rmp_share *share = created();
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    const int other = opened_again();
    cr_assert(other >= 0 && fcntl(other, F_OFD_SETLK, &lock) == 0);
    const double begin = now();
    for (uint64_t i = 0; i < 100; i++)
        cr_assert_eq(ask(share, i, BYTES), RMP_SHARE_NONE);
    cr_assert(now() - begin < 50, "%.1f s", now() - begin); /* one wait is a second and what the machine adds */
    close(other);
    cr_assert_eq(ask(share, 1, BYTES), RMP_SHARE_MINE);
    rmp_share_destroy(&share);
}

/* The other process is killed, or stopped for good, when it has packed so many bytes: this one goes on in bounded time
 * and with the right results, whatever the other one was at. */
static void disturb(int signal_number, int64_t bytes)
{
    rmp_model *model = open_small();
    rmp_device *alone, *dev;
    rmp_share *share = created();
    rmp_share_set_ranks(share, 2);
    rmp_share_set_patience(share, 0.2);
    const pid_t child = start(evaluate_in_child, rmp_share_address(share));
    double begin = now();
    while (rmp_share_bytes(share) < bytes && now() < begin + 60)
        pause_milliseconds(0.05);
    cr_assert(kill(child, signal_number) == 0);
    must(rmp_host_create(1, 0, &alone));
    must(rmp_host_create(1, 0, &dev));
    rmp_host_use_share(dev, share);
    result reference = evaluate(alone, model, RMP_PRECISION_FP32);
    begin = now();
    result r = evaluate(dev, model, RMP_PRECISION_FP32);
    cr_assert(now() - begin < 200, "%.1f s", now() - begin); /* bounded, on a loaded machine too */
    same(&r, &reference, "beside a process that was disturbed");
    free(reference.values);
    kill(child, SIGKILL);
    cr_assert(waitpid(child, NULL, 0) == child);
    rmp_device_destroy(&dev);
    rmp_device_destroy(&alone);
    rmp_share_destroy(&share);
    rmp_model_close(&model);
}

Test(share, killed_network_first) { disturb(SIGKILL, 1); }
Test(share, killed_network) { disturb(SIGKILL, 4 << 20); }
Test(share, stopped_network_first) { disturb(SIGSTOP, 1); }
Test(share, stopped_network) { disturb(SIGSTOP, 4 << 20); }

/* Both pack: each finds what the other one packed. */
Test(share, both_pack)
{
    rmp_model *model = open_small();
    rmp_device *dev;
    rmp_share *share = created();
    rmp_share_set_ranks(share, 2);
    const pid_t child = start(evaluate_in_child, rmp_share_address(share));
    must(rmp_host_create(1, 0, &dev));
    rmp_host_use_share(dev, share);
    result r = evaluate(dev, model, RMP_PRECISION_FP32);
    cr_assert(succeeded(child));
    const int64_t together = rmp_share_bytes(share);
    rmp_device_destroy(&dev);
    rmp_share_destroy(&share);

    share = created(); /* as many bytes as one packs */
    must(rmp_host_create(1, 0, &dev));
    rmp_host_use_share(dev, share);
    result reference = evaluate(dev, model, RMP_PRECISION_FP32);
    same(&r, &reference, "two at once");
    cr_assert_eq(together, rmp_share_bytes(share));
    free(reference.values);
    rmp_device_destroy(&dev);
    rmp_share_destroy(&share);
    rmp_model_close(&model);
}
