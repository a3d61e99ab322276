"""`tidegate features`: a store of vectors by commands alone, in a file; errors are one message and leave no trace."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tidegate.cli.main import app

ROWS = "customer,at,spent,plan\n42,2026-01-01,10,gold\n42,2026-01-03,30,gold\n43,2026-01-02,20,basic\n"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TIDEGATE_STORE", raising=False)


def run(*args: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, ["features", *args], input=text)


def answer(*args: str) -> Any:
    result = run(*args, "--output", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def loaded() -> None:
    Path("customers.csv").write_text(ROWS)
    assert run("create", "customers", "--entity", "customer").exit_code == 0
    assert run("load", "customers", "customers.csv").exit_code == 0


def test_from_a_view_to_a_training_set(loaded: None) -> None:
    assert "customers  customer" in run("list").stdout
    assert "3, of 2026-01-01T00:00:00Z to 2026-01-03T00:00:00Z" in run("show", "customers").stdout
    assert '42  2026-01-03T00:00:00Z  {"plan": "gold", "spent": 30}' in run("get", "customers", "42", "9").stdout
    assert "9  (no vector)" in run("get", "customers", "42", "9").stdout
    past = answer("get", "customers", "42", "43", "--as-of", "2026-01-01T12:00Z")["entities"]
    assert past["42"]["vector"] == {"plan": "gold", "spent": 10}
    assert past["43"] is None
    assert [one["vector"]["spent"] for one in answer("history", "customers", "42")["vectors"]] == [30, 10]
    Path("labels.csv").write_text("customer,at,churned\n42,2026-01-02,no\n43,2026-01-01,yes\n")
    made = run("training-set", "customers", "labels.csv", "--out", "set.csv", "--features", "spent", "--prefix", "c_")
    assert made.exit_code == 0, made.output
    assert made.stdout == "set.csv: 2 rows, 1 with a vector, 1 feature.\n"
    assert "1 label" in made.stderr
    first, second, third = Path("set.csv").read_text().splitlines()
    assert first == '"customer","at","churned","customers_at","c_spent"'
    assert second.startswith('"42","2026-01-02","no",2026-01-01')
    assert second.endswith(",10")
    assert third == '"43","2026-01-01","yes",,'


def test_bad_rows_are_told_and_kept_and_the_exit_code_says_so(loaded: None) -> None:
    text = '{"customer": "7", "at": "2026-01-05", "spent": 1}\n{"customer": "8", "at": "2026-01-05", "spent": NaN}\n'
    result = run("load", "customers", "-", "--format", "jsonl", "--output", "json", text=text)
    assert result.exit_code == 2
    told = json.loads(result.stdout)
    assert (told["written"], told["quarantined"], told["reasons"][0]["position"]) == (1, 1, 2)
    (kept,) = answer("quarantine", "customers")["rows"]
    assert "NaN" in kept["reason"]
    assert kept["row"] == text.splitlines(keepends=True)[1]
    assert kept["entity"] == "8"
    assert "spent is NaN" in run("quarantine", "customers").stdout


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_times_without_a_zone_are_in_utc_as_those_of_rows_are(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert run("create", "customers", "--entity", "customer").exit_code == 0
        rows = '{"customer": "42", "spent": 1}\n{"customer": "42", "at": "2026-04-01", "spent": 0}\n'
        loading = ("load", "customers", "-", "--format", "jsonl", "--at", "2026-04-02")
        assert run(*loading, text=rows).exit_code == 0
        told = answer("history", "customers", "42")["vectors"]
        assert [one["at"] for one in told] == ["2026-04-02T00:00:00+00:00", "2026-04-01T00:00:00+00:00"]
        asked = {"2026-04-01T23:59": 0, "2026-04-02": 1, "2026-04-02T01:00+02:00": 0}
        for as_of, spent in asked.items():
            found = answer("get", "customers", "42", "--as-of", as_of)["entities"]["42"]
            assert found["vector"] == {"spent": spent}
        written = datetime.fromisoformat(told[0]["written_at"]).replace(tzinfo=None)
        assert run("get", "customers", "42", "--known-at", written.isoformat()).exit_code == 0
        before = (written - timedelta(seconds=1)).isoformat()
        assert run("get", "customers", "42", "--known-at", before).exit_code == 5
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_schema_is_kept_and_checked() -> None:
    Path("schema.json").write_text('{"required": ["spent"]}')
    assert run("create", "customers", "--entity", "customer", "--schema", "schema.json").exit_code == 0
    Path("customers.jsonl").write_text('{"customer": 1, "at": "2026-01-01"}\n')
    result = run("load", "customers", "customers.jsonl")
    assert result.exit_code == 2
    assert "'spent' is a required property" in result.stderr or '"spent" is a required property' in result.stderr
    assert answer("show", "customers")["schema"] == {"required": ["spent"]}


def test_the_store_is_the_one_that_is_named(loaded: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.db"
    assert run("create", "shops", "--entity", "shop", "--store", str(other)).exit_code == 0
    assert [one["name"] for one in answer("list", "--store", str(other))["views"]] == ["shops"]
    assert [one["name"] for one in answer("list")["views"]] == ["customers"]
    monkeypatch.setenv("TIDEGATE_STORE", str(other))
    assert [one["name"] for one in answer("list")["views"]] == ["shops"]


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("create", "customers", "--entity", "customer"), 4, "already"),
        (("create", "No Name", "--entity", "customer"), 2, "no name of a feature view"),
        (("create", "x", "--entity", "customer", "--schema", "none.json"), 2, "none.json cannot be read"),
        (("create", "x", "--entity", "customer", "--schema", "customers.csv"), 2, "is not JSON"),
        (("load", "others", "customers.csv"), 5, "no feature view 'others'"),
        (("load", "customers", "none.csv"), 2, "there is no file"),
        (("load", "customers", "customers.csv", "--time-column", "day"), 2, "no column 'day'"),
        (("load", "customers", "-"), 2, "--format jsonl or --format csv"),
        (("get", "customers", "9"), 5, "no vector of '9'"),
        (("get", "customers", "42", "--as-of", "then"), 2, "--as-of: expected a date or time"),
        (("history", "customers", "9"), 5, "no vector of '9'"),
        (("training-set", "customers", "customers.csv", "--out", "set.csv"), 2, "have a column 'plan' already"),
        (("list", "--store", "mysql://h/d"), 2, "no database that Tidegate can use"),
        (("list", "--store", "postgresql://a:secret@h/d"), 2, "a password in an argument"),
    ],
)
def test_what_cannot_be_done_is_one_message(loaded: None, args: tuple[str, ...], code: int, told: str) -> None:
    result = run(*args)
    assert result.exit_code == code, result.output
    assert told in result.stderr
    assert "Traceback" not in result.output
    assert "secret" not in result.output
    assert answer("show", "customers")["holdings"]["vectors"] == 3


def test_to_look_makes_no_store(tmp_path: Path) -> None:
    result = run("list")
    assert result.exit_code == 5
    assert "there is no store" in result.stderr
    assert not (tmp_path / "home").exists()
