"""Views, loads and look-ups, on both databases."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.features.conftest import NOON, Clock
from tidegate.contract.errors import Conflict, InvalidInput, NotFound
from tidegate.features import FeatureStore


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def row(customer: str, at: int, **features: Any) -> dict[str, Any]:
    return {"customer": customer, "at": day(at), **features}


def jsonl(*lines: str | bytes) -> io.BytesIO:
    return io.BytesIO(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))


def vectors(store: FeatureStore, entities: Sequence[str], **when: Any) -> dict[str, Any]:
    return {entity: dict(one.vector) for entity, one in store.get("customers", entities, **when).items()}


# Views


def test_a_view_is_made_once_and_found_by_its_name(store: FeatureStore) -> None:
    made = store.create("customers", "customer", {"type": "object"}, by="ada")
    assert store.views() == [made] == [store.view("customers")]
    assert (made.entity, made.schema, made.created_by, made.loaded_at) == ("customer", {"type": "object"}, "ada", None)
    with pytest.raises(Conflict, match="already"):
        store.create("customers", "customer")
    with pytest.raises(NotFound, match="no feature view 'others'"):
        store.view("others")


def test_names_that_nothing_else_could_carry_are_refused(store: FeatureStore) -> None:
    for name in ("", "Customers", "9lives", "a" * 64, "x'; DROP TABLE feature_views; --", "a\n"):
        with pytest.raises(InvalidInput, match="no name of a feature view"):
            store.create(name, "customer")
    for column in ("", " a", "a\n", "x" * 101):
        with pytest.raises(InvalidInput, match="no name of a column"):
            store.create("customers", column)
    assert store.views() == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"x": {"pattern": "("}}},
        {"description": "x" * 300_000},
    ],
)
def test_a_schema_that_is_none_makes_no_view(store: FeatureStore, schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        store.create("customers", "customer", schema)
    assert store.views() == []


# Loads


def test_the_newest_vector_is_looked_up_in_whatever_order_vectors_come(customers: FeatureStore) -> None:
    customers.load("customers", [row("42", 3, spent=30), row("7", 1, spent=1), row("42", 2, spent=20)])
    customers.load("customers", [row("42", 1, spent=10)])
    assert vectors(customers, ["42", "7", "unknown"]) == {"42": {"spent": 30}, "7": {"spent": 1}}
    assert [one.vector["spent"] for one in customers.history("customers", "42")] == [30, 20, 10]
    held = customers.holdings("customers")
    assert (held.entities, held.vectors, held.quarantined, held.first, held.last) == (2, 4, 0, day(1), day(3))


def test_keys_that_are_numbers_are_the_same_as_their_digits(customers: FeatureStore) -> None:
    customers.load("customers", [{"customer": 42, "at": day(1), "spent": 1.5}])
    assert vectors(customers, ["42"]) == {"42": {"spent": 1.5}}
    assert list(customers.get("customers", [42])) == ["42"]


def test_to_load_again_changes_nothing(customers: FeatureStore) -> None:
    rows = [row("42", 3, b=[1, {"y": None, "x": 1.0}], a="é"), row("42", 2, a=True)]
    customers.load("customers", rows)
    before = customers.history("customers", "42")
    again = customers.load("customers", rows)
    assert (again.read, again.written, again.unchanged, again.newest) == (2, 0, 2, 0)
    assert customers.history("customers", "42") == before


def test_a_correction_takes_the_place_of_what_was_known_and_leaves_it_on_record(
    customers: FeatureStore, clock: Clock
) -> None:
    first = customers.load("customers", [row("42", 3, spent=30)])
    clock.pass_(days=1)
    second = customers.load("customers", [row("42", 3, spent=31)])
    assert second.written_at > first.written_at
    assert vectors(customers, ["42"]) == {"42": {"spent": 31}}
    assert vectors(customers, ["42"], known_at=first.written_at) == {"42": {"spent": 30}}
    customers.load("customers", [row("42", 3, spent=30)])
    assert [one.vector["spent"] for one in customers.history("customers", "42")] == [30, 31, 30]


def test_of_rows_for_one_entity_and_time_the_last_of_a_load_holds(customers: FeatureStore) -> None:
    done = customers.load("customers", [row("42", 3, spent=1), row("42", 3, spent=2)])
    assert (done.written, done.unchanged) == (1, 1)
    assert vectors(customers, ["42"]) == {"42": {"spent": 2}}


def test_a_clock_that_goes_back_does_not_turn_what_is_known_around(store: FeatureStore, clock: Clock) -> None:
    store.create("customers", "customer")
    first = store.load("customers", [row("42", 3, spent=1)])
    clock.pass_(days=-10)
    second = store.load("customers", [row("42", 3, spent=2)])
    assert second.written_at > first.written_at
    assert [one.vector["spent"] for one in store.history("customers", "42")] == [2, 1]


def test_bad_rows_go_to_the_quarantine_with_the_reason_and_the_rest_is_loaded(store: FeatureStore) -> None:
    store.create("customers", "customer", {"properties": {"spent": {"type": "number", "minimum": 0}}})
    ahead = '{"customer": "1", "at": "2036-01-01"}'
    lines: list[tuple[str | bytes, str]] = [
        ('["42"]', "not a JSON object"),
        ('{"customer": "1", "at": "2026-01-01", "spent": NaN}', "spent is NaN, which JSON has not"),
        ('{"customer": "1", "at": "2026-01-01", "spent": -Infinity}', "spent is -Infinity, which JSON has not"),
        ('{"customer": "1", "at": "2026-01-01", "spent": "much"}', "spent: "),
        ('{"customer": "1", "at": "2026-01-01", "spent": -1}', "spent: "),
        ('{"at": "2026-01-01"}', "customer: is missing"),
        ('{"customer": "", "at": "2026-01-01"}', "customer: is empty"),
        ('{"customer": 1.5, "at": "2026-01-01"}', "customer: expected text or a whole number"),
        ('{"customer": "' + "x" * 300 + '", "at": "2026-01-01"}', "customer: has 300 characters"),
        ('{"customer": "1"}', "at: is missing"),
        ('{"customer": "1", "at": "yesterday"}', "at: expected a date or time"),
        ('{"customer": "1", "at": 17}', "at: expected a date or time"),
        (ahead, "at: is in the future"),
        ('{"customer": "1", "at": "2026-01-01", "x": "a\\u0000b"}', "x holds the character U+0000"),
        ('{"customer": "1", "at": "2026-01-01", "x": "\\ud800"}', "x is not Unicode"),
        ('{"customer": "1", "at": "2026-01-01", "x": 1e400}', "x is 1e400, expected a number that a double holds"),
        (
            '{"customer": "1", "at": "2026-01-01", "x": 12345678901234567890123}',
            "x is 12345678901234567890123, expected",
        ),
        ('{"customer": 12345678901234567890123, "at": "2026-01-01"}', "customer: is 12345678901234567890123, expected"),
        ('{"customer": "1", "at": "2026-01-01", "x": "' + "x" * 300_000 + '"}', "bytes as JSON, expected at most"),
        ('{"customer": "1", "at": "2026-01-01", "x": "' + "x" * 2_000_000 + '"}', "is longer than"),
        ('{"customer": "1", "at": "2026-01-01", "x": ' + "[" * 100 + "]" * 100 + "}", "nested deeper"),
        ('{"customer": "1", "at": "2026-01-01", "x": ' + "[" * 5000, "nested"),
        (b'{"customer": "\xff"}', "UTF-8"),
        ('{"customer": ', "not JSON"),
    ]
    good = '{"customer": "42", "at": "2026-01-01", "spent": 1}'
    done = store.load("customers", jsonl(good, *(line for line, _ in lines), "", good), form="jsonl")
    assert (done.read, done.written, done.quarantined) == (len(lines) + 2, 1, len(lines))
    kept = store.quarantine("customers")[::-1]
    for number, (one, (line, reason)) in enumerate(zip(kept, lines, strict=True), 2):
        assert reason in one.reason, line[:80]
        assert one.position == number
        assert len(one.row) <= 4_001
    assert store.holdings("customers").quarantined == len(lines)
    assert (kept[-1].row, kept[-1].source) == ('{"customer": \n', "a stream")


def test_with_too_many_bad_rows_nothing_is_written(customers: FeatureStore) -> None:
    rows = [row("42", 1, spent=1), *({"customer": None, "at": day(1)} for _ in range(11))]
    with pytest.raises(InvalidInput, match=r"more than 10 rows .* row 2: customer: is missing"):
        customers.load("customers", rows, most_refused=10)
    held = customers.holdings("customers")
    assert (held.vectors, held.quarantined) == (0, 0)


def test_a_source_that_breaks_off_leaves_nothing_half_written(customers: FeatureStore) -> None:
    def rows() -> Any:
        for number in range(5_000):
            yield row(str(number), 1, spent=number)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        customers.load("customers", rows())
    assert customers.holdings("customers").vectors == 0
    assert customers.load("customers", [row("42", 1)]).written == 1


def test_what_looks_like_sql_is_text(customers: FeatureStore) -> None:
    evil = "x'); DROP TABLE features.feature_vectors; --\t\\N\\."
    customers.load("customers", [{"customer": evil, "at": day(1), evil: evil}])
    assert vectors(customers, [evil]) == {evil: {evil: evil}}
    assert customers.get("customers", ["' OR 1=1 --"]) == {}
    with pytest.raises(NotFound):
        customers.get("' OR 1=1 --", ["42"])


def test_values_come_back_as_they_were(customers: FeatureStore) -> None:
    values = [1e300, 5e-324, -0.0, 0.1, 1e23, 2**63 - 1, -(2**63), 1.0, True, False, None, "", [], {}, "é\t\U0001f6f7"]
    customers.load("customers", [row(str(place), 1, x=value) for place, value in enumerate(values)])
    found = customers.get("customers", list(range(len(values))))
    for place, value in enumerate(values):
        told = found[str(place)].vector["x"]
        assert told == value
        assert isinstance(told, bool) == isinstance(value, bool)


# Forms of data


def test_csv_has_numbers_truth_values_nulls_and_text(store: FeatureStore, tmp_path: Path) -> None:
    store.create("customers", "customer", {"properties": {"zip": {"type": ["string", "null"]}}})
    path = tmp_path / "customers.csv"
    path.write_text(
        "\ufeffcustomer,at,spent,vip,zip,code,note\n"
        '0042,2026-01-01T10:00:00Z,1.5e1,true,12345,007,"a\nb, ""c"""\n'
        "\n"
        "7,2026-01-01,,false,1,8,x\n"
        "8,2026-01-01,NaN,,,,\n"
        "9,2026-01-01,1\n"
        '10,2026-01-01,"1,,,,\n'
        "11,2026-01-01,1,,,,\n",
        encoding="utf-8",
    )
    done = store.load("customers", path)
    assert vectors(store, ["0042", "7", "11"]) == {
        "0042": {"spent": 15.0, "vip": True, "zip": "12345", "code": "007", "note": 'a\nb, "c"'},
        "7": {"spent": None, "vip": False, "zip": "1", "code": 8, "note": "x"},
        "11": {"spent": 1, "vip": None, "zip": None, "code": None, "note": None},
    }
    assert [(one.position, one.reason[:22]) for one in store.quarantine("customers")[::-1]] == [
        (6, "spent is nan, expected"),
        (7, "has 3 columns, expecte"),
        (8, "has a quote that is no"),
    ]
    assert done.quarantined == 3


