"""Grows in Pythons that are not run the usual way: sub-interpreters, frozen modules, greenlets, other event loops.

    unusual.py SCENARIO

Each scenario grows at marked lines: one block of 10 MiB, and many small objects.
"""

import dis
import importlib.machinery
import os
import sys
import tempfile
import time

from protocol import (MIB, answer, disable_huge_pages, keep, line_of, main, mark, marked,  # noqa: F401
                      rss, stack)

SIZE = 10 * MIB
# The kernel's own collecting of pages into huge ones would be in the figures.
disable_huge_pages()


def grow():
    before = rss()
    kept, at = bytearray(SIZE), stack()  # mark: block
    after = rss()
    few = [object() if number else stack() for number in range(SIZE // 24)]  # mark: objects
    last = rss()
    keep(kept, few)
    marked("block", None, after - before, at)
    marked("objects", None, last - after, few[0])


def plain():
    grow()


def traced():
    """Under a function that is called for every line, as debuggers and coverage have one."""
    def each(_frame, _event, _argument):
        return each

    sys.settrace(each)
    grow()
    sys.settrace(None)


def monitored():
    """The interpreter's code is rewritten while it runs, to tell of every line and instruction (3.12 on)."""
    monitoring = sys.monitoring
    told = monitoring.events.LINE | monitoring.events.INSTRUCTION
    monitoring.use_tool_id(monitoring.COVERAGE_ID, "test")
    for event in (monitoring.events.LINE, monitoring.events.INSTRUCTION):
        monitoring.register_callback(monitoring.COVERAGE_ID, event, lambda *_: None)
    monitoring.set_events(monitoring.COVERAGE_ID, told)
    rss(), stack()  # what their rewritten code takes is theirs
    grow()
    monitoring.free_tool_id(monitoring.COVERAGE_ID)


def perf_trampolines():
    """Each Python function is called through code of its own that perf can name (3.12 on)."""
    assert sys.is_stack_trampoline_active()
    os.remove("/tmp/perf-%d.map" % os.getpid())
    grow()


def frozen_module():
    """A module that is frozen into the interpreter grows: its code names no file."""
    loader = importlib.machinery.SourceFileLoader("none", "none")
    code = loader.get_data.__func__.__code__
    assert code.co_filename.startswith("<frozen "), code.co_filename
    library = os.path.dirname(os.__file__)
    with open(os.path.join(library, "importlib", "_bootstrap_external.py")) as source:
        lines = source.read().splitlines()
    numbers = [number for _, number in dis.findlinestarts(code) if number]
    reads = min(number for number in numbers if "file.read()" in lines[number - 1])
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(SIZE)
        before = rss()
        kept, at = loader.get_data(file.name), stack()
        grown = rss() - before
    keep(kept)
    name = getattr(code, "co_qualname", code.co_name)
    at["frames"].insert(0, [code.co_filename, reads, name])
    mark("read", code.co_filename, reads, None, grown, at)
    grow()


def greenlet():
    """One greenlet grows in the middle of another's work."""
    import greenlet as library

    def outer():
        inner = library.greenlet(grow)
        inner.switch()

    library.greenlet(outer).switch()


def gevent():
    import gevent as library

    def beside():
        for _ in range(50):
            library.sleep(0)

    library.joinall([library.spawn(beside), library.spawn(grow), library.spawn(beside)])


def uvloop():
    import asyncio

    import uvloop as library

    async def beside():
        for _ in range(50):
            await asyncio.sleep(0)

    async def growing():
        await asyncio.sleep(0)
        grow()

    async def both():
        await asyncio.gather(beside(), growing(), beside())

    loop = library.new_event_loop()
    loop.run_until_complete(both())
    keep(loop)


def pybind11():
    """What an extension module in C++ calls grows."""
    import callback as library
    library.call(grow)


def pybind11_thread():
    """What an extension module calls in a thread of C++ grows."""
    import callback as library
    library.call_in_thread(grow)


INSIDE = """
import sys
sys.path.insert(0, %r)
from protocol import MIB, rss, stack
import json, os
space = {"rss": rss, "stack": stack, "SIZE": %d, "__name__": "inside"}
with open(%r) as file:
    exec(compile(file.read(), %r, "exec"), space)
import builtins
builtins.kept = space
os.write(%d, json.dumps(space["figures"]).encode())
"""


def interpreters():
    """The module that makes sub-interpreters; its name has changed three times."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            return __import__(name)
        except ImportError:
            pass
    raise ImportError("no module for sub-interpreters")


OTHER = []


def subinterpreter():
    """A second interpreter in this thread grows; it was there before the step, or comes now."""
    library = interpreters()
    here = os.path.dirname(os.path.abspath(__file__))
    file = os.path.join(here, "unusual_inside.py")
    if not OTHER:
        OTHER.append(library.create())
        # memtrace looks for a second interpreter now and then.
        time.sleep(0.5)
    read, write = os.pipe()
    code = INSIDE % (here, SIZE, file, file, write)
    failed = library.run_string(OTHER[0], code)
    assert failed is None, failed
    import json
    figures = json.loads(os.read(read, 1 << 16))
    os.close(read)
    os.close(write)
    with open(file) as source:
        text = source.read()
    for name, figure, at in figures:
        mark(name, file, line_of(name, text), None, figure, at)


if __name__ == "__main__":
    if sys.argv[1] == "subinterpreter_from_before":
        OTHER.append(interpreters().create())
        sys.argv[1] = "subinterpreter"
    main(globals())
