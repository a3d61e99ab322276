"""What the server's tests share: bundles of real models, and the application around one in this process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.server import bundles
from tests.support import models
from tidegate.artifact.bundle import Bundle, load_model
from tidegate.server.app import build_app
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
    """A model that raises on the rows where a number is missing."""
    trained = bundles.model_that_raises_on_missing_values(shelf / "fragile.skops")
    return bundles.write_bundle_of(trained, shelf / "bundles")


@pytest.fixture(scope="session")
def slow_bundle(shelf: Path) -> Bundle:
    """A model whose time grows with the rows: about 0.1 ms each."""
    return bundles.write_bundle_of(bundles.slow_model(shelf / "slow.skops"), shelf / "bundles")


def settings_for(bundle: Bundle, limits: Limits = LIMITS) -> ServerSettings:
    return ServerSettings(
        bundle=bundle.folder,
        run_dir=bundle.folder.parent / "run",
        identity=IDENTITY,
        replica=0,
        latency_objective_seconds=0.07,
        threads=1,
        queue_limit=8,
        host="127.0.0.1",
        port=0,
        drain_seconds=0.0,
        grace_seconds=5.0,
        limits=limits,
    )


class InProcess:
    """Sends requests to an ASGI application in this process, each through the whole of it and without a socket."""

    def __init__(self, app: Any, portal: BlockingPortal) -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://replica")
        self._portal = portal

    def call(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Run a coroutine function on the application's event loop."""
        return self._portal.call(function, *arguments)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._portal.call(lambda: self._client.request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


class Serve(Protocol):
    """Serve a bundle in this process; without `warm`, as it is before its model is loaded."""

    def __call__(self, bundle: Bundle, *, warm: bool = True) -> tuple[Replica, InProcess]: ...


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """Serve bundles in this process, through the whole application and without a socket."""
    opened: list[Replica] = []
    with start_blocking_portal() as portal:

        def start(bundle: Bundle, *, warm: bool = True) -> tuple[Replica, InProcess]:
            replica = Replica(settings_for(bundle), bundle)
            opened.append(replica)
            if warm:
                portal.call(replica.warm, load_model(bundle, threads=1))
            return replica, InProcess(build_app(replica), portal)

        yield start
        for replica in opened:
            replica.pool.close()


@pytest.fixture(scope="session")
def flights(serve: Serve, flights_bundle: Bundle) -> InProcess:
    return serve(flights_bundle)[1]


@pytest.fixture(scope="session")
def tensors(serve: Serve, tensor_bundle: Bundle) -> InProcess:
    return serve(tensor_bundle)[1]


@pytest.fixture(scope="session")
def fragile(serve: Serve, fragile_bundle: Bundle) -> InProcess:
    return serve(fragile_bundle)[1]
