"""Grows and shrinks one process's memory in every way the kernel's counters can move.

    memory.py SCENARIO [--no-thp]

For the law no line matters, only that all of it is accounted for; what must have happened is
asserted here, so that a scenario which does nothing fails.
"""

import array
import ctypes
import mmap
import os
import tempfile

from protocol import MIB, PAGE, keep, main, rollup, rss

PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
SIZE = 16 * MIB
HUGE = 2 * MIB

libc = ctypes.CDLL(None, use_errno=True)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.sbrk.restype = ctypes.c_void_p
libc.sbrk.argtypes = [ctypes.c_ssize_t]


def touch(area, size=SIZE):
    """One byte in each page."""
    area[:size:PAGE] = b"\1" * len(range(0, size, PAGE))


def expect(before, grown, slack=MIB):
    """RSS must have moved by `grown` bytes since `before`."""
    moved = rss() - before
    assert abs(moved - grown) <= slack, "moved by %d, not %d" % (moved, grown)


def grows():
    before = rss()
    keep(bytearray(SIZE), [object() for _ in range(SIZE // 24)])
    expect(before, 2 * SIZE)


def shrinks_by_unmapping():
    before = rss()
    buffer = bytearray(SIZE)
    expect(before, SIZE)
    del buffer
    expect(before, 0)


def shrinks_by_madvise():
    before = rss()
    area = mmap.mmap(-1, SIZE, flags=PRIVATE)
    touch(area)
    expect(before, SIZE)
    area.madvise(mmap.MADV_DONTNEED)
    expect(before, 0)
    touch(area, SIZE // 2)
    expect(before, SIZE // 2)
    keep(area)


def shrinks_by_brk():
    """Small blocks of malloc on the main heap, freed: glibc trims the heap's top with brk and
    gives inner pages back with madvise."""
    before = rss()
    blocks = array.array("Q", bytes(8 * (SIZE // 1008)))
    for number in range(len(blocks)):
        blocks[number] = libc.malloc(1000)
        ctypes.memset(blocks[number], 1, 1000)
    grown, top = rss(), libc.sbrk(0)
    assert grown - before >= SIZE // 2, grown - before
    for block in blocks[1::2]:
        libc.free(block)
    for block in blocks[0::2]:
        libc.free(block)
    libc.malloc_trim(0)
    assert libc.sbrk(0) < top, "the heap's end did not move down"
    assert grown - rss() >= SIZE // 2, grown - rss()


def remaps():
    """realloc of large blocks is mremap; the pages move with it."""
    before = rss()
    buffer, items = bytearray(MIB), []
    for _ in range(SIZE // MIB - 1):
        buffer += bytes(MIB)
    for number in range(SIZE // 8):
        items.append(None)
    area = mmap.mmap(-1, SIZE, flags=PRIVATE)
    touch(area)
    area.resize(2 * SIZE)
    area.resize(SIZE // 2)
    expect(before, SIZE + SIZE + SIZE // 2, slack=6 * MIB)
    keep(buffer, items, area)


def maps_a_file():
    """A file read and written through shared and private mappings, and partly unmapped."""
    with tempfile.NamedTemporaryFile(dir=os.environ.get("MEMTRACE_TEST_FOLDER")) as file:
        file.write(b"f" * SIZE)
        file.flush()
        before = rss()
        shared = mmap.mmap(file.fileno(), SIZE)
        assert sum(shared[0::PAGE]) == ord("f") * (SIZE // PAGE)
        touch(shared, SIZE // 2)
        private = mmap.mmap(file.fileno(), SIZE, flags=mmap.MAP_PRIVATE,
                            prot=mmap.PROT_READ | mmap.PROT_WRITE)
        assert sum(private[0::PAGE]) > 0
        expect(before, 2 * SIZE)
        touch(private, SIZE // 2)  # file pages become anonymous ones: RSS stays
        expect(before, 2 * SIZE)
        private.madvise(mmap.MADV_DONTNEED, 0, SIZE // 4)
        expect(before, 2 * SIZE - SIZE // 4)
        keep(shared, private)


def shares_memory():
    """Shared anonymous memory and a named segment."""
    from multiprocessing import shared_memory
    before = rss()
    area = mmap.mmap(-1, SIZE)
    touch(area)
    segment = shared_memory.SharedMemory(create=True, size=SIZE)
    touch(segment.buf)
    expect(before, 2 * SIZE)
    segment.close()
    segment.unlink()
    expect(before, SIZE)
    keep(area)


def uses_huge_pages():
    """One byte in each 2 MiB of an aligned region: one fault each brings 512 pages."""
    before, huge = rss(), rollup(b"AnonHugePages")
    area = mmap.mmap(-1, SIZE + HUGE, flags=PRIVATE)
    area.madvise(mmap.MADV_HUGEPAGE)
    start = -ctypes.addressof(ctypes.c_char.from_buffer(area)) % HUGE
    for offset in range(start, start + SIZE, HUGE): area[offset] = 1
    grown = rollup(b"AnonHugePages") - huge
    assert grown == SIZE, "%d of %d bytes in huge pages: are they off on this machine?" % (
        grown, SIZE)
    expect(before, SIZE)
    keep(area)


def mixes_all():
    """Everything above in one life. What remaps comes first: each large block that is freed raises
    the size from which glibc maps, and realloc moves what is mapped only."""
    for scenario in (remaps, grows, shrinks_by_unmapping, shrinks_by_madvise, shrinks_by_brk,
                     maps_a_file, shares_memory):
        scenario()


if __name__ == "__main__":
    main(globals())
