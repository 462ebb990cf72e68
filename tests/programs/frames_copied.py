"""The pages that hold the interpreter's frames change under a running program.

    frames_copied.py

Before each growth it forks a child that goes on sharing its memory: the next call writes to a page of
frames, which is then another page at the same address. The old one still says `fork`.
"""

import os

from protocol import MIB, converse, keep, marked

FORKS = 12
SIZE = 4 * MIB


def share(until):
    """A child that shares all memory with this process, until the pipe is closed."""
    if os.fork() == 0:
        os.read(until, 1)
        os._exit(0)


def grow():
    keep(b"1" * SIZE)  # mark: after a fork


def step():
    until, open_end = os.pipe()
    for _ in range(FORKS):
        share(until)
        grow()
    for _ in range(FORKS):
        os.write(open_end, b"1")
    for _ in range(FORKS):
        os.wait()
    marked("after a fork", FORKS * SIZE)
    return {"forks": FORKS}


if __name__ == "__main__":
    converse(step)
