"""A small HTTP service for tests of what tracing does to it: HTTP/1.1 with connections that stay.

True answer: `GET /N` is answered by the line "N", 1 + N % 200 times; some
requests need a large buffer for a moment, and a bounded cache keeps the last thousand answers.

    service.py

Says `ready PID PORT`; `exit` or the end of standard input ends it, and it says `done REQUESTS`.
"""

import asyncio
import collections
import os
import sys

CACHE = collections.OrderedDict()


def body(number):
    """The answer to a request, and work for an allocator."""
    text = b"%d\n" % number * (1 + number % 200)
    CACHE[number] = text
    if len(CACHE) > 1000:
        CACHE.popitem(last=False)
    if number % 50 == 0:
        scratch = bytearray(1 << 20)
        scratch[: len(text)] = text
    if number % 1000 == 0:
        bytearray(33 << 20)
    return text


class Service(asyncio.Protocol):
    """One connection."""

    answered = 0

    def connection_made(self, transport):
        self.transport, self.waiting = transport, b""

    def data_received(self, data):
        self.waiting += data
        while b"\r\n\r\n" in self.waiting:
            head, self.waiting = self.waiting.split(b"\r\n\r\n", 1)
            number = int(head.split(b" ", 2)[1].strip(b"/"))
            text = body(number)
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text)
            self.transport.write(answer + text)
            Service.answered += 1


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Service, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    os.write(1, b"ready %d %d\n" % (os.getpid(), port))
    await loop.run_in_executor(None, sys.stdin.readline)
    server.close()
    os.write(1, b"done %d\n" % Service.answered)


if __name__ == "__main__":
    asyncio.run(serve())
