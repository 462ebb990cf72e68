/* A thread that never runs Python: for threads.py. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

struct work {
    const char *name;
    size_t size;
    int failed;
};

static void *grow(void *argument) {
    struct work *work = argument;
    pthread_setname_np(pthread_self(), work->name);
    void *memory = mmap(NULL, work->size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        work->failed = errno;
        return NULL;
    }
    memset(memory, 1, work->size);
    return NULL;
}

/* Starts a thread of that name, which makes `size` fresh bytes resident and ends. 0 or errno. */
int grow_in_new_thread(const char *name, size_t size) {
    struct work work = {name, size, 0};
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, grow, &work);
    if (failed)
        return failed;
    pthread_join(thread, NULL);
    return work.failed;
}
