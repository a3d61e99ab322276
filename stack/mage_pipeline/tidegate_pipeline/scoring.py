"""What a model of Tidegate answers rows with, by the runtime that serves it: its bundle is loaded in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.artifact.bundle import load_model, read_bundle
from tidegate.contract.errors import InvalidInput, NotFound, Unavailable
from tidegate.runtime.base import Signature
from tidegate.runtime.rows import inputs_from_rows
from tidegate_pipeline.data import as_text

Numbers = NDArray[np.float64]

#: Rows that a model is asked at once.
_BATCH = 5_000
#: Outputs that are the answer where it is a number.
_ANSWERS = ("predict", "prediction", "value")


def scores(bundle: Path, rows: Any, classes: Sequence[str] | None) -> Numbers:
    """Return what a model answers: a number for each row, or with `classes` the probability of each of them.

    Args:
        bundle: its folder, in the controller's home.
        rows: an Arrow table.
        classes: as their texts are in the data.

    Raises:
        Unavailable: the bundle is not on this machine, or its framework is not installed here.
        InvalidInput: the rows lack an input, or it is not clear which output is what.
    """
    try:
        found = read_bundle(bundle)
    except NotFound as gone:
        raise Unavailable(
            "a model that is to be compared is not on this machine",
            subject=str(bundle),
            hint="the comparison needs the bundles of the controller's home under the same path",
        ) from gone
    signature = found.signature
    if signature.kind != "columns":
        raise InvalidInput(
            "a model without named columns cannot be compared on rows", subject=str(bundle), got=signature.kind
        )
    columns = {spec.name: _column(rows, spec.name, is_text=spec.datatype == "BYTES") for spec in signature.inputs}
    model = load_model(found, threads=2)
    parts: list[dict[str, Any]] = []
    try:
        for start in range(0, rows.num_rows, _BATCH):
            batch = {name: values[start : start + _BATCH] for name, values in columns.items()}
            records = [dict(zip(batch, one, strict=True)) for one in zip(*batch.values(), strict=True)]
            parts.append(dict(model.predict(inputs_from_rows(signature.inputs, records))))
    finally:
        model.close()
    outputs = {spec.name: np.concatenate([one[spec.name] for one in parts]) for spec in signature.outputs if parts}
    return _number(signature, outputs) if classes is None else _probabilities(signature, outputs, classes)


def same(text: str) -> str:
    """Return what texts of one class have in common, however a framework writes it: true is True, and 1.0 is 1."""
    folded = text.strip().casefold()
    try:
        number = float(folded)
    except ValueError:
        return folded
    return str(int(number)) if number.is_integer() else repr(number)


def _column(rows: Any, name: str, *, is_text: bool) -> list[Any]:
    if name not in rows.column_names:
        raise InvalidInput(
            f"the fresh rows have no column {name!r}, which a model takes",
            subject="evaluation",
            expected=", ".join(rows.column_names),
            got=name,
        )
    column = rows[name]
    values: list[Any] = (as_text(column) if is_text else column).to_pylist()
    return values


def _number(signature: Signature, outputs: dict[str, Any]) -> Numbers:
    names = [spec.name for spec in signature.outputs if spec.datatype != "BYTES"]
    chosen = next((name for name in _ANSWERS if name in names), names[0] if len(names) == 1 else None)
    if chosen is None:
        raise InvalidInput(
            "it is not clear which output is the answer",
            subject="evaluation",
            expected=" or ".join(_ANSWERS),
            got=", ".join(names) or "none that is a number",
        )
    return np.asarray(outputs[chosen], dtype=np.float64).reshape(-1)


def _probabilities(signature: Signature, outputs: dict[str, Any], classes: Sequence[str]) -> Numbers:
    by_class: dict[str, Any] = {}
    for spec in signature.outputs:
        if spec.labels is not None:
            by_class |= {same(label): outputs[spec.name][:, place] for place, label in enumerate(spec.labels)}
    if not by_class:
        # H2O has a column for each class, called p1 where the class is the number 1.
        own = {spec.name for spec in signature.outputs if spec.datatype != "BYTES"}
        by_class = {same(name): outputs[name] for name in own}
        by_class |= {
            same(label): outputs[f"p{label}"]
            for spec in signature.outputs
            for label in spec.categories or ()
            if f"p{label}" in own
        }
    missing = [name for name in classes if same(name) not in by_class]
    if missing:
        raise InvalidInput(
            f"a model has no probability of the class {missing[0]!r}",
            subject="evaluation",
            expected=f"one for each of {', '.join(classes)}",
            got=", ".join(sorted(by_class)) or "none",
        )
    return np.column_stack([np.asarray(by_class[same(name)], dtype=np.float64) for name in classes])
