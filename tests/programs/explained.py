"""Holds known amounts of memory and says what its own interpreter and libc count.

    explained.py SCENARIO [--no-thp]

The answer of each step is the truth for `memtrace explain`: objects that the collector tracks by
type, `sys.getallocatedblocks()`, what `sys._debugmallocstats()` prints, `mallinfo2()`. Objects are
counted as the last thing before the program parks, and nothing that the collector tracks is made
or dropped between: so it parks in a plain `os.read`, not in the loop that other programs share.
"""

import ctypes
import gc
import json
import mmap
import os
import sys
import tempfile
import threading

from protocol import MIB, PAGE, keep, ready

libc = ctypes.CDLL(None, use_errno=True)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

WANTED = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
          "fordblks", "keepcost")
COUNTS = {}
NAMES = {}
STEPS = []


class MallInfo(ctypes.Structure):
    """`struct mallinfo2`: one size_t each."""
    _fields_ = [(name, ctypes.c_size_t) for name in WANTED]


INFO = MallInfo()


class Plain:
    """A class of the program's own."""


class Outer:
    """For a qualified name."""

    class Inner:
        """Has a dict."""

    class Slotted:
        """Has none."""
        __slots__ = ("first", "second")


def name_of(kind):
    """`module.qualified.Name`"""
    module = kind.__dict__.get("__module__") if kind.__flags__ & 1 << 9 else None
    if not isinstance(module, str):
        module = kind.__module__
    return "%s.%s" % (module, kind.__qualname__)


def census():
    """Tracked objects by type, counted twice: the first time makes what counting needs."""
    for _ in range(2):
        for key in COUNTS:
            COUNTS[key] = 0
        for thing in gc.get_objects():
            kind = type(thing)
            if kind not in NAMES:
                NAMES[kind] = name_of(kind)
                COUNTS.setdefault(NAMES[kind], 0)
            COUNTS[NAMES[kind]] += 1


def told_to_go():
    """As `protocol.told_to_go`, a byte at a time: no buffer, no object that is tracked."""
    command = b""
    while not command.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return False
        command += byte
    return command == b"go\n"


def converse(step):
    """As `protocol.converse`, but that the answer ends with the counts."""
    ready()
    while told_to_go():
        text = "done " + json.dumps(step())[:-1] + ', "census": {'
        gc.collect()
        census()
        for key in COUNTS:
            text += '"' + key + '": ' + str(COUNTS[key]) + ", "
        text += '"": 0}, "heap": {'
        heap()
        for key in WANTED:
            text += '"' + key + '": ' + str(getattr(INFO, key)) + ", "
        text += '"": 0}, "blocks": ' + str(sys.getallocatedblocks()) + "}\n"
        os.write(1, text.encode())
        text = None


def debug_stats():
    """What `sys._debugmallocstats()` prints, in numbers: pools and blocks by size."""
    file = tempfile.TemporaryFile()
    saved = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        sys._debugmallocstats()
    finally:
        os.dup2(saved, 2)
        os.close(saved)
    file.seek(0)
    classes, arenas = [], None
    for line in file.read().decode().splitlines():
        words = line.replace(",", "").split()
        if len(words) == 5 and all(word.isdigit() for word in words):
            size, pools, used, free = [int(word) for word in words[1:]]
            classes.append({"block_bytes": size, "pools": pools, "live_blocks": used,
                            "free_blocks": free})
        elif line.startswith("# arenas allocated current"):
            arenas = int(words[-1])
    file.close()
    return {"classes": classes, "arenas": arenas}


def heap():
    """`mallinfo2()` into `INFO`; zeros where libc has none (before glibc 2.33)."""
    if hasattr(libc, "mallinfo2"):
        libc.mallinfo2.restype = MallInfo
        ctypes.memmove(ctypes.byref(INFO), ctypes.byref(libc.mallinfo2()), ctypes.sizeof(INFO))


def truth(**more):
    """The answer."""
    gc.collect()
    heap()
    more["stats"] = debug_stats()
    return more


def idle():
    return truth()


def every_size_class():
    """Blocks of each size: `bytes` objects of 33 bytes and their content."""
    first = 48 if sys.maxsize > 1 << 32 else 32
    planted = {}
    for size in range(first, 513, 16):
        planted[size] = 3000
        keep([bytes(size - 33 - 8) + b"12345678" for _ in range(3000)])
    return truth(planted=planted)


def objects():
    """Instances by the thousand."""
    keep([Plain() for _ in range(1234)], [Outer.Inner() for _ in range(777)],
         [Outer.Slotted() for _ in range(999)], [[] for _ in range(5000)],
         [(object(), []) for _ in range(2000)], [{"a": []} for _ in range(1500)])
    return truth(planted={"__main__.Plain": 1234, "__main__.Outer.Inner": 777,
                          "__main__.Outer.Slotted": 999})


def fragmented():
    """One object in two hundred survives, spread over all arenas."""
    things = [bytes(100) for _ in range(400 * 1000)]
    survivors = things[::200]
    keep(survivors)
    del things
    return truth()


