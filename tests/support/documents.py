"""A real HTTP server on loopback whose answers a test sets, and that keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Documents:
    """What is answered: `answer` gives status and body (bytes, or a JSON value) for a path."""

    answer: Callable[[str], tuple[int, Any]]
    port: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def documents(answer: Callable[[str], tuple[int, Any]]) -> Iterator[Documents]:
    """Serve until the block ends."""
    served = Documents(answer)

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            served.asked.append(Asked(self.command, self.path, headers, self.rfile.read(length)))
            status, document = served.answer(self.path)
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            try:
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **served.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # who asked has gone

        do_GET = do_POST = handle_one  # noqa: N815 - names of the standard library

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
