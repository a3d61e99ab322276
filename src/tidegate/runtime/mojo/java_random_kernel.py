"""Java's `java.util.Random`: numbers that look random, the same from the same seed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel

_MULTIPLIER = 0x5DEECE66D
_MASK = (1 << 48) - 1

_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10


@kernel
def seeded(state: NDArray[np.int64], seed: int) -> None:
    """Begin anew from a seed, any 64-bit integer. The state is one integer of 48 bits."""
    state[0] = (seed ^ _MULTIPLIER) & _MASK


@kernel
def next_bits(state: NDArray[np.int64], bits: int) -> int:
    """Return the next number of at most 31 bits."""
    state[0] = (state[0] * _MULTIPLIER + 0xB) & _MASK
    return int(state[0] >> (48 - bits))


@kernel
def next_double(state: NDArray[np.int64]) -> float:
    """Return the next number from 0 to below 1."""
    high = next_bits(state, 26)
    return ((high << 27) + next_bits(state, 27)) * (1.0 / (1 << 53))


@kernel
def fill_gaussian(state: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    """Fill with normal draws, by the polar method; they come in pairs, and what is left of the last is dropped."""
    for i in range(0, len(values), 2):
        square = 0.0
        one = 0.0
        two = 0.0
        while square >= 1.0 or square == 0.0:
            one = 2.0 * next_double(state) - 1.0
            two = 2.0 * next_double(state) - 1.0
            square = one * one + two * two
        scale = math.sqrt(-2.0 * strict_log(square) / square)
        values[i] = one * scale
        if i + 1 < len(values):
            values[i + 1] = two * scale


@kernel
def strict_log(value: float) -> float:
    """Return the logarithm of a positive, finite number by the polynomial of fdlibm, as Java's StrictMath does on all
    machines. The platform's own may differ from it in the last place, and a search that begins there elsewhere."""
    fraction, exponent = math.frexp(value)
    fraction *= 2.0
    exponent -= 1
    high = int((fraction - 1.0) * 1048576.0)
    if (high + 0x95F64) & 0x100000:
        fraction *= 0.5
        exponent += 1
    f = fraction - 1.0
    k = float(exponent)
    if (0xFFFFF & (2 + high)) < 3:
        if f == 0.0:
            return k * _LN2_HIGH + k * _LN2_LOW
        rest = f * f * (0.5 - 0.33333333333333333 * f)
        if exponent == 0:
            return f - rest
        return k * _LN2_HIGH - ((rest - k * _LN2_LOW) - f)
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    odd = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    even = z * (
        6.666666666666735130e-01
        + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01))
    )
    rest = even + odd
    if ((high - 0x6147A) | (0x6B851 - high)) > 0:
        half = 0.5 * f * f
        if exponent == 0:
            return f - (half - s * (half + rest))
        return k * _LN2_HIGH - ((half - (s * (half + rest) + k * _LN2_LOW)) - f)
    if exponent == 0:
        return f - s * (f - rest)
    return k * _LN2_HIGH - ((s * (f - rest) - k * _LN2_LOW) - f)
