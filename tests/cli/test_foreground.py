"""`tidegate up --foreground`, and addresses beyond 127.0.0.1, as a container has them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from tests.support.gateway_parent import Parent
from tidegate.cli.main import app
from tidegate.controller import foreground, launch
from tidegate.controller.foreground import Tail
from tidegate.gateway.os_process import OsProcess
from tidegate.gateway.process import PARENT_VARIABLE

pytestmark = pytest.mark.e2e

PATIENCE_SECONDS = 60.0
#: Linux answers at all of 127.0.0.0/8: an address that is not the usual one, on every machine.
OTHER = "127.0.0.2"


@dataclass
class Staying:
    """A process that stays in the foreground, and what it says."""

    home: Path
    process: subprocess.Popen[str]

    def until(self, event: str) -> dict[str, Any]:
        """Read on until it tells of this event."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event:
                return told
        raise AssertionError(f"it ended without {event}")

    def envoys(self) -> set[int]:
        files = (self.home / "gateway").glob("envoy-*/envoy.json")
        return {json.loads(file.read_text())["pid"] for file in files}


def stay(home: Path, **more: str) -> Staying:
    command = [sys.executable, "-m", "tidegate.cli.main", "up", "--foreground", "--output", "json"]
    command += ["--port", "0", "--gateway-port", "0", "--gateway-host", OTHER, "--envoys", "1"]
    environment = {**os.environ, "TIDEGATE_HOME": str(home), **more}
    return Staying(home, subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))


@pytest.fixture
def staying(tmp_path: Path) -> Iterator[Staying]:
    staying = stay(tmp_path / "home")
    try:
        yield staying
    finally:
        staying.process.terminate()
        staying.process.wait(PATIENCE_SECONDS)
        launch.stop(staying.home)


def test_a_controller_that_is_killed_is_started_again_and_the_gateway_never_stops(staying: Staying) -> None:
    first = staying.until("up")
    envoys = staying.envoys()
    os.kill(first["pid"], signal.SIGKILL)
    staying.until("gone")
    assert httpx.get(f"{first['gateway_url']}/v2/health/ready").status_code == 200
    second = staying.until("up")
    assert second["pid"] != first["pid"]
    assert second["gateway_url"] == first["gateway_url"]
    assert staying.envoys() == envoys

    staying.process.terminate()
    stopped = staying.until("stopped")["stopped"]
    assert any("controller" in what for what in stopped)
    assert staying.process.wait(PATIENCE_SECONDS) == 0
    assert not any(map(OsProcess.of, {second["pid"], *envoys}))


def test_a_gateway_with_a_parent_of_its_own_serves_on_when_who_stays_is_ended_and_the_next_adopts_it() -> None:
    # The path of a socket has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="tidegate-") as folder:
        home = Path(folder) / "home"
        parent = Parent(home / "gateway")
        asked = {PARENT_VARIABLE: str(parent.socket)}
        try:
            first = stay(home, **asked)
            url = first.until("up")["gateway_url"]
            envoys = parent.envoys()
            assert len(envoys) == 1
            first.process.terminate()
            assert any("controller" in what for what in first.until("stopped")["stopped"])
            assert first.process.wait(PATIENCE_SECONDS) == 0
            assert httpx.get(f"{url}/v2/health/ready").status_code == 200
            second = stay(home, **asked)
            assert second.until("up")["gateway_url"] == url
            assert parent.envoys() == envoys
            answer = CliRunner().invoke(app, ["down"], env={"TIDEGATE_HOME": str(home), **asked})
            assert answer.exit_code == 0, answer.stderr
            assert second.process.wait(PATIENCE_SECONDS) == 0
            assert parent.envoys() == []
        finally:
            launch.stop(home)
            parent.end(signal.SIGTERM)


def test_down_ends_who_stays_and_nothing_is_started_again(staying: Staying) -> None:
    first = staying.until("up")
    answer = CliRunner().invoke(app, ["down"], env={"TIDEGATE_HOME": str(staying.home)})
    assert answer.exit_code == 0, answer.stderr
    assert staying.process.wait(PATIENCE_SECONDS) == 0
    assert OsProcess.of(first["pid"]) is None
    assert launch.running(staying.home) is None


