"""Faults that a rehearsal injects into a copy of a model. No request document has them: they are for copies alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tidegate.contract.errors import InvalidInput
from tidegate.contract.problems import shown
from tidegate.contract.quantities import Duration, Memory, Share


class FaultKind(StrEnum):
    """What goes wrong in a replica."""

    ERRORS = "errors"
    LATENCY = "latency"
    CRASH = "crash"
    WRONG_ANSWERS = "wrong-answers"
    MEMORY_LEAK = "memory-leak"


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        amount: errors, wrong-answers: the share of the requests that meet it, above 0 up to 1. latency: seconds that
            each request takes longer. crash: the request, counted from when the replica serves, at which its process
            ends. memory-leak: bytes that each request leaves behind.
        text: as it is written, e.g. "errors=20%"; `parse_fault` reads it.
    """

    kind: FaultKind
    amount: float
    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def is_chance(self) -> bool:
        """Whether a request meets it by chance, so that requests answered together would all meet it or none."""
        return self.kind in (FaultKind.ERRORS, FaultKind.WRONG_ANSWERS)


#: What a leak may hold in a process; there it is ended, as the kernel ends one that takes all memory.
LEAK_LIMIT_BYTES = 256 * 1024**2

#: What is injected where a fault is named without an amount. That of latency depends on the objective.
USUAL_AMOUNTS = {
    FaultKind.ERRORS: "20%",
    FaultKind.CRASH: "20",
    FaultKind.WRONG_ANSWERS: "100%",
    FaultKind.MEMORY_LEAK: "4Mi",
}

_AMOUNTS = {
    FaultKind.ERRORS: "the share of requests that fail, such as errors=20%",
    FaultKind.LATENCY: "the time that each request takes longer, such as latency=+200ms",
    FaultKind.CRASH: "the request at which a replica dies, from 1 to 1000000, such as crash=20",
    FaultKind.WRONG_ANSWERS: "the share of requests that are answered wrongly, such as wrong-answers=100%",
    FaultKind.MEMORY_LEAK: "the memory that each request leaves behind, up to 64Mi, such as memory-leak=4Mi",
}
_MOST_REQUESTS = 1_000_000
_MOST_SECONDS = 600.0
_MOST_BYTES = 64 * 1024**2


def parse_fault(text: str, *, objective: Duration | None = None, field: str = "fault") -> Fault:
    """Read a fault as it is typed: "errors=20%", "latency=+200ms", "crash", "crash=50", "memory-leak=8Mi".

    Args:
        objective: of the latency, for "latency" without an amount: twice that is added.
        field: what the text was given for, named in messages.

    Raises:
        InvalidInput: there is no such fault, or its amount makes no sense.
    """
    name, has_amount, amount = text.strip().partition("=")
    try:
        kind = FaultKind(name)
    except ValueError:
        expected = f"one of {', '.join(FaultKind)}, each with =AMOUNT or without"
        raise InvalidInput(
            f"{field}: expected {expected}, got {shown(text)}", subject=field, expected=expected, got=shown(text)
        ) from None
    if not has_amount:
        if kind is FaultKind.LATENCY:
            if objective is None:
                raise _wrong(kind, text, field)
            amount = f"+{Duration.of_seconds(2 * objective.seconds)}"
        else:
            amount = USUAL_AMOUNTS[kind]
    read = _read(kind, amount)
    if read is None:
        raise _wrong(kind, text, field)
    return Fault(kind, read, f"{kind}={amount}")


def _read(kind: FaultKind, amount: str) -> float | None:
    """Return the amount as a number, or None where it is none of this kind."""
    try:
        match kind:
            case FaultKind.ERRORS | FaultKind.WRONG_ANSWERS:
                share = Share.parse(amount).ratio
                return share if share > 0 else None
            case FaultKind.LATENCY:
                seconds = Duration.parse(amount.removeprefix("+")).seconds
                return seconds if 0 < seconds <= _MOST_SECONDS else None
            case FaultKind.CRASH:
                is_number = amount.isascii() and amount.isdecimal() and len(amount) <= len(str(_MOST_REQUESTS))
                return float(amount) if is_number and 1 <= int(amount) <= _MOST_REQUESTS else None
            case FaultKind.MEMORY_LEAK:
                size = Memory.parse(amount).bytes
                return float(size) if 0 < size <= _MOST_BYTES else None
    except InvalidInput:
        return None


def _wrong(kind: FaultKind, text: str, field: str) -> InvalidInput:
    expected = _AMOUNTS[kind]
    return InvalidInput(
        f"{field}: expected {expected}, got {shown(text)}", subject=field, expected=expected, got=shown(text)
    )
