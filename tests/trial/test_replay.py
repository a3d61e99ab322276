"""A recording is judged again just as it was judged, and otherwise with other settings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.recordings import REQUEST, recorded
from tidegate import judge
from tidegate.contract.errors import InvalidInput
from tidegate.trial import recording
from tidegate.trial.counting import Totals
from tidegate.trial.replay import replay


def replayed(lines: list[str], **settings: Any) -> dict[str, Any]:
    return replay(recording.read(lines, "a test"), settings)


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.3])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_recorded_settings_give_the_recorded_verdicts(rate, seed):
    told = replayed(recorded(rate, seed=seed))
    assert told["looks"] > 0
    assert told["unlike_the_record"] == 0
    assert told["differences"] == []
    assert told["settings"]["recorded"] == told["settings"]["replayed"]
    assert all(change["recorded"] == change["replayed"] for change in told["verdicts"])


def test_a_smaller_alpha_takes_back_later_or_not_at_all():
    told = replayed(recorded(0.1), alpha="0.0001%")
    assert told["unlike_the_record"] == 0
    assert told["settings"]["replayed"]["alpha"] == "0.0001%"
    assert told["steps"][0]["recorded_fail_at"] is not None
    assert told["steps"][0]["replayed_fail_at"] is None
    assert any("would not have been taken back" in sentence for sentence in told["differences"])


def test_a_promise_that_is_kept_takes_nothing_back():
    told = replayed(recorded(0.1), availability="80%")
    assert all(step["replayed_fail_at"] is None for step in told["steps"])


def test_more_requests_before_a_pass_make_it_later():
    lines = recorded(0.0, looks=400)
    usual, slower = replayed(lines)["steps"][0], replayed(lines, min_requests=100_000)["steps"][0]
    assert usual["replayed_pass_at"] == usual["recorded_pass_at"] == usual["ended_at"]
    assert usual["ended_as"] == "shifting"
    assert slower["replayed_pass_at"] is None
    assert any(
        "step 1 (10 %) would not have passed" in text for text in replayed(lines, min_requests=100_000)["differences"]
    )


def test_a_lost_line_a_doubled_one_and_one_cut_short_do_no_harm():
    lines = recorded(0.3)
    looks = [number for number, text in enumerate(lines) if '"look"' in text]
    doubled = [*lines[: looks[0] + 1], lines[looks[0]], *lines[looks[0] + 1 :]]
    assert replayed(doubled)["unlike_the_record"] == 0
    lost = [text for number, text in enumerate(lines) if number != looks[0]]
    assert replayed(lost)["steps"][0]["replayed_fail_at"] is not None
    assert replayed([*lines, lines[-1][:20]])["unlike_the_record"] == 0


def test_what_follows_the_bound_is_left_out():
    lines = recorded(0.0)
    full = [*lines[:6], recording.line("full", 9.0), *lines[6:]]
    told = replayed(full)
    assert not told["complete"]
    assert told["looks"] < replayed(lines)["looks"]


def test_a_recording_of_the_first_format_is_judged_again_as_well():
    told = replayed([in_format_1(text) for text in recorded(0.3)])
    assert told["looks"] > 0
    assert told["unlike_the_record"] == 0
    assert told["steps"][0]["recorded_fail_at"] == told["steps"][0]["replayed_fail_at"] is not None


def in_format_1(text: str) -> str:
    entry = json.loads(text)
    if entry["kind"] == "rollout":
        entry["format"] = 1
    entry.pop("mirror", None)
    for side in ("candidate", "stable", "baseline"):
        if side in entry:
            entry[side] = [entry[side][name] for name in ("requests", "errors", "rejections", "slow")]
    return json.dumps(entry)


@pytest.mark.parametrize("disagreed", [0, 9])
def test_what_other_sources_counted_is_judged_again_too(disagreed):
    request = {**REQUEST, "deploymentStrategy": "shadow", "steps": [{"shadow": 100}, 100]}
    request["analysis"] = {**REQUEST["analysis"], "disagreement": "1%"}
    first = json.loads(recorded(0.0)[0]) | {"request": request}
    nothing, lines = Totals().as_dict(), [json.dumps(first)]
    lines.append(
        recording.line("step", 0.0, step=0, weight=0, mirror=100, baseline=nothing, candidate=nothing, stable=nothing)
    )
    for look in range(1, 11):
        sides = {"candidate": judge.Tally(40 * look, disagreed * look), "stable": judge.Tally(40 * look)}
        counts = {side: Totals(400 * look, further={"disagreement": tally}) for side, tally in sides.items()}
        said = "fail" if disagreed and look > 1 else None
        lines.append(
            recording.line("look", look, verdict=said, **{side: counted.as_dict() for side, counted in counts.items()})
        )
    told = replayed(lines)
    assert told["unlike_the_record"] == 0
    assert told["verdicts"][-1]["replayed"] == ("fail" if disagreed else "pass")
    if disagreed:
        assert "answered otherwise than by stable" in told["verdicts"][-1]["reason"]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["not json"],
        ['{"kind": "look"}'],
        ['{"kind": "rollout", "format": 99}'],
        ['{"kind": "rollout", "format": 1}'],
        [recorded(0.0)[0], '{"kind": "look", "at": 1.0, "candidate": [1, 2], "stable": [1]}'],
        [recorded(0.0)[0], '{"kind": "look"}'],
        [recorded(0.0)[0], '{"kind": "look", "at": 1, "candidate": {"requests": 1}, "stable": {}}'],
        [recorded(0.0)[0], recorded(0.0)[1].replace('"requests"', '"further":[],"requests"')],
    ],
)
def test_what_is_no_recording_is_refused_with_its_name(lines):
    with pytest.raises(InvalidInput) as refused:
        recording.read(lines, "x.looks.jsonl")
    assert "x.looks.jsonl" in str(refused.value)


def test_a_setting_that_no_request_can_have_is_refused():
    with pytest.raises(InvalidInput, match=r"analysis\.margin"):
        replayed(recorded(0.0), margin="90%")
