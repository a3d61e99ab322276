"""A server with a port of its own: no rollout begins that could not listen on it. Real sockets, real bundles."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.prometheus import free_port
from tidegate.artifact.build import BuildRequest, build_bundle
from tidegate.contract.findings import Finding, Level
from tidegate.contract.request import ModelArtifact, parse_request
from tidegate.controller import ports
from tidegate.controller.home import Home
from tidegate.controller.preview import preview
from tidegate.controller.readiness import Surroundings, ports_of
from tidegate.store import RevisionRow

APP = Path(__file__).parents[1] / "support" / "http_app.py"
COMMAND = 'command: ["{python}", http_app.py, "{port}"]\nhealthPath: /healthz\n'


def server(folder: Path, port: int | None) -> Path:
    """Return a folder as a user has it, with a server and its settings."""
    folder.mkdir()
    (folder / "http_app.py").write_text(APP.read_text())
    (folder / "tidegate.yaml").write_text(COMMAND + (f"port: {port}\n" if port is not None else ""))
    return folder


def document(folder: Path, **settings: Any) -> dict[str, Any]:
    return {
        "name": "sums",
        "modelArtifact": {"path": str(folder), "trust": True, "settings": settings},
        "servingRequirements": {},
        "infrastructure": {"resources": {"replicas": 1}},
    }


def artifact(folder: Path, **fields: Any) -> ModelArtifact:
    return ModelArtifact.model_validate({"path": str(folder), **fields})


def judged(around: Surroundings, asked: dict[str, Any]) -> Finding:
    return asyncio.run(ports_of(around, parse_request(asked)))


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def listening(port: int) -> Iterator[int]:
    """Somebody listens on the port."""
    with socket.create_server(("127.0.0.1", port)):
        yield port


def test_the_port_of_the_request_wins_over_that_of_the_folder(tmp_path: Path) -> None:
    folder = server(tmp_path / "sums", 9000)
    assert ports.wanted(artifact(folder)) == 9000
    assert ports.wanted(artifact(folder, settings={"port": 9001})) == 9001
    assert ports.wanted(artifact(folder, settings={"port": 0})) is None
    assert ports.wanted(artifact(folder, framework="command")) == 9000
    assert ports.wanted(artifact(server(tmp_path / "free", None))) is None


def test_only_a_server_by_command_has_a_port_and_what_cannot_be_read_has_none(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"")
    assert ports.wanted(artifact(model, settings={"port": 9000})) is None
    assert ports.wanted(artifact(model, framework="onnx", settings={"port": 9000})) is None
    assert ports.wanted(artifact(model, framework="command", settings={"port": 9000, "command": "x"})) == 9000
    (tmp_path / "tidegate.yaml").write_text("command: [")
    assert ports.wanted(artifact(tmp_path)) is None
    assert ports.wanted(artifact(tmp_path / "gone")) is None


def test_the_port_of_a_revision_of_the_home_is_not_free_even_while_nobody_listens(tmp_path: Path, port: int) -> None:
    """Its server may have died a moment ago, and will be started again."""
    home, first = Home(tmp_path / "home"), server(tmp_path / "first", port)
    home.bundles.mkdir(parents=True)
    info, free = (
        asyncio.run(build_bundle(BuildRequest(path=folder, trust=True), home.bundles))
        for folder in (first, server(tmp_path / "free", None))
    )
    now = datetime.now(UTC)
    running = [("other", RevisionRow(1, 7, "lost", {}, now)), ("free", RevisionRow(2, 1, free.digest, {}, now))]
    stable = RevisionRow(3, 4, info.digest, parse_request(document(first)).as_document(), now)
    assert ports.held([*running, ("sums", stable)], home.bundles) == {port: "revision 4 of 'sums'"}
    around = Surroundings(home, None, stable, running=(*running, ("sums", stable)))
    for strategy in ("canary", "rolling", "blue-green", "shadow", "ab-test"):
        finding = judged(around, {**document(first), "deploymentStrategy": strategy})
        assert finding.level is Level.FAIL
        assert f"port {port} is that of revision 4 of 'sums', which runs beside the candidate" in finding.reason
    assert judged(around, document(first, port=free_port())).level is Level.PASS
    assert judged(around, document(first, port=0)).level is Level.PASS


def test_somebody_else_who_listens_is_found_before_the_server_is_started(tmp_path: Path, listening: int) -> None:
    folder = server(tmp_path / "sums", listening)
    around = Surroundings(Home(tmp_path / "home"), None)
    told = asyncio.run(preview(document(folder), around, None))
    (first, *_) = told["refusals"]
    assert (first["code"], first["subject"]) == ("not_ready", "sums")
    assert f"ports: port {listening} cannot be had: Address already in use" in first["message"]
    assert f"ss -ltnp 'sport = :{listening}'" in first["hint"]
    assert "leave port out of the settings" in first["hint"]
    (finding,) = [finding for finding in told["readiness"] if finding["check"] == "ports"]
    assert finding["level"] == "fail"
    assert [refusal for refusal in told["refusals"] if "ports:" in refusal["message"]] == [first]


def test_a_port_that_nobody_has_lets_the_rollout_begin(tmp_path: Path, port: int) -> None:
    folder = server(tmp_path / "sums", port)
    told = asyncio.run(preview(document(folder), Surroundings(Home(tmp_path / "home"), None), None))
    assert told["refusals"] == []
    (finding,) = [finding for finding in told["readiness"] if finding["check"] == "ports"]
    assert (finding["level"], finding["reason"]) == ("pass", f"nobody listens on {port}")
