"""Which trainings a run is made of, which of them was best, and what is told of it. Pure.

A training is one configuration for one segment of the data, or for all of it. Trainings are ranked within their
segment, since a metric of one segment says nothing of another.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from tidegate.contract.errors import Conflict, InvalidInput
from tidegate_pipeline.training_setup import LARGER_IS_BETTER, TrainingSetup

TRAINED, FAILED = "trained", "failed"


@dataclass(frozen=True)
class Planned:
    """One training: its name within the run, the segment (None: all data), and its configuration's name."""

    name: str
    segment: str | None
    configuration: str

    def as_document(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Plan:
    """The trainings of a run, and the segments that are too small for one, with their rows."""

    trainings: tuple[Planned, ...]
    too_small: Mapping[str, int]


def planned(setup: TrainingSetup, rows: Mapping[str, int]) -> Plan:
    """Return the trainings that a setup asks for.

    Args:
        rows: of each segment of the data; empty where the setup has no segments.

    Raises:
        InvalidInput: a segment that is asked for is not in the data, no segment is large enough, or two trainings
            would have one name.
    """
    segments: Sequence[str | None] = [None]
    too_small: dict[str, int] = {}
    if setup.segment_by is not None:
        for name in setup.segments:
            if name not in rows:
                raise InvalidInput(
                    f"the data has no rows of the segment {name!r}",
                    subject="segments",
                    expected=f"values of {setup.segment_by}: {', '.join(sorted(rows)[:20])}",
                    got=name,
                )
        # The largest first: what takes longest begins first, and the last one is not waited for alone.
        chosen = sorted(setup.segments or rows, key=lambda name: (-rows[name], name))
        too_small = {name: rows[name] for name in chosen if rows[name] < setup.min_rows}
        large = (name for name in chosen if name not in too_small)
        segments = list(islice(large, setup.most_segments))
        if not segments:
            raise InvalidInput(
                "no segment has rows enough to train on",
                subject="segmentBy",
                expected=f"at least {setup.min_rows:,} (minRows)",
                got=f"{max(rows.values(), default=0):,} at most",
            )
    found = tuple(
        Planned(_name(segment, configuration.name), segment, configuration.name)
        for segment in segments
        for configuration in setup.configurations
    )
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(
            f"two trainings would be called {twice!r}",
            subject="segments",
            expected="segments that differ in more than case and punctuation",
        )
    return Plan(found, too_small)


def slug(text: str) -> str:
    """Return a text as part of a name: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "none"


def _name(segment: str | None, configuration: str) -> str:
    return configuration if segment is None else f"{slug(segment)}-{configuration}"


@dataclass(frozen=True)
class Ended:
    """How a training ended.

    Attributes:
        metrics: by name, of the rows that were held out; empty where it failed.
        mojo: where the model's file is; None where it failed.
        error: why it failed; None where it did not.
    """

    name: str
    segment: str | None
    configuration: str
    state: str
    attempts: int
    begun_at: datetime | None
    ended_at: datetime | None
    metrics: Mapping[str, float]
    mojo: str | None
    error: str | None


def ended_of(row: Mapping[str, Any]) -> Ended:
    """Return how a training ended, by its row; what has not ended, and does not go on, has failed without a word."""
    result = row["result"] or {}
    is_over = row["state"] in (TRAINED, FAILED)
    return Ended(
        name=row["name"],
        segment=row["segment"],
        configuration=row["configuration"],
        state=row["state"] if is_over else FAILED,
        attempts=row["attempts"],
        begun_at=row["begun_at"],
        ended_at=row["ended_at"],
        metrics=result.get("metrics", {}),
        mojo=result.get("mojo"),
        error=result.get("error") if is_over else f"it ended without a word, when it was {row['state']}",
    )


@dataclass(frozen=True)
class Leaderboard:
    """The trainings of a run.

    Attributes:
        ranked: those that have the metric, of each segment the best first.
        failed: the others, by name.
        best: the first of each segment, by segment.
    """

    metric: str
    ranked: tuple[Ended, ...]
    failed: tuple[Ended, ...]
    best: tuple[Ended, ...]

    def lines(self) -> list[str]:
        """Return it for people."""
        firsts = {one.name for one in self.best}
        told = [
            f"{'*' if one.name in firsts else ' '} {one.name}: {self.metric} {one.metrics[self.metric]:.5f}"
            for one in self.ranked
        ]
        return told + [f"  {one.name}: FAILED after {one.attempts} attempts: {one.error}" for one in self.failed]

    def as_document(self) -> dict[str, Any]:
        def told(one: Ended) -> dict[str, Any]:
            moments = {"begun_at": one.begun_at, "ended_at": one.ended_at}
            texts = {name: at.isoformat() if at is not None else None for name, at in moments.items()}
            return {**vars(one), "metrics": dict(one.metrics), **texts}

        return {
            "metric": self.metric,
            "ranked": [told(one) for one in self.ranked],
            "failed": [told(one) for one in self.failed],
            "best": [one.name for one in self.best],
        }


def leaderboard(metric: str, ended: Sequence[Ended]) -> Leaderboard:
    """Rank trainings within their segments; equals stand in the order of their names."""
    sign = -1.0 if metric in LARGER_IS_BETTER else 1.0
    good = [one for one in ended if one.state == TRAINED and math.isfinite(one.metrics.get(metric, math.nan))]
    ranked = sorted(good, key=lambda one: (one.segment or "", sign * one.metrics[metric], one.name))
    best: dict[str | None, Ended] = {}
    for one in ranked:
        best.setdefault(one.segment, one)
    failed = sorted((one for one in ended if one not in good), key=lambda one: one.name)
    return Leaderboard(metric, tuple(ranked), tuple(failed), tuple(best.values()))


def require_enough(board: Leaderboard, most_failed: float) -> None:
    """Raise Conflict where so many trainings failed that nothing of the run is to be used.

    Args:
        most_failed: the share that may fail, from 0 to 1.
    """
    count = len(board.ranked) + len(board.failed)
    if board.ranked and len(board.failed) <= most_failed * count:
        return
    first = board.failed[0] if board.failed else None
    raise Conflict(
        f"{len(board.failed)} of {count} trainings failed"
        + (f"; the first is {first.name}: {first.error}" if first is not None else ""),
        subject="trainings",
        expected=f"at most {most_failed:.0%} (mostFailed), and one that did not",
        hint="nothing was registered",
    )


def most_at_once(ended: Sequence[Ended]) -> int:
    """Return how many trainings went on at the same time, at most."""
    moments = [(one.begun_at, 1) for one in ended if one.begun_at is not None and one.ended_at is not None]
    moments += [(one.ended_at, -1) for one in ended if one.begun_at is not None and one.ended_at is not None]
    running = most = 0
    # What ends when another begins ends first.
    for _, change in sorted(moments):
        running += change
        most = max(most, running)
    return most


def model_name(setup: TrainingSetup, ended: Ended) -> str:
    """Return the name under which a model is registered: each segment has a model of its own."""
    return setup.model if ended.segment is None else f"{setup.model}-{slug(ended.segment)}"
