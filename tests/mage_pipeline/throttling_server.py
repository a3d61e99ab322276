"""An HTTP API with bad habits: the standard library's `http.server`. `python throttling_server.py PORT RECORDS.json`.

`/records?page=N&size=M` has the records of the file in pages of M, by number; `/tokens` the same by token, `/links` by
link. What it does to who asks too fast, and what it breaks, it decides by how often a page was asked for, so that every
kind of trouble comes in every run:

- at most RATE requests a second are answered, others get 429 with `Retry-After`;
- the first request for each third page is answered 500, for each fifth the connection is dropped, for each seventh the
  body is cut in half;
- each fourth page comes twice: it is shown again under the next number, so that all further ones move on by one;
- some records of a page are shown again in the page after it.

`/asked` says how often each page was asked for, and how many requests were answered at once, at most.
"""

import json
import sys
import threading
import time
from collections import Counter, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

RATE = 60
LOCK = threading.Lock()
ASKED: Counter[str] = Counter()
MOMENTS: deque[float] = deque()
SEEN = {"throttled": 0, "failed": 0, "dropped": 0, "cut": 0, "at_once": 0, "most_at_once": 0}
RECORDS: list[object] = []


def pages(size: int) -> list[list[object]]:
    """Return the pages with all their repetitions."""
    plain = [RECORDS[begin : begin + size] for begin in range(0, len(RECORDS), size)]
    shown: list[list[object]] = []
    for number, page in enumerate(plain, 1):
        before = plain[number - 2][-2:] if number > 1 else []
        shown.append([*before, *page])
        if number % 4 == 0:
            shown.append(list(shown[-1]))
    return shown


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with LOCK:
            SEEN["at_once"] += 1
            SEEN["most_at_once"] = max(SEEN["most_at_once"], SEEN["at_once"])
        try:
            self._answer()
        finally:
            with LOCK:
                SEEN["at_once"] -= 1

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/asked":
            self.send(200, {"pages": dict(ASKED), **SEEN})
            return
        if parts.path == "/forbidden":
            self.send(403, {"error": "who are you?"})
            return
        if parts.path == "/round":
            self.send(200, {"items": RECORDS[:3], "next": "again"})
            return
        if parts.path == "/later":
            self.send(429, {"error": "tomorrow"}, ("Retry-After", "86400"))
            return
        if self.is_too_fast():
            return
        shown = pages(int(query.get("size", 10)))
        number = int(query.get("page") or query.get("cursor") or 1)
        with LOCK:
            ASKED[str(number)] += 1
            times = ASKED[str(number)]
        if parts.path == "/hole" and number in (2, 3):
            self.send(404, {"error": "gone"})
            return
        if times == 1 and self.is_broken(number):
            return
        page = shown[number - 1] if number <= len(shown) else []
        following = str(number + 1) if number < len(shown) else None
        answers = {
            "/records": {"data": {"items": page}},
            "/hole": {"data": {"items": page}},
            "/tokens": {"items": page, "next": following},
            "/links": {"items": page, "next": following and f"/links?cursor={following}&size={query.get('size', 10)}"},
        }
        if query.get("delay"):
            time.sleep(float(query["delay"]))
        self.send(200, answers[parts.path])

    def is_too_fast(self) -> bool:
        with LOCK:
            now = time.monotonic()
            while MOMENTS and MOMENTS[0] < now - 1:
                MOMENTS.popleft()
            if len(MOMENTS) < RATE:
                MOMENTS.append(now)
                return False
            SEEN["throttled"] += 1
        self.send(429, {"error": "too fast"}, ("Retry-After", "1"))
        return True

    def is_broken(self, number: int) -> bool:
        if number % 7 == 0:
            SEEN["cut"] += 1
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"data": {"items": [')
            self.close_connection = True
        elif number % 5 == 0:
            SEEN["dropped"] += 1
            self.close_connection = True
        elif number % 3 == 0:
            SEEN["failed"] += 1
            self.send(500, {"error": "no luck"})
        else:
            return False
        return True

    def send(self, status: int, document: object, *headers: tuple[str, str]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    RECORDS[:] = json.loads(Path(sys.argv[2]).read_text())
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    print("listening on", server.server_port, flush=True)
    server.serve_forever()
