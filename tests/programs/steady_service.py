"""A small web service in steady state, for benchmarks of recordings: a thread for each request, a
cache of bounded size, buffers that come and go. It asks itself for pages and ends by itself.

True answer: after the cache is full (the first seconds) RSS stays where it is, while a dozen lines go
on growing it and giving back, 20 requests a second.

    steady_service.py SECONDS
"""

import collections
import http.client
import http.server
import json
import sys
import threading
import time

CACHE = collections.OrderedDict()
LOCK = threading.Lock()


def render(number):
    """A page from the cache of the last 64."""
    with LOCK:
        page = CACHE.get(number % 96)
        if page is None:
            page = CACHE[number % 96] = b"%d " % number * 32768
            if len(CACHE) > 64:
                CACHE.popitem(last=False)
    return page


def totals(number):
    """Many small objects for a moment."""
    rows = [{"row": row, "value": row * number, "text": "item %d" % row} for row in range(2000)]
    return json.dumps({"rows": rows, "sum": sum(row["value"] for row in rows)}).encode()


def checksum(page):
    """A large buffer for a moment: beyond 32 MiB glibc maps it and gives it back at once."""
    scratch = bytearray(33 << 20)
    scratch[: len(page)] = page
    return scratch[0]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET with a page or with totals."""

    def do_GET(self):  # noqa: N802, the base class's name
        number = int(self.path.strip("/"))
        page = totals(number) if number % 3 else render(number)
        if number % 10 == 0:
            checksum(page)
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *arguments):
        """Says nothing."""


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, name="serve", daemon=True).start()
    end = time.monotonic() + float(sys.argv[1])
    number = 0
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
        connection.request("GET", "/%d" % number)
        connection.getresponse().read()
        connection.close()
        number += 1
        time.sleep(0.05)


if __name__ == "__main__":
    main()
