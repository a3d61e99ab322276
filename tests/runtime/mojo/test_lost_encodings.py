"""Encodings that a file has no keys for: what names of columns and the training's details are enough for.

Answers of whole models are compared with H2O's in `test_matrix`; the files here are made by hand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.runtime.mojo.damage import Memory
from tidegate.runtime.mojo.encodings import Field, fields_of
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import read_header
from tidegate.runtime.mojo.nested_encodings import Translator, rows_within
from tidegate.runtime.mojo.rows import RowBuilder

ONE_HOT = ("size", "kind.a", "kind. b", "kind.missing(NA)", "flag.yes", "flag.missing(NA)")
ORIGINALS = ("kind", "size", "flag", "y")


def fields(
    names: Sequence[str],
    encoding: str | None,
    originals: Sequence[str] | None,
    *,
    algorithm: str = "K-means",
    said: Sequence[str] | None = None,
) -> tuple[Field, ...]:
    """Return the inputs of a model with these features, and a last column y, of which the details say so much."""
    info = {"algorithm": algorithm, "mojo_version": "1.00", "supervised": "true", "category": "Clustering"}
    info |= {"n_features": str(len(names)), "n_columns": str(len(names) + 1), "n_classes": "1"}
    lines = ["[info]", *(f"{key} = {value}" for key, value in info.items()), "[columns]", *names, "y", "[domains]"]
    entries = {"model.ini": "\n".join(lines).encode()}
    if encoding is not None:
        details: dict[str, Any] = {
            "parameters": [{"name": "categorical_encoding", "actual_value": encoding}],
            "output": {"names": [*(said or names), "y"], "original_names": originals},
        }
        entries["experimental/modelDetails.json"] = json.dumps(details).encode()
    container = Memory(entries)
    return fields_of(container, read_header(container))


def test_one_hot_columns_are_called_after_their_levels() -> None:
    found = fields(ONE_HOT, "OneHotExplicit", ORIGINALS)
    assert [(field.name, field.levels, field.kind, field.first, field.width) for field in found] == [
        ("kind", ("a", " b"), "one_hot", 1, 3),
        ("size", None, "number", 0, 1),
        ("flag", ("yes",), "one_hot", 4, 2),
    ]


def test_a_level_keeps_its_blanks() -> None:
    found = fields(
        ("kind.a", "kind.missing(NA)"), "OneHotExplicit", ("kind", "y"), said=("kind.a ", "kind.missing(NA)")
    )
    assert found[0].levels == ("a ",)


def test_what_is_left_out_is_missing() -> None:
    builder = RowBuilder(fields(ONE_HOT, "OneHotExplicit", ORIGINALS), len(ONE_HOT))
    expected = [[0.5, 0, 0, 1, 1, 0]]
    assert builder.one({"size": 0.5, "flag": "yes"}).tolist() == expected
    assert builder.matrix({"size": [0.5], "flag": ["yes"]}, 1).tolist() == expected
    assert builder.one({"size": 0.5, "flag": "yes", "kind": None}).tolist() == expected


@pytest.mark.parametrize("encoding", ["Binary", "Eigen", "LabelEncoder", "EnumLimited", "OneHotExplicit"])
def test_columns_of_a_training_without_categories_are_taken_as_they_are(encoding: str) -> None:
    if encoding == "LabelEncoder":
        # Names stay as they are, so that nothing tells whether there were categories.
        with pytest.raises(MojoUnsupportedError, match="label_encoder"):
            fields(("size", "count"), encoding, ("size", "count", "y"))
        return
    assert [field.kind for field in fields(("size", "count"), encoding, ("size", "count", "y"))] == ["number"] * 2


@pytest.mark.parametrize("algorithm", ["XGBoost", "K-means", "Extended Isolation Forest"])
@pytest.mark.parametrize(
    ("names", "encoding", "word"),
    [
        (("kind:0", "kind:1"), "Binary", "binary"),
        (("kind.Eigen",), "Eigen", "eigen"),
        (("kind",), "LabelEncoder", "label_encoder"),
        (("kind.top_10_levels",), "EnumLimited", "enum_limited"),
        # There are two levels "missing(NA)", or there are none of a column, or they are not all of them.
        (("kind.missing(NA)", "kind.missing(NA)"), "OneHotExplicit", "one_hot_explicit"),
        (("kind.a", "kind.b"), "OneHotExplicit", "one_hot_explicit"),
        (("kind.a", "kind.a", "kind.missing(NA)"), "OneHotExplicit", "one_hot_explicit"),
        (("kind.a", "kind.missing(NA)", "other"), "OneHotExplicit", "one_hot_explicit"),
    ],
)
def test_encodings_that_the_file_does_not_hold_are_refused(
    names: tuple[str, ...], encoding: str, word: str, algorithm: str
) -> None:
    with pytest.raises(MojoUnsupportedError, match=word):
        fields(names, encoding, ("kind", "y"), algorithm=algorithm)


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (("kind.top_10_levels", "size"), "enum_limited"),
        (("size", "kind.a", "kind.missing(NA)"), "one_hot_explicit"),
        (("size", "kind:0", "kind:1"), "binary"),
    ],
)
def test_names_tell_the_encoding_where_there_are_no_details(names: tuple[str, ...], word: str) -> None:
    with pytest.raises(MojoUnsupportedError, match=word):
        fields(names, None, None)


@pytest.mark.parametrize("encoding", ["AUTO", "Enum", "OneHotInternal", "SortByResponse"])
def test_names_tell_nothing_where_the_details_do(encoding: str) -> None:
    assert [field.name for field in fields(("kind:0", "kind:1"), encoding, None)] == ["kind:0", "kind:1"]


def test_one_hot_columns_that_the_details_call_otherwise_are_refused() -> None:
    with pytest.raises(MojoUnsupportedError, match="one_hot_explicit"):
        fields(("size",), "OneHotExplicit", ("kind", "y"), said=("other",))


@pytest.mark.parametrize("details", [b"", b"[]", b"{}", b'{"parameters": 1}', b"[" * 100_000, b"\xff"])
def test_details_that_cannot_be_read_are_as_none(details: bytes) -> None:
    ini = b"[info]\nalgorithm = K-means\nmojo_version = 1.00\nsupervised = false\nn_classes = 1\n"
    ini += b"category = Clustering\nn_features = 1\nn_columns = 1\n[columns]\nsize\n[domains]\n"
    container = Memory({"model.ini": ini, "experimental/modelDetails.json": details})
    assert [field.name for field in fields_of(container, read_header(container))] == ["size"]


def outer(domains: dict[str, tuple[str, ...] | None]) -> Any:
    lines = ["[info]", "algorithm = StackedEnsemble", "mojo_version = 1.01", "supervised = true", "n_classes = 1"]
    lines += ["category = Regression", f"n_features = {len(domains)}", f"n_columns = {len(domains)}", "[columns]"]
    lines += [*domains, "[domains]"]
    entries: dict[str, bytes] = {}
    for place, levels in enumerate(domains.values()):
        if levels is not None:
            lines.append(f"{place}: {len(levels)} d{place}.txt")
            entries[f"domains/d{place}.txt"] = "".join(f"{level}\n" for level in levels).encode()
    return read_header(Memory(entries | {"model.ini": "\n".join(lines).encode()}))


def test_levels_are_handed_to_inner_models_by_what_they_are() -> None:
    header = outer({"kind": ("a", "b", "c"), "size": None})
    inner = (
        Field("size", None, "number", 0, 1, {}),
        Field("kind", ("c", "a"), "value", 1, 1, {"c": 0.0, "a": 1.0}),
    )
    rows = Translator(header, inner, 2)(np.array([[0.0, 0.5], [1.0, 1.5], [2.0, np.nan], [np.nan, 2.0], [7.0, 3.0]]))
    np.testing.assert_array_equal(rows, [[0.5, 1.0], [1.5, np.nan], [np.nan, 0.0], [2.0, np.nan], [3.0, np.nan]])


@pytest.mark.parametrize("kind", ["one_hot", "binary"])
def test_inner_models_have_rows_as_their_users_make_them(kind: Any) -> None:
    header = outer({"kind": ("a", "b", "c")})
    field = Field("kind", ("c", "a"), kind, 0, 3 if kind == "one_hot" else 2, {"c": 0.0, "a": 1.0})
    builder = RowBuilder((field,), field.width)
    rows = Translator(header, (field,), field.width)(np.array([[0.0], [1.0], [2.0], [np.nan]]))
    np.testing.assert_array_equal(rows, builder.matrix({"kind": ["a", "b", "c", None]}, 4))


def test_a_column_that_an_inner_model_needs_and_the_outer_has_not_is_damage() -> None:
    header = outer({"kind": ("a",), "size": None})
    for name in ("other", "size"):
        field = Field(name, ("a",), "one_hot", 0, 2, {"a": 0.0})
        with pytest.raises(MojoFormatError, match=f"needs the column '{name}'"):
            rows_within(header, header, (field,))
