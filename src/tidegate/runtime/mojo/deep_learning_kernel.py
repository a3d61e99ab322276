"""Kernel of neural networks. Only what is not zero is multiplied: of the places of a categorical that is one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.label_kernel import finish_classes
from tidegate.runtime.mojo.link_kernel import inverse
from tidegate.runtime.mojo.one_hot_kernel import slot_of

RECTIFIER, TANH, EXP_RECTIFIER, MAXOUT, SOFTMAX, LINEAR = range(6)
#: Sums are made of so many parts, as H2O's scorer has them: input i adds to part i % 8.
PARTS = 8


@kernel
def fill_input(
    rows: NDArray[np.float64],
    r: int,
    offsets: NDArray[np.int64],
    first_level: int,
    scales: NDArray[np.float64],
    place: NDArray[np.int64],
    value: NDArray[np.float64],
) -> int:
    """Write the places of a row's input that are not zero, ascending, and their values; return how many they are.

    Args:
        scales: of shape (numbers, 2): what is subtracted from a number, and what the rest is multiplied by.
    """
    cats = offsets.shape[0] - 1
    count = 0
    for i in range(cats):
        slot = slot_of(rows[r, i], offsets[i], offsets[i + 1], first_level)
        if slot >= 0:
            place[count] = slot
            value[count] = 1.0
            count += 1
    for i in range(scales.shape[0]):
        number = (rows[r, cats + i] - scales[i, 0]) * scales[i, 1]
        # A missing number is the mean of the training where numbers are standardised, else 0.
        if not (math.isnan(number) and math.isnan(rows[r, cats + i])) and number != 0.0:
            place[count] = offsets[cats] + i
            value[count] = number
            count += 1
    return count


@kernel
def multiply(
    weights: NDArray[np.float32],
    bias: NDArray[np.float64],
    inputs: int,
    place: NDArray[np.int64],
    value: NDArray[np.float64],
    count: int,
    parted: bool,
    parts: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write weights x input + bias.

    Args:
        weights: input by input.
        place, value, count: what of the input is not zero.
        parted: whether the sums are made of `PARTS` parts.
        parts: room for `PARTS` times the outputs.
    """
    outputs = out.shape[0]
    # Sums with channels are made in one piece.
    whole = inputs - inputs % PARTS if parted else 0
    for i in range(PARTS * outputs):
        parts[i] = 0.0
    n = 0
    while n < count and place[n] < whole:
        begin = place[n] * outputs
        column = weights[begin : begin + outputs]
        lane = (place[n] % PARTS) * outputs
        part = parts[lane : lane + outputs]
        factor = value[n]
        for o in range(outputs):
            part[o] += np.float64(column[o]) * factor
        n += 1
    for o in range(outputs):
        total = parts[o] + parts[outputs + o] + parts[2 * outputs + o] + parts[3 * outputs + o]
        total += parts[4 * outputs + o] + parts[5 * outputs + o] + parts[6 * outputs + o] + parts[7 * outputs + o]
        out[o] = total
    while n < count:
        begin = place[n] * outputs
        column = weights[begin : begin + outputs]
        factor = value[n]
        for o in range(outputs):
            out[o] += np.float64(column[o]) * factor
        n += 1
    for o in range(outputs):
        out[o] += bias[o]


@kernel
def softmax(values: NDArray[np.float64]) -> None:
    """Make probabilities of values, in place."""
    largest = values[0]
    for o in range(1, values.shape[0]):
        largest = max(largest, values[o])
    total = 0.0
    for o in range(values.shape[0]):
        values[o] = math.exp(values[o] - largest)
        total += values[o]
    for o in range(values.shape[0]):
        values[o] /= total


@kernel
def join_channels(values: NDArray[np.float64], channels: int, size: int) -> None:
    """Write the largest of each output's channels into the first places; NaN where one of them is."""
    for o in range(size):
        best = values[o * channels]
        for channel in range(1, channels):
            other = values[o * channels + channel]
            if other > best or math.isnan(other):
                best = other
        values[o] = best


@kernel
def activate(kind: int, keep: float, values: NDArray[np.float64]) -> None:
    """Apply what a layer ends in and what dropout leaves of it, in place; `MAXOUT` and `LINEAR` change nothing."""
    if kind == SOFTMAX:
        softmax(values)
    elif kind == RECTIFIER:
        for o in range(values.shape[0]):
            values[o] = 0.5 * (values[o] + abs(values[o]))
    elif kind == TANH:
        for o in range(values.shape[0]):
            values[o] = 1.0 - 2.0 / (1.0 + math.exp(2.0 * values[o]))
    elif kind == EXP_RECTIFIER:
        for o in range(values.shape[0]):
            if not values[o] >= 0.0:
                values[o] = math.exp(values[o]) - 1.0
    if keep != 1.0:
        for o in range(values.shape[0]):
            values[o] *= keep


