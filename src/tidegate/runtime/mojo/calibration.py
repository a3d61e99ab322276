"""Calibrated probabilities of a two-class model. They are outputs of their own: the label and the plain probabilities
stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import link_kernel
from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.isotonic import IsotonicFunction, read_function
from tidegate.runtime.mojo.links import Link


class Calibration(Protocol):
    def calibrated(self, p0: NDArray[np.float64], p1: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated probability of class 1 for each row; that of class 0 is 1 minus it.

        Args:
            p0, p1: of shape (rows,), as the model outputs them.
        """
        ...


@dataclass(frozen=True)
class Platt:
    """A logistic regression on the probability of class **0**."""

    slope: float
    intercept: float

    def calibrated(self, p0: NDArray[np.float64], p1: NDArray[np.float64]) -> NDArray[np.float64]:
        return Link(link_kernel.LOGIT).inverse(self.slope * p0 + self.intercept)


@dataclass(frozen=True)
class Isotonic:
    """A monotone function of the probability of class 1."""

    function: IsotonicFunction

    def calibrated(self, p0: NDArray[np.float64], p1: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.function.at(p1)


def read_calibration(container: Container, header: Header) -> Calibration | None:
    """Read how a model's probabilities are calibrated; None where they are not.

    Raises:
        MojoFormatError: the calibration is damaged.
        MojoUnsupportedError: it is of an unknown kind.
    """
    method = header.keys.find("calib_method")
    if method is None:
        return None
    if header.n_classes != 2:
        raise MojoFormatError(MODEL_INI, f"calib_method with {header.n_classes} classes")
    if method == "platt":
        slope, intercept = header.keys.numbers("calib_glm_beta", 2)
        return Platt(float(slope), float(intercept))
    if method == "isotonic":
        return Isotonic(read_function(container, header))
    raise MojoUnsupportedError(f"probabilities calibrated by {method!r} are not known", expected="platt, isotonic")


def calibrated_outputs(class_outputs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the calibrated probabilities, from those of the plain ones ("predict", "no", "yes")."""
    return tuple(f"cal_{name}" for name in class_outputs[1:])
