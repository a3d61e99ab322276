"""Reconstructions of low rank models against H2O's: the cluster's names, genmodel's numbers (`data/reconstruction`)."""

from __future__ import annotations

import contextlib
import csv
import io
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.runtime.mojo.damage import Memory, damaged, entries_of
from tidegate import mojo
from tidegate.cli.main import app
from tidegate.runtime.mojo import kernel_library
from tidegate.runtime.mojo.glrm_losses_kernel import CATEGORICAL
from tidegate.runtime.mojo.glrm_reconstruction_kernel import level_of
from tidegate.runtime.mojo.load import MojoModel, read

DATA = Path(__file__).parent / "data" / "reconstruction"
NAMES = sorted(path.stem for path in DATA.glob("*.zip"))
WITH_DOMAIN = {"c1": ["a", "b", "c"], "c2": [f"L{i}" for i in range(5)], "two": ["no", "yes"]}


def rows() -> pd.DataFrame:
    return pd.read_csv(DATA / "rows.csv")


def expected(name: str) -> dict[str, list[Any]]:
    """Return H2O's columns; codes of levels as texts."""
    with (DATA / f"{name}.csv").open(newline="") as stream:
        names, *lines = csv.reader(stream)
    columns: dict[str, list[Any]] = {}
    for column, cells in zip(names, zip(*lines, strict=True), strict=True):
        domain = WITH_DOMAIN.get(column.removeprefix("reconstr_"))
        columns[column] = [float(cell) if domain is None else domain[int(float(cell))] for cell in cells]
    return columns


def changed(name: str, entry: str, pattern: str, new: str) -> MojoModel:
    entries = entries_of(DATA / f"{name}.zip")
    text, count = re.subn(pattern, new, entries[entry].decode(), count=1)
    assert count == 1
    entries[entry] = text.encode()
    return read(Memory(entries))


def test_there_are_models() -> None:
    assert len(NAMES) == 8


@pytest.mark.parametrize("name", NAMES)
def test_values_and_names_are_those_of_h2o(name: str) -> None:
    told = mojo.load(DATA / f"{name}.zip").reconstruct(rows())
    answers = expected(name)
    assert list(told.columns) == list(answers)
    for column, values in answers.items():
        if isinstance(values[0], str):
            assert told[column].tolist() == values
        else:
            np.testing.assert_allclose(told[column].to_numpy(float), values, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["logistic", "ordinal_back"])
def test_archetypes_of_0_give_the_first_levels(name: str) -> None:
    entries = entries_of(DATA / f"{name}.zip")
    entries["archetypes"] = bytes(len(entries["archetypes"]))
    told = read(Memory(entries)).reconstruct(rows())
    for column in set(told.columns) & {f"reconstr_{name}" for name in WITH_DOMAIN}:
        assert set(told[column]) == {WITH_DOMAIN[column.removeprefix("reconstr_")][0]}


@pytest.mark.skipif(kernel_library.used() is not None, reason="a library has no code of it by itself")
def test_levels_close_to_0_are_compared_themselves() -> None:
    # What H2O answered with 4: the losses of these levels are the same double.
    u = np.array([-2.78e-109, -3.39e-109, -4.18e-109, -3.94e-109, -1.16e-109])
    assert level_of(CATEGORICAL, u, 5) == 4


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_model_is_refused_or_reconstructs(name: str) -> None:
    entries, rng = entries_of(DATA / f"{name}.zip"), random.Random(name)
    given = rows().iloc[:3]
    for _ in range(40):
        with contextlib.suppress(mojo.MojoFormatError, mojo.MojoUnsupportedError, mojo.MojoRowError):
            assert len(read(Memory(damaged(entries, rng))).reconstruct(given)) == 3


def test_it_answers_in_kind() -> None:
    model = mojo.load(DATA / "logistic.zip")
    one = {"x0": 0.5, "c1": "b", "x1": None, "two": "yes"}
    told = model.reconstruct(one)
    assert list(told) == ["reconstr_x0", "reconstr_c1", "reconstr_x1", "reconstr_two"]
    assert model.reconstruct([one, one])[0] == told
    assert type(told["reconstr_x0"]) is float
    assert isinstance(told["reconstr_two"], str)
    assert model.reconstruct([]) == []


def test_the_command_writes_it() -> None:
    found = CliRunner().invoke(
        app,
        ["mojo", "predict", str(DATA / "poisson.zip"), str(DATA / "rows.csv"), "--reconstruct"],
    )
    assert found.exit_code == 0
    lines = list(csv.DictReader(io.StringIO(found.stdout)))
    answers = expected("poisson")
    assert [line["reconstr_c1"] for line in lines] == answers["reconstr_c1"]
    assert [float(line["reconstr_p"]) for line in lines] == pytest.approx(answers["reconstr_p"], rel=1e-12)


def test_other_models_reconstruct_nothing() -> None:
    model = mojo.load(DATA.parent / "small" / "kmeans_na.zip")
    with pytest.raises(mojo.MojoUnsupportedError, match="reconstruct"):
        model.reconstruct({"x0": 1.0})


@pytest.mark.parametrize(
    ("name", "entry", "pattern", "new", "problem"),
    [
        ("logistic", "losses", "Logistic", "Quadratic", "the loss of a number"),
        ("logistic", "model.ini", r"(cols_permutation = \[\d, )\d", r"\g<1>0", "once"),
        ("logistic", "model.ini", r"norm_mul = \[1\.0", "norm_mul = [2.0", "not those of the model"),
        ("poisson", "model.ini", r"\n1: 3 d000.txt", r"\n", "no domain"),
    ],
)
def test_columns_that_do_not_fit_the_model_are_refused(
    name: str, entry: str, pattern: str, new: str, problem: str
) -> None:
    model = changed(name, entry, pattern, new)
    with pytest.raises(mojo.MojoFormatError, match=problem):
        model.reconstruct([])
