"""The bets of a block: log e-factors of each, for the three nulls.

Every bet names rates for candidate and stable that were guessed from earlier blocks; what it earns is the likelihood
ratio of the block against the nearest point of the null (`bernoulli`).
"""

from __future__ import annotations

from tidegate.judge import bernoulli
from tidegate.judge.records import SignalPolicy, Tally

#: Bets on a worse candidate lie so far above the null in log-odds, about 1.5, 2.5 and 10 times a small rate. Two more
#: are on a candidate that answers nothing, and on what the candidate has shown so far.
HARM_ODDS = (0.4, 0.9, 2.3)
BROKEN = 0.98
BROKEN_ODDS = 4.0
#: The largest for about ten times the rate: there a handful of bad events decides, and each nat of the stake is a
#: fifth of the time. What is slow to be seen is slow anyway, and what answers nothing needs no stake to be seen.
HARM_STAKES = (0.8, 3.0, 5.0, 0.2, 0.5)

#: Bets on a safe candidate: as good as stable, these shares of the harmful edge, as seen so far.
SAFE_SHARES = (0.25, 0.55)
SAFE_STAKES = (1.0, 1.0, 1.0, 1.0)


def against_a_rate(candidate: Tally, null: float, guess: float, *, tempering: float) -> list[float]:
    """Return log e-factors against "the candidate's rate is at most `null`"."""
    return [
        0.0 if bet is None else tempering * bernoulli.log_ratio(candidate, bet, null) for bet in _harm_bets(null, guess)
    ]


def against_stable(candidate: Tally, stable: Tally, base: float, guess: float, *, tempering: float) -> list[float]:
    """Return log e-factors against "the candidate's rate is at most stable's".

    Args:
        base: rate that stable is expected to show.
        guess: rate that the candidate is expected to show.
        tempering: exponent on every factor, in (0, 1].
    """

    def factor(bet: float | None) -> float:
        if bet is None:
            return 0.0
        null = bernoulli.pooled(candidate, stable, (bet, base))
        return tempering * (bernoulli.log_ratio(candidate, bet, null) + bernoulli.log_ratio(stable, base, null))

    return [factor(bet) for bet in _harm_bets(base, guess)]


def for_safety(
    signal: SignalPolicy, candidate: Tally, stable: Tally, base: float, guess: float, *, tempering: float
) -> list[float]:
    """Return log e-factors against "the candidate is worse than max(stable, objective) + margin"."""

    def factor(bet: float | None) -> float:
        if bet is None:
            return 0.0
        p1, p0 = bernoulli.nearest_harmful(candidate, stable, (bet, base), signal.objective, signal.margin)
        return tempering * (bernoulli.log_ratio(candidate, bet, p1) + bernoulli.log_ratio(stable, base, p0))

    return [factor(bet) for bet in _safe_bets(max(base, signal.objective) + signal.margin, base, guess)]


def for_safety_alone(candidate: Tally, edge: float, base: float, guess: float, *, tempering: float) -> list[float]:
    """Return log e-factors against "the candidate's rate is at least `edge`"."""
    return [
        0.0 if bet is None else tempering * bernoulli.log_ratio(candidate, bet, edge)
        for bet in _safe_bets(edge, base, guess)
    ]


def _harm_bets(null: float, guess: float) -> list[float | None]:
    """Return the candidate rates that are bet on, None for a bet that sits this block out."""
    low = bernoulli.logit(null)
    broken = max(bernoulli.logit(BROKEN), low + BROKEN_ODDS)
    odds = (*(low + more for more in HARM_ODDS), broken)
    return [*(bernoulli.clip(bernoulli.expit(each)) for each in odds), guess if guess > null else None]


def _safe_bets(edge: float, base: float, guess: float) -> list[float | None]:
    bets = [base, *(share * edge for share in SAFE_SHARES), guess]
    return [bernoulli.clip(bet) if bet < edge else None for bet in bets]
