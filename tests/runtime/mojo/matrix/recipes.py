"""How a model is made: what the modules of recipes list, and the cluster trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Stands in parameters for the frame that the model is trained on.
FRAME = object()

NUMBERS = ("n1", "n2", "n3", "nna", "zeros", "date")
LEVELS = ("c2", "c3", "c40", "cna", "digits")
MIXED = (*NUMBERS, *LEVELS)
WIDE = (*MIXED, "c300", "odd")
FEW = ("n1", "n2", "nna", "zeros", "c3", "cna", "digits")
#: What can be label-encoded: H2O stumbles over levels that begin like numbers and are none.
INTEGERS = ("n1", "n2", "nna", "zeros", "c3", "c40", "cna", "ints")
ODD = ("a number", "Größe [cm]", "x=y", "back\\slash", 'quote"d', "東京 🌊", "1", "c.d")
#: Without the column that has a level of two lines, which an encoded column's name cannot hold.
ODD_WITHOUT_LEVELS = tuple(name for name in ODD if name != "東京 🌊")


@dataclass(frozen=True)
class Recipe:
    """One model.

    Attributes:
        name: also of its files.
        algorithm: the short name that the reader uses.
        estimator: H2O's class, without "H2O" and "Estimator".
        parameters: of that class, FRAME standing for the training frame.
        base_models: names of recipes that come before, for a stacked ensemble.
        threshold: from which p1 on the label is the second class, where it is set by hand.
        below_the_training: whether the cluster gets its rows below those of the training, so that the same levels are
            frequent: it encodes by those that are in the frame that it is given.
        to_be_refused: why a reader has to refuse the file: genmodel scores it wrongly, or nothing else has its numbers.
    """

    name: str
    algorithm: str
    estimator: str
    inputs: tuple[str, ...]
    response: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    table: str = "plain"
    base_models: tuple[str, ...] = ()
    threshold: float | None = None
    below_the_training: bool = False
    to_be_refused: str = ""
    notes: str = ""
