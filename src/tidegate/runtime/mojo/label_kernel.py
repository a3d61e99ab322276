"""Which class is predicted, and probabilities put back after training on balanced classes. All as H2O's scorer does it,
draws among equal probabilities included: those are random only to the eye, and follow from the row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel

_NAN = np.int64(0x7FF8000000000000)
_MULTIPLIER = np.int64(0x5DEECE66D)
_INCREMENT = np.int64(0xB)
_MASK = np.int64((1 << 48) - 1)


@kernel
def balance(probabilities: NDArray[np.float64], ratios: NDArray[np.float64]) -> None:
    """Multiply one row's probabilities by a ratio per class, and let them add up to 1 again, in place."""
    total = 0.0
    for index in range(len(ratios)):
        probabilities[index] *= ratios[index]
        total += probabilities[index]
    if total > 0.0:
        for index in range(len(ratios)):
            probabilities[index] /= total


@kernel
def hash_of(row: NDArray[np.float64]) -> int:
    """Return 64 bits that a row of numbers hashes to; each NaN counts as the same one."""
    found = np.int64(0)
    for value in row:
        bits = _NAN if value != value else np.float64(value).view(np.int64)  # noqa: PLR0124 - only NaN differs from itself
        found ^= bits >> np.int64(6)
    return int(found)


@kernel
def first_draw(seed: int) -> float:
    """Return the first `nextDouble` of Java's generator for a seed of 64 bits."""
    state = ((np.int64(seed) ^ _MULTIPLIER) * _MULTIPLIER + _INCREMENT) & _MASK
    high = state >> np.int64(22)
    state = (state * _MULTIPLIER + _INCREMENT) & _MASK
    return float((high << np.int64(27)) + (state >> np.int64(21))) * 2.0**-53


@kernel
def label_of(probabilities: NDArray[np.float64], row: NDArray[np.float64], prior: NDArray[np.float64]) -> int:
    """Return the index of the predicted one of at least three classes.

    Args:
        row: the model's input, which decides among equal probabilities.
        prior: per class; empty where it is not known.
    """
    best = 0
    ties = 0
    for index in range(1, len(probabilities)):
        if probabilities[index] > probabilities[best]:
            best = index
            ties = 0
        elif probabilities[index] == probabilities[best]:
            ties += 1
    return best if ties == 0 else _drawn(probabilities, row, prior, best, ties)


@kernel
def _drawn(
    probabilities: NDArray[np.float64], row: NDArray[np.float64], prior: NDArray[np.float64], best: int, ties: int
) -> int:
    """Return one of the classes that are level. Class 0 and those that were level with a maximum since surpassed may
    be drawn, too, where the prior is known: so it is in H2O."""
    hashed = hash_of(row)
    if len(prior):
        listed = np.zeros(len(probabilities), dtype=np.bool_)
        listed[0] = True
        running = 0
        for index in range(1, len(probabilities)):
            if probabilities[index] > probabilities[running]:
                running = index
            elif probabilities[index] == probabilities[running]:
                listed[index] = True
        total = 0.0
        for index in range(len(prior)):
            if listed[index]:
                total += prior[index]
        drawn = first_draw(hashed)
        share = 0.0
        for index in range(len(prior)):
            if listed[index]:
                share += prior[index] / total
                if share >= drawn:
                    return index
    low = np.int64(np.int32(hashed & np.int64(0xFFFFFFFF)))
    wanted = abs(low) % (ties + 1)
    if low < 0:
        return best
    for index in range(len(probabilities)):
        if probabilities[index] == probabilities[best]:
            if wanted == 0:
                return index
            wanted -= 1
    return best


@kernel
def finish_classes(
    out: NDArray[np.float64],
    rows: NDArray[np.float64],
    ratios: NDArray[np.float64],
    prior: NDArray[np.float64],
    threshold: float,
    classes: int,
) -> None:
    """Balance the probabilities in columns 1 to `classes` of each row, and write the label's index into column 0.

    Args:
        ratios: per class, of `balance`; empty where nothing is to be balanced.
        prior, threshold: for more than two classes, and for two.
    """
    for index in range(len(out)):
        probabilities = out[index, 1 : 1 + classes]
        if len(ratios):
            balance(probabilities, ratios)
        if classes == 2:
            out[index, 0] = 1.0 if probabilities[1] >= threshold else 0.0
        else:
            out[index, 0] = label_of(probabilities, rows[index], prior)
