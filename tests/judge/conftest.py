"""A rollout of one signal, told look by look."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from tidegate.judge import Evidence, Policy, SignalPolicy, Tally, Verdict, assess, begin, begin_step, observe

Counts = tuple[int, int]


class Watched:
    """A rollout under watch; counts are (requests, bad) of the signal "errors"."""

    def __init__(self, policy: Policy, baseline: Counts) -> None:
        self.policy = policy
        self.evidence: Evidence = begin_step(policy, begin(policy, {"errors": Tally(*baseline)}))

    def look(self, candidate: Counts, stable: Counts | None) -> Verdict:
        """Take one look; None for stable says that it serves nothing."""
        beside = {} if stable is None else {"errors": Tally(*stable)}
        self.evidence = observe(self.policy, self.evidence, {"errors": Tally(*candidate)}, beside)
        return self.verdict

    def looks(self, pairs: Iterable[tuple[Counts, Counts | None]]) -> Verdict:
        """Take looks until there is a fail, or to the end."""
        for candidate, stable in pairs:
            if self.look(candidate, stable).outcome == "fail":
                break
        return self.verdict

    def new_step(self) -> None:
        self.evidence = begin_step(self.policy, self.evidence)

    @property
    def verdict(self) -> Verdict:
        return assess(self.policy, self.evidence)


@pytest.fixture
def rollout() -> Callable[..., Watched]:
    def begun(objective: float = 0.001, baseline: Counts = (0, 0), **policy: float) -> Watched:
        of_signal = {name: policy.pop(name) for name in ("margin", "min_requests", "tempering") if name in policy}
        return Watched(Policy((SignalPolicy("errors", objective, **of_signal),), **policy), baseline)

    return begun
