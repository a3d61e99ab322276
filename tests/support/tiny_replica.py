"""A real HTTP server process with the replica's run-dir protocol and no model: it answers as each request asks.

    python -m tests.support.tiny_replica --run-dir DIR [--port 0] [--ready-file FILE] [--start-delay SECONDS] …

It holds `flock` on RUN_DIR/lock, writes RUN_DIR/state.json once it listens, answers health, and finishes what is in
flight on SIGTERM. Request headers steer an answer: `x-status: 500`, `x-delay-ms: 30`, `x-reset: 1` (close without an
answer), `x-die: 9` (end the process by that signal), `x-hang: 1` (block the whole server for good).
With `--grpc` it answers `ModelInfer` at a port of its own, with its name as that of the model; metadata steers it
in the same way, `x-code: 14` being the status. Without `--run-dir` it writes its port to standard output and serves.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tidegate.boot import birth_of

TAKEN = 75


class TinyReplica:
    def __init__(self, name: str, ready_file: Path | None) -> None:
        self.name = name
        self.ready_file = ready_file
        self.served = 0
        #: What the request before asked for; None for the first.
        self.before: dict[str, str | None] | None = None
        self.in_flight = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self.draining = False

    def is_ready(self) -> bool:
        return not self.draining and (self.ready_file is None or self.ready_file.exists())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        _method, path, _version = head[0].split(" ")
        headers = {}
        for line in head[1:]:
            key, colon, value = line.partition(":")
            if colon:
                headers[key.lower()] = value.strip()
        await reader.readexactly(int(headers.get("content-length", "0")))
        if path.startswith("/v2/health/"):
            up = path.endswith("/live") or self.is_ready()
            return await self._answer(writer, 200 if up else 503, headers, path)
        self.in_flight += 1
        self.idle.clear()
        try:
            self.served += 1
            if "x-die" in headers:
                os.kill(os.getpid(), int(headers["x-die"]))
            if "x-hang" in headers:
                threading.Event().wait()
            if "x-reset" in headers:
                writer.transport.abort()
                return False
            if "x-delay-ms" in headers:
                await asyncio.sleep(float(headers["x-delay-ms"]) / 1000)
            return await self._answer(writer, int(headers.get("x-status", "200")), headers, path)
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self.idle.set()

    async def _answer(self, writer: asyncio.StreamWriter, status: int, headers: dict[str, str], path: str) -> bool:
        body = json.dumps(
            {
                "name": self.name,
                "pid": os.getpid(),
                "served": self.served,
                "path": path,
                "request_id": headers.get("x-request-id"),
                "is_copied": "x-tidegate-copied" in headers,
                "before": self.before,
            }
        ).encode()
        if not path.startswith("/v2/health/"):
            known = {"request_id": "x-request-id", "host": "host", "copied": "x-tidegate-copied"}
            self.before = {"path": path, **{name: headers.get(header) for name, header in known.items()}}
        writer.write(
            b"HTTP/1.1 %d Tiny\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
            + body
        )
        await writer.drain()
        return True

    async def infer(self, body: bytes, call: Any) -> bytes:
        """Answer over gRPC; the message is a ModelInferResponse with nothing but the model's name in it."""
        wishes = dict(call.invocation_metadata())
        self.in_flight += 1
        self.idle.clear()
        try:
            self.served += 1
            if "x-delay-ms" in wishes:
                await asyncio.sleep(float(wishes["x-delay-ms"]) / 1000)
            if code := int(wishes.get("x-code", "0")):
                statuses = {status.value[0]: status for status in grpc().StatusCode}
                await call.abort(statuses[code], "as asked")
            name = self.name.encode()
            return b"\x0a" + bytes([len(name)]) + name
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self.idle.set()

    async def answer_grpc(self) -> int:
        """Answer over gRPC, too; return the port."""
        lib = grpc()
        server = lib.aio.server(options=(("grpc.max_receive_message_length", 16 * 1024 * 1024),))
        handlers = {"ModelInfer": lib.unary_unary_rpc_method_handler(self.infer)}
        server.add_generic_rpc_handlers(
            (lib.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),)
        )
        port: int = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self.grpc_server = server  # it ends with its last reference
        return port


def grpc() -> Any:
    """Return gRPC, imported where it is asked for: most tiny replicas start faster without."""
    import grpc.aio

    return grpc


async def _run(options: argparse.Namespace) -> None:
    replica = TinyReplica(options.name, options.ready_file)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if options.start_delay:
        await asyncio.sleep(options.start_delay)
    server = await asyncio.start_server(replica.serve, "127.0.0.1", options.port)
    host, port = server.sockets[0].getsockname()
    grpc_port = await replica.answer_grpc() if options.grpc else None
    if options.run_dir is None:
        print(port, grpc_port or "", flush=True)
    else:
        state = {
            "pid": os.getpid(),
            "born": birth_of(os.getpid()),
            "host": host,
            "port": port,
            "started_at": time.time(),
        }
        if grpc_port is not None:
            state["grpc_port"] = grpc_port
        beside = options.run_dir / "state.json.new"
        beside.write_text(json.dumps(state))
        beside.replace(options.run_dir / "state.json")
    print(json.dumps({"event": "listening", "port": port}), file=sys.stderr, flush=True)
    await stop.wait()
    replica.draining = True
    if options.ignore_term:
        await asyncio.Event().wait()
    server.close()
    await replica.idle.wait()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="tiny")
    parser.add_argument("--run-dir", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--grpc", action="store_true")
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--start-delay", type=float, default=0.0)
    parser.add_argument("--exit-code", type=int, help="end at once with this code")
    parser.add_argument("--ignore-term", action="store_true")
    options = parser.parse_args()
    if options.run_dir is not None:
        lock = os.open(options.run_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return TAKEN
    if options.exit_code is not None:
        print("ending as told", file=sys.stderr)
        return int(options.exit_code)
    asyncio.run(_run(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
