"""An e-process as a gambler's wealth: split over bets, with a reserve that is put in little by little.

Starting from wealth 1, each bet multiplies its share by the e-factor of its own alternative; money may be moved
between bets and reserve at will, as long as that is decided before a block is seen. The sum is an e-process: under
the null its expectation never exceeds 1, so it ever reaches 1/alpha with probability at most alpha (Ville).

The reserve is what keeps a candidate that was healthy for an hour and then breaks from being shielded by the hour:
the bets have lost all by then, the reserve has not. It is fed in at a rate that falls like 1/requests, so that a
change is met by a fair stake on every scale of time.

Source: P. Grünwald, R. de Heide, W. Koolen, "Safe testing", JRSS-B 86 (2024); G. Shafer, "Testing by betting",
JRSS-A 184 (2021); the reserve is a sleeping expert in the sense of "fixed share", M. Herbster, M. Warmuth (1998).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

#: Share of the wealth that is held back at first.
RESERVE = 0.1
#: The reserve falls like requests ** -DRIP, once there were more than DRIP_START of them.
DRIP = 0.25
DRIP_START = 50.0
#: Share of what is left of the reserve that is put in when a new step begins.
STEP_SHARE = 0.25


@dataclass(frozen=True)
class Wealth:
    """Natural logarithms of the money in reserve and on each bet, and the requests that were bet on so far."""

    reserve: float
    bets: tuple[float, ...]
    requests: int = 0

    @classmethod
    def start(cls, stakes: Sequence[float]) -> Wealth:
        """Return the wealth before the first block, laid on bets in proportion to their stakes."""
        logs = tuple(math.log((1.0 - RESERVE) * stake / sum(stakes)) for stake in stakes)
        return cls(reserve=math.log(RESERVE), bets=logs)

    @property
    def log(self) -> float:
        """The log e-value."""
        return log_sum((self.reserve, *self.bets))

    def after(self, log_factors: Sequence[float], requests: int, ceiling: float) -> Wealth:
        """Return the wealth after a block.

        Args:
            log_factors: log e-factor of each bet.
            requests: of the candidate in the block.
            ceiling: log wealth above which money is given away. Giving away keeps an e-process one, and what is not
                hoarded cannot drown later news.
        """
        left = DRIP * math.log((self.requests + DRIP_START) / (self.requests + requests + DRIP_START))
        fed = self._fed(left)
        bets = tuple(bet + factor for bet, factor in zip(fed.bets, log_factors, strict=True))
        over = max(0.0, log_sum((fed.reserve, *bets)) - ceiling)
        return Wealth(fed.reserve - over, tuple(bet - over for bet in bets), self.requests + requests)

    def at_new_step(self) -> Wealth:
        """Return the wealth with a part of the reserve put on the bets; as it is while nothing was bet on."""
        return self._fed(math.log1p(-STEP_SHARE)) if self.requests else self

    def _fed(self, log_left: float) -> Wealth:
        """Keep exp(log_left) of the reserve and spread the rest evenly."""
        if log_left >= 0.0:
            return self
        each = self.reserve + math.log(-math.expm1(log_left) / len(self.bets))
        return replace(self, reserve=self.reserve + log_left, bets=tuple(log_sum((bet, each)) for bet in self.bets))


def log_sum(logs: Sequence[float]) -> float:
    """Return log(sum(exp(x))) without overflow."""
    top = max(logs)
    return top + math.log(sum(math.exp(value - top) for value in logs))
