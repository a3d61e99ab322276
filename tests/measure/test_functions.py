"""A Python function of the user's own, called in a real process that can do no harm to ours."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.prometheus import until
from tidegate.contract.metrics import Metric
from tidegate.measure import Asked, UnmeasurableError, ask

ASKED = Asked("churn", candidate=7, stable=6, revision=6)


def asked(path: Path, source: str | None = None, **python: Any) -> Any:
    if source is not None:
        path.write_text(source)
        path.chmod(0o600)
    fields = {"name": "m", "python": {"path": str(path), "trust": True, **python}, "successCondition": "result == 1"}
    return asyncio.run(ask(Metric.model_validate(fields, by_alias=True, by_name=False), ASKED))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ours.py"


def test_it_gets_whom_it_is_asked_about_and_its_answer_is_the_result(path: Path) -> None:
    source = "def measure(asked):\n    print('noise')\n    return asked"
    assert asked(path, source) == {"deployment": "churn", "candidate": 7, "stable": 6, "revision": 6}


def test_numpy_and_modules_beside_the_file_can_be_used(path: Path) -> None:
    path.with_name("helper.py").write_text("import numpy\ndef mean(x): return numpy.mean(x)")
    assert asked(path, "import helper\ndef score(_): return [helper.mean([1, 2])]", function="score") == [1.5]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("def measure(asked):\n    return 1 / 0", r"ours\.py, line 2: ZeroDivisionError"),
        ("def other(asked): return 1", "no function measure"),
        ("measure = 3", "no function measure"),
        ("def measure(asked) return 1", "SyntaxError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("import os\nos._exit(7)", "exit code 7"),
        ("def measure(asked): return object()", "object is no JSON value"),
        ("def measure(asked): return 'x' * 100_000", "more than 64 KiB"),
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("def measure(asked):\n    raise ValueError('x' * 100_000)", "ValueError"),
    ],
)
def test_what_goes_wrong_in_it_is_told_in_a_sentence(path: Path, source: str, why: str) -> None:
    with pytest.raises(UnmeasurableError, match=why) as refused:
        asked(path, source)
    assert len(str(refused.value)) <= 300


def test_what_does_not_return_is_killed_with_all_that_it_started(path: Path) -> None:
    source = f"""
import os, pathlib, subprocess, sys, time
def measure(asked):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path({str(path.with_name("pids"))!r}).write_text(f"{{os.getpid()}} {{child.pid}}")
    time.sleep(600)
"""
    with pytest.raises(UnmeasurableError, match="did not return within 3 s"):
        asked(path, source, timeout="3s")
    pids = [int(pid) for pid in path.with_name("pids").read_text().split()]
    assert len(pids) == 2
    until(lambda: not any(_lives(pid) for pid in pids))


def test_what_it_leaves_behind_when_it_returns_is_killed_too(path: Path) -> None:
    source = """
import subprocess, sys
def measure(asked):
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid
"""
    pid = asked(path, source)
    until(lambda: not _lives(pid))


def test_it_sees_no_variable_of_ours(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_TOKEN", "s3cr3t")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    seen = asked(path, "import os\ndef measure(asked): return dict(os.environ)")
    assert "TIDEGATE_TOKEN" not in seen
    assert "PYTHONPATH" not in seen
    assert set(seen) <= {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH"}


def test_a_file_that_others_may_write_is_not_run(path: Path) -> None:
    path.write_text("def measure(asked): return 1")
    path.chmod(0o666)
    with pytest.raises(UnmeasurableError, match=r"written by others \(chmod go-w\)"):
        asked(path)
    with pytest.raises(UnmeasurableError, match="No such file"):
        asked(path.with_name("gone.py"))
    os.mkfifo(path.with_name("pipe.py"))
    with pytest.raises(UnmeasurableError, match="no regular file"):
        asked(path.with_name("pipe.py"))


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
