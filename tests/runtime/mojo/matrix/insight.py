"""What genmodel tells of single trees: the leaf of each row, probabilities after each tree, contributions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.runtime.mojo.matrix.genmodel import _row_data

#: Enough to see each way through small trees.
ROWS = 45
Arrays = dict[str, Any]


def insights(mojo: Path, rows: Sequence[Mapping[str, str]]) -> Arrays:
    """Return `leaf_paths` and `leaf_ids` (rows, trees), `stages` (rows, trees), `contributions` (rows, names with the
    bias last) of the first ROWS rows; without those that genmodel does not give for this model."""
    found: Arrays = {}
    first = [_row_data(row) for row in rows[:ROWS]]
    _leaves(found, mojo, first)
    _contributions(found, mojo, first)
    _stages(found, mojo, first)
    return found


def _leaves(found: Arrays, mojo: Path, rows: Sequence[Any]) -> None:
    def leaves(wrapper: Any) -> None:
        given = [wrapper.leafNodeAssignmentExtended(row) for row in rows]
        found["leaf_paths"] = np.array([["" if path is None else str(path) for path in one._paths] for one in given])
        found["leaf_ids"] = np.array([[int(number) for number in one._nodeIds] for one in given], dtype=np.int32)

    _asked(mojo, "setEnableLeafAssignment", leaves)


def _contributions(found: Arrays, mojo: Path, rows: Sequence[Any]) -> None:
    def contributions(wrapper: Any) -> None:
        given = [[float(value) for value in wrapper.predictContributions(row)] for row in rows]
        found["contributions"] = np.array(given, dtype=np.float32)
        found["contribution_names"] = np.array([str(name) for name in wrapper.getContributionNames()])

    _asked(mojo, "setEnableContributions", contributions)


def _stages(found: Arrays, mojo: Path, rows: Sequence[Any]) -> None:
    def stages(wrapper: Any) -> None:
        given = [getattr(wrapper.predict(row), "stageProbabilities", None) for row in rows]
        if all(one is not None for one in given):
            found["stages"] = np.array([[float(value) for value in one or ()] for one in given])

    _asked(mojo, "setEnableStagedProbabilities", stages)


def _asked(mojo: Path, option: str, question: Callable[[Any], None]) -> None:
    """Ask a scorer with an option on; what it cannot do for a model it says with an exception."""
    import jpype

    try:
        # With what H2O noted of the training: the contributions of a random forest take its importances.
        model = jpype.JClass("hex.genmodel.MojoModel").load(str(mojo), True)
        config = jpype.JClass("hex.genmodel.easy.EasyPredictModelWrapper$Config")()
        config.setModel(model).setConvertUnknownCategoricalLevelsToNa(True).setConvertInvalidNumbersToNa(True)
        getattr(config, option)(True)
        question(jpype.JClass("hex.genmodel.easy.EasyPredictModelWrapper")(config))
    except jpype.JException:
        return
