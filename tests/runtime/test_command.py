"""A server's command line: settings are read strictly, a check starts and tries it, and nothing of it stays behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.artifact.check import check_artifact
from tidegate.artifact.inspect import inspect_artifact
from tidegate.contract.errors import InvalidInput, NotTrusted, Unavailable
from tidegate.runtime.base import ArtifactFiles
from tidegate.runtime.command import guard
from tidegate.runtime.command.child import CommandProcess
from tidegate.runtime.command.runtime import CommandRuntime
from tidegate.runtime.command.settings import CommandSettings, command_settings, expanded
from tidegate.runtime.command.workspace import lay_out

APP = Path(__file__).parents[1] / "support" / "http_app.py"
COMMAND = ["{python}", "http_app.py", "{port}"]
SETTINGS: dict[str, Any] = {"command": COMMAND, "healthPath": "/healthz", "predictPath": "/score", "startSeconds": 30}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a server, as a user has it."""
    place = tmp_path / "scores"
    place.mkdir()
    (place / "http_app.py").write_text(APP.read_text())
    return place


def eventually(condition: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.005)
    return value


def descendants() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def check(path: Path, sample: Path | None = None, *, trust: bool = True, **settings: Any) -> Any:
    given = {**SETTINGS, **settings}
    return check_artifact(path, framework="command", trust=trust, sample_path=sample, settings=given)


def refused(path: Path, sample: Path | None = None, **settings: Any) -> InvalidInput:
    before = descendants()
    with pytest.raises(InvalidInput) as caught:
        check(path, sample, **settings)
    assert descendants() <= before
    return caught.value


# Settings


def test_a_command_is_words_or_one_text() -> None:
    assert command_settings({"command": "serve --name 'a b' {port}"}).command == ("serve", "--name", "a b", "{port}")
    assert command_settings({"command": ["serve", "a b"]}).command == ("serve", "a b")


