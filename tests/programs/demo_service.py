"""A small web service with a leak, for `cargo xtask demo`. It asks itself for pages and ends by itself.

True answer: the line marked LEAK grows by about 1.3 MiB a second (64 KiB a request, 20 requests a
second) and gives nothing back; the line marked SCRATCH grows and gives back 4 MiB a request; the
line marked HISTORY grows by 256 KiB a second, in a background thread.

It serves on the loopback address only, to itself only, and stops after --seconds.
"""

import argparse
import http.client
import http.server
import signal
import sys
import threading
import time

CACHE = {}
HISTORY = []


def render(number):
    """A page, and a cache whose key never repeats."""
    page = b"%d " % number * 8192
    CACHE[number] = bytes(64 * 1024) + page[:8]  # LEAK: nobody ever takes anything out
    return page[:1024]


def checksum(page):
    """Needs a large buffer for a moment: beyond 32 MiB glibc maps it and gives it back at once."""
    scratch = bytearray(33 * 1024 * 1024)  # SCRATCH: given back when the function returns
    scratch[: len(page)] = page
    return sum(scratch[:64])


def keep_history(stop):
    """A background thread that keeps one sample a second."""
    while not stop.wait(1.0):
        HISTORY.append(bytearray(256 * 1024))  # HISTORY


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET with a rendered page."""

    def do_GET(self):  # noqa: N802, the base class's name
        page = render(int(self.path.strip("/") or 0))
        checksum(page)
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *arguments):
        """Says nothing."""


def ask(port, stop):
    """Asks for twenty pages a second until told to stop."""
    number = 0
    while not stop.wait(0.05):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/%d" % number)
        connection.getresponse().read()
        connection.close()
        number += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="end after so long")
    seconds = parser.parse_args().seconds

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port = server.server_address[1]
    for name, target, arguments in (
        ("serve", server.serve_forever, (0.1,)),
        ("history", keep_history, (stop,)),
        ("ask", ask, (port, stop)),
    ):
        threading.Thread(target=target, args=arguments, name=name, daemon=True).start()
    print("ready", port, flush=True)

    end = time.monotonic() + seconds
    while not stop.is_set() and time.monotonic() < end:
        stop.wait(0.2)
    stop.set()
    server.shutdown()
    sys.exit(0)


if __name__ == "__main__":
    main()
