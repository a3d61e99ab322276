"""Data in files: a table says the same in each form that it is written in; columns tell what words for missing mean."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.drift import Reference, State
from tidegate.drift.files import read_columns

#: What programs write where a number is missing.
WORDS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-")
#: Texts that could be taken for something missing, and some that could not.
TEXTS = (*WORDS[1:], "DE", "FR")

Table = Mapping[str, Sequence[Any]]


def to_csv(table: Table, path: Path, missing: Sequence[str] = ("",)) -> None:
    """Write a table, with these words in turn where a number is missing; a text that is missing is an empty cell."""
    words = (missing[place % len(missing)] for place in range(len(table["number"]) + 1))
    written = {**table, "number": [next(words) if value is None else value for value in table["number"]]}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(written)
        writer.writerows(zip(*written.values(), strict=True))


def to_json_lines(table: Table, path: Path) -> None:
    rows = zip(*table.values(), strict=True)
    path.write_text("".join(json.dumps(dict(zip(table, row, strict=True))) + "\n" for row in rows), encoding="utf-8")


def to_parquet(table: Table, path: Path) -> None:
    types = {"row": pa.int64(), "number": pa.float64(), "text": pa.string()}
    pa.parquet.write_table(pa.table({name: pa.array(table[name], types[name]) for name in table}), path)


WRITERS: dict[str, Callable[[Table, Path], None]] = {"csv": to_csv, "jsonl": to_json_lines, "parquet": to_parquet}
NUMBERS = st.none() | st.integers(-40, 40).map(lambda number: number / 4)


@st.composite
def tables(draw: st.DrawFn, texts: Sequence[str] = TEXTS) -> Table:
    rows = draw(st.lists(st.tuples(NUMBERS, st.none() | st.sampled_from(texts)), min_size=2, max_size=30))
    return {
        "row": list(range(len(rows))),
        "number": [number for number, _ in rows],
        "text": [text for _, text in rows],
    }


def compared(before: Path, now: Path) -> Any:
    reading = Reference.of(read_columns(before)).compare(read_columns(now))
    return {column.name: column.as_dict() for column in reading.columns}


@given(
    before=tables().filter(lambda table: any(number is not None for number in table["number"])),
    now=tables(),
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4),
)
@settings(deadline=None, max_examples=60)
def test_a_table_says_the_same_in_each_form(before: Table, now: Table, words: list[str]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for form, write in WRITERS.items():
            write(before, folder / f"before.{form}")
            write(now, folder / f"now.{form}")
        to_csv(before, folder / "before-words.csv", words)
        to_csv(now, folder / "now-words.csv", words)
        wanted = compared(folder / "before.parquet", folder / "now.parquet")
        # Each form beside itself and beside Parquet.
        firsts = [folder / f"before{rest}" for rest in (".csv", "-words.csv", ".jsonl", ".parquet")]
        for first in firsts:
            second = first.with_name(first.name.replace("before", "now"))
            assert compared(first, second) == wanted
            assert compared(first, folder / "now.parquet") == wanted
            assert compared(folder / "before.parquet", second) == wanted


def test_a_country_called_na_is_no_drift_between_two_forms(tmp_path: Path) -> None:
    table = {"row": range(400), "number": [1.5, None] * 200, "text": ["NA", "DE"] * 200}
    to_json_lines(table, tmp_path / "before.jsonl")
    to_csv(table, tmp_path / "now.csv", ["NA"])
    reading = Reference.of(read_columns(tmp_path / "before.jsonl")).compare(read_columns(tmp_path / "now.csv"))
    assert [column.psi for column in reading.columns] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_for_missing_among_numbers_is_missing(tmp_path: Path, word: str) -> None:
    (tmp_path / "x.csv").write_text(f"x,y\n1,a\n{word},b\n2.5,c\n")
    np.testing.assert_array_equal(read_columns(tmp_path / "x.csv")["x"], [1.0, np.nan, 2.5])


@pytest.mark.parametrize("text_at", [0, -1])
def test_what_a_column_is_does_not_hang_on_where_a_file_is_cut(tmp_path: Path, text_at: int) -> None:
    """A megabyte is read at once: the one text, and the numbers, are in other parts than most words for missing."""
    rows = [("NA", "NA")] * 500_000
    rows[text_at] = ("DE", "7")
    path = tmp_path / "x.csv"
    path.write_text("text,number\n" + "".join(f"{text},{number}\n" for text, number in rows))
    columns = read_columns(path)
    assert (columns["text"] == "NA").sum() == 499_999
    assert columns["text"][text_at] == "DE"
    assert np.isnan(columns["number"]).sum() == 499_999
    assert columns["number"][text_at] == 7


def test_one_text_in_a_column_of_numbers_does_not_make_what_is_missing_unseen(tmp_path: Path) -> None:
    cells = [*map(str, range(98)), "NA", "NA"] * 20
    before, now = tmp_path / "before.csv", tmp_path / "now.csv"
    before.write_text("x,y\n" + "".join(f"{cell},1\n" for cell in cells))
    now.write_text("x,y\n" + "".join(f"{cell},1\n" for cell in ["oops", *cells[1:]]))
    reading = Reference.of(read_columns(before)).compare(read_columns(now))
    column = next(one for one in reading.columns if one.name == "x")
    assert (column.current[-2:], column.state) == ((1, 40), State.NONE)


def test_a_column_of_nothing_but_words_is_what_the_reference_has(tmp_path: Path) -> None:
    reference = Reference.of({"text": ["NA", "DE"] * 50, "number": [1.0, 2.0] * 50})
    path = tmp_path / "now.csv"
    path.write_text("text,number,empty\n" + "NA,NA,\n" * 3)
    columns = read_columns(path)
    assert columns["empty"].tolist() == [None] * 3
    found = {column.name: column for column in reference.compare(columns).columns}
    assert dict(zip(found["text"].bins, found["text"].current, strict=True))["NA"] == 3
    assert found["number"].missing[1] == 1.0


def test_columns_of_one_name_and_nothing_but_words_are_told_apart_by_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("x,x\nNA,NA\n")
    with pytest.raises(InvalidInput, match="several columns called 'x'"):
        read_columns(tmp_path / "x.csv")
