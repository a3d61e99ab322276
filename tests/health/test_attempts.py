"""One attempt of each kind, against a real server and with real processes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.gateway.conftest import Tiny
from tidegate.gate.kept import keep
from tidegate.health.attempts import RealAttempts
from tidegate.health.base import Attempt, Check, CommandProbe, GoldenProbe, HttpProbe, Probe, PythonProbe, Replica
from tidegate.health.subprocesses import environment

NOBODY = Replica("127.0.0.1", 9, "churn", 3, 1)


def made(probe: Probe, replica: Replica | None = NOBODY, timeout_seconds: float = 20.0) -> Attempt:
    async def make() -> Attempt:
        attempts = RealAttempts()
        try:
            return await attempts.make(Check("smoke", "readiness", probe, timeout_seconds=timeout_seconds), replica)
        finally:
            await attempts.close()

    return asyncio.run(make())


def alive(marker: str) -> list[int]:
    return [
        one.pid
        for one in psutil.process_iter(["cmdline", "status"])
        if marker in " ".join(one.info["cmdline"] or ()) and one.info["status"] != psutil.STATUS_ZOMBIE
    ]


@pytest.fixture(scope="module")
def served(tiny: Callable[..., Tiny]) -> Replica:
    return Replica("127.0.0.1", tiny("one").endpoint.port, "churn", 3, 1)


@pytest.mark.parametrize(("status", "passes"), [(200, True), (302, True), (399, True), (400, False), (503, False)])
def test_http_passes_from_200_to_399(served: Replica, status: int, passes: bool) -> None:
    attempt = made(HttpProbe("/well?x=1", (("x-status", str(status)),)), served)
    assert attempt == Attempt(passes, f"answered {status}")


def test_http_fails_when_the_answer_takes_too_long(served: Replica) -> None:
    attempt = made(HttpProbe("/", (("x-delay-ms", "60000"),)), served, timeout_seconds=0.2)
    assert attempt == Attempt(passed=False, detail="no end within 0.2 s")


def test_http_fails_when_nobody_listens_and_before_the_replica_does() -> None:
    assert made(HttpProbe("/")).detail.startswith("no answer: ")
    assert made(HttpProbe("/"), None) == Attempt(passed=False, detail="it does not listen yet")


def test_golden_requests_are_compared(served: Replica, tmp_path: Path) -> None:
    request = b'{"requests": [{"post": {"path": "/x", "body": {}}, "expect": {"name": "NAME"}}]}'
    right, wrong = (keep(request.replace(b"NAME", name), ".json", tmp_path) for name in (b"one", b"two"))
    assert made(GoldenProbe(right), served) == Attempt(
        passed=True, detail="the golden request was answered as expected"
    )
    attempt = made(GoldenProbe(wrong), served)
    assert not attempt.passed
    assert 'expected "two", got "one"' in attempt.detail


def test_golden_requests_that_were_changed_are_no_pass(served: Replica, tmp_path: Path) -> None:
    attempt = made(GoldenProbe(tmp_path / "gone.json"), served)
    assert not attempt.passed
    assert "cannot be read" in attempt.detail


def test_a_command_passes_with_exit_code_0_and_is_told_the_replica(tmp_path: Path) -> None:
    words = ("sh", "-c", 'test "$1" = http://127.0.0.1:9 && test "$2" = churn/3/1 && test "$REPLICA_PORT" = 9', "sh")
    assert made(CommandProbe((*words, "{url}", "{deployment}/{revision}/{replica}"), tmp_path)).passed
    attempt = made(CommandProbe(("sh", "-c", "echo first; echo 'the cache\tis cold' >&2; exit 7"), tmp_path))
    assert attempt == Attempt(passed=False, detail="exit code 7: the cache is cold")


def test_a_program_counts_from_the_folder(tmp_path: Path) -> None:
    script = tmp_path / "well"
    script.write_text("#!/bin/sh\nexit 0\n")
    assert not made(CommandProbe(("./well",), tmp_path)).passed
    script.chmod(0o700)
    assert made(CommandProbe(("./well",), tmp_path)).passed


def test_a_command_gets_none_of_the_controllers_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_SLACK_URL", "hush")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    assert made(CommandProbe(("sh", "-c", "env > seen"), tmp_path)).passed
    seen = (tmp_path / "seen").read_text()
    assert "hush" not in seen
    assert "REPLICA_URL=http://127.0.0.1:9" in seen
    assert set(environment({"PATH": "/bin", "LC_ALL": "C", "DATABASE_PASSWORD": "x"}, None)) == {"PATH", "LC_ALL"}


def test_a_command_that_writes_without_end_fills_no_memory_and_ends_with_its_time(tmp_path: Path) -> None:
    before = psutil.Process().memory_info().rss
    attempt = made(CommandProbe(("sh", "-c", "yes 0123456789"), tmp_path), timeout_seconds=1.0)
    assert attempt == Attempt(passed=False, detail="no end within 1 s")
    assert psutil.Process().memory_info().rss - before < 50_000_000
    said = made(CommandProbe(("sh", "-c", f"printf %s {'x' * 5000}; exit 1"), tmp_path)).detail
    assert len(said) < 300


def test_at_its_limit_a_command_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    marker = f"check-marker-{os.getpid()}-{time.monotonic_ns()}"
    # A child, and one that left the process group and ignores SIGTERM.
    script = f"trap '' TERM; sh -c 'sleep 600; : {marker}' & setsid sh -c 'sleep 600; : {marker}' & touch up; wait"
    attempt = made(CommandProbe(("sh", "-c", script), tmp_path), timeout_seconds=2.0)
    assert attempt.detail == "no end within 2 s"
    assert (tmp_path / "up").exists()
    assert alive(marker) == []


def test_what_a_command_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    marker = f"check-marker-{os.getpid()}-{time.monotonic_ns()}"
    script = f"setsid sh -c 'sleep 600; : {marker}' >/dev/null 2>&1 & sleep 0.2; exit 0"
    assert made(CommandProbe(("sh", "-c", script), tmp_path)).passed
    assert alive(marker) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return None", "exit code 0"),
        ("return True", "exit code 0"),
        ("return False", "exit code 1: it returned False"),
        ("return 'well'", "exit code 1: it returned 'well', not True, False or nothing"),
        ("raise ValueError('no\\nrows')", "exit code 1: ValueError: no rows"),
        ("import os; os._exit(9)", "exit code 9"),
    ],
)
def test_a_python_entry_point_runs_in_a_process_of_its_own(tmp_path: Path, body: str, expected: str) -> None:
    (tmp_path / "checks.py").write_text(f"def well(url):\n    assert url == 'http://127.0.0.1:9'\n    {body}\n")
    attempt = made(PythonProbe("checks:well", tmp_path))
    assert attempt == Attempt(expected == "exit code 0", expected)


def test_modules_of_ours_are_not_found_as_those_of_a_check(tmp_path: Path) -> None:
    attempt = made(PythonProbe("standing:after", tmp_path))
    assert "No module named 'standing'" in attempt.detail
