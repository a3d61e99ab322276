"""Has a distribution shifted? Counts per bin of candidate and stable, compared by their total variation distance.

A rate of bad events cannot say that a model answers otherwise than before: nobody knows which answer is bad. What can
be said is where the answers lie. Both revisions are counted in the same bins, a feature (an output, or an input column)
has K of them, and the distance of two distributions is the largest difference in probability of any set of bins.

Against "the distance is at most the tolerance" a block is bet on like any other (`bernoulli`): from earlier blocks a
set of bins is chosen in which the candidate was seen more often, and under the claim the probability of that set on
the candidate is at most stable's plus the tolerance, whatever the set. That is a half-plane, hence convex. A variance
that grew, a heavier tail, a second hump or a class that vanished are sets of bins like any other; means play no part.

For "the distance is at most tolerance + margin" there is a bound that holds at all times at once (`radius`): if the
claim is false there is one set of bins to show it, so that set's error is all that is paid for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tidegate.judge import bernoulli
from tidegate.judge.records import Counts, Shift, ShiftPolicy, Tally
from tidegate.judge.wealth import Wealth, log_sum

#: One stake per bet of `_bets`: the set of all bins that grew, the one that grew most, an end of the scale, both ends
#: or the middle; what was seen of each, half as much, and a large shift that little was seen of yet.
STAKES = (2.0, 1.0, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0)
#: A block waits for so many requests of both revisions together.
BLOCK_REQUESTS = 8
#: Beyond so many of stable without the candidate, they are learnt from and not compared with later ones.
STALE_REQUESTS = 10_000
#: What was seen of the candidate is drawn towards stable as if so many requests had shown that.
PULL = 8.0
#: Requests after which what was seen counts for a third, about.
CANDIDATE_MEMORY, STABLE_MEMORY = 1_000.0, 20_000.0
#: Share of what is possible beyond the tolerance that the bet on a large shift names.
BOLD = 0.4
#: Evidence is capped this far (natural log) above its threshold.
HEADROOM = 3.0
#: The bound on the distance is tightest at about this many requests divided by 40.
RADIUS_RHO = 8.0


@dataclass(frozen=True)
class Feature:
    """What is known of one output or column.

    Attributes:
        bins: their names, in the order of the scale where there is one.
        wealth: e-process against "the distance is at most the tolerance"; accumulates over the rollout.
        candidate, stable: counts of the rollout so far.
        step_candidate, step_stable: counts of the current step.
        open_candidate, open_stable: counts of the block that is not complete yet.
        recent_candidate, recent_stable: fading counts of complete blocks, from which the next bets are made.
    """

    bins: tuple[str, ...]
    wealth: Wealth
    candidate: Counts
    stable: Counts
    step_candidate: Counts
    step_stable: Counts
    open_candidate: Counts
    open_stable: Counts
    recent_candidate: tuple[float, ...]
    recent_stable: tuple[float, ...]

    @classmethod
    def begin(cls, bins: Sequence[str]) -> Feature:
        none = (0,) * len(bins)
        fading = (0.0,) * len(bins)
        return cls(tuple(bins), Wealth.start(STAKES), none, none, none, none, none, none, fading, fading)

    def for_storage(self) -> dict[str, Any]:
        """Return plain JSON values."""
        wealth = [self.wealth.requests, self.wealth.reserve, *self.wealth.bets]
        return {"bins": list(self.bins), "wealth": wealth, **{name: list(getattr(self, name)) for name in _COUNTS}}

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any]) -> Feature:
        requests, reserve, *bets = stored["wealth"]
        counts = {name: tuple(stored[name]) for name in _COUNTS}
        return cls(bins=tuple(stored["bins"]), wealth=Wealth(reserve, tuple(bets), int(requests)), **counts)


_COUNTS = (
    "candidate",
    "stable",
    "step_candidate",
    "step_stable",
    "open_candidate",
    "open_stable",
    "recent_candidate",
    "recent_stable",
)

#: Of one comparison, by name of the output or column.
Features = Mapping[str, Feature]


def begin_step(features: Features) -> dict[str, Feature]:
    """Return the evidence at the start of a step: for the candidate anew, against it as it was."""
    return {name: _begin_step(known) for name, known in features.items()}


def observe(
    policy: ShiftPolicy,
    features: Features,
    candidate: Mapping[str, Counts],
    stable: Mapping[str, Counts],
    *,
    alpha: float,
) -> dict[str, Feature]:
    """Return the evidence after one look.

    Args:
        candidate, stable: growth since the last look, by feature, in the feature's bins; one that is missing brought
            nothing. At most one count per request: what one request brings more is not independent.

    Raises:
        ValueError: other bins than the evidence was begun with.
    """
    ceiling = fail_threshold(alpha) + math.log(len(features)) + HEADROOM if features else 0.0
    return {
        name: _observe(policy, known, _in_bins(name, known, candidate), _in_bins(name, known, stable), ceiling)
        for name, known in features.items()
    }


def fail_threshold(alpha: float) -> float:
    """Return the log e-value at which a shift is shown."""
    return -math.log(alpha)


def log_evidence(features: Features) -> float:
    """Return the log e-value of all features together: the mean of e-processes is one, whatever they share."""
    return log_sum([known.wealth.log for known in features.values()]) - math.log(len(features))


def distance(candidate: Sequence[float], stable: Sequence[float]) -> float:
    """Return the total variation distance of two counts per bin, 0 to 1; 0 where one of them is empty."""
    n1, n0 = sum(candidate), sum(stable)
    if not n1 or not n0:
        return 0.0
    return 0.5 * math.fsum(abs(one / n1 - other / n0) for one, other in zip(candidate, stable, strict=True))


def radius(requests: int, delta: float) -> float:
    """Return how far above the true probability of a set of bins its share is ever seen, but for probability delta.

    Robbins' mixture over the normal bound on sums of values in [0, 1], which holds for every n at once: H. Robbins,
    "Statistical methods related to the law of the iterated logarithm" (1970); S. Howard, A. Ramdas, J. McAuliffe,
    J. Sekhon (2021), equation (14), with variance at most 1/4 each. It depends on the counts through n alone, so one
    value serves all sets of bins.
    """
    if not requests:
        return 1.0
    spread = requests / 4.0 + RADIUS_RHO
    return min(1.0, math.sqrt(spread * (math.log(spread / RADIUS_RHO) - 2.0 * math.log(delta))) / requests)


def bound(candidate: Counts, stable: Counts, beta: float) -> float:
    """Return what the true distance ever exceeds with probability at most beta."""
    if not sum(candidate) or not sum(stable):
        return 1.0
    wide = radius(sum(candidate), beta / 2.0) + radius(sum(stable), beta / 2.0)
    return min(1.0, distance(candidate, stable) + wide)


def requests_for_bound(limit: float, candidate: int, stable: int, beta: float) -> int:
    """Return how many candidate requests it takes at least to bound the distance by `limit`, stable growing as it does.

    Args:
        candidate, stable: requests so far, candidate at least 1.
    """
    per_request = max(stable, 1) / candidate

    def is_enough(count: int) -> bool:
        return radius(count, beta / 2.0) + radius(round(count * per_request), beta / 2.0) <= limit

    high = max(1, candidate)
    while not is_enough(high) and high < 1 << 40:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def shifts(features: Features, beta: float, *, of_step: bool = True) -> list[Shift]:
    """Return how far each feature's distributions lie apart, the farthest first."""
    found = []
    for name, known in features.items():
        pair = (known.step_candidate, known.step_stable) if of_step else (known.candidate, known.stable)
        found.append(Shift(name, known.bins, *pair, distance(*pair), bound(*pair, beta)))
    return sorted(found, key=lambda shift: -shift.distance)


