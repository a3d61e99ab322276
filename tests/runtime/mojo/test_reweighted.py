"""Contributions of trees whose nodes were weighed anew after the training, against those of H2O's own scorer."""

from __future__ import annotations

import csv
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.runtime.mojo.damage import Memory, entries_of
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.load import MojoModel, load, read
from tidegate.runtime.mojo.rows import Policy

FOLDER = Path(__file__).resolve().parent / "data" / "reweighted"
NAMES = sorted(path.stem for path in FOLDER.glob("*.zip"))
WEIGHTS = "auxNodeWeights"
LENIENT = Policy(strict=False, invalid_as_missing=True)


@cache
def rows() -> list[dict[str, str]]:
    with (FOLDER.parent / "numeric" / "rows.csv").open(encoding="utf-8", newline="") as stream:
        return [{name: cell for name, cell in row.items() if cell} for row in csv.DictReader(stream)]


def contributions(model: MojoModel, count: int) -> tuple[list[str], NDArray[Any]]:
    names, tell = model._details.contributions()
    numeric = np.vstack([model.builder.one(row, LENIENT) for row in rows()[:count]])
    return list(names), tell(numeric, None)


@pytest.mark.parametrize("name", NAMES)
def test_contributions_are_those_of_h2o_bit_by_bit(name: str) -> None:
    with np.load(FOLDER / f"{name}.npz") as kept:
        wanted, names = kept["contributions"], kept["contribution_names"].tolist()
    found_names, found = contributions(load(FOLDER / f"{name}.zip"), len(wanted))
    assert found_names == names
    np.testing.assert_array_equal(found, wanted)


def test_other_weights_are_other_contributions() -> None:
    entries = entries_of(FOLDER / "xgboost_two.zip")
    _, weighed = contributions(read(Memory(entries)), 45)
    del entries[WEIGHTS]
    _, trained = contributions(read(Memory(entries)), 45)
    assert (weighed != trained).mean() > 0.2
    assert (weighed.sum(axis=1) - trained.sum(axis=1)).max() < 1e-5  # what they add up to is the prediction


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:3],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: struct.pack("<i", 5) + data[4:],
        lambda data: data[:4] + struct.pack("<i", 14) + data[8:],
        lambda data: data[:4] + struct.pack("<i", -1) + data[8:],
    ],
)
def test_damaged_weights_are_refused_when_they_are_asked_for(damage: Any) -> None:
    entries = entries_of(FOLDER / "xgboost_two.zip")
    model = read(Memory(entries | {WEIGHTS: damage(entries[WEIGHTS])}))
    model.leaf_assignment({})
    with pytest.raises(MojoFormatError, match=WEIGHTS):
        model.contributions({})
