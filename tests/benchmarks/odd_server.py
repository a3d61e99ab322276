"""A tiny HTTP server that is slow or odd in one way: `python odd_server.py WAY` prints its port and serves.

It runs as a process of its own, because the generator under test keeps its interpreter busy.
"""

from __future__ import annotations

import asyncio
import sys
import time

STALL_AT_REQUEST, STALL_SECONDS = 100, 0.6
BIG = 3_000_000


def _framed(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n" % len(body) + more + b"\r\n" + body


class Odd(asyncio.Protocol):
    requests = 0

    def __init__(self, way: str) -> None:
        self.way = way
        self.buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = bytes(self.buffer).partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.split(b"content-length: ")[1].split(b"\r\n")[0]):
            return
        self.buffer.clear()
        Odd.requests += 1
        self.answer(body)

    def answer(self, body: bytes) -> None:
        if self.way == "stall" and Odd.requests == STALL_AT_REQUEST:
            time.sleep(STALL_SECONDS)  # the whole server stops, as it does when something blocks its loop
        if self.way == "hang":
            return
        if self.way == "hang-up":
            self.transport.close()
        elif self.way == "error":
            self.transport.write(_framed(b"{}", b"500 Internal Server Error"))
        elif self.way == "close":
            self.transport.write(_framed(body, more=b"Connection: close\r\n"))
            self.transport.close()
        elif self.way == "chunked":
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            self.transport.write(head + b"2\r\n[0\r\n")
            asyncio.get_running_loop().call_later(0.001, self.transport.write, b"3\r\n.5]\r\n0\r\n\r\n")
        elif self.way == "big":
            self.transport.write(_framed(b"[" + b"1," * (BIG // 2) + b"1]"))
        else:
            self.transport.write(_framed(b"[0.5]"))


async def main(way: str) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Odd(way), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
