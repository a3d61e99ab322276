"""`tidegate predictions`: what was logged, with what came of it, in the form that was asked for."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from tests.support.postgresql import Postgresql, postgresql
from tests.support.telemetry_rows import put, row
from tidegate.cli.main import app
from tidegate.store.address import Address
from tidegate.store.schema.telemetry import outcomes
from tidegate.store.versions import bring_to_date, connected

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    with postgresql() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    """A store with predictions of two revisions and outcomes of two of them; TIDEGATE_STORE names it."""
    running: Postgresql | None = None
    address: Address = tmp_path / "tidegate.db"
    if request.param == "postgresql":
        running = request.getfixturevalue("server")
        address = running.fresh()
    database = connected(address)
    if database.is_sqlite:
        with database.write() as db:
            bring_to_date(db, address)
    two = {"inputs": {"age": [41, None], "name": ["Ada", "B,o"]}, "outputs": {"score": [[0.1, 0.9], [0.5, 0.5]]}}
    put(
        database,
        [
            row(NOW - timedelta(hours=30), "old"),
            row(NOW - timedelta(minutes=30), "first"),
            row(NOW - timedelta(minutes=20), "second", revision=2, rows=2, **two),
            row(NOW - timedelta(minutes=10), "third", revision=2),
            row(NOW - timedelta(minutes=10), "other", deployment="fraud"),
        ],
    )
    # Of the first it was told wrong at first, of the third before it was answered, and of the second twice.
    told = [
        ("first", -5, -5, {"bad": True}),
        ("first", -4, -5, {"bad": False}),
        ("second", -4, -6, {"bad": True, "actual": [0, 1]}),
        ("second", -1, -6, {"bad": True, "actual": [0, 1]}),
        ("second", -1, -9, {"actual": [1, 1]}),
        ("third", -40, -40, {"actual": {"paid": 12}}),
    ]
    with database.write() as db:
        for name, at, happened, what in told:
            moments = {"at": NOW + timedelta(minutes=at), "happened_at": NOW + timedelta(minutes=happened)}
            db.execute(insert(outcomes).values(request_id=name, deployment="churn", **moments, **what))
    database.close()
    said = address.render_as_string(hide_password=False) if not isinstance(address, Path) else str(address)
    monkeypatch.setenv("TIDEGATE_STORE", said)
    yield address
    if running is not None and not isinstance(address, Path):
        running.drop(address)


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["predictions", "churn", *words])


def ids(*words: str) -> list[str]:
    result = run("--output", "json", *words)
    assert result.exit_code == 0, result.output
    return [one["request_id"] for one in json.loads(result.stdout)["predictions"]]


def test_those_of_a_span_a_revision_and_a_number_are_shown_oldest_first(store: Address) -> None:
    assert ids() == ["first", "second", "third"]
    assert ids("--since", "2d") == ["old", "first", "second", "third"]
    assert ids("--since", "2d", "--until", "1d") == ["old"]
    assert ids("--since", (NOW - timedelta(minutes=15)).isoformat()) == ["third"]
    assert ids("--revision", "2") == ["second", "third"]
    assert ids("--limit", "1") == ["first"]
    assert ids("--request", "old") == ["old"]


def test_those_that_came_to_an_outcome_or_to_none_are_shown(store: Address) -> None:
    assert ids("--outcome", "good") == ["first"]
    assert ids("--outcome", "bad", "--limit", "1") == ["second"]
    assert ids("--outcome", "actual") == ["second", "third"]
    assert ids("--outcome", "missing", "--since", "2d") == ["old"]


def test_what_came_is_joined_by_request_id_the_last_that_happened_and_of_these_the_last_told(store: Address) -> None:
    found = {one["request_id"]: one for one in json.loads(run("--output", "json").stdout)["predictions"]}
    assert {name: one["outcome"] for name, one in found.items()} == {"first": "good", "second": "bad", "third": None}
    assert {name: one["actual"] for name, one in found.items()} == {
        "first": None,
        "second": [0, 1],
        "third": {"paid": 12},
    }
    assert found["second"]["outcome_at"] == (NOW - timedelta(minutes=6)).isoformat()
    assert found["second"]["inputs"] == {"age": [41, None], "name": ["Ada", "B,o"]}


def test_csv_has_a_line_per_row_that_a_spreadsheet_reads(store: Address) -> None:
    lines = list(csv.DictReader(io.StringIO(run("--output", "csv").stdout)))
    assert [(line["request_id"], line["row"]) for line in lines] == [
        ("first", "0"),
        ("second", "0"),
        ("second", "1"),
        ("third", "0"),
    ]
    assert (lines[2]["inputs.age"], lines[2]["inputs.name"]) == ("", "B,o")
    assert json.loads(lines[2]["outputs.score"]) == [0.5, 0.5]
    assert [line["outcome"] for line in lines] == ["good", "bad", "bad", ""]
    assert [(line["actual"], line["actual.paid"]) for line in lines] == [("", ""), ("0", ""), ("1", ""), ("", "12")]


def test_people_read_a_table_or_that_there_is_nothing(store: Address) -> None:
    assert "second" in run().stdout
    assert "bad" in run().stdout
    assert "No prediction of churn" in run("--since", "1s").stdout


@pytest.mark.parametrize(
    "words", [("--since", "yesterday"), ("--limit", "0"), ("--output", "xml"), ("--outcome", "late")]
)
def test_what_cannot_be_read_is_refused(store: Address, words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2