@kernel
def run(
    rows: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first_level: int,
    scales: NDArray[np.float64],
    weights: NDArray[np.float32],
    biases: NDArray[np.float64],
    layers: NDArray[np.int64],
    keeps: NDArray[np.float64],
    first_column: int,
    out: NDArray[np.float64],
) -> None:
    """Write what the last layer gives for each row, from a column of `out` on.

    Args:
        weights, biases: of all layers, one after the other.
        layers: of shape (layers, 4): inputs, outputs, channels, activation.
        keeps: per layer the factor that dropout leaves.
    """
    widest_in = offsets.shape[0] - 1 + scales.shape[0]
    widest_out = 0
    for layer in range(layers.shape[0]):
        widest_in = max(widest_in, layers[layer, 1])
        widest_out = max(widest_out, layers[layer, 1] * layers[layer, 2])
    place = np.empty(widest_in, dtype=np.int64)
    value = np.empty(widest_in)
    parts = np.empty(PARTS * widest_out)
    sums = np.empty(widest_out)
    for r in range(rows.shape[0]):
        count = fill_input(rows, r, offsets, first_level, scales, place, value)
        weight_at = 0
        bias_at = 0
        size = 0
        for layer in range(layers.shape[0]):
            inputs = layers[layer, 0]
            rows_of_weights = layers[layer, 1] * layers[layer, 2]
            z = sums[:rows_of_weights]
            multiply(
                weights[weight_at : weight_at + inputs * rows_of_weights],
                biases[bias_at : bias_at + rows_of_weights],
                inputs,
                place,
                value,
                count,
                layers[layer, 3] != MAXOUT,
                parts,
                z,
            )
            weight_at += inputs * rows_of_weights
            bias_at += rows_of_weights
            size = layers[layer, 1]
            if layers[layer, 2] > 1:
                join_channels(z, layers[layer, 2], size)
            activate(layers[layer, 3], keeps[layer], z[:size])
            count = 0
            for o in range(size):
                if z[o] != 0.0:
                    place[count] = o
                    value[count] = z[o]
                    count += 1
        for o in range(size):
            out[r, first_column + o] = sums[o]


@kernel
def first_nan(out: NDArray[np.float64], first_column: int) -> int:
    """Return the first row in which a value from a column on is NaN; -1 where there is none."""
    for r in range(out.shape[0]):
        for c in range(first_column, out.shape[1]):
            if math.isnan(out[r, c]):
                return r
    return -1


@kernel
def score_values(
    rows: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first_level: int,
    scales: NDArray[np.float64],
    weights: NDArray[np.float32],
    biases: NDArray[np.float64],
    layers: NDArray[np.int64],
    keeps: NDArray[np.float64],
    scaled: bool,
    multiplier: float,
    shift: float,
    link: int,
    offset: NDArray[np.float64],
    out: NDArray[np.float64],
) -> int:
    """Score rows of a regression; return the first row whose score is NaN, or -1.

    Args:
        scaled: whether the response was standardised, with a multiplier after a subtraction.
        link: of `link_kernel.inverse`.
        offset: of each row, or empty. One that is not above 0 is not heeded, as it was not in the training.
        out: shape (rows, 1).
    """
    run(rows, offsets, first_level, scales, weights, biases, layers, keeps, 0, out)
    for r in range(out.shape[0]):
        value = out[r, 0]
        if offset.shape[0] > 0 and offset[r] > 0.0:
            value += (offset[r] - shift) * multiplier if scaled else offset[r]
        if scaled:
            value = value / multiplier + shift
        out[r, 0] = inverse(link, value, 0.0)
    return first_nan(out, 0)


@kernel
def score_classes(
    rows: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first_level: int,
    scales: NDArray[np.float64],
    weights: NDArray[np.float32],
    biases: NDArray[np.float64],
    layers: NDArray[np.int64],
    keeps: NDArray[np.float64],
    ratios: NDArray[np.float64],
    prior: NDArray[np.float64],
    threshold: float,
    classes: int,
    out: NDArray[np.float64],
) -> int:
    """Score rows of a classifier, `out` of shape (rows, 1 + classes); return the first row with a NaN, or -1."""
    run(rows, offsets, first_level, scales, weights, biases, layers, keeps, 1, out)
    found = first_nan(out, 1)
    if found < 0:
        finish_classes(out, rows, ratios, prior, threshold, classes)
    return found
