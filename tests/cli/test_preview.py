"""What a dry run says, from the document that the controller answers with."""

from __future__ import annotations

from typing import Any

from tidegate.cli.preview import preview_lines

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
    "golden": {"requests": 1},
    "readiness": [{"check": "memory", "level": "pass", "reason": "enough"}],
    "plan": {
        "strategy": "canary",
        "replicas": 2,
        "workers": 2,
        "ready_within_seconds": 60.0,
        "max_restarts": 3,
        "baseline_seconds": 5.0,
        "arms": [],
        "steps": [
            {"weight": 5, "duration_seconds": 300.0, "until": "pass"},
            {"weight": 100, "duration_seconds": 300.0, "until": "pass"},
        ],
        "on_inconclusive": "pause",
    },
    "judge": {
        "alpha": 0.01,
        "requests_to_pass": 290,
        "signals": [
            {"signal": "errors", "verb": "failed", "objective": 0.001, "margin": 0.02, "min_requests": 50},
        ],
    },
    "warnings": ["a step is short"],
    "refusals": [],
}


def told(**changes: Any) -> str:
    return "\n".join(preview_lines({**PREVIEW, **changes}))


def test_a_rollout_is_told_from_the_model_to_the_judge() -> None:
    text = told()
    assert "x7 FP32 [-1, 4] and 2 more" in text
    assert "of revision 3 can go on as they are" in text
    assert "1 request, asked before any user meets it" in text
    assert "start 2 replicas of 2 workers, within 1 min" in text
    assert "5 % of the traffic for 5 min at most" in text
    assert "errors: requests that failed; objective 0.1 %, margin 2 %, 50 requests at least" in text
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
    text = told(action="first", stable=None, contract=first, judge=None, golden=None)
    assert "none yet: the first revision" in text
    assert "then all traffic" in text
    assert "golden" not in text


def test_the_arms_of_an_ab_test_are_told_each_with_its_model_and_its_users() -> None:
    plan = {
        **PREVIEW["plan"],
        "arms": [{"name": "b", "weight": 20}, {"name": "c", "weight": 0.5}],
        "steps": [{"weight": 20.5, "duration_seconds": 0.0, "until": "person"}],
    }
    text = told(
        arms=[
            {"name": "b", "weight": 20, "artifact": PREVIEW["artifact"]},
            {"name": "c", "weight": 0.5, "artifact": None},
        ],
        plan=plan,
    )
    assert "arm b      onnx (onnx); loaded and tried" in text
    assert "arm c      was refused, see below" in text
    assert "20 % of the users get b" in text
    assert "0.5 % of the users get c" in text
    assert "20.5 % of the traffic until a person decides" in text
