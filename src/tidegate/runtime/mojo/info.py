"""`model.ini`: keys with untyped values, the columns, and the domains of categorical ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.text import count_lines, integer_of, lines_of, listed, number_of, trim, unescaped

#: Beyond these a file is no model: H2O itself stops far below.
MAX_COLUMNS = 2_000_000
MAX_LEVELS = 20_000_000  # of all columns
MAX_LINES = 5_000_000  # of model.ini
#: A text is read whole. Weights of networks and coefficients are numbers of some fifteen letters each.
MAX_TEXT_BYTES = 512 << 20
_DOMAIN = re.compile(r"(-?[0-9]+): *([0-9]+) +(.+)", re.ASCII)


class Keys:
    """The keys of `[info]`. A literal `null` is the same as no key, for texts too.

    Args:
        lines: where each stands, from 1.
    """

    def __init__(self, values: Mapping[str, str], lines: Mapping[str, int] | None = None) -> None:
        self._values = dict(values)
        self._lines = dict(lines or {})

    def __contains__(self, key: str) -> bool:
        return self.find(key) is not None

    def find(self, key: str) -> str | None:
        """Return the text of a key; None without one."""
        value = self._values.get(key)
        return None if value is None or value == "null" else value

    def text(self, key: str, default: str | None = None) -> str:
        value = self.find(key)
        if value is not None:
            return value
        if default is None:
            raise self.error(key, f"the key {key!r} is missing")
        return default

    def flag(self, key: str, default: bool | None = None) -> bool:
        value = self.find(key)
        if value is None:
            if default is None:
                raise self.error(key, f"the key {key!r} is missing")
            return default
        if value not in ("true", "false"):
            raise self.error(key, f"{key}: expected true or false, got {_shown(value)}")
        return value == "true"

    def integer(self, key: str, default: int | None = None, *, least: int = 0, most: int = 2**31 - 1) -> int:
        """Return a whole number within bounds. Raises MojoFormatError for any other value."""
        value = self.find(key)
        if value is None:
            if default is None:
                raise self.error(key, f"the key {key!r} is missing")
            return default
        number = integer_of(value, 64)
        if number is None or not least <= number <= most:
            expected = f"a whole number from {least} to {most}"
            raise self.error(key, f"{key}: expected {expected}, got {_shown(value)}")
        return number

    def number(self, key: str, default: float | None = None) -> float:
        value = self.find(key)
        if value is None:
            if default is None:
                raise self.error(key, f"the key {key!r} is missing")
            return default
        number = number_of(value)
        if number is None:
            raise self.error(key, f"{key}: expected a number, got {_shown(value)}")
        return number

    def numbers(self, key: str, size: int | None = None) -> NDArray[np.float64]:
        """Return a list of numbers, of a size where one is given. Raises MojoFormatError without the key."""
        found = self.find_numbers(key, size)
        if found is None:
            raise self.error(key, f"the key {key!r} is missing")
        return found

    def find_numbers(self, key: str, size: int | None = None) -> NDArray[np.float64] | None:
        """Return a list of numbers, integers among them; None without the key."""
        return self._list(key, size, number_of, np.float64, "numbers")

    def integers(self, key: str, size: int | None = None) -> NDArray[np.int64]:
        """Return a list of whole numbers. Raises MojoFormatError without the key, or for any other value."""
        found = self.find_integers(key, size)
        if found is None:
            raise self.error(key, f"the key {key!r} is missing")
        return found

    def find_integers(self, key: str, size: int | None = None) -> NDArray[np.int64] | None:
        """Return a list of whole numbers; None without the key."""
        return self._list(key, size, partial(integer_of, bits=64), np.int64, "whole numbers")

    def forget(self, keys: Iterable[str]) -> None:
        """Let go of texts that were read and are long."""
        for key in keys:
            self._values.pop(key, None)

    def error(self, key: str, problem: str) -> MojoFormatError:
        """Return what to raise for a key's value, with its line."""
        return MojoFormatError(MODEL_INI, problem, line=self._lines.get(key))

    def items(self) -> Sequence[tuple[str, str]]:
        return list(self._values.items())

    def _list(
        self, key: str, size: int | None, read: Callable[[str], float | None], dtype: DTypeLike, kind: str
    ) -> NDArray[Any] | None:
        """Return the list that a key has; None without the key."""
        value = self.find(key)
        if value is None:
            return None
        if not (value.startswith("[") and value.endswith("]")):
            raise self.error(key, f"{key}: expected a list, got {_shown(value)}")
        inner = value[1:-1]
        got = inner.count(",") + 1 if trim(inner) else 0
        found = np.empty(got, dtype)
        start = 0
        for parts in listed(inner) if got else ():
            # One that repeats is read once: of a million coefficients nearly all may be 0.
            numbers = {part: read(trim(part)) for part in set(parts)}
            if None in numbers.values():
                raise self.error(key, f"{key}: expected a list of {kind}, got {_shown(value)}")
            found[start : start + len(parts)] = [numbers[part] for part in parts]
            start += len(parts)
        if size is not None and got != size:
            raise self.error(key, f"{key}: expected {size} values, got {got}")
        return found


