"""Metrics are measured beside the loop, and what they came to outlives the controller."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.controller.test_reconciling import NAME, Place, request_of
from tests.support.documents import documents
from tidegate.contract.errors import InvalidInput
from tidegate.contract.metrics import Metric
from tidegate.controller.evidence import Measured
from tidegate.controller.measuring import Counting, Memory, MetricSource, refuse_unmeasurable
from tidegate.controller.reconcile import Reconciler
from tidegate.controller.resources import ResourceSource
from tidegate.controller.sources import Found, Look
from tidegate.judge import Tally
from tidegate.rollout import Phase, Plan, Rollout, Step
from tidegate.target.base import ReplicaHealth, RevisionHealth

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def metric(**fields: Any) -> dict[str, Any]:
    return {"name": "m", "interval": "500ms", **fields}


def look(request: Any, memory: Any = None, *, step: int = 0, rollout_id: int = 1) -> Look:
    plan = Plan(2, 1, (Step(10, 60.0), Step(100, 60.0)), 1, 1, 0.0, 60.0, 5.0, 3, "pause")
    phase = Phase.ANALYZING if step >= 0 else Phase.BASELINE
    rollout = Rollout(plan, phase, NOW, step=step)
    return Look(rollout_id, rollout, request, {}, 1.0, memory=json.loads(json.dumps(memory)))


async def measured(source: MetricSource, request: Any, memory: Any, *, step: int = 0) -> Found:
    """Look until a measurement has ended."""
    for _ in range(2000):
        found = await source.grown(look(request, memory, step=step))
        if found.measurements or found.grown or found.unmeasured:
            return found
        memory = found.memory
        await asyncio.sleep(0.005)
    raise AssertionError("nothing was measured")


def test_a_measurement_is_made_once_in_each_interval_also_by_the_next_controller() -> None:
    async def story() -> None:
        with documents(lambda _: (200, 5)) as service:
            fields = metric(http={"url": service.url}, failureCondition="result > 1", interval="1h")
            request = request_of(analysis={"metrics": [fields]})
            found = await measured(MetricSource(NAME), request, None)
            (one,) = found.measurements["m"]
            assert (one.went, one.detail) == ("failure", "result = 5, which meets result > 1")
            memory = found.memory
            for _ in range(20):
                memory = (await MetricSource(NAME).grown(look(request, memory))).memory
                await asyncio.sleep(0.005)
            assert len(service.asked) == 1
            # A clock that was set back must not stop it for good.
            ahead = {**memory, "begun": {"m": memory["begun"]["m"] + 86_400}}
            await measured(MetricSource(NAME), request, ahead)
            assert len(service.asked) == 2

    asyncio.run(story())


def test_counters_that_grew_while_nobody_looked_are_counted_once() -> None:
    seen = {"1": {"bad": 0, "all": 100}, "2": {"bad": 0, "all": 0}}

    async def story() -> None:
        with documents(lambda path: (200, seen[path.removeprefix("/")])) as service:
            counted = {"bad": "bad", "total": "all", "objective": "1%"}
            request = request_of(
                analysis={"metrics": [metric(http={"url": service.url + "/{{revision}}"}, counted=counted)]}
            )
            # The first reading, in the baseline, sets the zero.
            first = await measured(MetricSource(NAME), request, None, step=-1)
            assert first.grown["m"] == (Tally(), Tally())
            seen.update({"1": {"bad": 2, "all": 300}, "2": {"bad": 7, "all": 20}})
            source = MetricSource(NAME)
            second = await measured(source, request, {**first.memory, "begun": {}})
            assert second.grown["m"] == (Tally(20, 7), Tally(200, 2))
            # The look was not stored, for the controller was killed: the next one counts from the same memory.
            again = await measured(MetricSource(NAME), request, {**first.memory, "begun": {}})
            assert again.grown["m"] == second.grown["m"]

    asyncio.run(story())


def test_counters_that_cannot_be_read_are_unmeasured_until_they_can() -> None:
    async def story() -> None:
        answer: tuple[int, Any] = (503, b"")
        with documents(lambda _: answer) as service:
            counted = {"bad": "bad", "total": "all", "objective": "1%"}
            fields = metric(http={"url": service.url + "/{{revision}}"}, counted=counted, consecutiveErrorLimit=0)
            request = request_of(analysis={"metrics": [fields]})
            found = await measured(MetricSource(NAME), request, None)
            assert found.unmeasured == {"m": "answered 503"}
            kept = await MetricSource(NAME).grown(look(request, found.memory))
            assert kept.unmeasured == {"m": "answered 503"}
            answer = (200, {"bad": 0, "all": 3})
            source = MetricSource(NAME)
            memory: Any = {**kept.memory, "begun": {}}
            while "m" not in (found := await source.grown(look(request, memory))).grown:
                memory = found.memory
                await asyncio.sleep(0.005)
            assert found.unmeasured == {}

    asyncio.run(story())


def test_what_was_good_before_a_step_says_nothing_of_it_and_what_was_bad_does() -> None:
    async def of(answer: int) -> Mapping[str, Any]:
        with documents(lambda _: (200, answer)) as service:
            fields = metric(http={"url": service.url}, failureCondition="result > 1", interval="1h")
            request = request_of(analysis={"metrics": [fields]})
            source = MetricSource(NAME)
            memory = (await source.grown(look(request))).memory
            running = source._running["m"].task
            await running
            return (await source.grown(look(request, memory, step=1))).measurements

    assert asyncio.run(of(0)) == {}
    assert [one.went for one in asyncio.run(of(9))["m"]] == ["failure"]


def test_a_rollout_that_was_killed_goes_on_with_the_measurements_that_it_had(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path / "home")
        await place.serve_first()
        with documents(lambda _: (200, 5)) as service:
            fields = metric(http={"url": service.url}, failureCondition="result > 1", failureLimit=1, interval="500ms")
            analysis = {"baseline": "0s", "interval": "100ms", "stepDuration": "1h", "metrics": [fields]}
            row = place.begin("b" * 64, steps=[10, 100], analysis=analysis)

            def failures() -> int:
                seen = Measured.from_storage(place.store.rollout(row.id).evidence).measurements.get("m")
                return seen.failures if seen is not None else 0

            async def until(count: int) -> None:
                for _ in range(3000):
                    place.reconciler.seen.looked_at = min(place.reconciler.seen.looked_at, 1e-9)
                    await place.reconciler.tick()
                    if failures() >= count or place.store.rollout(row.id).ended_at is not None:
                        return
                    await asyncio.sleep(0.01)
                raise AssertionError(f"not {count} failures")

            await until(1)
            assert place.store.rollout(row.id).ended_at is None
            place.reconciler = Reconciler(NAME, place.home, place.store, place.target)
            assert failures() == 1
            await until(2)
            for _ in range(20):
                await place.reconciler.tick()
            ended = place.store.rollout(row.id)
            assert ended.phase == "rolled_back"
            assert "m: result = 5, which meets result > 1 (2 of 2 measurements failed, 1 allowed)" in str(ended.state)
        await place.supervisor.stop()

    asyncio.run(story())


def test_the_delay_is_from_the_first_traffic_on_and_counters_are_read_before() -> None:
    one = Metric.model_validate(
        metric(http={"url": "http://127.0.0.1:1/"}, failureCondition="result > 1", initialDelay="1m"), by_alias=True
    )
    assert not Memory().is_due(one, 1000.0)
    assert not Memory(since=1000.0).is_due(one, 1059.0)
    assert Memory(since=1000.0).is_due(one, 1060.0)
    assert not Memory(since=1000.0, begun={"m": 1100.0}).is_due(one, 1100.4)
    counted = {"bad": "bad", "total": "all", "objective": "1%"}
    counting = metric(http={"url": "http://127.0.0.1:1/{{revision}}"}, counted=counted, initialDelay="1m")
    assert Memory().is_due(Metric.model_validate(counting, by_alias=True), 1000.0)


def test_a_metric_that_could_not_be_measured_here_is_refused_at_once(tmp_path: Path) -> None:
    headers = {"authorization": {"valueFromEnv": "TIDEGATE_STOCK_TOKEN"}}
    http = metric(http={"url": "http://127.0.0.1:1/", "headers": headers}, failureCondition="result > 1")
    python = metric(python={"path": str(tmp_path / "gone.py"), "trust": True}, failureCondition="result > 1")
    for fields, why in ((http, "no TIDEGATE_STOCK_TOKEN in its environment"), (python, r"gone\.py: No such file")):
        with pytest.raises(InvalidInput, match=why):
            asyncio.run(refuse_unmeasurable(request_of(analysis={"metrics": [fields]}), {}))
    asyncio.run(refuse_unmeasurable(request_of(analysis={"metrics": [http]}), {"TIDEGATE_STOCK_TOKEN": "x"}))


@pytest.mark.parametrize(("runs", "went"), [(True, "success"), (False, "error")])
def test_resources_are_read_of_the_replicas_that_are_ready(runs: bool, went: str) -> None:
    pid = os.getpid() if runs else 2**22 + 1  # which is more than there can be

    async def story() -> None:
        request = request_of(analysis={"resources": {"memory": {}, "interval": "500ms"}})
        replicas = RevisionHealth((ReplicaHealth(0, None, pid, True, 0, None),))
        source, memory = ResourceSource(), None
        for _ in range(2000):
            one = look(request, memory)
            found = await source.grown(replace(one, health={1: replicas, 2: replicas}))
            memory = {**found.memory, "begun": None}
            if found.measurements:
                (measurement,) = found.measurements["memory"]
                assert measurement.went == went
                return
            await asyncio.sleep(0.005)
        raise AssertionError("nothing was measured")

    asyncio.run(story())


counts = st.lists(st.integers(0, 1000), min_size=2, max_size=2)


@given(st.lists(st.tuples(counts, counts), max_size=5))
def test_what_is_remembered_of_counters_is_read_as_it_was_stored(reads: list[tuple[list[int], list[int]]]) -> None:
    from tidegate.controller.measuring import _Read

    counting = Counting()
    for candidate, stable in reads:
        counting, pair = counting.after(_Read(candidate, stable))
        assert pair is not None
        assert pair.candidate.bad <= pair.candidate.requests
    memory = Memory(1.5, {"m": 2.5}, {"m": counting})
    assert Memory.from_storage(json.loads(json.dumps(memory.for_storage()))) == memory
