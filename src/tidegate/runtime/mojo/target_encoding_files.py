"""The text files of a target encoder (format section 12.9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tidegate.runtime.mojo.container import Container
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.info import text_of
from tidegate.runtime.mojo.text import integer_of, lines_of, number_of, trim

_FOLDER = "feature_engineering/target_encoding"
ENCODINGS = f"{_FOLDER}/encoding_map.ini"
_MISSING = f"{_FOLDER}/te_column_name_to_missing_values_presence.ini"
_INPUTS = f"{_FOLDER}/input_encoding_columns_map.ini"
_OUTPUTS = f"{_FOLDER}/input_output_columns_map.ini"

#: Numerator and denominator by code and class; without classes the class is 1.
Encoding = dict[int, dict[int, tuple[float, float]]]


@dataclass(frozen=True)
class Block:
    """Columns that are encoded together.

    Attributes:
        sources: one column, or several that interact.
        encoded: the name under which the encoding of their codes is found.
        domain: of several columns, the numbers of those combinations that have a code, ascending.
        outputs: names of the results; None where the file does not say.
    """

    sources: tuple[str, ...]
    encoded: str
    domain: tuple[int, ...]
    outputs: tuple[str, ...] | None


def read_encodings(container: Container, *, with_classes: bool) -> dict[str, Encoding]:
    """Return the encodings by column, in the order of the file. Raises MojoFormatError."""
    encodings: dict[str, Encoding] = {}
    current: Encoding | None = None
    for line in _lines(container, ENCODINGS):
        if line.startswith("[") and line.endswith("]"):
            current = encodings.setdefault(line[1:-1], {})
            continue
        if current is None:
            raise MojoFormatError(ENCODINGS, "a line stands before the first column")
        key, _, value = line.partition("=")
        code = integer_of(trim(key))
        parts = value.split()
        numbers = [number_of(part) for part in parts[:2]]
        kind = integer_of(parts[2]) if with_classes and len(parts) == 3 else 1
        if code is None or code < 0 or len(parts) != 2 + with_classes or None in numbers or kind is None:
            raise MojoFormatError(ENCODINGS, f"no encoding can be read from {line[:60]!r}")
        current.setdefault(code, {})[kind] = (float(numbers[0] or 0.0), float(numbers[1] or 0.0))
    return encodings


def read_missing(container: Container) -> dict[str, bool]:
    """Return by column whether it had missing values in training. Raises MojoFormatError."""
    found: dict[str, bool] = {}
    for line in _lines(container, _MISSING):
        name, separator, value = line.rpartition("=")
        if not separator or trim(value) not in ("0", "1"):
            raise MojoFormatError(_MISSING, f"expected a column and 0 or 1, got {line[:60]!r}")
        found[trim(name)] = trim(value) == "1"
    return found


def read_blocks(container: Container, encoded: list[str]) -> list[Block]:
    """Return what is encoded, in the order of the results.

    Args:
        encoded: columns that have an encoding; each is encoded by itself in files that do not say more.

    Raises:
        MojoFormatError: a file is damaged, or the two contradict each other.
    """
    if not container.has(_INPUTS):
        return [Block((name,), name, (), None) for name in encoded]
    names: dict[tuple[str, ...], tuple[str, ...]] = {}
    if container.has(_OUTPUTS):
        for part in _parts(container, _OUTPUTS):
            names[tuple(part["[from]"])] = tuple(part["[to]"])
    blocks = []
    for part in _parts(container, _INPUTS):
        sources, to = tuple(part["[from]"]), part["[to]"]
        if not sources or len(to) != 1:
            raise MojoFormatError(_INPUTS, "expected columns, and the one that they are encoded as")
        domain = [integer_of(text, 64) for text in map(trim, part["[to_domain]"])]
        known = tuple(number for number in domain if number is not None)
        if len(known) != len(domain) or any(a >= b for a, b in pairwise(known)):
            raise MojoFormatError(_INPUTS, f"to_domain of {to[0][:60]!r}: expected whole numbers that rise")
        blocks.append(Block(sources, to[0], known, names.get(sources)))
    return blocks


def _parts(container: Container, name: str) -> Iterator[dict[str, list[str]]]:
    """Yield what is between one `[from]` and the next, by heading."""
    part: dict[str, list[str]] | None = None
    heading = ""
    for line in _lines(container, name):
        if line == "[from]":
            if part is not None:
                yield part
            part = {"[from]": [], "[to]": [], "[to_domain]": []}
        if line in ("[from]", "[to]", "[to_domain]"):
            heading = line
        elif part is not None:
            part[heading].append(line)
        if part is None:
            raise MojoFormatError(name, "does not begin with [from]")
    if part is not None:
        yield part


def _lines(container: Container, name: str) -> Iterator[str]:
    return (line for line in map(trim, lines_of(text_of(container, name))) if line)
