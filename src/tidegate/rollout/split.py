"""Does what the gateway counted agree with the split that was asked for?"""

from __future__ import annotations

import math

from tidegate.rollout.records import SplitCheck

#: Requests needed before anything is said.
MIN_REQUESTS = 30
#: Standard deviations of the binomial count that are put down to chance. The check is repeated at every look, so the
#: bound is wide: at 5 a single look is wrong once in two million.
SIGMAS = 5.0
#: Requests that were under way when the split changed and are counted after it, on a day without a queue.
IN_FLIGHT = 8


def check_split(weight: int, candidate_requests: int, stable_requests: int) -> SplitCheck:
    """Compare the candidate's share of requests since the split came into force with its weight.

    The gateway draws each request independently, so the candidate's count is binomial with the weight as its rate.

    Args:
        weight: asked for the candidate, whole percent, 0 to 100.
        candidate_requests, stable_requests: counted since the split came into force.
    """
    total = candidate_requests + stable_requests
    if total < MIN_REQUESTS:
        return SplitCheck.UNKNOWN
    rate = weight / 100
    allowed = SIGMAS * math.sqrt(total * rate * (1 - rate)) + IN_FLIGHT
    if abs(candidate_requests - total * rate) <= allowed:
        return SplitCheck.CONFIRMED
    return SplitCheck.CONTRADICTED
