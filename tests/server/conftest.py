"""What the server's tests share: bundles of real models, and the application around one in this process."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
import uvloop
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.server import bundles
from tests.support import models
from tidegate.artifact.bundle import Bundle, load_model
from tidegate.server.cache.build import CacheSettings
from tidegate.server.listener import HttpServer
from tidegate.server.protocols.base import Identity, Limits
from tidegate.server.replica import Replica
from tidegate.server.settings import ServerSettings

IDENTITY = Identity(model_name="flights", model_version="3", deployment="flights", revision=3)
LIMITS = Limits(body_bytes=200_000, rows=1000)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server-models")


@pytest.fixture(scope="session")
def flights_bundle(shelf: Path) -> Bundle:
    """A classifier with named columns, a text column among them, that takes missing values."""
    return bundles.write_bundle_of(models.sklearn_classifier(shelf / "flights.skops"), shelf / "bundles")


@pytest.fixture(scope="session")
def quick_bundle(shelf: Path) -> Bundle:
    """A model whose framework is loaded in no time, for tests in which a process matters and its model does not."""
    return bundles.write_bundle_of(models.onnx_model(shelf / "quick.onnx"), shelf / "bundles")


@pytest.fixture(scope="session")
def tensor_bundle(shelf: Path) -> Bundle:
    """A classifier with one tensor of shape [-1, 3]."""
    return bundles.write_bundle_of(models.sklearn_tensor_classifier(shelf / "tensor.skops"), shelf / "bundles")


@pytest.fixture(scope="session")
def fragile_bundle(shelf: Path) -> Bundle:
    """A model that raises on the rows where a number is not above zero."""
    trained = bundles.model_that_raises_below_zero(shelf / "fragile.skops")
    return bundles.write_bundle_of(trained, shelf / "bundles")


@pytest.fixture(scope="session")
def slow_bundle(shelf: Path) -> Bundle:
    """A model whose time grows with the rows: about 0.1 ms each."""
    return bundles.write_bundle_of(bundles.slow_model(shelf / "slow.skops"), shelf / "bundles")


@pytest.fixture(scope="session")
def echo_bundle(shelf: Path) -> Bundle:
    """A network that answers its inputs, one tensor of every datatype."""
    return bundles.write_bundle_of(bundles.echo_model(shelf / "echo.onnx"), shelf / "bundles")


@pytest.fixture(scope="session")
def matrix_bundle(shelf: Path) -> Bundle:
    """A regressor with eight named columns, all of one datatype."""
    return bundles.write_bundle_of(bundles.slow_model(shelf / "matrix.skops", points=50), shelf / "bundles")


def settings_for(bundle: Bundle, limits: Limits = LIMITS) -> ServerSettings:
    return ServerSettings(
        bundle=bundle.folder,
        run_dir=bundle.folder.parent / "run",
        identity=IDENTITY,
        replica=0,
        latency_objective_seconds=0.07,
        threads=1,
        queue_limit=8,
        queue_bytes=2_000_000,
        batch_requests=64,
        batch_rows=1000,
        timeout_seconds=30.0,
        cache=CacheSettings(),
        prediction_log=None,
        host="127.0.0.1",
        port=0,
        drain_seconds=0.0,
        grace_seconds=5.0,
        limits=limits,
    )


class InProcess:
    """A client of a server in this process, over a real socket."""

    def __init__(self, server: HttpServer, address: tuple[str, int], portal: BlockingPortal) -> None:
        self.server = server
        self.address = address
        self._client = httpx.Client(base_url=f"http://{address[0]}:{address[1]}", timeout=60, verify=False)
        self._portal = portal

    def call(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Run a coroutine function on the server's event loop."""
        return self._portal.call(function, *arguments)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._client.request(method, path, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def close(self) -> None:
        self._client.close()


class Serve(Protocol):
    """Serve a bundle in this process; without `warm`, as it is before its model is loaded."""

    def __call__(self, bundle: Bundle, *, warm: bool = True, **settings: Any) -> tuple[Replica, InProcess]: ...


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """Serve bundles in this process, each on a port of its own."""
    closing: list[Callable[[], object]] = []
    with start_blocking_portal(backend_options={"loop_factory": uvloop.new_event_loop}) as portal:

        def start(bundle: Bundle, *, warm: bool = True, **settings: Any) -> tuple[Replica, InProcess]:
            replica = Replica(replace(settings_for(bundle), **settings), bundle)
            listener = socket.create_server(("127.0.0.1", 0))
            server = HttpServer(replica)
            serving = portal.start_task_soon(server.serve, [listener])
            if warm:
                portal.call(replica.warm, load_model(bundle, threads=1))
            client = InProcess(server, listener.getsockname(), portal)

            def close() -> None:
                client.close()
                server.should_exit = True
                serving.result(timeout=30)
                portal.call(replica.close)

            closing.append(close)
            return replica, client

        yield start
        for close in closing:
            close()


@pytest.fixture(scope="session")
def flights(serve: Serve, flights_bundle: Bundle) -> InProcess:
    return serve(flights_bundle)[1]


@pytest.fixture(scope="session")
def tensors(serve: Serve, tensor_bundle: Bundle) -> InProcess:
    return serve(tensor_bundle)[1]


@pytest.fixture(scope="session")
def echo(serve: Serve, echo_bundle: Bundle) -> InProcess:
    return serve(echo_bundle)[1]


@pytest.fixture(scope="session")
def matrix(serve: Serve, matrix_bundle: Bundle) -> InProcess:
    return serve(matrix_bundle)[1]


@pytest.fixture(scope="session")
def fragile(serve: Serve, fragile_bundle: Bundle) -> InProcess:
    return serve(fragile_bundle)[1]