@dataclass(frozen=True)
class Info:
    """What `model.ini` says.

    Attributes:
        columns: names in the order of the model; one may occur twice.
        domains: per column its levels in the order of their codes; None for a numeric column.
    """

    keys: Keys
    columns: tuple[str, ...]
    domains: tuple[tuple[str, ...] | None, ...]


def read_info(container: Container) -> Info:
    """Read `model.ini` and the domain files. Raises MojoFormatError."""
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    columns: list[str] = []
    places: dict[int, _Domain] = {}
    section = None
    for number, raw in enumerate(lines_of(_text(container, MODEL_INI, _refuse_many_lines)), 1):
        line = trim(raw)
        if not line or line.startswith("#"):
            continue
        if line in ("[info]", "[columns]", "[domains]"):
            section = line
        elif section == "[info]":
            key, _, value = line.partition("=")
            values[trim(key)] = trim(value)
            lines[trim(key)] = number
        elif section == "[columns]":
            columns.append(line)
            if len(columns) > MAX_COLUMNS:
                raise MojoFormatError(MODEL_INI, f"more than {MAX_COLUMNS:,} columns", line=number)
        elif section == "[domains]":
            place = _domain_of(line, number)
            places[place.column] = place
    keys = Keys(values, lines)
    expected = keys.integer("n_columns", most=MAX_COLUMNS)
    if len(columns) != expected:
        raise keys.error("n_columns", f"n_columns is {expected}, and there are {len(columns)} columns")
    escaped = keys.flag("escape_domain_values", default=False)
    used = [place for place in places.values() if 0 <= place.column < len(columns)]
    return Info(keys, tuple(columns), _domains_of(container, used, len(columns), escaped=escaped))


def text_of(container: Container, name: str) -> str:
    """Return an entry as text. Raises MojoFormatError where it is too long, or no UTF-8."""
    return _text(container, name, lambda count: None)


def lines_of_entry(container: Container, name: str, expected: int, what: str) -> Iterator[str]:
    """Return the lines of an entry, which are counted before they are made.

    Args:
        what: the lines are, such as "words".

    Raises:
        MojoFormatError: they are not as many as `model.ini` says, or no text.
    """

    def refuse_others(count: int) -> None:
        if count != expected:
            raise MojoFormatError(name, f"has {count} {what}, and model.ini says {expected}")

    return lines_of(_text(container, name, refuse_others))


def _text(container: Container, name: str, refuse: Callable[[int], None]) -> str:
    """Return an entry as text. `refuse` is called with the count of its lines before."""
    if container.size(name) > MAX_TEXT_BYTES:
        raise MojoFormatError(name, f"has more than {MAX_TEXT_BYTES >> 20} MiB, which no text of a model has")
    data = container.read(name)
    refuse(count_lines(data))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MojoFormatError(name, "is no UTF-8", offset=error.start) from None


def _refuse_many_lines(count: int) -> None:
    if count > MAX_LINES:
        raise MojoFormatError(MODEL_INI, f"has more than {MAX_LINES:,} lines")


@dataclass(frozen=True)
class _Domain:
    """A line of `[domains]`: the column, how many levels it has, their file, and the number of the line."""

    column: int
    levels: int
    file: str
    line: int


def _domain_of(line: str, number: int) -> _Domain:
    found = _DOMAIN.fullmatch(line)
    if found is None or len(found[1]) > 12 or len(found[2]) > 12:
        raise MojoFormatError(MODEL_INI, f"no domain can be read from {_shown(line)}", line=number)
    return _Domain(int(found[1]), int(found[2]), f"domains/{found[3]}", number)


def _domains_of(
    container: Container, places: Sequence[_Domain], columns: int, *, escaped: bool
) -> tuple[tuple[str, ...] | None, ...]:
    """Return the levels by column. A file that several columns name is read once, and a level that repeats is there
    once: memory goes by what the archive holds."""
    domains: list[tuple[str, ...] | None] = [None] * columns
    files: dict[tuple[str, int], tuple[str, ...]] = {}
    known: dict[str, str] = {}
    for place, total in zip(places, accumulate(place.levels for place in places), strict=True):
        if total > MAX_LEVELS:
            raise MojoFormatError(MODEL_INI, f"{place.file}: more than {MAX_LEVELS:,} levels", line=place.line)
    for place in places:
        file = (place.file, place.levels)
        if file not in files:
            levels = _levels(container, place)
            files[file] = tuple(known.setdefault(one, one) for one in (map(unescaped, levels) if escaped else levels))
        domains[place.column] = files[file]
    return tuple(domains)


def _levels(container: Container, domain: _Domain) -> Iterator[str]:
    def refuse_others(count: int) -> None:
        if count != domain.levels:
            problem = f"has {count} levels, and line {domain.line} of model.ini says {domain.levels}"
            raise MojoFormatError(domain.file, problem, line=min(count, domain.levels) + 1)

    return lines_of(_text(container, domain.file, refuse_others))


def _shown(value: str) -> str:
    return repr(value if len(value) <= 60 else f"{value[:57]}…")
