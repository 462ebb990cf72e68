"""Grows by known amounts after a storm of page faults, which uses up what stack walks may cost.

    thinned.py SCENARIO --no-thp

The truth's `resident` says, by mark, what of a line's growth is left at the end.
"""

import ctypes
import mmap
import os
import threading
from time import process_time, thread_time

from protocol import MIB, PAGE, keep, main, marked

PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
SIZES = {"first": 256 * MIB, "second": 128 * MIB, "halved": 64 * MIB, "last": 32 * MIB}
REGION = 16 * MIB


def ones(size):
    return b"\1" * (size // PAGE)


def storm(seconds, now=process_time):
    """Maps, touches every page, unmaps, for so much CPU time."""
    touched, end = ones(REGION), now() + seconds
    while now() < end:
        region = mmap.mmap(-1, REGION, flags=PRIVATE)
        region[::PAGE] = touched
        region.close()


def lines():
    """Four lines that grow, one of which has half of it taken away by another line."""
    libc = ctypes.CDLL(None, use_errno=True)
    areas = {name: mmap.mmap(-1, size, flags=PRIVATE) for name, size in SIZES.items()}
    touched = {name: ones(size) for name, size in SIZES.items()}
    storm(1.5)
    areas["first"][::PAGE] = touched["first"]  # mark: first
    areas["second"][::PAGE] = touched["second"]  # mark: second
    areas["halved"][::PAGE] = touched["halved"]  # mark: halved
    areas["last"][::PAGE] = touched["last"]  # mark: last
    start = ctypes.addressof(ctypes.c_char.from_buffer(areas["halved"]))
    half = SIZES["halved"] // 2
    assert libc.munmap(ctypes.c_void_p(start + half), ctypes.c_size_t(half)) == 0
    keep(areas)
    for name, size in SIZES.items():
        marked(name, size)
    return {"resident": dict(SIZES, halved=half)}


def many_ways():
    """Threads that storm at once and keep a part, a child that does so too, shared memory, a heap that
    is trimmed."""
    def work():
        area = mmap.mmap(-1, 8 * MIB, flags=PRIVATE)
        storm(0.6, thread_time)
        area[::PAGE] = ones(8 * MIB)
        keep(area, [(number, number) for number in range(20000)])
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child = os.fork()
    if child == 0:
        storm(0.8)
        os._exit(0)
    shared = mmap.mmap(-1, 16 * MIB)
    shared[::PAGE] = ones(16 * MIB)
    blocks = [bytes(4000) for _ in range(10000)]
    del blocks
    ctypes.CDLL(None).malloc_trim(0)
    os.waitpid(child, 0)
    keep(shared)
    return {}


if __name__ == "__main__":
    main({"lines": lines, "many_ways": many_ways})
