"""schemathesis, which makes requests of an OpenAPI document, finds nothing wrong with the answers of a replica."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.processes import replica
from tidegate.artifact.bundle import Bundle

#: Whether a request is good is for the model's signature to say: no schema says that all columns are of one length.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


@pytest.mark.parametrize("bundle", ["flights_bundle", pytest.param("tensor_bundle", marks=pytest.mark.long)])
def test_no_server_error_and_no_undocumented_answer(
    request: pytest.FixtureRequest, tmp_path: Path, bundle: str
) -> None:
    served: Bundle = request.getfixturevalue(bundle)
    with replica(served.folder, tmp_path / "run") as running:
        url = str(running.client.base_url)
        options = ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--max-examples", "20"]
        options += ["--seed", "1", "--generation-database", "none", "--no-color", "--request-timeout", "20"]
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--url", url, *options]
        run = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False)
        assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
        assert "Tested: 2" in run.stdout  # some twenty operations, not none
