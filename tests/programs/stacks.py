"""Grows in threads whose stacks have many shapes.

    stacks.py

Each shape is run twice: by a thread that was there before the step, and by one that comes in it. All grow at
one line. Two more threads grow at another one, in a loop so long that a JIT compiles it.

True answer, beside the mark: of each thread its stack, as CPython itself has it at the line that grows, and how much it
grows there; in the loop by how much RSS rose around all of it, other lines' part included.
"""

import asyncio
import contextlib
import ctypes
import functools
import mmap
import re
import sys
import threading
import weakref

from protocol import MIB, converse, disable_huge_pages, keep, line_of, mark, rss, stack

SIZE = 4 * MIB
LOOPS = 16384
disable_huge_pages()
FILLING = b"x" * SIZE

jit_is_active = getattr(getattr(sys, "_jit", None), "is_active", lambda: False)
answers, shapes, compiled = [], {}, [False]


def shape(function):
    shapes[function.__name__] = function
    return function


def grow(*_):
    # Not of an allocator, which may have that much left over.
    block = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    at, _ = stack(), block.write(FILLING)  # mark: shapes
    answers.append(dict(at, line="shapes", grown=SIZE))
    keep(block)
    return 0


@shape
def plain():
    grow()


@shape
def nested():
    def inner():
        def innermost():
            grow()
        innermost()
    inner()


@shape
def recursion():
    def down(left):
        return down(left - 1) if left else grow()
    down(80)


@shape
def two_in_turn():
    def even(left):
        return odd(left - 1) if left else grow()

    def odd(left):
        return even(left - 1)
    even(20)


@shape
def generators():
    def inner():
        yield 1
        grow()

    def outer():
        yield from inner()
    list(outer())


@shape
def generator_expression():
    sum(grow() for _ in range(1))


@shape
def comprehensions():
    [[grow() for _ in range(1)] for _ in range(1)]


@shape
def coroutines():
    async def leaf():
        await asyncio.sleep(0)
        grow()

    async def middle():
        await leaf()

    async def both():
        await asyncio.gather(middle(), asyncio.sleep(0))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(both())
    loop.close()


@shape
def asynchronous_generator():
    async def numbers():
        yield 1
        grow()

    async def root():
        async for _ in numbers():
            pass
    try:
        root().send(None)
    except StopIteration:
        pass


@shape
def called_from_c():
    sorted([2, 1], key=lambda number: grow() if number == 1 else 0)


@shape
def called_from_c_in_c():
    functools.reduce(lambda _, text: re.sub("a", lambda _: "b" * grow(), text), ["a"], "")


@shape
def called_by_foreign_functions():
    ctypes.CFUNCTYPE(ctypes.c_int)(grow)()


@shape
def partial_of_map():
    list(map(functools.partial(grow, 1), [2]))


@shape
def finalizer():
    class Thing:
        def __del__(self):
            grow()
    Thing()


@shape
def weak_reference():
    class Thing:
        pass
    thing = Thing()
    reference = weakref.ref(thing, grow)
    del thing
    keep(reference)


@shape
def handlers():
    try:
        raise ValueError
    except ValueError:
        try:
            {}[
                "missing"
            ]
        except KeyError:
            grow()


@shape
def context_managers():
    @contextlib.contextmanager
    def around():
        yield
        grow()
    with around():
        pass


@shape
def attributes():
    class Thing:
        @property
        def grown(self):
            return self.missing

        def __getattr__(self, name):
            return grow()
    Thing().grown


@shape
def class_body():
    class Body:
        class Inner:
            grow()


@shape
def many_lines():
    return (1 +
            (grow() or 2) +
            3)


@shape
def profiled():
    sys.setprofile(lambda *_: None)
    nested()
    sys.setprofile(None)


@shape
def code_without_a_file():
    source = "def made():\n    grow()\n\n\nmade()\n"
    exec(compile(source, "<made>", "exec"), {"grow": grow})


LINES = ["def long(a):"] + ["    a = a + 1; a = [a]; a = a[0]"] * 900 + ["    grow()"]
LONG = compile("\n".join(LINES), "long.py", "exec")


@shape
def long_function():
    names = {"grow": grow}
    exec(LONG, names)
    names["long"](0)


def one_more(blocks, left):
    blocks.append(bytearray(1024) if left else stack())  # mark: loop
    compiled[0] = compiled[0] or jit_is_active()


def loop():
    blocks, before = [], rss()
    for number in range(LOOPS):
        one_more(blocks, LOOPS - 1 - number)
    answers.append(dict(blocks[-1], line="loop", grown=rss() - before))
    keep(blocks)


def early(function, permission, done):
    permission.wait()
    function()
    done.set()


def in_threads(functions):
    waiting = []
    for function in functions:
        permission, done = threading.Event(), threading.Event()
        thread = threading.Thread(target=early, args=(function, permission, done), daemon=True)
        thread.start()
        waiting.append((permission, done))

    def run():
        for permission, done in waiting:
            permission.set()
            done.wait()
        for function in functions:
            thread = threading.Thread(target=function)
            thread.start()
            thread.join()

    return run


def main():
    with open(__file__) as file:
        source = file.read()
    run = in_threads(list(shapes.values()) + [loop])

    def step():
        run()
        grown = sum(answer["grown"] for answer in answers if answer["line"] == "shapes")
        mark("shapes", __file__, line_of("shapes", source), None, grown)
        return {"threads": answers, "compiled": compiled[0]}

    converse(step)


if __name__ == "__main__":
    main()
