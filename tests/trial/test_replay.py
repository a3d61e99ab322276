"""A recording is judged again just as it was judged, and otherwise with other settings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.recordings import BOUNDS, REQUEST, recorded
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


def without_bounds(text: str) -> str:
    entry = json.loads(text)
    entry.pop("bounds", None)
    for side in ("candidate", "stable", "baseline"):
        if side in entry:
            entry[side].pop("slower", None)
    return json.dumps(entry)


def test_a_shorter_p99_takes_back_what_passed_and_a_longer_one_lets_pass_what_was_taken_back():
    slower, slowest = recorded(0.0, candidate_ms=50.0, looks=400), recorded(0.0, candidate_ms=80.0)
    assert replayed(slower)["steps"][0]["recorded_fail_at"] is None
    told = replayed(slower, p99="60ms")
    assert told["settings"]["replayed"]["p99"] == "60ms"
    assert told["steps"][0]["replayed_fail_at"] is not None
    assert "took 60ms or longer" in told["verdicts"][-1]["reason"]
    assert replayed(slowest)["steps"][0]["recorded_fail_at"] is not None
    assert all(step["replayed_fail_at"] is None for step in replayed(slowest, p99="400ms")["steps"])


@pytest.mark.parametrize(("asked", "used"), [("95ms", 100), ("0.1s", 100), ("81ms", 90), ("25ms", 25), ("301ms", 350)])
def test_a_p99_between_two_bounds_is_judged_at_the_one_above_and_it_is_said(asked, used):
    told = replayed(recorded(0.0), p99=asked)
    assert told["latency"]["used_ms"] == used
    assert told["latency"]["bounds_ms"] == sorted([*BOUNDS, 100])
    assert told["settings"]["replayed"]["p99"] == f"{used}ms"


def test_the_recorded_p99_is_replayed_as_if_none_was_given():
    lines = recorded(0.02, candidate_ms=50.0)
    assert replayed(lines, p99="100ms") == replayed(lines)


@pytest.mark.parametrize("asked", ["24ms", "401ms", "10s"])
def test_a_p99_beyond_what_was_recorded_is_refused_with_what_was(asked):
    with pytest.raises(InvalidInput, match="rollout 7 of churn") as refused:
        replayed(recorded(0.0), p99=asked)
    assert refused.value.expected == "a duration from 25ms to 400ms, where slow requests were counted"


def test_a_recording_without_bounds_replays_as_before_and_at_its_own_p99_alone():
    lines = recorded(0.3)
    before = [without_bounds(text) for text in lines]
    told, usual = replayed(before), replayed(lines)
    assert (told["verdicts"], told["steps"]) == (usual["verdicts"], usual["steps"])
    assert told["latency"]["bounds_ms"] == [100]
    assert replayed(before, p99="100ms") == told
    with pytest.raises(InvalidInput, match="was not recorded") as refused:
        replayed([in_format_1(text) for text in before], p99="80ms")
    assert "100ms" in refused.value.expected
    assert "earlier version" in refused.value.expected


@given(st.integers(0, 50), st.integers(10, 120))
@settings(max_examples=15, deadline=None)
def test_a_longer_p99_never_counts_more_requests_as_slow(seed, candidate_ms):
    known = recording.read(recorded(0.0, looks=20, seed=seed, candidate_ms=candidate_ms), "a test")
    for entry in known.entries:
        for counted in (value for value in entry.values() if isinstance(value, Totals)):
            by_bound = sorted([*zip(known.bounds, counted.slower, strict=True), (100, counted.slow)])
            slower = [count for _, count in by_bound]
            assert slower == sorted(slower, reverse=True)


def test_counts_by_bounds_that_did_not_change_or_are_zero_take_no_room():
    first, same = Totals(9, slower=(4, 1, 0, 0)), Totals(12, slower=(4, 1, 0, 0))
    assert recording.counts_line(first)["slower"] == [4, 1]
    assert "slower" not in recording.counts_line(same, first)
    assert recording.counts_line(Totals(3, slower=(0, 0, 0, 0)))["slower"] == []


def test_how_requests_failed_is_in_no_line_since_no_rule_asks() -> None:
    line = recording.counts_line(Totals(3, errors=1, failed_as={"503": 1}))
    assert line == {"requests": 3, "errors": 1, "rejections": 0, "slow": 0}


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
        [recorded(0.0)[0], recorded(0.0)[1].replace('"slower":[', '"slower":[9,9,9,9,9,9,9,9,9,9,9,9,')],
        [recorded(0.0)[0].replace('"bounds":[', '"bounds":[null,'), recorded(0.0)[1]],
    ],
)
def test_what_is_no_recording_is_refused_with_its_name(lines):
    with pytest.raises(InvalidInput) as refused:
        recording.read(lines, "x.looks.jsonl")
    assert "x.looks.jsonl" in str(refused.value)


def test_a_setting_that_no_request_can_have_is_refused():
    with pytest.raises(InvalidInput, match=r"analysis\.margin"):
        replayed(recorded(0.0), margin="90%")
