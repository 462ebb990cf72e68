"""What every test program shares: the conversation with the harness, and exact measurements.

A program says `ready PID`, does its step at each `go` and answers `done {truth}`; `exit` ends it.
Between steps it is parked in a read of standard input, so that what the harness measures from
outside holds still. It knows nothing of memtrace.
"""

import gc
import json
import os
import sys
from _thread import get_native_id

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")

_kept = []
_marks = []


def rollup(field):
    """Bytes in one field of this process's smaps_rollup, which walks the page tables: exact."""
    if LEAVES_MAPPINGS_OUT:
        return added_up(field)
    descriptor = os.open("/proc/self/smaps_rollup", os.O_RDONLY)
    try:
        text = os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
    return int(text.split(field + b":", 1)[1].split(None, 1)[0]) * 1024


# Between these, smaps_rollup may lack mappings while somebody waits to change one, as who takes a uprobe off does
# (c4c84f06285e in Linux's fs/proc/task_mmu.c; some releases have the mend).
LEAVES_MAPPINGS_OUT = [6, 1] <= [int(part) for part in os.uname().release.split(".")[:2]] < [6, 10]


def added_up(field):
    """The same from the mappings one by one, a page of text at a time."""
    kilobytes, rest = 0, b""
    descriptor = os.open("/proc/self/smaps", os.O_RDONLY)
    try:
        text = os.read(descriptor, 4096)
        while text:
            lines = (rest + text).split(b"\n")
            rest = lines.pop()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith(field + b":"))
            text = os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
    return kilobytes * 1024


def rss():
    """Resident bytes now."""
    return rollup(b"Rss")


def keep(*things):
    """Holds on to objects, so that what a line grew stays."""
    _kept.extend(things)


def line_of(name, source):
    """The line that ends in `# mark: NAME`, from 1."""
    for number, text in enumerate(source.splitlines(), 1):
        if text.rstrip().endswith("# mark: " + name):
            return number
    raise LookupError("no line is marked " + name)


def stack():
    """The thread that calls and its frames at this moment, leaf first, as CPython's tracebacks have them: file,
    line and name, which is the qualified one from 3.11 on."""
    frame, frames = sys._getframe(1), []
    while frame is not None:
        code = frame.f_code
        frames.append([code.co_filename, frame.f_lineno, getattr(code, "co_qualname", code.co_name)])
        frame = frame.f_back
    return {"thread": get_native_id(), "frames": frames}


def mark(name, file, line, constructed, measured, stack=None):
    """States what one line did: `constructed` is known beforehand (None where CPython decides),
    `measured` is by how much RSS rose around the line; `stack` is `stack()`, called by that line."""
    _marks.append(
        {"name": name, "file": file, "line": line, "stack": stack,
         "constructed_bytes": constructed, "measured_bytes": measured})


def marked(name, constructed=None, measured=None, stack=None):
    """`mark` for a line of the calling file."""
    file = sys._getframe(1).f_code.co_filename
    with open(file) as source:
        mark(name, file, line_of(name, source.read()), constructed, measured, stack)


def scenario(name, *arguments):
    """The command line that runs another scenario of the program that is running."""
    return [sys.executable, os.path.abspath(sys.argv[0]), name] + list(arguments)


def disable_huge_pages():
    """PR_SET_THP_DISABLE for this process and what it starts."""
    import ctypes
    if ctypes.CDLL(None, use_errno=True).prctl(41, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_THP_DISABLE)")


def say(text):
    """One line to the harness, in one write."""
    os.write(1, text.encode() + b"\n")


def ready():
    """Settles what would grow later, then says that the steps can begin."""
    if "--no-thp" in sys.argv:
        disable_huge_pages()
    gc.collect()
    gc.disable()
    json.dumps({"warm": [1, "up"]})
    rss()
    say("ready %d" % os.getpid())


def told_to_go():
    """Waits, parked, for the next step (True) or the end (False)."""
    command = sys.stdin.readline().strip()
    assert command in ("go", "exit", ""), command
    return command == "go"


def answer(truth):
    """Ends a step with what it did."""
    truth["marks"] = list(_marks)
    del _marks[:]
    say("done " + json.dumps(truth))


def converse(step):
    """Runs `step` at each `go` until `exit`."""
    ready()
    while told_to_go():
        answer(step() or {})
    sys.stdout.flush()


def main(scenarios):
    """Runs the scenario that the first argument names, of the functions given by name."""
    converse(scenarios[sys.argv[1]])
