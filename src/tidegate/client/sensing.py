"""Whether to retrain, by the last reading of drift: what a sensor of a pipeline asks. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from tidegate.contract.errors import InvalidInput

#: From when on a change counts.
Degree = Literal["moderate", "large"]
DEGREES: tuple[Degree, ...] = ("moderate", "large")


@dataclass(frozen=True)
class Sensed:
    """What a sensor says.

    Attributes:
        is_due: whether to retrain.
        why: a sentence.
        columns: by name, the PSI of those that have drifted as far as was asked, the largest first.
        reading: the last one, as `GET /v1/deployments/NAME/drift` has it; None when there is none.
    """

    is_due: bool
    why: str
    columns: Mapping[str, float]
    reading: Mapping[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        reading = None if self.reading is None else dict(self.reading)
        return {"due": self.is_due, "why": self.why, "columns": dict(self.columns), "reading": reading}


def sense(
    reading: Mapping[str, Any] | None,
    now: datetime,
    *,
    at_least: Degree = "moderate",
    min_requests: int = 0,
    columns: Collection[str] = (),
    retrained_at: datetime | None = None,
    cool_down: timedelta = timedelta(0),
    max_age: timedelta | None = None,
) -> Sensed:
    """Say whether a reading is a reason to retrain.

    Args:
        reading: the last one; None when there is none.
        now: aware, as all times here.
        at_least: how far a column must have drifted.
        min_requests: that the reading must be of.
        columns: that count; all when empty.
        retrained_at: when the caller retrained last; None when never.
        cool_down: after it, before anything is due again. A reading of before its end is none of what came after.
        max_age: of the reading; None for any.

    Raises:
        InvalidInput: `at_least` is no degree, or a column is not in the reading.
    """
    if at_least not in DEGREES:
        raise InvalidInput(
            "this is no degree of drift", subject="at_least", expected=" or ".join(DEGREES), got=str(at_least)
        )

    def said(why: str, found: Mapping[str, float] | None = None, *, is_due: bool = False) -> Sensed:
        return Sensed(is_due, why, found or {}, reading)

    if reading is None:
        return said("there is no reading of what serves yet")
    known = {one["column"]: one for one in reading["columns"]}
    for name in columns:
        if name not in known:
            raise InvalidInput(f"the reading has no column {name!r}", subject=name, expected=", ".join(known), got=name)
    at = datetime.fromisoformat(reading["at"])
    states = DEGREES[DEGREES.index(at_least) :]
    chosen = [one for name, one in known.items() if not columns or name in columns]
    found = {one["column"]: one["psi"] for one in chosen if one["state"] in states}
    if max_age is not None and now - at > max_age:
        return said(f"the last reading is of {at.isoformat(timespec='seconds')}, which is too long ago", found)
    if retrained_at is not None and (at if at < now else now) < retrained_at + cool_down:
        ends = (retrained_at + cool_down).isoformat(timespec="seconds")
        return said(f"the last reading is of before {ends}, until when nothing is due", found)
    if reading["requests"] < min_requests:
        return said(
            f"the last reading is of {reading['requests']:,} requests, and {min_requests:,} are asked for", found
        )
    if not found:
        return said(f"no column has drifted ({' or '.join(states)})")
    return said(f"drift in {', '.join(f'{name} (PSI {psi:.2f})' for name, psi in found.items())}", found, is_due=True)
