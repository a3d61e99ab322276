"""The data: features of the kinds that tables have, for a reference and for what came later. NumPy alone.

Some kinds are as before, some moved a little, some much. A folder holds one file for each side and feature.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Sides = ("reference", "current")
#: Rows that are drawn at once.
_PIECE = 1_000_000


def _dense(chance: np.random.Generator, rows: int, moved: float) -> Numbers:
    return chance.normal(moved, 1.0, rows)


def _skewed(chance: np.random.Generator, rows: int, moved: float) -> Numbers:
    return chance.lognormal(3.0 + moved, 1.0, rows)


def _share(chance: np.random.Generator, rows: int, moved: float) -> Numbers:
    return chance.random(rows) ** (1.0 + moved)


def _price(chance: np.random.Generator, rows: int, moved: float) -> Numbers:
    return np.round(chance.lognormal(3.0 + moved, 1.0, rows), 2)


def _gaps(chance: np.random.Generator, rows: int, moved: float) -> Numbers:
    values = chance.normal(size=rows)
    values[chance.random(rows) < 0.02 + moved / 2] = np.nan
    return values


def _count(chance: np.random.Generator, rows: int, moved: float) -> Numbers:
    return np.minimum(chance.poisson(4.0 * (1.0 + moved), rows), 12).astype(np.float64)


_KINDS: tuple[tuple[str, Callable[[np.random.Generator, int, float], Numbers]], ...] = (
    ("dense", _dense),
    ("skewed", _skewed),
    ("share", _share),
    ("price", _price),
    ("gaps", _gaps),
    ("count", _count),
)
#: By how much the current side moves, each in its turn.
_MOVED = (0.0, 0.001, 0.02, 0.1, 0.5)
#: Name, kind and movement: thirty features.
FEATURES = tuple((f"{name}_{place}", draw, moved) for place, moved in enumerate(_MOVED) for name, draw in _KINDS)
NAMES = tuple(name for name, _, _ in FEATURES)


def written(folder: Path, rows: int, features: int) -> Path:
    """Return the folder of the data, drawn if it is not there.

    Args:
        folder: in which each size has one of its own.
        features: so many of them, 1 to 30.
    """
    place = folder / str(rows)
    place.mkdir(parents=True, exist_ok=True)
    for number, (name, draw, moved) in enumerate(FEATURES[:features]):
        for side_number, side in enumerate(Sides):
            file = path(place, side, name)
            if file.exists():
                continue
            chance = np.random.default_rng([number, side_number])
            beside = file.with_suffix(".new.npy")
            values = np.lib.format.open_memmap(beside, "w+", np.float64, (rows,))
            for start in range(0, rows, _PIECE):
                piece = min(_PIECE, rows - start)
                values[start : start + piece] = draw(chance, piece, moved if side == "current" else 0.0)
            values.flush()
            beside.rename(file)
    return place


def path(folder: Path, side: str, name: str) -> Path:
    return folder / f"{side}-{name}.npy"


def read(folder: Path, side: str, features: int) -> dict[str, Numbers]:
    """Return the columns of a side, in memory."""
    return {name: np.load(path(folder, side, name)) for name in NAMES[:features]}
