"""Starts other processes in every way Python has, with memory to account for in each.

    processes.py SCENARIO [--no-thp]

A child that stays is parked when the step is done and dies with this process.
"""

import atexit
import ctypes
import mmap
import multiprocessing
import os
import signal
import subprocess
import sys

from protocol import MIB, PAGE, answer, keep, main, mark, marked, rss, scenario, told_to_go

PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
SIZE = 16 * MIB
BRIEF = 50 * MIB


def forked(work, stays):
    """Runs `work` in a forked child and waits until it is done; the child stays or ends."""
    done_read, done_write = os.pipe()
    child = os.fork()
    if child:
        os.close(done_write)
        assert os.read(done_read, 1) == b"d"
        os.close(done_read)
        if not stays:
            assert os.waitpid(child, 0)[1] == 0
        return child
    status = 1
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        work()
        os.write(done_write, b"d")
        if stays:
            signal.pause()
        status = 0
    finally:
        os._exit(status)


def touched():
    area = mmap.mmap(-1, SIZE, flags=PRIVATE)
    area[::PAGE] = b"\1" * (SIZE // PAGE)
    return area


def child_writes_shared_pages():
    """Copy on write: the child's copies replace what it had, its RSS does not grow."""
    area = touched()
    ones = b"\2" * (SIZE // PAGE)

    def work():
        before = rss()
        area[::PAGE] = ones  # mark: copies
        assert rss() - before < MIB, rss() - before

    child = forked(work, stays=True)
    keep(area)
    marked("copies", 0)
    return {"children": [child]}


def child_grows_and_stays():
    def work():
        keep(bytearray(SIZE))  # mark: in child

    child = forked(work, stays=True)
    marked("in child", SIZE)
    return {"children": [child]}


def child_ends_at_once():
    """50 MB in a child that is gone before anybody can look at it."""
    def work():
        keep(bytearray(BRIEF))  # mark: brief child

    child = forked(work, stays=False)
    marked("brief child", BRIEF)
    return {"ended": child}


def pool_item(number):
    return sum(bytearray(MIB + number))


def multiprocessing_pool():
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        assert pool.map(pool_item, range(32)) == [0] * 32
        pool.close()
        pool.join()


def starts_commands():
    """vfork or posix_spawn, then exec: of something that is not Python, and of Python."""
    assert subprocess.call(["true"], close_fds=True) == 0
    assert subprocess.call(["true"], close_fds=False) == 0
    subprocess.check_call([sys.executable, "-c", "kept = bytearray(%d)" % SIZE])


def command_stays():
    """A child that is not Python and stays."""
    child = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(child.kill)
    return {"children": [child.pid]}


WORKERS = []


def workers_from_before():
    """Workers that were forked before the step grow in it, and a worker of one of them."""
    for go, done, _ in WORKERS:
        os.write(go, b"g")
        assert os.read(done, 1) == b"d"
    marked("in worker", SIZE)
    return {"children": [child for _, _, child in WORKERS]}


def start_worker(starts_another):
    """A child that grows when it is told to; it may have a child of its own, which grows with it. They are there
    when this returns."""
    go_read, go = os.pipe()
    done, done_write = os.pipe()
    child = os.fork()
    if child:
        assert os.read(done, 1) == b"r"
        WORKERS.append((go, done, child))
        return
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    del WORKERS[:]
    if starts_another:
        start_worker(False)
    os.write(done_write, b"r")
    while os.read(go_read, 1):
        for inner_go, inner_done, _ in WORKERS:
            os.write(inner_go, b"g")
            os.read(inner_done, 1)
        keep(bytearray(SIZE))  # mark: in worker
        os.write(done_write, b"d")
    os._exit(0)


def executes():
    """Grows, then becomes another program: the next life answers for this step."""
    before = rss()
    keep(bytearray(SIZE))  # mark: before exec
    marked("before exec", SIZE, rss() - before)
    os.execv(sys.executable, scenario("next_life", "--resumed") + [
        option for option in sys.argv[2:] if option != "--resumed"])


def next_life():
    before = rss()
    keep(bytearray(2 * SIZE))  # mark: after exec
    marked("after exec", 2 * SIZE, rss() - before)
    with open(__file__) as source:
        number = [n for n, text in enumerate(source, 1) if text.endswith("before exec\n")][0]
    mark("before exec", sys._getframe().f_code.co_filename, number, SIZE, None)


if __name__ == "__main__":
    if "--resumed" in sys.argv:
        next_life()
        answer({})
        told_to_go()
    else:
        if sys.argv[1] == "workers_from_before":
            start_worker(False)
            start_worker(True)
        main(globals())
