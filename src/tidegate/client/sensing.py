"""Whether to retrain, by the last readings of drift: what a sensor of a pipeline asks. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from tidegate.contract.errors import InvalidInput

#: From when on a change counts.
Degree = Literal["moderate", "large"]
DEGREES: tuple[Degree, ...] = ("moderate", "large")

#: What may be a reason: columns one by one, and what the log of predictions says.
Reason = Literal["columns", "quality", "performance", "together"]
REASONS: tuple[Reason, ...] = ("columns", "quality", "performance", "together")


@dataclass(frozen=True)
class Sensed:
    """What a sensor says.

    Attributes:
        is_due: whether to retrain.
        why: a sentence.
        columns: by name, the PSI of those that have drifted as far as was asked, the largest first.
        reading: the last one, as `GET /v1/deployments/NAME/drift` has it; None when there is none.
        aspects: the last readings of the log that are a reason, as that has them.
    """

    is_due: bool
    why: str
    columns: Mapping[str, float]
    reading: Mapping[str, Any] | None
    aspects: tuple[Mapping[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        reading = None if self.reading is None else dict(self.reading)
        return {
            "due": self.is_due,
            "why": self.why,
            "columns": dict(self.columns),
            "reading": reading,
            "aspects": [dict(one) for one in self.aspects],
        }


@dataclass(frozen=True)
class Asked:
    """What a reading must be to be a reason.

    Attributes:
        now: aware, as all times here.
        at_least: how far something must have drifted.
        min_requests: that the reading must be of.
        retrained_at: when the caller retrained last; None when never.
        cool_down: after it, before anything is due again. A reading of before its end is none of what came after.
        max_age: of the reading; None for any.
    """

    now: datetime
    at_least: Degree = "moderate"
    min_requests: int = 0
    retrained_at: datetime | None = None
    cool_down: timedelta = timedelta(0)
    max_age: timedelta | None = None

    @property
    def degrees(self) -> tuple[Degree, ...]:
        """What is said of something that has drifted so far."""
        return DEGREES[DEGREES.index(self.at_least) :]

    def against(self, reading: Mapping[str, Any]) -> str | None:
        """Return why a reading is no reason whatever it says; None where nothing speaks against it."""
        at = datetime.fromisoformat(reading["at"])
        if self.max_age is not None and self.now - at > self.max_age:
            return f"is of {at.isoformat(timespec='seconds')}, which is too long ago"
        if self.retrained_at is not None and min(at, self.now) < self.retrained_at + self.cool_down:
            ends = (self.retrained_at + self.cool_down).isoformat(timespec="seconds")
            return f"is of before {ends}, until when nothing is due"
        if reading["requests"] < self.min_requests:
            return f"is of {reading['requests']:,} requests, and {self.min_requests:,} are asked for"
        return None


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
    """Say whether a reading of columns is a reason to retrain.

    Args:
        reading: the last one; None when there is none.
        now, at_least, min_requests, retrained_at, cool_down, max_age: see `Asked`.
        columns: that count; all when empty.

    Raises:
        InvalidInput: `at_least` is no degree, or a column is not in the reading.
    """
    return sense_columns(reading, Asked(now, at_least, min_requests, retrained_at, cool_down, max_age), columns)


def sense_columns(reading: Mapping[str, Any] | None, asked: Asked, columns: Collection[str]) -> Sensed:
    """Say whether a reading of columns is a reason to retrain; see `sense`."""
    if asked.at_least not in DEGREES:
        raise InvalidInput(
            "this is no degree of drift", subject="at_least", expected=" or ".join(DEGREES), got=str(asked.at_least)
        )
    if reading is None:
        return Sensed(False, "there is no reading of what serves yet", {}, None)
    known = {one["column"]: one for one in reading["columns"]}
    for name in columns:
        if name not in known:
            raise InvalidInput(f"the reading has no column {name!r}", subject=name, expected=", ".join(known), got=name)
    chosen = [one for name, one in known.items() if not columns or name in columns]
    found = {one["column"]: one["psi"] for one in chosen if one["state"] in asked.degrees}
    against = asked.against(reading)
    if against is not None:
        return Sensed(False, f"the last reading {against}", found, reading)
    if not found:
        return Sensed(False, f"no column has drifted ({' or '.join(asked.degrees)})", {}, reading)
    return Sensed(
        True, f"drift in {', '.join(f'{name} (PSI {psi:.2f})' for name, psi in found.items())}", found, reading
    )


def sense_aspects(
    readings: Sequence[Mapping[str, Any]], unread: Mapping[str, str], asked: Asked, aspects: Collection[str]
) -> Sensed:
    """Say whether what the log of predictions says is a reason to retrain.

    Args:
        readings: the last of each aspect, as `GET /v1/deployments/NAME/drift` has them.
        unread: by aspect, why there is none now.
        aspects: that count.
    """
    found, said = [], []
    for one in readings:
        if one["aspect"] not in aspects:
            continue
        against = asked.against(one)
        if against is not None:
            said.append(f"the last reading of {one['aspect']} {against}")
        elif one["state"] in ("worse", "dropped", *asked.degrees):
            found.append(one)
        else:
            said.append(f"{one['aspect']} is {one['state']}")
    if found:
        why = "; ".join(f"{one['aspect']} is {one['state']}: {one['said'][0].rstrip('.')}" for one in found)
        return Sensed(True, why, {}, None, tuple(found))
    told = {one["aspect"] for one in readings}
    missing: dict[str, list[str]] = {}
    for aspect, why in unread.items():
        if aspect in aspects and aspect not in told:
            missing.setdefault(why, []).append(aspect)
    said += [f"nothing is known of {' and '.join(names)}: {why}" for why, names in missing.items()]
    return Sensed(False, "; ".join(said), {}, None)


def together(columns: Sensed | None, aspects: Sensed) -> Sensed:
    """Return what both say, one reason being enough; None where columns do not count."""
    if columns is None:
        return aspects if aspects.why else Sensed(False, "nothing of what is logged was read yet", {}, None)
    parts = [one for one in (columns, aspects) if one.is_due] or [columns, aspects]
    why = "; ".join(one.why for one in parts if one.why)
    return Sensed(columns.is_due or aspects.is_due, why, columns.columns, columns.reading, aspects.aspects)


def require_reasons(reasons: Collection[str]) -> Collection[str]:
    """Return what may be a reason; all of them where none is named.

    Raises:
        InvalidInput: one is none.
    """
    for name in reasons:
        if name not in REASONS:
            raise InvalidInput(f"there is no reason {name!r}", subject="by", expected=", ".join(REASONS), got=str(name))
    return reasons or REASONS
