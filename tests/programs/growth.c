/* An extension module for native_growth.py, built with and without debug information. It needs no
   header of CPython: what it declares is the stable ABI. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct object PyObject;
typedef struct {
    const char *name;
    PyObject *(*function)(PyObject *, PyObject *);
    int flags;
    const char *doc;
} PyMethodDef;
typedef struct {
    struct { long count; void *type; } object;
    PyObject *(*init)(void);
    long index;
    PyObject *copy;
    const char *name, *doc;
    long size;
    PyMethodDef *methods;
    void *slots, *traverse, *clear, *free;
} PyModuleDef;
extern PyObject *PyModule_Create2(PyModuleDef *, int);
extern size_t PyLong_AsSize_t(PyObject *);
extern PyObject *PyLong_FromVoidPtr(void *);

#define ALONE __attribute__((noinline, noclone))

static char *fresh(size_t size) {
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

ALONE static void touch(volatile char *memory, size_t size) {
    for (size_t at = 0; at < size; at += 4096)
        memory[at] = 1; /* mark: touching */
}

/* Exported, as a library's own functions are. */
ALONE PyObject *grow_touching(PyObject *self, PyObject *size) {
    size_t bytes = PyLong_AsSize_t(size);
    char *memory = fresh(bytes);
    touch(memory, bytes);
    return PyLong_FromVoidPtr(memory);
}

ALONE PyObject *grow_allocating(PyObject *self, PyObject *size) {
    size_t bytes = PyLong_AsSize_t(size);
    char *memory = malloc(bytes);
    memset(memory, 1, bytes); /* mark: allocating */
    return PyLong_FromVoidPtr(memory);
}

/* The kernel writes, in the middle of a call. */
ALONE PyObject *grow_reading(PyObject *self, PyObject *size) {
    size_t bytes = PyLong_AsSize_t(size), got = 0;
    char *memory = fresh(bytes);
    int zero = open("/dev/zero", O_RDONLY);
    while (got < bytes) {
        ssize_t more = read(zero, memory + got, bytes - got); /* mark: reading */
        if (more <= 0)
            abort();
        got += more;
    }
    close(zero);
    return PyLong_FromVoidPtr(memory);
}

/* Deep, with large frames and registers in use. */
ALONE static size_t down(char *memory, size_t bytes, int depth) {
    volatile char frame[200];
    frame[depth] = depth;
    if (depth == 0)
        touch(memory, bytes);
    else
        down(memory, bytes, depth - 1); /* mark: deep */
    return frame[depth];
}

ALONE PyObject *grow_deep(PyObject *self, PyObject *size) {
    size_t bytes = PyLong_AsSize_t(size);
    char *memory = fresh(bytes);
    down(memory, bytes, 10);
    return PyLong_FromVoidPtr(memory);
}

enum { METH_O = 8, ABI = 3 };
static PyMethodDef methods[] = {
    {"touching", grow_touching, METH_O, 0}, {"allocating", grow_allocating, METH_O, 0},
    {"reading", grow_reading, METH_O, 0},   {"deep", grow_deep, METH_O, 0}, {0},
};
static PyModuleDef module = {.object = {1}, .name = "growth", .size = -1, .methods = methods};

PyObject *PyInit_growth(void) { return PyModule_Create2(&module, ABI); }
