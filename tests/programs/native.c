/* What Python alone cannot do: for threads.py and hostile.py. */
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

/* Makes `size` fresh bytes resident while the word at `address` holds `value`. For hostile.py. */
int grow_with_word(size_t size, size_t address, size_t value) {
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return errno;
    size_t old = *(volatile size_t *)address;
    *(volatile size_t *)address = value;
    memset(memory, 1, size);
    *(volatile size_t *)address = old;
    return 0;
}