def test_tables_of_pandas_arrow_and_parquet_say_the_same(customers: FeatureStore, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "customer": [1, 2],
            "at": pd.to_datetime(["2026-01-01T00:00:00.123456789", "2026-01-02"], format="ISO8601"),
            "spent": [1.5, None],
            "seen": pd.to_datetime(["2025-12-31", None], format="ISO8601"),
        }
    )
    expected = {"1": {"spent": 1.5, "seen": "2025-12-31T00:00:00"}, "2": {"spent": None, "seen": None}}
    path = tmp_path / "customers.parquet"
    frame.to_parquet(path)
    assert customers.load("customers", frame).written == 2
    assert vectors(customers, ["1", "2"]) == expected
    assert customers.load("customers", pa.Table.from_pandas(frame)).unchanged == 2
    assert customers.load("customers", path).unchanged == 2
    assert customers.history("customers", 1)[0].at == datetime(2026, 1, 1, microsecond=123456, tzinfo=UTC)


def test_a_table_in_which_a_number_is_none_is_quarantined_row_by_row(customers: FeatureStore) -> None:
    table = pa.table({"customer": ["1", "2"], "at": [day(1), day(1)], "x": [float("nan"), 1.0]})
    done = customers.load("customers", table)
    assert (done.written, done.quarantined) == (1, 1)
    assert done.reasons == ((1, "x is nan, expected a finite number"),)


