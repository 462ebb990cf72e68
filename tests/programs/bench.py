"""Loops whose duration says what being traced costs.

    bench.py CASE SECONDS

Each `go` runs the case's loop once, for about that long when untraced, and answers with the
nanoseconds it took. How much it does is fixed before the first one, so that all runs do the same.
"""

import gc
import mmap
import sys
from time import perf_counter_ns, process_time_ns

from protocol import MIB, PAGE, converse, rss

REGION = 16 * MIB
ONES = b"\1" * (REGION // PAGE)
OBJECTS = 256
KEPT_PER_SECOND = 300 * 1000 * 1000


def one(number):
    return number + 1


def calls(count):
    """Python calls, and nothing else."""
    for number in range(count * 1000):
        one(number)


class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y


def churn(count):
    """Small objects that die at once: instances, dicts, tuples, strings, lists."""
    for number in range(count * 100):
        point = Point(number, (number, number))
        names = {"point": point, "text": str(number)}
        [names, point.y]


def spin(count):
    for _ in range(count):
        pass


def keep_batch(kept, spins):
    for number in range(1000, 1000 + OBJECTS):
        kept.append((number, number))
    spin(spins)


def keep(count, spins=None):
    """Small objects that are kept, at a rate like that of a service that fills its caches."""
    spins = pace() if spins is None else spins
    kept = []
    for _ in range(count * 10):
        keep_batch(kept, spins)
    return kept


def timed(spins):
    """Seconds for 2000 batches, and the bytes they grew. CPU time: a busy machine must not
    change what the loop does."""
    start, before = process_time_ns(), rss()
    kept = keep(200, spins)
    took, grown = (process_time_ns() - start) / 1e9, rss() - before
    del kept
    return took, grown


def pace(known=[]):
    """How long to spin after each batch to come to KEPT_PER_SECOND: guessed, then corrected by
    what the guess gave. The least of some runs each: disturbances only add."""
    if not known:
        trial = 500
        without, grown = min(timed(0) for _ in range(5))
        with_spins, _ = min(timed(trial) for _ in range(3))
        one_spin = (with_spins - without) / trial
        spins = (grown / KEPT_PER_SECOND - without) / one_spin
        for _ in range(3):
            took, grown = min(timed(max(0, int(spins))) for _ in range(3))
            spins += (grown / KEPT_PER_SECOND - took) / one_spin
        known.append(max(0, int(spins)))
    return known[0]


def touch_region(flags):
    region = mmap.mmap(-1, REGION, flags=flags)
    if flags & mmap.MAP_PRIVATE:
        region.madvise(mmap.MADV_NOHUGEPAGE)
    region[::PAGE] = ONES
    region.close()


def private(count):
    """Map, touch every page, unmap: private anonymous memory."""
    for _ in range(count):
        touch_region(mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def shared(count):
    """The same with shared memory."""
    for _ in range(count):
        touch_region(mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)


CASES = {"calls": calls, "churn": churn, "keep": keep, "private": private, "shared": shared}
# Page faults in one round; the other cases' faults aren't known by construction.
PAGES_PER_ROUND = {"private": REGION // PAGE, "shared": REGION // PAGE}


def rounds(case, seconds):
    """How often, for the loop to take so long. Warms everything up."""
    case(1)
    count = 1
    while True:
        start = perf_counter_ns()
        case(count)
        took = perf_counter_ns() - start
        if took > 2e8:
            return max(1, int(count * seconds * 1e9 / took))
        count *= 2


def main():
    gc.disable()
    name, seconds = sys.argv[1], float(sys.argv[2])
    case = CASES[name]
    count = rounds(case, seconds)
    if name in PAGES_PER_ROUND and len(sys.argv) > 3:
        count = int(sys.argv[3]) // PAGES_PER_ROUND[name]  # a number of faults, not a duration

    def step():
        before = rss()
        start = perf_counter_ns()
        kept = case(count)
        took = perf_counter_ns() - start
        grown = rss() - before
        del kept
        return {"loop_ns": took, "grown_bytes": grown,
                "faults": count * PAGES_PER_ROUND.get(name, 0)}

    converse(step)


if __name__ == "__main__":
    main()
