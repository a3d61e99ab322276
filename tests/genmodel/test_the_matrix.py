"""Every model of the matrix, with H2O's own scorer running: what is kept of it, and what Tidegate says.

Where the scorer is known to be wrong or to fail, that is what is tried.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.mojo.matrix.agreement import assert_scores
from tests.runtime.mojo.matrix.cases import (
    BY_CLUSTER,
    ENTRIES,
    LOADED,
    REFUSED,
    SEARCHED_BY_EXP,
    Entry,
    named,
)
from tests.runtime.mojo.matrix.genmodel import Judged, judge
from tests.runtime.mojo.matrix.insight import insights
from tests.runtime.mojo.matrix.kept import DATA, read_expected
from tests.runtime.mojo.matrix.rows import read_rows
from tests.runtime.mojo.matrix.tables import CLEAN
from tidegate import mojo
from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.runtime.mojo.genmodel_faults import fault_of

pytestmark = pytest.mark.usefixtures("scorer")

#: H2O's tool for CSV files scores none of these; its rows of one, which `judge` asks, do.
_NOT_OF_THE_TOOL = ("BinomialUplift", "TargetEncoder", "WordEmbedding")
#: No tree of it asks for the column of which the file lost levels.
_NEVER_ASKED = "xgboost_encoded_enum_limited"
_OF_THE_TOOL = [entry for entry in ENTRIES if entry not in REFUSED and entry["category"] not in _NOT_OF_THE_TOOL]


@cache
def rows_of(entry_rows: str) -> list[dict[str, str]]:
    return read_rows(DATA / entry_rows)


def judged(entry: Entry) -> Judged:
    return judge(DATA / entry["mojo"], rows_of(entry["rows"]))


@named(ENTRIES)
def test_what_is_kept_is_what_h2os_scorer_says(entry: Entry) -> None:
    found = judged(entry)

    assert found.failure == entry.get("failure")
    if found.failure is None:
        kept = read_expected(DATA / entry["expected"])
        for name in ("outputs", "labels", "refusals", "strict_refusals"):
            assert tuple(getattr(found, name)) == getattr(kept, name), name
        np.testing.assert_array_equal(found.values, kept.values)
        np.testing.assert_array_equal(found.calibrated, kept.calibrated)


@named([entry for entry in ENTRIES if entry.get("kept_besides")])
def test_what_is_kept_of_single_trees_is_what_it_says(entry: Entry) -> None:
    kept = read_expected(DATA / entry["expected"]).more

    found = insights(DATA / entry["mojo"], rows_of(entry["rows"]))

    assert sorted(found) == sorted(kept) == entry["kept_besides"]
    for name, values in found.items():
        np.testing.assert_array_equal(values, kept[name], name)


@named(LOADED)
def test_tidegate_says_what_it_says(entry: Entry) -> None:
    assert_scores(mojo.load(DATA / entry["mojo"]), judged(entry), rows_of(entry["rows"]), entry)


@named(BY_CLUSTER)
def test_where_it_is_wrong_tidegate_knows_it_and_says_something_else(entry: Entry) -> None:
    model, found = mojo.load(DATA / entry["mojo"]), judged(entry)

    assert fault_of(model) is not None
    if found.failure is None and not any(found.refusals[:CLEAN]):
        with pytest.raises(AssertionError):
            assert_scores(model, found, rows_of(entry["rows"]), entry)


@named(LOADED)
def test_no_fault_is_told_of_a_model_for_which_it_is_right(entry: Entry) -> None:
    assert fault_of(mojo.load(DATA / entry["mojo"])) is None


@named(REFUSED)
def test_where_a_file_is_refused_it_fails_or_is_wrong(entry: Entry) -> None:
    with pytest.raises((mojo.MojoFormatError, mojo.MojoUnsupportedError)):
        mojo.load(DATA / entry["mojo"])
    found = judged(entry)
    if found.failure is None and entry["name"] != _NEVER_ASKED:
        right = read_expected(DATA / entry["expected"]).cluster
        assert right is not None
        wide = min(right.shape[1], found.values.shape[1])
        wrong = ~np.isclose(found.values[: len(right), :wide], right[:, :wide], rtol=1e-6, atol=0)
        assert wrong.any(axis=1).sum() > len(right) / 10


@named(_OF_THE_TOOL)
def test_verify_finds_that_they_agree_or_why_not(entry: Entry, jar: str, java: str, tmp_path: Path) -> None:
    model = DATA / entry["mojo"]
    fault = fault_of(mojo.load(model))
    rows = rows_of(entry["rows"])
    kept = read_expected(DATA / entry["expected"])
    scored = rows[:CLEAN] if fault else [row for row, no in zip(rows, kept.refusals, strict=True) if not no]
    path = written(tmp_path / "rows.csv", rows, scored)

    found, hint = None, ""
    try:
        found = mojo.verify(model, path, jar=jar, java=java)
    except Unavailable as error:
        hint = str(error.hint)
    if found is None:
        assert fault is not None
        assert fault in hint
        return

    assert found.fault == fault
    assert found.left_out == ()
    assert found.rows > len(rows) * 0.2
    assert found.agrees(1e-7 if entry["name"] == SEARCHED_BY_EXP else 1e-12) == (fault is None), found.outputs


@named([entry for entry in ENTRIES if entry["category"] in _NOT_OF_THE_TOOL])
def test_verify_says_of_which_models_the_tool_has_no_scores(entry: Entry, jar: str, java: str, tmp_path: Path) -> None:
    rows = rows_of(entry["rows"])
    with pytest.raises(InvalidInput, match="does not score models of this category"):
        mojo.verify(DATA / entry["mojo"], written(tmp_path / "rows.csv", rows, rows[:CLEAN]), jar=jar, java=java)


def written(path: Path, rows: Sequence[dict[str, str]], some: Sequence[dict[str, str]]) -> Path:
    """Write some rows of a table, without those that H2O's tool cannot read."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(row for row in some if not any("\r" in cell for cell in row.values()))
    return path
