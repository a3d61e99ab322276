"""KServe's Python client against a replica, over REST and gRPC, with JSON, bytes and typed contents.

It asks for other versions of psutil and pandas than Tidegate does, so it runs in an environment of its own: the one in
which the serving benchmark runs KServe's server.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.serving.environments import python_of
from benchmarks.serving.peers.kserve import KSERVE
from tests.server import bundles
from tests.server.processes import replica
from tests.support import models

ROOT = Path(__file__).parents[2]


def test_kserves_client_gets_the_models_answers(tmp_path: Path) -> None:
    python = python_of(KSERVE[0], ROOT / ".bench")
    bundle = bundles.write_bundle_of(models.onnx_model(tmp_path / "flights.onnx"), tmp_path / "bundles")
    rows = [
        {"distance": 400.0, "hour": 18, "month": 7, "carrier": "UA"},
        {"distance": 700.0, "hour": 6, "month": 1, "carrier": "AA"},
    ]
    with replica(bundle.folder, tmp_path / "run", "--grpc-port", "0") as running:
        state = json.loads((tmp_path / "run" / "state.json").read_bytes())
        addresses = [f"http://127.0.0.1:{state['port']}", f"127.0.0.1:{state['grpc_port']}"]
        script = [python, Path(__file__).with_name("kserve_client.py"), *addresses]
        done = subprocess.run(script, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        predictions = running.client.post("/predict", json=rows).json()["predictions"]
    found = json.loads(done.stdout)
    assert found["ready"] == [True] * 6
    assert len(found["answers"]) == 5
    for answer in found["answers"]:
        assert answer["label"] == [row["label"] for row in predictions]
        expected = [number for row in predictions for number in row["probabilities"]]
        assert answer["probabilities"] == pytest.approx(expected)
