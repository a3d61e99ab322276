"""`tidegate pack`: an image of one model, built and run by a real Docker, with no controller beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.flights import data
from tests.stack.conftest import BUILD_SECONDS, MODELS, docker, eventually
from tests.stack.test_images import base_image, inspected, java_in
from tidegate import mojo

MODEL = MODELS / "arrivals-v1.zip"
TAG = f"tidegate-test-pack-{os.getpid()}/arrivals:3"
#: Over its base image. docs/how-to/pack-a-model.md says of what.
MOST_BYTES = 250_000_000


def run_pack(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidegate.cli.main", "pack", *words, "--output", "json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)


@pytest.fixture(scope="module")
def packed() -> Iterator[dict[str, Any]]:
    """An image that was built, as the command tells of it."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.fail("no Docker engine answers: make test-stack needs one")
    done = run_pack(str(MODEL), "--name", "arrivals", "--version", "3", "--tag", TAG)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # What Docker does is shown while it does it, and is no part of the answer.
    assert "Successfully tagged" in done.stderr or "naming to" in done.stderr
    try:
        yield told
    finally:
        docker("image", "rm", "--force", TAG)


@contextmanager
def running(*words: str, options: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Run the image; yield the container and the address of what it serves, once that is ready."""
    container = docker("run", "--detach", "--publish", "127.0.0.1::8080", *options, TAG, *words).strip()
    try:
        url = f"http://{docker('port', container, '8080').split()[0]}"

        def ready() -> bool:
            state = inspected_container(container)["State"]
            assert state["Running"], docker("logs", container)
            try:
                return httpx.get(f"{url}/v2/health/ready", trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        eventually("the model is ready", ready)
        yield container, url
    finally:
        docker("rm", "--force", "--volumes", container)


def inspected_container(container: str) -> dict[str, Any]:
    (found,) = json.loads(docker("inspect", container))
    assert isinstance(found, dict)
    return found


def inference(rows: list[dict[str, Any]], metadata: dict[str, Any]) -> dict[str, Any]:
    """Return rows as a request of the Open Inference Protocol."""
    inputs = []
    for one in metadata["inputs"]:
        values = [row[one["name"]] for row in rows]
        inputs.append({"name": one["name"], "datatype": one["datatype"], "shape": [len(rows)], "data": values})
    return {"inputs": inputs}


def test_it_answers_the_open_inference_protocol_with_the_models_own_numbers(packed: dict[str, Any]) -> None:
    rows = data.traffic(data.load_flights(), 40, 7)
    complete = [row for row in rows if all(value is not None for value in row.values())]
    assert len(complete) > 10
    expected = mojo.load(MODEL).predict(complete)
    with running() as (_, url):
        metadata = httpx.get(f"{url}/v2/models/arrivals", trust_env=False).json()
        assert (metadata["versions"], metadata["parameters"]["digest"]) == (["3"], packed["bundle"])
        answer = httpx.post(f"{url}/v2/models/arrivals/infer", json=inference(complete, metadata), trust_env=False)
        assert answer.status_code == 200, answer.text
    outputs = {one["name"]: one["data"] for one in answer.json()["outputs"]}
    assert outputs["yes"] == pytest.approx([one["yes"] for one in expected], rel=1e-12)
    assert outputs["predict"] == [one["predict"] for one in expected]


def test_what_scores_was_compiled_where_the_image_was_built(packed: dict[str, Any]) -> None:
    with running() as (container, _):
        mapped = docker("exec", container, "sh", "-c", "cat /proc/[0-9]*/maps")
        compilers = docker(
            "exec", container, "find", "/opt/tidegate", "-name", "libllvmlite*", "-o", "-path", "*-packages/numba"
        )
    assert "/opt/tidegate/kernels/kernels-" in mapped
    assert compilers == ""


def test_it_runs_as_nobody_in_particular_with_nothing_to_write_to_and_is_well(packed: dict[str, Any]) -> None:
    options = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")  # noqa: S108 (of the container)
    with running(options=options) as (container, _):
        assert docker("exec", container, "id", "-u").strip() == "10001"
        assert docker("exec", container, "cat", "/proc/1/cmdline").startswith("tini\0")
        processes = docker("top", container, "-eo", "pid,args")
        assert processes.count("tidegate.server") == 1, "one replica, and no controller"
        eventually(
            "Docker finds it well", lambda: inspected_container(container)["State"]["Health"]["Status"] == "healthy"
        )
        docker("stop", "--time", "30", container)
        assert inspected_container(container)["State"]["ExitCode"] == 0


def test_options_behind_the_images_name_are_the_servers(packed: dict[str, Any]) -> None:
    with running("--model-name", "flights", "--grpc-port", "8081") as (container, url):
        assert httpx.get(f"{url}/v2/models/flights", trust_env=False).status_code == 200
        assert httpx.get(f"{url}/v2/models/arrivals", trust_env=False).status_code == 404
        state = docker("exec", container, "cat", "/tmp/tidegate-replica/state.json")  # noqa: S108 (of the container)
        assert json.loads(state)["grpc_port"] == 8081


def test_it_holds_no_java_no_gateway_and_no_more_than_promised(packed: dict[str, Any]) -> None:
    image = inspected(TAG)
    assert image["Id"] == packed["id"]
    assert image["Size"] == packed["size_bytes"]
    assert java_in(TAG).strip() == ""
    search = "find / -xdev -name 'envoy*' -path '*bin*' 2>/dev/null; command -v pip || true"
    assert docker("run", "--rm", "--user", "0", "--entrypoint", "sh", TAG, "-c", f"cd /opt/tidegate; {search}") in (
        "",
        "/usr/bin/pip\n",  # of the base image
        "/usr/local/bin/pip\n",
    )
    over = image["Size"] - base_image(packed["base_image"])["Size"]
    assert over <= MOST_BYTES, f"{over / 1e6:.0f} MB over its base"


def test_a_build_that_fails_is_an_error_with_its_own_words(packed: dict[str, Any], tmp_path: Path) -> None:
    done = run_pack(str(MODEL), "--tag", "Not/A-Tag:1")
    assert done.returncode == 6
    assert "docker build ended with code" in json.loads(done.stdout)["error"]["message"]
    assert "invalid" in done.stderr


def test_a_model_that_cannot_be_served_there_makes_no_image(packed: dict[str, Any], tmp_path: Path) -> None:
    context = tmp_path / "context"
    assert run_pack(str(MODEL), "--format", "context", "--to", str(context)).returncode == 0
    (bundle,) = (context / "model").iterdir()
    (bundle / "sample.json").write_text("[]", encoding="utf-8")
    network = os.environ.get("BUILD_NETWORK", "default")
    command = ["docker", "build", "--network", network, "--tag", f"{TAG}-damaged", str(context)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    assert done.returncode != 0
    assert "was changed after it was written" in done.stdout + done.stderr
    assert docker("image", "ls", "--quiet", f"{TAG}-damaged") == ""
