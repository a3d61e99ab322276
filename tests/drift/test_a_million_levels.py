"""A million different texts in a column: what is said of it, and that they are not all counted at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.peak import Measured

ROWS = 1_000_000
_TIDEGATE = "from tidegate.cli.main import main; main()"
#: What the command takes at most, rows and libraries among it.
_WHOLE = 512 << 20
#: What counting takes at most beside the texts; to count all levels of a million at once takes 80 MiB.
_COUNTING = 48 << 20
_COUNT = f"""
import numpy as np
from tidegate.drift import Reference
few = Reference.of({{"id": np.array(["a", "b"] * 10_000, dtype=object)}})
few.compare({{"id": ["a"]}})
ids = np.empty({ROWS}, dtype=object)
ids[:] = [f"id {{number}}" for number in range({ROWS})]
for work in (few.compare, Reference.of):
    peak = PeakMemory()
    work({{"id": ids, "kind": np.zeros({ROWS})}})
    print(peak.growth())
"""
_SKETCH = f"""
from tidegate.contract.sketch import Sketch
from tidegate.server.recording.columns import MOST_ROWS, sketch_of
found = Sketch()
for start in range(0, {ROWS}, MOST_ROWS):
    found += sketch_of([f"customer {{number}}" for number in range(start, start + MOST_ROWS)])
print(found.is_hashed, len(found.texts), found.total)
"""


def test_a_million_levels_are_drift_in_the_current_data_and_no_column_of_a_reference(tmp_path: Path) -> None:
    some, many, reference = (tmp_path / name for name in ("some.csv", "many.csv", "reference.json"))
    for path, rows, levels in ((some, 20_000, 10), (many, ROWS, ROWS)):
        lines = (f"id {number % levels:07},{number % 2}\n" for number in range(rows))
        path.write_text("id,kind\n" + "".join(lines), encoding="utf-8")
    running = [
        Measured("from tidegate.cli.main import main; main()", "drift", *map(str, words), "--output", "json")
        for words in (
            ("check", some, many),
            ("reference", many, "--out", reference),
            ("reference", many, "--out", reference, "--columns", "id"),
        )
    ]
    checked, made, refused = (one.ended() for one in running)
    assert (checked.code, made.code, refused.code) == (9, 0, 2)
    column = next(one for one in json.loads(checked.out)["columns"] if one["column"] == "id")
    assert column["unseen"]["current"] == pytest.approx(1, abs=1e-4)
    told = json.loads(made.out)
    assert told["columns"] == ["kind"]
    assert told["skipped"]["id"] == "it has more than 100,000 different levels, which name rows and not kinds of rows"
    assert told["skipped"]["id"] in refused.errors
    for one in (checked, made, refused):
        assert one.peak < _WHOLE


def test_a_million_levels_are_counted_some_at_a_time() -> None:
    counted = Measured(_COUNT).ended()
    assert counted.code == 0, counted.errors
    growths = [int(line) for line in counted.out.split()]
    assert len(growths) == 2
    assert max(growths) < _COUNTING


def test_a_million_texts_are_counted_in_a_sketch_in_bounded_memory() -> None:
    counted = Measured(_SKETCH).ended()
    assert counted.code == 0, counted.errors
    assert counted.out.split() == ["True", "32", str(ROWS)]
    assert counted.peak < 64 << 20  # most of it NumPy's
