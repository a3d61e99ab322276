"""Triton's gRPC client swaps the model of a replica of several processes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from tests.server.processes import wait_until
from tests.server.supervisors import supervised
from tidegate.artifact.bundle import Bundle


def states(client: Any) -> dict[str, str]:
    return {model.version: model.state for model in client.get_model_repository_index().models}


def test_a_model_is_loaded_and_unloaded_over_grpc(tmp_path: Path, quick_bundle: Bundle) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(quick_bundle.folder, repository / "flights" / "1")
    options = ("--repository", str(repository), "--grpc-port", "0")
    with supervised(tmp_path / "run", *options) as running:
        port = running.event("listening")["grpc_port"]
        with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{port}") as client:
            assert client.is_model_ready("flights", "1")
            assert states(client) == {"1": "READY"}
            shutil.copytree(quick_bundle.folder, repository / "flights" / "2")
            client.load_model("flights")
            wait_until(lambda: running.version() == "2", "the new version is served")
            # The connection belongs to the old process, which sends its client to the new one.
            wait_until(lambda: is_ready(client, "2"), "gRPC follows")
            with pytest.raises(InferenceServerException, match="not 'planes'"):
                client.load_model("planes")
            client.unload_model("flights")
            wait_until(lambda: not running.is_ready(), "nothing is served")


def is_ready(client: Any, version: str) -> bool:
    try:
        return bool(client.is_model_ready("flights", version))
    except InferenceServerException:
        return False
