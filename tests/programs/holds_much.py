"""Holds about as many GiB as its first argument says: two thirds in small objects that the collector
tracks, a quarter in glibc's heap, the rest in large arrays.

    holds_much.py GIB

For measuring how long a look at a large process takes.
"""

import sys

from protocol import MIB, converse, keep


class Record:
    """An object with a list and a dict."""
    __slots__ = ("number", "more")

    def __init__(self, number):
        self.number = number
        self.more = [number, {"number": number}]


def fill(gibibytes):
    """Some 400 bytes a record, by measurement on 3.12."""
    keep([Record(number) for number in range(int(gibibytes * 1024 * MIB * 0.66 / 400))],
         [bytes(3000) for _ in range(int(gibibytes * 1024 * MIB * 0.24 / 3056))],
         [bytearray(32 * MIB) for _ in range(int(gibibytes * 1024 * 0.1 / 32))])


if __name__ == "__main__":
    fill(float(sys.argv[1]))
    converse(lambda: {})
