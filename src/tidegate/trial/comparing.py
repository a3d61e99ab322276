"""Distributions, look by look: how what was counted in bins becomes evidence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tidegate import judge
from tidegate.judge import Counts, shift


class Binned(NamedTuple):
    """Growth of one distribution since the last look: requests per bin, one row of each request."""

    bins: tuple[str, ...]
    candidate: Counts
    stable: Counts


def compared(
    rules: judge.Policy, known: Mapping[str, shift.Features], found: Mapping[str, Mapping[str, Binned]]
) -> dict[str, shift.Features]:
    """Return the evidence on every distribution of the rules after one look.

    Args:
        found: growth by signal and feature; evidence on a feature begins when it is first found.
    """
    after: dict[str, shift.Features] = {}
    for held in (*rules.shifts, *([rules.mix] if rules.mix is not None else [])):
        grown = found.get(held.name, {})
        begun = {name: shift.Feature.begin(binned.bins) for name, binned in grown.items()}
        features = {**begun, **known.get(held.name, {})}
        # What the requests are like fails nobody, so all of alpha is its own.
        alpha = rules.alpha if held is rules.mix else rules.alpha_of(held)
        sides = ({name: side(binned) for name, binned in grown.items()} for side in (_candidate, _stable))
        after[held.name] = shift.observe(held, features, *sides, alpha=alpha)
    return after


def _candidate(binned: Binned) -> Counts:
    return binned.candidate


def _stable(binned: Binned) -> Counts:
    return binned.stable
