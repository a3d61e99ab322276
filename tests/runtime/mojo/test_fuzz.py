"""What fuzzing found, and what it kept, tried again: nothing but scores and the reader's own refusals comes of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.mojo.fuzz import trial
from tests.runtime.mojo.fuzz.corpus import CORPUS, FINDINGS, kept, seeds
from tests.runtime.mojo.fuzz.mutate import crossed, members_of, mutant, zip_of
from tests.runtime.mojo.fuzz.record import FuzzRun, add, as_markdown
from tests.runtime.mojo.fuzz.trial import ALLOWED, Finding, bounded_memory, tried
from tests.support.mojos import FOLDER
from tidegate import mojo
from tidegate.runtime.mojo.load import MojoModel
from tidegate.runtime.mojo.row_plan import RowAnswers

_WORDS = {"scored", *(error.__name__ for error in ALLOWED)}


def _tried(path: Path) -> Finding | str:
    tried(path)  # compiles what is not compiled yet, which takes time and memory
    with bounded_memory():
        return tried(path)


@pytest.mark.parametrize("path", sorted(FINDINGS.glob("*.zip")), ids=lambda path: path.stem)
def test_what_once_went_wrong_goes_right(path: Path) -> None:
    assert _tried(path) in _WORDS


def test_mutants_that_reached_new_code_score_or_are_refused() -> None:
    assert len(list(CORPUS.glob("*.zip"))) > 50
    outcomes = {path.name: _tried(path) for path in sorted(CORPUS.glob("*.zip"))}
    assert {name: outcome for name, outcome in outcomes.items() if outcome not in _WORDS} == {}
    assert set(outcomes.values()) == _WORDS


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in kept()) < 1_000_000


def test_a_crash_a_hang_and_a_bomb_are_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.zip"
    path.write_bytes(next(seeds()))
    assert _tried(path) == "scored"

    def reads(error: BaseException | None, size: int = 0) -> Callable[[Path], MojoModel]:
        def load(_: Path) -> MojoModel:
            if error is not None:
                raise error
            return np.ones(size)  # type: ignore[return-value]

        return load

    monkeypatch.setattr(trial, "load", reads(IndexError("out of bounds")))
    assert isinstance(tried(path), Finding)
    monkeypatch.setattr(trial, "load", reads(None, 1 << 28))
    with bounded_memory():
        found = tried(path)
    assert isinstance(found, Finding)
    assert "MemoryError" in found.key
    monkeypatch.setattr(trial, "load", reads(mojo.MojoFormatError("model.ini", "is damaged")))
    assert tried(path) == "MojoFormatError"
    monkeypatch.setattr(trial, "SECONDS", -1.0)
    assert tried(path) == Finding("slow_MojoFormatError", "0.0 s")


def test_mutants_are_zips_with_other_members() -> None:
    data = next(seeds())
    rng = random.Random(5)
    mutants = [mutant(data, 2 * len(data), rng, lambda given, _: given[1:]) for _ in range(200)]
    members = [members_of(one) for one in mutants]
    assert sum(one is not None and one != members_of(data) for one in members) > 150
    assert all(len(one) <= 2 * len(data) for one in mutants)


def test_crossing_takes_members_of_another_model() -> None:
    first, second = {"a": b"1", "b": b"2"}, {"a": b"3", "b": b"4"}
    made = {crossed(zip_of(first), zip_of(second), 10_000, random.Random(seed)) for seed in range(20)}
    assert {tuple((members_of(one) or {}).values()) for one in made} == {(b"3", b"2"), (b"1", b"4"), (b"3", b"4")}


def test_another_answer_of_the_quick_way_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = FOLDER / "gbm_enum.zip"
    assert _tried(path) == "scored"
    monkeypatch.setattr(RowAnswers, "__call__", lambda *_: {"predict": "another"})
    found = tried(path)
    assert isinstance(found, Finding)
    assert found.key.startswith("AssertionError")


def test_a_refused_file_is_described_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = members_of((FOLDER / "gbm_enum.zip").read_bytes())
    assert members is not None
    members["model.ini"] = members["model.ini"].replace(b"mojo_version = 1.40", b"mojo_version = 9.40")
    path = tmp_path / "model.zip"
    path.write_bytes(zip_of(members))
    assert tried(path) == "MojoUnsupportedError"

    def fails(_: Path) -> None:
        raise KeyError("of the describer")

    monkeypatch.setattr(trial, "describe", fails)
    found = tried(path)
    assert isinstance(found, Finding)
    assert found.key == "KeyError_elsewhere"


def test_runs_add_up_in_the_record(tmp_path: Path) -> None:
    checked = FuzzRun(
        at="2026-03-02T10:00:00+00:00", kernels="checked", seconds=90.0,
        outcomes={"scored": 900, "MojoFormatError": 99}, findings={"KeyError_here": 1},
        peak_bytes=300_000_000, limit_bytes=1 << 30, seed=1,
    )  # fmt: skip
    add(tmp_path, checked, ["what_was_found"])
    later = replace(checked, at="2026-03-04T10:00:00+00:00", findings={}, peak_bytes=500_000_000, seed=2)
    add(tmp_path, later, ["what_was_found"])
    add(tmp_path, replace(later, kernels="interpreted", seconds=60.0), ["what_was_found"])
    record = json.loads((tmp_path / "fuzz-mojo.json").read_text())
    assert [run["seed"] for run in record["runs"]] == [1, 2, 2]
    page = (tmp_path / "fuzz-mojo.md").read_text()
    assert page == as_markdown(record, ["what_was_found"])
    assert "3 runs, 2026-03-02 to 2026-03-04." in page
    assert "| checked | 3.0 | 1,999 | 1,800 | 198 | 1 | 500 | 1,074 |" in page
    assert "| interpreted | 1.0 | 999 | 900 | 99 | 0 | 500 | 1,074 |" in page
    assert "| all | 4.0 | 2,998 | 2,700 | 297 | 1 | 500 | 1,074 |" in page
    assert "`KeyError_here`." in page
    assert "`what_was_found`." in page
