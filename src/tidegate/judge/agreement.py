"""Do two answers to one request agree? Answers are plain JSON values; numbers may differ by a tolerance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any


@dataclass(frozen=True)
class Allowed:
    """How far a number may lie from the one that it is compared with: by the larger of both.

    Attributes:
        absolute: at least 0, in the number's own unit.
        relative: share of the number that is compared with, at least 0.
    """

    absolute: float = 0.0
    relative: float = 0.0


EXACTLY = Allowed()


class Nothing:
    """Stands for what an answer does not hold; null is a value of JSON."""


NOTHING = Nothing()


@dataclass(frozen=True)
class Difference:
    """One place where an answer is not what it is compared with; `place` is its path, empty for the whole."""

    place: str
    expected: Any
    got: Any


def differences(expected: Any, got: Any, allowed: Allowed, place: str = "") -> Iterator[Difference]:
    """Yield every place in `expected` where `got` holds something else; what is in `got` alone is free.

    Text, flags and missing values must be equal. Two numbers that are no numbers (NaN) agree.
    """
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key, value in expected.items():
            yield from differences(value, got.get(key, NOTHING), allowed, f"{place}.{key}" if place else str(key))
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for index, (one, other) in enumerate(zip(expected, got, strict=True)):
            yield from differences(one, other, allowed, f"{place}[{index}]")
    elif is_number(expected) and is_number(got):
        if not _is_near(expected, got, allowed):
            yield Difference(place, expected, got)
    elif type(expected) is not type(got) or expected != got:
        yield Difference(place, expected, got)


def disagreement(
    stable: Mapping[str, Any], candidate: Mapping[str, Any], allowed: Callable[[str], Allowed]
) -> Difference | None:
    """Return the first place where the candidate's outputs differ from stable's; None where they agree.

    Args:
        stable, candidate: values of each output, by name.
        allowed: the tolerance of an output.
    """
    for name, value in stable.items():
        found = next(differences(value, candidate.get(name, NOTHING), allowed(name), name), None)
        if found is not None:
            return found
    return None


def is_number(value: Any) -> bool:
    """Say whether a value is a number of JSON; flags are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_near(expected: float, got: float, allowed: Allowed) -> bool:
    if not (isfinite(expected) and isfinite(got)):
        return expected == got or (expected != expected and got != got)  # noqa: PLR0124 (NaN)
    return abs(got - expected) <= max(allowed.absolute, allowed.relative * abs(expected))
