"""When a freeze holds, for whom, and what an override leaves on record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import Frozen, InvalidInput
from tidegate.controller.freezing import Override, check_span, in_force, overridden, pending, refuse_frozen
from tidegate.store import FreezeRow

NOW = datetime(2026, 12, 24, 18, tzinfo=UTC)
ADA = Override("ada", "hotfix")


def freeze(start: float = -1, end: float = 1, name: str | None = "churn", *, removed: bool = False) -> FreezeRow:
    hour = timedelta(hours=1)
    ended = NOW if removed else None
    return FreezeRow(3, name, "year-end", "bob", NOW + start * hour, NOW + end * hour, NOW, ended)


@given(
    start=st.floats(-5, 5),
    length=st.floats(0.01, 5),
    name=st.sampled_from(["churn", "fraud", None]),
    removed=st.booleans(),
)
def test_a_freeze_holds_from_its_start_up_to_its_end_for_its_deployment_alone(
    start: float, length: float, name: str | None, removed: bool
) -> None:
    found = freeze(start, start + length, name, removed=removed)
    holds = not removed and name != "fraud" and found.starts_at <= NOW < found.ends_at
    assert bool(in_force([found], "churn", NOW)) == holds
    assert not (holds and not pending([found], NOW))


def test_who_is_refused_reads_until_when_why_by_whom_and_what_to_do() -> None:
    with pytest.raises(Frozen) as refused:
        refuse_frozen([freeze(end=2), freeze(name=None)], "churn", NOW, None)
    told = str(refused.value)
    assert "freeze 3 of churn until 2026-12-24T20:00:00+00:00 (bob: year-end)" in told
    assert "of every deployment" in told
    assert "--override-freeze" in told
    refuse_frozen([freeze()], "fraud", NOW, None)
    refuse_frozen([freeze()], "churn", NOW, ADA)


def test_an_override_is_on_record_only_where_there_was_a_freeze() -> None:
    record = overridden(in_force([freeze()], "churn", NOW), ADA)
    assert record is not None
    assert (record["by"], record["reason"], record["freezes"][0]["id"]) == ("ada", "hotfix", 3)
    assert overridden([], ADA) is None
    assert overridden([freeze()], None) is None


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [(1, 1, "ends after its start"), (-3, -1, "would be over already"), (0, 24 * 400, "a year at most")],
)
def test_a_span_that_makes_no_sense_is_refused(start: float, end: float, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        check_span(NOW + timedelta(hours=start), NOW + timedelta(hours=end), NOW)
    check_span(NOW, NOW + timedelta(hours=1), NOW)
