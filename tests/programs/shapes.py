"""Stacks of many shapes: each function here ends in a call of `leaf`, which whoever imports this puts in."""

import asyncio
import contextlib
import ctypes
import functools
import re
import sys
import weakref

SHAPES = {}
# What goes when its shape ends would call `leaf` no more.
kept = []


def leaf(*_):
    """What is called at the end of every shape, with whatever arguments; it gives back 0."""
    raise NotImplementedError


def shape(function):
    SHAPES[function.__name__] = function
    return function


@shape
def plain():
    leaf()


@shape
def nested():
    def inner():
        def innermost():
            leaf()
        innermost()
    inner()


@shape
def recursion():
    def down(left):
        return down(left - 1) if left else leaf()
    down(80)


@shape
def two_in_turn():
    def even(left):
        return odd(left - 1) if left else leaf()

    def odd(left):
        return even(left - 1)
    even(20)


@shape
def generator():
    def numbers():
        yield 1
        leaf()
        yield 2
    for _ in numbers():
        pass


@shape
def generators():
    def inner():
        yield 1
        leaf()

    def outer():
        yield from inner()
    list(outer())


@shape
def generator_expression():
    sum(leaf() for _ in range(1))


@shape
def comprehensions():
    [[leaf() for _ in range(1)] for _ in range(1)]


@shape
def coroutine():
    async def awaited():
        leaf()

    async def middle():
        await awaited()

    async def root():
        await middle()
    try:
        root().send(None)
    except StopIteration:
        pass


@shape
def coroutines():
    async def awaited():
        await asyncio.sleep(0)
        leaf()

    async def middle():
        await awaited()

    async def both():
        await asyncio.gather(middle(), asyncio.sleep(0))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(both())
    loop.close()


@shape
def asynchronous_generator():
    async def numbers():
        yield 1
        leaf()

    async def root():
        async for _ in numbers():
            pass
    try:
        root().send(None)
    except StopIteration:
        pass


@shape
def dict_comprehension():
    {
        key:
            leaf()
        for key in range(1)
    }


@shape
def constructor():
    class Thing:
        def __init__(self, stop):
            if stop:
                leaf()

    # First until the call is specialised: 3.13 and newer insert a frame of their own then.
    for turn in range(500):
        Thing(turn == 499)


@shape
def property_and_exit():
    class Thing:
        @property
        def value(self):
            return leaf()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.value
    with Thing():
        pass


@shape
def called_from_c():
    sorted([2, 1], key=lambda number: leaf() if number == 1 else 0)


@shape
def called_from_c_in_c():
    functools.reduce(lambda _, text: re.sub("a", lambda _: "b" * leaf(), text), ["a"], "")


@shape
def called_by_foreign_functions():
    ctypes.CFUNCTYPE(ctypes.c_int)(leaf)()


@shape
def partial_of_map():
    list(map(functools.partial(leaf, 1), [2]))


@shape
def finalizer():
    class Thing:
        def __del__(self):
            leaf()
    Thing()


@shape
def weak_reference():
    class Thing:
        pass
    thing = Thing()
    reference = weakref.ref(thing, leaf)
    del thing
    kept.append(reference)


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
            leaf()


@shape
def context_managers():
    @contextlib.contextmanager
    def around():
        yield
        leaf()
    with around():
        pass


@shape
def attributes():
    class Thing:
        @property
        def value(self):
            return self.missing

        def __getattr__(self, name):
            return leaf()
    Thing().value


@shape
def class_body():
    class Body:
        class Inner:
            leaf()


@shape
def many_lines():
    return (1 +
            (leaf() or 2) +
            3)


@shape
def traced():
    sys.settrace(lambda *_: None)
    nested()
    sys.settrace(None)


@shape
def profiled():
    sys.setprofile(lambda *_: None)
    nested()
    sys.setprofile(None)


@shape
def code_without_a_file():
    source = "def made():\n    leaf()\n\n\nmade()\n"
    exec(compile(source, "<made>", "exec"), {"leaf": leaf})


LINES = ["def long(a):"] + ["    a = a + 1; a = [a]; a = a[0]"] * 900 + ["    leaf()"]
LONG = compile("\n".join(LINES), "long.py", "exec")


@shape
def long_function():
    names = {"leaf": leaf}
    exec(LONG, names)
    names["long"](0)


def named(file, name):
    source = "\n\n\ndef %s():\n    x = 1\n    leaf()\n\n%s()\n" % (name, name)
    exec(compile(source, file, "exec"), {"leaf": leaf})


@shape
def latin_1_names():
    named("/srv/caf\u00e9.py", "na\u00efve")


@shape
def ucs_2_names():
    named("/srv/\u4e2d\u6587 \u0436.py", "\u51fd\u6570")


@shape
def ucs_4_names():
    named("/srv/\U0001f40d.py", "\U00020000")
