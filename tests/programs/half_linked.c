/* An extension module for half_linked.py: leaves the youngest list of CPython's collector as it is for
   an instant in the middle of a step, and stays there. It needs no header of CPython: what it declares is
   the stable ABI, and links of the collector, which are the same from 3.8 on. */
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
extern PyObject *PyList_New(long);
extern PyObject *PyList_GetItem(PyObject *, long);
extern long PyLong_AsLong(PyObject *);

/* `PyGC_Head`, which stands before its object; low bits are flags. */
typedef struct head { unsigned long next, prev; } Head;

static Head *of(PyObject *object) { return (Head *)object - 1; }
static Head *at(unsigned long link) { return (Head *)(link & ~3ul); }
static unsigned long to(Head *head, unsigned long flags) { return (unsigned long)head | (flags & 3); }

/* [HOW, an object in the middle of the list] */
static PyObject *hold(PyObject *self, PyObject *arguments) {
    long how = PyLong_AsLong(PyList_GetItem(arguments, 0));
    Head *middle = of(PyList_GetItem(arguments, 1));
    Head *moved = of(PyList_New(0)), *last = of(PyList_New(0));
    Head *list = at(last->next), local;
    if (how == 1 || how == 2) {
        /* A new one: the last one leads to it, and nothing else does. */
        last->prev = how == 1 ? 0 : last->prev;
        last->next = 0;
        list->prev = to(moved, list->prev);
    } else if (how == 3 || how == 4) {
        /* One that comes from a list of which nobody knows, where `moved` still is. */
        at(moved->prev)->next = to(last, moved->next);
        last->prev = to(at(moved->prev), last->prev);
        moved->next = moved->prev = (unsigned long)&local;
        local.next = local.prev = (unsigned long)moved;
        last->next = (unsigned long)moved;
        if (how == 4)
            list->prev = to(at(last->prev), list->prev);
    } else if (how == 5 || how == 6) {
        /* One that leaves: it leads nowhere before the one before it leads past it. */
        if (how == 6)
            at(middle->next)->prev = to(at(middle->prev), at(middle->next)->prev);
        middle->next = 0;
    }
    for (;;)
        pause();
}

enum { METH_O = 8, ABI = 3 };
static PyMethodDef methods[] = {{"hold", hold, METH_O, 0}, {0}};
static PyModuleDef module = {.object = {1}, .name = "half_linked", .size = -1, .methods = methods};

PyObject *PyInit_half_linked(void) { return PyModule_Create2(&module, ABI); }
