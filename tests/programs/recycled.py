"""Code objects that die and leave their address to the next one.

    recycled.py FOLDER

Forty compiled files are loaded, run and forgotten one after the other, as an importer does. Each
keeps 8 MiB, on a line of its own number.
"""

import marshal
import os
import sys
import time

from protocol import MIB, converse, keep, mark

FILES = 40
SIZE = 8 * MIB


def file_of(number):
    return os.path.join(sys.argv[1], "part_%02d.py" % number)


def compiled(number):
    """The file as a `.pyc` has it. What compiling leaves behind would take the address."""
    source = "\n" * number + "keep(b'1' * size)\n"
    return marshal.dumps(compile(source, file_of(number), "exec"))


def run(content):
    """Runs one file; returns where its code object was."""
    code = marshal.loads(content)
    exec(code, {"keep": keep, "size": SIZE})
    return id(code)


def step():
    contents = [compiled(number) for number in range(FILES)]
    addresses = set()
    for content in contents:
        addresses.add(run(content))
        # Time for memtrace to notice that code comes and goes, and to attach its probe.
        time.sleep(0.02)
    for number in range(FILES):
        mark("part %d" % number, file_of(number), 1 + number, SIZE, None)
    return {"files": FILES, "addresses": len(addresses)}


if __name__ == "__main__":
    converse(step)
