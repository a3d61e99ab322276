"""Counts of the values of one column, small whatever the values are, and mergeable: by replica, by time, by revision.

Replicas write sketches down, and whoever compares two of them groups both into the same bins later. So nobody has to
know the bins before the first request.

A number is counted under a key that keeps the order of numbers: its bits as a 64-bit float. While there are few
different numbers, each is counted exactly. When there are more than `MOST_NUMBERS`, the lowest bit of every key is
dropped, again and again, so that neighbours are counted together; `level` says how many bits are gone. Two sketches of
different levels are added at the coarser one, without loss beyond it: M. Epicoco, C. Melle, M. Cafaro, M. Pulimeno,
G. Morleo, "UDDSketch: accurate tracking of quantiles in data streams", IEEE Access 8 (2020), with the float's own bits
in place of a logarithm. Texts are counted exactly up to `MOST_TEXTS`, and beyond that by their hash.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import Any
from zlib import crc32

MOST_NUMBERS = 256
MOST_TEXTS = 1_000
#: A text longer than this is no category, and is counted by its hash from the start.
LONGEST_TEXT = 40
#: Numbers nearer to 0 than this count as 0, and those farther away than its inverse as that: what a stranger sends must
#: not make everybody's numbers coarse.
SMALLEST, LARGEST = 1e-12, 1e15
_HASHES = 32
_SIGN, _ALL = 1 << 63, (1 << 64) - 1


@dataclass(frozen=True)
class Sketch:
    """Counts of values.

    Attributes:
        numbers: by key, of numbers; see `key_of`.
        level: bits that the keys have lost, 0 to 63.
        texts: by text, or by `#` and its hash once there were too many.
        is_hashed: whether they are counted by hash.
        missing: how many values were missing.
    """

    numbers: Mapping[int, int] = field(default_factory=dict)
    level: int = 0
    texts: Mapping[str, int] = field(default_factory=dict)
    is_hashed: bool = False
    missing: int = 0

    @classmethod
    def of(cls, numbers: Mapping[int, int], texts: Mapping[str, int], missing: int) -> Sketch:
        """Return the sketch of counts by key at level 0 and by text."""
        long = any(len(text) > LONGEST_TEXT for text in texts)
        return cls(numbers, 0, texts, missing=missing)._bounded(is_hashed=long)

    @property
    def total(self) -> int:
        """Values counted, missing ones among them."""
        return sum(self.numbers.values()) + sum(self.texts.values()) + self.missing

    def __add__(self, other: Sketch) -> Sketch:
        level = max(self.level, other.level)
        numbers = Counter(_coarse(self.numbers, level - self.level))
        numbers.update(_coarse(other.numbers, level - other.level))
        is_hashed = self.is_hashed or other.is_hashed
        mine, others = (self.hashed(), other.hashed()) if is_hashed else (self, other)
        texts = Counter(mine.texts)
        texts.update(others.texts)
        both = Sketch(numbers, level, texts, is_hashed, self.missing + other.missing)
        return both._bounded(is_hashed=is_hashed)

    def hashed(self) -> Sketch:
        """Return the same with texts counted by their hash."""
        if self.is_hashed:
            return self
        texts: Counter[str] = Counter()
        for text, count in self.texts.items():
            texts[hash_of(text)] += count
        return Sketch(self.numbers, self.level, texts, is_hashed=True, missing=self.missing)

    def as_plain(self) -> dict[str, Any]:
        """Return plain JSON values, without what is empty; `from_plain` gives back an equal object."""
        plain = {
            "numbers": [[key, count] for key, count in self.numbers.items()],
            "level": self.level,
            "texts": dict(self.texts),
            "hashed": self.is_hashed,
            "missing": self.missing,
        }
        return {name: value for name, value in plain.items() if value}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Sketch:
        """Read what `as_plain` gave. Raises ValueError, TypeError or AttributeError for anything else."""
        return cls(
            numbers={int(key): int(count) for key, count in plain.get("numbers", ())},
            level=int(plain.get("level", 0)),
            texts={str(text): int(count) for text, count in plain.get("texts", {}).items()},
            is_hashed=bool(plain.get("hashed", False)),
            missing=int(plain.get("missing", 0)),
        )

    def _bounded(self, *, is_hashed: bool) -> Sketch:
        numbers, level = self.numbers, self.level
        while len(numbers) > MOST_NUMBERS:
            numbers, level = _coarse(numbers, 1), level + 1
        bounded = Sketch(numbers, level, self.texts, self.is_hashed, self.missing)
        return bounded.hashed() if is_hashed or len(self.texts) > MOST_TEXTS else bounded


def key_of(number: float) -> int:
    """Return the key of a number at level 0, 0 to 2**64 - 1, in the order of numbers. Raises ValueError for NaN."""
    if isnan(number):
        raise ValueError("NaN is no number: it is missing")
    held = min(max(number, -LARGEST), LARGEST)
    bits = int.from_bytes(struct.pack("<d", 0.0 if abs(held) < SMALLEST else held), "little")
    return (~bits & _ALL) if bits & _SIGN else bits | _SIGN


def number_of(key: int, level: int = 0) -> float:
    """Return the smallest number that has the key at a level."""
    bits = key << level
    (number,) = struct.unpack("<d", struct.pack("<Q", bits & ~_SIGN & _ALL if bits & _SIGN else ~bits & _ALL))
    return float(number)


def hash_of(text: str) -> str:
    return f"#{crc32(text.encode('utf-8', 'surrogatepass')) % _HASHES}"


def _coarse(numbers: Mapping[int, int], bits: int) -> Mapping[int, int]:
    if not bits:
        return numbers
    coarse: Counter[int] = Counter()
    for key, count in numbers.items():
        coarse[key >> bits] += count
    return coarse
