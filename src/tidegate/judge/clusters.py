"""Bad events that come together: how many of them count as one.

A stall makes all requests slow that wait for it, and a rule that takes each for news of its own condemns a healthy
candidate for one stall too many. How much stable's counts vary beyond what independent events would is known from
earlier blocks, and the e-factors are tempered by it. Any exponent in (0, 1] that was fixed before the block keeps an
e-factor one (Jensen), so this costs no guarantee where events are independent, and little power.
"""

from __future__ import annotations

from tidegate.judge.evidence import Clustering, Memory
from tidegate.judge.records import NOTHING, SignalPolicy, Tally

#: A batch is complete when this many bad events were to be expected in it.
BATCH_EVENTS = 1.0
#: Stable's rate is not known well enough before it showed this many bad events.
LEAST_EVENTS = 5.0
#: Batches after which one counts for nothing any more, about.
MEMORY_BATCHES = 60.0
#: As if so many batches of independent events had been seen at first.
PRIOR_BATCHES = 10.0
#: An incident is no cluster: a batch counts for this much at most.
MOST_SURPRISE = 60.0
#: Excess variance that chance brings about; below it nothing is tempered.
CHANCE = 1.5
#: However clustered events are, this many count for one at most.
LARGEST_CLUSTER = 20.0


def tempering(signal: SignalPolicy, seen: Clustering) -> float:
    """Return the exponent for the next block: 1 / design effect, at most what the policy says."""
    excess = (seen.surprise + PRIOR_BATCHES) / (seen.batches + PRIOR_BATCHES)
    if excess <= CHANCE:
        return signal.tempering
    return min(signal.tempering, 1.0 / min(excess, LARGEST_CLUSTER))


def after(seen: Clustering, stable: Tally, recent: Memory, expected_rate: float) -> Clustering:
    """Return what is known after a block of stable; `recent` and `expected_rate` are from before the block."""
    if recent.bad < LEAST_EVENTS:
        return seen
    batch = seen.open + stable
    expected = batch.requests * expected_rate
    if expected < BATCH_EVENTS:
        return Clustering(seen.batches, seen.surprise, batch)
    surprise = min((batch.bad - expected) ** 2 / (expected * (1.0 - expected_rate)), MOST_SURPRISE)
    kept = 1.0 - 1.0 / MEMORY_BATCHES
    return Clustering(kept * seen.batches + 1.0, kept * seen.surprise + surprise, NOTHING)