def _begin_step(known: Feature) -> Feature:
    none = (0,) * len(known.bins)
    return replace(
        _learnt(known),
        wealth=known.wealth.at_new_step(),
        step_candidate=none,
        step_stable=none,
        open_candidate=none,
        open_stable=none,
    )


def _in_bins(name: str, known: Feature, counts: Mapping[str, Counts]) -> Counts:
    found = counts.get(name)
    if found is None:
        return (0,) * len(known.bins)
    if len(found) != len(known.bins):
        raise ValueError(f"{name}: {len(found)} counts for {len(known.bins)} bins")
    return found


def _observe(policy: ShiftPolicy, known: Feature, candidate: Counts, stable: Counts, ceiling: float) -> Feature:
    seen = replace(
        known,
        candidate=_sum(known.candidate, candidate),
        stable=_sum(known.stable, stable),
        step_candidate=_sum(known.step_candidate, candidate),
        step_stable=_sum(known.step_stable, stable),
        open_candidate=_sum(known.open_candidate, candidate),
        open_stable=_sum(known.open_stable, stable),
    )
    n1, n0 = sum(seen.open_candidate), sum(seen.open_stable)
    if not n1:
        return _learnt(seen) if n0 > STALE_REQUESTS else seen
    if not n0 or n1 + n0 < BLOCK_REQUESTS:
        return seen
    factors = [0.0 if bet is None else _factor(seen, policy.tolerance, *bet) for bet in _bets(seen, policy.tolerance)]
    return _learnt(replace(seen, wealth=seen.wealth.after(factors, n1, ceiling)))


