"""Becomes another interpreter, which keeps small objects: they lie in arenas of its own.

    lens_exec.py INTERPRETER
"""

import os
import sys

from protocol import answer, keep, marked, ready, told_to_go


def grow():
    kept = [(number, number + 1000000) for number in range(200000)]  # mark: objects
    keep(kept)
    marked("objects")


ready()
if len(sys.argv) > 1 and told_to_go():
    grow()
    answer({})
    sys.stdout.flush()
    os.execv(sys.argv[1], ["python", os.path.abspath(__file__)])
told_to_go()
grow()
answer({})
told_to_go()
