"""What the pipeline remembers, in both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.support.postgresql import Postgresql
from tidegate.contract.errors import Conflict, InvalidInput, NotFound
from tidegate.contract.findings import Level
from tidegate.store.address import Address
from tidegate.store.administration import check
from tidegate_pipeline.limits import Limits, Retrained, against
from tidegate_pipeline.outcomes import Outcome
from tidegate_pipeline.state import FILE, PipelineState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLANNED = [{"name": "gbm", "segment": None, "configuration": "gbm"}]


@pytest.fixture
def place(address: Address) -> Address:
    return address.with_name(FILE) if isinstance(address, Path) else address


def test_of_many_who_claim_a_retraining_at_once_one_gets_it(place: Address) -> None:
    def claim(number: int) -> str | None:
        with PipelineState(place, lambda: NOON) as state:
            return state.claim(f"run{number}", "late", "drift", lambda past: against(past, NOON, Limits()))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(claim, range(8)))
    assert answers.count(None) == 1
    with PipelineState(place) as state:
        assert state.retrained("late") == [Retrained(NOON)]
        assert state.retrained("another") == []


def test_a_claim_whose_retraining_could_not_be_started_is_taken_back(place: Address) -> None:
    with PipelineState(place, lambda: NOON) as state:
        assert state.claim("r1", "late", "drift", lambda past: against(past, NOON, Limits())) is None
        assert state.release("r1")
        assert not state.release("r1")
        assert state.claim("r2", "late", "drift", lambda past: against(past, NOON, Limits())) is None
        state.plan("r2", {"model": "late"}, PLANNED)
        assert not state.release("r2")
        assert state.retrained("late") == [Retrained(NOON)]


def test_a_run_is_planned_once_and_its_trainings_are_counted(place: Address) -> None:
    with PipelineState(place) as state:
        with pytest.raises(NotFound, match="no plan of a run 'r1'"):
            state.setup("r1")
        state.plan("r1", {"model": "late"}, PLANNED)
        assert state.setup("r1") == {"model": "late"}
        state.plan("r1", {"model": "late"}, PLANNED)  # of a block that is run again
        assert len(state.trainings("r1")) == 1
        with pytest.raises(Conflict, match="planned by another setup"):
            state.plan("r1", {"model": "early"}, PLANNED)
        state.begin("r1", "gbm")
        state.begin("r1", "gbm")
        state.end("r1", "gbm", "trained", {"metrics": {"auc": 0.7}})
        row = state.training("r1", "gbm")
        assert (row["state"], row["attempts"], row["result"]) == ("trained", 2, {"metrics": {"auc": 0.7}})
        assert row["begun_at"] <= row["ended_at"]
        with pytest.raises(NotFound):
            state.training("r1", "glm")


def test_the_tables_of_the_pipeline_are_none_of_the_stores(server: Postgresql) -> None:
    url = server.fresh()
    try:
        with PipelineState(url):
            pass
        assert [one for one in check(url) if one.level is Level.FAIL] == []
    finally:
        server.drop(url)


def test_a_role_that_may_not_make_the_schema_is_told_what_to_do(server: Postgresql) -> None:
    url: URL = server.fresh()
    try:
        with (
            server.login(url, "tidegate_controller") as theirs,
            pytest.raises(InvalidInput, match="CREATE SCHEMA pipeline"),
        ):
            PipelineState(theirs)
    finally:
        server.drop(url)


def compared(state: PipelineState, run: str, training: str = "gbm", outcome: Outcome = Outcome.PASSED) -> None:
    values = {
        "reference": f"models:/late/{run[1:]}",
        "deployment": "late",
        "reason": "better",
        "evaluation": {"rows": 9},
    }
    state.compared(run, training, state=outcome.value, **values)


def test_what_came_of_a_model_is_on_record_until_its_end_and_no_longer_changed(place: Address) -> None:
    with PipelineState(place, lambda: NOON) as state:
        state.plan("r1", {"model": "late"}, PLANNED)
        assert state.outcomes("r1") == []
        compared(state, "r1")
        compared(state, "r1", outcome=Outcome.FAILED)  # of a block that is run again
        assert state.outcome("r1", "gbm")["state"] == Outcome.PASSED
        assert state.try_out("r1", "gbm", 7)["after_rollout"] == 7
        assert state.try_out("r1", "gbm", 8)["after_rollout"] == 7
        state.began("r1", "gbm", "8")
        assert [one["rollout"] for one in state.on_trial("late")] == ["8"]
        assert state.on_trial("another") == []
        state.ended("r1", "gbm", Outcome.ROLLED_BACK, "errors")
        ended = state.ended("r1", "gbm", Outcome.PROMOTED, "it was not")
        assert (ended["state"], ended["reason"], ended["ended_at"]) == (Outcome.ROLLED_BACK, "errors", NOON)
        assert state.on_trial("late") == []
        with pytest.raises(NotFound, match="was not compared"):
            state.outcome("r1", "glm")


def test_the_next_run_sees_what_came_of_the_last_one(place: Address) -> None:
    with PipelineState(place, lambda: NOON) as state:
        state.plan("r1", {"model": "late"}, [*PLANNED, {"name": "glm", "segment": None, "configuration": "glm"}])
        compared(state, "r1", "gbm", Outcome.NOT_BETTER)
        compared(state, "r1", "glm")
        assert state.retrained("late") == [Retrained(NOON, Outcome.NOT_BETTER, NOON)]
        limits = Limits(timedelta(0), 9)
        assert "not better" in str(state.claim("r2", "late", "drift", lambda past: against(past, NOON, limits)))
        assert state.claim("r2", "late", "drift", lambda past: against(past, NOON + timedelta(days=1), limits)) is None
