"""What XGBoost's and LightGBM's boosters share: their inputs as one matrix, and classes out of raw scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Array, Columns, Datatype, Signature, TensorSpec
from tidegate.runtime.columns import Codes, MatrixBuilder, datatype_from_sample, sample_values

#: The only input of a booster that was trained on an array without names.
TENSOR_INPUT = "input"


class BoosterInputs:
    """The inputs of a booster, and the matrix that is made of them.

    Args:
        names: the columns in the model's order; None when it was trained on an array.
        width: how many features there are.
        codes: the categories of those columns that have any, by name.
        dtype: float32 or float64, of the matrix.
        sample: rows of the user, which say what a booster does not: that a column is true or false.
    """

    def __init__(
        self,
        names: Sequence[str] | None,
        width: int,
        codes: Mapping[str, Codes],
        dtype: Any,
        sample: Sequence[Mapping[str, Any]] | None,
    ) -> None:
        self._names = names
        self._dtype = dtype
        self._build = None if names is None else MatrixBuilder(names, codes, dtype)
        #: The columns of the matrix that hold codes which Tidegate itself put there.
        self.coded = frozenset(position for position, name in enumerate(names or ()) if name in codes)
        if names is None:
            self.specs: tuple[TensorSpec, ...] = (TensorSpec(TENSOR_INPUT, "FP64", (-1, width)),)
        else:
            self.specs = tuple(_column_spec(name, codes.get(name), sample) for name in names)
        self.example = {
            name: coder.values[0] if coder.is_text else float(coder.values[0])
            for name, coder in codes.items()
            if coder.values
        }

    def signature(self, outputs: tuple[TensorSpec, ...]) -> Signature:
        return Signature("tensors" if self._names is None else "columns", self.specs, outputs)

    def matrix(self, inputs: Columns) -> Array:
        """Return the values, shape [rows, features], C order; missing and codes as the framework has them."""
        if self._build is not None:
            return self._build(inputs)
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(inputs[TENSOR_INPUT], dtype=self._dtype)


def _column_spec(name: str, codes: Codes | None, sample: Sequence[Mapping[str, Any]] | None) -> TensorSpec:
    if codes is None or not codes.is_text:
        is_truth = datatype_from_sample(sample_values(sample, name)) == "BOOL"
        return TensorSpec(name, "BOOL" if is_truth else "FP64")
    return TensorSpec(name, "BYTES", categories=tuple(codes.values))


def labels_from(settings: Mapping[str, Any], classes: int) -> Array | None:
    """Return the class labels that the user set, which the files of boosters do not hold; None when there are none.

    Raises:
        InvalidInput: their number is not the number of classes.
    """
    labels = settings.get("labels")
    if labels is None:
        return None
    if not isinstance(labels, (list, tuple)) or len(labels) != classes:
        raise InvalidInput(
            "The labels in the settings do not fit the model.",
            subject="modelArtifact.settings.labels",
            expected=f"a list of {classes} labels, in the order of the model's classes",
            got=str(labels)[:200],
        )
    return np.array([str(label) for label in labels], dtype=object)


class Classes:
    """Turns scores of classes into the outputs `prediction` and `probabilities`.

    Args:
        labels: the label of each class; None for the class numbers 0, 1, 2, …
        count: how many classes there are.
        score_type: datatype of the framework's own scores.
    """

    def __init__(self, labels: Array | None, count: int, score_type: Datatype) -> None:
        known = np.arange(count, dtype=np.int64) if labels is None else labels
        if known.dtype.kind in "US":
            known = known.astype(object)
        datatype: Datatype = "BYTES" if known.dtype.kind == "O" else "BOOL" if known.dtype.kind == "b" else "INT64"
        if known.dtype.kind == "f":
            datatype = "FP64"
        self._labels = known.astype(np.int64) if datatype == "INT64" else known
        texts = tuple(str(label) for label in known.tolist())
        self.outputs = (
            TensorSpec("prediction", datatype),
            TensorSpec("probabilities", score_type, (-1, count), labels=texts),
        )

    def of_positive(self, positive: Array) -> dict[str, Array]:
        """Return the outputs of a model with two classes from the probability of the second, shape [rows]."""
        if len(positive) == 1:
            one = positive[0]
            place = int(one > 0.5)
            alone = np.array([[1.0 - one, one]], dtype=positive.dtype)
            return {"prediction": self._labels[place : place + 1].copy(), "probabilities": alone}
        both = np.empty((len(positive), 2), dtype=positive.dtype)
        np.subtract(1.0, positive, out=both[:, 0])
        both[:, 1] = positive
        return {"prediction": self._labels.take((positive > 0.5).astype(np.intp)), "probabilities": both}

    def of_each(self, probabilities: Array) -> dict[str, Array]:
        """Return the outputs from one probability per class, shape [rows, classes]."""
        return {"prediction": self._labels.take(np.argmax(probabilities, axis=1)), "probabilities": probabilities}