def freed():
    """Blocks of malloc, freed but for one in a hundred: nothing is trimmed."""
    libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
    blocks = [libc.malloc(4000) for _ in range(20000)]
    for block in blocks:
        ctypes.memset(block, 1, 4000)
    held = blocks[::100]
    for number, block in enumerate(blocks):
        if number % 100:
            libc.free(block)
    keep(held)
    del blocks
    return truth(held_bytes=len(held) * 4000, freed_bytes=19800 * 4000)


def trims():
    """What `malloc_trim(0)` gives back, by the page tables."""
    before = resident()
    libc.malloc_trim(0)
    return {"given_back_bytes": before - resident()}


def resident():
    """RSS in bytes."""
    with open("/proc/self/smaps_rollup", "rb") as file:
        return int(file.read().split(b"Rss:", 1)[1].split(None, 1)[0]) * 1024


def freed_then_trimmed():
    """The first step frees; the second one trims."""
    STEPS.append(trims if STEPS else freed)
    return STEPS[-1]()


def threads():
    """Four threads with an arena and a stack of their own each: 4 MiB live, as much freed."""
    done = threading.Barrier(5)
    stop = threading.Event()
    stacks = []

    def work():
        stacks.append(own_stack())
        # The first call of a thread gives it an arena.
        blocks = [libc.malloc(1008) for _ in range(8192)]
        for block in blocks:
            ctypes.memset(block, 1, 1008)
        for block in blocks[::2]:
            libc.free(block)
        deep(200)
        done.wait()
        stop.wait()
        return blocks

    for _ in range(4):
        threading.Thread(target=work, daemon=True).start()
    done.wait()
    return truth(stacks=stacks)


def own_stack():
    """Address and size of the calling thread's stack."""
    attributes = ctypes.create_string_buffer(64)
    address, size = ctypes.c_void_p(), ctypes.c_size_t()
    libc.pthread_self.restype = ctypes.c_void_p
    assert libc.pthread_getattr_np(ctypes.c_void_p(libc.pthread_self()), attributes) == 0
    assert libc.pthread_attr_getstack(attributes, ctypes.byref(address), ctypes.byref(size)) == 0
    libc.pthread_attr_destroy(attributes)
    return [address.value, size.value]


def deep(levels):
    """Uses some of the thread's stack, in C on every version."""
    return sorted([0], key=lambda _: deep(levels - 1) if levels else 0)


def mapped():
    """Large arrays, shared memory, tmpfs, a mapped file, memory of the program's own mapping."""
    arrays = [bytearray(8 * MIB) for _ in range(3)]
    shared = mmap.mmap(-1, 6 * MIB)
    shared[::PAGE] = b"\1" * len(range(0, len(shared), PAGE))
    path = "/dev/shm/memtrace-explained-%d" % os.getpid()
    with open(path, "w+b") as file:
        os.unlink(path)
        file.truncate(5 * MIB)
        tmpfs = mmap.mmap(file.fileno(), 5 * MIB)
    tmpfs[::PAGE] = b"\1" * len(range(0, len(tmpfs), PAGE))
    file = tempfile.TemporaryFile(dir=os.path.dirname(os.environ["MEMTRACE_TEST_NATIVE"]))
    file.write(bytes(4 * MIB))
    file.flush()
    private = mmap.mmap(-1, 7 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    private[::PAGE] = b"\1" * len(range(0, len(private), PAGE))
    opened = mmap.mmap(file.fileno(), 4 * MIB, access=mmap.ACCESS_READ)
    touched = sum(opened[::PAGE])
    keep(arrays, shared, tmpfs, opened, private, touched)
    return truth(large=24 * MIB, shared=11 * MIB, file=4 * MIB, unknown=7 * MIB)


def changes_mappings():
    """A thread changes one of its mappings all the time; 64 MiB are held in others."""
    area = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(area)))
    held = [bytes(16 << 20) for _ in range(4)]
    for block in held:
        ctypes.memset(block, 1, len(block))

    def work():
        while True:
            libc.mprotect(address, 4096, mmap.PROT_READ)
            libc.mprotect(address, 4096, mmap.PROT_READ | mmap.PROT_WRITE)

    threading.Thread(target=work, daemon=True).start()
    keep(area, held)
    return truth(held_bytes=64 << 20)


def zeros():
    """Memory that was read and never written to: pages of zeros, which nobody counts."""
    area = mmap.mmap(-1, 32 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    keep(area, sum(area[::PAGE]))
    return truth()


def busy():
    """Never rests: several threads make and drop objects of all sizes until the end."""
    def work():
        things = []
        number = 0
        while True:
            number += 1
            things.append([Plain(), {"n": number}, bytes(number % 4000)])
            if len(things) > 3000:
                del things[::2]

    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    return {"threads": 3}


if __name__ == "__main__":
    converse(globals()[sys.argv[1]])
