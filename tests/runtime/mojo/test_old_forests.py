"""Forests of every version of the format, against the answers of H2O's own scorer."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from tidegate.runtime.mojo.container import open_container
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.registry import read_model
from tidegate.runtime.mojo.text import number_of

FOLDER = Path(__file__).resolve().parent / "data" / "forests"


def rows_of(header: Header) -> np.ndarray:
    """Return the rows with unseen levels as missing values, as H2O's tool scores them."""
    with (FOLDER / "old_rows.csv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    rows = np.full((len(table), header.n_features), math.nan)
    for place, (name, domain) in enumerate(zip(header.features, header.feature_domains, strict=True)):
        for index, row in enumerate(table):
            cell = row[name]
            if domain is None:
                number = number_of(cell) if cell else None
                rows[index, place] = math.nan if number is None else number
            elif cell in domain:
                rows[index, place] = domain.index(cell)
    return rows


@pytest.mark.parametrize("path", sorted(FOLDER.glob("old_*.zip")), ids=lambda path: path.stem)
def test_answers_are_those_of_h2o(path: Path) -> None:
    model = read_model(open_container(path))
    got = model.score(rows_of(model.header))
    with path.with_suffix(".csv").open(encoding="utf-8", newline="") as stream:
        names, *expected = csv.reader(stream)
    assert model.outputs == tuple(names)
    domain = model.header.response_domain
    labels = 1 if domain is not None else 0
    if domain is not None:
        assert [domain[int(label)] for label in got[:, 0]] == [row[0] for row in expected]
    values = np.array([[float.fromhex(cell) for cell in row[labels:]] for row in expected])
    # Sums are exact; the last bit of an exponential may be another than Java's.
    exact = "regression" in path.stem or "double" in path.stem
    np.testing.assert_allclose(got[:, labels:], values, rtol=0 if exact else 1e-15, atol=0 if exact else 2e-16)
