"""`tidegate drift`: a table for people, a document for programs, exit codes, and errors that name the file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tidegate.cli.main import app


def run(*args: str | Path) -> Any:
    return CliRunner().invoke(app, ["drift", *map(str, args)])


def rows(seed: int, number: int = 4_000, shift: float = 0.0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    amount = chance.normal(shift, 1.0, number)
    amount[::50] = np.nan
    return pd.DataFrame({"amount": amount, "kind": chance.choice(["a", "b", None], number)})


WRITERS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "parquet": lambda frame, path: frame.to_parquet(path),
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name, frame in (("before", rows(1)), ("like", rows(2)), ("shifted", rows(3, shift=1.0)), ("few", rows(4, 40))):
        found[name] = tmp_path / f"{name}.parquet"
        frame.to_parquet(found[name])
    return found


def test_no_drift_ends_with_0_and_drift_with_9(files: dict[str, Path]) -> None:
    calm = run("check", files["before"], files["like"])
    assert calm.exit_code == 0, calm.output
    assert "No drift was found in 2 columns of 4,000 rows." in calm.stdout
    moved = run("check", files["before"], files["shifted"])
    assert moved.exit_code == 9, moved.output
    assert "Drift in 1 of 2 columns: amount." in moved.stdout
    assert "large" in moved.stdout


@pytest.mark.parametrize("alpha", ["0", "0%", "100%", "0.01", "no"])
def test_an_alpha_that_is_no_chance_is_told_one_that_is(files: dict[str, Path], alpha: str) -> None:
    result = run("check", files["before"], files["like"], "--alpha", alpha)
    assert result.exit_code == 2, result.output
    assert f'--alpha: expected a share above 0% and below 100%, such as "1%", got "{alpha}"' in result.stderr


def test_too_few_rows_are_no_drift_and_it_is_said_how_many_would_do(files: dict[str, Path]) -> None:
    result = run("check", files["before"], files["few"])
    assert result.exit_code == 0, result.output
    assert "rows would do; there are 40." in result.stdout


def test_programs_get_one_document(files: dict[str, Path]) -> None:
    result = run("check", files["before"], files["shifted"], "--output", "json")
    told = json.loads(result.stdout)
    assert result.exit_code == 9
    assert told["state"] == "large"
    assert [column["column"] for column in told["columns"]] == ["amount", "kind"]
    assert sum(bin_["current"] for bin_ in told["columns"][0]["bins"]) == 4_000


@pytest.mark.parametrize("form", WRITERS)
def test_each_form_of_file_says_the_same(tmp_path: Path, files: dict[str, Path], form: str) -> None:
    first, second = tmp_path / f"x.{form}", tmp_path / f"y.{form}"
    WRITERS[form](rows(1), first)
    WRITERS[form](rows(3, shift=1.0), second)
    wanted = json.loads(run("check", files["before"], files["shifted"], "--output", "json").stdout)
    found = json.loads(run("check", first, second, "--output", "json").stdout)
    for column, other in zip(found["columns"], wanted["columns"], strict=True):
        assert [bin_["current"] for bin_ in column["bins"]] == [bin_["current"] for bin_ in other["bins"]]
        assert column["psi"] == pytest.approx(other["psi"])


@pytest.mark.parametrize(("before", "now"), [("jsonl", "csv"), ("csv", "parquet"), ("parquet", "jsonl")])
def test_the_country_na_is_no_drift_between_two_forms_of_file(tmp_path: Path, before: str, now: str) -> None:
    frame = pd.DataFrame({"country": ["NA", "DE", None, "-"] * 100, "amount": [1.0, 2.0, np.nan, 3.0] * 100})
    first, second = tmp_path / f"before.{before}", tmp_path / f"now.{now}"
    WRITERS[before](frame, first)
    WRITERS[now](frame, second)
    result = run("check", first, second, "--output", "json")
    assert result.exit_code == 0, result.output
    assert [column["psi"] for column in json.loads(result.stdout)["columns"]] == [0.0, 0.0]


def test_a_reference_stands_for_its_data(tmp_path: Path, files: dict[str, Path]) -> None:
    kept = tmp_path / "reference.json"
    made = run("reference", files["before"], "--out", kept)
    assert made.exit_code == 0, made.output
    assert "2 columns of 4,000 rows" in made.stdout
    by_data = run("check", files["before"], files["shifted"], "--output", "json")
    by_reference = run("check", kept, files["shifted"], "--output", "json")
    assert json.loads(by_reference.stdout) == json.loads(by_data.stdout)


def test_only_the_named_columns_are_compared(files: dict[str, Path]) -> None:
    result = run("check", files["before"], files["shifted"], "--columns", "kind")
    assert result.exit_code == 0, result.output
    assert "No drift was found in 1 column of 4,000 rows." in result.stdout


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("nothing.csv", "{like}"), "there is no file nothing.csv"),
        (("{like}", "data.xlsx"), "no known form"),
        (("{broken}", "{like}"), "cannot be read"),
        (("{like}", "{cut}"), "cannot be read"),
        (("{like}", "{before}", "--columns", "amount,price"), "no column 'price'"),
        (("{like}", "{before}", "--moderate", "0.5"), "make no sense"),
        (("{like}", "{before}", "--alpha", "110%"), "--alpha"),
    ],
)
def test_bad_input_is_one_message_that_names_it(
    tmp_path: Path, files: dict[str, Path], args: tuple[str, ...], told: str
) -> None:
    broken, cut = tmp_path / "broken.json", tmp_path / "cut.parquet"
    broken.write_text('{"format": ')
    cut.write_bytes(files["like"].read_bytes()[:500])
    named = {**files, "broken": broken, "cut": cut}
    result = run("check", *(arg.format(**named) for arg in args))
    assert result.exit_code == 2, result.output
    assert told in str(result.exception) or told in result.output


def test_a_reference_that_cannot_be_written_leaves_nothing(tmp_path: Path, files: dict[str, Path]) -> None:
    for out in (tmp_path / "none" / "reference.json", tmp_path / "reference.txt"):
        result = run("reference", files["before"], "--out", out)
        assert result.exit_code == 2
        assert not out.exists()


def test_a_report_is_one_page_that_loads_nothing_and_draws_every_column(tmp_path: Path, files: dict[str, Path]) -> None:
    out = tmp_path / "drift.html"
    result = run("report", files["before"], files["shifted"], "--out", out)
    assert result.exit_code == 0, result.output
    page = out.read_text()
    assert "Drift in 1 of 2 columns: amount." in page
    assert page.count("<svg") == 2
    assert not re.search(r"https?://|<script|src=", page)


def test_names_in_data_are_no_markup_of_a_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    first, out = tmp_path / "x.parquet", tmp_path / "drift.html"
    pd.DataFrame({evil: [evil, "b"] * 50}).to_parquet(first)
    assert run("report", first, first, "--out", out).exit_code == 0
    assert "<script" not in out.read_text()


def test_a_report_that_cannot_be_written_is_bad_input(tmp_path: Path, files: dict[str, Path]) -> None:
    result = run("report", files["before"], files["like"], "--out", tmp_path / "none" / "drift.html")
    assert result.exit_code == 2


def scored(seed: int, number: int, shift: float) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    margin = 1.5 * chance.normal(shift, 1.0, number)
    score = 1 / (1 + np.exp(-margin))
    late = (chance.random(number) < score).astype(float)
    late[:100] = np.nan
    return pd.DataFrame({"score": score, "late": late})


@pytest.fixture
def answers(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name, frame in (
        ("before", scored(1, 4_000, -1.5)),
        ("like", scored(2, 4_000, -1.5)),
        ("harder", scored(3, 4_000, 0.0)),
        ("unknown", scored(3, 4_000, 0.0)[["score"]]),
        ("few", scored(4, 150, 0.0)),
    ):
        found[name] = tmp_path / f"answers-{name}.parquet"
        frame.to_parquet(found[name])
    return found


def performance(*args: str | Path) -> Any:
    return run("performance", *args, "--score", "score", "--outcome", "late")


def test_a_figure_that_dropped_ends_with_9_and_answers_like_before_with_0(answers: dict[str, Path]) -> None:
    calm = performance(answers["before"], answers["like"])
    assert calm.exit_code == 0, calm.output
    assert "Nothing is known to have dropped by more than 0.05, by the scores of 4,000 rows." in calm.stdout
    dropped = performance(answers["before"], answers["harder"])
    assert dropped.exit_code == 9, dropped.output
    assert "Dropped by more than 0.05, by the scores of 4,000 rows: accuracy." in dropped.stdout
    assert "Scores are calibrated, by 3,900 outcomes of the reference" in dropped.stdout
    assert performance(answers["before"], answers["harder"], "--drop", "0.3").exit_code == 0


def test_programs_get_estimates_and_what_is_known_as_one_document(answers: dict[str, Path]) -> None:
    told = json.loads(performance(answers["before"], answers["harder"], "--output", "json").stdout)
    assert told["rows"] == {"reference": 3_900, "current": 4_000}
    first = told["figures"][0]
    assert first["figure"] == "accuracy"
    assert first["interval"][0] < first["realised"] < first["interval"][1]
    unknown = json.loads(performance(answers["before"], answers["unknown"], "--output", "json").stdout)
    assert unknown["figures"][0]["estimate"] == first["estimate"]
    assert unknown["figures"][0]["realised"] is None


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("{few}", "{like}"), "too few outcomes"),
        (("{unknown}", "{like}"), "no column 'late'"),
        (("{before}", "{like}", "--score", "margin"), "no column 'margin'"),
        (("{before}", "{like}", "--threshold", "2"), "threshold is no probability"),
        (("{before}", "{like}", "--drop", "-1"), "drop makes no sense"),
        (("{before}", "none.csv"), "there is no file none.csv"),
    ],
)
def test_what_says_nothing_of_answers_is_one_message(
    answers: dict[str, Path], args: tuple[str, ...], told: str
) -> None:
    given = [arg.format(**answers) for arg in args]
    result = run("performance", *(["--score", "score"] if "--score" not in given else []), "--outcome", "late", *given)
    assert result.exit_code == 2, result.output
    assert told in str(result.exception) or told in result.output


def test_columns_that_go_together_in_another_way_are_found_together(tmp_path: Path) -> None:
    chance, files = np.random.default_rng(5), []
    for sign in (1, -1):
        first = chance.normal(size=1_500)
        second = sign * first + chance.normal(size=1_500)
        files.append(tmp_path / f"{sign}.parquet")
        pd.DataFrame({"x": first, "y": second, "z": chance.normal(size=1_500)}).to_parquet(files[-1])
    assert run("check", *files).exit_code == 0
    found = run("check", *files, "--together")
    assert found.exit_code == 9, found.output
    assert re.search(r"All columns together: large\. .* most of all by (x, y|y, x):", found.stdout)
    told = json.loads(run("check", *files, "--together", "--output", "json").stdout)
    assert told["together"]["state"] == "large"
    # Half of what is allowed is for each of the two comparisons.
    assert told["thresholds"]["alpha"] == 0.005
    page = tmp_path / "drift.html"
    assert run("report", *files, "--together", "--out", page).exit_code == 0
    assert "All columns together: large" in page.read_text()


def test_a_written_reference_has_no_rows_to_compare_together(tmp_path: Path, files: dict[str, Path]) -> None:
    kept = tmp_path / "reference.json"
    run("reference", files["before"], "--out", kept)
    result = run("check", kept, files["like"], "--together")
    assert result.exit_code == 2
    assert "holds none" in str(result.exception) or "holds none" in result.output
