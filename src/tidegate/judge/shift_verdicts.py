"""From the evidence on distributions to a verdict, and to the sentence that says why."""

from __future__ import annotations

from tidegate.judge import shift
from tidegate.judge.records import Outcome, Shift, ShiftPolicy, SignalVerdict, Tally
from tidegate.judge.wording import of_requests, percent

#: Features that a verdict shows, and bins that a reason names.
MOST_SHIFTS = 3
MOST_BINS = 2


def assess_shift(held: ShiftPolicy, features: shift.Features, alpha: float, beta: float) -> SignalVerdict:
    """Return what is known of a change of distributions.

    A fail says that some feature's distance is above the tolerance, a pass that each one's is below tolerance + margin.
    Where it is shown alone, a distance above the tolerance is a warning: it may well be what is wanted.

    Args:
        features: empty before there are bins to count in.
        alpha: probability that a fail is ever said of a candidate inside the tolerance.
        beta: probability that a pass is ever said in a step of one outside of tolerance + margin.
    """
    limit = held.tolerance + held.margin
    found = shift.shifts(features, beta)
    seen = min((sum(one.candidate) for one in found), default=0)
    harm = shift.log_evidence(features) / shift.fail_threshold(alpha) if features else 0.0
    widest = max((one.bound for one in found), default=1.0)
    outcome: Outcome = "inconclusive"
    if harm >= 1.0:
        outcome = "fail"
        whole = shift.shifts(features, beta, of_step=False)
        # What failed in an earlier step is told by the counts that it was seen in.
        found = whole if not seen or whole[0].distance > found[0].distance else found
    elif found and widest <= limit and seen >= held.min_requests:
        outcome = "pass"
    if outcome == "fail" and held.is_dry_run:
        outcome = "warning"
    needed = 0
    if outcome == "inconclusive" and seen:
        stable = min(sum(one.stable) for one in found)
        needed = max(shift.requests_for_bound(limit, seen, stable, beta), held.min_requests) - seen
    worst = found[0] if found else None
    tallies = _in_grown(worst) if worst is not None else (Tally(), Tally())
    return SignalVerdict(
        signal=held.name,
        outcome=outcome,
        reason=f"{held.name}: {_why(held, worst, outcome, seen, needed)}",
        candidate=tallies[0],
        stable=tallies[1],
        concurrent=bool(tallies[1].requests),
        candidate_rate=tallies[0].rate,
        stable_rate=tallies[1].rate,
        objective=held.tolerance,
        harm=max(0.0, harm),
        safety=min(1.0, limit / widest) if found and seen else 0.0,
        log_worse_than_stable=shift.log_evidence(features) if features else 0.0,
        log_outside_objective=shift.log_evidence(features) if features else 0.0,
        log_safe=0.0,
        still_needed=max(0, needed),
        shifts=tuple(found[:MOST_SHIFTS]),
    )


def grown_bins(found: Shift) -> list[int]:
    """Return the bins in which the candidate is seen more often than stable, by how much, the first few."""
    n1, n0 = max(1, sum(found.candidate)), max(1, sum(found.stable))
    growth = {place: found.candidate[place] / n1 - found.stable[place] / n0 for place in range(len(found.bins))}
    grown = sorted((place for place in growth if growth[place] > 0.0), key=lambda place: -growth[place])
    return grown[:MOST_BINS]


def _in_grown(found: Shift) -> tuple[Tally, Tally]:
    bins = grown_bins(found)
    return (
        Tally(sum(found.candidate), sum(found.candidate[place] for place in bins)),
        Tally(sum(found.stable), sum(found.stable[place] for place in bins)),
    )


def _why(held: ShiftPolicy, worst: Shift | None, outcome: Outcome, seen: int, needed: int) -> str:
    if worst is None:
        return "too little of stable was seen to lay out bins"
    if outcome == "inconclusive" and not seen:
        return "no traffic has reached the candidate in this step"
    told = f"{_told(worst)}; distance {percent(worst.distance)}, tolerance {percent(held.tolerance)}"
    if outcome != "inconclusive":
        return told
    if seen < held.min_requests:
        return f"{seen:,} of {held.min_requests:,} candidate requests needed so far"
    if needed > 0:
        return f"{told}; too early to tell, at least {needed:,} more {of_requests(needed)} needed"
    return f"{told}; neither a change nor its absence is shown yet"


def _told(found: Shift) -> str:
    bins, (candidate, stable) = grown_bins(found), _in_grown(found)
    if not bins:
        return f"{found.feature} lies on the candidate as on stable"
    named = " or ".join(found.bins[place] for place in bins)
    return (
        f"{found.feature} is {named} in {percent(candidate.rate or 0.0)} of {candidate.requests:,} candidate "
        f"{of_requests(candidate.requests)} against {percent(stable.rate or 0.0)} of {stable.requests:,} on stable"
    )
