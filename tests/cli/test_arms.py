"""A/B tests on the command line: how arms and weights are typed, and how the evidence is shown."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tidegate.cli.commands.decide import weights_from
from tidegate.cli.document import parsed_arm, request_from
from tidegate.cli.progress import outcome_error
from tidegate.cli.render import status_view
from tidegate.contract.errors import InvalidInput

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAIR = {"signal": "errors", "better": "b", "worse": "stable", "evidence": 0.4, "shown": False}
PASSED = {"outcome": "pass", "score": 97, "reason": "fine"}
ARMS = [
    {"name": "stable", "revision": 1, "weight": 75, "out": None, "verdict": None},
    {
        "name": "b",
        "revision": 2,
        "weight": 20,
        "out": None,
        "verdict": {"outcome": "pass", "score": 97, "reason": "fine"},
    },
    {"name": "c", "revision": 3, "weight": 5, "out": None, "verdict": None},
    {"name": "d", "revision": 4, "weight": 0, "out": "errors: 9 of 40 failed", "verdict": None},
]
ROLLOUT: dict[str, Any] = {
    "id": "7",
    "deployment": "churn",
    "from_revision": 1,
    "to_revision": 2,
    "phase": "paused",
    "waiting_for": "a person",
    "reason": "20 % of the users get b",
    "weight": 25,
    "steps": [{"weight": 30, "mirror": 0, "until": "person", "duration_seconds": 0}],
    "step_index": 0,
    "started_at": "2026-11-23T11:00:00+00:00",
    "ended_at": None,
    "arms": ARMS,
    "comparison": {"alpha": 0.01, "pairs": [PAIR], "statements": [], "best": None},
}


def shown(**rollout: Any) -> str:
    status = {
        "name": "churn",
        "phase": "paused",
        "stable": 1,
        "candidate": 2,
        "split_asked": {"1": 75, "2": 20, "3": 5},
        "replicas": {},
        "rollout": {**ROLLOUT, **rollout},
    }
    text = io.StringIO()
    Console(file=text, width=160).print(status_view(status, NOW))
    return text.getvalue()


def test_who_is_waited_for_is_told_that_a_reason_is_demanded() -> None:
    several = outcome_error("churn", {**ROLLOUT, "reason_required": True}).hint or ""
    assert 'tidegate promote churn --arm b --reason "…"   takes revision 2' in several
    one = outcome_error("churn", {**ROLLOUT, "arms": None, "reason_required": True}).hint or ""
    for line in one.splitlines():
        assert ("--reason" in line) == ("abort" not in line)
    assert "--reason" not in (outcome_error("churn", ROLLOUT).hint or "")


def test_arms_are_shown_by_name_with_what_is_said_of_each() -> None:
    text = shown()
    assert "2 b " in text
    assert "3 c " in text
    assert "pass (score 97): fine" in text
    assert "out: errors: 9 of 40 failed" in text
    assert "no arm is better than another yet; nearest: b better than stable on errors, 40 % of the way" in text
    assert "all together with 99 %" in text


def test_what_is_shown_of_arms_is_said_and_the_best_one_named() -> None:
    said = "b is better than stable on errors: 1 of 900 (0.11 %) against 40 of 900 (4.4 %) failed"
    text = shown(comparison={"alpha": 0.05, "pairs": [PAIR], "statements": [said], "best": "b"})
    assert said in text
    assert "best: b" in text
    assert "yet" not in text


def test_who_waits_is_told_how_to_choose_among_the_arms_that_are_in() -> None:
    told = outcome_error("churn", ROLLOUT)
    assert told.hint is not None
    assert "tidegate promote churn --arm b" in told.hint
    assert "tidegate promote churn --arm c" in told.hint
    assert "--arm d" not in told.hint
    assert "tidegate abort churn" in told.hint


def test_arms_are_typed_as_file_and_percent_with_or_without_a_name(tmp_path: Path) -> None:
    file = str(tmp_path / "b.zip")
    assert parsed_arm("b.zip:20", tmp_path) == {"modelArtifact": {"path": file}, "weight": 20.0}
    assert parsed_arm("blue=b.zip:0.5", tmp_path) == {"modelArtifact": {"path": file}, "weight": 0.5, "name": "blue"}
    with pytest.raises(InvalidInput, match="such as"):
        parsed_arm("b.zip", tmp_path)
    with pytest.raises(InvalidInput, match="such as"):
        parsed_arm("b.zip:many", tmp_path)


def test_arms_of_a_command_line_make_an_ab_test_and_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip", "c.zip"):
        (tmp_path / name).write_bytes(b"a model")
    flags = {"MODEL": "a.zip", "--strategy": "ab-test", "--arm": ["b.zip:20", "c.zip:20"]}
    request = request_from(flags, None, tmp_path)
    assert request["modelArtifact"]["path"] == str(tmp_path / "a.zip")
    assert [(arm["name"], arm["weight"]) for arm in request["abTest"]["arms"]] == [("b", 20), ("c", 20)]
    with pytest.raises(InvalidInput, match="no such file"):
        request_from({**flags, "--arm": ["b.zip:20", "z.zip:20"]}, None, tmp_path)
    with pytest.raises(InvalidInput, match="--strategy ab-test"):
        request_from({**flags, "--strategy": None}, None, tmp_path)


def test_weights_are_typed_as_arm_and_percent() -> None:
    assert weights_from(["b=30", "c=0.5%", "d=0"]) == {"b": 30.0, "c": 0.5, "d": 0.0}


@pytest.mark.parametrize("typed", ["b", "b=", "=3", "b=x", "b=-1", "b=101"])
def test_a_weight_that_is_none_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput, match="is no weight of an arm"):
        weights_from([typed])


def test_an_arm_is_named_once() -> None:
    with pytest.raises(InvalidInput, match="no weight of an arm"):
        weights_from(["b=1", "b=2"])
