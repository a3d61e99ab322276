"""The form in which a rollout's looks are kept, exact enough to judge them again: JSON lines. Pure.

A line is one object with `kind` and, but for the first, `at`, seconds since the rollout began:

- `rollout`, the first: `format`, `rollout`, `deployment`, `from_revision`, `to_revision`, `started_at`, `request` (the
  candidate's document, every default filled in), `bounds`.
- `step`: the evidence of a step begins: `step` (from 0), `weight`, `mirror`, counts of `candidate` and `stable` so far,
  and `baseline`, stable's counts from before the first step.
- `look`: counts of `candidate` and `stable` so far, and `verdict`, what was said of them then.
- `phase`: the rollout went on to `phase`, because of `reason`.
- `full`: the file has reached its bound; nothing follows.

Counts are an object with `requests`, `errors`, `rejections` and `slow`, and `further` where other sources than the
gateway count: by signal, `requests` (events of its kind) and `bad`. They are since the rollout began, not growth: a
line that was lost with a killed controller makes two looks one, and one that was written twice adds nothing. In format
1, which is still read, counts were `[requests, errors, rejections, slow]`.

What is slow is counted by the objective of the time, and by `bounds`, durations in milliseconds around it. Counts have
`slower`, one number for each of them, zeros at the end left out. A look without it has that of the line before. Where
the first line has no `bounds`, nothing was counted by any.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.trial.counting import Totals

FORMAT = 2
_READ = (1, FORMAT)
#: Whose counts a line has, by its kind.
_SIDES = {"step": ("candidate", "stable", "baseline"), "look": ("candidate", "stable")}


@dataclass(frozen=True)
class Recording:
    """What was recorded of a rollout.

    Attributes:
        entries: the lines behind the first, in order.
        bounds: in milliseconds, ascending; all counts in `entries` have `slower` at each of them. Empty in recordings
            of earlier versions.
    """

    rollout: str
    deployment: str
    from_revision: int
    to_revision: int
    started_at: str
    request: Mapping[str, Any]
    entries: tuple[Mapping[str, Any], ...]
    bounds: tuple[int, ...] = ()

    @property
    def is_complete(self) -> bool:
        """False when the file reached its bound before the rollout ended."""
        return not any(entry["kind"] == "full" for entry in self.entries)


def line(kind: str, at: float, **fields: Any) -> str:
    return json.dumps({"kind": kind, "at": round(at, 3), **fields}, separators=(",", ":"), ensure_ascii=False) + "\n"


def first_line(**fields: Any) -> str:
    """Return the line that a recording begins with; its fields are those of `Recording`."""
    return json.dumps({"kind": "rollout", "format": FORMAT, **fields}, separators=(",", ":"), ensure_ascii=False) + "\n"


def counts_line(totals: Totals, before: Totals | None = None) -> dict[str, Any]:
    """Return counts as a line has them.

    Args:
        before: those of the line before, for a look; None writes `slower` whatever it was.
    """
    counts = totals.for_storage()
    counts.pop("failed_as", None)  # no rule asks how a request failed
    slower = counts.pop("slower", [])
    if not totals.slower or (before is not None and before.slower == totals.slower):
        return counts
    while slower and not slower[-1]:
        slower.pop()
    return {**counts, "slower": slower}


def read(lines: Iterable[str], source: str) -> Recording:
    """Read a recording.

    Args:
        source: what the lines came from, for messages.

    Raises:
        InvalidInput: it is none, or of a form that this version does not know. A line that was cut short, as a killed
            controller leaves it, is passed over.
    """
    documents = _to_full(_documents([text for text in lines if text.strip()], source))
    if not documents or documents[0].get("kind") != "rollout":
        raise _not_a_recording(source, "a first line of the kind rollout", "none")
    first, entries = documents[0], documents[1:]
    if first.get("format") not in _READ:
        raise InvalidInput(
            f"{source} is a recording of a form that this version does not know",
            subject=source,
            expected=f"format {' or '.join(map(str, _READ))}",
            got=f"format {first.get('format')}",
        )
    try:
        bounds = tuple(int(bound) for bound in first.get("bounds", ()))
        return Recording(
            rollout=first["rollout"],
            deployment=first["deployment"],
            from_revision=first["from_revision"],
            to_revision=first["to_revision"],
            started_at=first["started_at"],
            request=first["request"],
            entries=tuple(_with_slower(entries, len(bounds))),
            bounds=bounds,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _not_a_recording(source, "lines as the controller writes them", repr(error)) from error


def _documents(lines: Sequence[str], source: str) -> list[dict[str, Any]]:
    """Return the lines that are objects; the first has to be one."""
    documents = []
    for text in lines:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict):
            documents.append(document)
        elif not documents:
            raise _not_a_recording(source, "a JSON object on each line", text.strip()[:60])
    return documents


def _to_full(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what a controller that was started again may have written behind the bound."""
    ends = [number for number, document in enumerate(documents, 1) if document.get("kind") == "full"]
    return documents[: ends[0]] if ends else documents


def _with_slower(entries: Iterable[Mapping[str, Any]], size: int) -> Iterator[Mapping[str, Any]]:
    """Yield the entries, checked, each of their counts with `size` numbers in `slower`; ValueError for more."""
    known: dict[str, tuple[int, ...]] = {}
    for entry in entries:
        full = dict(_checked(entry))
        for side in _SIDES.get(entry["kind"], ()):
            if "slower" in entry[side] and size:
                known[side] = _padded(full[side].slower, size)
            full[side] = replace(full[side], slower=known.get(side, (0,) * size))
        yield full


def _padded(slower: tuple[int, ...], size: int) -> tuple[int, ...]:
    if len(slower) > size:
        raise ValueError(f"{len(slower)} numbers for {size} bounds")
    return slower + (0,) * (size - len(slower))


def _checked(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an entry whose numbers are numbers; KeyError, TypeError or ValueError for what is missing or none."""
    checked: dict[str, Any] = {**entry, "at": float(entry["at"])}
    for name in _SIDES.get(entry["kind"], ()):
        checked[name] = _totals(entry[name])
    if entry["kind"] == "step":
        checked |= {name: float(entry.get(name, 0)) for name in ("weight", "mirror")}
        checked["step"] = int(entry["step"])
    if entry["kind"] == "phase":
        checked |= {"phase": str(entry["phase"]), "reason": str(entry["reason"])}
    return checked


def _totals(counts: Any) -> Totals:
    if isinstance(counts, Mapping):
        return Totals.from_dict(counts)
    requests, errors, rejections, slow = counts
    return Totals(int(requests), int(errors), int(rejections), int(slow))


def _not_a_recording(source: str, expected: str, got: str) -> InvalidInput:
    return InvalidInput(
        f"{source} is not the recording of a rollout",
        subject=source,
        expected=expected,
        got=got,
        hint="a recording is reports/NAME/ROLLOUT.looks.jsonl in the home folder; or name the deployment or rollout",
    )
