"""Parks threads in every shape of Python stack, says what their stacks are, and waits.

True answer: the one JSON line on standard output, which is what CPython itself says
(sys._current_frames). Leaf first; each frame is [file, line, name], the name being the qualified
one from 3.11 on. A frame without a line counts as its function's first line. The threads stay
where they are until standard input ends. Runs on 3.8 and newer.
"""
import json
import platform
import sys
import threading
import time

ready = threading.Semaphore(0)
gate = threading.Lock()
gate.acquire()
scenarios = {}


def scenario(function):
    scenarios[function.__name__] = function
    return function


def park():
    ready.release(); gate.acquire(); gate.release()  # one line: parked or about to be


@scenario
def plain():
    park()


@scenario
def nested():
    def inner():
        def innermost():
            park()
        innermost()
    inner()


@scenario
def generator():
    def numbers():
        yield 1
        park()
        yield 2
    for _ in numbers():
        pass


@scenario
def delegating_generator():
    def inner():
        yield 1
        park()

    def outer():
        yield from inner()
    list(outer())


@scenario
def coroutine():
    async def leaf():
        park()

    async def middle():
        await leaf()

    async def root():
        await middle()
    try:
        root().send(None)
    except StopIteration:
        pass


@scenario
def asynchronous_generator():
    async def numbers():
        yield 1
        park()

    async def root():
        async for _ in numbers():
            pass
    try:
        root().send(None)
    except StopIteration:
        pass


@scenario
def event_loop():
    import asyncio

    async def work():
        await asyncio.sleep(0)
        park()
    asyncio.new_event_loop().run_until_complete(work())


@scenario
def list_comprehension():
    [park() for _ in range(1)]


@scenario
def dict_comprehension():
    {
        key:
            park()
        for key in range(1)
    }


@scenario
def generator_expression():
    sum(park() or 1 for _ in range(1))


@scenario
def recursion():
    def down(depth):
        if depth == 0:
            park()
        else:
            down(depth - 1)
    down(100)


@scenario
def constructor():
    class Thing:
        def __init__(self, stop):
            if stop:
                park()

    # First until the call is specialised: 3.13 and newer insert a frame of their own then.
    for turn in range(500):
        Thing(turn == 499)


@scenario
def property_and_exit():
    class Thing:
        @property
        def value(self):
            return park()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.value
    with Thing():
        pass


@scenario
def called_from_c():
    sorted([2, 1], key=lambda number: park() if number == 1 else 0)


@scenario
def exception_handler():
    try:
        raise ValueError
    except ValueError:
        try:
            {}[
                "missing"
            ]
        except KeyError:
            park()


@scenario
def finalizer():
    class Thing:
        def __del__(self):
            park()
    Thing()


@scenario
def many_lines():
    total = (1 +
             (park() or 2) +
             3)
    return total


@scenario
def class_body():
    class Body:
        park()


@scenario
def traced():
    sys.settrace(lambda *_: None)
    nested()


@scenario
def long_function():
    lines = ["def long(a):"] + ["    a = a + 1; a = [a]; a = a[0]"] * 900 + ["    park()"]
    names = {"park": park}
    exec(compile("\n".join(lines), "long.py", "exec"), names)
    names["long"](0)


def named(file, name):
    source = "\n\n\ndef %s():\n    x = 1\n    park()\n\n%s()\n" % (name, name)
    exec(compile(source, file, "exec"), {"park": park})


@scenario
def latin_1_names():
    named("/srv/caf\u00e9.py", "na\u00efve")


@scenario
def ucs_2_names():
    named("/srv/\u4e2d\u6587 \u0436.py", "\u51fd\u6570")


@scenario
def ucs_4_names():
    named("/srv/\U0001f40d.py", "\U00020000")


def frames(frame):
    found = []
    while frame is not None:
        code = frame.f_code
        line = frame.f_lineno or code.co_firstlineno
        found.append([code.co_filename, line, getattr(code, "co_qualname", code.co_name)])
        frame = frame.f_back
    return found


def report(names):
    for _ in scenarios:
        ready.acquire()
    time.sleep(0.2)  # the last one may still be between release and acquire: same line
    own = threading.get_ident()
    threads = [
        {"id": ident, "name": names.get(ident, "main"), "frames": frames(frame)}
        for ident, frame in sys._current_frames().items() if ident != own
    ]
    print(json.dumps({"version": platform.python_version(), "threads": threads}), flush=True)
    sys.stdin.readline()
    gate.release()


names = {}
for name, function in scenarios.items():
    thread = threading.Thread(target=function, name=name, daemon=True)
    thread.start()
    names[thread.ident] = name
reporter = threading.Thread(target=report, args=(names,))
reporter.start()
reporter.join()
