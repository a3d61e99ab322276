"""Models within a model: where they lie, and how a row of the outer one becomes one of theirs (format section 13)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.encodings import Field, fields_of
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.registry import read_model
from tidegate.runtime.mojo.scorer import Rows, Scorer, TakesMore
from tidegate.runtime.mojo.submodels import folders_of


class Submodels:
    """The models of a file by their keys; each is read when it is first asked for.

    Args:
        depth: of the outer model, 0 for a file.

    Raises:
        MojoFormatError: a folder leads elsewhere than below the model, or two models share one.
    """

    def __init__(self, container: Container, header: Header, depth: int) -> None:
        self._container = container
        self._depth = depth
        self._folders = folders_of(header.keys)
        self._read: dict[str, Scorer] = {}

    def __getitem__(self, key: str) -> Scorer:
        """Return a model. Raises MojoFormatError where there is none, and whatever reading it raises."""
        if key not in self._read:
            folder = self._folders.get(key)
            if folder is None:
                raise MojoFormatError(MODEL_INI, f"the model {key[:80]!r} is not in the file")
            scorer = read_model(self._container.below(folder), self._depth + 1)
            if isinstance(scorer, TakesMore) and scorer.more_inputs:
                raise MojoUnsupportedError(
                    f"the model {key[:80]!r} takes columns that are no features of its file, which no outer model has"
                )
            self._read[key] = scorer
        return self._read[key]

    def fields(self, key: str) -> tuple[Field, ...]:
        """Return the inputs of a model as its user knows them; otherwise as `[]`."""
        header = self[key].header
        return fields_of(self._container.below(self._folders[key]), header)


class Picker:
    """Takes columns out of rows, by name.

    Args:
        outer: columns of the rows; of a name that repeats, the last counts.
        inner: columns that are wanted.

    Raises:
        MojoFormatError: a wanted one is not there.
    """

    def __init__(self, outer: Sequence[str], inner: Iterable[str]) -> None:
        known = places_of(outer)
        wanted = list(inner)
        missing = [name for name in wanted if name not in known]
        if missing:
            raise MojoFormatError(MODEL_INI, f"a model within needs the column {missing[0][:80]!r}, which is not there")
        places = [known[name] for name in wanted]
        #: Of the wanted columns; None where all are wanted in their order.
        self.places: NDArray[np.intp] | None = np.array(places, np.intp)
        if places == list(range(len(outer))):
            self.places = None

    def __call__(self, rows: Rows) -> Rows:
        """Return the wanted columns, C-contiguous; the rows themselves where all are wanted in their order."""
        return rows if self.places is None else rows.take(self.places, axis=1)


def places_of(names: Iterable[str]) -> dict[str, int]:
    """Return where each name stands last."""
    return {name: place for place, name in enumerate(names)}


def prediction_columns(scorer: Scorer, classes: int) -> slice:
    """Return where a model's prediction lies for another model that goes on with it: the value, the probability of the
    second of two classes, or those of all classes.

    Raises:
        MojoFormatError: the model has no such outputs.
    """
    if classes <= 1:
        return slice(0, 1)
    if scorer.header.n_classes != classes or len(scorer.outputs) < 1 + classes:
        raise MojoFormatError(MODEL_INI, f"a model within has no probabilities of {classes} classes")
    return slice(2, 3) if classes == 2 else slice(1, 1 + classes)
