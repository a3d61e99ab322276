"""`tidegate drift quality`: figures of what was logged and of what really was, for people and programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
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
DAYS = 14
A_DAY = 60


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    with postgresql() as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two weeks of answers: of `churn`, right in 9 of 10 cases and in 6 of 10 of the last week; of `price`, as ever.

    What really was is told of four in five, of some twice and wrong at first.
    """
    running: Postgresql | None = None
    address: Address = tmp_path_factory.mktemp("store") / "tidegate.db"
    if request.param == "postgresql":
        running = request.getfixturevalue("server")
        address = running.fresh()
    database = connected(address)
    if database.is_sqlite:
        with database.write() as db:
            bring_to_date(db, address)
    chance = np.random.default_rng(2)
    rows: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    for day in range(DAYS):
        for number in range(A_DAY):
            at = NOW - timedelta(days=DAYS - day) + timedelta(minutes=20 * number + 60)
            really = bool(chance.random() < 0.4)
            is_right = chance.random() < (0.9 if day < 7 else 0.6)
            score = float(chance.uniform(0.6, 0.95))
            says = really if is_right else not really
            shares = [1 - score, score] if says else [score, 1 - score]
            outputs = {"prediction": ["yes" if says else "no"], "probabilities": [shares]}
            name = f"{day} {number}"
            rows.append(row(at, name, outputs=outputs))
            cost = float(chance.normal(100, 10))
            priced = {"price": [cost, cost + float(chance.normal(0, 2))]}
            rows.append(row(at, f"p{name}", deployment="price", rows=2, outputs=priced))
            if number % 5 == 0:
                continue
            of = {"at": at + timedelta(hours=1), "happened_at": at + timedelta(hours=1)}
            if number % 7 == 0:
                told.append({**of, "request_id": name, "deployment": "churn", "actual": "no" if really else "yes"})
                of = {**of, "at": at + timedelta(hours=2)}
            told.append({**of, "request_id": name, "deployment": "churn", "actual": "yes" if really else "no"})
            told.append({**of, "request_id": f"p{name}", "deployment": "price", "actual": {"price": [cost, cost]}})
    put(database, rows)
    with database.write() as db:
        db.execute(insert(outcomes), told)
    database.close()
    yield address.render_as_string(hide_password=False) if not isinstance(address, Path) else str(address)
    if running is not None and not isinstance(address, Path):
        running.drop(address)


def run(store: str, name: str, *words: str) -> Any:
    return CliRunner().invoke(app, ["drift", "quality", name, *words], env={"TIDEGATE_STORE": store, "COLUMNS": "200"})


def test_answers_that_are_less_right_than_the_week_before_end_with_9(store: str) -> None:
    result = run(store, "churn", "--since", "7d", "--output", "json")
    assert result.exit_code == 9, result.output
    told = json.loads(result.stdout)
    figures = {one["figure"]: one for one in told["figures"]}
    assert set(figures) == {"accuracy", "precision", "recall", "f1", "roc_auc", "log_loss"}
    assert figures["accuracy"]["reference"]["value"] == pytest.approx(0.9, abs=0.05)
    assert figures["accuracy"]["current"]["value"] == pytest.approx(0.6, abs=0.07)
    assert {one["state"] for one in figures.values()} == {"worse"}
    assert (told["classes"], told["positive"]) == (["no", "yes"], "yes")
    assert told["requests"] == {"reference": 7 * A_DAY * 4 // 5, "current": 7 * A_DAY * 4 // 5}
    assert told["logged"]["current"] == 7 * A_DAY


def test_people_read_tables_and_sentences(store: str) -> None:
    result = run(store, "churn", "--since", "7d", "--every", "1d")
    assert "Worse, and no chance: accuracy" in result.stdout
    assert "Precision, recall and F1 are of the class yes." in result.stdout
    assert "What really was is known of 336 of 420 logged requests" in result.stdout
    lines = [line for line in result.stdout.splitlines() if line.startswith("20")]
    assert len(lines) == 7


def test_two_times_are_chosen_and_parts_of_them_are_like_the_whole(store: str) -> None:
    kept = run(store, "churn", "--since", "10d", "--until", "7d", "--reference", "14d..10d", "--drop", "0.2")
    assert kept.exit_code == 0, kept.output
    assert "accuracy" in kept.stdout
    parts = json.loads(run(store, "churn", "--every", "2d", "--output", "json").stdout)["periods"]
    assert [part["rows"] for part in parts] == [96, 96, 96, 48]


def test_numbers_are_compared_row_by_row(store: str) -> None:
    result = run(store, "price", "--rise", "50%", "--output", "json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    figures = {one["figure"]: one["current"]["value"] for one in told["figures"]}
    assert set(figures) == {"mae", "rmse", "bias"}
    # Every second row is right to the cent.
    assert figures["mae"] == pytest.approx(np.sqrt(2 / np.pi), abs=0.15)
    assert told["rows"]["current"] == 2 * told["requests"]["current"]


def test_a_day_is_too_little_and_it_is_said_how_much_would_do(store: str) -> None:
    result = run(store, "churn", "--since", "1d", "--reference", "14d..7d")
    assert result.exit_code == 0, result.output
    assert "It takes 100 requests whose actual is known; there are 48." in result.stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--since", "100d", "--until", "50d"), "nothing is known of what really was"),
        (("--since", "1d", "--until", "2d"), "ends before it begins"),
        (("--reference", "7d"), "two times"),
        (("--answer", "price"), "no output 'price'"),
        (("--kind", "words"), "no kind"),
        (("--every", "1s"), "too many parts"),
        (("--every", "often"), "a time such as 24h"),
        (("--rise", "much"), "--rise"),
    ],
)
def test_what_makes_no_sense_is_bad_input(store: str, words: tuple[str, ...], problem: str) -> None:
    result = run(store, "churn", *words)
    assert result.exit_code == 2, result.output
    assert problem in str(result.exception) or problem in result.output
