"""Files of outcomes are read line by line, and a line that is none is told by its number."""

from __future__ import annotations

import contextlib
import io
import json

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


@pytest.mark.parametrize("number", ["1e400", "-1E+999", "NaN", "-Infinity", "9" * 400, "9" * 5_000])
@pytest.mark.parametrize("value", ["{}", "[1, {}]", '{{"price": {}}}'])
def test_a_number_that_json_cannot_carry_costs_the_others_nothing(number: str, value: str) -> None:
    shown = number if len(number) <= 40 else f"{'9' * 40}… ({len(number):,} characters)"
    told = f"expected a finite number that a double holds (up to 1.8e308), got {shown}"
    lines = entries(
        '{"request_id": "a", "bad": true}\n'
        f'{{"request_id": "b", "actual": {value.format(number)}}}\n'
        f'{{"request_id": "c", "outcome": {number}}}\n'
        '{"request_id": "d", "actual": 12345678901234567890123}\n'
    )
    assert lines == [
        (1, {"request_id": "a", "bad": True}),
        (2, f"actual: {told}"),
        (3, f"outcome: {told}"),
        (4, {"request_id": "d", "actual": 12345678901234567890123}),
    ]
    cell = value.format(number).replace('"', '""')
    first, second = entries(f'request_id,actual\na,"{cell}"\nb,"{cell} or so"\n')
    assert first[1] in (f"actual: {told}", f"actual: price: {told}")
    assert second == (3, {"request_id": "b", "actual": f"{value.format(number)} or so"})


def test_half_a_surrogate_pair_costs_the_others_nothing() -> None:
    assert entries('{"request_id": "a", "actual": "\\ud800"}\n{"request_id": "b", "bad": true}\n') == [
        (1, "holds text that is not Unicode: half a surrogate pair"),
        (2, {"request_id": "b", "bad": True}),
    ]


def test_a_line_that_is_none_costs_the_others_nothing() -> None:
    found = entries("request_id,bad\na,perhaps\nb\nc,true\n")
    assert [number for number, _ in found] == [2, 3, 4]
    assert found[2] == (4, {"request_id": "c", "bad": True})
    assert "perhaps" in str(found[0][1])


@pytest.mark.parametrize("head", ["", "request_id,bad\na,true\n"])
@pytest.mark.parametrize("longer", [1, LONGEST_LINE, 3 * LONGEST_LINE])
def test_a_line_that_is_too_long_costs_the_others_nothing(head: str, longer: int) -> None:
    good = "b,false" if head else '{"request_id": "b", "bad": false}'
    lines = entries(f"{head or good}\n" + "x" * (LONGEST_LINE + longer - 1) + f"\n{good}\n")
    (_, wrong), last = lines[-2:]
    assert wrong == "is longer than 10,000 characters"
    assert last == (lines[-2][0] + 1, {"request_id": "b", "bad": False})


@pytest.mark.parametrize(
    "text", ["", "\n\n", "id,bad\na,true\n", "request_id\na\n", "request_id,bad,outcome\n", "x" * (LONGEST_LINE + 1)]
)
def test_a_file_that_begins_as_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        entries(text)


pieces = st.sampled_from(
    [*'[]{},:"\n0a', '""', r'"\ud800"', "1e400", "NaN", "-Infinity", "9" * 5_000]
    + [f'{{"request_id": "a", "{name}": ' for name in ("actual", "outcome")]
    + ['a,"[1, ']
)


def sent(text: str) -> None:
    """Read lines, and see that each that is not refused is what a request can carry."""
    for line in read(io.StringIO(text), "outcomes"):
        assert (line.entry is None) == bool(line.wrong)
        json.dumps(line.entry, ensure_ascii=False, allow_nan=False).encode()


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        sent(text)


@given(st.lists(pieces, max_size=12).map("".join))
def test_any_line_can_be_sent_or_is_refused(text: str) -> None:
    sent(f"request_id,actual\n{text}\n")
    sent(f'{{"request_id": "a", "bad": true}}\n{text}\n{{"request_id": "a", "actual": {text}}}\n')


def test_a_large_file_is_sent_in_parts() -> None:
    text = "request_id,bad\n" + "a,true\n" * (2 * BATCH + 1)
    assert [len(part) for part in batches(read(io.StringIO(text), "outcomes"))] == [BATCH, BATCH, 1]
