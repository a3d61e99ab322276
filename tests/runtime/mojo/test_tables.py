"""Kinds of table: the same columns from each, and answers in the kind that came."""

from __future__ import annotations

from collections import ChainMap, OrderedDict
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.support.mojos import FOLDER
from tidegate import mojo
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.tables import is_row

RECORDS: list[dict[str, Any]] = [
    {"size": 0.4, "count": 3, "kind": "a", "town": "t01", "code": "10", "flag": "True"},
    {"size": None, "count": None, "kind": None, "town": None, "code": None, "flag": None},
    {"size": -1.0, "count": 12, "kind": "c", "town": "two words", "code": "33", "flag": "False"},
    {"size": 2.25, "count": 50, "kind": "nowhere", "town": "ü, quoted", "code": "2", "flag": "True"},
]
TEXTS = ["kind", "town", "code", "flag"]


@pytest.fixture(scope="module", params=["gbm_enum", "gbm_one_hot_explicit"])
def model(request: pytest.FixtureRequest) -> mojo.MojoModel:
    return mojo.load(FOLDER / f"{request.param}.zip")


@pytest.fixture(scope="module")
def expected(model: mojo.MojoModel) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = model.predict(RECORDS)
    return answers


def test_one_row_and_a_list_of_rows(model: mojo.MojoModel, expected: list[dict[str, Any]]) -> None:
    assert [model.predict(row) for row in RECORDS] == expected


@pytest.mark.parametrize("kind", [object, "category", "str", "string[pyarrow]"])
def test_pandas(model: mojo.MojoModel, expected: list[dict[str, Any]], kind: Any) -> None:
    frame = pd.DataFrame(RECORDS, index=[7, 5, 3, 1])
    frame = frame.astype(dict.fromkeys(TEXTS, kind))
    answers = model.predict(frame)
    assert isinstance(answers, pd.DataFrame)
    assert answers.index.tolist() == [7, 5, 3, 1]
    assert answers.to_dict("records") == expected


def test_pandas_with_types_that_know_missing_values(model: mojo.MojoModel, expected: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(RECORDS).astype({"count": "Int64", "size": "Float64", "flag": "string"})
    frame["code"] = pd.array([10, None, 33, 2], dtype="Int64")
    frame["flag"] = pd.array([True, None, False, True], dtype="boolean")
    assert model.predict(frame).to_dict("records") == expected


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical])
def test_polars(model: mojo.MojoModel, expected: list[dict[str, Any]], kind: Any) -> None:
    frame = pl.DataFrame(RECORDS).with_columns(pl.col(name).cast(kind) for name in TEXTS)
    answers = model.predict(frame)
    assert isinstance(answers, pl.DataFrame)
    assert answers.to_dicts() == expected


