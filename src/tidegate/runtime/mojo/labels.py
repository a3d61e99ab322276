"""Classes of a model: names of the outputs, the rule by which one is predicted, balancing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.label_kernel import finish_classes
from tidegate.runtime.mojo.scorer import Rows
from tidegate.runtime.mojo.text import integer_of


@dataclass(frozen=True)
class LabelRule:
    """What turns probabilities into a label.

    Attributes:
        classes: at least 2.
        ratios: what the probability of each class is multiplied by before all are made to add up to 1; empty without
            balancing.
        prior: of each class, which weighs draws among equal probabilities; empty where it is not known.
        threshold: from which p1 of two classes says 1.
    """

    classes: int
    ratios: NDArray[np.float64]
    prior: NDArray[np.float64]
    threshold: float

    def finish(self, out: NDArray[np.float64], rows: Rows) -> None:
        """Balance columns 1 to `classes` of `out`, and write the label's index into column 0, in place.

        Args:
            out: of shape (rows, at least 1 + classes), C-contiguous.
        """
        finish_classes(out, rows, self.ratios, self.prior, self.threshold, self.classes)


def read_label_rule(header: Header, *, balances: bool = True) -> LabelRule:
    """Read the rule of a classifier.

    Args:
        balances: whether the algorithm heeds `balance_classes`.

    Raises:
        MojoFormatError: it has fewer than two classes, or distributions of another number of classes.
    """
    if header.n_classes < 2:
        raise MojoFormatError(MODEL_INI, f"a classifier with n_classes = {header.n_classes}")
    prior = _distribution(header, "prior_class_distrib", header.prior)
    ratios = np.empty(0)
    if balances and header.balance_classes:
        model = _distribution(header, "model_class_distrib", header.model_distribution)
        if not len(prior) or not len(model):
            raise MojoFormatError(MODEL_INI, "balance_classes without the distributions of the classes")
        both = (prior != 0.0) & (model != 0.0)
        ratios = np.divide(prior, model, out=np.ones_like(prior), where=both)
    return LabelRule(header.n_classes, _fixed(ratios), _fixed(prior), header.threshold)


def no_label_rule(header: Header) -> LabelRule:
    """Return what stands for the rule in a model without classes."""
    return LabelRule(1, _fixed(np.empty(0)), _fixed(np.empty(0)), header.threshold)


def class_outputs(header: Header) -> tuple[str, ...]:
    """Return "predict" and the names of the classes' probabilities; a class that reads as a whole number has a "p"
    before it, so that no output is called "0"."""
    domain = header.response_domain or tuple(map(str, range(header.n_classes)))
    return ("predict", *map(class_name, domain))


def class_name(level: str) -> str:
    return level if integer_of(level) is None else f"p{level}"


def _distribution(header: Header, key: str, values: NDArray[np.float64] | None) -> NDArray[np.float64]:
    if values is None:
        return np.empty(0)
    if len(values) != header.n_classes:
        raise header.keys.error(key, f"{key} has {len(values)} values for {header.n_classes} classes")
    return values


def _fixed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values as an array that cannot be written to: kernels are compiled for such."""
    values = np.array(values)
    values.setflags(write=False)
    return values
