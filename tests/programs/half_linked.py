"""A list of the collector that is held in the middle of a step (half_linked.c), with MANY objects of one
type around it.

Usage: half_linked.py EXTENSION HOW. At `go` it stops there, and never answers.
"""

import gc
import importlib.machinery
import importlib.util
import sys

from protocol import converse

# More than are remembered on the way, before it and behind it.
MANY = 10000

loader = importlib.machinery.ExtensionFileLoader("half_linked", sys.argv[1])
spec = importlib.util.spec_from_file_location("half_linked", sys.argv[1], loader=loader)
half_linked = importlib.util.module_from_spec(spec)
loader.exec_module(half_linked)


class Held:
    pass


gc.collect()
gc.disable()


def step():
    before = [Held() for _ in range(MANY // 2)]
    middle = []
    behind = [Held() for _ in range(MANY // 2)]
    arguments = [int(sys.argv[2]), middle]
    half_linked.hold(arguments)
    return {"held": len(before) + len(behind)}


converse(step)
