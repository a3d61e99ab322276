"""A server of somebody else's: the standard library's `http.server`, with routes and bad habits of its own.

`python http_app.py PORT` answers `/healthz`, `/score` (a JSON body in, its sum out), `/echo` (what arrived, in JSON),
`/status/N`, `/begun` and `/gone` (requests that wait, and those that their clients gave up) and what is in `HABITS`.
The environment makes it another revision: `FAIL` (every score is answered 500), `STUBBORN` (SIGTERM is ignored),
`HELPER` (a process beside it, in a session of its own, with this word as its argument; its id is at `/helper`).
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MARK = os.environ.get("HELPER")
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
BEGUN: list[str] = []  # what the requests of /wait and /drip said
GONE: list[str] = []  # those of them whose client went before it had its answer
HELPER = subprocess.Popen([*SLEEP, MARK], start_new_session=True) if MARK else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        habit = HABITS.get(path)
        if habit is not None:
            habit(self, body)
        elif path == "/healthz":
            self.answer(200, b"")
        elif path == "/echo":
            seen = {"method": self.command, "path": self.path, "headers": self.headers.items(), "body": body.hex()}
            self.answer(200, json.dumps(seen).encode(), ("X-Case", "Kept"), ("X-Twice", "1"), ("X-Twice", "2"))
        elif path == "/score" and os.environ.get("FAIL"):
            self.answer(500, b'{"error": "no luck"}')
        elif path == "/score":
            values = json.loads(body)["values"]
            self.answer(200, json.dumps({"sum": sum(values), "pid": os.getpid()}).encode())
        elif path == "/helper":
            self.answer(200, json.dumps({"pid": HELPER.pid if HELPER else None}).encode())
        elif path == "/begun":
            self.answer(200, json.dumps(BEGUN).encode())
        elif path == "/gone":
            self.answer(200, json.dumps(GONE).encode())
        elif path.startswith("/status/"):
            self.answer(int(path.removeprefix("/status/")), b"" if path.endswith(("204", "304")) else b"{}")
        else:
            self.answer(404, b'{"error": "unknown"}')

    def begin(self, name: str, value: str) -> None:
        """Send the head of an answer with one header."""
        self.send_response(200)
        self.send_header(name, value)
        self.end_headers()

    def sleep(self, body: bytes) -> None:
        time.sleep(float(body))
        self.answer(200, b"1")

    def wait(self, body: bytes) -> None:
        """Wait for the client to go."""
        BEGUN.append(body.decode())
        if select.select([self.connection], [], [], 60)[0]:
            GONE.append(body.decode())
        self.close_connection = True

    def drip(self, body: bytes) -> None:
        """Send bytes until the client goes."""
        BEGUN.append(body.decode())
        self.begin("Transfer-Encoding", "chunked")
        with contextlib.suppress(OSError):
            while not select.select([self.connection], [], [], 0.05)[0]:
                self.wfile.write(b"1\r\n.\r\n")
        GONE.append(body.decode())
        self.close_connection = True

    def large(self, body: bytes) -> None:
        """Send as many MiB as the body says."""
        self.begin("Content-Length", str(int(body) << 20))
        for _ in range(int(body)):
            self.wfile.write(b"x" * (1 << 20))

    def chunks(self, _: bytes) -> None:
        self.begin("Transfer-Encoding", "chunked")
        for part in (b"one ", b"two ", b"three"):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def cut(self, _: bytes) -> None:
        self.begin("Content-Length", "100")
        self.wfile.write(b"half")
        self.close_connection = True

    def nonsense(self, _: bytes) -> None:
        self.wfile.write(b"this is not HTTP\r\n\r\n")
        self.close_connection = True

    def die(self, _: bytes) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = handle_any  # noqa: N815


HABITS = {
    "/sleep": Handler.sleep,
    "/wait": Handler.wait,
    "/drip": Handler.drip,
    "/large": Handler.large,
    "/chunks": Handler.chunks,
    "/cut": Handler.cut,
    "/nonsense": Handler.nonsense,
    "/die": Handler.die,
}


if __name__ == "__main__":
    if os.environ.get("STUBBORN"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("listening on", sys.argv[1], flush=True)
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.serve_forever()
