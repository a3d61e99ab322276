"""Bins in which the values of two revisions are counted alike, laid out once by what stable was seen to have. Pure.

Numbers: cuts at quantiles of stable, close together at the ends, so that a tail has bins of its own; or one bin
per value where there are few. Texts: one bin per frequent one, and one for all others, in which new ones are; by hash
where there is no frequent one. Each column has a bin for what is missing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from tidegate.contract.sketch import Sketch, hash_of, number_of

#: Shares of stable's numbers at which a cut is made.
QUANTILES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
#: So many different values have a bin each.
MOST_VALUES = 12
#: Texts that cover less than this share of stable are no categories.
_COVERED = 0.5
_HASH_BINS = 8
MISSING, OTHER = "missing", "another value"

Kind = Literal["cuts", "numbers", "texts", "hashes"]


@dataclass(frozen=True)
class Bins:
    """The bins of one column.

    Attributes:
        names: as people read them, the last but one or last for what has no bin of its own, the last for missing.
        kind: what `edges` are: "cuts" the keys at `level` of the last numbers of each bin but the uppermost, "numbers"
            the keys at level 0 of single numbers, "texts" the texts; nothing for "hashes".
    """

    kind: Kind
    names: tuple[str, ...]
    edges: tuple[Any, ...] = ()
    level: int = 0

    def for_storage(self) -> list[Any]:
        """Return plain JSON values."""
        return [self.kind, list(self.names), list(self.edges), self.level]

    @classmethod
    def from_storage(cls, stored: Sequence[Any]) -> Bins:
        kind, names, edges, level = stored
        return cls(kind, tuple(names), tuple(edges), level)


def lay_out(stable: Sketch) -> Bins:
    """Return the bins for a column by what stable was seen to have of it."""
    if sum(stable.texts.values()) > sum(stable.numbers.values()):
        return _of_texts(stable)
    if stable.level == 0 and len(stable.numbers) <= MOST_VALUES:
        keys = tuple(sorted(stable.numbers))
        return Bins("numbers", (*(f"{number_of(key):.6g}" for key in keys), OTHER, MISSING), keys)
    return _of_numbers(stable)


def group(bins: Bins, sketch: Sketch) -> tuple[int, ...]:
    """Return how many of the values are in which bin."""
    counts = [0] * len(bins.names)
    counts[-1] = sketch.missing
    other = len(counts) - 2
    for place, count in _placed(bins, sketch):
        counts[other if place is None else place] += count
    return tuple(counts)


def _placed(bins: Bins, sketch: Sketch) -> list[tuple[int | None, int]]:
    """Return (bin, count) pairs; None for what has no bin of its own."""
    if bins.kind == "cuts":
        numbers = [
            (bisect_left(bins.edges, _at_level(key, sketch.level, bins.level)), count)
            for key, count in sketch.numbers.items()
        ]
        return [*numbers, *((None, count) for count in sketch.texts.values())]
    if bins.kind == "numbers":
        places = {key >> sketch.level: place for place, key in enumerate(bins.edges)}
        found = [(places.get(key), count) for key, count in sketch.numbers.items()]
        return [*found, *((None, count) for count in sketch.texts.values())]
    texts = [*sketch.texts.items(), *((f"{number_of(key, sketch.level):.6g}", n) for key, n in sketch.numbers.items())]
    if bins.kind == "hashes":
        hashes = [(text if sketch.is_hashed else hash_of(text), count) for text, count in texts]
        return [(int(text.removeprefix("#")) % _HASH_BINS, count) for text, count in hashes]
    known = {text: place for place, text in enumerate(bins.edges)}
    return [(known.get(text), count) for text, count in texts]


def _at_level(key: int, level: int, wanted: int) -> int:
    return key >> (wanted - level) if wanted >= level else key << (level - wanted)


def _of_texts(stable: Sketch) -> Bins:
    frequent = sorted(stable.texts, key=lambda text: (-stable.texts[text], text))[:MOST_VALUES]
    total = sum(stable.texts.values())
    if stable.is_hashed or sum(stable.texts[text] for text in frequent) < _COVERED * total:
        names = tuple(f"a value of hash {number}" for number in range(_HASH_BINS))
        return Bins("hashes", (*names, OTHER, MISSING))
    texts = tuple(sorted(frequent))
    return Bins("texts", (*(f"{text!r}" for text in texts), OTHER, MISSING), texts)


def _of_numbers(stable: Sketch) -> Bins:
    keys = sorted(stable.numbers)
    total, seen, cuts = sum(stable.numbers.values()), 0, list[int]()
    wanted = list(QUANTILES)
    for key in keys[:-1]:
        seen += stable.numbers[key]
        if wanted and seen >= wanted[0] * total:
            cuts.append(key)
            wanted = [share for share in wanted if share * total > seen]
    # A bin ends where the numbers of the next key begin.
    texts = _told_apart([number_of(key + 1 if stable.level else key, stable.level) for key in cuts])
    inner = [f"in ({low}, {high}]" for low, high in pairwise(texts)]
    names = (f"at most {texts[0]}", *inner, f"above {texts[-1]}", OTHER, MISSING)
    return Bins("cuts", names, tuple(cuts), stable.level)


def _told_apart(numbers: Sequence[float]) -> list[str]:
    """Return numbers with as few digits as tell them apart."""
    for digits in range(3, 17):
        texts = [f"{number:.{digits}g}" for number in numbers]
        if len(set(texts)) == len(texts):
            return texts
    return texts
