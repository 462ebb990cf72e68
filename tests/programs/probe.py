"""Page faults at a known depth of Python's stack.

    probe.py DEPTH SECONDS

Each `go` touches fresh pages for that long, from a function with DEPTH - 1 callers above it.
"""

import mmap
import sys
from time import perf_counter_ns

from protocol import MIB, PAGE, converse

REGION = 16 * MIB
ONES = b"\1" * (REGION // PAGE)


def touch(until):
    while perf_counter_ns() < until:
        region = mmap.mmap(-1, REGION, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        region.madvise(mmap.MADV_NOHUGEPAGE)
        region[::PAGE] = ONES
        region.close()


def descend(levels, until):
    if levels:
        descend(levels - 1, until)
    else:
        touch(until)


def main():
    depth, seconds = int(sys.argv[1]), float(sys.argv[2])

    def step():
        # Frames above `touch`: the module, main, converse, step, descend.
        frames = len_of_stack() + 2
        descend(max(0, depth - frames), perf_counter_ns() + int(seconds * 1e9))
        return {"frames": max(depth, frames)}

    converse(step)


def len_of_stack():
    frame, length = sys._getframe(1), 0
    while frame is not None:
        frame, length = frame.f_back, length + 1
    return length


if __name__ == "__main__":
    main()
