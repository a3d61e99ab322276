"""gRPC while the model changes: clients keep their channel, and no call fails that there is a model for."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.server.grpc_service import MESSAGES, Client, request
from tests.server.processes import DEADLINE_SECONDS, wait_until
from tests.server.supervisors import Supervised, supervised
from tidegate.artifact.bundle import Bundle

Code = grpc.StatusCode
#: Each channel its own connections, as the clients of different processes have them.
OWN = (("grpc.use_local_subchannel_pool", 1),)


def body_of(bundle: Bundle) -> bytes:
    """Return an inference request with the rows of a bundle's sample."""
    tensors = {}
    for spec in bundle.signature.inputs:
        values: list[Any] = [row[spec.name] for row in bundle.sample]
        text = spec.datatype == "BYTES"
        tensors[spec.name] = (spec.datatype, np.array(values, object if text else np.dtype(dtype_of(spec.datatype))))
    body: bytes = request(tensors).SerializeToString()
    return body


def dtype_of(datatype: str) -> str:
    return {"FP64": "f8", "FP32": "f4", "INT64": "i8", "INT32": "i4"}[datatype]


class Calls:
    """Clients of gRPC that call again and again: some over one channel each, one over a new channel for every call."""

    def __init__(self, address: str, body: bytes, channels: int = 4) -> None:
        self.outcomes: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self._address, self._body = address, body
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call, args=(index,)) for index in range(channels + 1)]

    def __enter__(self) -> Calls:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(DEADLINE_SECONDS)

    @property
    def answered(self) -> int:
        return self.outcomes["OK"]

    @property
    def failures(self) -> dict[str, int]:
        return {outcome: count for outcome, count in self.outcomes.items() if outcome != "OK"}

    def _call(self, index: int) -> None:
        channel = grpc.insecure_channel(self._address, OWN)
        while not self._stop.is_set():
            if index == 0:
                channel.close()
                channel = grpc.insecure_channel(self._address, OWN)
            infer = Client(channel).method("ModelInfer")
            # Several calls at a time: some are on their way whenever the server says that it goes away.
            for call in [infer.future(self._body, timeout=DEADLINE_SECONDS) for _ in range(1 + index)]:
                outcome, version = call.code().name, ""
                if call.code() is Code.OK:
                    version = MESSAGES["ModelInferResponse"].FromString(call.result()).model_version
                else:
                    outcome += f": {call.details()}"
                with self._lock:
                    self.outcomes[outcome] += 1
                    self.versions[version] += 1
        channel.close()


@pytest.fixture
def repository(tmp_path: Path, quick_bundle: Bundle) -> Path:
    root = tmp_path / "models"
    shutil.copytree(quick_bundle.folder, root / "flights" / "1")
    return root


def address_of(running: Supervised) -> str:
    return f"127.0.0.1:{running.event('listening')['grpc_port']}"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_swaps_and_a_refusal_under_load_fail_no_call(
    repository: Path, tmp_path: Path, quick_bundle: Bundle, workers: str
) -> None:
    # An objective that is far away: on a machine that is short of time calls wait, and none is shed.
    patient = ("--", "--latency-objective-ms", "60000")
    options = ("--repository", str(repository), "--grpc-port", "0", "--workers", workers, *patient)
    with supervised(tmp_path / "run", *options) as running:
        before = {worker.pid for worker in running.workers()}
        with Calls(address_of(running), body_of(quick_bundle)) as calls:
            wait_until(lambda: calls.answered > 50, "calls are answered")
            shutil.copytree(quick_bundle.folder, repository / "flights" / "2")
            (repository / "flights" / "3.onnx").write_bytes(b"nothing of this is a model")
            for version in ("2", "1", "2"):
                assert running.load(version=version).status_code == 200
                done = calls.versions[version]
                wait_until(lambda version=version, done=done: calls.versions[version] > done + 100, "it answers")
                assert running.load(version="3").status_code == 400
            wait_until(lambda: len(running.workers()) == int(workers), "the old workers are gone")
        assert calls.failures == {}
        assert not before & {worker.pid for worker in running.workers()}
        metrics = running.client.get("/metrics").text
        counted = [line for line in metrics.splitlines() if line.startswith("tidegate_server_requests_total{")]
        assert sum(float(line.rpartition(" ")[2]) for line in counted if '"oip_grpc"' in line) == calls.answered
