"""stack/docker/reloading.sh: a server reads anew when what it reads changes, and ends as it is told."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "stack" / "docker" / "reloading.sh"
PATIENCE_SECONDS = 30.0

#: Says what it gets, and ends with 7 on SIGTERM and SIGQUIT, or when it is told to by a file.
SERVER = """
import pathlib, signal, sys, time
def told(number, frame):
    print(signal.Signals(number).name, flush=True)
    if number != signal.SIGHUP:
        sys.exit(7)
for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
    signal.signal(number, told)
print("ready", flush=True)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.05)
sys.exit(3)
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "watched").write_text("one")
    command = [
        # Whoever runs the tests without a terminal may have these ignored, which a shell cannot undo.
        *("env", "--default-signal=HUP,QUIT,TERM"),
        "sh",
        str(SCRIPT),
        "0.2",
        f"cksum {tmp_path}/watched",
        sys.executable,
        "-c",
        SERVER,
        str(tmp_path / "end"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert said(process) == "ready"
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], PATIENCE_SECONDS)
    assert readable, "it says nothing, and does not end"
    return process.stdout.readline().strip()


def test_a_change_is_told_to_the_server_once(running: subprocess.Popen[str], tmp_path: Path) -> None:
    (tmp_path / "new").write_text("two")
    (tmp_path / "new").replace(tmp_path / "watched")
    assert said(running) == "SIGHUP"
    (tmp_path / "end").touch()
    assert said(running) == "", "it was told again though nothing had changed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_to_end_reaches_the_server_and_its_exit_code_is_the_scripts(
    running: subprocess.Popen[str], number: signal.Signals
) -> None:
    running.send_signal(number)
    assert said(running) == number.name
    assert running.wait(PATIENCE_SECONDS) == 7


def test_the_script_ends_with_a_server_that_ends_by_itself(running: subprocess.Popen[str], tmp_path: Path) -> None:
    (tmp_path / "end").touch()
    assert running.wait(PATIENCE_SECONDS) == 3
