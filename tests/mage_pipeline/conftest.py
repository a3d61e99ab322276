"""What the tests of the pipeline share: stores of both kinds, and an HTTP API with bad habits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.store.conftest import address, server
from tidegate.features import FeatureStore
from tidegate.store.address import Address
from tidegate_pipeline.source import Source, parse_source
from tidegate_pipeline.state import FILE, PipelineState

__all__ = ["address", "server"]

HERE = Path(__file__).parent


@dataclass
class Api:
    """A server that runs, and what it was told to show."""

    url: str
    records: list[Any]

    def asked(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}/asked").json()
        return found

    def source(self, path: str = "/records", **further: Any) -> Source:
        by_path: dict[str, dict[str, Any]] = {
            "/records": {"records": "data.items", "paging": {"by": "page", "size": 10, "sizeParam": "size"}},
            "/tokens": {"records": "items", "paging": {"by": "token", "size": 10, "sizeParam": "size"}},
            "/links": {"records": "items", "paging": {"by": "link"}, "params": {"size": "10"}},
        }
        by_path |= {"/hole": by_path["/records"], "/round": by_path["/tokens"]}
        fast = {"firstDelaySeconds": 0.02, "requestsPerSecond": 1000, "burst": 20}
        whole = {"name": "flights", "url": f"{self.url}{path}", "view": "flights", **fast}
        return parse_source({**whole, **by_path.get(path, {}), **further})


@contextmanager
def running(folder: Path, records: list[Any]) -> Iterator[Api]:
    """Run the server with these records."""
    file = folder / "records.json"
    file.write_text(json.dumps(records))
    process = subprocess.Popen(
        [sys.executable, str(HERE / "throttling_server.py"), "0", str(file)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(" ")[2])
        yield Api(f"http://127.0.0.1:{port}", records)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[list[Any]], Api]]:
    with ExitStack() as stack:
        yield lambda records: stack.enter_context(running(tmp_path, records))


@pytest.fixture
def features(address: Address) -> Iterator[FeatureStore]:
    with FeatureStore(address) as made:
        made.create("flights", "flight")
        yield made


@pytest.fixture
def state(features: FeatureStore, address: Address) -> Iterator[PipelineState]:
    place = address.with_name(FILE) if isinstance(address, Path) else address
    with PipelineState(place) as made:
        yield made


def records(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return records of as many flights."""
    return [
        {"flight": f"UA{seed + number}", "at": f"2013-01-{number % 28 + 1:02}T12:00:00Z", "delay": number * 1.5}
        for number in range(count)
    ]
