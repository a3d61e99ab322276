"""Target encoder: levels become the mean of the response among their rows (format section 12.9)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.scorer import Rows
from tidegate.runtime.mojo.target_encoder_kernel import encode
from tidegate.runtime.mojo.target_encoding_files import (
    ENCODINGS,
    Block,
    Encoding,
    read_blocks,
    read_encodings,
    read_missing,
)

#: Combinations of levels are numbered by doubles or longs; up to here both are exact.
_MAX_COMBINATIONS = 1 << 53
_INT_MAX = float((1 << 31) - 1)


@dataclass(frozen=True)
class TargetEncoder:
    """Tables of all blocks, one after the other.

    Attributes:
        outputs: names of the values: one per block, or one per block and class but the first.
        keeps_columns: whether H2O keeps the columns that were encoded beside the result.
        starts: shape (blocks + 1, 3): where the sources, the domain and the codes of each block begin.
        sources: columns; sizes: how many levels each has.
        domain: numbers of combinations, ascending within a block.
        codes: ascending within a block.
        values: shape (codes, values per block).
        missing: shape (blocks, values per block), for a missing value.
        has_missing: of each block, whether a missing value has an encoding; else it is an error.
    """

    header: Header
    outputs: tuple[str, ...]
    keeps_columns: bool
    blocks: tuple[Block, ...]
    starts: NDArray[np.int64]
    sources: NDArray[np.int64]
    sizes: NDArray[np.int64]
    domain: NDArray[np.int64]
    codes: NDArray[np.int64]
    values: NDArray[np.float64]
    missing: NDArray[np.float64]
    has_missing: NDArray[np.bool_]

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the encoded values. Raises MojoRowError for a level that has no encoding."""
        scores = np.empty((len(rows), len(self.outputs)), np.float64)
        place = encode(
            rows,
            self.starts,
            self.sources,
            self.sizes,
            self.domain,
            self.codes,
            self.values,
            self.missing,
            self.has_missing,
            scores,
        )
        if place >= 0:
            row, block = divmod(place, len(self.blocks))
            name = ", ".join(self.blocks[block].sources)
            raise MojoRowError(f"row {row}: the value of {name} has no encoding", subject=name)
        return scores


def read(container: Container, header: Header) -> TargetEncoder:
    """Read the encodings.

    Raises:
        MojoFormatError: a file is damaged, or names what is not there.
        MojoUnsupportedError: more combinations of levels than H2O can number exactly.
    """
    keys = header.keys
    classes = header.n_classes
    encodings = read_encodings(container, with_classes=classes > 2)
    had_missing = read_missing(container)
    blocks = read_blocks(container, list(encodings))
    wanted = list(range(1, classes)) if classes > 2 else [1]
    blending = _blending(header)
    places = {name: place for place, name in enumerate(header.features)}
    tables = []
    sources: list[int] = []
    starts = [(0, 0, 0)]
    for block in blocks:
        # Taken out: tables grow with the file, not with how often it names one of its columns.
        encoding = encodings.pop(block.encoded, None)
        if not encoding or any(kind not in entries for entries in encoding.values() for kind in wanted):
            raise MojoFormatError(ENCODINGS, f"{block.encoded[:60]!r} lacks encodings, or is encoded twice")
        tables.append(_Table(encoding, wanted, blending, na=had_missing.get(block.encoded, False)))
        sources.extend(_places(block, places))
        before = starts[-1]
        starts.append(
            (before[0] + len(block.sources), before[1] + len(block.domain), before[2] + len(tables[-1].codes))
        )
    sizes = [len(header.feature_domains[place] or ()) for place in sources]
    for number, block in enumerate(blocks):
        own = sizes[starts[number][0] : starts[number + 1][0]]
        if len(block.sources) > 1 and math.prod(size + 1 for size in own) > _MAX_COMBINATIONS:
            raise MojoUnsupportedError(f"the columns {', '.join(block.sources)} have too many levels together")
    return TargetEncoder(
        header,
        outputs=tuple(name for block in blocks for name in _outputs(block, len(wanted))),
        keeps_columns=keys.flag("keep_original_categorical_columns", default=True),
        blocks=tuple(blocks),
        starts=np.array(starts, np.int64),
        sources=np.array(sources, np.int64),
        sizes=np.array(sizes, np.int64),
        domain=np.array([number for block in blocks for number in block.domain], np.int64),
        codes=np.array([code for table in tables for code in table.codes], np.int64),
        values=np.array([row for table in tables for row in table.values], np.float64).reshape(-1, len(wanted)),
        missing=np.array([table.missing or [math.nan] * len(wanted) for table in tables]).reshape(-1, len(wanted)),
        has_missing=np.array([table.missing is not None for table in tables], np.bool_),
    )


class _Table:
    """The encodings of one block, blended.

    Attributes:
        missing: what a missing value becomes; None where that is an error.
    """

    def __init__(
        self, encoding: Encoding, classes: Sequence[int], blending: tuple[float, float] | None, *, na: bool
    ) -> None:
        self.codes = sorted(encoding)
        priors = {kind: _prior(encoding, kind) for kind in classes}
        self.values = [
            [_value(encoding[code], kind, priors[kind], blending) for kind in classes] for code in self.codes
        ]
        if not na:
            self.missing: list[float] | None = list(priors.values())
        else:
            by_code = dict(zip(self.codes, self.values, strict=True))
            self.missing = by_code.get(len(self.codes) - 1)


def _prior(encoding: Encoding, kind: int) -> float:
    numerator = denominator = 0.0
    for code in sorted(encoding):
        if kind in encoding[code]:
            numerator += encoding[code][kind][0]
            denominator += encoding[code][kind][1]
    return _divided(numerator, denominator)


def _value(
    entries: Mapping[int, tuple[float, float]], kind: int, prior: float, blending: tuple[float, float] | None
) -> float:
    numerator, denominator = entries[kind]
    posterior = _divided(numerator, denominator)
    if blending is None:
        return posterior
    inflection, smoothing = blending
    count = 0 if math.isnan(denominator) else math.trunc(max(-_INT_MAX, min(_INT_MAX, denominator)))
    weight = 1.0 / (1.0 + _exp(_divided(inflection - count, smoothing)))
    return weight * posterior + (1.0 - weight) * prior


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _divided(numerator: float, denominator: float) -> float:
    """Divide as Java does: by 0 is an infinity, or NaN."""
    if denominator == 0.0:
        same = math.copysign(1.0, numerator) == math.copysign(1.0, denominator)
        return math.nan if numerator == 0.0 or math.isnan(numerator) else math.inf if same else -math.inf
    return numerator / denominator


def _blending(header: Header) -> tuple[float, float] | None:
    if not header.keys.flag("with_blending", default=False):
        return None
    return header.keys.number("inflection_point"), header.keys.number("smoothing")


def _places(block: Block, places: Mapping[str, int]) -> list[int]:
    unknown = [name for name in block.sources if name not in places]
    if unknown:
        raise MojoFormatError(MODEL_INI, f"the encoded column {unknown[0][:60]!r} is no feature")
    return [places[name] for name in block.sources]


def _outputs(block: Block, count: int) -> Sequence[str]:
    if block.outputs is None:
        return [f"{block.encoded}_te"] if count == 1 else [f"{block.encoded}_{i + 1}_te" for i in range(count)]
    if len(block.outputs) != count:
        raise MojoFormatError(MODEL_INI, f"{block.encoded[:60]!r} has {len(block.outputs)} results, not {count}")
    return block.outputs
