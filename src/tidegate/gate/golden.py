"""Are the answers to golden requests those that were expected? Pure.

Text, labels, flags and missing values must be equal; numbers may differ by the larger of an absolute and a relative
tolerance. What `expect` does not say is free: a model may answer more than it did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.contract.golden import GoldenRequest, GoldenRequests, Tolerance
from tidegate.contract.problems import shown
from tidegate.judge.agreement import NOTHING, Allowed, Nothing, differences, is_number
from tidegate.runtime.base import Signature

#: Mismatches that a record keeps, and that a sentence tells of.
MOST_KEPT, MOST_TOLD = 50, 3
_LIST_OF_ANSWER = {"predict": "predictions", "infer": "outputs"}


@dataclass(frozen=True)
class Answer:
    """What a replica answered; `body` is None where it was no JSON, and `text` the beginning of what came instead."""

    status: int
    body: Any = None
    text: str = ""


@dataclass(frozen=True)
class Mismatch:
    """One place in an answer that is not as expected.

    Attributes:
        request: number of the golden request, from 1, and its name.
        place: path in the answer, e.g. "predictions[0].probabilities.late"; empty for the answer itself.
        expected, got: as JSON, cut short.
        tolerance: of a number, in words; None where none applies.
    """

    request: str
    place: str
    expected: str
    got: str
    tolerance: str | None = None

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        within = f" ({self.tolerance})" if self.tolerance else ""
        return f"golden request {self.request}: {where}expected {self.expected}{within}, got {self.got}"


@dataclass(frozen=True)
class Outcome:
    """What came of all golden requests. `mismatches` has the first `MOST_KEPT` of them, `failed` counts requests."""

    requests: int
    failed: int
    mismatches: tuple[Mismatch, ...] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        return self.failed == 0

    @property
    def sentence(self) -> str:
        if self.passed:
            what = "the golden request was" if self.requests == 1 else f"all {self.requests} golden requests were"
            return f"{what} answered as expected"
        first = "; ".join(str(mismatch) for mismatch in self.mismatches[:MOST_TOLD])
        return f"{self.failed} of {self.requests} golden requests were not answered as expected: {first}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "failed": self.failed,
            "mismatches": [
                {name: value for name, value in vars(mismatch).items() if value is not None}
                for mismatch in self.mismatches
            ],
        }


def outcome(golden: GoldenRequests, answers: Sequence[Answer]) -> Outcome:
    """Compare the answers, in the order of the requests, with what was expected."""
    found: list[Mismatch] = []
    failed = 0
    for number, (request, answer) in enumerate(zip(golden.requests, answers, strict=True), start=1):
        label = f"{number} ({request.name})" if request.name else str(number)
        mismatches = list(mismatches_of(golden, request, answer, label))
        failed += bool(mismatches)
        found += mismatches[: MOST_KEPT - len(found)]
    return Outcome(len(golden.requests), failed, tuple(found))


def mismatches_of(golden: GoldenRequests, request: GoldenRequest, answer: Answer, label: str) -> Iterator[Mismatch]:
    """Yield what is wrong with one answer; `label` names the request."""
    if answer.status != 200:
        said = answer.body.get("error") if isinstance(answer.body, dict) else answer.text
        told = f"status {answer.status}" + (f": {shown(said)}" if said else "")
        yield Mismatch(label, "", "status 200", told)
        return
    if answer.body is None:
        yield Mismatch(label, "", "JSON", shown(answer.text))
        return
    if request.expect is None:
        return
    for place, expected, got, output in _pairs(request, answer.body):
        tolerance = _EXACT if output is None else golden.tolerance(request, output)
        yield from _compared(label, place, expected, got, tolerance)


#: Place, expected, got, and the output whose tolerance holds; None where nothing may differ.
_Pair = tuple[str, Any, Any, str | None]
_EXACT = Tolerance()


def _pairs(request: GoldenRequest, body: Any) -> Iterator[_Pair]:
    expect: Any = request.expect
    if request.form == "post":
        if isinstance(expect, dict) and isinstance(body, dict):
            for key, value in expect.items():
                yield key, value, body.get(key, NOTHING), key
        else:
            yield "answer", expect, body, ""
        return
    key = _LIST_OF_ANSWER[request.form]
    given = body.get(key) if isinstance(body, dict) else None
    if not isinstance(given, list):
        yield key, expect, NOTHING if given is None else given, ""
        return
    if request.form == "infer":
        by_name = {item.get("name"): item for item in given if isinstance(item, dict)}
        for tensor in expect:
            yield from _tensor_pairs(tensor, by_name.get(tensor["name"]))
        return
    if len(given) != len(expect):
        yield f"{key} (rows)", len(expect), len(given), None
        return
    for row, (wanted, found) in enumerate(zip(expect, given, strict=True)):
        for name, value in wanted.items():
            got = found.get(name, NOTHING) if isinstance(found, dict) else NOTHING
            yield f"{key}[{row}].{name}", value, got, name


def _tensor_pairs(expected: dict[str, Any], got: dict[str, Any] | None) -> Iterator[_Pair]:
    name = str(expected["name"])
    if got is None:
        yield f"outputs.{name}", "a tensor", NOTHING, name
        return
    for key in ("datatype", "shape"):
        if key in expected:
            yield f"outputs.{name}.{key}", expected[key], got.get(key, NOTHING), None
    if "data" in expected:
        # A list may be nested as the shape says or flat; answers are flat.
        yield f"outputs.{name}.data", _flat(expected["data"]), _flat(got.get("data")), name


def _compared(label: str, place: str, expected: Any, got: Any, tolerance: Tolerance) -> Iterator[Mismatch]:
    for found in differences(expected, got, Allowed(tolerance.absolute, tolerance.relative), place):
        is_near = is_number(found.expected) and is_number(found.got)
        within = _within(tolerance) if is_near else None
        yield Mismatch(label, found.place, _told(found.expected), _told(found.got), within)


def _within(tolerance: Tolerance) -> str | None:
    parts = [
        *([f"± {tolerance.absolute:g}"] if tolerance.absolute else []),
        *([f"± {tolerance.relative * 100:g} % of it"] if tolerance.relative else []),
    ]
    return " or ".join(parts) or None


def _told(value: Any) -> str:
    if isinstance(value, Nothing):
        return "nothing"
    return f"a list of {len(value)}" if isinstance(value, list) else shown(value)


def _flat(data: Any) -> Any:
    if not isinstance(data, list):
        return data
    return [value for item in data for value in (_flat(item) if isinstance(item, list) else [item])]


def refuse_impossible(golden: GoldenRequests, signature: Signature) -> None:
    """Raise InvalidInput where golden requests expect an output that the candidate, by its signature, cannot give."""
    if signature.kind == "opaque":
        return
    outputs = [spec.name for spec in signature.outputs]
    for number, request in enumerate(golden.requests, start=1):
        strange = sorted(request.outputs() - set(outputs)) if request.form != "post" else []
        if strange:
            raise InvalidInput(
                f"golden request {number} expects the output {strange[0]!r}, which the model does not give",
                subject=f"requests[{number - 1}].expect",
                expected=f"one of {', '.join(outputs)}",
                got=strange[0],
            )