def test_a_cell_that_is_no_number_of_ours_costs_the_others_nothing(customers: FeatureStore, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("customer,at,x\nok1,2026-01-01,1\nbad,2026-01-01,1e400\nok2,2026-01-01,2\n")
    done = customers.load("customers", path)
    assert (done.written, done.quarantined) == (2, 1)
    (kept,) = customers.quarantine("customers")
    assert (kept.position, kept.entity, kept.row) == (3, "bad", "bad,2026-01-01,1e400\n")
    assert kept.reason == "x is 1e400, expected a number that a double holds (up to 1.8e308)"


def test_whole_numbers_of_a_table_are_kept_or_refused_and_never_rounded(
    customers: FeatureStore, tmp_path: Path
) -> None:
    digits = [2**53 + 1, 2**63 - 1, 2**63, 12345678901234567890123]
    tables = {
        "decimal": pa.array(digits, pa.decimal128(38, 0)),
        "wide": pa.array(digits, pa.decimal256(70, 0)),
        "unsigned": pa.array([*digits[:3], 2**64 - 1], pa.uint64()),
    }
    for name, cells in tables.items():
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"customer": [f"{name}{at}" for at in range(4)], "at": [day(1)] * 4, "x": cells}), path)
        done = customers.load("customers", path)
        assert (done.written, done.quarantined) == (2, 2), name
        assert vectors(customers, [f"{name}0", f"{name}1"]) == {
            f"{name}0": {"x": digits[0]},
            f"{name}1": {"x": digits[1]},
        }
        for _, reason in done.reasons:
            assert reason.endswith("to 9223372036854775807 (64 bits), or text")


