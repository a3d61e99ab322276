"""What a dry run says, from the document that the controller answers with."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.cli.preview import preview_lines
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.controller.plan_view import freezes_view, judge_view, plan_view
from tidegate.store import FreezeRow, RevisionRow

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FOUR = {"resources": {"replicas": 4}}


def request(**fields: Any) -> DeploymentRequest:
    return parse_request({"modelArtifact": {"path": "/m.onnx"}, "servingRequirements": {}, **fields})


STABLE = RevisionRow(1, 3, "a0", request().as_document(), NOW)
PREVIEW: dict[str, Any] = {
    "deployment": "churn",
    "action": "rollout",
    "stable": 3,
    "artifact": {
        "digest": "a1",
        "runtime": "onnx",
        "format": "onnx",
        "framework_version": None,
        "trusted": False,
        "size_bytes": 10,
        "memory_bytes": 10,
        "signature": {
            "kind": "tensors",
            "inputs": [{"name": f"x{at}", "datatype": "FP32", "shape": [-1, 4]} for at in range(10)],
            "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
        },
    },
    "arms": [],
    "contract": {"against": 3, "breaking": [], "allowed": False, "harmless": [], "unknown": None},
    "golden": {"requests": 1, "file": "/golden.yaml"},
    "readiness": [{"check": "memory", "level": "pass", "reason": "enough"}],
    "freezes": [],
    "plan": plan_view(request(infrastructure={"resources": {"workers": 2}}), STABLE),
    "judge": judge_view(request(), STABLE),
    "warnings": ["a step is short"],
    "refusals": [],
}


def told(**changes: Any) -> str:
    return "\n".join(preview_lines({**PREVIEW, **changes}))


def planned(stable: RevisionRow = STABLE, **fields: Any) -> str:
    """Return what is said of the plan and the judge of a request, as it comes out of JSON."""
    asked = request(**fields)
    document = {"plan": plan_view(asked, stable), "judge": judge_view(asked, stable)}
    return told(**json.loads(json.dumps(document)))


def steps(text: str) -> list[list[str]]:
    """Return the cells of each step: users, what happens, what ends it well, how long it takes."""
    return [re.split(r" {2,}", line.strip())[1:] for line in text.splitlines() if re.match(r" {11}\d+ {2,}", line)]


def test_a_rollout_is_told_from_the_model_to_the_judge() -> None:
    text = told()
    assert "x7 FP32 [-1, 4] and 2 more" in text
    assert "of revision 3 can go on as they are" in text
    assert "1 request of /golden.yaml, asked before any user meets it; a wrong answer takes it back" in text
    assert "plan       canary: start 2 replicas of 2 workers, within 1 min" in text
    assert "errors: takes it back for requests that failed; objective 0.1 %, margin 2 %, 50 requests at least" in text
    assert "warnings   a step is short" in text
    assert text.endswith("It would begin. Deploy without --dry-run.")


def test_what_would_not_begin_says_so() -> None:
    breaking = {**PREVIEW["contract"], "breaking": ["input x: gone"]}
    text = told(contract=breaking, refusals=[{}, {}])
    assert "of revision 3 break:\n             input x: gone" in text
    assert text.endswith("It would be refused, for 2 reasons:")
    assert "break (allowed):" in told(contract={**breaking, "allowed": True})
    assert "may break, or not: nobody knows" in told(contract={**PREVIEW["contract"], "unknown": "nobody knows"})
    assert "model      was refused, see below" in told(artifact=None)
    same = told(action="none", judge=None)
    assert "nothing: revision 3 is exactly this model with these settings" in same
    assert same.endswith("Nothing to do.")


def test_a_first_revision_has_no_steps_and_no_judge() -> None:
    first = {**PREVIEW["contract"], "against": None}
    plan = plan_view(request(), None)
    text = told(action="first", stable=None, contract=first, plan=plan, judge=None, golden=None)
    assert "none yet: the first revision" in text
    assert "then all traffic" in text
    assert ("golden" in text, "way back" in text, plan["steps"], plan["way_back"]) == (False, False, [], None)


def test_a_canary_with_a_shadow_a_pause_and_a_bake_tells_what_each_step_is_and_how_long_it_takes() -> None:
    listed = [
        {"shadow": 20, "duration": "30m", "replicas": 1},
        {"pause": "10m"},
        {"weight": 0.5},
        {"pause": "person"},
        100,
        {"bake": "1h"},
    ]
    text = planned(steps=listed)
    assert steps(text) == [
        ["none", "20 % of the requests are copied to it, on 1 of its 2 replicas", "the judge's pass", "at most 30 min"],
        ["none", "everything stays as it is", "time without harm", "10 min"],
        ["0.5 %", "the judge compares it with stable", "the judge's pass", "at most 5 min"],
        ["0.5 %", "everything stays as it is", "tidegate resume", "until you say so"],
        ["100 %", "the judge compares it with stable", "the judge's pass", "at most 5 min"],
        ["100 %", "stable stays ready beside it", "time without harm", "1 h"],
    ]
    assert "whose 2 replicas stay ready to the end, by a change of the split" in text
    assert plan_view(request(steps=listed), STABLE)["steps"][1] == {
        "kind": "pause",
        "weight": 0,
        "duration_seconds": 600.0,
        "until": "time",
        "mirror": 20,
        "replicas": 1,
        "stable_replicas": None,
    }


def test_a_shadow_copies_and_waits_for_a_person() -> None:
    assert steps(planned(deploymentStrategy="shadow")) == [
        ["none", "10 % of the requests are copied to it", "the judge's pass", "at most 5 min"],
        ["none", "everything stays as it is", "tidegate resume", "until you say so"],
    ]


def test_a_blue_green_has_a_preview_a_person_and_a_switch() -> None:
    switch = {"preview": "1m", "switch": "person", "bake": "30m"}
    assert steps(planned(deploymentStrategy="blue-green", blueGreen=switch)) == [
        ["none", "it stands ready at its preview address", "time without harm", "1 min"],
        ["none", "everything stays as it is", "tidegate resume", "until you say so"],
        ["100 %", "it gets all requests, and stable stays ready beside it", "time without harm", "30 min"],
    ]


def test_a_rolling_exchange_tells_the_replicas_of_both_sides_and_that_the_way_back_takes_a_while() -> None:
    stable = RevisionRow(1, 3, "a0", request(infrastructure=FOUR).as_document(), NOW)
    asked = {"deploymentStrategy": "rolling", "infrastructure": FOUR, "rolling": {"hold": "30s"}}
    text = planned(stable, **asked)
    assert steps(text) == [
        ["25 %", "stable keeps 3 of its replicas, on 1 of its 4 replicas", "time without harm", "30 s"],
        ["50 %", "stable keeps 2 of its replicas, on 2 of its 4 replicas", "time without harm", "30 s"],
        ["75 %", "stable keeps 1 of its replicas, on 3 of its 4 replicas", "time without harm", "30 s"],
        ["100 %", "stable keeps none of its replicas, on 4 of its 4 replicas", "time without harm", "30 s"],
    ]
    assert "to revision 3, whose replicas that are gone by then are started again" in text
    assert plan_view(request(**asked), stable)["way_back"] == {"revision": 3, "is_instant": False}


def test_who_decides_is_told_that_a_reason_is_demanded() -> None:
    gates = {"requireReason": True}
    assert "people     who promotes or resumes must say why (--reason); to pause, abort" in planned(gates=gates)
    tested = planned(gates=gates, deploymentStrategy="ab-test")
    assert "people     who promotes, resumes or gives an arm more weight must say why (--reason)" in tested
    assert "people" not in planned()


def test_the_arms_of_an_ab_test_are_told_each_with_its_model_and_its_users() -> None:
    arms = [
        {"name": "b", "weight": 20, "modelArtifact": {"path": "/b.onnx"}},
        {"name": "c", "weight": 0.5, "modelArtifact": {"path": "/c.onnx"}},
    ]
    text = told(
        arms=[
            {"name": "b", "weight": 20, "artifact": PREVIEW["artifact"]},
            {"name": "c", "weight": 0.5, "artifact": None},
        ],
        plan=plan_view(request(deploymentStrategy="ab-test", abTest={"arms": arms}), STABLE),
    )
    assert "arm b      onnx (onnx); loaded and tried" in text
    assert "arm c      was refused, see below" in text
    assert "20 % of the users get b" in text
    assert "0.5 % of the users get c" in text
    assert steps(text) == [
        ["20.5 %", "each user stays with an arm, and the arms are compared", "tidegate promote", "until you say so"]
    ]


@pytest.mark.parametrize(
    ("settings", "then"),
    [
        ({}, "takes it back for requests that failed"),
        ({"critical": False}, "a warning for requests that failed"),
        ({"dryRun": True}, "only shown for requests that failed"),
        ({"weight": 3}, "50 requests at least, weight 3 in the score"),
    ],
)
def test_what_follows_from_harm_is_told_of_each_signal(settings: dict[str, Any], then: str) -> None:
    text = planned(analysis={"signals": {"errors": settings}})
    (line,) = [line for line in text.splitlines() if " errors: " in line]
    assert then in line
    (signal,) = judge_view(request(analysis={"signals": {"errors": settings}}), STABLE)["signals"][:1]
    assert (signal["critical"], signal["dry_run"], signal["weight"]) == (
        settings.get("critical", True),
        settings.get("dryRun", False),
        settings.get("weight", 1),
    )


def test_signals_of_other_kinds_say_what_follows_from_them_too() -> None:
    metric = {"name": "drift", "http": {"url": "http://x/y"}, "successCondition": "result < 1", "critical": False}
    text = planned(
        analysis={
            "metrics": [metric],
            "predictions": {"tolerance": "5%", "dryRun": True},
            "resources": {"memory": {"critical": False}, "cpu": {}},
        }
    )
    assert "drift: measured every" in text
    assert "; a warning when a measurement fails: not result < 1" in text
    assert "predictions: only shown when they are distributed otherwise than stable's by more than 5 %" in text
    assert "memory: a warning when a replica's own memory lies" in text
    assert "cpu: takes it back when a request's processor time lies" in text
    assert "predictions:" not in planned()


@pytest.mark.parametrize(
    ("on_inconclusive", "on_warning", "said"),
    [
        ("pause", "pause", "in the time of a step: wait for a person; a warning: wait for a person;"),
        ("rollback", "continue", "in the time of a step: take it back; a warning: go on;"),
        ("continue", "pause", "in the time of a step: go on; a warning: wait for a person;"),
    ],
)
def test_what_follows_without_a_clear_pass_is_told(on_inconclusive: str, on_warning: str, said: str) -> None:
    assert said in planned(analysis={"onInconclusive": on_inconclusive, "onWarning": on_warning})


def test_who_is_asked_and_told_and_what_replicas_are_checked_by_is_told_without_a_secret() -> None:
    text = planned(
        healthChecks={
            "liveness": {"period": "20s"},
            "custom": [{"name": "queue", "http": {"path": "/queue"}, "critical": True}],
        },
        hooks=[
            {"name": "office", "type": "confirm-promotion", "url": "http://office/ok", "waitAtMost": "2h"},
            {"name": "ask", "type": "confirm-rollout", "urlFromEnv": "TIDEGATE_ASK"},
            {"name": "load", "type": "pre-rollout", "url": "http://load/run", "retries": 1, "onFailure": "continue"},
            {"name": "watch", "type": "rollback", "url": "http://watch"},
            {"name": "sales", "type": "rollout", "url": "http://sales"},
            {"name": "log", "type": "event", "url": "http://log"},
        ],
        notifications=[{"name": "chat", "urlFromEnv": "TIDEGATE_CHAT", "when": ["rolled-back", "waiting"]}],
    )
    for line in (
        "checks     liveness: asks its server every 20 s, for 1.0 s at most; 3 failures in a row: the replica",
        "3 failures in a row: the replica gets no requests, and a candidate is taken back",
        "hooks      confirm-promotion: office at http://office/…; waits for a 200 for 2 h at most, then it is taken",
        "confirm-rollout: ask at $TIDEGATE_ASK; waits for a 200\n",
        "pre-rollout: load at http://load/…; more than 1 failed call in a row: the rollout goes on",
        "rollback: watch at http://watch; asked every 5.0 s; a 2xx takes it back; more than 3 failed calls in a row:",
        "rollout: sales at http://sales; asked every 5.0 s; without a 2xx it is taken back",
        "event: log at http://log; is told",
        "tells      chat at $TIDEGATE_CHAT: rolled-back, waiting",
    ):
        assert line in text
    assert not re.search("^(checks|hooks|tells|freezes)", planned(), re.MULTILINE)


def test_freezes_that_hold_or_will_are_told_and_those_of_others_are_not() -> None:
    def freeze(number: int, deployment: str | None, start: int, **more: Any) -> FreezeRow:
        begins, ends = NOW.replace(month=start), NOW.replace(month=start + 2)
        return FreezeRow(number, deployment, "audit", "ada", begins, ends, NOW, **more)

    rows = [
        freeze(1, None, 2),
        freeze(2, "churn", 5),
        freeze(3, "other", 2),
        freeze(4, None, 1),
        freeze(5, None, 2, removed_at=NOW, removed_by="ada"),
    ]
    found = freezes_view(rows, "churn", NOW)
    assert [(one["id"], one["holds"]) for one in found] == [(1, True), (2, False)]
    text = told(freezes=found)
    assert re.search(r"freezes    1 of every deployment holds until 2026-04-0\S+ \(ada: audit\)", text)
    assert re.search(r"2 of churn will hold from 2026-0\S+ until 2026-0\S+ \(ada: audit\)", text)
