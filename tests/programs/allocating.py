"""Programs that allocate all the time, for the bench of the allocator lens.

    allocating.py KIND ROUNDS

At each `go` it does its rounds, the same each time, and says how much CPU time they took.
"""

import json
import re
import sys
import time

from protocol import converse

ROUNDS = int(sys.argv[2])


def json_round():
    text = json.dumps(DOCUMENT)
    again = json.loads(text)
    return [bytes(1000 + i) for i in range(40)], again


DOCUMENT = {"k%d" % i: ["x" * 600, i, {"a": "y" * 700}] for i in range(50)}

PATTERN = re.compile(r"(\w+)=(\d{3,})")
TEXT = " ".join("name%d=%d%s" % (i, i * 1000, "0" * 600) for i in range(60))


def re_round():
    found = PATTERN.findall(TEXT)
    parts = re.split(r" ", TEXT)
    joined = "|".join(parts)
    return found, joined.replace("name", "other")


class Point:
    """What `@dataclass` makes, with fields that are large."""

    def __init__(self, name, values, payload):
        self.name = name
        self.values = values
        self.payload = payload

    def moved(self):
        return Point(self.name + "'", [value + 1 for value in self.values], self.payload[:800])


def dataclass_round():
    points = [Point("p%d" % i, list(range(100)), bytearray(900)) for i in range(40)]
    return [point.moved() for point in points]


def web_round():
    head = {"Header-%d" % i: "v" * 40 for i in range(20)}
    body = json.dumps({"items": [{"id": i, "text": "t" * 520} for i in range(25)]}).encode()
    page = b"\r\n".join(b"%s: %s" % (k.encode(), v.encode()) for k, v in head.items())
    return [page + b"\r\n\r\n" + body for _ in range(5)]


def pandas_round():
    frame = pandas.DataFrame({"key": KEYS, "value": range(len(KEYS)), "weight": WEIGHTS})
    large = frame[frame["value"] > 20]
    sums = large.groupby("key")["weight"].sum()
    joined = large.merge(sums.rename("total"), left_on="key", right_index=True)
    joined["name"] = joined["key"].astype(str) + "!"
    return joined.sort_values("total").to_dict("records")


if sys.argv[1] == "pandas":
    import pandas

    KEYS = ["k%d" % (i % 7) for i in range(200)]
    WEIGHTS = [float(i * i % 17) for i in range(200)]

KINDS = {
    "json": json_round,
    "re": re_round,
    "dataclasses": dataclass_round,
    "web": web_round,
    "pandas": pandas_round,
    "phases": None,
}


def phases():
    """Eight phases by turns: one that does little but allocate, one that seldom does."""
    for phase in range(8):
        if phase % 2:
            for _ in range(ROUNDS // 8):
                sum(NUMBERS)
                [bytes(700) for _ in range(8)]  # seldom
        else:
            for _ in range(ROUNDS // 8):
                [bytes(800) for _ in range(60)]  # often


NUMBERS = list(range(2000))


def step():
    work = KINDS[sys.argv[1]]
    begun = time.process_time()
    if work is None:
        phases()
    else:
        for _ in range(ROUNDS):
            work()
    return {"cpu_seconds": time.process_time() - begun}


converse(step)
