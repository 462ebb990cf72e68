"""Grows in threads of all kinds, and deep down a stack.

    threads.py SCENARIO [--no-thp]

`native_*` need the library built from native.c; MEMTRACE_TEST_NATIVE names it.
"""

import ctypes
import os
import sys
import threading

from protocol import MIB, keep, main, marked, rss

SIZE = 16 * MIB
THREADS = 4


def native():
    library = ctypes.CDLL(os.environ["MEMTRACE_TEST_NATIVE"])
    library.grow_in_new_thread.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library


def many_at_once():
    """Threads that grow and shrink at the same time."""
    start = threading.Barrier(THREADS)

    def work():
        start.wait()
        for _ in range(10):
            buffer = bytearray(SIZE // 4)
            del buffer
        kept = bytearray(SIZE)  # mark: in threads
        keep(kept)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    marked("in threads", THREADS * SIZE)


def one_after_another():
    """Each `go` starts one more thread, which stays."""
    grown, stay = threading.Event(), threading.Event()

    def work():
        kept = bytearray(SIZE)  # mark: late thread
        grown.set()
        stay.wait()
        del kept

    before = rss()
    threading.Thread(target=work, daemon=True).start()
    grown.wait()
    marked("late thread", SIZE, rss() - before)


def native_thread():
    """A thread that never runs Python; the line that waits for it must not be blamed."""
    library = native()
    before = rss()
    failed = library.grow_in_new_thread(b"native-worker", SIZE)  # mark: waits for native thread
    assert failed == 0, os.strerror(failed)
    marked("waits for native thread", 0, None)
    return {"native_name": "native-worker", "native_bytes": SIZE, "measured": rss() - before}


def recursion():
    """Grows under 200 frames of one function."""
    sys.setrecursionlimit(1000)

    def down(left):
        if left:
            return down(left - 1)
        return bytearray(SIZE)  # mark: depth 200

    before = rss()
    keep(down(200))
    marked("depth 200", SIZE, rss() - before)


if __name__ == "__main__":
    main(globals())
