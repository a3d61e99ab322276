"""The MOJOs of the demo: each better than the one before, and the last one refuses what production sends."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from examples.flights import data
from examples.flights.mojos import recipes
from examples.flights.train import TrainedModel
from tidegate import mojo
from tidegate.runtime.mojo.errors import MojoRowError


@pytest.fixture(scope="module")
def models(flights: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedModel, ...]:
    return recipes.copy_all(flights, tmp_path_factory.mktemp("mojos"))


def test_each_version_scores_better_offline_than_the_one_before(models: tuple[TrainedModel, ...]) -> None:
    first, second, third = (model.offline_auc for model in models)
    assert 0.9 < first < second < third
    assert [model.path.exists() for model in models] == [True] * 3


def test_they_take_and_give_the_same(models: tuple[TrainedModel, ...]) -> None:
    for model in models:
        loaded = mojo.load(model.path)
        inputs = {spec.name: spec.datatype for spec in loaded.signature.inputs}
        assert inputs == dict.fromkeys(data.NUMBERS, "FP64") | dict.fromkeys(data.TEXTS, "BYTES")
        assert tuple(loaded.outputs) == ("predict", recipes.ON_TIME, recipes.LATE)


def test_they_are_small_enough_for_a_repository() -> None:
    assert sum(recipe.path.stat().st_size for recipe in recipes.RECIPES) < 1_000_000
    assert json.loads(recipes.SECONDS.read_text()).keys() == {str(recipe.version) for recipe in recipes.RECIPES}


def test_v3_refuses_one_flight_in_fifteen_and_the_others_none(flights: pd.DataFrame) -> None:
    rows = data.traffic(flights, count=3000, seed=1)
    for recipe in recipes.RECIPES:
        model = mojo.load(recipe.path)
        refused = [row for row in rows if is_refused(model, row, strict=recipe.strict)]
        assert all(row["carrier"] not in recipes.LARGE_AIRLINES or row["dest"] not in levels(model) for row in refused)
        share = len(refused) / len(rows)
        assert 0.04 < share < 0.1 if recipe.strict else share == 0


def test_the_large_airlines_are_those_with_most_flights_in_the_training(flights: pd.DataFrame) -> None:
    known = data.in_months(data.labelled(flights), data.TRAINING_MONTHS)
    counts = known["carrier"].value_counts()
    assert set(recipes.LARGE_AIRLINES) == set(counts.index[: len(recipes.LARGE_AIRLINES)])


def test_scores_of_a_table_are_probabilities(flights: pd.DataFrame) -> None:
    found = recipes.scores(recipes.RECIPES[1].path, flights.head(500))
    assert found.shape == (500,)
    assert ((found > 0) & (found < 1) & ~np.isnan(found)).all()


def is_refused(model: mojo.MojoModel, row: dict[str, object], *, strict: bool) -> bool:
    try:
        model.predict(row, strict=strict)
    except MojoRowError:
        return True
    return False


def levels(model: mojo.MojoModel) -> frozenset[str]:
    return frozenset(next(field.levels or () for field in model.fields if field.name == "dest"))
