"""The usual row is answered by one call of compiled code, to the same bits as among many rows."""

from __future__ import annotations

import gc
import random
import sys
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
import pytest

from tests.runtime.mojo.matrix.kept import DATA, read_index
from tests.runtime.mojo.matrix.rows import read_rows
from tests.support.mojos import FOLDER
from tidegate import mojo
from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.load import MojoModel

#: Of the matrix, those that one call can answer.
_ALGORITHMS = {"gbm", "drf", "xgboost", "glm", "stacked_ensemble"}
_ENTRIES = [
    entry
    for entry in read_index()["models"]
    if entry["algorithm"] in _ALGORITHMS and not {"failure", "to_be_refused"} & set(entry)
]


def typed(model: MojoModel, cells: Mapping[str, str]) -> dict[str, Any]:
    """Return a row as a program has it: floats, whole numbers, and levels that the training had."""
    row: dict[str, Any] = {}
    for field in model.fields:
        cell = cells.get(field.name)
        if cell is None:
            continue
        if field.kind != "number":
            row[field.name] = cell if cell in field.values else None
            continue
        try:
            number = float(cell)
        except ValueError:
            continue
        row[field.name] = int(number) if number.is_integer() and abs(number) < 1e15 else number
    return row


def test_there_are_models_of_all_these_algorithms() -> None:
    assert {entry["algorithm"] for entry in _ENTRIES} == _ALGORITHMS


@pytest.mark.parametrize("entry", _ENTRIES, ids=[entry["name"] for entry in _ENTRIES])
def test_a_row_is_answered_at_once_as_among_others(entry: Mapping[str, Any]) -> None:
    model = mojo.load(DATA / entry["mojo"])
    at_once = model.at_once
    if at_once is None:
        pytest.skip("a model that takes more")
    answered = 0
    for cells in read_rows(DATA / entry["rows"])[::3]:
        row = typed(model, cells)
        answer = at_once(row)
        try:
            [wanted, _] = model.predict([row, row])
        except MojoRowError:
            assert answer is None
            continue
        if answer is not None:
            np.testing.assert_equal(answer, wanted)
            answered += 1
    assert answered > 3


@pytest.fixture(scope="module")
def model() -> MojoModel:
    return mojo.load(FOLDER / "gbm_enum.zip")


@pytest.fixture(scope="module")
def row(model: MojoModel) -> dict[str, Any]:
    return {field.name: 1.5 if field.kind == "number" else next(iter(field.values)) for field in model.fields}


@pytest.mark.parametrize(
    "name",
    [
        "gbm_tweedie_1.5",
        "drf_two_enum",
        "xgboost_dart_offset",
        "glm_lasso",
        "stacked_base_glm_two",
        "stacked_odd_logit",
    ],
)
def test_models_of_every_such_kind_answer_at_once(name: str) -> None:
    assert mojo.load(DATA / "models" / f"{name}.zip").at_once is not None


def test_the_order_of_a_row_and_other_objects_of_the_same_names_do_not_matter(
    model: MojoModel, row: dict[str, Any]
) -> None:
    assert model.at_once is not None
    wanted = model.predict([row])[0]
    chance = random.Random(5)
    for _ in range(20):
        names = list(row)
        chance.shuffle(names)
        assert model.at_once({"".join(list(name)): row[name] for name in names}) == wanted
    assert model.at_once({"".join(list(name)): value for name, value in row.items()}) == wanted


def test_inputs_that_are_left_out_are_missing(model: MojoModel, row: dict[str, Any]) -> None:
    assert model.at_once is not None
    for left_out in range(1, 2 ** len(row) - 1):
        some = {name: value for place, (name, value) in enumerate(row.items()) if not left_out >> place & 1}
        assert model.at_once(some) == model.predict([some])[0]


def test_a_row_that_takes_more_is_answered_otherwise(model: MojoModel, row: dict[str, Any]) -> None:
    assert model.at_once is not None
    name = next(field.name for field in model.fields if field.kind == "number")
    level = next(field.name for field in model.fields if field.kind != "number")
    wanted = model.predict([row])[0]
    for other in (
        {**row, "comment": "none of its inputs"},
        OrderedDict(row),
        {**row, name: "1.5"},
        {**row, name: np.float64(1.5)},
    ):
        assert model.at_once(other) is None
        assert model.predict(other) == wanted
    unseen = {**row, level: "nowhere"}
    assert model.at_once(unseen) is None
    assert model.predict(unseen) == model.predict([{**row, level: None}])[0]
    assert model.at_once({}) is None
    assert model.at_once({1: 2.0, **row}) is None


def test_several_threads_get_each_their_own_answers(model: MojoModel, row: dict[str, Any]) -> None:
    assert model.at_once is not None
    name = next(field.name for field in model.fields if field.kind == "number")
    rows = [{**row, name: place / 10.0} for place in range(200)]
    wanted = [model.predict([one])[0] for one in rows]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(model.at_once, rows * 20)) == wanted * 20


@pytest.mark.parametrize("name", ["gbm_tweedie_1.5", "drf_two_enum", "xgboost_dart_offset", "stacked_odd_logit"])
def test_models_that_let_the_interpreter_go_while_they_score_answer_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = DATA / "models" / f"{name}.zip"
    short = mojo.load(path)
    monkeypatch.setattr("tidegate.runtime.mojo.row_plan._MANY_STEPS", 0.0)
    long = mojo.load(path)
    assert short.at_once is not None
    assert long.at_once is not None
    numbers = [field.name for field in long.fields if field.kind == "number"]
    rows = [dict.fromkeys(numbers, place / 10.0) for place in range(100)]
    wanted = [short.at_once(one) for one in rows]
    assert None not in wanted
    with ThreadPoolExecutor(4) as pool:
        np.testing.assert_equal(list(pool.map(long.at_once, rows * 20)), wanted * 20)


def test_nothing_of_a_row_or_an_answer_is_kept(model: MojoModel, row: dict[str, Any]) -> None:
    assert model.at_once is not None
    label = "predict"
    text = model.predict(row)[label]
    held = [*row.values(), text, label]
    process = psutil.Process()
    for _ in range(1000):
        model.at_once(row)
    gc.collect()
    counts, before = [sys.getrefcount(one) for one in held], process.memory_info().rss
    for _ in range(100_000):
        model.at_once(row)
    assert [sys.getrefcount(one) for one in held] == counts
    # 100,000 answers that were kept would take 20 MB and more.
    assert process.memory_info().rss - before < 4 << 20
