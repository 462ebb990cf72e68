"""Programs that are unlucky or mean without lying about their frames: too many of everything, and
everything changing all the time.

    unlucky.py SCENARIO [--no-thp]

Each scenario also grows at one marked line by a known amount.
"""

import ctypes
import mmap
import os
import resource
import signal
import sys
import threading
import time

from protocol import MIB, PAGE, answer, keep, main, marked, rss, scenario, told_to_go

SIZE = 16 * MIB
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


def grow():
    """What a scenario is judged by."""
    before = rss()
    keep(bytearray(SIZE))  # mark: known
    marked("known", SIZE, rss() - before)


def short_mappings():
    """2 GiB of mappings of 1 MiB, each touched once a page and gone at once."""
    ones = b"\1" * 256
    for _ in range(2048):
        area = mmap.mmap(-1, MIB, flags=PRIVATE)
        area[::PAGE] = ones  # mark: comes and goes
        area.close()
    grow()
    marked("comes and goes", 0)
    return {"turnover": 2048 * MIB}


def changing_maps():
    """Threads that map, protect, split, move and unmap at full speed until the step is over."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    libc.mremap.restype = ctypes.c_void_p
    libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
    for name in ("munmap", "mprotect", "madvise"):
        getattr(libc, name).argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int][
            :2 if name == "munmap" else 3]
    over = threading.Event()
    rounds = []

    def work():
        count = 0
        while not over.is_set():
            size = (8 + count % 56) * PAGE
            at = libc.mmap(None, size, 3, 0x22, -1, 0)
            ctypes.memset(at, 1, size)
            libc.mprotect(at + PAGE, PAGE, 1)
            libc.madvise(at + 2 * PAGE, 2 * PAGE, 4)
            libc.munmap(at + 4 * PAGE, PAGE)
            moved = libc.mremap(at + 5 * PAGE, size - 5 * PAGE, 2 * size, 1)
            libc.munmap(moved, 2 * size)
            libc.munmap(at, 4 * PAGE)
            count += 1
        rounds.append(count)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    grow()
    time.sleep(1.0)
    over.set()
    for thread in threads:
        thread.join()
    return {"rounds": sum(rounds)}


def thousand_threads():
    """1,000 threads, each with a little growth of its own, all alive at the end."""
    threading.stack_size(256 * 1024)
    stay = threading.Event()
    ready = threading.Semaphore(0)

    def work():
        kept = bytearray(64 * 1024)
        ready.release()
        stay.wait()
        del kept

    for _ in range(1000):
        threading.Thread(target=work, daemon=True).start()
    for _ in range(1000):
        ready.acquire()
    grow()
    return {"threads": threading.active_count()}


def thousand_frames():
    """Grows under 1,000 frames."""
    sys.setrecursionlimit(5000)
    threading.stack_size(64 * MIB)

    def down(left):
        if left:
            return down(left - 1)
        return grow()

    thread = threading.Thread(target=down, args=(1000,))
    thread.start()
    thread.join()
    return {}


def fork_bomb():
    """Every process forks two, down to 2^7 of them at once, each with a page of its own."""
    area = mmap.mmap(-1, 64 * PAGE, flags=PRIVATE)

    def bomb(left):
        children = []
        for _ in range(2 if left else 0):
            child = os.fork()
            if not child:
                area[::PAGE] = b"\2" * 64
                bomb(left - 1)
                os._exit(0)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0

    bomb(6)
    grow()
    return {}


def exec_loop():
    """Becomes itself again and again, then grows."""
    left = int(os.environ.get("MEMTRACE_TEST_EXECS", "25"))
    if left:
        os.environ["MEMTRACE_TEST_EXECS"] = str(left - 1)
        os.execv(sys.executable, scenario("exec_loop", "--resumed"))
    grow()
    return {}


def names_with_escapes():
    """A file, a function, a thread and the process with names that terminals would act on."""
    evil = "\x1b]0;owned\x07\x1b[2J\u202e<script>alert(1)</script>\nTotal: 0\r"
    space = {"keep": keep, "SIZE": SIZE}
    code = compile("def f():\n    keep(bytearray(SIZE))\n", "/tmp/" + evil + ".py", "exec")
    exec(code, space)
    function = space["f"]
    if hasattr(function.__code__, "replace"):
        fresh = {"co_name": "f" + evil}
        if sys.version_info >= (3, 11):
            fresh["co_qualname"] = "q" + evil
        function.__code__ = function.__code__.replace(**fresh)
    ctypes.CDLL(None).prctl(15, b"\x1b[31mcomm\x07", 0, 0, 0)
    before = rss()
    function()
    return {"evil_grown": rss() - before}


# Where a code object has its line table; 3.10 and newer have both.
LINES = "co_linetable" if sys.version_info >= (3, 10) else "co_lnotab"


def changing_code():
    """Code objects are replaced, and their texts overwritten, while they run and grow: file names
    and line tables of a length that was never theirs, and of content that makes no sense."""
    over = threading.Event()
    wasted = []
    source = "def work(size):\n" + "".join("    x = bytearray(size); del x\n" for _ in range(10))

    def churn(number):
        count = 0
        while not over.is_set():
            space = {}
            code = compile(source, "/nowhere/%d/%d.py" % (number, count % 7), "exec")
            exec(code, space)
            work = space["work"]
            # The str of the file name and the bytes of the line table, overwritten in place.
            table = getattr(work.__code__, LINES)
            for thing, header in ((work.__code__.co_filename, 48), (table, 32)):
                if len(thing) > 16:
                    ctypes.memset(id(thing) + header, count * 37 & 127, 8)
            work(40 * PAGE)
            if count % 5 == 0:
                work(2 * MIB)
            del work, code, space
            count += 1
        wasted.append(count)

    threads = [threading.Thread(target=churn, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    grow()
    time.sleep(0.5)
    over.set()
    for thread in threads:
        thread.join()
    return {"codes": sum(wasted)}


def stopped():
    """For a harness that stops it: it does nothing by itself."""
    grow()
    return {}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if "--resumed" in sys.argv:
        answer(exec_loop())
        told_to_go()
    else:
        main(globals())
