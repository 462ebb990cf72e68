"""Grows at marked lines by known amounts, in the context that is asked for.

    line.py CONTEXT FOLDER [--no-thp]

The lines are those of growing_lines.py, written into a file of FOLDER as the context needs them
(the leaf frame is then a module, a coroutine, ...), and each kind has a line of its own.
"""

import asyncio
import importlib.util
import mmap
import os
import queue
import sys
import threading

from protocol import (MIB, PAGE, answer, converse, keep, line_of, mark, ready, rss,  # noqa: F401
                      told_to_go)

try:
    import numpy
    # What its first use brings in is no growth of a line.
    numpy.empty(2 * MIB, dtype=numpy.uint8).fill(1)
except ImportError:
    numpy = None

SIZE = 16 * MIB
HERE = os.path.dirname(os.path.abspath(__file__))
WRAPPERS = {"function": ("def body():", "pass"),
            "coroutine": ("async def body():", "await asyncio.sleep(0)"),
            "generator": ("def body():", "yield")}
SCRIPT = """import sys; sys.path.insert(0, %r); import line
globals().update(line.names(open(__file__).read(), __file__)); line.ready(); line.told_to_go()
%sline.answer(line.versions()); line.told_to_go()
"""


def versions():
    return {"numpy": getattr(numpy, "__version__", None)}


def wrapped(form):
    """The growing lines as one function of that form, or as they are for a script."""
    with open(os.path.join(HERE, "growing_lines.py")) as file:
        lines = file.read().splitlines()
    head, pause = WRAPPERS.get(form, (None, "pass"))
    lines = [pause if line == "pause" else line for line in lines]
    if head:
        lines = [head] + ["    " + line for line in lines]
    return "\n".join(lines) + "\n"


def names(source, file):
    """What the growing lines use."""
    def grew(name, before, constructed=None):
        mark(name, file, line_of(name, source), constructed, rss() - before)

    return {"SIZE": SIZE, "PAGE": PAGE, "mmap": mmap, "asyncio": asyncio, "numpy": numpy,
            "rss": rss, "keep": keep, "grew": grew, "zeros": open("/dev/zero", "rb", buffering=0)}


def body(form, folder):
    """The growing lines as a function of that form, in a module with a file."""
    source = wrapped(form)
    path = os.path.join(folder, "growing_%s.py" % form)
    with open(path, "w") as file:
        file.write(source)
    spec = importlib.util.spec_from_file_location("growing_" + form, path)
    module = importlib.util.module_from_spec(spec)
    vars(module).update(names(source, path))
    spec.loader.exec_module(module)
    return module.body


def main_thread(folder):
    return body("function", folder)


def depth_1(folder):
    """Becomes a script whose own, only frame grows: nothing calls it."""
    path = os.path.join(folder, "growing_script.py")
    with open(path, "w") as file:
        file.write(SCRIPT % (HERE, wrapped("script")))
    os.execv(sys.executable, [sys.executable, path] + sys.argv[3:])


def compiled(folder):
    """Code that no file holds."""
    source = wrapped("compiled")
    code = compile(source, "<made by compile>", "exec")
    return lambda: exec(code, names(source, "<made by compile>"))


def thread_from_before(folder):
    """A thread that was there before the first step."""
    work, answers = queue.Queue(), queue.Queue()

    def serve():
        while True:
            job = work.get()
            job()
            answers.put(None)

    threading.Thread(target=serve, daemon=True).start()
    run = body("function", folder)

    def step():
        work.put(run)
        answers.get()

    return step


def thread_started_late(folder):
    run = body("function", folder)

    def step():
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    return step


def coroutine(folder):
    run = body("coroutine", folder)
    loop = asyncio.new_event_loop()

    async def beside():
        for _ in range(20):
            await asyncio.sleep(0)

    async def both():
        await asyncio.gather(run(), beside())

    return lambda: loop.run_until_complete(both())


def generator(folder):
    run = body("generator", folder)
    return lambda: [None for _ in run()] and None


def deep(depth):
    def start(folder):
        run = body("function", folder)

        def down(left):
            if left:
                down(left - 1)
            else:
                run()

        return lambda: down(depth - 3)

    return start


CONTEXTS = {"main_thread": main_thread, "depth_1": depth_1, "compiled": compiled,
            "thread_from_before": thread_from_before, "thread_started_late": thread_started_late,
            "coroutine": coroutine, "generator": generator, "depth_100": deep(100)}

if __name__ == "__main__":
    prepared = CONTEXTS[sys.argv[1]](sys.argv[2])
    converse(lambda: prepared() or versions())
