"""A script as users of memory_profiler have it, in loops as long as its argument says. Says how long
each function took. Without memory_profiler `profile` does nothing.
"""

import builtins
import json
import sys
import time

profile = getattr(builtins, "profile", lambda function: function)


@profile
def numbers(rounds):
    total = 0
    for number in range(rounds):
        if number % 3 == 0:
            total += number
        else:
            total -= 1
    return total


@profile
def keeps(rounds):
    kept = []
    for number in range(rounds // 10):
        try:
            row = bytes(40_000 // (number % 5))
            kept.append(row)
        except ZeroDivisionError:
            continue
    return kept


@profile
def parses(rounds):
    text = json.dumps({"rows": list(range(20))})
    sizes = []
    while rounds: rounds -= 10
    for _ in range(1000):
        value = json.loads(text)
        sizes.append(len(value["rows"]))
    return sum(sizes)


for function in (numbers, keeps, parses):
    began = time.perf_counter()
    function(int(sys.argv[1]))
    took = time.perf_counter() - began
    print("took", function.__name__, took, file=sys.stderr)
