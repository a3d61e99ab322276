"""Does what the gateway counted agree with the split that was asked for?"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tidegate.rollout.records import SplitCheck

#: Requests needed before anything is said.
MIN_REQUESTS = 30
#: Standard deviations of the binomial count that are put down to chance. The check is repeated at every look, so the
#: bound is wide: at 5 a single look is wrong once in two million.
SIGMAS = 5.0
#: Requests that were under way when the split changed and are counted after it, on a day without a queue.
IN_FLIGHT = 8


def check_split(weight: float, candidate_requests: int, stable_requests: int) -> SplitCheck:
    """Compare the candidate's share of requests since the split came into force with its weight.

    The gateway draws each request independently, so the candidate's count is binomial with the weight as its rate.

    Args:
        weight: asked for the candidate, percent, 0 to 100.
        candidate_requests, stable_requests: counted since the split came into force.
    """
    total = candidate_requests + stable_requests
    if total < MIN_REQUESTS:
        return SplitCheck.UNKNOWN
    return _check(weight / 100, candidate_requests, total)


def check_shares(asked: Mapping[int, float], counted: Mapping[int, int]) -> SplitCheck:
    """Compare the shares of several revisions with their weights: each count is binomial with its weight as the rate.

    Args:
        asked: percent by revision, 100 together.
        counted: requests by revision since the split came into force.
    """
    total = sum(counted.values())
    if total < MIN_REQUESTS:
        return SplitCheck.UNKNOWN
    each = [_check(weight / 100, counted.get(revision, 0), total) for revision, weight in asked.items()]
    return SplitCheck.CONTRADICTED if SplitCheck.CONTRADICTED in each else SplitCheck.CONFIRMED


def check_mirror(percent: float, copied_requests: int, stable_requests: int) -> SplitCheck:
    """Compare the requests that were copied to the candidate with the share of stable's that was asked for.

    Args:
        percent: of stable's requests that are copied, each drawn independently.
        copied_requests, stable_requests: counted since the mirror came into force.
    """
    if stable_requests < MIN_REQUESTS:
        return SplitCheck.UNKNOWN
    return _check(percent / 100, copied_requests, stable_requests)


def _check(rate: float, hits: int, draws: int) -> SplitCheck:
    allowed = SIGMAS * math.sqrt(draws * rate * (1 - rate)) + IN_FLIGHT
    return SplitCheck.CONFIRMED if abs(hits - draws * rate) <= allowed else SplitCheck.CONTRADICTED
