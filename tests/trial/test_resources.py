"""A leak is found and a spike is not; a model that is larger from the beginning is no harm unless one says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.request import parse_request
from tidegate.contract.resources import WatchedCpu, WatchedMemory
from tidegate.trial.resources import (
    SUSTAINED,
    CpuReadings,
    MemoryReadings,
    cpu_measurement,
    memory_measurement,
    triggers,
)
from tidegate.trial.rules import rules

MIB = 1 << 20


def watched(**fields: Any) -> WatchedMemory:
    return WatchedMemory.model_validate(fields, by_alias=True, by_name=False)


def said(memory: WatchedMemory, readings: Sequence[tuple[int, int | None]]) -> list[str | None]:
    seen, told = MemoryReadings(), []
    for candidate, stable in readings:
        seen = seen.after(candidate * MIB, None if stable is None else stable * MIB)
        assert MemoryReadings.from_storage(json.loads(json.dumps(seen.for_storage()))) == seen
        measured = memory_measurement(memory, seen)
        told.append(measured.went if measured is not None else None)
    return told


def test_a_leak_is_found_and_what_warms_up_is_none() -> None:
    leaking = [(100 + 20 * number, 100) for number in range(12)]
    told = said(watched(), leaking)
    assert told[:2] == [None, None]
    assert told[-1] == "failure"
    assert "failure" not in said(watched(), [(40, 100), (80, 100), (120, 100), *[(140, 100)] * 20])


def test_a_spike_is_no_leak() -> None:
    spikes = [(100, 100), (400, 100), (400, 100), (100, 100)] * 5
    assert "failure" not in said(watched(growth={"relative": 0.1, "absolute": "1Mi"}), [(100, 100)] * 3 + spikes)


def test_a_larger_model_is_harm_only_beside_stable() -> None:
    larger: list[tuple[int, int | None]] = [(900, 100)] * 10
    assert "failure" not in said(watched(), larger)
    beside = watched(besideStable={"relative": 1.0, "absolute": "10Mi"})
    assert said(beside, larger)[SUSTAINED - 1] == "failure"
    assert "failure" not in said(beside, [(190, 100)] * 10)


def test_the_limit_holds_whatever_stable_takes() -> None:
    limited = watched(limit="512Mi", growth=None)
    assert "failure" not in said(limited, [(511, 900)] * 5)
    assert said(limited, [(513, 900)] * 3)[-1] == "failure"


def test_a_stable_without_replicas_is_as_it_was_last() -> None:
    assert "failure" not in said(watched(), [(100, 300), *[(320, None)] * 9])


def test_what_it_shows_is_told_with_its_numbers() -> None:
    seen = MemoryReadings()
    for size in (100, 100, 100, 300, 300, 300):
        seen = seen.after(size * MIB, 90 * MIB)
    measured = memory_measurement(watched(), seen)
    assert measured is not None
    assert measured.detail == (
        "300 MiB a replica, 90 MiB on stable: more than 64 MiB above its own 100 MiB at first, 3 readings in a row"
    )


sizes = st.integers(1, 2000)


@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=20))
def test_a_candidate_that_takes_no_more_than_stable_never_fails(pairs: list[tuple[int, int]]) -> None:
    readings: list[tuple[int, int | None]] = [(min(pair), max(pair)) for pair in pairs]
    strict = watched(growth={"relative": 0, "absolute": "0B"}, besideStable={"relative": 0, "absolute": "0B"})
    assert "failure" not in said(strict, readings)


@given(st.integers(1, 400), st.integers(2, 60))
def test_a_leak_that_goes_on_is_found_whatever_its_speed(begin: int, speed: int) -> None:
    warm = begin + 2 * speed
    enough = int(max(64, 0.5 * warm)) // speed + 6
    leaking: list[tuple[int, int | None]] = [(begin + speed * number, begin) for number in (0, 1, 2, 3, 4)]
    leaking += [(begin + speed * number, begin) for number in range(enough - 1, enough + 2)]
    assert said(watched(), leaking)[-1] == "failure"


def after(readings: CpuReadings, reading: tuple[float, float], requests: tuple[int, int]) -> tuple[CpuReadings, bool]:
    readings = readings.with_stable("s", reading[1], requests[1], 100)
    readings, ended = readings.with_candidate("c", reading[0], requests[0], 100)
    assert CpuReadings.from_storage(json.loads(json.dumps(readings.for_storage()))) == readings
    return readings, ended


@pytest.mark.parametrize(("ms", "went"), [(30.0, "failure"), (14.0, "success")])
def test_processor_time_is_that_of_a_request_whatever_the_weight(ms: float, went: str) -> None:
    readings, seconds, told = CpuReadings(), [0.0, 0.0], []
    for _ in range(40):
        # One request in twenty is the candidate's; stable takes 5 ms for each.
        seconds = [seconds[0] + 25 * ms / 1000, seconds[1] + 475 * 5.0 / 1000]
        readings, ended = after(readings, (seconds[0], seconds[1]), (25, 475))
        if ended and (measured := cpu_measurement(WatchedCpu(), readings)) is not None:
            told.append(measured)
    assert told
    assert {one.went for one in told} == {went}
    assert f"{ms:g} ms a request, 5 ms on stable" in told[-1].detail


def test_one_measurement_of_processor_time_within_bounds_passes_and_one_beyond_says_nothing_yet() -> None:
    within, beyond = CpuReadings(recent=((6.0, 5.0),)), CpuReadings(recent=((60.0, 5.0),))
    measured = cpu_measurement(WatchedCpu(), within)
    assert measured is not None
    assert measured.went == "success"
    assert cpu_measurement(WatchedCpu(), beyond) is None
    assert cpu_measurement(WatchedCpu(), CpuReadings()) is None


def test_a_stable_that_serves_nothing_any_more_is_as_it_was_and_other_processes_begin_anew() -> None:
    readings, _ = after(CpuReadings(), (0.0, 0.0), (0, 0))
    readings, ended = after(readings, (0.0, 1.0), (0, 200))
    assert not ended
    assert readings.stable.ms == pytest.approx(5.0)
    for number in range(1, 4):
        readings, ended = after(readings, (float(number), 1.0), (200, 0))
        assert ended
    assert readings.recent == (pytest.approx((5.0, 5.0)),) * 3
    restarted, ended = readings.with_candidate("others", 0.1, 500, 100)
    assert not ended
    assert restarted.candidate.requests == 0


def test_resources_are_off_unless_they_are_asked_for_and_say_when_they_take_back() -> None:
    document = {"modelArtifact": {"path": "m.onnx"}, "servingRequirements": {}}
    assert rules(parse_request(document)).metrics == ()
    asked = parse_request(
        {**document, "analysis": {"resources": {"memory": {"limit": "2Gi"}, "cpu": {"critical": False}}}}
    )
    memory, cpu = rules(asked).metrics
    assert (memory.name, memory.failure_limit, memory.is_critical) == ("memory", 0, True)
    assert (cpu.name, cpu.is_critical) == ("cpu", False)
    told = triggers(asked.analysis.resources)
    assert list(told) == ["memory"]
    assert "above 2Gi or 64Mi and 50 % above stable's and its own at first" in told["memory"]
    assert parse_request(asked.as_document()) == asked
