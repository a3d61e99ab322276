"""How evidence grows: looks are gathered into blocks, every block is a round of bets.

A block is complete once both revisions served something in it, or once it is clear that stable serves nothing
beside the candidate. That depends on counts of requests alone, never on how they went, and the bets of a block are
placed from earlier blocks only; both are what the guarantees need.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from tidegate.judge import bernoulli
from tidegate.judge.evidence import Evidence, Memory, SignalEvidence
from tidegate.judge.records import NOTHING, Policy, SignalPolicy, Tally, tally_in
from tidegate.judge.wealth import Wealth

#: Bets on a worse candidate lie at these shares of the way from the null to BROKEN on the log-odds scale: dense where
#: little harm is hard to see, with the last one at a candidate that answers nothing.
HARM_BETS = 7
HARM_PATH = tuple((number / HARM_BETS) ** 1.5 for number in range(1, HARM_BETS + 1))
BROKEN = 0.98
#: Bets on a safe candidate lie at these shares of the harmful edge.
SAFE_SHARES = (0.25, 0.55)

#: Part of alpha (and beta) that is spent on bounding stable's rate where it serves nothing beside the candidate.
REFERENCE_SHARE = 0.1
#: Fewer requests of stable than this, ever, and nothing is known about it.
KNOWN_STABLE = 5

#: A block with both revisions in it waits for this many requests: splitting finer loses a fifth of the evidence.
BLOCK_REQUESTS = 8
#: A candidate without stable beside it waits for this many, then for as many as make it unlikely (1 in 20) that
#: stable was just unlucky in the split.
ALONE_REQUESTS = 8
ALONE_SURPRISE = 3.0
#: Stable requests beyond this without any of the candidate are learnt from, and not compared with later ones.
STALE_REQUESTS = 10_000

#: A memory fades with bad events rather than requests, so that rare ones are remembered long, and an incident is
#: noticed at once.
STABLE_MEMORY = 100.0
CANDIDATE_MEMORY = 40.0
LONGEST_MEMORY = 100_000.0
#: Weight of what is assumed of an unknown revision.
PRIOR_BAD_EVENTS = 0.5
PRIOR_REQUESTS = 20.0

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


def fail_threshold(policy: Policy) -> float:
    """Return the log e-value at which a signal fails."""
    return -math.log((1.0 - REFERENCE_SHARE) * policy.alpha_per_signal)


def pass_threshold(policy: Policy) -> float:
    """Return the log e-value at which a signal passes."""
    return -math.log((1.0 - REFERENCE_SHARE) * policy.beta)


def is_known(stable: Tally) -> bool:
    return stable.requests >= KNOWN_STABLE


def _begin(baseline: Tally) -> SignalEvidence:
    return SignalEvidence(
        worse=Wealth.start(HARM_BETS + 1),
        outside=Wealth.start(HARM_BETS + 1),
        safe=Wealth.start(len(SAFE_SHARES) + 2),
        baseline=baseline,
        known_stable=baseline,
        recent_stable=_remember(Memory(), baseline, STABLE_MEMORY),
    )


def _begin_step(known: SignalEvidence) -> SignalEvidence:
    return replace(
        _learn_stable(known),
        worse=known.worse.at_new_step(),
        outside=known.outside.at_new_step(),
        safe=Wealth.start(len(SAFE_SHARES) + 2),
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
    odds = seen.step_stable.requests / seen.step_candidate.requests
    return seen.open_candidate.requests >= max(ALONE_REQUESTS, ALONE_SURPRISE / math.log1p(odds))


def _settled(policy: Policy, signal: SignalPolicy, seen: SignalEvidence, *, alone: bool) -> SignalEvidence:
    """Return the evidence with the open block bet on and learnt from."""
    y1, y0 = seen.open_candidate, seen.open_stable
    base = stable_guess(signal, seen)
    guess = seen.recent_candidate.rate(base, PRIOR_REQUESTS)
    outside = _against_a_rate(signal, y1, clip_objective(signal), guess)
    if alone:
        worse = _against_a_rate(signal, y1, _reference(policy, signal, seen), guess)
        safe = _for_alone(policy, signal, seen, base, guess)
    else:
        worse = _against_stable(signal, y1, y0, base, guess)
        safe = _for_beside(signal, y1, y0, base, guess)
    ceiling = fail_threshold(policy) + HEADROOM
    return replace(
        _learn_stable(seen),
        worse=seen.worse.after(worse, y1.requests, ceiling),
        outside=seen.outside.after(outside, y1.requests, ceiling),
        safe=seen.safe.after(safe, y1.requests, pass_threshold(policy) + HEADROOM),
        recent_candidate=_remember(seen.recent_candidate, y1, CANDIDATE_MEMORY),
        open_candidate=NOTHING,
    )


def stable_guess(signal: SignalPolicy, seen: SignalEvidence) -> float:
    """Return the rate that stable is expected to show next; from complete blocks only."""
    prior = min(max(signal.objective, 1e-4), 0.1)
    return bernoulli.clip(seen.recent_stable.rate(prior, PRIOR_BAD_EVENTS / prior))


def clip_objective(signal: SignalPolicy) -> float:
    return bernoulli.clip(signal.objective)


def _reference(policy: Policy, signal: SignalPolicy, seen: SignalEvidence) -> float:
    """Return what a candidate without stable beside it may show at most and be no worse than stable was."""
    objective = clip_objective(signal)
    if not is_known(seen.known_stable):
        return objective
    delta = REFERENCE_SHARE * policy.alpha_per_signal
    return max(objective, bernoulli.upper_bound(seen.known_stable, delta, signal.tempering))


def _harm_bets(null: float, guess: float) -> list[float | None]:
    """Return the candidate rates that are bet on, None for a bet that sits this block out."""
    low = bernoulli.logit(null)
    high = max(bernoulli.logit(BROKEN), low + 2.0)
    path: list[float | None] = [bernoulli.clip(bernoulli.expit(low + share * (high - low))) for share in HARM_PATH]
    path.append(guess if guess > null else None)
    return path


def _against_a_rate(signal: SignalPolicy, candidate: Tally, null: float, guess: float) -> list[float]:
    """Return log e-factors against "the candidate's rate is at most `null`"."""
    return [
        0.0 if bet is None else signal.tempering * bernoulli.log_ratio(candidate, bet, null)
        for bet in _harm_bets(null, guess)
    ]


def _against_stable(signal: SignalPolicy, candidate: Tally, stable: Tally, base: float, guess: float) -> list[float]:
    """Return log e-factors against "the candidate's rate is at most stable's"."""

    def factor(bet: float | None) -> float:
        if bet is None:
            return 0.0
        null = bernoulli.pooled(candidate, stable, (bet, base))
        return signal.tempering * (bernoulli.log_ratio(candidate, bet, null) + bernoulli.log_ratio(stable, base, null))

    return [factor(bet) for bet in _harm_bets(base, guess)]


def _safe_bets(edge: float, base: float, guess: float) -> list[float | None]:
    """Return candidate rates below the harmful edge: as good as stable, as seen so far, and shares of the edge."""
    bets = [base, *(share * edge for share in SAFE_SHARES), guess]
    return [bernoulli.clip(bet) if bet < edge else None for bet in bets]


def _for_beside(signal: SignalPolicy, candidate: Tally, stable: Tally, base: float, guess: float) -> list[float]:
    """Return log e-factors against "the candidate is worse than max(stable, objective) + margin"."""

    def factor(bet: float | None) -> float:
        if bet is None:
            return 0.0
        p1, p0 = bernoulli.nearest_harmful(candidate, stable, (bet, base), signal.objective, signal.margin)
        return signal.tempering * (bernoulli.log_ratio(candidate, bet, p1) + bernoulli.log_ratio(stable, base, p0))

    return [factor(bet) for bet in _safe_bets(max(base, signal.objective) + signal.margin, base, guess)]


def _for_alone(policy: Policy, signal: SignalPolicy, seen: SignalEvidence, base: float, guess: float) -> list[float]:
    """Return the same against what stable showed at least before."""
    before = bernoulli.lower_bound(seen.known_stable, REFERENCE_SHARE * policy.beta, signal.tempering)
    edge = bernoulli.clip(max(before, signal.objective) + signal.margin)
    return [
        0.0 if bet is None else signal.tempering * bernoulli.log_ratio(seen.open_candidate, bet, edge)
        for bet in _safe_bets(edge, base, guess)
    ]


def _learn_stable(known: SignalEvidence) -> SignalEvidence:
    return replace(
        known,
        known_stable=known.known_stable + known.open_stable,
        recent_stable=_remember(known.recent_stable, known.open_stable, STABLE_MEMORY),
        open_stable=NOTHING,
    )


def _remember(memory: Memory, tally: Tally, bad_events: float) -> Memory:
    kept = math.exp(-tally.bad / bad_events - tally.requests / LONGEST_MEMORY)
    return Memory(kept * memory.requests + tally.requests, kept * memory.bad + tally.bad)
