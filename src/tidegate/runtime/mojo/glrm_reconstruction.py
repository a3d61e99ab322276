"""What the factors of a row stand for: its values as a low rank model has them (format section 12.3).

Names, order and labels are those of `predict` in H2O's cluster, numbers those of genmodel: the cluster searches for
the factors of a row in another way, and those of the training's rows it has kept. The value of a loss, and which of
several equal levels it is, was measured with H2O 3.46.0.11.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.glrm import Glrm
from tidegate.runtime.mojo.glrm_losses_kernel import HINGE, LOGISTIC
from tidegate.runtime.mojo.glrm_reconstruction_kernel import reconstruct
from tidegate.runtime.mojo.scorer import Rows

_OF_TWO = (LOGISTIC, HINGE)


class Reconstruction:
    """The values of a model's columns.

    Attributes:
        names: "reconstr_" and the name of each column, in the order of the training.

    Raises:
        MojoFormatError: columns and levels of the file do not fit each other.
    """

    def __init__(self, model: Glrm) -> None:
        self._model = model
        header = model.header
        if sorted(model.permutation.tolist()) != list(range(header.n_features)):
            raise MojoFormatError(MODEL_INI, f"cols_permutation: expected each of {header.n_features} columns once")
        self.names = tuple(f"reconstr_{name}" for name in header.features)
        self._texts: dict[int, NDArray[np.object_]] = {}
        cats = len(model.levels)
        for place, column in enumerate(model.permutation.tolist()):
            domain = header.feature_domains[column]
            is_level = place < cats
            if domain is None:
                if is_level:
                    raise MojoFormatError(MODEL_INI, f"column {column} has levels in the model, and no domain")
                continue
            if not is_level and model.losses[place] not in _OF_TWO:
                raise MojoFormatError(MODEL_INI, f"column {column} has a domain, and the loss of a number")
            most = int(model.levels[place]) if is_level else 2
            if len(domain) < most or not (is_level or self._is_plain(place - cats)):
                raise MojoFormatError(MODEL_INI, f"column {column}: {len(domain)} levels are not those of the model")
            self._texts[column] = np.array(domain, dtype=object)

    def columns(self, rows: Rows) -> dict[str, NDArray[Any]]:
        """Return arrays of shape (rows,) by name: doubles, and objects that are texts. Rows count from 0."""
        model = self._model
        values = np.empty((len(rows), len(self.names)), np.float64)
        reconstruct(
            model.score(rows),
            model.permutation,
            model.shift,
            model.scale,
            model.reverses,
            model.archetypes,
            model.levels,
            model.losses,
            values,
        )
        return {name: self._column(place, values[:, place]) for place, name in enumerate(self.names)}

    def _column(self, place: int, values: NDArray[np.float64]) -> NDArray[Any]:
        texts = self._texts.get(place)
        return np.ascontiguousarray(values) if texts is None else texts[values.astype(np.intp)]

    def _is_plain(self, number: int) -> bool:
        """Tell whether a number keeps its unit; H2O does not standardise columns of two levels."""
        return bool(self._model.shift[number] == 0.0 and self._model.scale[number] == 1.0)
