"""How evidence grows: looks are gathered into blocks, every block is a round of bets.

A block is complete once both revisions served something in it, or once it is clear that stable serves nothing
beside the candidate. That depends on counts of requests alone, never on how they went, and the bets of a block are
placed from earlier blocks only; both are what the guarantees need.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from tidegate.judge import bernoulli, bets, clusters
from tidegate.judge.evidence import Evidence, Memory, SignalEvidence
from tidegate.judge.records import NOTHING, Policy, SignalPolicy, Tally, tally_in
from tidegate.judge.wealth import Wealth

#: Part of alpha (and beta) that is spent on bounding stable's rate where it serves nothing beside the candidate.
REFERENCE_SHARE = 0.05
#: Fewer requests of stable than this, ever, and nothing is known about it.
KNOWN_STABLE = 5

#: A block with both revisions in it waits for this many requests: splitting finer loses a fifth of the evidence.
BLOCK_REQUESTS = 8
#: A candidate without stable beside it waits for this many, then for as many as make it unlikely (1 in 20) that
#: stable was just unlucky in the split: `MOST_ALONE_REQUESTS` for a stable with 5 % of them. One with less, or of which
#: a request came late into a step that gives it none, is not waited for.
ALONE_REQUESTS = 8
ALONE_SURPRISE = 3.0
MOST_ALONE_REQUESTS = 60
#: Stable requests beyond this without any of the candidate are learnt from, and not compared with later ones.
STALE_REQUESTS = 10_000

#: A memory fades with bad events rather than requests, so that rare ones are remembered long, and an incident is
#: noticed at once.
STABLE_MEMORY = 100.0
CANDIDATE_MEMORY = 40.0
LONGEST_MEMORY = 100_000.0
#: Weight of what is assumed of an unknown revision.
PRIOR_BAD_EVENTS = 0.5
PRIOR_REQUESTS = 60.0

#: Evidence is capped this far (natural log) above its threshold, so that it stays about the present.
HEADROOM = 3.0


def begin(policy: Policy, baseline: Mapping[str, Tally]) -> Evidence:
    """Return the evidence at the start of a rollout.

    Args:
        baseline: stable's counts from before the rollout, by signal; a missing one counts as none.
    """
    return Evidence({signal.name: _begin(tally_in(baseline, signal)) for signal in policy.signals})


def begin_step(policy: Policy, evidence: Evidence) -> Evidence:
    """Return the evidence at the start of a step: for the candidate anew, against it as it was."""
    return Evidence({signal.name: _begin_step(evidence.of(signal.name)) for signal in policy.signals})


def observe(
    policy: Policy, evidence: Evidence, candidate: Mapping[str, Tally], stable: Mapping[str, Tally]
) -> Evidence:
    """Return the evidence after one look.

    Args:
        candidate, stable: growth since the last look, by signal. A signal missing in `stable` says that stable
            serves nothing now; a tally of zero leaves that open until enough candidate requests have come.
    """
    return Evidence(
        {
            signal.name: _observe(
                policy,
                signal,
                evidence.of(signal.name),
                tally_in(candidate, signal),
                tally_in(stable, signal),
                expect_stable=signal.name in stable,
            )
            for signal in policy.signals
        }
    )


def fail_threshold(policy: Policy, signal: SignalPolicy) -> float:
    """Return the log e-value at which a signal fails."""
    return -math.log((1.0 - REFERENCE_SHARE) * policy.alpha_of(signal))


def pass_threshold(policy: Policy) -> float:
    """Return the log e-value at which a signal passes."""
    return -math.log((1.0 - REFERENCE_SHARE) * policy.beta)


def _begin(baseline: Tally) -> SignalEvidence:
    return SignalEvidence(
        worse=Wealth.start(bets.HARM_STAKES),
        outside=Wealth.start(bets.HARM_STAKES),
        safe=Wealth.start(bets.SAFE_STAKES),
        baseline=baseline,
        known_stable=baseline,
        recent_stable=remember(Memory(), baseline, STABLE_MEMORY),
    )


def _begin_step(known: SignalEvidence) -> SignalEvidence:
    return replace(
        _learn_stable(known),
        worse=known.worse.at_new_step(),
        outside=known.outside.at_new_step(),
        safe=Wealth.start(bets.SAFE_STAKES),
        step_candidate=NOTHING,
        step_stable=NOTHING,
        open_candidate=NOTHING,
    )


def _observe(
    policy: Policy,
    signal: SignalPolicy,
    known: SignalEvidence,
    candidate: Tally,
    stable: Tally,
    *,
    expect_stable: bool,
) -> SignalEvidence:
    seen = replace(
        known,
        candidate=known.candidate + candidate,
        stable=known.stable + stable,
        step_candidate=known.step_candidate + candidate,
        step_stable=known.step_stable + stable,
        open_candidate=known.open_candidate + candidate,
        open_stable=known.open_stable + stable,
    )
    n1, n0 = seen.open_candidate.requests, seen.open_stable.requests
    if n1 == 0:
        return _learn_stable(seen) if n0 > STALE_REQUESTS else seen
    if n0 > 0:
        return _settled(policy, signal, seen, alone=False) if n1 + n0 >= BLOCK_REQUESTS else seen
    if not expect_stable or _is_alone(seen):
        return _settled(policy, signal, seen, alone=True)
    return seen


def _is_alone(seen: SignalEvidence) -> bool:
    """Tell from counts of requests alone whether stable's silence in the open block means that it serves nothing."""
    if seen.step_stable.requests == 0:
        return seen.step_candidate.requests >= ALONE_REQUESTS
    settled = seen.step_candidate.requests - seen.open_candidate.requests
    surprising = ALONE_SURPRISE / math.log1p(seen.step_stable.requests / max(settled, 1))
    return seen.open_candidate.requests >= min(max(ALONE_REQUESTS, surprising), MOST_ALONE_REQUESTS)