def test_polars_with_numbers_for_levels(model: mojo.MojoModel, expected: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(RECORDS).with_columns(
        pl.col("code").cast(pl.Int32), pl.col("flag") == "True", pl.col("kind").cast(pl.Enum(["c", "a", "nowhere"]))
    )
    assert model.predict(frame).to_dicts() == expected


@pytest.mark.parametrize("is_batch", [False, True])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_arrow(model: mojo.MojoModel, expected: list[dict[str, Any]], kind: pa.DataType, is_batch: bool) -> None:
    table = pa.Table.from_pylist(RECORDS)
    for name in TEXTS:
        table = table.set_column(table.schema.get_field_index(name), name, table.column(name).cast(kind))
    given = table.combine_chunks().to_batches()[0] if is_batch else pa.concat_tables([table[:1], table[1:]])
    answers = model.predict(given)
    assert type(answers) is type(given)
    assert answers.to_pylist() == expected


def test_columns_of_a_dict_may_be_lists_arrays_and_series(
    model: mojo.MojoModel, expected: list[dict[str, Any]]
) -> None:
    columns: dict[str, Any] = {name: [row[name] for row in RECORDS] for name in RECORDS[0]}
    columns["size"] = np.array(columns["size"], dtype=np.float64)
    columns["kind"] = pd.Series(columns["kind"], dtype="category")
    columns["town"] = pa.array(columns["town"])
    columns["code"] = tuple(columns["code"])
    columns["flag"] = np.array(columns["flag"], dtype=object)
    answers = model.predict(columns)
    assert all(isinstance(column, np.ndarray) for column in answers.values())
    assert [
        dict(zip(answers, row, strict=True)) for row in zip(*(c.tolist() for c in answers.values()), strict=True)
    ] == expected


def test_a_structured_array(model: mojo.MojoModel) -> None:
    array = np.array([(0.4, "a"), (2.0, "b")], dtype=[("size", "f4"), ("kind", "U4")])
    answers = model.predict(array)
    assert answers["predict"].tolist() == [
        model.predict({"size": np.float32(0.4), "kind": "a"})["predict"],
        model.predict({"size": 2.0, "kind": "b"})["predict"],
    ]


def test_empty_tables_have_empty_answers(model: mojo.MojoModel) -> None:
    assert model.predict([]) == []
    assert len(model.predict(pd.DataFrame(RECORDS)[:0])) == 0
    assert model.predict(pa.Table.from_pylist(RECORDS)[:0]).num_rows == 0


def test_texts_are_texts_in_an_empty_answer(model: mojo.MojoModel) -> None:
    polars, arrow = pl.DataFrame(RECORDS[:1]), pa.Table.from_pylist(RECORDS[:1])
    assert model.predict(polars[:0]).schema == model.predict(polars).schema
    assert model.predict(arrow[:0]).schema == model.predict(arrow).schema


def test_a_dict_of_values_is_a_row_and_one_of_lists_is_not() -> None:
    assert is_row({"a": 1, "b": "text", "c": None, "d": np.float32(1)}, "abcd")
    assert is_row({}, "a")
    assert not is_row({"a": [1]}, "a")
    assert not is_row({"a": np.array([1])}, "a")
    assert is_row({"a": np.array(1), "b": 2}, "ab")


def test_columns_that_are_none_of_the_models_do_not_say_what_a_dict_is() -> None:
    assert is_row({"a": 1, "tags": ["x"]}, "a")
    assert not is_row({"a": [1], "note": "x"}, "a")
    assert not is_row({"tags": ["x"], "note": "x"}, "a")


def test_what_is_none_of_the_models_columns_is_ignored_whatever_it_holds(
    model: mojo.MojoModel, expected: list[dict[str, Any]]
) -> None:
    assert model.predict({**RECORDS[0], "tags": ["x", "y"], "more": {"a": 1}}) == expected[0]
    columns: dict[str, Any] = {name: [row[name] for row in RECORDS] for name in RECORDS[0]}
    answers = model.predict({"note": "one text", "tags": ["x"], "more": {"a": 1}, **columns})
    assert answers["predict"].tolist() == [answer["predict"] for answer in expected]


@pytest.mark.parametrize("kind", [MappingProxyType, OrderedDict, ChainMap])
def test_a_row_may_be_any_mapping(model: mojo.MojoModel, expected: list[dict[str, Any]], kind: Any) -> None:
    assert model.predict(kind(RECORDS[0])) == expected[0]
    assert model.predict([kind(row) for row in RECORDS]) == expected
    assert model.leaf_assignment(kind(RECORDS[0])) == model.leaf_assignment(RECORDS[0])


@pytest.mark.parametrize("column", [{0: 0.4, 1: 2.0}, {0.4, 2.0}, frozenset({0.4}), {}])
def test_a_column_whose_values_are_in_no_order_is_refused(model: mojo.MojoModel, column: Any) -> None:
    """What `DataFrame.to_dict()` gives has the index for keys: those were scored."""
    with pytest.raises(InvalidInput, match=r"'size' is a \w+, whose values are in no order") as raised:
        model.predict({"size": column})
    assert 'to_dict("list")' in str(raised.value.hint)
    with pytest.raises(InvalidInput, match="in no order"):
        model.predict(pd.DataFrame(RECORDS).to_dict())


def test_a_category_that_no_row_has_may_be_no_number(model: mojo.MojoModel) -> None:
    sizes = pd.Series(["0.4", "2.0", None, "none"], dtype="category")
    found = model.predict(pd.DataFrame({"size": sizes[:3]}))
    assert found.to_dict("records") == model.predict([{"size": 0.4}, {"size": 2.0}, {"size": None}])
    with pytest.raises(MojoRowError, match="'none' is no number"):
        model.predict(pd.DataFrame({"size": sizes}))


def test_what_a_mask_hides_is_missing(model: mojo.MojoModel) -> None:
    hidden = np.ma.array([0.4, 99.0], mask=[False, True])
    kinds = np.ma.array(["a", "b"], mask=[True, False])
    wanted = [model.predict({"size": 0.4, "kind": None}), model.predict({"size": None, "kind": "b"})]
    for given in (
        {"size": hidden, "kind": kinds},
        np.ma.array(
            [(0.4, "a"), (99.0, "b")], mask=[(False, True), (True, False)], dtype=[("size", "f8"), ("kind", "U4")]
        ),
    ):
        answers = model.predict(given)
        assert [
            dict(zip(answers, row, strict=True)) for row in zip(*(c.tolist() for c in answers.values()), strict=True)
        ] == wanted
    counts = np.ma.array([3, 7], mask=[False, True])
    assert model.predict({"count": counts})["yes"][1] == model.predict([{"count": None}])[0]["yes"]
    rows = np.zeros((1, model.builder.width))
    np.testing.assert_array_equal(
        model.predict(np.ma.array(rows, mask=np.ones_like(rows))), model.predict(np.full_like(rows, np.nan))
    )


@pytest.mark.parametrize(
    "data", [3, "rows.csv", None, [1, 2], np.zeros(3), {"size": 1.0, "kind": ["a"]}, np.zeros((2, 1), [("size", "f8")])]
)
def test_what_is_no_table_is_refused(model: mojo.MojoModel, data: Any) -> None:
    with pytest.raises(InvalidInput):
        model.predict(data)


def test_columns_that_differ_in_length_are_refused(model: mojo.MojoModel) -> None:
    with pytest.raises(InvalidInput, match="differ in length: 'kind' has 1 values, 'size' has 2"):
        model.predict({"size": [1.0, 2.0], "kind": ["a"]})


def test_a_column_that_is_there_twice_is_refused(model: mojo.MojoModel) -> None:
    frame = pd.DataFrame([[1.0, 2.0]], columns=["size", "size"])
    with pytest.raises(InvalidInput, match="several columns called 'size'"):
        model.predict(frame)
    with pytest.raises(InvalidInput, match="several columns called 'size'"):
        model.predict(pa.table([[1.0], [2.0]], names=["size", "size"]))
