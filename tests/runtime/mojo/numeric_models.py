"""Models of `data/numeric`: linear and additive ones, boosters, networks; what H2O answered; and damaged files."""

from __future__ import annotations

import csv
import random
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.delimited import NOTHING
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.load import MojoModel, load
from tidegate.runtime.mojo.registry import read_model
from tidegate.runtime.mojo.rows import Policy
from tidegate.runtime.mojo.scorer import Scorer
from tidegate.runtime.mojo.values import ABSENT

FOLDER = Path(__file__).resolve().parent / "data" / "numeric"
LENIENT = Policy(strict=False, invalid_as_missing=False)


class Memory:
    """A container of entries in memory."""

    def __init__(self, entries: Mapping[str, bytes], prefix: str = "") -> None:
        self.entries = dict(entries)
        self._prefix = prefix

    def has(self, name: str) -> bool:
        return self._prefix + name in self.entries

    def size(self, name: str) -> int:
        return len(self.read(name))

    def read(self, name: str) -> bytes:
        if not self.has(name):
            raise MojoFormatError(name, "is missing")
        return self.entries[self._prefix + name]

    def below(self, folder: str) -> Memory:
        return Memory(self.entries, f"{self._prefix}{folder.rstrip('/')}/")


def entries_of(name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(FOLDER / f"{name}.zip") as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


def changed(name: str, replacements: Mapping[str, str | None]) -> Memory:
    """Return a model with other values of keys in `model.ini`; None takes a key away."""
    entries = entries_of(name)
    lines = []
    for line in entries["model.ini"].decode().split("\n"):
        key = line.partition(" = ")[0]
        if key not in replacements:
            lines.append(line)
        elif replacements[key] is not None:
            lines.append(f"{key} = {replacements[key]}")
    entries["model.ini"] = "\n".join(lines).encode()
    return Memory(entries)


def model(name: str) -> MojoModel:
    return load(FOLDER / f"{name}.zip")


def scored(loaded: MojoModel) -> dict[str, NDArray[Any]]:
    """Return what a model says of `rows.csv`."""
    columns = rows_of(loaded)
    return loaded.predict_columns(columns, len(next(iter(columns.values()))), LENIENT)


def rows_of(loaded: MojoModel) -> dict[str, list[Any]]:
    names = {field.name for field in loaded.fields} | {loaded.offset_column}
    with (FOLDER / "rows.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    kept = [name for name in rows[0] if name in names]
    return {name: [ABSENT if row[name] in NOTHING else row[name] for row in rows] for name in kept}


def expected(name: str, kind: str = "") -> dict[str, list[Any]]:
    """Return what genmodel (or, of kind "cluster", the cluster) said of `rows.csv`: texts of labels, and floats."""
    with (FOLDER / f"{name}{kind and '.'}{kind}.csv").open(encoding="utf-8", newline="") as stream:
        names, *rows = csv.reader(stream)
    return {column: [_value(row[place]) for row in rows] for place, column in enumerate(names)}


def worst_ulps(found: NDArray[np.float64], wanted: list[float]) -> float:
    """Return how many units of the last place numbers are apart at most; NaN is not from NaN."""
    given = np.array(wanted)
    assert (np.isnan(found) == np.isnan(given)).all()
    with np.errstate(invalid="ignore"):
        apart = np.abs(found - given)
    other = ~np.isnan(given) & (found != given)
    return float(np.max(apart[other] / np.spacing(np.abs(given[other])), initial=0.0))


def damaged(name: str, count: int, *, only: str | None = None) -> Iterator[Memory]:
    """Yield models with bytes that were changed, cut off, or put in between."""
    entries = entries_of(name)
    generator = random.Random(name)
    names = [entry for entry in entries if only is None or entry == only]
    for _ in range(count):
        entry = generator.choice(names)
        data = bytearray(entries[entry])
        for _ in range(generator.choice([1, 1, 2, 5])):
            place = generator.randrange(len(data) + 1)
            what = generator.randrange(4)
            if what == 0:
                del data[place:]
            elif what == 1 and place < len(data):
                data[place] = generator.randrange(256)
            elif what == 2 and place < len(data):
                data[place] ^= 1 << generator.randrange(8)
            else:
                data[place:place] = generator.choice([b"0", b"9", b"-", b",", b"\n", b"NaN", b"\xff\xff\xff\x7f"])
        yield Memory(entries | {entry: bytes(data)})


def survives(container: Memory) -> Scorer | None:
    """Read and use a model; None where it is refused. Raises what no damaged file may lead to."""
    try:
        scorer = read_model(container)
        width = scorer.header.n_features + len(getattr(scorer, "more_inputs", ()))
        for rows in (np.full((1, width), np.nan), np.zeros((3, width)), np.full((2, width), 3.0)):
            found = scorer.score(rows)
            assert found.shape == (len(rows), len(scorer.outputs))
    except (MojoFormatError, MojoUnsupportedError, MojoRowError):
        return None
    return scorer


def _value(cell: str) -> Any:
    if cell in ("", "NaN", "NA"):
        return float("nan")
    try:
        return float.fromhex(cell) if "0x" in cell else float(cell)
    except ValueError:
        return cell
