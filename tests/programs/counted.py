"""Runs lines known numbers of times, some of which grow, and says how often.

What ends a line says how often it runs in all. It knows nothing of memtrace.
"""

import atexit
import json
import os
import sys
import threading

KEPT = []


def grow(blocks):  # ran: 2
    for number in range(blocks):  # ran: 402
        block = bytearray(65536)  # ran: 400
        if number % 4 == 0:  # ran: 400
            KEPT.append(block)  # ran: 100


def work(rounds):  # ran: 5
    total = 0  # ran: 5
    for number in range(rounds):  # ran: 5005
        if number % 2:  # ran: 5000
            total += number  # ran: 2500
        else:
            total -= 1  # ran: 2500
    return total  # ran: 5


def one_line(rounds):  # ran: 1
    for _ in range(rounds): rounds -= 1  # ran: 31
    return rounds  # ran: 1


def numbers(count):
    for number in range(count):  # ran: 8
        yield number  # ran: 7


def attempts(count):  # ran: 1
    for number in range(count):  # ran: 10
        try:
            if number % 3 == 0:  # ran: 9
                raise ValueError(number)  # ran: 3
            number += 1  # ran: 6
        except ValueError:
            number -= 1  # ran: 3


class Stack:
    def depth(self, left):  # ran: 21
        if left == 0:  # ran: 21
            return 0  # ran: 1
        return self.depth(left - 1)  # ran: 20


def in_threads():  # ran: 1
    threads = [threading.Thread(target=work, args=(1000,)) for _ in range(4)]
    for thread in threads:  # ran: 5
        thread.start()  # ran: 4
    for thread in threads:  # ran: 5
        thread.join()  # ran: 4


def never():
    return None


def in_child(how):
    """A forked child, which runs other lines than its parent."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)
    grow_in_child()
    if how == "_exit":
        os._exit(0)
    sys.exit(0)


def grow_in_child():
    for _ in range(50):
        KEPT.append(bytearray(65536))  # in each child: 50


def dying():
    """Code that is compiled, runs and dies, again and again at one address."""
    text = "def short():\n    return 1\nshort(); short()\n"
    for number in range(40):  # ran: 41
        exec(compile(text, "/dying.py", "exec"), {})  # ran: 40


def main():  # ran: 1
    atexit.register(work, 1000)  # ran: 1
    grow(200)  # ran: 1
    grow(200)  # ran: 1
    one_line(30)  # ran: 1
    list(numbers(7))  # ran: 1
    attempts(9)  # ran: 1
    Stack().depth(20)  # ran: 1
    in_threads()  # ran: 1
    dying()  # ran: 1
    for how in sys.argv[1:]:
        in_child(how)
    seen = {"python_path": os.environ.get("PYTHONPATH"), "path": sys.path,
            "sitecustomize": getattr(sys.modules.get("sitecustomize"), "__file__", None),
            "python": "%d.%d.%d" % sys.version_info[:3]}
    print("seen " + json.dumps(seen))  # ran: 1


main()  # ran: 1
