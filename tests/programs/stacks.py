"""Grows in threads whose stacks have many shapes.

    stacks.py

Each shape is run twice: by a thread that was there before the step, and by one that comes in it. All grow at
one line. Two more threads grow at another one, in a loop so long that a JIT compiles it.

True answer, beside the mark: of each thread its stack, as CPython itself has it at the line that grows, and how much it
grows there; in the loop by how much RSS rose around all of it, other lines' part included.
"""

import mmap
import sys
import threading

import shapes
from protocol import MIB, converse, disable_huge_pages, keep, line_of, mark, rss, stack

SIZE = 4 * MIB
LOOPS = 16384
disable_huge_pages()
FILLING = b"x" * SIZE

jit_is_active = getattr(getattr(sys, "_jit", None), "is_active", lambda: False)
answers, compiled = [], [False]


def grow(*_):
    # Not of an allocator, which may have that much left over.
    block = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    at, _ = stack(), block.write(FILLING)  # mark: shapes
    answers.append(dict(at, line="shapes", grown=SIZE))
    keep(block)
    return 0


shapes.leaf = grow


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
    run = in_threads(list(shapes.SHAPES.values()) + [loop])

    def step():
        run()
        grown = sum(answer["grown"] for answer in answers if answer["line"] == "shapes")
        mark("shapes", __file__, line_of("shapes", source), None, grown)
        return {"threads": answers, "compiled": compiled[0]}

    converse(step)


if __name__ == "__main__":
    main()