#: A set of bins, and the candidate's and stable's probability of it that are bet on.
_Bet = tuple[frozenset[int], float, float]


def _bets(known: Feature, tolerance: float) -> list[_Bet | None]:
    """Return the bets on the next block, from complete blocks only; None for one that sits it out."""
    if not sum(known.recent_candidate) or not sum(known.recent_stable):
        return [None] * len(STAKES)
    stable = _shares(known.recent_stable, [1.0 / len(known.bins)] * len(known.bins), 1.0)
    candidate = _shares(known.recent_candidate, stable, PULL)
    grown = [one - other for one, other in zip(candidate, stable, strict=True)]
    bets: list[_Bet | None] = []
    for bins, amounts in (
        (frozenset(place for place, growth in enumerate(grown) if growth > 0.0), (1.0, 0.5, None)),
        (frozenset({max(range(len(grown)), key=grown.__getitem__)}), (1.0, None)),
        (_end(grown), (1.0, 0.5, None)),
        (_ends_or_middle(grown), (1.0, None)),
    ):
        a0 = bernoulli.clip(math.fsum(stable[place] for place in bins))
        a1 = bernoulli.clip(math.fsum(candidate[place] for place in bins))
        room = 1.0 - a0 - tolerance
        for amount in amounts:
            beyond = BOLD * room if amount is None else amount * (a1 - a0 - tolerance)
            fits = room > 1e-6 and beyond > 1e-6
            bets.append((bins, bernoulli.clip(a0 + tolerance + beyond), a0) if fits else None)
    return bets


def _shares(counts: Sequence[float], prior: Sequence[float], weight: float) -> list[float]:
    total = math.fsum(counts) + weight
    return [(count + weight * drawn) / total for count, drawn in zip(counts, prior, strict=True)]


def _end(grown: Sequence[float]) -> frozenset[int]:
    """Return the upper or lower part of the scale that grew most."""
    at, most, upper, level = 0, 0.0, False, 0.0
    for place, growth in enumerate(grown[:-1]):
        level += growth
        if abs(level) > most:
            at, most, upper = place + 1, abs(level), level < 0.0
    return frozenset(range(at, len(grown)) if upper else range(at))


def _ends_or_middle(grown: Sequence[float]) -> frozenset[int]:
    """Return what lies outside of two bins equally far from the ends, or inside: the one that grew most."""
    depth, most, level, outside = 0, 0.0, 0.0, True
    for place in range((len(grown) - 1) // 2):
        level += grown[place] + grown[-1 - place]
        if abs(level) > most:
            depth, most, outside = place + 1, abs(level), level > 0.0
    middle = range(depth, len(grown) - depth)
    return frozenset(range(len(grown))) - frozenset(middle) if outside else frozenset(middle)


def _factor(seen: Feature, tolerance: float, bins: frozenset[int], a1: float, a0: float) -> float:
    """Return the log e-factor of the open block for one bet."""
    y1 = Tally(sum(seen.open_candidate), sum(seen.open_candidate[place] for place in bins))
    y0 = Tally(sum(seen.open_stable), sum(seen.open_stable[place] for place in bins))
    p1, p0 = bernoulli.nearest_tolerable(y1, y0, (a1, a0), tolerance)
    return bernoulli.log_ratio(y1, a1, p1) + bernoulli.log_ratio(y0, a0, p0)


def _learnt(known: Feature) -> Feature:
    """Return the evidence with the open block remembered and closed."""
    none = (0,) * len(known.bins)
    return replace(
        known,
        recent_candidate=_faded(known.recent_candidate, known.open_candidate, CANDIDATE_MEMORY),
        recent_stable=_faded(known.recent_stable, known.open_stable, STABLE_MEMORY),
        open_candidate=none,
        open_stable=none,
    )


def _faded(memory: Sequence[float], counts: Counts, length: float) -> tuple[float, ...]:
    kept = math.exp(-sum(counts) / length)
    return tuple(kept * remembered + count for remembered, count in zip(memory, counts, strict=True))


def _sum(one: Counts, other: Counts) -> Counts:
    return tuple(a + b for a, b in zip(one, other, strict=True))
