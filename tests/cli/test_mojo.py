"""`tidegate mojo` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from tests.support.mojos import FOLDER, ROWS
from tidegate import mojo
from tidegate.cli.main import app
from tidegate.runtime.mojo import load
from tidegate.runtime.mojo.parts import Scores, score_in_parts
from tidegate.runtime.mojo.scorer import Rows

Floats = NDArray[np.float64]

AUTOENCODER = Path(__file__).parents[1] / "runtime" / "mojo" / "data" / "numeric" / "dl_auto.zip"
MODEL = str(FOLDER / "gbm_platt.zip")


def run(*words: str, given: str | None = None) -> Result:
    result = CliRunner().invoke(app, ["mojo", *words], input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_inspect_tells_what_a_model_is() -> None:
    told = run("inspect", MODEL).output
    lines = {line.split("  ")[0]: line.split("  ")[-1].strip() for line in told.splitlines() if "  " in line}
    assert lines["algorithm"] == "Gradient Boosting Machine"
    assert lines["MOJO version"] == "1.40"
    assert lines["classes"] == "no, yes"
    assert lines["trees"] == "4"
    assert "answers with predict, no, yes, cal_no, cal_yes" in told
    assert "(12)" in next(line for line in told.splitlines() if line.startswith("town"))


def test_inspect_tells_programs_all_levels() -> None:
    told = json.loads(run("inspect", MODEL, "--output", "json").output)
    assert len(next(one["levels"] for one in told["inputs"] if one["name"] == "town")) == 12


def test_predict_writes_what_h2o_names(tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    result = run("predict", MODEL, str(ROWS), "--out", str(out))
    lines = out.read_text().splitlines()
    assert lines[0] == "predict,no,yes,cal_no,cal_yes"
    assert len(lines) == 61
    assert "60 rows scored." in result.stderr
    assert "are no level of the training" in result.stderr


def test_columns_that_a_file_lacks_are_told() -> None:
    result = run("predict", MODEL, "-", given="kind;size\na;1\n")
    assert result.exit_code == 0
    told = "the file lacks the model's columns size, count, kind, town, code, flag, which are scored as left out"
    assert told in " ".join(result.stderr.split())
    one = run("predict", MODEL, "-", given="size,count,kind,town,code\n1,2,zz,t01,10\n")
    assert "the model's column flag, which is scored as left out" in " ".join(one.stderr.split())
    assert "column kind: 1 value is no level" in one.stderr
    assert "lacks" not in run("predict", MODEL, str(ROWS)).stderr


def test_rows_that_cannot_be_scored_leave_the_scores_of_before_as_they_were(tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("of before")
    assert run("predict", MODEL, "-", "--out", str(out), given="size\nsmall\n").exit_code == 2
    assert run("predict", MODEL, str(ROWS), "--out", str(out), "--reconstruct").exit_code == 2
    assert out.read_text() == "of before"
    assert list(tmp_path.iterdir()) == [out]


def test_predict_tells_how_strange_rows_are_to_an_autoencoder(tmp_path: Path) -> None:
    given = AUTOENCODER.with_name("rows.csv")
    result = run("predict", str(AUTOENCODER), str(given), "--anomaly")
    name, *errors = result.stdout.splitlines()
    assert (name, len(errors)) == ("Reconstruction.MSE", 120)
    assert all(float(error) > 0 for error in errors)
    refused = run("predict", MODEL, str(ROWS), "--anomaly")
    assert (refused.exit_code, "for autoencoders" in refused.stderr) == (2, True)
    both = run("predict", str(AUTOENCODER), str(given), "--anomaly", "--reconstruct", "--out", str(tmp_path / "out"))
    assert (both.exit_code, "one of the two" in both.stderr, list(tmp_path.iterdir())) == (2, True, [])


def test_predict_reads_standard_input_and_writes_json_lines() -> None:
    result = run("predict", MODEL, "-", "--output", "json", given="size,kind\n0.5,a\n,b\n")
    first, second = map(json.loads, result.stdout.splitlines())
    assert list(first) == ["predict", "no", "yes", "cal_no", "cal_yes"]
    assert second["no"] + second["yes"] == pytest.approx(1)


def test_predict_in_threads_writes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    names, *rows = ROWS.read_text(encoding="utf-8").splitlines()
    given = "\n".join([names, *rows * 20]) + "\n"
    alone = run("predict", MODEL, "-", given=given)
    assert len(alone.stdout.splitlines()) == 60 * 20 + 1
    asked: list[int] = []

    def counted(score: Scores, rows: Rows, offset: Floats | None, threads: int) -> Floats:
        asked.append(threads)
        return score_in_parts(score, rows, offset, threads)

    monkeypatch.setattr(load, "score_in_parts", counted)
    assert run("predict", MODEL, "-", "--threads", "2", given=given).stdout == alone.stdout
    assert asked == [2]
    assert run("predict", MODEL, "-", "--threads", "0", given=given).exit_code == 2


def test_predict_is_strict_when_asked() -> None:
    strict = run("predict", MODEL, "-", "--strict", given="kind\nz\n")
    assert (strict.exit_code, "no level 'z'" in strict.stderr) == (2, True)
    wrong = run("predict", MODEL, "-", given="size\nsmall\n")
    assert (wrong.exit_code, "'small' is no number" in wrong.stderr) == (2, True)
    assert run("predict", MODEL, "-", "--invalid-as-missing", given="size\nsmall\n").exit_code == 0


def test_compile_tells_what_it_compiled_and_where_it_is_kept() -> None:
    given = run("compile", MODEL, str(FOLDER / "kmeans.zip"))
    first, second, last = given.stdout.splitlines()
    assert (MODEL in first, "kmeans.zip" in second) == (True, True)
    assert str(mojo.cache_folder()) in last
    common = run("compile").stdout
    assert all(kind in common for kind in ("GBM", "DRF", "XGBoost", "GLM", "deep learning", "K-means"))


def test_compile_fails_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.runtime.mojo.warming.cache_folder", lambda: None)
    result = run("compile", MODEL)
    assert (result.exit_code, "NUMBA_CACHE_DIR" in result.stderr) == (6, True)


def test_a_library_takes_a_c_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    result = run("compile", "--library", str(tmp_path / "kernels"))
    assert (result.exit_code, "apt-get install g++" in result.stderr) == (6, True)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    for words in (("inspect", "none.zip"), ("predict", "none.zip", "-"), ("predict", MODEL, "none.csv")):
        result = run(*words)
        assert (result.exit_code, "none" in result.stderr) == (2, True)
    assert "cannot be written" in run("predict", MODEL, str(ROWS), "--out", str(tmp_path)).stderr


def java(folder: Path, answer: Path) -> list[str]:
    path = folder / "java"
    path.write_text(f'#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\ncp "{answer}" "$2"\n')
    path.chmod(0o755)
    return ["--java", str(path), "--jar", str(ROWS)]


def test_verify_says_that_both_agree(tmp_path: Path) -> None:
    result = run("verify", MODEL, str(ROWS), *java(tmp_path, FOLDER / "gbm_platt.csv"))
    assert result.exit_code == 0
    assert "60 rows: Tidegate and H2O agree." in result.output
    assert "Not compared, since H2O's tool does not tell them: cal_no, cal_yes." in result.output


def test_verify_ends_with_1_when_they_differ(tmp_path: Path) -> None:
    other = java(tmp_path, FOLDER / "gbm_binary.csv")
    result = run("verify", MODEL, str(ROWS), *other)
    assert result.exit_code == 1
    assert "differ." in result.output
    told = json.loads(run("verify", MODEL, str(ROWS), *other, "--output", "json").output)
    assert (told["rows"], told["agrees"]) == (60, False)
    assert [one["name"] for one in told["outputs"]] == ["predict", "no", "yes"]
    assert (told["not_compared"], told["known_fault"]) == (["cal_no", "cal_yes"], None)


def test_verify_says_where_h2os_scorer_is_known_to_be_wrong(tmp_path: Path) -> None:
    encoded = str(FOLDER / "gbm_one_hot_offset.zip")
    result = run("verify", encoded, str(ROWS), *java(tmp_path, FOLDER / "gbm_offset.csv"))
    assert result.exit_code == 1
    assert "known to be wrong for this model: it counts the offset or weights column" in result.output
    assert "Tidegate answers as H2O's cluster does." in result.output


def test_verify_without_java_says_what_is_missing(tmp_path: Path) -> None:
    result = run("verify", MODEL, str(ROWS), "--java", str(tmp_path / "none"), "--jar", str(ROWS))
    assert (result.exit_code, "cannot be started" in result.stderr) == (6, True)
