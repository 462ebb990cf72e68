"""What `bench_peers` runs under each tool: one case, whose lines grow by known amounts.

    peers.py CASE RESULT [wait]

Writes to the file RESULT, as JSON, how long the case took, what RSS did meanwhile and what each marked
line asked for and made resident. With `wait`, says `ready` and begins at a line of standard input; then
holds still until the next.
"""

import builtins
import gc
import importlib.util
import json
import mmap
import os
import sys
from time import perf_counter_ns

from protocol import MIB, PAGE, line_of, rss

# memory_profiler looks at functions that bear this name as decorator; elsewhere it does nothing.
profile = getattr(builtins, "profile", lambda function: function)

OBJECTS = 1_500_000
BUFFERS = 32
BUFFER = 8 * MIB
PARTLY = 768 * MIB
ROUNDS = 12_000


def rounded(size):
    """Bytes that pymalloc takes for a small object, or malloc for a larger one and its header."""
    return (size + 15) // 16 * 16


@profile
def objects():
    kept = [None] * OBJECTS  # mark: list
    for number in range(OBJECTS):
        kept[number] = bytes(100)  # mark: objects
    size = sys.getsizeof(kept[0])
    return kept, {"list": (8 * OBJECTS, 8 * OBJECTS),
                  "objects": (OBJECTS * size, OBJECTS * rounded(size))}


@profile
def buffers():
    kept = []
    for _ in range(BUFFERS):
        kept.append(bytearray(BUFFER))  # mark: buffers
    # CPython writes zeros to all of it; malloc maps it by itself, with its header and CPython's last byte.
    pages = (BUFFER + 17 + PAGE - 1) // PAGE
    return kept, {"buffers": (BUFFERS * BUFFER, BUFFERS * pages * PAGE)}


@profile
def numpy():
    import numpy
    kept = []
    for _ in range(BUFFERS):
        kept.append(numpy.arange(BUFFER // 8, dtype=float))  # mark: arrays
    return kept, {"arrays": (BUFFERS * BUFFER, BUFFERS * BUFFER)}


@profile
def partly():
    region = mmap.mmap(-1, PARTLY, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # mark: mapped
    region.madvise(mmap.MADV_NOHUGEPAGE)
    region[:PARTLY // 2:PAGE] = b"\1" * (PARTLY // 2 // PAGE)  # mark: touched
    return region, {"mapped": (PARTLY, 0), "touched": (0, PARTLY // 2)}


@profile
def leak():
    cache = []
    for _ in range(ROUNDS):
        words = [str(number) for number in range(200)]
        cache.append(b"\1" * (len(words) * 80))  # mark: leaked
    size = sys.getsizeof(cache[0])
    return cache, {"leaked": (ROUNDS * size, ROUNDS * rounded(size + 8))}


@profile
def unmapped():
    ones = b"\1" * (16 * MIB // PAGE)
    for _ in range(60):
        region = mmap.mmap(-1, 16 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        region.madvise(mmap.MADV_NOHUGEPAGE)
        region[::PAGE] = ones  # mark: returned
        region.close()
    return None, {"returned": (0, 0)}


@profile
def documents():
    """Text to objects and back, as services do all day."""
    rows = [{"id": number, "name": "n%d" % number, "tags": ["a", "b"]} for number in range(1000)]
    text = json.dumps(rows)
    for _ in range(400):
        text = json.dumps(json.loads(text))
    return None, {}


def tree(depth):
    return (tree(depth - 1), tree(depth - 1)) if depth else ()


@profile
def trees():
    """Calls, and small objects that die together."""
    for _ in range(300):
        tree(13)
    return None, {}


CASES = {case.__name__: case for case in
         (objects, buffers, numpy, partly, leak, unmapped, documents, trees)}

# Of pyperformance: what its own `run_benchmark.py` times, as often as takes some tenths of a second.
PUBLISHED = {
    "deltablue": (120, lambda program: program.delta_blue(100)),
    "float": (6, lambda program: program.benchmark(program.POINTS)),
    "go": (4, lambda program: program.versus_cpu()),
    "richards": (12, lambda program: program.Richards().run(1)),
}


def published(name):
    """A benchmark of pyperformance, without pyperf's processes and repetitions around it."""
    import pyperformance
    file = os.path.join(os.path.dirname(pyperformance.__file__), "data-files", "benchmarks",
                        "bm_" + name, "run_benchmark.py")
    spec = importlib.util.spec_from_file_location("bm_" + name, file)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    times, once = PUBLISHED[name]

    @profile
    def case():
        for _ in range(times):
            once(program)
        return None, {}

    return case


def highest():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main():
    name, result = sys.argv[1:3]
    waits = sys.argv[3:] == ["wait"]
    gc.disable()
    if name == "numpy":
        import numpy  # noqa: F401 -- before the clock runs
    case = published(name) if name in PUBLISHED else CASES[name]
    if waits:
        print("ready", os.getpid(), flush=True)
        sys.stdin.readline()
    before, start = rss(), perf_counter_ns()
    kept, grown = case()
    took = perf_counter_ns() - start
    # Until the process ends: what a tool sees at its end is what the case left.
    sys.kept_to_the_end = kept
    with open(os.path.abspath(__file__)) as file:
        source = file.read()
    marks = [{"name": mark, "line": line_of(mark, source), "asked": asked, "resident": resident}
             for mark, (asked, resident) in grown.items()]
    answer = {"pid": os.getpid(), "loop_ns": took, "grown": rss() - before, "peak": highest(),
              "marks": marks}
    with open(result + ".part", "w") as file:
        json.dump(answer, file)
    os.rename(result + ".part", result)
    if waits:
        print("done", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
