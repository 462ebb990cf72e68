"""Calls functions known numbers of times, and says how many of the calls are evaluations of their own:
all up to CPython 3.10, those that C makes from 3.11 on."""

import functools
import os
import sys
import threading

import protocol


def key(number):
    return -number


def add(one, other):
    return one + other


def numbers(count):
    for number in range(count):
        yield number


def plain(depth):
    if depth:
        plain(depth - 1)


def in_thread(number):
    return -number


def in_child(number):
    return -number


def of_thread():
    sorted(range(100), key=in_thread)


def step():
    sorted(range(1000), key=key)
    functools.reduce(add, range(501))
    list(numbers(7))
    plain(100)
    text = "def short(number): return number\nlist(map(short, range(3)))"
    for _ in range(300):
        exec(compile(text, "/dying.py", "exec"), {})
    threads = [threading.Thread(target=of_thread) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pid = os.fork()
    if pid == 0:
        # Time for memtrace to meet the new process.
        threading.Event().wait(1.0)
        sorted(range(200), key=in_child)
        os._exit(0)
    os.waitpid(pid, 0)
    every_call = sys.version_info < (3, 11)
    return {"evaluations": {"key": 1000, "add": 500, "numbers": 8, "short": 900, "in_thread": 300,
                            "plain": 101 if every_call else 0},
            "dying": 300, "in_child": 200, "child": pid}


protocol.converse(step)
