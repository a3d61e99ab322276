"""One file, tried: it is loaded, asked for everything that it can tell of two rows, and nothing else may happen."""

from __future__ import annotations

import contextlib
import json
import resource
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tidegate import mojo
from tidegate.runtime.mojo.describe import describe
from tidegate.runtime.mojo.load import MojoModel, load

#: What a file may be refused with, or a row.
ALLOWED = (mojo.MojoFormatError, mojo.MojoUnsupportedError, mojo.MojoRowError)
#: No file of some kilobytes takes longer, nor more memory beyond what the process has: sets of levels of old trees
#: have room for 64 MiB, of which what is not used is never touched.
SECONDS = 5.0
ROOM_BYTES = 256 << 20
_PACKAGE = "/tidegate/runtime/mojo/"
#: Numeric rows as only callers send them who make rows themselves: codes that are none.
_ODD_NUMBERS = (-1.0, 1e18, 0.5, -0.0, 2147483648.0, np.inf, -np.inf, 16777217.0, 3.0)


@dataclass(frozen=True)
class Finding:
    """What may not happen.

    Attributes:
        key: the kind of it and the place in the reader, the same for what has the same cause as a rule.
        told: the traceback, or the number of seconds.
    """

    key: str
    told: str


def tried(path: Path) -> Finding | str:
    """Try a file; return the finding, or in a word what became of it: "scored", or the name of the refusal."""
    start = time.monotonic()
    try:
        with warnings_ignored():
            try:
                outcome = _scored(path)
            except ALLOWED as error:
                outcome = type(error).__name__
                if isinstance(error, mojo.MojoUnsupportedError):
                    _tell_of(path)
    except Exception as error:  # noqa: BLE001 - whatever else comes is what is looked for
        return Finding(_key(error), "".join(traceback.format_exception(error)[-20:]))
    taken = time.monotonic() - start
    if taken > SECONDS:
        return Finding(f"slow_{outcome}", f"{taken:.1f} s")
    return outcome


@contextlib.contextmanager
def bounded_memory(room: int = ROOM_BYTES) -> Iterator[None]:
    """Let the process have so many bytes more than it has now; allocations beyond fail with MemoryError."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def warnings_ignored() -> Iterator[None]:
    """Keep NumPy quiet over numbers that overflow: a mutant's numbers do."""
    with np.errstate(all="ignore"):
        yield


def _scored(path: Path) -> str:
    model = load(path)
    rows = [_row(model, 0), _row(model, 1)]
    _tell_of(path)
    _answer_at_once(model)
    model.predict(rows, invalid_as_missing=True)
    asked: list[Callable[[], Any]] = [
        lambda: model.predict(rows[1]),
        lambda: model.leaf_assignment(rows, "path"),
        lambda: model.leaf_assignment(rows, "node_id"),
        lambda: model.staged_probabilities(rows),
        lambda: model.contributions(rows),
        lambda: model.distances(rows),
        lambda: model.reconstruct(rows),
        lambda: model.anomaly(rows),
        lambda: model.average(["", None, *_levels(model)]),
        lambda: model.predict(_odd_rows(model)),
    ]
    for ask in asked:
        with contextlib.suppress(*ALLOWED):
            ask()
    return "scored"


def _tell_of(path: Path) -> None:
    """Have a file described, as JSON: one that is refused as well, for what it says of itself."""
    with contextlib.suppress(*ALLOWED):
        json.dumps(describe(path))


def _answer_at_once(model: MojoModel) -> None:
    """Have the quick way answer typed rows. Raises AssertionError where the other way has another answer."""
    if model.at_once is None:
        return
    for number in (0, 1):
        row = _typed_row(model, number)
        answer = model.at_once(row)
        wanted = None
        with contextlib.suppress(mojo.MojoRowError):
            wanted = model.predict([row, row])[0]
        if answer is not None:
            np.testing.assert_equal(answer, wanted)


def _typed_row(model: MojoModel, number: int) -> dict[str, Any]:
    """Return a row of floats, whole numbers, levels and None, in the order of the inputs or the other way round."""
    row: dict[str, Any] = {}
    for place, field in enumerate(model.fields if number == 0 else reversed(model.fields)):
        if field.values and field.kind != "number":
            levels = list(field.values)
            row[field.name] = levels[0] if number == 0 else (levels[-1], None)[place % 2]
        elif field.kind == "number":
            row[field.name] = 0.75 * place - 1.0 if number == 0 else (3, -1e300, None, 0)[place % 4]
    return row


def _row(model: MojoModel, number: int) -> dict[str, Any]:
    """Return a row of known levels and plain numbers, or one of the last levels, texts and infinities."""
    row: dict[str, Any] = {}
    for place, field in enumerate(model.fields):
        if field.levels:
            row[field.name] = field.levels[0] if number == 0 else field.levels[-1 - place % len(field.levels)]
        elif field.levels is None:
            row[field.name] = 0.75 * place - 1.0 if number == 0 else ("1e300", "-7", None)[place % 3]
    if model.offset_column is not None:
        row[model.offset_column] = 0.5
    return row


def _levels(model: MojoModel) -> tuple[str, ...]:
    """Return two levels of the first input, where there is one, and it has some."""
    return next(((field.levels or ())[:2] for field in model.fields), ())


def _odd_rows(model: MojoModel) -> np.ndarray[Any, np.dtype[np.float64]]:
    width = model.builder.width
    return np.resize(np.array(_ODD_NUMBERS), (9, width)) if width else np.empty((9, 0))


def _key(error: BaseException) -> str:
    """Return the kind of an error and the innermost line of the reader that it came through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _PACKAGE in frame.filename]
    place = f"{Path(frames[-1].filename).stem}_{frames[-1].name}" if frames else "elsewhere"
    return f"{type(error).__name__}_{place}"
