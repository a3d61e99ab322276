"""`model.ini`: keys with untyped values, the columns, and the domains of categorical ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.text import integer_of, lines_of, number_of, trim, unescaped

#: Beyond these a file is no model: H2O itself stops far below.
MAX_COLUMNS = 2_000_000
MAX_LEVELS = 20_000_000
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
        value = self.find(key)
        if value is None:
            return None
        numbers = [number_of(part) for part in self._parts(key, value)]
        if None in numbers:
            raise self.error(key, f"{key}: expected a list of numbers, got {_shown(value)}")
        found = np.array(numbers, dtype=np.float64)
        self._check_size(key, len(found), size)
        return found

    def integers(self, key: str, size: int | None = None) -> NDArray[np.int64]:
        """Return a list of whole numbers. Raises MojoFormatError without the key, or for any other value."""
        found = self.find_integers(key, size)
        if found is None:
            raise self.error(key, f"the key {key!r} is missing")
        return found

    def find_integers(self, key: str, size: int | None = None) -> NDArray[np.int64] | None:
        """Return a list of whole numbers; None without the key."""
        value = self.find(key)
        if value is None:
            return None
        numbers = [integer_of(part, 64) for part in self._parts(key, value)]
        if None in numbers:
            raise self.error(key, f"{key}: expected a list of whole numbers, got {_shown(value)}")
        found = np.array(numbers, dtype=np.int64)
        self._check_size(key, len(found), size)
        return found

    def forget(self, keys: Iterable[str]) -> None:
        """Let go of texts that were read and are long."""
        for key in keys:
            self._values.pop(key, None)

    def error(self, key: str, problem: str) -> MojoFormatError:
        """Return what to raise for a key's value, with its line."""
        return MojoFormatError(MODEL_INI, problem, line=self._lines.get(key))

    def items(self) -> Sequence[tuple[str, str]]:
        return list(self._values.items())

    def _parts(self, key: str, value: str) -> list[str]:
        if not (value.startswith("[") and value.endswith("]")):
            raise self.error(key, f"{key}: expected a list, got {_shown(value)}")
        inner = value[1:-1]
        return [trim(part) for part in inner.split(",")] if trim(inner) else []

    def _check_size(self, key: str, got: int, expected: int | None) -> None:
        if expected is not None and got != expected:
            raise self.error(key, f"{key}: expected {expected} values, got {got}")


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
    places: list[_Domain] = []
    section = None
    for number, raw in enumerate(lines_of(text_of(container, MODEL_INI)), 1):
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
            places.append(_domain_of(line, number))
    keys = Keys(values, lines)
    expected = keys.integer("n_columns", most=MAX_COLUMNS)
    if len(columns) != expected:
        raise keys.error("n_columns", f"n_columns is {expected}, and there are {len(columns)} columns")
    domains: list[tuple[str, ...] | None] = [None] * len(columns)
    escaped = keys.flag("escape_domain_values", default=False)
    for place in places:
        if 0 <= place.column < len(columns):
            domains[place.column] = _levels(container, place, escaped=escaped)
    return Info(keys, tuple(columns), tuple(domains))


def text_of(container: Container, name: str) -> str:
    """Return an entry as text. Raises MojoFormatError where it is no UTF-8."""
    try:
        return container.read(name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise MojoFormatError(name, "is no UTF-8", offset=error.start) from None


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


def _levels(container: Container, domain: _Domain, *, escaped: bool) -> tuple[str, ...]:
    if domain.levels > MAX_LEVELS:
        raise MojoFormatError(MODEL_INI, f"{domain.file}: more than {MAX_LEVELS:,} levels", line=domain.line)
    levels = lines_of(text_of(container, domain.file))
    if len(levels) != domain.levels:
        problem = f"has {len(levels)} levels, and line {domain.line} of model.ini says {domain.levels}"
        raise MojoFormatError(domain.file, problem, line=min(len(levels), domain.levels) + 1)
    return tuple(map(unescaped, levels) if escaped else levels)


def _shown(value: str) -> str:
    return repr(value if len(value) <= 60 else f"{value[:57]}…")
