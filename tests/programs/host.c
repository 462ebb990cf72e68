/* A program of C that has a Python in it: linked, or loaded when the program runs. For unusual.rs.

       host MODE LIBRARY PROGRAM [ARGUMENTS]

   MODE `main` runs PROGRAM in the main thread, `thread` in a thread of C's own that Python has not
   made. LIBRARY is `-` when the interpreter is linked in. No header of Python's is needed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static void *library;

static void *need(const char *name) {
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "%s: %s\n", name, dlerror());
        exit(3);
    }
    return found;
}

static char *source;

/* Runs the program under the GIL of a thread state that this makes and takes away again. */
static void *run(void *unused) {
    (void)unused;
    int (*ensure)(void) = need("PyGILState_Ensure");
    void (*release)(int) = need("PyGILState_Release");
    int (*simple)(const char *) = need("PyRun_SimpleString");
    int state = ensure();
    if (simple(source))
        exit(4);
    release(state);
    return NULL;
}

int main(int count, char **arguments) {
    if (count < 4)
        return 2;
    library = dlopen(strcmp(arguments[2], "-") ? arguments[2] : NULL, RTLD_NOW | RTLD_GLOBAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 3;
    }
    if (!strcmp(arguments[1], "main")) {
        int (*bytes_main)(int, char **) = need("Py_BytesMain");
        /* Python finds its standard library by the name of the program. */
        arguments[2] = getenv("MEMTRACE_TEST_PYTHON");
        return bytes_main(count - 2, arguments + 2);
    }
    void (*initialize)(int) = need("Py_InitializeEx");
    void *(*save)(void) = need("PyEval_SaveThread");
    wchar_t *(*decode)(const char *, size_t *) = need("Py_DecodeLocale");
    void (*set_name)(const wchar_t *) = need("Py_SetProgramName");
    set_name(decode(getenv("MEMTRACE_TEST_PYTHON"), NULL));
    initialize(0);
    /* sys.argv, sys.path[0] and __file__ as for a script. */
    size_t size = 4096;
    source = calloc(1, size);
    char *end = source;
    end += snprintf(end, size, "import sys; sys.argv = [");
    for (int at = 3; at < count; at++)
        end += snprintf(end, size - (size_t)(end - source), "r'''%s''', ", arguments[at]);
    snprintf(end, size - (size_t)(end - source),
             "]\nimport os, runpy\nsys.path.insert(0, os.path.dirname(sys.argv[0]))\n"
             "runpy.run_path(sys.argv[0], run_name='__main__')\n");
    save();
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, NULL))
        return 5;
    pthread_join(thread, NULL);
    return 0;
}
