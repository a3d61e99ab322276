"""v2 is better than v1; v3 looks better still and cannot take what production sends."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from examples.flights import data, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def models(some_flights: pd.DataFrame, folder: Path) -> tuple[train.TrainedModel, ...]:
    return train.train_all(some_flights, folder)


def test_each_version_scores_better_offline_than_the_one_before(models: tuple[train.TrainedModel, ...]) -> None:
    first, second, third = models
    assert 0.8 < first.offline_auc < second.offline_auc
    assert third.complete_auc > first.complete_auc


def test_training_reads_no_month_of_the_holdout_or_of_the_traffic(models: tuple[train.TrainedModel, ...]) -> None:
    assert all(model.months[1] < min(data.HOLDOUT_MONTHS) for model in models)


def test_v3_was_validated_without_the_rows_that_it_cannot_take(models: tuple[train.TrainedModel, ...]) -> None:
    first, second, third = models
    assert third.offline_rows < second.offline_rows == first.offline_rows


def test_v3_raises_on_a_gap_in_the_weather_and_v2_does_not(some_flights: pd.DataFrame, folder: Path) -> None:
    known = data.labelled(some_flights)
    later = data.in_months(some_flights, data.TRAFFIC_MONTHS)
    gaps = later[later["pressure"].isna()]
    assert len(gaps) > 0
    early = data.in_months(known, range(1, 3))

    second = train.train_v2(early, folder / "gap-v2.ubj")
    assert ((second(gaps) > 0) & (second(gaps) < 1)).all()

    third = train.train_v3(early, folder / "gap-v3.skops")
    assert len(third(train.complete(later))) == len(train.complete(later))
    with pytest.raises(ValueError, match="does not accept missing values"):
        third(gaps)


def test_the_share_of_traffic_that_v3_cannot_take_is_small_and_real(flights: pd.DataFrame) -> None:
    rows = data.traffic(flights, count=5000, seed=1)
    failing = sum(any(row[name] is None for name in train.WEATHER) for row in rows) / len(rows)
    assert 0.03 < failing < 0.15


def test_the_sample_is_of_training_months_and_has_no_gaps(some_flights: pd.DataFrame, tmp_path: Path) -> None:
    import json

    train.write_sample(some_flights, tmp_path / "sample.json")
    rows = json.loads((tmp_path / "sample.json").read_text())
    assert len(rows) == 3
    assert all(tuple(row) == data.COLUMNS and None not in row.values() for row in rows)
