"""Training sets hold what was true, and known, at each label's time: compared with a model in plain Python."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput, NotFound
from tidegate.features import FeatureStore

START = datetime(2026, 1, 1, tzinfo=UTC)


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def row(customer: str, at: int, **features: Any) -> dict[str, Any]:
    return {"customer": customer, "at": hour(at), **features}


def write_labels(path: Path, labels: list[tuple[str, datetime]]) -> Path:
    frame = pd.DataFrame(
        {
            "customer": [entity for entity, _ in labels],
            "at": pd.Series([at for _, at in labels], dtype="datetime64[us, UTC]"),
            "churned": [number % 2 == 0 for number in range(len(labels))],
        }
    )
    frame.to_parquet(path)
    return path


@contextmanager
def new_view(store: FeatureStore) -> Iterator[str]:
    yield store.create(f"view{next(_numbers)}", "customer").name


_numbers = count(1)
few = st.integers(0, 6)
entities = st.sampled_from(["a", "b", "ü'; --"])
loads = st.lists(st.lists(st.tuples(entities, few, st.integers(0, 3)), max_size=6), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    loads=loads,
    # A label's time is an hour, or the moment at which a load was written.
    told=st.lists(st.tuples(entities, few | st.sampled_from(["load 0", "load 1", "load 3"])), min_size=1, max_size=8),
    bounds=st.tuples(st.none() | st.integers(0, 3), st.booleans()),
)
def test_each_label_gets_the_newest_vector_that_was_true_and_known(
    store: FeatureStore,
    tmp_path: Path,
    loads: list[list[tuple[str, int, int]]],
    told: list[tuple[str, int | str]],
    bounds: tuple[int | None, bool],
) -> None:
    """The model: all rows with the time at which they were written, of which the latest that qualifies is taken."""
    until, known_then = bounds
    with new_view(store) as view:
        rows, written = [], []
        for load in loads:
            done = store.load(view, [row(entity, at, x=x) for entity, at, x in load])
            written.append(done.written_at)
            rows += [(hour(at), done.written_at, place, entity, x) for place, (entity, at, x) in enumerate(load)]
        known_at = None if until is None else written[min(until, len(written) - 1)]
        labels = [
            (entity, hour(at) if isinstance(at, int) else written[min(int(at[-1]), len(written) - 1)])
            for entity, at in told
        ]
        out = tmp_path / "set.parquet"
        made = store.training_set(
            view, write_labels(tmp_path / "labels.parquet", labels), out, known_at=known_at, known_then=known_then
        )
        table = pq.read_table(out).to_pylist()
    expected = []
    for entity, at in labels:
        fit = [
            one
            for one in rows
            if one[3] == entity
            and one[0] <= at
            and (known_at is None or one[1] <= known_at)
            and (not known_then or one[1] <= at)
        ]
        expected.append((max(fit)[4], max(fit)[0]) if fit else (None, None))
    assert [(one.get("x"), one[f"{view}_at"]) for one in table] == expected
    assert [(one["customer"], one["at"]) for one in table] == labels
    assert (made.rows, made.matched) == (len(labels), sum(at is not None for _, at in expected))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=loads, true_at=st.none() | few, until=st.none() | st.integers(0, 3))
def test_look_ups_and_history_agree_with_the_model(
    store: FeatureStore, loads: list[list[tuple[str, int, int]]], true_at: int | None, until: int | None
) -> None:
    with new_view(store) as view:
        known: list[tuple[str, datetime, datetime, int]] = []
        written = []
        for load in loads:
            done = store.load(view, [row(entity, at, x=x) for entity, at, x in load])
            written.append(done.written_at)
            for (entity, at), x in {(entity, at): x for entity, at, x in load}.items():
                before = [one for one in known if one[0] == entity and one[1] == hour(at)]
                if not before or before[-1][3] != x:
                    known.append((entity, hour(at), done.written_at, x))
        bound = None if true_at is None else hour(true_at)
        known_at = None if until is None else written[min(until, len(written) - 1)]
        found = store.get(view, ["a", "b", "ü'; --"], true_at=bound, known_at=known_at)
        for entity in ("a", "b", "ü'; --"):
            of_entity = [one for one in known if one[0] == entity]
            fit = [
                one
                for one in of_entity
                if (bound is None or one[1] <= bound) and (known_at is None or one[2] <= known_at)
            ]
            best = max(fit, key=lambda one: one[1:3], default=None)
            assert (found[entity].vector["x"] if entity in found else None) == (best[3] if best else None)
            past = [(one.at, one.written_at, one.vector["x"]) for one in store.history(view, entity)]
            assert past == sorted((one[1:] for one in of_entity), reverse=True)


def test_csv_keeps_the_labels_to_the_letter_and_adds_features_by_name(customers: FeatureStore, tmp_path: Path) -> None:
    customers.load(
        "customers",
        [
            row("0042", 1, spent=10, vip=True, tags=["a", "é"], mixed=1, plan="gold", nothing=None),
            row("0042", 3, spent=30.5, mixed="one"),
        ],
    )
    labels, out = tmp_path / "labels.csv", tmp_path / "set.csv"
    labels.write_text(
        "order,customer,at,churned\n007,0042,2026-01-01T03:30:00,yes\n8,nobody,2026-01-01,\n9,0042,2026-01-01T02:00Z,no\n"
    )
    made = customers.training_set("customers", labels, out)
    assert made.features == ("mixed", "nothing", "plan", "spent", "tags", "vip")
    with out.open(newline="") as file:
        first, second, third = csv.DictReader(file)
    assert (first["order"], first["customer"], first["churned"]) == ("007", "0042", "yes")
    assert (first["spent"], first["mixed"], first["vip"], first["plan"]) == ("30.5", '"one"', "", "")
    assert (third["spent"], third["mixed"], third["vip"], third["plan"]) == ("10", "1", "true", "gold")
    assert third["tags"] == '["a", "é"]'
    assert {second[name] for name in ("customers_at", *made.features)} == {""}


def test_parquet_has_a_type_for_each_column(customers: FeatureStore, tmp_path: Path) -> None:
    customers.load("customers", [row("42", 1, spent=10, vip=True, plan="gold")])
    labels, out = tmp_path / "labels.csv", tmp_path / "set.parquet"
    labels.write_text("customer,at,churned\n42,2026-01-02,1\n")
    customers.training_set("customers", labels, out, prefix="c_")
    types = {field.name: str(field.type) for field in pq.read_schema(out)}
    assert types == {
        "customer": "string",
        "at": "string",
        "churned": "int64",
        "customers_at": "timestamp[us, tz=UTC]",
        "c_plan": "string",
        "c_spent": "double",
        "c_vip": "bool",
    }


def test_features_are_chosen_by_name(customers: FeatureStore, tmp_path: Path) -> None:
    customers.load("customers", [row("42", 1, a=1, b=2, c=3)])
    labels, out = write_labels(tmp_path / "labels.parquet", [("42", hour(2))]), tmp_path / "set.parquet"
    assert customers.training_set("customers", labels, out, features=["c", "a"]).features == ("c", "a")
    with pytest.raises(InvalidInput, match="has a feature 'z'"):
        customers.training_set("customers", labels, out, features=["z"])


def test_many_labels_come_in_their_order(customers: FeatureStore, tmp_path: Path) -> None:
    customers.load("customers", [row(str(number), 1, n=number) for number in range(300)])
    wanted = [(str(number * 7919 % 400), hour(number % 3)) for number in range(5_000)]
    out = tmp_path / "set.parquet"
    seen: list[int] = []
    made = customers.training_set(
        "customers", write_labels(tmp_path / "labels.parquet", wanted), out, progress=seen.append
    )
    found = pq.read_table(out).to_pylist()
    assert [one["n"] for one in found] == [
        float(entity) if at >= hour(1) and int(entity) < 300 else None for entity, at in wanted
    ]
    assert made.rows == len(found) == seen[-1]


def test_a_million_categories_belong_under_one_name(customers: FeatureStore, tmp_path: Path) -> None:
    customers.load("customers", [row("42", 1, **{f"category-{number}": 1 for number in range(2_001)})])
    labels = write_labels(tmp_path / "labels.parquet", [("42", hour(2))])
    with pytest.raises(InvalidInput, match="too many features"):
        customers.training_set("customers", labels, tmp_path / "set.parquet")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("client,at\n1,2026-01-01\n", "no column 'customer'"),
        ("customer,at\n42,2026-01-02\n,2026-01-01\n", "row 2 of .*customer: is missing|row 2 of .*customer: is empty"),
        ("customer,at\n42,2026-01-02\n42,soon\n", "row 2 of .*at: expected a date or time"),
        ("customer,at,spent\n42,2026-01-02,1\n", "have a column 'spent' already"),
        ("customer,at,customers_at\n42,2026-01-02,1\n", "have a column 'customers_at' already"),
        ("customer,at\n42\n", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_labels_that_are_none_are_refused_and_nothing_is_written(
    customers: FeatureStore, tmp_path: Path, text: str, told: str
) -> None:
    customers.load("customers", [row("42", 1, spent=1)])
    labels, out = tmp_path / "labels.csv", tmp_path / "set.csv"
    labels.write_text(text)
    with pytest.raises(InvalidInput, match=told):
        customers.training_set("customers", labels, out)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".db" and "tidegate" not in path.name] == [
        "labels.csv"
    ]


def test_what_cannot_be_made_says_why(customers: FeatureStore, tmp_path: Path) -> None:
    labels = write_labels(tmp_path / "labels.parquet", [("42", hour(2))])
    with pytest.raises(NotFound):
        customers.training_set("others", labels, tmp_path / "set.csv")
    with pytest.raises(InvalidInput, match="is a table"):
        customers.training_set("customers", labels, tmp_path / "set.json")
    with pytest.raises(InvalidInput, match="cannot be written"):
        customers.training_set("customers", labels, tmp_path / "none" / "set.csv")
    with pytest.raises(InvalidInput, match="there is no file"):
        customers.training_set("customers", tmp_path / "none.csv", tmp_path / "set.csv")
