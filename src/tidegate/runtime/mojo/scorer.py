"""What the reader of an algorithm returns: something that scores numeric rows."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.header import Header

#: Rows of shape (rows, n_features), C-contiguous, NaN where a value is missing, codes of levels as numbers.
Rows = NDArray[np.float64]


class Scorer(Protocol):
    """A model that was read. `score` is called from several threads at once and changes nothing."""

    @property
    def header(self) -> Header: ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Columns of what `score` returns, in the order of H2O's own scorer: for classifiers the label's index
        ("predict") and the probabilities of the classes, for regression the value, for others see the algorithm."""
        ...

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return an array of shape (rows, outputs).

        Args:
            offset: of each row; None for 0. An algorithm that ignores offsets ignores it.

        Raises:
            MojoRowError: a row that H2O's scorer answers with an error, too.
        """
        ...


@runtime_checkable
class TakesMore(Protocol):
    """A scorer that also takes numbers which are no features of its file: the inputs of a GAM's smoothers.

    Its rows have shape (rows, n_features + more inputs): those numbers follow the features, NaN where one is missing.
    """

    @property
    def more_inputs(self) -> tuple[str, ...]:
        """Their names, each once; one that is also a feature is not among them."""
        ...
