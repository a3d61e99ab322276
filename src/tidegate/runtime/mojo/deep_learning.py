"""Neural networks (H2O's Deep Learning) and autoencoders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.deep_learning_kernel import run, score_classes, score_values
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.labels import LabelRule, class_outputs, read_label_rule
from tidegate.runtime.mojo.links import Link, gbm_link
from tidegate.runtime.mojo.network import Network, read_network
from tidegate.runtime.mojo.one_hot import OneHot
from tidegate.runtime.mojo.one_hot_kernel import hot_slots
from tidegate.runtime.mojo.scorer import Rows

_NO_OFFSET: NDArray[np.float64] = np.empty(0)


class ClassifierScorer:
    """Label and probabilities. Offsets are ignored."""

    def __init__(self, header: Header, network: Network, rule: LabelRule) -> None:
        self.header = header
        self.outputs = class_outputs(header)
        self._arguments = network.arguments
        self._rule = (rule.ratios, rule.prior, rule.threshold, rule.classes)

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        out = np.empty((len(rows), len(self.outputs)))
        _refuse_nan(score_classes(rows, *self._arguments, *self._rule, out))
        return out


class RegressionScorer:
    """A value.

    An offset is added before the link where it is above 0. That is what the network was trained with, and how H2O's
    cluster scores; genmodel ignores it.

    Args:
        scale: what the response was multiplied by after a subtraction, and what was subtracted; None for neither.
    """

    outputs = ("predict",)

    def __init__(self, header: Header, network: Network, scale: tuple[float, float] | None, link: Link) -> None:
        self.header = header
        self._arguments = network.arguments
        self._response = (scale is not None, *(scale or (1.0, 0.0)), link.code)

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        out = np.empty((len(rows), 1))
        given = _NO_OFFSET if offset is None else offset
        _refuse_nan(score_values(rows, *self._arguments, *self._response, given, out))
        return out


class AutoencoderScorer:
    """The input as the network gives it back: a value per level, and the numbers on their own scale."""

    def __init__(self, header: Header, network: Network) -> None:
        self.header = header
        self.outputs = _reconstructed(header, network.one_hot)
        self._network = network

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        out = np.empty((len(rows), len(self.outputs)))
        run(rows, *self._network.arguments, 0, out)
        if self._network.standardised:
            numbers = out[:, self._network.one_hot.slots :]
            numbers /= self._network.scales[:, 1]
            numbers += self._network.scales[:, 0]
        return out

    def errors(self, rows: Rows) -> NDArray[np.float64]:
        """Return each row's mean squared error of reconstruction, of shape (rows,): how strange it is.

        Numbers are compared on the scale of the network, where a missing one is what the network takes it for.
        """
        network = self._network
        one_hot = network.one_hot
        found = self.score(rows)
        slots, numbers = found[:, : one_hot.slots], found[:, one_hot.slots :]
        given_numbers = rows[:, one_hot.cats : one_hot.cats + one_hot.nums]
        numbers -= np.where(np.isnan(given_numbers), network.scales[:, 0], given_numbers)
        numbers *= network.scales[:, 1]
        for index in range(one_hot.cats):
            hot = hot_slots(rows, index, one_hot.offsets, one_hot.first_level)
            given = np.flatnonzero(hot >= 0)
            slots[given, hot[given]] -= 1.0
        errors: NDArray[np.float64] = np.einsum("ij,ij->i", found, found) / found.shape[1]
        return errors


def read(container: Container, header: Header) -> ClassifierScorer | RegressionScorer | AutoencoderScorer:
    """Read a network.

    Raises:
        MojoFormatError: the file is damaged.
        MojoUnsupportedError: its network is none that H2O's own scorer can score.
    """
    keys = header.keys
    encodes = _is_autoencoder(header)
    network = read_network(container, keys, header.n_features, softmax=header.n_classes > 1, autoencoder=encodes)
    if encodes:
        return AutoencoderScorer(header, network)
    if network.outputs != header.n_classes:
        raise MojoFormatError(MODEL_INI, f"{network.outputs} outputs of the network for {header.n_classes} classes")
    if header.n_classes > 1:
        return ClassifierScorer(header, network, read_label_rule(header))
    scale = None
    multiplier = keys.find_numbers("norm_resp_mul", 1)
    if multiplier is not None:
        scale = (float(multiplier[0]), float(keys.numbers("norm_resp_sub", 1)[0]))
    return RegressionScorer(header, network, scale, gbm_link(None, keys.text("distribution", "gaussian")))


def _is_autoencoder(header: Header) -> bool:
    return header.category == "AutoEncoder"


def _refuse_nan(row: int) -> None:
    """Raise MojoRowError for a row whose score is NaN, as it is for an infinite number; there is none below 0."""
    if row >= 0:
        raise MojoRowError(f"row {row}: the score is not a number; a number in the row may be infinite or too large")


def _reconstructed(header: Header, one_hot: OneHot) -> tuple[str, ...]:
    """Return the names of an autoencoder's outputs. Raises MojoFormatError where levels and places are not as many."""
    names: list[str] = []
    for index in range(one_hot.cats):
        column = header.features[index]
        levels = (header.feature_domains[index] or ())[one_hot.first_level :]
        if len(levels) + 1 != one_hot.offsets[index + 1] - one_hot.offsets[index]:
            raise MojoFormatError(MODEL_INI, f"cat_offsets: the places of {column!r} are not those of its levels")
        names += [f"reconstr_{column}.{level}" for level in levels]
        names.append(f"reconstr_{column}.missing(NA)")
    names += [f"reconstr_{column}" for column in header.features[one_hot.cats : one_hot.cats + one_hot.nums]]
    return tuple(names)
