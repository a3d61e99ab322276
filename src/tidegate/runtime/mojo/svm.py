"""Linear support vector machines that Sparkling Water trained with Spark (format section 12.7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.labels import class_outputs
from tidegate.runtime.mojo.scorer import Rows
from tidegate.runtime.mojo.svm_kernel import classify, margins


@dataclass(frozen=True)
class Svm:
    """A hyperplane.

    Attributes:
        fill: per column the value for NaN; NaN where none is filled in.
        floor: the distance from a margin that is clearly of a class (`defaultThreshold`).
        threshold: above it, a margin is of class 1.
    """

    header: Header
    fill: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercept: float
    floor: float
    threshold: float

    @property
    def outputs(self) -> tuple[str, ...]:
        return class_outputs(self.header) if self.header.n_classes == 2 else ("predict",)

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the margin; or the label and what H2O calls probabilities, which are margins: any number."""
        scores = np.empty((len(rows), 3 if self.header.n_classes == 2 else 1), np.float64)
        if self.header.n_classes == 2:
            classify(rows, self.fill, self.weights, self.intercept, self.floor, self.threshold, scores)
        else:
            margins(rows, self.fill, self.weights, self.intercept, scores)
        return scores


def read(container: Container, header: Header) -> Svm:
    """Read the hyperplane. Raises MojoFormatError."""
    keys = header.keys
    size = header.n_features
    if header.n_classes > 2:
        raise MojoFormatError(MODEL_INI, f"n_classes is {header.n_classes}, and a hyperplane parts two")
    imputes = keys.flag("meanImputation", default=False)
    return Svm(
        header,
        fill=keys.numbers("means", size) if imputes else np.full(size, np.nan),
        weights=keys.numbers("weights", size),
        intercept=keys.number("interceptor"),
        floor=keys.number("defaultThreshold"),
        threshold=keys.number("threshold"),
    )
