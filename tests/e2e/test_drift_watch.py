"""A deployment is watched for drift by what its replicas count, with a real model behind a real Envoy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.e2e.conftest import Tidegate, eventually
from tests.support import models
from tests.support.quick_models import with_answers

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def watching(tidegate: Tidegate, reference: Path, *more: str, name: str = "watched") -> subprocess.Popen[str]:
    """Start the watch with an interval that is short for a test."""
    command = [sys.executable, "-c", "from tidegate.cli.main import main; main()"]
    return subprocess.Popen(
        [*command, "drift", "watch", name, str(reference), "--interval", "3s", *more],
        env={**os.environ, "TIDEGATE_HOME": str(tidegate.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def once(tidegate: Tidegate, reference: Path, name: str = "watched") -> tuple[int, Any]:
    process = watching(tidegate, reference, "--once", "--output", "json", name=name)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (0, 4, 5, 9), err
    return process.returncode, json.loads(out)


def test_requests_like_the_reference_are_no_drift_and_others_are(tidegate: Tidegate, good_model: Path) -> None:
    assert tidegate.ended(tidegate.deploy("watched", good_model))["outcome"] == "promoted"
    rows = models.flights(6_000, seed=9)
    reference = tidegate.folder / "reference.parquet"
    drifting = ("hour", "prediction", "probabilities of 1")
    answered = pd.DataFrame(with_answers(good_model, rows.iloc[:3_000]))
    answered.to_parquet(reference)
    later = rows.iloc[3_000:]

    code, nothing = once(tidegate, reference)
    assert code == 4
    assert "nothing that the reference knows was counted" in nothing["error"]["message"]

    alike = tidegate.traffic("watched", rate=150.0, documents=[{"records": [row]} for row in models.records(later)])
    code, told = once(tidegate, reference)
    assert code == 0, told
    assert told["rows"] > 100
    assert {column["column"] for column in told["columns"]} == set(answered.columns)

    process = watching(tidegate, reference, "--period", "6s")
    assert process.stdout is not None
    while "column" not in (line := process.stdout.readline()):
        assert line, "the watch ended"
    alike.stop()
    night = later[later["hour"] > 17]
    other = tidegate.traffic("watched", rate=150.0, documents=[{"records": [row]} for row in models.records(night)])
    waiting = set(drifting)
    while waiting:
        line = process.stdout.readline()
        assert line, "the watch ended"
        waiting -= {column for column in waiting if f"  {column}: " in line and "→ large" in line}
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130

    code, told = once(tidegate, reference)
    other.stop()
    assert code == 9, told
    found = {column["column"]: column for column in told["columns"]}
    for name in drifting:
        assert (found[name]["state"], found[name]["psi"] > 0.25) == ("large", True)
    assert found["month"]["state"] not in ("moderate", "large")

    # Nobody asks any more, so replicas stop to count by themselves.
    counted = list((tidegate.home / "replicas").rglob("count.json"))
    assert counted
    eventually(
        "the wish's end", lambda: all(json.loads(file.read_text())["until"] < time.time() for file in counted), 30
    )


def test_a_deployment_that_is_not_there_is_not_watched(tidegate: Tidegate, tmp_path: Path) -> None:
    reference = tmp_path / "reference.parquet"
    pd.DataFrame(models.flights(100, seed=1)).to_parquet(reference)
    code, told = once(tidegate, reference, name="nobody")
    assert code == 5
    assert told["error"]["code"] == "not_found"