def _settled(policy: Policy, signal: SignalPolicy, seen: SignalEvidence, *, alone: bool) -> SignalEvidence:
    """Return the evidence with the open block bet on and learnt from."""
    y1, y0 = seen.open_candidate, seen.open_stable
    base = stable_guess(signal, seen)
    guess = seen.recent_candidate.rate(base, PRIOR_REQUESTS)
    tempering = clusters.tempering(signal, seen.clustering)
    outside = bets.against_a_rate(y1, bernoulli.clip(signal.objective), guess, tempering=tempering)
    if alone:
        worse = bets.against_a_rate(y1, _most_tolerated(policy, signal, seen, tempering), guess, tempering=tempering)
        safe = bets.for_safety_alone(
            y1, _least_harmful(policy, signal, seen, tempering), base, guess, tempering=tempering
        )
    else:
        worse = bets.against_stable(y1, y0, base, guess, tempering=tempering)
        safe = bets.for_safety(signal, y1, y0, base, guess, tempering=tempering)
    enough = fail_threshold(policy, signal)
    # To take less than a block earned is fair whatever was seen in it; a single bad event is no stall.
    most = enough / signal.patience if signal.patience > 1 and y1.bad > 1 else math.inf
    ceiling = enough + HEADROOM
    return replace(
        _learn_stable(seen),
        worse=seen.worse.after([min(factor, most) for factor in worse], y1.requests, ceiling),
        outside=seen.outside.after([min(factor, most) for factor in outside], y1.requests, ceiling),
        safe=seen.safe.after(safe, y1.requests, pass_threshold(policy) + HEADROOM),
        clustering=clusters.after(seen.clustering, y0, seen.recent_stable, base),
        recent_candidate=remember(seen.recent_candidate, y1, CANDIDATE_MEMORY),
        open_candidate=NOTHING,
    )


def stable_guess(signal: SignalPolicy, seen: SignalEvidence) -> float:
    """Return the rate that stable is expected to show next; from complete blocks only."""
    prior = min(max(signal.objective, 0.01), 0.1)
    return bernoulli.clip(seen.recent_stable.rate(prior, PRIOR_BAD_EVENTS / prior))


def _most_tolerated(policy: Policy, signal: SignalPolicy, seen: SignalEvidence, tempering: float) -> float:
    """Return the rate up to which a candidate without stable beside it is no worse than stable was, or promised.

    Where nothing is known of stable, the promise is all there is to hold the candidate to.
    """
    objective = bernoulli.clip(signal.objective)
    if seen.known_stable.requests < KNOWN_STABLE:
        return objective
    delta = REFERENCE_SHARE * policy.alpha_of(signal)
    return max(objective, bernoulli.clip(bernoulli.upper_bound(seen.known_stable, delta, tempering)))


def _least_harmful(policy: Policy, signal: SignalPolicy, seen: SignalEvidence, tempering: float) -> float:
    """Return the rate from which on a candidate without stable beside it may be worse than the margin allows."""
    before = bernoulli.lower_bound(seen.known_stable, REFERENCE_SHARE * policy.beta, tempering)
    return bernoulli.clip(max(before, signal.objective) + signal.margin)


def _learn_stable(known: SignalEvidence) -> SignalEvidence:
    return replace(
        known,
        known_stable=known.known_stable + known.open_stable,
        recent_stable=remember(known.recent_stable, known.open_stable, STABLE_MEMORY),
        open_stable=NOTHING,
    )


def remember(memory: Memory, tally: Tally, bad_events: float) -> Memory:
    kept = math.exp(-tally.bad / bad_events - tally.requests / LONGEST_MEMORY)
    return Memory(kept * memory.requests + tally.requests, kept * memory.bad + tally.bad)
