"""The layers of a neural network, and how a row becomes its input."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import deep_learning_kernel as kernels
from tidegate.runtime.mojo.arrays import fixed
from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.info import Keys
from tidegate.runtime.mojo.one_hot import OneHot, read_one_hot
from tidegate.runtime.mojo.shelf import Kind, shelved

MAX_LAYERS = 10_000
#: What the kernels take between the rows and what is particular to them.
Arguments = tuple[
    NDArray[np.int64],
    int,
    NDArray[np.float64],
    NDArray[np.float32],
    NDArray[np.float64],
    NDArray[np.int64],
    NDArray[np.float64],
]
_DROPOUT = "WithDropout"
_KEPT = Kind("network", {"weights": np.dtype("<f4")})
_ACTIVATIONS = {
    "Rectifier": kernels.RECTIFIER,
    "Tanh": kernels.TANH,
    "ExpRectifier": kernels.EXP_RECTIFIER,
    "Maxout": kernels.MAXOUT,
}


@dataclass(frozen=True)
class Network:
    """A network.

    Attributes:
        scales: of shape (numbers, 2): what is subtracted from a number, and what the rest is multiplied by.
        standardised: whether the file holds such scales.
        weights, biases: of all layers, one after the other; weights input by input.
        layers: of shape (layers, 4): inputs, outputs, channels, activation (of `deep_learning_kernel`).
        keeps: per layer the factor that dropout leaves.
    """

    one_hot: OneHot
    scales: NDArray[np.float64]
    standardised: bool
    weights: NDArray[np.float32]
    biases: NDArray[np.float64]
    layers: NDArray[np.int64]
    keeps: NDArray[np.float64]

    @property
    def outputs(self) -> int:
        return int(self.layers[-1, 1])

    @cached_property
    def arguments(self) -> Arguments:
        return (
            self.one_hot.offsets, self.one_hot.first_level, self.scales,
            self.weights, self.biases, self.layers, self.keeps,
        )  # fmt: skip


def read_network(container: Container, keys: Keys, n_features: int, *, softmax: bool, autoencoder: bool) -> Network:
    """Read the layers. The texts of the weights are forgotten then, which take several times their memory.

    Args:
        softmax: whether the last layer ends in probabilities. That of an autoencoder ends as the others do.

    Raises:
        MojoFormatError: they are damaged.
        MojoUnsupportedError: an activation that is not known.
    """
    one_hot = read_one_hot(keys, n_features)
    sizes = keys.integers("neural_network_sizes")
    if not 2 <= len(sizes) <= MAX_LAYERS or sizes.min() < 1:
        raise MojoFormatError(MODEL_INI, "neural_network_sizes: expected at least two sizes from 1 on")
    if sizes[0] != one_hot.width:
        raise MojoUnsupportedError(
            f"the network has {sizes[0]} inputs and the columns make {one_hot.width}, as with "
            "max_categorical_features: H2O's own scorer fails for such a model"
        )
    if autoencoder and sizes[-1] != sizes[0]:
        raise MojoFormatError(MODEL_INI, "neural_network_sizes: an autoencoder with other outputs than inputs")
    name = keys.text("activation")
    hidden = _ACTIVATIONS.get(name.removesuffix(_DROPOUT))
    if hidden is None:
        raise MojoUnsupportedError(f"the activation {name!r} is not known", expected=", ".join(_ACTIVATIONS))
    last = kernels.SOFTMAX if softmax else hidden if autoencoder else kernels.LINEAR
    layers, biases = [], []
    for layer, (inputs, outputs) in enumerate(zip(sizes[:-1].tolist(), sizes[1:].tolist(), strict=True)):
        activation = last if layer == len(sizes) - 2 else hidden
        bias, channels = _biases(keys, layer, outputs, maxout=activation == kernels.MAXOUT)
        layers.append((inputs, outputs, channels, activation))
        biases.append(bias)

    def weights() -> dict[str, NDArray[np.float32]]:
        parts = [_weights(keys, layer, *shape[:3]) for layer, shape in enumerate(layers)]
        return {"weights": fixed(np.concatenate(parts))}

    found = shelved(_KEPT, container, weights)["weights"]
    keys.forget(map(_weight_key, range(len(layers))))
    scales, standardised = _scales(keys, one_hot.nums)
    return Network(
        one_hot=one_hot,
        scales=fixed(scales),
        standardised=standardised,
        weights=found,
        biases=fixed(np.concatenate(biases)),
        layers=fixed(np.array(layers, dtype=np.int64)),
        keeps=fixed(_keeps(keys, len(layers), dropout=name.endswith(_DROPOUT))),
    )


def _biases(keys: Keys, layer: int, outputs: int, *, maxout: bool) -> tuple[NDArray[np.float64], int]:
    """Return a layer's biases, and how many channels each of its outputs has."""
    name = f"bias_layer{layer}"
    bias = keys.numbers(name)
    channels = len(bias) // outputs if maxout else 1
    if channels < 1 or len(bias) != channels * outputs:
        raise MojoFormatError(MODEL_INI, f"{name}: {len(bias)} values for {outputs} outputs")
    return bias, channels


def _weight_key(layer: int) -> str:
    return f"weight_layer{layer}"


def _weights(keys: Keys, layer: int, inputs: int, outputs: int, channels: int) -> NDArray[np.float32]:
    """Return a layer's weights, input by input, then output by output, then channel by channel."""
    name = _weight_key(layer)
    numbers = keys.numbers(name, inputs * outputs * channels)
    if not np.isfinite(numbers).all():
        raise MojoUnsupportedError(f"{name}: a weight is not finite; the training diverged")
    with np.errstate(over="ignore"):
        weights = numbers.astype(np.float32).reshape(outputs, inputs, channels)
    return weights.transpose(1, 0, 2).reshape(-1)


def _scales(keys: Keys, nums: int) -> tuple[NDArray[np.float64], bool]:
    """Return the scales of the numbers, and whether the file holds any."""
    scales = np.empty((nums, 2))
    scales[:, 0], scales[:, 1] = 0.0, 1.0
    multipliers = keys.find_numbers("norm_mul")
    if multipliers is None or not len(multipliers):
        return scales, False
    scales[:, 0] = keys.numbers("norm_sub", nums)
    scales[:, 1] = keys.numbers("norm_mul", nums)
    return scales, True


def _keeps(keys: Keys, layers: int, *, dropout: bool) -> NDArray[np.float64]:
    """Return per layer what dropout leaves of its outputs."""
    keeps = np.ones(layers)
    ratios = keys.find_numbers("hidden_dropout_ratios") if dropout else None
    if ratios is not None:
        if len(ratios) > layers:
            raise MojoFormatError(MODEL_INI, f"hidden_dropout_ratios: {len(ratios)} ratios for {layers} layers")
        keeps[: len(ratios)] = np.where(ratios > 0.0, 1.0 - ratios, 1.0)
    return keeps
