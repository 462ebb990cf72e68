"""Is it still there? Lines that grow, and others that give back.

    resident.py SCENARIO [--no-thp]

Each mark's `constructed_bytes` is what the line grew; the truth's `resident` says, by mark, what
of it is left at the end.
"""

import array
import ctypes
import mmap

from protocol import MIB, PAGE, keep, main, marked, rss

PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
SIZE = 16 * MIB
ONES = b"\1" * (SIZE // PAGE)


def address(area):
    """Where a mapping is now."""
    return ctypes.addressof(ctypes.c_char.from_buffer(area))


def keeps():
    kept = bytearray(SIZE)  # mark: keeps
    keep(kept)
    marked("keeps", SIZE)
    return {"resident": {"keeps": SIZE}}


def frees_on_another_line():
    """The releasing line grew nothing, and the grower is credited."""
    buffer = bytearray(SIZE)  # mark: grows
    del buffer  # mark: releases
    marked("grows", SIZE)
    marked("releases", 0)
    return {"resident": {"grows": 0, "releases": 0}}


def frees_on_the_same_line():
    before = rss()
    for _ in range(4): mmap.mmap(-1, SIZE, flags=PRIVATE)[::PAGE] = ONES  # mark: temporary
    assert rss() - before < MIB, rss() - before
    marked("temporary", 4 * SIZE)
    return {"resident": {"temporary": 0}}


def moves_a_mapping():
    """mremap to another address: the pages keep their line."""
    before = rss()
    area = mmap.mmap(-1, SIZE, flags=PRIVATE)
    area[::PAGE] = ONES  # mark: moved
    old = address(area)
    area.resize(64 * SIZE)  # mark: moves
    assert rss() - before < SIZE + MIB
    marked("moved", SIZE)
    marked("moves", 0)
    keep(area)
    return {"resident": {"moved": SIZE, "moves": 0}, "moved": address(area) != old}


def grows_by_realloc():
    """One buffer, many times made longer; what it was grown from is moved, not copied."""
    before = rss()
    buffer = bytearray()
    piece = bytes(MIB)
    start = rss()
    for _ in range(SIZE // MIB): buffer += piece  # mark: longer
    grown = rss() - start
    keep(buffer, piece)
    marked("longer", None, grown)
    return {"resident": {"longer": grown}, "whole": rss() - before}


def shrinks_in_place():
    """The second half is cut off by mremap."""
    area = mmap.mmap(-1, SIZE, flags=PRIVATE)
    area[::PAGE] = ONES  # mark: halved
    area.resize(SIZE // 2)
    keep(area)
    marked("halved", SIZE)
    return {"resident": {"halved": SIZE // 2}}


def discards_and_touches_again():
    """madvise takes the pages from the first line; the second brings half of them back."""
    area = mmap.mmap(-1, SIZE, flags=PRIVATE)
    area[::PAGE] = ONES  # mark: first
    area.madvise(mmap.MADV_DONTNEED)  # mark: discards
    area[: SIZE // 2 : PAGE] = ONES[: len(ONES) // 2]  # mark: second
    keep(area)
    marked("first", SIZE)
    marked("discards", 0)
    marked("second", SIZE // 2)
    return {"resident": {"first": 0, "discards": 0, "second": SIZE // 2}}


def unmaps_the_middle():
    """A hole cut by munmap leaves both ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    area = mmap.mmap(-1, SIZE, flags=PRIVATE)
    area[::PAGE] = ONES  # mark: holed
    hole = ctypes.c_void_p(address(area) + SIZE // 4)
    assert libc.munmap(hole, ctypes.c_size_t(SIZE // 2)) == 0  # mark: cuts
    keep(area)
    marked("holed", SIZE)
    marked("cuts", 0)
    return {"resident": {"holed": SIZE // 2, "cuts": 0}}


def trims_the_heap():
    """Blocks of malloc on the main heap, given back by brk."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    blocks = array.array("Q", bytes(8 * (SIZE // 1008)))
    libc.malloc_trim(0)  # What was free before must not be counted as given back.
    before = rss()
    for number in range(len(blocks)): blocks[number] = libc.malloc(1000)  # mark: heap
    grown = rss() - before
    for block in blocks: libc.free(block)
    libc.malloc_trim(0)
    left = max(rss() - before, 0)
    assert grown > SIZE // 2 and left < SIZE // 8, (grown, left)
    marked("heap", None, grown)
    return {"resident": {"heap": left}}


def replaces_a_mapping():
    """mmap over a mapping (MAP_FIXED) takes its pages away without munmap."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    area = mmap.mmap(-1, SIZE, flags=PRIVATE)
    area[::PAGE] = ONES  # mark: replaced
    start = address(area)
    assert libc.mmap(start, SIZE, 3, PRIVATE | 0x10, -1, 0) == start  # mark: replaces
    keep(area)
    marked("replaced", SIZE)
    marked("replaces", 0)
    return {"resident": {"replaced": 0, "replaces": 0}}


if __name__ == "__main__":
    main(globals())
