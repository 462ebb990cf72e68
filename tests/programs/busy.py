"""Work of one amount, whoever looks on: its time says what being looked at costs.

    busy.py ROUNDS

A round is what some requests are to a service: each parses a document, builds and sorts many small
objects, makes text of them, and leaves a part in a cache; when that is full it is emptied, and a MiB that is
mapped for it is filled and given back. CPython and glibc keep what small objects need, so the pages of that
MiB are nearly all page faults that there are: 256 in each round, of some 25 ms.
Nothing stays. Each `go` runs all rounds and answers with the CPU time that they took of this process, the
time on the clock, and the page faults among them; what is computed is the same each time, and checked.
"""

import gc
import json
import mmap
import resource
import sys
import zlib
from time import perf_counter_ns, process_time_ns

from protocol import MIB, converse

DOCUMENT = json.dumps(
    {"orders": [{"id": number, "name": "item %d" % (number * 7919 % 1000), "price": number * 3 % 97,
                 "tags": ["t%d" % (number % 11), "u%d" % (number % 5)]} for number in range(400)]})

CACHED = 64
FILLING = (DOCUMENT.encode() * (MIB // len(DOCUMENT) + 1))[:MIB]


def parse():
    return json.loads(DOCUMENT)["orders"]


def ordered(orders):
    by_name = {}
    for order in orders:
        by_name.setdefault(order["name"], []).append((order["price"], order["id"]))
    return sorted((min(rows), name) for name, rows in by_name.items())


def page(orders, rows):
    text = "".join("<tr><td>%s</td><td>%d</td></tr>" % (name, price) for (price, _), name in rows)
    body = bytearray(64 << 10)
    body[: len(text)] = text.encode()
    return zlib.crc32(body) + sum(order["price"] for order in orders)


def one():
    """Requests until the cache is full."""
    cache, total = [], 0
    while len(cache) < CACHED:
        orders = parse()
        total += page(orders, ordered(orders))
        cache.append(orders[::8])
    return total + packed()


def packed():
    scratch = mmap.mmap(-1, MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    scratch.write(FILLING)
    total = zlib.crc32(scratch)
    scratch.close()
    return total


def faults():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt


def main():
    count = int(sys.argv[1])
    expected = one()

    def step():
        before = faults()
        start, ran = perf_counter_ns(), process_time_ns()
        total = sum(one() for _ in range(count))
        took, ran = perf_counter_ns() - start, process_time_ns() - ran
        assert total == count * expected, (total, count, expected)
        gc.collect()
        return {"took_ns": took, "cpu_ns": ran, "faults": faults() - before}

    converse(step)


if __name__ == "__main__":
    main()
