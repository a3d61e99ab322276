"""Rollouts whose clients speak gRPC alone: calls are split, and what they end with decides."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from tests.e2e.conftest import Tidegate, eventually

pytestmark = pytest.mark.e2e

NAME = "calls"
#: Answers its own sample, and fails on the large values that the calls bring.
FRAGILE = """
class Model:
    inputs = [{"name": "x"}]

    def predict(self, inputs):
        if (inputs["x"] > 3).any():
            raise RuntimeError("this one was trained on small values")
        return {"y": inputs["x"] * 1.0}
"""
SOUND = FRAGILE.replace("> 3", "> 3000")


@pytest.fixture
def artifact(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write the code of a model into a folder of its own."""

    def write(name: str, code: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.py").write_text(code)
        return folder

    return write


class Calls:
    """A client that calls until the block ends, and what its calls ended with; "OK" and gRPC's names of statuses."""

    def __init__(self, address: str) -> None:
        self.ended: Counter[str] = Counter()
        self._address = address
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Calls:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(20)

    def _run(self) -> None:
        with triton.InferenceServerClient(self._address) as client:
            (spec,) = client.get_model_metadata(NAME).inputs
            values = np.array([[5]], dtype=triton_to_np_dtype(spec.datatype))
            tensor = triton.InferInput(spec.name, values.shape, spec.datatype)
            tensor.set_data_from_numpy(values)
            while not self._stopping.wait(0.02):
                try:
                    client.infer(NAME, [tensor])
                    self.ended["OK"] += 1
                except InferenceServerException as error:
                    self.ended[str(error.status())] += 1


def deployed(tidegate: Tidegate, path: Path) -> dict[str, Any]:
    artifact = {"path": str(path), "trust": True, "framework": "python"}
    return tidegate.ended(tidegate.deploy(NAME, path, modelArtifact=artifact))


def test_a_sound_candidate_is_promoted_and_a_fragile_one_taken_back_by_calls_alone(
    tidegate: Tidegate, artifact: Callable[[str, str], Path]
) -> None:
    first = deployed(tidegate, artifact("first", SOUND))
    assert first["outcome"] == "promoted", first["reason"]
    with tidegate.client as client:
        address = client.result(NAME)["servingEndpoint"]["grpcEndpoint"]
    with Calls(address) as calls:
        eventually("the first answers", lambda: calls.ended["OK"] > 20)
        second = deployed(tidegate, artifact("second", FRAGILE.replace("> 3", "> 4000")))
        assert second["outcome"] == "promoted", second["reason"]
        assert second["steps"][0]["observed_percent"] == pytest.approx(20, abs=15)
        assert set(calls.ended) == {"OK"}, "a rollout of a sound model fails no call"
        third = deployed(tidegate, artifact("third", FRAGILE))
        assert third["outcome"] == "rolled_back", third["reason"]
        assert "failed" in third["reason"]
        failed = calls.ended.total() - calls.ended["OK"]
        assert failed > 0
        after = calls.ended.copy()
        eventually("answers of the old revision", lambda: calls.ended["OK"] > after["OK"] + 20)
        assert calls.ended.total() - calls.ended["OK"] - failed <= 1  # one may have been under way
