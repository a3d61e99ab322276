"""What clients of gRPC may have begun at a time is bounded; what is more is refused at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from tests.server.conftest import Serve
from tests.server.grpc_service import Client, grpc_beside
from tests.server.processes import DEADLINE_SECONDS, wait_until
from tests.server.supervisors import supervised
from tidegate.artifact.bundle import Bundle
from tidegate.server.grpc.health import MOST_WATCHERS, HealthService
from tidegate.server.grpc.listener import GrpcBounds, GrpcServer

Code = grpc.StatusCode
CALLS = 3


async def outcomes_beyond_the_bound() -> tuple[list[Code], Code]:
    """Begin one call more than may be, and one more when these are answered."""
    may_answer, begun = asyncio.Event(), asyncio.Semaphore(0)

    async def wait(body: bytes, _: Any) -> bytes:
        begun.release()
        await may_answer.wait()
        return body

    service = grpc.method_handlers_generic_handler("bounds", {"Wait": grpc.unary_unary_rpc_method_handler(wait)})
    bounds = GrpcBounds(body_bytes=1000, calls=CALLS, grace_seconds=DEADLINE_SECONDS)
    server = GrpcServer(service, HealthService(lambda: True, "model"), bounds)
    port = await server.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: Any = channel.unary_unary("/bounds/Wait")
        calls = [method(b"", timeout=DEADLINE_SECONDS) for _ in range(CALLS)]
        for _ in calls:
            await asyncio.wait_for(begun.acquire(), DEADLINE_SECONDS)
        calls.append(method(b"", timeout=DEADLINE_SECONDS))
        refused = await calls[-1].code()
        may_answer.set()
        answered = [await call.code() for call in calls[:-1]]
        later = await method(b"", timeout=DEADLINE_SECONDS).code()
    await server.stop()
    assert refused is Code.RESOURCE_EXHAUSTED
    return answered, later


def test_calls_beyond_the_bound_are_refused_and_later_ones_answered() -> None:
    assert asyncio.run(outcomes_beyond_the_bound()) == ([Code.OK] * CALLS, Code.OK)


@pytest.fixture
def client(serve: Serve, echo_bundle: Bundle) -> Any:
    with grpc_beside(*serve(echo_bundle)) as client:
        yield client


def test_watchers_of_the_health_leave_room_for_other_calls(client: Client) -> None:
    watch: Any = client.channel.unary_stream("/grpc.health.v1.Health/Watch")
    watchers = [watch(b"", timeout=DEADLINE_SECONDS) for _ in range(MOST_WATCHERS)]
    for watcher in watchers:
        next(watcher)
    with pytest.raises(grpc.RpcError) as refused:
        next(watch(b"", timeout=DEADLINE_SECONDS))
    assert refused.value.code() is Code.RESOURCE_EXHAUSTED
    assert client.ask("ModelReady", name="flights").ready
    for watcher in watchers:
        watcher.cancel()


def test_a_worker_out_of_descriptors_answers_again_when_there_are_some(tmp_path: Path, quick_bundle: Bundle) -> None:
    with supervised(tmp_path / "run", "--bundle", str(quick_bundle.folder), "--grpc-port", "0") as running:
        port = running.event("listening")["grpc_port"]
        (worker,) = running.workers()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert Client(channel).ask("ModelReady", name="flights").ready
            limits = worker.rlimit(psutil.RLIMIT_NOFILE)
            worker.rlimit(psutil.RLIMIT_NOFILE, (worker.num_fds() + 10, limits[1]))
            with contextlib.ExitStack() as stack:
                for _ in range(30):
                    stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                wait_until(lambda: "Too many open files" in (running.run_dir / "log").read_text(), "there are none")
                assert Client(channel).ask("ModelReady", name="flights").ready
            worker.rlimit(psutil.RLIMIT_NOFILE, limits)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert Client(channel).ask("ModelReady", name="flights").ready
        assert running.workers() == [worker]