def test_down_at_the_moment_that_it_is_told_to_be_up_is_heeded(tmp_path: Path) -> None:
    home = tmp_path / "home"
    told: list[str] = []

    def tell(event: dict[str, Any]) -> None:
        told.append(event["event"])
        if event["event"] == "up":
            assert told.count("up") == 1, "it was started again"
            launch.stop(home)

    try:
        foreground.stay(home, lambda: launch.ensure_running(home, 0, 0, envoys=1), tell)
        assert {"up", "gone"} & set(told) == {"up"}
        assert launch.running(home) is None
    finally:
        launch.stop(home)


def test_what_the_controller_logs_is_shown(staying: Staying) -> None:
    staying.until("up")
    log = staying.home / "logs" / "controller.log"
    assert staying.until("log")["line"] in log.read_text(encoding="utf-8").splitlines()


def test_the_gateway_listens_where_it_is_told_and_the_controller_where_it_always_does(staying: Staying) -> None:
    up = staying.until("up")
    assert up["gateway_url"].startswith(f"http://{OTHER}:")
    assert httpx.get(f"{up['gateway_url']}/v2/health/live").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(up["gateway_url"].replace(OTHER, "127.0.0.1") + "/v2/health/live")
    assert up["controller_url"].startswith("http://127.0.0.1:")


def test_all_addresses_are_told_as_one_that_this_machine_can_ask(tmp_path: Path) -> None:
    home = tmp_path / "home"
    every = "0.0.0.0"  # noqa: S104 -- what is tested
    try:
        info = launch.ensure_running(home, 0, 0, host=every, gateway_host=every, envoys=1)
        assert info.url.startswith("http://127.0.0.1:")
        for url in (info.url, info.url.replace("127.0.0.1", OTHER)):
            assert httpx.get(f"{url}/healthz").status_code == 200
        for url in (info.gateway_url, info.gateway_url.replace("127.0.0.1", OTHER)):
            assert httpx.get(f"{url}/v2/health/live").status_code == 200
        again = launch.ensure_running(home, None, None)
        assert again == info
    finally:
        launch.stop(home)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "localhost"], "--host is no IPv4 address"),
        (["--gateway-host", "::1"], "--gateway-host is no IPv4 address"),
        (["--host", "192.0.2.1", "--port", "0", "--gateway-port", "0"], "an address that this machine does not have"),
        (["--foreground", "--standby"], "exclude each other"),
    ],
)
def test_what_makes_no_sense_is_bad_input(tmp_path: Path, arguments: list[str], said: str) -> None:
    answer = CliRunner().invoke(
        app, ["up", *arguments], env={"TIDEGATE_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
    )
    assert answer.exit_code == 2, answer.stderr
    assert said in answer.stderr


def test_a_first_start_that_fails_is_told_and_nothing_stays(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/no.db"
    arguments = ["up", "--foreground", "--port", "0", "--gateway-port", "0", "--store", store]
    answer = CliRunner().invoke(app, arguments, env={"TIDEGATE_HOME": str(tmp_path / "home"), "COLUMNS": "200"})
    assert answer.exit_code == 2, answer.stderr
    assert launch.running(tmp_path / "home") is None


def test_a_tail_gives_each_line_once_through_rotations_and_none_in_parts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    tail = Tail(log)
    assert tail.lines() == []
    with log.open("a") as stream:
        stream.write("one\ntw")
    assert tail.lines() == ["one"]
    with log.open("a") as stream:
        stream.write("o\nthree\n")
    log.rename(tmp_path / "log.1")
    assert tail.lines() == ["two", "three"]
    log.write_text("four\n")
    assert tail.lines() == ["four"]
    assert tail.lines() == []


def test_a_tail_begins_with_a_file_that_comes_later(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "log")
    assert tail.lines() == []
    (tmp_path / "log").write_text("one\n")
    assert tail.lines() == ["one"]
