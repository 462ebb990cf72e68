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


# How long to spin after each batch of kept objects.
pace = [1000]


def keep(count):
    """Small objects that are kept, at a rate like that of a service that fills its caches."""
    kept = []
    for _ in range(count * 10):
        keep_batch(kept, pace[0])
    return kept


def timed(count):
    """CPU seconds of so many rounds, and the bytes they grew: a busy machine must not change what the
    loop does."""
    before, start = rss(), process_time_ns()
    kept = keep(count)
    took, grown = (process_time_ns() - start) / 1e9, rss() - before
    del kept
    return took, grown


def find_pace(seconds):
    """Spins as long as it takes to come to KEPT_PER_SECOND in a run of `seconds`; returns the
    run's rounds. A guess is corrected by what whole runs of it gave; the least of some, since
    disturbances only add."""
    start = perf_counter_ns()
    spin(10 ** 6)
    one_spin = (perf_counter_ns() - start) / 1e15
    count = 100
    for _ in range(4):
        took, grown = min(timed(count) for _ in range(2))
        missing = grown / KEPT_PER_SECOND - took
        pace[0] = max(0, pace[0] + int(missing / (count * 10) / one_spin))
        count = max(1, int(count * seconds / (took + missing)))
    return count


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
    count = find_pace(seconds) if name == "keep" else rounds(case, seconds)
    if name in PAGES_PER_ROUND and len(sys.argv) > 3:
        count = int(sys.argv[3]) // PAGES_PER_ROUND[name]  # a number of faults, not a duration

    def step():
        before = rss()
        start, ran = perf_counter_ns(), process_time_ns()
        kept = case(count)
        took, ran = perf_counter_ns() - start, process_time_ns() - ran
        grown = rss() - before
        del kept
        return {"loop_ns": took, "cpu_ns": ran, "grown_bytes": grown,
                "faults": count * PAGES_PER_ROUND.get(name, 0)}

    converse(step)


if __name__ == "__main__":
    main()
