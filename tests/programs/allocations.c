/* Counts its own allocations and does some of every kind, in threads and in a child.
 *
 * The program's own functions take the place of libc's and hand on to them, so that what it says is
 * what libc and the dynamic loader allocated through them, too. At its end it writes, by one write
 * each, "PID allocations bytes frees freed_bytes" to the descriptor that it is told. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

#define SLOTS (1 << 16)
static struct { void *block; size_t size; } known[SLOTS];
static struct { long allocations, bytes, frees, freed_bytes; } truth;
static volatile char busy;

static void lock(void) { while (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE)) ; }
static void unlock(void) { __atomic_clear(&busy, __ATOMIC_RELEASE); }

static void *born(void *block, size_t size) {
    if (block) {
        lock();
        truth.allocations++, truth.bytes += size;
        for (size_t at = (size_t)block / 16 % SLOTS;; at = (at + 1) % SLOTS)
            if (!known[at].block || known[at].block == (void *)1) {
                known[at].block = block, known[at].size = size;
                break;
            }
        unlock();
    }
    return block;
}

/* Returns the size, or -1 when it was not counted. */
static long died(void *block) {
    long size = -1;
    lock();
    for (size_t at = (size_t)block / 16 % SLOTS; known[at].block; at = (at + 1) % SLOTS)
        if (known[at].block == block) {
            size = known[at].size, known[at].block = (void *)1;
            truth.frees++, truth.freed_bytes += size;
            break;
        }
    unlock();
    return size;
}

void *malloc(size_t size) { return born(__libc_malloc(size), size); }
void *calloc(size_t count, size_t size) { return born(__libc_calloc(count, size), count * size); }
void free(void *block) { if (block) died(block); __libc_free(block); }
void *memalign(size_t to, size_t size) { return born(__libc_memalign(to, size), size); }
void *aligned_alloc(size_t to, size_t size) { return born(__libc_memalign(to, size), size); }

int posix_memalign(void **out, size_t to, size_t size) {
    void *block = born(__libc_memalign(to, size), size);
    if (!block) return ENOMEM;
    *out = block;
    return 0;
}

void *realloc(void *block, size_t size) {
    long old = block ? died(block) : -1;
    void *moved = __libc_realloc(block, size);
    if (!moved && size && old >= 0) { /* it failed: the block lives on, and nothing was freed */
        truth.frees--, truth.freed_bytes -= old, truth.allocations--, truth.bytes -= old;
        born(block, old);
        return moved;
    }
    return born(moved, size);
}

static void *hand_over[8];

static void *work(void *argument) {
    long number = (long)argument;
    void *kept[50];
    for (int i = 0; i < 2000; i++) {
        void *block = malloc(700 + number);
        memset(block, 1, 8);
        free(block);
    }
    for (int i = 0; i < 50; i++) kept[i] = calloc(3, 100 + i);
    for (int i = 0; i < 25; i++) free(kept[i]);
    hand_over[number] = kept[30];
    return NULL;
}

static void some_of_every_kind(void) {
    char *chain = NULL;
    for (int i = 1; i <= 300; i++) chain = realloc(chain, i * 997);
    for (int i = 100; i > 0; i--) chain = realloc(chain, i * 31);
    if (realloc(chain, (size_t)1 << 60)) abort(); /* fails */
    void *aligned = NULL;
    if (posix_memalign(&aligned, 4096, 777)) abort();
    if (posix_memalign(&aligned, 64, (size_t)1 << 60) == 0) abort(); /* fails */
    void *second = aligned_alloc(256, 512), *third = memalign(128, 333);
    free(second);
    if (realloc(third, 0)) abort(); /* frees */
    free(NULL);
    if (malloc((size_t)1 << 60)) abort(); /* fails */
}

static void tell(int to) {
    char text[128];
    int length = snprintf(text, sizeof text, "told %d %ld %ld %ld %ld\n", getpid(), truth.allocations,
                          truth.bytes, truth.frees, truth.freed_bytes);
    if (write(to, text, length) != length) abort();
}

int main(int count, char **arguments) {
    int to = count > 1 ? atoi(arguments[1]) : 1;
    usleep(300 * 1000); /* until memtrace has seen which allocator this is */
    memset(&truth, 0, sizeof truth), memset(known, 0, sizeof known);
    if (write(to, "begin\n", 6) != 6) abort();
    some_of_every_kind();
    pthread_t threads[4];
    for (long i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, (void *)i);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++) free(hand_over[i]);
    pid_t child = fork();
    if (child == 0) {
        sleep(2); /* until the child has its probes */
        memset(&truth, 0, sizeof truth), memset(known, 0, sizeof known);
        some_of_every_kind();
        tell(to);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    tell(to);
    _exit(0);
}
