"""Which trainings are planned, how they are ranked, what is told of failures, and when retraining is refused."""

from __future__ import annotations

import itertools
import math
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv, parquet

from tidegate.contract.errors import Conflict, InvalidInput
from tidegate_pipeline import data
from tidegate_pipeline.delivering import request_of
from tidegate_pipeline.limits import Limits, Retrained, against
from tidegate_pipeline.outcomes import Outcome, of_rollout, rollout_of, worst
from tidegate_pipeline.training_setup import LARGER_IS_BETTER, TrainingSetup, parse_setup
from tidegate_pipeline.trainings import (
    Ended,
    ended_of,
    leaderboard,
    model_name,
    most_at_once,
    planned,
    require_enough,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GBM = {"name": "gbm", "algorithm": "gbm"}
GLM = {"name": "glm", "algorithm": "glm"}


def setup(**further: Any) -> TrainingSetup:
    return parse_setup({"model": "late", "data": "t.parquet", "target": "late", "configurations": [GBM], **further})


def ended(name: str, segment: str | None = None, auc: float | None = 0.5, **further: Any) -> Ended:
    state = "failed" if auc is None else "trained"
    metrics = {} if auc is None else {"auc": auc}
    whole = {"attempts": 1, "begun_at": NOON, "ended_at": NOON, "mojo": "m.zip", "error": None, **further}
    return Ended(name=name, segment=segment, configuration="gbm", state=state, metrics=metrics, **whole)


# The plan


def test_without_segments_each_configuration_is_one_training() -> None:
    assert [one.name for one in planned(setup(configurations=[GBM, GLM]), {}).trainings] == ["gbm", "glm"]


def test_each_segment_that_is_large_enough_is_trained_with_each_configuration_the_largest_first() -> None:
    made = planned(setup(configurations=[GBM, GLM], segmentBy="carrier", minRows=10), {"UA": 50, "HA": 9, "B6": 70})
    assert [one.name for one in made.trainings] == ["b6-gbm", "b6-glm", "ua-gbm", "ua-glm"]
    assert made.too_small == {"HA": 9}


def test_a_segment_that_is_asked_for_and_not_there_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no rows of the segment 'ZZ'"):
        planned(setup(segmentBy="carrier", segments=["ZZ"]), {"UA": 500})


def test_segments_that_would_be_called_alike_are_refused() -> None:
    with pytest.raises(InvalidInput, match="would be called 'a-b-gbm'"):
        planned(setup(segmentBy="x", minRows=1), {"a b": 5, "A/B": 6})


def test_no_segment_that_is_large_enough_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no segment has rows enough"):
        planned(setup(segmentBy="x"), {"a": 5})


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ({"configurations": []}, "1 or more items"),
        ({"configurations": [GBM, GBM]}, "two configurations are called 'gbm'"),
        ({"configurations": [{"name": "x", "algorithm": "svm"}]}, "expected one of gbm"),
        ({"segments": ["UA"]}, "segments are values of a column"),
        ({"metrics": "auc"}, "did you mean metric?"),
        ({"cluster": {"url": "localhost"}}, "begins with http"),
        ({"deployment": "late"}, "which rows are fresh is not known"),
        ({"evaluation": {"metric": "rmse"}}, "rmse is no metric of a classification"),
        ({"evaluation": {"mayBeWorseBy": -1}}, "mayBeWorseBy"),
    ],
)
def test_a_setup_that_is_not_right_is_refused_with_what_was_meant(further: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as told:
        setup(**further)
    assert said in str(told.value)


# The leaderboard


@given(
    st.lists(st.tuples(st.sampled_from([None, "UA", "B6"]), st.one_of(st.none(), st.floats(0, 1))), max_size=20),
    st.sampled_from(["auc", "logloss"]),
)
def test_the_best_of_each_segment_is_first_and_nothing_is_lost(
    rows: list[tuple[str | None, float | None]], metric: str
) -> None:
    given_ones = [
        ended(f"t{number:02}", segment, value)
        if value is None
        else Ended(f"t{number:02}", segment, "gbm", "trained", 1, NOON, NOON, {metric: value}, "m.zip", None)
        for number, (segment, value) in enumerate(rows)
    ]
    board = leaderboard(metric, given_ones)
    assert sorted([*board.ranked, *board.failed], key=lambda one: one.name) == given_ones
    pick = max if metric in LARGER_IS_BETTER else min
    for one in board.best:
        values = [other.metrics[metric] for other in board.ranked if other.segment == one.segment]
        assert one.metrics[metric] == pick(values)
    assert len(board.best) == len({one.segment for one in board.ranked})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_model_without_the_metric_is_never_the_best(value: float) -> None:
    board = leaderboard("auc", [ended("a", auc=value), ended("b", auc=0.4)])
    assert [one.name for one in board.best] == ["b"]
    assert [one.name for one in board.failed] == ["a"]


def test_what_ended_without_a_word_has_failed() -> None:
    row = {"name": "a", "segment": None, "configuration": "gbm", "attempts": 1, "begun_at": NOON, "ended_at": None}
    assert ended_of({**row, "state": "running", "result": None}).error == "it ended without a word, when it was running"


def test_one_that_failed_does_not_keep_the_others_from_use() -> None:
    board = leaderboard("auc", [ended("a"), ended("b"), ended("c", auc=None, error="no luck")])
    require_enough(board, 0.5)
    assert "c: FAILED after 1 attempts: no luck" in board.lines()[-1]


def test_where_too_many_failed_nothing_is_used() -> None:
    board = leaderboard("auc", [ended("a"), ended("b", auc=None, error="no luck"), ended("c", auc=None, error="x")])
    with pytest.raises(Conflict, match="2 of 3 trainings failed; the first is b: no luck"):
        require_enough(board, 0.5)
    with pytest.raises(Conflict):
        require_enough(leaderboard("auc", []), 1.0)


def test_how_many_went_on_at_once_is_told_by_their_times() -> None:
    def one(name: str, begin: int, end: int) -> Ended:
        return ended(name, begun_at=NOON + timedelta(seconds=begin), ended_at=NOON + timedelta(seconds=end))

    assert most_at_once([one("a", 0, 10), one("b", 10, 20), one("c", 5, 15)]) == 2
    assert most_at_once([]) == 0


def test_each_segment_has_a_model_of_its_own() -> None:
    assert model_name(setup(), ended("gbm")) == "late"
    assert model_name(setup(), ended("ua-gbm", "UA")) == "late-ua"


# Limits


def test_after_a_retraining_nothing_is_due_until_it_has_cooled_down() -> None:
    limits = Limits(timedelta(hours=6), 4)
    assert against([], NOON, limits) is None
    assert "nothing is due until" in str(against([Retrained(NOON - timedelta(hours=5))], NOON, limits))
    assert against([Retrained(NOON - timedelta(hours=6))], NOON, limits) is None


def test_a_model_is_not_retrained_more_often_a_day_than_it_may() -> None:
    past = [Retrained(NOON - timedelta(hours=7 * count)) for count in (1, 2, 3)]
    assert against(past, NOON, Limits(timedelta(hours=6), 3)) is not None
    assert against(past, NOON, Limits(timedelta(hours=6), 4)) is None
    assert against([], NOON, Limits(timedelta(0), 0)) is not None


@given(st.lists(st.floats(0, 100), max_size=200), st.integers(0, 5), st.floats(0, 30))
def test_who_asks_for_ever_is_let_retrain_no_more_than_so_often_in_any_day(
    gaps: list[float], most: int, cool_down: float
) -> None:
    limits, now, past = Limits(timedelta(hours=cool_down), most), NOON, []
    for gap in gaps:
        now += timedelta(hours=gap)
        if against(past, now, limits) is None:
            past.insert(0, Retrained(now))
    times = [one.began_at for one in past]
    for at in times:
        assert sum(at <= other < at + timedelta(days=1) for other in times) <= most
    assert all(later - before >= limits.cool_down for later, before in itertools.pairwise(times))


@pytest.mark.parametrize("outcome", [Outcome.NOT_BETTER, Outcome.ROLLED_BACK, Outcome.FAILED])
def test_after_a_setback_nothing_is_due_for_longer_counted_from_its_end(outcome: Outcome) -> None:
    limits = Limits(timedelta(hours=1), 4, timedelta(hours=24))
    past = [Retrained(NOON - timedelta(hours=30), outcome, NOON - timedelta(hours=23))]
    assert outcome.said in str(against(past, NOON, limits))
    assert against(past, NOON + timedelta(hours=1), limits) is None
    assert against([Retrained(NOON - timedelta(hours=2), Outcome.PROMOTED, NOON), *past], NOON, limits) is None


def test_while_a_model_is_on_trial_nothing_is_due() -> None:
    past = [Retrained(NOON - timedelta(days=9)), Retrained(NOON - timedelta(days=10), Outcome.ON_TRIAL)]
    assert "is on trial" in str(against(past, NOON, Limits()))


# Outcomes


def test_of_several_models_the_worst_outcome_counts_and_a_trial_that_goes_on_before_all() -> None:
    assert worst([Outcome.PROMOTED, Outcome.ROLLED_BACK, Outcome.NOT_BETTER]) is Outcome.ROLLED_BACK
    assert worst([Outcome.FAILED, Outcome.ON_TRIAL]) is Outcome.ON_TRIAL
    assert worst([]) is None


@pytest.mark.parametrize(
    ("phase", "outcome"),
    [
        ("analyzing", Outcome.ON_TRIAL),
        ("paused", Outcome.ON_TRIAL),
        ("promoted", Outcome.PROMOTED),
        ("aborted", Outcome.ROLLED_BACK),
    ],
)
def test_what_a_rollout_says_of_its_model_is_its_phase(phase: str, outcome: Outcome) -> None:
    assert of_rollout({"phase": phase}) is outcome


def history(*rollouts: tuple[str, int]) -> dict[str, Any]:
    """Return a history whose revisions 2 and 3 are of one bundle, the first of them as a file."""
    paths = {1: "models:/late/1", 2: "/models/late.zip", 3: "models:/late/2"}
    digests = {1: "a", 2: "b", 3: "b"}
    return {
        "revisions": [
            {"number": number, "digest": digests[number], "request": {"modelArtifact": {"path": path}}}
            for number, path in paths.items()
        ],
        "rollouts": [{"id": name, "to_revision": revision} for name, revision in rollouts],
    }


def test_a_rollout_is_found_again_by_its_version_among_those_that_came_after() -> None:
    found = rollout_of(history(("7", 1), ("8", 2), ("9", 3)), "b", "models:/late/2", 7)
    assert found is not None
    assert found["id"] == "9"


def test_an_earlier_trial_of_the_same_version_is_not_taken_for_this_one() -> None:
    assert rollout_of(history(("7", 1), ("9", 3)), "b", "models:/late/2", 9) is None
    assert rollout_of(history(), "b", "models:/late/2", 0) is None


SERVING = {
    "name": "late",
    "modelArtifact": {"path": "models:/late/1", "version": "7"},
    "servingRequirements": {"latencyP99": "50ms"},
    "drift": {"reference": "/old.parquet", "interval": "1m"},
}


def test_what_is_put_on_trial_is_what_serves_with_another_model_and_the_changes_that_were_asked_for() -> None:
    made = request_of(SERVING, "models:/late/2", {"steps": [{"weight": 50}]}, "/new.parquet")
    assert made == {
        **SERVING,
        "modelArtifact": {"path": "models:/late/2"},
        "drift": {"reference": "/new.parquet", "interval": "1m"},
        "steps": [{"weight": 50}],
    }
    assert SERVING["modelArtifact"] == {"path": "models:/late/1", "version": "7"}


def test_after_an_ab_test_the_next_model_is_a_canary() -> None:
    made = request_of({**SERVING, "deploymentStrategy": "ab-test", "abTest": {"arms": []}}, "models:/late/2", {}, None)
    assert made["deploymentStrategy"] == "canary"
    assert "abTest" not in made


# The data


def table(count: int = 1000) -> pa.Table:
    numbers = list(range(count))
    return pa.table(
        {
            "carrier": ["UA" if number % 2 else "B6" for number in numbers],
            "at": [NOON + timedelta(hours=count - number) for number in numbers],
            "distance": [float(number) for number in numbers],
            "gate": [None if number % 10 == 0 else f"A, {number % 3}" for number in numbers],
            "late": [None if number % 50 == 0 else number % 3 == 0 for number in numbers],
        }
    )


def test_segments_are_counted_by_rows_with_a_known_target() -> None:
    assert data.segments(setup(segmentBy="carrier"), table()) == {"UA": 500, "B6": 480}


def test_the_rows_held_out_are_the_last_by_time_and_none_is_trained_with(tmp_path: Path) -> None:
    asked = setup(segmentBy="carrier", holdout={"timeColumn": "at", "share": 0.25})
    parts = data.split(asked, table(), "UA", tmp_path)
    assert parts.inputs == ("distance", "gate")
    assert parts.kinds == {"distance": "numeric", "gate": "enum", "late": "enum"}
    assert (parts.train_rows, parts.test_rows) == (375, 125)
    train, test = csv.read_csv(parts.train), csv.read_csv(parts.test)
    assert train.column_names == ["distance", "gate", "late"]
    # Larger numbers are of earlier times in this table.
    assert min(train["distance"].to_pylist()) > max(test["distance"].to_pylist())


@given(st.floats(0.05, 0.95))
def test_without_a_time_about_the_share_is_held_out_and_always_the_same(share: float) -> None:
    asked = setup(holdout={"share": share})
    with tempfile.TemporaryDirectory() as folder:
        first = data.split(asked, table(), None, Path(folder))
        before = first.test.read_bytes()
        assert first.train_rows + first.test_rows == 980
        assert first.test_rows == pytest.approx(980 * share, abs=15)
        assert data.split(asked, table(), None, Path(folder)).test.read_bytes() == before


def test_data_without_a_column_is_refused(tmp_path: Path) -> None:
    parquet.write_table(table(), tmp_path / "t.parquet")
    with pytest.raises(InvalidInput, match="has no column 'gone'"):
        data.read(setup(data=str(tmp_path / "t.parquet"), target="gone"))


def tried(**further: Any) -> TrainingSetup:
    return setup(deployment="late", holdout={"timeColumn": "at", "share": 0.25}, segmentBy="carrier", **further)


def test_the_newest_rows_are_kept_from_the_trainings_of_a_model_that_is_to_be_compared(tmp_path: Path) -> None:
    parquet.write_table(table(), tmp_path / "t.parquet")
    asked = tried(data=str(tmp_path / "t.parquet"), evaluation={"share": 0.2})
    parts = data.split(asked, table(), "UA", tmp_path)
    assert (parts.train_rows, parts.test_rows) == (300, 100)
    fresh = data.fresh(asked, "UA", parts.until, None)
    assert fresh.rows.num_rows == 100
    # Larger numbers are of earlier times in this table.
    used = [*csv.read_csv(parts.train)["distance"].to_pylist(), *csv.read_csv(parts.test)["distance"].to_pylist()]
    assert max(fresh.rows["distance"].to_pylist()) < min(used)
    assert fresh.days[0] == 0
    assert len(set(fresh.days)) == 10


def test_rows_that_stable_was_trained_with_are_not_fresh(tmp_path: Path) -> None:
    parquet.write_table(table(), tmp_path / "t.parquet")
    asked = tried(data=str(tmp_path / "t.parquet"), evaluation={"share": 0.2, "resample": "row"})
    until = (NOON + timedelta(hours=950)).replace(tzinfo=None).isoformat()
    fresh = data.fresh(asked, "UA", None, until)
    assert fresh.rows["distance"].to_pylist() == [float(number) for number in range(49, 0, -2)]
    assert list(fresh.days) == list(range(25))


def test_fresh_rows_may_be_a_file_of_their_own_of_which_the_newest_are_taken(tmp_path: Path) -> None:
    csv.write_csv(table(), tmp_path / "fresh.csv")
    asked = tried(evaluation={"data": str(tmp_path / "fresh.csv"), "mostRows": 30})
    assert asked.fresh_share == 0
    assert data.fresh(asked, "UA", None, None).rows["distance"].to_pylist()[-1] == 1.0
    assert data.fresh(asked, "UA", None, None).rows.num_rows == 30
