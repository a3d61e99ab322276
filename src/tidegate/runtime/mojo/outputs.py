"""What a model's scores are called, and what they become: H2O's names, the predicted class as its text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.base import TensorSpec
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.text import integer_of

#: The first output of some is a whole number: the nearest centre, and an isolation forest's flag before its score.
_WHOLE = (("kmeans", "cluster", ()), ("isolation_forest", "predict", ("score",)))


class Outputs:
    """The outputs of one model.

    Args:
        names: of the columns that its scorer returns; for a classifier the index of the label, the probability of each
            class, and where there is a calibration those after it.

    Raises:
        MojoFormatError: a classifier returns fewer columns than it has classes.
    """

    def __init__(self, header: Header, names: Sequence[str]) -> None:
        #: Texts of the classes in the order of their probabilities; None where there are none.
        self.labels: tuple[str, ...] | None = None
        self._whole: frozenset[int] = frozenset()
        if header.is_classifier and len(names) > 1:
            self.labels = header.response_domain or tuple(map(str, range(header.n_classes)))
            names = _class_names(header, self.labels, len(names))
            # No class, which an ordinal model can say of a row without numbers, is the None after the last one.
            self._text_of = (*self.labels, None)
            self._texts: NDArray[np.object_] = np.array(self._text_of, dtype=object)
        else:
            self._whole = frozenset(_whole(header.algorithm, names))
        self.names = _distinct(names)

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        specs = []
        for place, name in enumerate(self.names):
            if place == 0 and self.labels is not None:
                specs.append(TensorSpec(name, "BYTES", categories=self.labels))
            else:
                specs.append(TensorSpec(name, "INT64" if place in self._whole else "FP64"))
        return tuple(specs)

    def columns(self, scores: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        """Return arrays of shape (rows,) by name: labels as texts in an object array, floats, whole numbers."""
        columns: dict[str, NDArray[Any]] = {}
        for place, name in enumerate(self.names):
            column = scores[:, place]
            if place == 0 and self.labels is not None:
                columns[name] = self._texts[column.astype(np.intp)]
            else:
                columns[name] = column.astype(np.int64) if place in self._whole else np.ascontiguousarray(column)
        return columns

    def one(self, scores: NDArray[np.float64]) -> dict[str, Any]:
        """Return the outputs of a single row as Python values."""
        values: list[Any] = scores[0].tolist()
        if self.labels is not None:
            values[0] = self._text_of[int(values[0])]
        for place in self._whole:
            values[place] = int(values[place])
        return dict(zip(self.names, values, strict=True))


def _whole(algorithm: str, names: Sequence[str]) -> Iterator[int]:
    for whose, first, second in _WHOLE:
        if algorithm == whose and tuple(names[:1]) == (first,) and tuple(names[1:2]) in {(), second}:
            yield 0


def _class_names(header: Header, labels: Sequence[str], columns: int) -> list[str]:
    count = header.n_classes
    if columns not in (1 + count, 1 + 2 * count):
        raise MojoFormatError("model.ini", f"{count} classes have {columns} outputs")
    # A class that is a whole number would be no good name of a column.
    classes = [f"p{label}" if integer_of(label, 32) is not None else label for label in labels]
    calibrated = [f"cal_{name}" for name in classes] if columns > 1 + count else []
    return ["predict", *classes, *calibrated]


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, with "_" after one that was there before: a class may be called like a column."""
    taken: dict[str, None] = {}
    for name in names:
        free = name
        while free in taken:
            free += "_"
        taken[free] = None
    return tuple(taken)
