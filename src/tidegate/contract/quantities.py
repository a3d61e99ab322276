"""Quantities as people write them: "50ms", "500rps", "99.9%", "512Mi".

Each is an exact, immutable value: `parse` reads it, `str` prints its one canonical form, and `parse(str(x)) == x`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from tidegate.contract.errors import InvalidInput
from tidegate.contract.problems import problem, shown

_DECIMALS = 6
_NUMBER = rf"[0-9]{{1,18}}(?:\.[0-9]{{1,{_DECIMALS}}})?"


def _decimal(value: Fraction) -> str | None:
    """Return a non-negative fraction as a plain decimal, or None when six decimals cannot hold it."""
    scaled = value * 10**_DECIMALS
    if scaled.denominator != 1:
        return None
    whole, rest = divmod(scaled.numerator, 10**_DECIMALS)
    return f"{whole}.{rest:0{_DECIMALS}d}".rstrip("0").rstrip(".") if rest else str(whole)


def _whole(value: Fraction) -> int:
    if value.denominator != 1:
        raise ValueError(f"{value} is not whole")
    return value.numerator


class Quantity(ABC):
    """What the four quantities share: reading, and their place in pydantic models and JSON Schemas."""

    #: To be read after the word "expected".
    expected: ClassVar[str]
    examples: ClassVar[tuple[str, ...]]
    units: ClassVar[dict[str, Fraction]]
    #: Largest value, in base units; keeps every canonical form within what `parse` reads.
    largest: ClassVar[Fraction]

    @classmethod
    @abstractmethod
    def _from_base(cls, value: Fraction) -> Self:
        """Return the quantity of `value` base units; ValueError when it cannot be held exactly."""

    @abstractmethod
    def _base(self) -> Fraction:
        """Return the quantity in base units; quantities of one kind are ordered by it."""

    @abstractmethod
    def _canonical(self) -> str | None:
        """Return the canonical form; None when no decimal of six places expresses the value."""

    def __post_init__(self) -> None:
        if not 0 <= self._base() <= self.largest or self._canonical() is None:
            raise ValueError(f"{type(self).__name__} cannot hold {self._base()}")

    def __str__(self) -> str:
        return str(self._canonical())

    @classmethod
    def pattern(cls) -> str:
        """Return the regular expression that its text matches whole."""
        return f"^{_NUMBER}(?:{'|'.join(cls.units)})$"

    @classmethod
    def parse(cls, text: str, *, field: str | None = None) -> Self:
        """Read the quantity.

        Args:
            field: what the text was given for, e.g. `latencyP99`; named in the message.

        Raises:
            InvalidInput: the text is not such a quantity.
        """
        quantity = cls._read(text)
        if quantity is not None:
            return quantity
        got = shown(text)
        sentence = f"expected {cls.expected}, got {got}"
        message = sentence if field is None else f"{field}: {sentence}"
        raise InvalidInput(message, subject=field, expected=cls.expected, got=got)

    @classmethod
    def _read(cls, text: Any) -> Self | None:
        if not isinstance(text, str):
            return None
        match = re.fullmatch(rf"({_NUMBER})({'|'.join(cls.units)})", text)
        if match is None:
            return None
        try:
            return cls._from_base(Fraction(match[1]) * cls.units[match[2]])
        except ValueError:
            return None

    @classmethod
    def _validate(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        quantity = cls._read(value)
        if quantity is None:
            raise problem(cls.expected, value)
        return quantity

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "type": "string",
            "title": cls.__name__,
            "pattern": cls.pattern(),
            "examples": list(cls.examples),
        }


@dataclass(frozen=True, order=True)
class Duration(Quantity):
    """A length of time, exact to the microsecond."""

    microseconds: int

    expected = 'a duration such as "50ms" or "0.2s"'
    examples = ("50ms", "1.5s", "2m", "1h")
    units: ClassVar[dict[str, Fraction]] = {
        "ms": Fraction(1_000),
        "s": Fraction(1_000_000),
        "m": Fraction(60_000_000),
        "h": Fraction(3_600_000_000),
    }
    largest = Fraction(10**15)

    @classmethod
    def of_seconds(cls, seconds: float) -> Self:
        """Return the duration rounded to the microsecond."""
        return cls(round(seconds * 1_000_000))

    @property
    def ms(self) -> float:
        return self.microseconds / 1_000

    @property
    def seconds(self) -> float:
        return self.microseconds / 1_000_000

    @classmethod
    def _from_base(cls, value: Fraction) -> Self:
        return cls(_whole(value))

    def _base(self) -> Fraction:
        return Fraction(self.microseconds)

    def _canonical(self) -> str | None:
        if self.microseconds:
            for unit in ("h", "m"):
                amount = self._base() / self.units[unit]
                if amount.denominator == 1:
                    return f"{amount}{unit}"
        unit = "ms" if 0 < self.microseconds < 1_000_000 else "s"
        return f"{_decimal(self._base() / self.units[unit])}{unit}"


@dataclass(frozen=True, order=True)
class Throughput(Quantity):
    """A rate of requests, exact."""

    per_second: Fraction

    expected = 'a rate of requests such as "500rps" or "30rpm"'
    examples = ("500rps", "30rpm")
    units: ClassVar[dict[str, Fraction]] = {"rps": Fraction(1), "rpm": Fraction(1, 60)}
    largest = Fraction(10**9)

    @property
    def rps(self) -> float:
        return float(self.per_second)

    @classmethod
    def _from_base(cls, value: Fraction) -> Self:
        return cls(value)

    def _base(self) -> Fraction:
        return self.per_second

    def _canonical(self) -> str | None:
        per_second, per_minute = _decimal(self.per_second), _decimal(self.per_second * 60)
        if per_second is not None:
            return f"{per_second}rps"
        return None if per_minute is None else f"{per_minute}rpm"


@dataclass(frozen=True, order=True)
class Share(Quantity):
    """A part of a whole, from 0 % to 100 %, exact."""

    fraction: Fraction

    expected = 'a share such as "99.9%"'
    examples = ("99.9%", "2%")
    units: ClassVar[dict[str, Fraction]] = {"%": Fraction(1, 100)}
    largest = Fraction(1)

    @property
    def ratio(self) -> float:
        """The share as a number from 0 to 1."""
        return float(self.fraction)

    @property
    def percent(self) -> float:
        return float(self.fraction * 100)

    @classmethod
    def _from_base(cls, value: Fraction) -> Self:
        return cls(value)

    def _base(self) -> Fraction:
        return self.fraction

    def _canonical(self) -> str | None:
        percent = _decimal(self.fraction * 100)
        return None if percent is None else f"{percent}%"


@dataclass(frozen=True, order=True)
class Memory(Quantity):
    """An amount of memory in whole bytes; "Mi" counts in 1024s, "MB" in 1000s."""

    bytes: int

    expected = 'an amount of memory such as "512Mi" or "2GB"'
    examples = ("512Mi", "2GB", "1.5Gi")
    units: ClassVar[dict[str, Fraction]] = {
        "Ti": Fraction(1024**4),
        "Gi": Fraction(1024**3),
        "Mi": Fraction(1024**2),
        "Ki": Fraction(1024),
        "TB": Fraction(1000**4),
        "GB": Fraction(1000**3),
        "MB": Fraction(1000**2),
        "KB": Fraction(1000),
        "B": Fraction(1),
    }
    largest = Fraction(10**17)

    @classmethod
    def _from_base(cls, value: Fraction) -> Self:
        return cls(_whole(value))

    def _base(self) -> Fraction:
        return Fraction(self.bytes)

    def _canonical(self) -> str | None:
        for unit, size in self.units.items():
            amount = self._base() / size
            if self.bytes and amount.denominator == 1:
                return f"{amount}{unit}"
        return f"{self.bytes}B"


QuantityT = TypeVar("QuantityT", bound=Quantity)


@dataclass(frozen=True)
class Between(Generic[QuantityT]):
    """Bounds of a quantity in a model: `Annotated[Duration, Between(low, high)]`, both ends allowed."""

    low: QuantityT
    high: QuantityT

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(core), "x-from": str(self.low), "x-to": str(self.high)}

    def _check(self, value: QuantityT) -> QuantityT:
        if self.low._base() <= value._base() <= self.high._base():
            return value
        raise self._refusal(value)

    def _refusal(self, value: QuantityT) -> PydanticCustomError:
        return problem(f"a value from {self.low} to {self.high}", str(value))


def between(low: QuantityT | str, high: QuantityT | str, kind: type[QuantityT]) -> Between[QuantityT]:
    """Return bounds written as text: `between("1ms", "10m", Duration)`."""
    first = kind.parse(low) if isinstance(low, str) else low
    last = kind.parse(high) if isinstance(high, str) else high
    return Between(first, last)
