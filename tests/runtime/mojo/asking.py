"""The ways in which a model is asked for predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tidegate import mojo
from tidegate.runtime.base import ArtifactFiles, LoadOptions
from tidegate.runtime.mojo.runtime import MojoRuntime

#: Enough for two threads.
ROWS = 600

Row = dict[str, Any]


def rows_of(model: mojo.MojoModel) -> list[Row]:
    """Return rows of usual values, as many as above; the first has a value of each input."""

    def value(name: str, levels: tuple[str, ...] | None, place: int) -> Any:
        return (0.5, 3.0, None, -1.25)[place % 4] if levels is None else [*levels[:5], None][place % 6 % len(levels)]

    specs = model.signature.inputs
    return [{spec.name: value(spec.name, spec.categories, place) for spec in specs} for place in range(ROWS)]


def columns_of(rows: list[Row]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def ways_of(path: Path, model: mojo.MojoModel) -> dict[str, Callable[[], Any]]:
    """Return the ways in which a model is asked; none of them has been gone when this returns."""
    rows = rows_of(model)
    columns = columns_of(rows)
    served = MojoRuntime().load(ArtifactFiles(path), LoadOptions())
    arrays = {
        spec.name: np.array(columns[spec.name], dtype=object if spec.datatype == "BYTES" else float)
        for spec in served.signature.inputs
    }
    numeric = model.builder.matrix(columns, ROWS)
    unaligned = np.frombuffer(b"\0" + numeric.tobytes(), dtype=np.float64, offset=1).reshape(numeric.shape)
    reads_only = numeric.copy()
    reads_only.setflags(write=False)
    ways: dict[str, Callable[[], Any]] = {
        "a dict": lambda: model.predict(rows[0]),
        "a dict of more": lambda: model.predict({**rows[0], "extra": 1}),
        "a dict of nothing": lambda: model.predict({}),
        "one row of a list": lambda: model.predict(rows[:1]),
        "rows": lambda: model.predict(rows[:9]),
        "columns": lambda: model.predict(columns),
        "columns in two threads": lambda: model.predict(columns, threads=2),
        "the server's columns": lambda: served.predict(arrays),
        "the server's single row": lambda: served.predict({name: column[:1] for name, column in arrays.items()}),
        "numeric rows": lambda: model.predict(numeric),
        "one numeric row": lambda: model.predict(numeric[:1]),
        "numeric rows in two threads": lambda: model.predict(numeric, threads=2),
        "numeric rows that cannot be written to": lambda: model.predict(reads_only),
        "one numeric row that cannot be written to": lambda: model.predict(reads_only[:1]),
        "numeric rows in float32": lambda: model.predict(numeric.astype(np.float32)),
        "numeric rows column by column": lambda: model.predict(np.asfortranarray(numeric)),
        "every second numeric row": lambda: model.predict(numeric[::2]),
        "numeric rows at odd addresses": lambda: model.predict(unaligned),
    }
    if model.offset_column is not None:
        with_offset = {**columns, model.offset_column: np.linspace(0.0, 1.0, ROWS)}
        ways |= {
            "an offset": lambda: model.predict({**rows[0], model.offset_column: 0.5}),
            "offsets": lambda: model.predict(with_offset),
            "offsets in two threads": lambda: model.predict(with_offset, threads=2),
            "every second offset": lambda: model.predict(
                {name: column[::2] for name, column in with_offset.items()}, threads=2
            ),
        }
    return ways
