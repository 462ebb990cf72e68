"""Allocates known numbers of known sizes through C's malloc: requests of more than 512 bytes.

    allocations.py SCENARIO

States for each marked line how many blocks it allocated and how many of them were freed, in bytes as
they were asked for. A `bytes` object is one block of its size (`sys.getsizeof`: it is not tracked by
the collector); a list's array is what `getsizeof` says beyond an empty list's.
"""

import os
import sys
import threading
import time

from protocol import keep, line_of, main, mark

EMPTY = sys.getsizeof([])
THREADS = 4
blocks = {}


def state(name, allocated, freed):
    """What the line marked `name` did: sizes of its blocks, and of those that are gone."""
    marked_by_caller(name)
    blocks[name] = {
        "allocations": len(allocated), "allocated_bytes": sum(allocated),
        "freed_allocations": len(freed), "freed_bytes": sum(freed),
    }


def marked_by_caller(name):
    file = sys._getframe(2).f_code.co_filename
    with open(file) as source:
        mark(name, file, line_of(name, source.read()), None, None)


def answer():
    truth = dict(blocks)
    blocks.clear()
    return {"blocks": truth}


def size(length):
    return sys.getsizeof(bytes(length))


def keeps_and_drops():
    kept = [None] * 700
    for i in range(700):
        kept[i] = bytes(600 + i)  # mark: kept
    for i in range(1000):
        bytes(3000 + i)  # mark: dropped
    for i in range(0, 700, 2):
        kept[i] = None
    keep(kept)
    state("kept", [size(600 + i) for i in range(700)], [size(600 + i) for i in range(0, 700, 2)])
    dropped = [size(3000 + i) for i in range(1000)]
    state("dropped", dropped, dropped)
    reallocates()
    return answer()


def reallocates():
    """A list that grows reallocates its array: each time one block goes and one comes."""
    grown = []
    for _ in range(50000):
        grown.append(None)  # mark: chain
    keep(grown)
    twin, sizes = [], []
    for _ in range(50000):
        twin.append(None)
        size = sys.getsizeof(twin) - EMPTY
        if size > 512 and size != (sizes or [0])[-1]:
            sizes.append(size)
    state("chain", sizes, sizes[:-1])


def threads():
    """Blocks that one thread allocates and another one frees."""
    start, kept = threading.Barrier(THREADS), [[None] * 300 for _ in range(THREADS)]

    def work(number):
        mine, other = kept[number], kept[(number + 1) % THREADS]
        start.wait()
        for i in range(300):
            mine[i] = bytes(1000 + i)  # mark: threads
        start.wait()
        for i in range(0, 300, 3):
            other[i] = None
        start.wait()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    keep(kept)
    sizes = [size(1000 + i) for i in range(300)]
    state("threads", sizes * THREADS, sizes[::3] * THREADS)
    return answer()


def forks():
    """A child allocates, and frees what its parent had allocated; so does its parent."""
    inherited = [None] * 200
    for i in range(200):
        inherited[i] = bytes(2000)  # mark: inherited
    pid = os.fork()
    if pid == 0:
        # Probes are in place a moment after the child has begun.
        time.sleep(2)
        own = [None] * 150
        for i in range(150):
            own[i] = bytes(4000)  # mark: of the child
        del inherited[:]
        del own[:50]
        sys.stdin.readline()
        os._exit(0)
    del inherited[:100]
    keep(inherited)
    time.sleep(2.5)
    state("inherited", [size(2000)] * 200, [size(2000)] * 100)
    truth = answer()
    state("of the child", [size(4000)] * 150, [size(4000)] * 50)
    truth["of_child"] = answer()["blocks"]
    truth["child"] = pid
    return truth


main({"keeps_and_drops": keeps_and_drops, "threads": threads,
      "forks": forks})
