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


@runtime_checkable
class NeedsFewer(Protocol):
    """A scorer to which some features of its file need not be given: it makes them of others, as those of a GAM's
    smoothers and interactions, or does not look at them. A row may hold them all the same, as for H2O's scorer.
    """

    @property
    def not_needed(self) -> frozenset[str]:
        """Their names."""
        ...