def test_a_frame_that_arrow_cannot_read_is_one_message_and_its_rows_cost_each_other_nothing(
    customers: FeatureStore,
) -> None:
    frame = pd.DataFrame({"customer": ["1", "2"], "at": [day(1), day(1)], "x": pd.Series([1, 2**64], dtype=object)})
    with pytest.raises(InvalidInput, match="Arrow cannot make columns of this DataFrame: Python int too large"):
        customers.load("customers", frame)
    done = customers.load("customers", frame.to_dict("records"))
    assert (done.written, done.quarantined) == (1, 1)
    assert done.reasons[0][1].startswith("x is 18446744073709551616, expected a whole number from")


def test_a_key_that_is_a_decimal_without_a_fraction_is_its_digits(customers: FeatureStore) -> None:
    keys = pa.array([2**53 + 1, 10**30], pa.decimal128(38, 0))
    done = customers.load("customers", pa.table({"customer": keys, "at": [day(1), day(1)], "x": [1, 2]}))
    assert vectors(customers, [str(2**53 + 1)]) == {str(2**53 + 1): {"x": 1}}
    ((position, reason),) = done.reasons
    assert (position, reason.split(",")[0]) == (2, f"customer: is {10**30}")


def test_rows_without_a_time_get_the_one_that_is_told(customers: FeatureStore) -> None:
    customers.load(
        "customers", jsonl('{"customer": "42"}', '{"customer": "7", "at": "2026-01-02"}'), form="jsonl", at=NOON
    )
    assert {entity: one.at for entity, one in customers.get("customers", ["42", "7"]).items()} == {
        "42": NOON,
        "7": day(2),
    }


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.csv", "client,at\n1,2026-01-01\n", "no column 'customer'"),
        ("x.csv", "customer,when\n1,2026-01-01\n", "no column 'at'"),
        ("x.csv", "customer,at,a,a\n", "several columns called 'a'"),
        ("x.csv", "", "no column 'customer'"),
        ("x.parquet", "PAR1", "cannot be read"),
        ("x.xlsx", "", "no known form"),
    ],
)
def test_a_file_that_is_none_is_refused_whole(
    customers: FeatureStore, tmp_path: Path, name: str, content: str, told: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InvalidInput, match=told):
        customers.load("customers", path)
    assert customers.holdings("customers").vectors == 0


# Time travel


def test_a_look_up_shows_what_was_true_and_what_was_known(customers: FeatureStore, clock: Clock) -> None:
    early = customers.load("customers", [row("42", 2, spent=20), row("42", 4, spent=40)]).written_at
    clock.pass_(days=1)
    late = customers.load(
        "customers", [row("42", 3, spent=30), row("42", 4, spent=41), row("7", 1, spent=1)]
    ).written_at
    both = ["42", "7"]
    assert vectors(customers, both, true_at=day(1)) == {"7": {"spent": 1}}
    assert vectors(customers, both, true_at=day(3)) == {"42": {"spent": 30}, "7": {"spent": 1}}
    assert vectors(customers, both, true_at=day(3), known_at=early) == {"42": {"spent": 20}}
    assert vectors(customers, both, known_at=early) == {"42": {"spent": 40}}
    assert (
        vectors(customers, both, known_at=late) == vectors(customers, both) == {"42": {"spent": 41}, "7": {"spent": 1}}
    )


@pytest.mark.parametrize("entities", [[], ["x"] * 10_001, ["a\0b"], ["x" * 300]])
def test_a_look_up_of_no_keys_or_too_many_is_refused(customers: FeatureStore, entities: list[str]) -> None:
    with pytest.raises(InvalidInput):
        customers.get("customers", entities)


def test_ten_thousand_entities_are_looked_up_at_once(customers: FeatureStore) -> None:
    customers.load("customers", [row(str(number), 1, n=number) for number in range(0, 10_000, 2)])
    found = customers.get("customers", list(range(10_000)))
    assert len(found) == 5_000
    assert found["4242"].vector == {"n": 4242}
