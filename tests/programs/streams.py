#!/usr/bin/env python3
"""For `memtrace run`: copies standard input to standard output in capitals, answers signals on
standard error, and ends with the exit code of its argument (the signal's number is added)."""

import os
import signal
import sys

caught = []


def catch(number, _frame):
    caught.append(number)
    os.write(2, b"caught %d\n" % number)


for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, catch)
print("ready %d" % os.getpid(), flush=True)
for line in sys.stdin:
    print(line.upper(), end="", flush=True)
sys.exit(int(sys.argv[1]) + sum(caught))
