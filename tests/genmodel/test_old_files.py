"""Files in the forms of older versions, with H2O's own scorer running: what is kept of it, and what Tidegate says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.runtime.mojo import old_shapes
from tests.runtime.mojo.matrix.genmodel import judge
from tests.runtime.mojo.matrix.kept import read_expected
from tidegate import mojo

BOOSTERS = Path(old_shapes.FOLDER).parent / "boosters"
FORESTS = Path(old_shapes.FOLDER).parent / "forests"


@pytest.mark.usefixtures("scorer")
@pytest.mark.parametrize("path", old_shapes.PATHS, ids=lambda path: path.stem)
def test_what_is_kept_is_what_h2os_scorer_says(path: Path) -> None:
    found, kept = judge(path, old_shapes.rows_for(path.stem)), read_expected(path.with_suffix(".npz"))

    for name in ("outputs", "labels", "refusals", "strict_refusals"):
        assert tuple(getattr(found, name)) == getattr(kept, name), name
    np.testing.assert_array_equal(found.values, kept.values)


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        *((path, BOOSTERS / "rows.csv") for path in sorted(BOOSTERS.glob("old_*.zip"))),
        *((path, FORESTS / "old_rows.csv") for path in sorted(FORESTS.glob("old_*.zip"))),
    ],
    ids=lambda value: value.stem if value.suffix == ".zip" else "",
)
def test_trees_and_boosters_of_every_version_agree(path: Path, rows: Path, jar: str, java: str) -> None:
    found = mojo.verify(path, rows, jar=jar, java=java)

    assert found.fault is None
    # An `exp` of XGBoost is a float32: its last bit may be another than Java's.
    assert found.agrees(2e-7 if "events" in path.stem else 1e-12), found.outputs