@pytest.mark.parametrize(
    ("settings", "subject"),
    [
        ({}, "command"),
        ({"command": ""}, "command"),
        ({"command": "'"}, "command"),
        ({"command": [1]}, "command"),
        ({"command": ["a\0b"]}, "command"),
        ({"command": "a", "healthPath": "healthz"}, "healthPath"),
        ({"command": "a", "predictPath": "/a b"}, "predictPath"),
        ({"command": "a", "port": 70000}, "port"),
        ({"command": "a", "port": 1.5}, "port"),
        ({"command": "a", "startSeconds": 0}, "startSeconds"),
        ({"command": "a", "timeoutSeconds": True}, "timeoutSeconds"),
        ({"command": "a", "method": "CONNECT"}, "method"),
        ({"command": "a", "environment": {"A": 1}}, "environment.A"),
        ({"command": "a", "environment": {"A=B": "1"}}, "environment"),
        ({"command": "a", "environment": ["A"]}, "environment"),
        ({"command": "a", "healtPath": "/"}, "healtPath"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], subject: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        command_settings(settings)
    assert caught.value.subject == f"modelArtifact.settings.{subject}"


@given(st.text(max_size=50))
def test_only_the_known_placeholders_are_filled_in(text: str) -> None:
    values = {"port": "80", "host": "h", "artifact": "{port}", "python": "p"}
    assert expanded("{other}{{x}}" + text.replace("{", "("), values) == "{other}{{x}}" + text.replace("{", "(")
    assert expanded("{artifact}:{port}/{host}", values) == "{port}:80/h"


# Recognition


def test_a_folder_is_recognised_by_the_command_in_its_settings_file(folder: Path) -> None:
    assert CommandRuntime().recognise(ArtifactFiles(folder)) is None
    (folder / "tidegate.yaml").write_text("command: '{python} http_app.py {port}'\n")
    _, found = inspect_artifact(folder)
    assert (found.runtime, found.opaque, found.needs_trust) == ("command", True, True)
    assert "http_app.py" in found.reasons[0]


def test_a_folder_with_a_command_and_a_class_is_a_command(folder: Path) -> None:
    (folder / "model.py").write_text("class Model:\n    def predict(self, inputs): return inputs\n")
    assert inspect_artifact(folder)[1].runtime == "python"
    (folder / "tidegate.yaml").write_text("command: '{python} http_app.py {port}'\n")
    assert inspect_artifact(folder)[1].runtime == "command"


def test_nothing_runs_without_trust(folder: Path) -> None:
    marker = folder.parent / "marker"
    with pytest.raises(NotTrusted) as caught:
        check(folder, trust=False, command=["touch", str(marker)])
    assert "--trust" in str(caught.value.hint)
    assert not marker.exists()


# The check


def test_a_check_starts_the_server_tries_it_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    before, files = descendants(), sorted(folder.rglob("*"))
    mark = str(tmp_path)
    checked = check(folder, command=[*COMMAND, mark], sampleRequest={"values": [1, 2]}, environment={"HELPER": mark})
    assert checked.cpu_seconds is None
    assert (checked.signature.kind, checked.signature.inputs, checked.sample) == ("opaque", (), [])
    assert checked.environment.packages == {}
    assert descendants() <= before
    assert sorted(folder.rglob("*")) == files
    assert not [process for process in psutil.process_iter(["cmdline"]) if mark in (process.info["cmdline"] or ())]


def test_a_file_is_served_under_the_name_that_it_has_in_a_bundle(folder: Path) -> None:
    check(folder / "http_app.py", command=["{python}", "{artifact}", "{port}"], environment={"STUBBORN": ""})
    check(folder / "http_app.py", command=["{python}", "model.py", "{port}"])


def test_the_port_is_in_the_environment_too(folder: Path) -> None:
    check(folder, command=["sh", "-c", 'exec "$0" http_app.py "$PORT"', "{python}"])


def test_the_users_sample_is_sent_as_it_is(folder: Path, tmp_path: Path) -> None:
    sample = tmp_path / "body.json"
    sample.write_text(json.dumps({"values": [1, 2, 3]}))
    check(folder, sample, sampleRequest={"wrong": 1})
    sample.write_text("no JSON at all")
    assert "did not answer the sample request POST /score" in refused(folder, sample).message


def test_a_sample_that_is_answered_with_an_error_is_refused(folder: Path) -> None:
    error = refused(folder, sampleRequest={"values": []}, environment={"FAIL": "1"})
    assert "POST /score with status 500" in error.message
    assert "no luck" in str(error.got)


def test_a_command_that_ends_is_refused_with_its_last_words(folder: Path) -> None:
    error = refused(folder, command=["{python}", "-c", "print('no weights here'); raise SystemExit(9)"])
    assert "exit code 9" in error.message
    assert error.got == "no weights here"


def test_a_server_that_is_never_well_is_refused_in_time(folder: Path) -> None:
    error = refused(folder, healthPath="/status/503", startSeconds=1)
    assert "within 1 s" in error.message
    assert "got status 503" in error.message
    assert '"GET /status/503 HTTP/1.1" 503' in str(error.got)


def test_a_program_that_is_not_there_is_named(folder: Path) -> None:
    assert "There is no program no-such-server" in refused(folder, command="no-such-server {port}").message
    error = refused(folder, command="./http_app.py {port}")
    assert "cannot be executed" in error.message
    assert "{python}" in str(error.hint)


def test_a_port_that_is_taken_is_not_asked(folder: Path, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(Unavailable) as caught:
            check(folder, port=taken.getsockname()[1])
        assert "port" in caught.value.message


# The working folder


def test_a_working_folder_has_everything_and_shares_the_content(tmp_path: Path) -> None:
    artifact, work = tmp_path / "a", tmp_path / "w"
    (artifact / "sub").mkdir(parents=True)
    work.mkdir()
    (artifact / "sub" / "weights.bin").write_bytes(b"w")
    (artifact / "link.bin").symlink_to("sub/weights.bin")
    (artifact / "sub").chmod(0o500)
    assert lay_out(artifact, work) == work
    assert (work / "sub" / "weights.bin").stat().st_ino == (artifact / "sub" / "weights.bin").stat().st_ino
    assert (work / "link.bin").read_bytes() == b"w"
    (work / "sub" / "cache").write_text("a server may write here")
    assert not (artifact / "sub" / "cache").exists()
    (artifact / "sub").chmod(0o700)


# Ends


def run(folder: Path, *command: str, log: Path) -> CommandProcess:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        return CommandProcess(CommandSettings(tuple(command)), folder, folder, descriptor)
    finally:
        os.close(descriptor)


def test_a_command_that_ignores_sigterm_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    code = "trap '' TERM; setsid sleep 600 & sleep 600 & echo ready; while :; do sleep 600; done"
    process = run(tmp_path, "bash", "-c", code, log=tmp_path / "log")
    eventually(lambda: "ready" in (tmp_path / "log").read_text(), "the command runs")
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 3
    assert process.end(0.2) == 128 + signal.SIGKILL
    assert not [member for member in family if member.is_running()]


def test_when_the_one_who_started_it_is_killed_nothing_stays(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tidegate.runtime.command.child import CommandProcess\n"
        "from tidegate.runtime.command.settings import CommandSettings\n"
        "folder = Path(sys.argv[1])\n"
        "words = ('bash', '-c', 'setsid sleep 600 & sleep 600 & echo ready; wait')\n"
        "process = CommandProcess(CommandSettings(words), folder, folder)\n"
        "time.sleep(600)\n"
    )
    log = tmp_path / "log"
    with log.open("wb") as stream:
        starter = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=stream)
    eventually(lambda: "ready" in log.read_text(), "the command runs")
    family = psutil.Process(starter.pid).children(recursive=True)
    assert len(family) >= 4
    starter.kill()
    starter.wait()
    eventually(lambda: not [member for member in family if member.is_running()], "everything ends")


def test_when_the_guard_is_killed_the_command_goes_too(tmp_path: Path) -> None:
    process = run(tmp_path, "sleep", "600", log=tmp_path / "log")
    (command,) = eventually(lambda: psutil.Process(process.pid).children(), "the command runs")
    eventually(lambda: command.name() == "sleep", "the command runs")
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not command.is_running(), "the command ends")
    assert process.end(1.0) == -signal.SIGKILL


def test_exit_codes_are_passed_on(tmp_path: Path) -> None:
    process = run(tmp_path, "sh", "-c", "exit 3", log=tmp_path / "log")
    assert eventually(process.exit_code, "it ends") == 3
    process.kill()
    assert process.end(1.0) == 3


def test_a_command_runs_under_a_process_that_has_more_than_a_thousand_files_open(tmp_path: Path) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(1100):
            opened.enter_context(Path(os.devnull).open("rb"))
        process = run(tmp_path, "sh", "-c", "echo said; exit 3", log=tmp_path / "log")
        assert eventually(process.exit_code, "it ends") == 3
        process.end(1.0)
    assert (tmp_path / "log").read_text() == "said\n"


def test_what_a_command_leaves_behind_may_write_without_end_and_it_ends_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = run(tmp_path, "sh", "-c", "setsid yes & sleep 0.2; exit 3", log=log)
    assert eventually(process.exit_code, "it ends") == 3
    process.end(1.0)
    assert log.stat().st_size < 1 << 20


def test_a_flood_of_lines_is_held_back_and_counted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as stream:
        pump = guard.Pump(stream.fileno())
        pump.take(b"".join(b"%d\n" % number for number in range(10_000)) + b"half")
        pump.take(b" a line")
        pump.finish()
    lines = log.read_text().splitlines()
    assert lines[: guard.BURST_LINES] == [str(number) for number in range(guard.BURST_LINES)]
    assert lines[-1] == "half a line"
    assert lines[-2] == f"({10_000 - guard.BURST_LINES} lines were held back)"
