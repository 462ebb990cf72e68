"""Memory that grows in native code: an extension module of our own, numpy if it is there, and pandas
if that is asked for.

Usage: native_growth.py EXTENSION [--pandas]. Each marked line grows SIZE in one native function.
"""

import importlib.machinery
import importlib.util
import sys

from protocol import MIB, converse, keep, marked, rss

try:
    import numpy
    # What is loaded late grows on the first use.
    numpy.arange(9.0).repeat(2).copy().fill(1)
    numpy.arange(9.0) + 1.0
except ImportError:
    numpy = None

SIZE = 8 * MIB
WORDS = SIZE // 8

loader = importlib.machinery.ExtensionFileLoader("growth", sys.argv[1])
spec = importlib.util.spec_from_file_location("growth", sys.argv[1], loader=loader)
growth = importlib.util.module_from_spec(spec)
loader.exec_module(growth)


def of_the_extension():
    growth.touching(SIZE)  # mark: touching
    marked("touching", SIZE)
    growth.allocating(SIZE)  # mark: allocating
    marked("allocating", SIZE)
    growth.reading(SIZE)  # mark: reading
    marked("reading", SIZE)
    growth.deep(SIZE)  # mark: deep
    marked("deep", SIZE)


def of_numpy():
    array = numpy.empty(WORDS)
    array.fill(1)  # mark: fill
    marked("fill", SIZE)
    keep(array)
    keep(array + 1.0)  # mark: add
    marked("add", SIZE)
    keep(numpy.arange(float(WORDS)))  # mark: arange
    marked("arange", SIZE)
    keep(array.copy())  # mark: copy
    marked("copy", SIZE)
    keep(array[: WORDS // 2].repeat(2))  # mark: repeat
    marked("repeat", SIZE)


def of_pandas():
    from pandas._libs import algos
    labels = numpy.arange(WORDS, dtype=numpy.intp) % 97

    def sort():
        keep(algos.groupsort_indexer(labels, 97))  # mark: pandas
        marked("pandas", SIZE)

    return sort


sort = of_pandas() if "--pandas" in sys.argv else None


def step():
    of_the_extension()
    if sort is not None:
        sort()
    if numpy is not None:
        of_numpy()
    return {"numpy": numpy is not None}


if __name__ == "__main__":
    converse(step)
