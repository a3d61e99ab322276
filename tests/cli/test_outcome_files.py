"""Files of outcomes are read line by line, and a line that is none is told by its number."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cli.outcome_files import BATCH, LONGEST_LINE, batches, read
from tidegate.contract.errors import InvalidInput


def entries(text: str) -> list[tuple[int, object]]:
    return [(line.number, line.entry or line.wrong) for line in read(io.StringIO(text), "outcomes")]


def test_csv_and_json_lines_say_the_same() -> None:
    csv = 'request_id,shop,bad,at\na,x,true,2026-11-28T10:00:00Z\n"b,c",x,No,\n'
    first = {"request_id": "a", "bad": True, "at": "2026-11-28T10:00:00Z"}
    assert entries(csv) == [(2, first), (3, {"request_id": "b,c", "bad": False})]
    assert entries('\ufeff{"request_id": "a", "bad": true}\n\n{"request_id": "b", "bad": false}\n') == [
        (1, {"request_id": "a", "bad": True}),
        (3, {"request_id": "b", "bad": False}),
    ]


def test_outcomes_of_csv_are_labels_or_numbers() -> None:
    assert entries("request_id,outcome\na,refund\nb,2.5\n") == [
        (2, {"request_id": "a", "outcome": "refund"}),
        (3, {"request_id": "b", "outcome": 2.5}),
    ]


def test_what_really_was_is_read_from_csv_as_json_where_it_is_and_as_text_else() -> None:
    csv = 'request_id,bad,actual\na,no,12\nb,,late\nc,,"[1, 0]"\nd,yes,\ne,,NaN\n'
    found = entries(csv)
    assert found[:4] == [
        (2, {"request_id": "a", "bad": False, "actual": 12}),
        (3, {"request_id": "b", "actual": "late"}),
        (4, {"request_id": "c", "actual": [1, 0]}),
        (5, {"request_id": "d", "bad": True}),
    ]
    assert "finite" in str(found[4][1])
    assert entries('{"request_id": "a", "actual": NaN}\n') == [(1, "is not JSON")]


def test_a_line_that_is_none_costs_the_others_nothing() -> None:
    found = entries("request_id,bad\na,perhaps\nb\nc,true\n")
    assert [number for number, _ in found] == [2, 3, 4]
    assert found[2] == (4, {"request_id": "c", "bad": True})
    assert "perhaps" in str(found[0][1])


@pytest.mark.parametrize(
    "text", ["", "\n\n", "id,bad\na,true\n", "request_id\na\n", "request_id,bad,outcome\n", "x" * (LONGEST_LINE + 1)]
)
def test_a_file_that_begins_as_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        entries(text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        entries(text)
    except InvalidInput:
        return


def test_a_large_file_is_sent_in_parts() -> None:
    text = "request_id,bad\n" + "a,true\n" * (2 * BATCH + 1)
    assert [len(part) for part in batches(read(io.StringIO(text), "outcomes"))] == [BATCH, BATCH, 1]
